-- What pg_cron says of what it ran for us: beyond a number of its history, and those asked for. Its
-- history has no index but on that number, so a look costs what is new. The first look goes back
-- 10,000 firings.
-- cron.job_run_details shows each role its own rows by a policy: row security has to be on here.

create function maintenance_internal.cron_runs(p_after bigint, p_open bigint[] default '{}')
returns table (
  job_name text,
  schedule text,
  cron_run_id bigint,
  status text,
  message text,
  command text,
  username text,
  pid integer,
  started_at timestamptz,
  finished_at timestamptz)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set lock_timeout = '5s'
as $$
begin
  if (maintenance_internal.cron_state()).readable then
    return query execute
      'select c.job_name, c.schedule, d.runid, d.status, d.return_message, d.command, '
      '  d.username, d.job_pid, d.start_time, d.end_time '
      'from ('
      '  select n.* from cron.job_run_details as n where n.runid > coalesce($1, '
      '    (select max(m.runid) from cron.job_run_details as m) - 10000) '
      '  union all '
      '  select o.* from cron.job_run_details as o where o.runid = any ($2) and o.runid <= $1'
      ') as d '
      'left join maintenance_internal.cron_jobs() as c on c.cron_job_id = d.jobid '
      'order by d.runid'
    using p_after, p_open;
  end if;
end
$$;
