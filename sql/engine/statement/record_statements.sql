-- Writes the receipts of statement jobs, from what pg_cron says of them: pg_cron runs them as they
-- stand, so nothing of ours is there when they begin or end. Each firing is noted once, by the
-- number that it has in pg_cron's history; a receipt that is still open is looked at again.
-- What pg_cron calls succeeded is failed here where a table was left out because its owner is
-- somebody else, or where none was reached.

-- p_settled: what began only that long ago may be over before anybody looks, and is left to the
-- next look.
create function maintenance_internal.record_statements(p_settled interval default '10 seconds')
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_state record := maintenance_internal.cron_state();
  v_looked_at timestamptz;
  v_noted bigint;
  v_open bigint[];
  v_last bigint;
  v_firing record;
  v_run maintenance_internal.run;
  v_said maintenance_internal.run;
  v_left_out jsonb;
  v_message text;
  v_context text;
  v_written bigint := 0;
begin
  select t.taken_at, case when t.noted_in = v_state.home then t.noted end into v_looked_at, v_noted
  from maintenance_internal.turn as t where t.name = 'statements';
  if not v_state.readable or not maintenance_internal.take_turn('statements') then
    return 0; -- somebody else is at it
  end if;
  -- Another history counts anew: of it counts what is younger than the last look at the one before,
  -- and nobody will tell how what is open in that one ends.
  if v_noted is null then
    update maintenance_internal.run as r
    set status = 'interrupted', finished_at = clock_timestamp(), stop_reason = 'history_gone'
    where r.status = 'running' and r.cron_run_id is not null;
  end if;
  v_open := array(
    select r.cron_run_id from maintenance_internal.run as r
    where r.status = 'running' and r.cron_run_id is not null);

  for v_firing in
    select f.*, j.job_id, r.run_id
    from maintenance_internal.cron_runs(v_noted, v_open) as f
    -- A disabled job's is another command, which leaves a receipt itself, as do the kit's own two.
    left join maintenance_internal.job as j on j.job_name = f.job_name and j.statement = f.command
      and not maintenance_internal.is_own(j.statement)
    left join maintenance_internal.run as r
      on r.cron_run_id = any (v_open) and r.cron_run_id = f.cron_run_id and r.status = 'running'
    order by f.cron_run_id
  loop
    v_run := null;
    v_said := null;
    v_run.run_id := v_firing.run_id;
    v_run.status := case when v_firing.status in ('succeeded', 'failed') then v_firing.status
      else 'running' end;
    exit when v_run.run_id is null and v_run.status = 'running'
      and v_firing.started_at > clock_timestamp() - p_settled;
    v_last := greatest(v_last, v_firing.cron_run_id);
    continue when v_run.run_id is null and (v_firing.job_id is null
      or v_noted is null and (v_firing.started_at > v_looked_at) is not true);

    v_run.details := '{}';
    if v_firing.status = 'failed' then
      v_run.error := 'pg_cron reports a failure';
      v_run.error_detail := jsonb_build_object('message', v_firing.message);
    elsif v_firing.status = 'succeeded' then
      begin
        select jsonb_object_agg(l.relid::text, l.reason),
          case when count(*) = max(l.tables) or bool_or(not l.may) then string_agg(
            format('%s was left out: %s', l.relid, l.reason), '; ' order by l.relid::text) end
        into v_left_out, v_run.error
        from maintenance_internal.skipped_tables(
          v_firing.command, v_firing.username, v_firing.started_at) as l;
        if v_run.error is not null then
          v_run.status := 'failed';
        elsif v_left_out is not null then
          v_run.details := jsonb_build_object('left_out', v_left_out);
        end if;
      exception when others then -- then pg_cron is believed, and the receipt says so
        get stacked diagnostics v_message = message_text, v_context = pg_exception_context;
        v_run.details := jsonb_build_object('unproven',
          maintenance_internal.error_text(sqlstate, v_message, v_context));
      end;
    end if;

    if v_run.run_id is null then
      insert into maintenance_internal.run as r
        (job_id, job_name, trigger, slot, status, started_at, backend_pid, cron_run_id)
      values (v_firing.job_id, v_firing.job_name, 'schedule',
        maintenance_internal.nearest_slot(
          v_firing.schedule, coalesce(v_firing.started_at, clock_timestamp()), false, v_state.zone),
        'running', coalesce(v_firing.started_at, clock_timestamp()), coalesce(v_firing.pid, 0),
        v_firing.cron_run_id)
      returning r.run_id into v_run.run_id;
      v_written := v_written + 1;
    end if;
    -- What signal_runs has said of one that it cancelled is truer than pg_cron's word.
    select r.stop_reason, r.error, r.sqlstate into v_run.stop_reason, v_said.error, v_said.sqlstate
    from maintenance_internal.run as r
    where r.run_id = v_run.run_id and v_run.status in ('running', 'failed');
    update maintenance_internal.run as r
    set status = case when v_run.status <> 'failed' then v_run.status
        when v_run.stop_reason = 'timeout' then 'timeout'
        when v_run.stop_reason = 'emergency_stop' then 'cancelled'
        else 'failed' end,
      started_at = coalesce(v_firing.started_at, r.started_at),
      backend_pid = coalesce(v_firing.pid, r.backend_pid),
      finished_at = case when v_run.status <> 'running'
        then coalesce(v_firing.finished_at, clock_timestamp()) end,
      stop_reason = coalesce(v_run.stop_reason,
        case v_run.status when 'succeeded' then 'done' when 'failed' then 'error' end),
      error = coalesce(v_said.error, v_run.error),
      sqlstate = coalesce(v_said.sqlstate, case when v_run.error is not null then 'PM019' end),
      error_detail = v_run.error_detail,
      details = v_run.details
    where r.run_id = v_run.run_id
      and (v_run.status, coalesce(v_firing.started_at, r.started_at)) <> (r.status, r.started_at);
  end loop;

  update maintenance_internal.turn as t
  set noted = greatest(v_noted, v_last, 0), noted_in = v_state.home
  where t.name = 'statements';
  perform maintenance_internal.close_lost_statements();
  return v_written;
