-- Whether a run works through collected rows, or calls a step function.

create function maintenance.is_policy_run(p_run_id bigint)
returns boolean
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
set timezone = 'UTC'
set lock_timeout = '5s'
return exists (
  select from maintenance.find_run(p_run_id) as r
  join maintenance.policy as p on p.job_id = r.job_id
);

comment on function maintenance.is_policy_run(bigint) is
  'Whether a run works through collected rows, or calls a step function.';
