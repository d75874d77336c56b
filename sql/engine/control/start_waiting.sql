-- Begins one of the runs that wait: the first that is due, may start, and that nobody else is at;
-- and closes on its way those that have waited for too long. Null where there is none.

create function maintenance_internal.start_waiting(p_due_at timestamptz)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_now constant timestamptz := maintenance_internal.moment();
  v_run maintenance_internal.run;
  v_run_id bigint;
  v_state text;
  v_message text;
  v_context text;
begin
  -- In a restored database the tick comes first, which gives up what waited elsewhere.
  if maintenance_internal.is_paused() or exists (
    select from maintenance_internal.turn as t
    where t.name = 'missed' and t.noted_in <> (maintenance_internal.cron_state()).home)
  then
    return null;
  end if;
  for v_run in
    select r.*
    from maintenance_internal.run as r
    left join maintenance_internal.job as j on j.job_id = r.job_id
    where r.status = 'waiting' and (r.due_at <= least(p_due_at, v_now) or j.enabled is not true
      -- The window may have been changed meanwhile.
      or r.stop_reason = 'window')
    order by array_position(array['critical', 'high', 'medium', 'low'], j.priority), r.due_at,
      r.run_id
    for no key update of r skip locked
  loop
    begin
      v_run_id := maintenance_internal.try_waiting(v_run, v_now);
      if v_run_id is not null then
        return v_run_id;
      end if;
    exception when others then -- it keeps no other
      get stacked diagnostics v_state = returned_sqlstate, v_message = message_text,
        v_context = pg_exception_context;
      perform maintenance_internal.give_up(v_run.job_id, 'error',
        maintenance_internal.error_text(v_state, v_message, v_context), v_state);
    end;
  end loop;
  return null;
end
$$;

-- Begins a run that waits, where it may; or keeps on its receipt what it still waits for.
create function maintenance_internal.try_waiting(
  p_run maintenance_internal.run,
  p_now timestamptz)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_job maintenance_internal.job;
  v_for text[];
  v_until timestamptz;
begin
  select * into v_job from maintenance_internal.job as j where j.job_id = p_run.job_id;
  if not found or not v_job.enabled then
    perform maintenance_internal.give_up(p_run.job_id,
      case when v_job.job_id is null then 'dropped' else 'disabled' end);
    return null;
  elsif not maintenance_internal.in_window(v_job, p_now) then
    update maintenance_internal.run as r
    set due_at = maintenance_internal.window_opens(v_job, p_now), stop_reason = 'window'
    where r.run_id = p_run.run_id and (r.due_at, r.stop_reason)
      is distinct from (maintenance_internal.window_opens(v_job, p_now), 'window');
    return null;
  end if;
  v_for := maintenance_internal.waits_for(v_job, coalesce(p_run.slot, p_run.due_at));
  v_until := maintenance_internal.waits_until(v_job, p_run.slot, p_run.due_at);
  if p_now > v_until then
    perform maintenance_internal.give_up(v_job.job_id,
      case when v_for is null then 'too_late' else 'dependency' end,
      format(case when v_for is null then 'nobody could start it until %s'
        else 'it waited until %s for %s' end, to_char(v_until, 'YYYY-MM-DD HH24:MI'),
        maintenance_internal.waits_text(v_for)));
    return null;
  elsif (p_run.details -> 'waitsFor') is distinct from to_jsonb(v_for) then
    update maintenance_internal.run as r
    set details = r.details - 'waitsFor'
      || jsonb_strip_nulls(jsonb_build_object('waitsFor', v_for))
    where r.run_id = p_run.run_id;
  end if;
  if v_for is null and maintenance_internal.start_bar(v_job) is null then
    return maintenance_internal.begin_run(v_job, p_run, true);
  end if;
  return null;
end
$$;
