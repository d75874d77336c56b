-- Writes the receipts of statement jobs, from what pg_cron says of them: pg_cron runs them as they
-- stand, so nothing of ours is there when they begin or end. What pg_cron calls succeeded is failed
-- here where a table was left out because its owner is somebody else, or where none was reached.

create function maintenance_internal.record_statements()
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_firing record;
  v_job maintenance_internal.job;
  v_run maintenance_internal.run;
  v_left_out jsonb;
  v_noted bigint := 0;
begin
  if not maintenance_internal.take_turn('statements') then
    return 0; -- somebody else is at it
  end if;

  for v_firing in select * from maintenance_internal.cron_runs() order by cron_run_id loop
    select * into v_job from maintenance_internal.job as j where j.job_name = v_firing.job_name;
    select * into v_run from maintenance_internal.run as r
    where r.job_id = v_job.job_id and r.cron_run_id = v_firing.cron_run_id
      and (v_firing.started_at is null or r.started_at = v_firing.started_at);
    continue when v_job.job_id is null or v_run.status <> 'running';

    v_run.status := v_firing.status;
    v_run.error := null;
    v_run.error_detail := null;
    v_run.details := '{}';
    if v_firing.status = 'failed' then
      v_run.error := 'pg_cron reports a failure';
      v_run.error_detail := jsonb_build_object('message', v_firing.message);
    elsif v_firing.status = 'succeeded' then
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
    end if;

    if v_run.run_id is null then
      insert into maintenance_internal.run as r
        (job_id, job_name, trigger, slot, status, started_at, backend_pid, cron_run_id)
      values (v_job.job_id, v_job.job_name, 'schedule',
        maintenance_internal.slot_of(v_job, v_firing.started_at), 'running',
        coalesce(v_firing.started_at, clock_timestamp()), coalesce(v_firing.pid, 0),
        v_firing.cron_run_id)
      returning r.run_id into v_run.run_id;
    end if;
    if v_run.status <> 'running' then
      update maintenance_internal.run as r
      set status = v_run.status,
        finished_at = coalesce(v_firing.finished_at, clock_timestamp()),
        stop_reason = case v_run.status when 'succeeded' then 'done' else 'error' end,
        error = v_run.error,
        sqlstate = case when v_run.error is not null then 'PM019' end,
        error_detail = v_run.error_detail,
        details = v_run.details
      where r.run_id = v_run.run_id;
    end if;
    v_noted := v_noted + 1;
  end loop;
  return v_noted;
end
$$;
