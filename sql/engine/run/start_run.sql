-- Opens a run: closes the receipts of the dead, and writes one. What is in the way now and not
-- for ever has pg_cron's run wait; else the receipt says skipped. Where the run cannot begin, it
-- says why.

create function maintenance_internal.start_run(p_job_name text, p_commits boolean)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
declare
  v_job maintenance_internal.job := maintenance_internal.find_job(p_job_name);
  v_run maintenance_internal.run;
  v_now timestamptz := maintenance_internal.moment();
begin
  if v_job.kind = 'statement' and v_job.enabled and not maintenance_internal.is_paused() then
    raise exception 'the job "%" is one statement that cannot run inside a transaction', p_job_name
      using errcode = 'PM011',
        hint = format('pg_cron runs it as it stands; so can psql: %s', v_job.statement);
  end if;
  perform maintenance_internal.close_dead_runs(v_job.job_id);

  v_run.trigger := 'manual';
  v_run.attempt := 1;
  if maintenance_internal.fired_by_cron() then
    v_run.trigger := 'schedule';
    v_run.slot := maintenance_internal.slot_near(v_job, v_now, false);
  end if;
  v_run.stop_reason := maintenance_internal.start_bar(v_job, v_run.slot);
  if v_run.stop_reason is null and v_run.trigger = 'schedule' then
    if not maintenance_internal.in_window(v_job, v_now) then
      return maintenance_internal.put_off(v_job, 'schedule', 1, v_run.slot,
        maintenance_internal.window_opens(v_job, v_now), 'window');
    elsif maintenance_internal.waits_for(v_job, coalesce(v_run.slot, v_now)) is not null then
      return maintenance_internal.put_off(v_job, 'schedule', 1, v_run.slot,
        coalesce(v_run.slot, v_now), 'dependency');
    end if;
    perform maintenance_internal.supersede(v_job);
  end if;
  if v_run.stop_reason is null then
    v_run.run_id := maintenance_internal.begin_run(v_job, v_run, p_commits);
    if v_run.run_id is not null then
      return v_run.run_id;
    end if;
    v_run.stop_reason := 'already_running'; -- somebody was faster
  end if;
  insert into maintenance_internal.run as r
    (job_id, job_name, trigger, slot, status, started_at, finished_at, stop_reason)
  values (v_job.job_id, v_job.job_name, v_run.trigger, v_run.slot, 'skipped', v_now, v_now,
    v_run.stop_reason)
  returning r.run_id into v_run.run_id;
  return v_run.run_id;
end
$$;

-- What keeps a job from starting at all just now; null where nothing does.
create function maintenance_internal.start_bar(
  p_job maintenance_internal.job,
  p_slot timestamptz default null)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return case
  when not (p_job).enabled then 'disabled'
  when maintenance_internal.is_paused() then 'paused'
  when exists (
      select from maintenance_internal.run as r
      where r.job_id = (p_job).job_id and r.status = 'running' and r.cron_run_id is null)
    or exists (
      -- At work in a transaction that nobody else can see into: run_now in somebody's own.
      select from pg_locks as l
      join pg_stat_activity as a on a.pid = l.pid
      where l.locktype = 'advisory' and l.pid <> pg_backend_pid() and l.objsubid = 2
        -- Of somebody who may run jobs: anybody can take an advisory lock.
        and (pg_has_role(a.usesysid, maintenance_internal.owner(), 'member')
          or pg_has_role(a.usesysid, to_regrole('maintenance_operator'), 'member'))
        and l.classid = maintenance_internal.lock_class()::oid and l.objid = (p_job).job_id::oid
        and l.database = (
          select d.oid from pg_database as d where d.datname = current_database()))
    then 'already_running'
  -- One slot, one run: pg_cron fires it after the catch-up, or from its queue.
  when exists (
      select from maintenance_internal.run as r
      where r.job_id = (p_job).job_id and r.slot = p_slot and r.traced_at >= p_slot
        and r.status not in ('waiting', 'skipped'))
    then 'slot_done'
end;

