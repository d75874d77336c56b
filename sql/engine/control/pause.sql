-- Stops all jobs and the questions to models, and lets them go on. What an operator has switched
-- off in pg_cron or disabled is not touched by it: jobs are fired as before, and leave skipped
-- receipts. A statement, which pg_cron runs itself, is put there as a call that does the same.

create function maintenance_internal.set_paused(
  p_paused boolean,
  p_reason text,
  p_stop boolean)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  -- It stands in advice that is pasted.
  v_reason constant text := left(btrim(
    regexp_replace(regexp_replace(p_reason, '[^[:alnum:]_.,:@/-]+', ' ', 'g'), '--+', '-', 'g')),
    200);
  v_now constant timestamptz := maintenance_internal.moment();
  v_was_paused constant boolean := maintenance_internal.is_paused();
  v_signalled bigint := 0;
  v_running bigint;
  v_context text;
begin
  if p_paused and coalesce(v_reason, '') = '' then
    raise exception 'a reason is needed'
      using errcode = 'PM002', hint = 'The status shows it to whoever wonders why nothing runs.';
  end if;
  if not p_paused and not v_was_paused then
    return jsonb_build_object('success', true, 'signalled', 0, 'message', 'Nothing was paused.');
  end if;
  -- What somebody else holds is not waited for: an emergency stop takes hold when this commits.
  perform set_config('lock_timeout', '200ms', true);
  if not v_was_paused then
    begin
      perform maintenance_internal.find_missed(true); -- what was owed before waits, and is not lost
    exception when others then
      get stacked diagnostics v_context = pg_exception_context;
      raise warning 'slots that were missed before may be lost: %',
        maintenance_internal.error_text(sqlstate, sqlerrm, v_context);
    end;
  end if;

  perform set_config('lock_timeout', '2s', true);
  begin
    for v_try in 1 .. 2 loop
      update maintenance_internal.control as c
      set paused_at = case when p_paused then coalesce(c.paused_at, v_now) end,
        paused_by = case when p_paused
          then regexp_replace(session_user, '[^[:alnum:]_.@-]+', ' ', 'g') end,
        paused_for = case when p_paused then v_reason end,
        stopped_at = case when p_stop then v_now else c.stopped_at end,
        -- What was due meanwhile is owed to nobody.
        promised_at = case when p_paused then c.promised_at else maintenance_internal.clock() end;
      exit when found;
      perform maintenance_internal.put_control();
    end loop;
  exception when lock_not_available then
    raise exception 'somebody else pauses or resumes, in a transaction that is still open'
      using errcode = '55P03', hint = 'Who: select l.pid, a.usename, a.state, a.query from '
        'pg_locks as l join pg_stat_activity as a on a.pid = l.pid where l.relation = '
        '''maintenance_internal.control''::regclass;';
  end;
  perform set_config('lock_timeout', '200ms', true);
  if not p_paused then
    -- Who has waited does so from now on.
    update maintenance_internal.run as r
    set due_at = greatest(r.due_at, v_now)
    where r.run_id = any (array(
      select w.run_id from maintenance_internal.run as w
      where w.status = 'waiting' for no key update skip locked));
  end if;
  if p_stop then
    begin
      -- So that a statement that was only just fired has a receipt, too.
      perform from maintenance_internal.turn as t where t.name = 'statements' for update;
      perform maintenance_internal.record_statements('0');
    exception when others then -- what it could not note is cancelled all the same
      get stacked diagnostics v_context = pg_exception_context;
      raise warning 'a statement that is cancelled may be told as failed: %',
        maintenance_internal.error_text(sqlstate, sqlerrm, v_context);
    end;
    v_signalled := maintenance_internal.signal_runs();
  end if;
  perform maintenance_internal.repair_commands();
  if p_paused <> v_was_paused
    and (maintenance_internal.cron_state()).gap ~ '^(pg_cron (lives|is not)|the schema)' then
    perform maintenance_internal.repair_command(j) -- where pg_cron is elsewhere, says what to do
    from maintenance_internal.job as j
    where j.kind = 'statement' and j.enabled and j.schedule is not null
      and not maintenance_internal.is_own(j.statement);
  end if;
  select greatest(count(*), v_signalled) into v_running from maintenance_internal.run as r
  where r.status = 'running'
    and (r.cron_run_id is not null
      or maintenance_internal.is_alive(r.job_id, r.backend_pid, r.touched_at));
  return jsonb_build_object('success', true, 'signalled', v_signalled, 'message', case
    when not p_paused then 'Jobs start again, and models are asked again.'
    when v_running = 0 then 'Nothing starts any more, and nothing was running.'
    when p_stop then format('Nothing starts any more. %s %s going on: %s cancelled, and what could '
      'not be ends after its batch.', v_running,
      case when v_running = 1 then 'run was' else 'runs were' end, v_signalled)
    else format('Nothing starts any more. %s to its end; to end that, too: select '
      'maintenance.emergency_stop(''...'');',
      case when v_running = 1 then '1 run goes' else format('%s runs go', v_running) end)
  end);
end
$$;

create function maintenance.pause(reason text)
returns jsonb
language sql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
return maintenance_internal.set_paused(true, pause.reason, false);

comment on function maintenance.pause(text) is
  'Has no job start and no task be handed out until resume; what runs goes on to its end. What '
  'pg_cron fires meanwhile leaves skipped receipts, and is not made up for (S1-10, S2-33). reason: '
  'shown by the status. Returns {success, message, signalled}. Errors: PM002 no reason.';

create function maintenance.emergency_stop(reason text)
returns jsonb
language sql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
return maintenance_internal.set_paused(true, emergency_stop.reason, true);

comment on function maintenance.emergency_stop(text) is
  'The same as pause, and ends what runs: what pg_cron has fired is cancelled at once, a run in a '
  'session of somebody else ends after its batch, and answers of models are refused (PM026), which '
  'the worker keeps until resume (S2-34). Returns {success, message, signalled}, the runs '
  'cancelled. Errors: PM002 no reason.';

create function maintenance.resume()
returns jsonb
language sql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
return maintenance_internal.set_paused(false, null, false);

comment on function maintenance.resume() is
  'Ends a pause or an emergency stop: jobs start at their next slot, what waited before goes on to '
  'wait, and what was disabled stays so. Returns {success, message, signalled}.';
