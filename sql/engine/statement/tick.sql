-- What has to be looked at every minute, in milliseconds. A step that fails stops no other. Of the
-- tick one receipt is kept, and written anew each time: it is the sign that pg_cron is at work.

create function maintenance_internal.tick_statement()
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return 'call maintenance.tick()';

create procedure maintenance.tick()
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_step text;
  v_run maintenance_internal.run;
  v_state text;
  v_message text;
  v_context text;
begin
  foreach v_step in array
    array['close_dead_runs', 'record_statements', 'record_schedule_edits'] loop
    begin
      execute format('select maintenance_internal.%I()', v_step);
    exception when others or assert_failure then
      get stacked diagnostics v_state = returned_sqlstate, v_message = message_text,
        v_context = pg_exception_context;
      v_run.error := concat_ws('; ', v_run.error, format('%s: %s', v_step,
        maintenance_internal.error_text(v_state, v_message, v_context)));
      v_run.sqlstate := coalesce(v_run.sqlstate, v_state);
      v_run.error_detail := coalesce(v_run.error_detail,
        jsonb_build_object('message', v_message, 'context', v_context));
    end;
  end loop;

  v_run.trigger := case when maintenance_internal.fired_by_cron() then 'schedule' else 'manual' end;
  v_run.status := case when v_run.error is null then 'succeeded' else 'failed' end;
  v_run.stop_reason := case when v_run.error is null then 'done' else 'error' end;
  update maintenance_internal.run as r
  -- That pg_cron has fired it once is kept, whoever calls it meanwhile.
  set trigger = case when r.trigger = 'schedule' then r.trigger else v_run.trigger end,
    slot = date_trunc('minute', now()), status = v_run.status,
    started_at = now(), touched_at = clock_timestamp(), finished_at = clock_timestamp(),
    backend_pid = pg_backend_pid(), stop_reason = v_run.stop_reason, error = v_run.error,
    sqlstate = v_run.sqlstate, error_detail = v_run.error_detail
  where r.run_id = (
    select l.run_id from maintenance_internal.run as l
    join maintenance_internal.job as j on j.job_id = l.job_id
    where j.statement = maintenance_internal.tick_statement() and l.status <> 'skipped'
    order by l.started_at desc
    limit 1);
  if not found then
    insert into maintenance_internal.run
      (job_id, job_name, trigger, slot, status, started_at, finished_at, stop_reason, error,
        sqlstate, error_detail)
    select j.job_id, j.job_name, v_run.trigger, date_trunc('minute', now()), v_run.status, now(),
      clock_timestamp(), v_run.stop_reason, v_run.error, v_run.sqlstate, v_run.error_detail
    from maintenance_internal.job as j
    where j.statement = maintenance_internal.tick_statement();
  end if;
end
$$;

comment on procedure maintenance.tick() is
  'What has to be looked at every minute: closes the receipts of dead runs, writes those of the '
  'statements that pg_cron ran, and keeps what somebody has edited in pg_cron. A step that fails '
  'is told on its own receipt, the one of the job tick, which calls it.';
