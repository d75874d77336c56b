-- Ends what has to end at once: what is over its time-out and, in an emergency, everything.
-- Between two batches a run finds that out itself (stop_sign); here whoever is in the middle of
-- one is cancelled, where that is allowed, and so are the statements that pg_cron runs. Who
-- swallows that for five minutes loses his session. A stop holds for all that had begun, also
-- after resume.

create function maintenance_internal.signal_runs()
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
declare
  v_is_stopped constant boolean := maintenance_internal.is_stopped();
  v_now constant timestamptz := maintenance_internal.moment();
  v_work record;
  v_reason text;
  v_stopped_at constant timestamptz := (
    select c.stopped_at from maintenance_internal.control as c);
  v_ends_at timestamptz;
  v_sent integer[] := '{}';
begin
  for v_work in
    -- In a step of a run; of one in somebody's own transaction nobody else sees the receipt.
    select j as job, l.pid, r.started_at, r.run_id, false as is_mute
    from pg_locks as l
    join maintenance_internal.job as j on j.job_id::oid = l.objid
    left join maintenance_internal.run as r on r.job_id = j.job_id and r.backend_pid = l.pid
      and r.status = 'running' and r.cron_run_id is null
    where l.locktype = 'advisory' and l.objsubid = 2 and l.granted
      and l.classid = maintenance_internal.lock_class()::oid
      and l.database = (select d.oid from pg_database as d where d.datname = current_database())
    union all
    -- A statement with a receipt; the process is still the one that began then.
    select j, a.pid, r.started_at, r.run_id, true
    from maintenance_internal.run as r
    join maintenance_internal.job as j on j.job_id = r.job_id
    join pg_stat_activity as a on a.pid = r.backend_pid and a.state = 'active'
      and a.backend_start < r.started_at + interval '1 minute'
      and (a.application_name = 'pg_cron' or a.backend_type like 'pg_cron%')
    where r.status = 'running' and r.cron_run_id is not null
    union all
    -- One that was fired just now, or while pg_cron keeps no history.
    select j, a.pid, null, null, false
    from maintenance_internal.job as j
    join pg_stat_activity as a on a.datname = current_database() and a.state = 'active'
      and (a.query = j.statement
        or octet_length(a.query) > 1000 and starts_with(j.statement, a.query)) -- as it is shown
      and (a.application_name = 'pg_cron' or a.backend_type like 'pg_cron%')
    where j.kind = 'statement' and not maintenance_internal.is_own(j.statement)
      and not exists (
        select from maintenance_internal.run as r
        where r.backend_pid = a.pid and r.status = 'running' and r.cron_run_id is not null)
  loop
    v_reason := 'timeout';
    v_ends_at := v_work.started_at + maintenance_internal.time_out_of(v_work.job);
    if v_is_stopped or v_work.started_at <= v_stopped_at then
      v_reason := 'emergency_stop';
      v_ends_at := v_stopped_at;
    end if;
    v_reason := case when v_ends_at <= v_now then v_reason end;
    continue when v_reason is null or v_work.pid = any (pg_backend_pid() || v_sent);
    begin
      if v_ends_at + interval '5 minutes' <= v_now then
        v_work.is_mute := pg_terminate_backend(v_work.pid, 2000);
      else
        perform pg_cancel_backend(v_work.pid);
      end if;
      v_sent := v_sent || v_work.pid;
    exception when insufficient_privilege then
      continue; -- it ends between two batches
    end;
    -- A run says itself why it was cancelled; a statement cannot, nor who has lost his session.
    update maintenance_internal.run as r
    set stop_reason = v_reason, sqlstate = '57014',
      error = maintenance_internal.stop_text(v_reason, v_work.job)
    where r.run_id = v_work.run_id and v_work.is_mute;
  end loop;
  return cardinality(v_sent);
end
$$;
