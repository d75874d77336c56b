-- What is to be run in pg_cron's own database, where that is another one of the server.

create function maintenance.cron_statements()
returns setof text
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
set timezone = 'UTC'
set lock_timeout = '5s'
begin atomic
  select maintenance.cron_statement(j, j.schedule)
  from maintenance.job as j
  where j.schedule is not null
  order by j.job_id;
end;

comment on function maintenance.cron_statements() is
  'The statements that schedule every job of this database, for pg_cron''s own database where that '
  'is another one of the server, to be run by a superuser there; the jobs run as the engine''s '
  'owner. A row a job.';
