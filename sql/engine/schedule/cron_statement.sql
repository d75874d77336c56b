-- The statement that schedules a job from pg_cron's own database, where that is another one of the
-- server. pg_cron knows a job by its name and its role, whatever the database: so the name begins
-- with the database.

create function maintenance.cron_statement(p_job maintenance.job, p_schedule text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return format('select cron.schedule_in_database(%L, %L, %L, %L, %L);',
  left(current_database() || '/' || p_job.job_name, 63), p_schedule,
  maintenance.cron_command(p_job), current_database(), current_user);

comment on function maintenance.cron_statement(maintenance.job, text) is
  'The statement that schedules a job from pg_cron''s own database, where that is another one of '
  'the server.';
