-- When the last run of a job that succeeded began; null before the first.

create function maintenance_internal.last_success(job_name text)
returns timestamptz
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
return (
  select r.started_at
  from maintenance_internal.job as j
  join maintenance_internal.run as r on r.job_id = j.job_id and r.status = 'succeeded'
  where j.job_name = last_success.job_name
  order by r.started_at desc
  limit 1
);