-- Writes the receipt of a run that begins, a new one or the one that waited. The unique index on
-- running receipts is the lock: of two who begin one does, and null tells the other.
create function maintenance_internal.begin_run(
  p_job maintenance_internal.job,
  p_run maintenance_internal.run,
  p_commits boolean)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_policy maintenance_internal.policy;
  v_leaves oid[];
  v_at maintenance_internal.progress;
  v_message text;
  v_context text;
begin
  p_run.details := coalesce(p_run.details, '{}') - 'waitsFor'
    || case when p_run.run_id is null then '{}'
      else jsonb_build_object('waited', p_run.stop_reason) end;
  p_run.status := 'running';
  p_run.stop_reason := null;
  p_run.started_at := maintenance_internal.moment();
  v_at.commits := p_commits;
  v_at.path := maintenance_internal.owner_path();
  v_at.check_deferred := maintenance_internal.check_deferred_statement();
  v_at.size := least(50, p_job.batch_size);
  v_at.at := 0;
  v_at.pieces := 0;
  v_at.expected := 0;
  v_at.round_from := 0;
  v_at.timeouts := 0;
  v_at.conflicts := 0;
  v_at.said_at := clock_timestamp();
  if p_job.kind = 'policy' then
    begin
      select * into v_policy from maintenance_internal.policy as p where p.job_id = p_job.job_id;
      v_at.rule := hashtextextended(v_policy::text, 0);
      v_at.target := maintenance_internal.find_target(v_policy.target, v_policy.trusted_owner);
      p_run.cutoff := maintenance_internal.clock() - v_policy.keep;
      v_leaves := maintenance_internal.leaf_tables(v_at.target);
      p_run.details := p_run.details || maintenance_internal.size_of(v_leaves, 'bytes_before');
      perform maintenance_internal.check_keys(v_leaves);
      select r.cut_leaf, r.cut into v_at.behind_leaf, v_at.behind
      from maintenance_internal.run as r
      where r.job_id = p_job.job_id and r.status not in ('waiting', 'skipped')
      order by coalesce(r.started_at, r.finished_at) desc
      limit 1;
    exception when others then
      get stacked diagnostics p_run.sqlstate = returned_sqlstate, v_message = message_text,
        v_context = pg_exception_context;
      p_run.status := 'failed';
      p_run.stop_reason := case p_run.sqlstate when '55P03' then 'lock_timeout' else 'error' end;
      p_run.error := maintenance_internal.error_text(p_run.sqlstate, v_message, v_context);
      p_run.error_detail := jsonb_build_object('message', v_message, 'context', v_context);
      p_run.finished_at := maintenance_internal.moment();
      v_at := null;
    end;
  end if;

  begin
    if p_run.run_id is null then
      insert into maintenance_internal.run as r
        (job_id, job_name, trigger, slot, status, started_at, finished_at, cutoff, stop_reason,
          error, sqlstate, error_detail, details, progress)
      values
        (p_job.job_id, p_job.job_name, p_run.trigger, p_run.slot, p_run.status, p_run.started_at,
          p_run.finished_at, p_run.cutoff, p_run.stop_reason, p_run.error, p_run.sqlstate,
          p_run.error_detail, p_run.details, v_at)
      returning r.run_id into p_run.run_id;
    else
      update maintenance_internal.run as r
      set status = p_run.status, started_at = p_run.started_at, finished_at = p_run.finished_at,
        touched_at = clock_timestamp(), backend_pid = pg_backend_pid(), cutoff = p_run.cutoff,
        stop_reason = p_run.stop_reason, error = p_run.error, sqlstate = p_run.sqlstate,
        error_detail = p_run.error_detail, details = p_run.details, progress = v_at
      where r.run_id = p_run.run_id and r.status = 'waiting';
    end if;
  exception when unique_violation or lock_not_available or serialization_failure then
    return null;
  end;
  if p_run.status = 'failed' then
    perform maintenance_internal.settle_run(p_run.run_id);
  end if;
  return p_run.run_id;
end
$$;