end
$$;

-- Closes the receipts of statements whose process is gone, for more than a minute and a half, while
-- pg_cron's history does not say how they ended; nor ever will, where the row is gone.
create function maintenance_internal.close_lost_statements()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_found bigint[];
begin
  update maintenance_internal.run as r
  set touched_at = clock_timestamp()
  where r.status = 'running' and r.cron_run_id is not null and exists (
    select from pg_stat_activity as a
    where a.pid = r.backend_pid and a.backend_start < r.started_at + interval '1 minute');
  if not exists (
    select from maintenance_internal.run as r
    where r.status = 'running' and r.cron_run_id is not null
      and r.touched_at < clock_timestamp() - interval '90 seconds')
  then
    return;
  end if;
  v_found := array(
    select f.cron_run_id from maintenance_internal.cron_runs(9223372036854775807, array(
      select r.cron_run_id from maintenance_internal.run as r
      where r.status = 'running' and r.cron_run_id is not null)) as f);
  update maintenance_internal.run as r
  set status = case r.stop_reason when 'timeout' then 'timeout'
      when 'emergency_stop' then 'cancelled' else 'interrupted' end,
    finished_at = clock_timestamp(),
    stop_reason = case
      when r.stop_reason is not null then r.stop_reason
      when not exists (select from maintenance_internal.job as j where j.job_id = r.job_id)
        then 'job_dropped'
      when r.cron_run_id = any (v_found) then 'backend_gone'
      else 'history_gone' end
  where r.status = 'running' and r.cron_run_id is not null
    and r.touched_at < clock_timestamp() - interval '90 seconds';
end
$$;
