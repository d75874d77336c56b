-- For a database that is not pg_cron's, on the same server: what schedules its jobs from there.

create function maintenance_internal.cron_statement(p_job maintenance_internal.job, p_schedule text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
-- pg_cron knows a job by its name and its role, whatever the database: so the name begins with the
-- database.
return format('select cron.schedule_in_database(%L, %L, %L, %L, %L);',
  left(current_database() || '/' || p_job.job_name, 63), p_schedule,
  maintenance_internal.cron_command(p_job), current_database(), current_user);

create function maintenance.cron_statements()
returns setof text
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
begin atomic
  select maintenance_internal.cron_statement(j, j.schedule)
  from maintenance_internal.job as j
  where j.schedule is not null
  order by j.job_id;
end;

comment on function maintenance.cron_statements() is
  'The statements that schedule every job of this database, for pg_cron''s own database where that '
  'is another one of the server, to be run by a superuser there; the jobs run as the engine''s '
  'owner. One row per job.';
