-- Whether cron.job can be read: then the schedules in it are the truth.

create function maintenance.cron_readable()
returns boolean
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
set timezone = 'UTC'
set lock_timeout = '5s'
return case when maintenance.cron_gap() is null then has_table_privilege('cron.job', 'select')
  else false end;

comment on function maintenance.cron_readable() is
  'Whether cron.job can be read here. Where not, the declared schedules are the truth.';
