-- Ends what has to end at once: what is over its time-out and, in an emergency, everything. Between
-- two batches a run finds that out itself (stop_sign); here whoever is in the middle of one is
-- cancelled, where that is allowed, and so are the statements that pg_cron runs.

create function maintenance_internal.signal_runs()
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
declare
  v_is_stopped constant boolean := maintenance_internal.is_stopped();
  v_work record;
  v_reason text;
  v_sent bigint := 0;
begin
  for v_work in
    select j as job, l.pid, r.started_at
    from maintenance_internal.run as r
    join maintenance_internal.job as j on j.job_id = r.job_id
    join pg_locks as l on l.pid = r.backend_pid and l.locktype = 'advisory' and l.objsubid = 2
      and l.classid = maintenance_internal.lock_class()::oid and l.objid = r.job_id::oid
      and l.database = (select d.oid from pg_database as d where d.datname = current_database())
    where r.status = 'running' and r.cron_run_id is null
    union all
    select j, a.pid, a.query_start
    from maintenance_internal.job as j
    join pg_stat_activity as a on a.datname = current_database() and a.state = 'active'
      and (a.query = j.statement
        or octet_length(a.query) > 1000 and starts_with(j.statement, a.query)) -- as it is shown
      and (a.application_name = 'pg_cron' or a.backend_type like 'pg_cron%')
    where j.kind = 'statement' and not maintenance_internal.is_own(j.statement)
  loop
    v_reason := case when v_is_stopped then 'emergency_stop'
      when v_work.started_at + maintenance_internal.time_out_of(v_work.job)
        <= maintenance_internal.moment() then 'timeout' end;
    continue when v_reason is null or v_work.pid = pg_backend_pid();
    begin
      perform pg_cancel_backend(v_work.pid);
      v_sent := v_sent + 1;
    exception when insufficient_privilege then
      continue; -- it ends between two batches
    end;
    -- A statement cannot say itself why it was cancelled.
    update maintenance_internal.run as r
    set stop_reason = v_reason, sqlstate = '57014',
      error = maintenance_internal.stop_text(v_reason, v_work.job)
    where r.job_id = (v_work.job).job_id and r.backend_pid = v_work.pid and r.status = 'running'
      and r.cron_run_id is not null;
  end loop;
  return v_sent;
end
$$;
