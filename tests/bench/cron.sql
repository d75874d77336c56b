-- pg_cron, made up by a superuser: its tables, which the engine then takes for it.
create schema cron;
create table cron.job (jobid bigint primary key, schedule text, command text, nodename text, nodeport integer,
  database text, username text, active boolean default true, jobname text);
create table cron.job_run_details (jobid bigint, runid bigint primary key, job_pid integer, username text,
  command text, status text, return_message text, start_time timestamptz, end_time timestamptz);
create function cron.schedule(text, text, text) returns bigint language sql security definer as
  'insert into cron.job values ((select coalesce(max(jobid), 0) + 1 from cron.job), $2, $3, ''localhost'', 5432,
    current_database(), session_user, true, $1) returning jobid';
create function cron.unschedule(bigint) returns boolean language sql security definer as
  'delete from cron.job where jobid = $1 returning true';
grant usage on schema cron to public;
grant select on all tables in schema cron to public;
-- A firing of a statement job each minute, that ended well.
create function public.fire(firings integer) returns void language sql security definer as
  'insert into cron.job_run_details
  select j.jobid, i, 1, j.username, j.command, ''succeeded'', ''ANALYZE'', at, at
  from (select i, now() - ($1 - i) * interval ''1 minute'' as at from generate_series(1, $1) as i) as f
  join (select *, row_number() over () - 1 as n, count(*) over () as jobs from cron.job
    where jobname like ''maintenance:statement%'') as j on j.n = f.i % j.jobs';
