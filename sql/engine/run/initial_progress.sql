-- Where the loop of a run begins. A run that was skipped is finished before it starts.

create function maintenance_internal.initial_progress(p_run_id bigint)
returns maintenance_internal.progress
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
set timezone = 'UTC'
set lock_timeout = '5s'
return (
  select row(r.run_id,
    case when r.status <> 'running' then 'end' when p.job_id is null then 'step'
      else 'collect' end,
    0, 0, false, null, null, null, 0, 0, 1, j.batch_size, null, 0)::maintenance_internal.progress
  from maintenance_internal.find_run(p_run_id) as r
  left join maintenance_internal.job as j on j.job_id = r.job_id
  left join maintenance_internal.policy as p on p.job_id = r.job_id
);
