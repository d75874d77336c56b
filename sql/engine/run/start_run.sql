-- Opens a run: takes the job's lock, closes the receipts of the dead, writes a receipt.
-- Where the lock is held, or the job is disabled, the receipt says skipped and nothing starts.

create function maintenance_internal.start_run(p_job_name text, p_one_transaction boolean)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
set timezone = 'UTC'
set lock_timeout = '5s'
as $$
declare
  v_class constant integer := maintenance_internal.lock_class();
  v_job maintenance_internal.job := maintenance_internal.find_job(p_job_name);
  v_run maintenance_internal.run;
  v_keep interval;
begin
  if v_job.kind = 'statement' and v_job.enabled then
    raise exception 'the job "%" is one statement that cannot run inside a transaction', p_job_name
      using errcode = 'PM011',
        hint = format('pg_cron runs it as it stands; so can psql: %s', v_job.statement);
  end if;

  v_run.trigger := case when maintenance_internal.fired_by_cron() then 'schedule' else 'manual' end;
  v_run.status := 'running';

  if p_one_transaction then
    if not pg_try_advisory_xact_lock(v_class, v_job.job_id) then
      v_run.stop_reason := 'already_running';
    end if;
  else
    -- A cancelled CALL can leave the lock with its session: what this session still holds is dead.
    while exists (
      select from pg_locks as l
      where l.locktype = 'advisory' and l.pid = pg_backend_pid() and l.objsubid = 2
        and l.classid = v_class::oid and l.objid = v_job.job_id::oid
    ) loop
      perform pg_advisory_unlock(v_class, v_job.job_id);
    end loop;
    if not pg_try_advisory_lock(v_class, v_job.job_id) then
      v_run.stop_reason := 'already_running';
    end if;
  end if;

  if v_run.stop_reason is null then
    -- We hold the lock, so the sessions that wrote these receipts no longer do.
    update maintenance_internal.run as r
    set status = 'interrupted',
      finished_at = clock_timestamp(),
      stop_reason = 'backend_gone'
    where r.job_id = v_job.job_id and r.status = 'running';

    if not v_job.enabled then
      v_run.stop_reason := 'disabled';
      if not p_one_transaction then
        perform pg_advisory_unlock(v_class, v_job.job_id);
      end if;
    end if;
  end if;
  if v_run.stop_reason is not null then
    v_run.status := 'skipped';
  end if;

  select p.keep into v_keep from maintenance_internal.policy as p where p.job_id = v_job.job_id;
  insert into maintenance_internal.run as r
    (job_id, job_name, trigger, slot, status, finished_at, cutoff, stop_reason)
  values
    (v_job.job_id, v_job.job_name, v_run.trigger,
      case when v_run.trigger = 'schedule'
        then maintenance_internal.slot_of(v_job, clock_timestamp()) end,
      v_run.status, case when v_run.status = 'skipped' then clock_timestamp() end,
      maintenance_internal.clock() - v_keep, v_run.stop_reason)
  returning r.run_id into v_run.run_id;
  return v_run.run_id;
end
$$;
