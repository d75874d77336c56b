-- What pg_cron says of the statement jobs that it ran, latest first: of the last 10,000
-- firings, since its history has no index but on its own number. Runs that leave a receipt of their
-- own are not among them, nor the ticks that went well.
-- cron.job_run_details shows each role its own rows by a policy: row security has to be on here.

create function maintenance_internal.cron_runs()
returns table (
  job_name text,
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
      'select c.job_name, d.runid, d.status, d.return_message, d.command, d.username, d.job_pid, '
      '  d.start_time, d.end_time '
      'from cron.job_run_details as d '
      'join maintenance_internal.cron_jobs() as c on c.cron_job_id = d.jobid '
      'where d.runid > (select max(m.runid) from cron.job_run_details as m) - 10000 '
      'and d.command !~ ''^call maintenance\.run_job\('' '
      'and (d.status = ''failed'' or d.status in (''running'', ''succeeded'') '
      '  and d.command <> ''call maintenance.tick()'') '
      'order by d.runid desc';
  end if;
end
$$;
