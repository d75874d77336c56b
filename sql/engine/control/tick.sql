-- What has to be looked at every minute, in milliseconds: each step in a transaction of its own,
-- so that one that fails, or waits for a lock, keeps no other from its work. It commits, so it
-- can have neither a set clause nor security definer: every name is qualified.

create procedure maintenance.tick()
language plpgsql
as $$
declare
  v_began timestamptz;
  v_faults jsonb := '[]';
begin
  call maintenance_internal.check_outside('maintenance.tick');
  v_began := maintenance_internal.moment();
  v_faults := maintenance_internal.tick_step('record_statements', v_faults);
  commit;
  v_faults := maintenance_internal.tick_step('signal_runs', v_faults);
  commit;
  v_faults := maintenance_internal.tick_step('close_dead_runs', v_faults);
  commit;
  v_faults := maintenance_internal.tick_step('record_schedule_edits', v_faults);
  commit;
  v_faults := maintenance_internal.tick_step('repair_commands', v_faults);
  commit;
  v_faults := maintenance_internal.tick_step('find_missed', v_faults);
  commit;
  v_faults := maintenance_internal.tick_step('erase_subjects', v_faults);
  commit;
  v_faults := maintenance_internal.tick_step('continue_upkeep', v_faults);
  commit;
  perform maintenance_internal.note_visit(
    maintenance_internal.tick_statement(), v_began, v_faults);
end
$$;

comment on procedure maintenance.tick() is
  'What has to be looked at every minute: writes the receipts of the statements that pg_cron '
  'ran, ends runs that are over their time-out, closes the receipts of dead ones, keeps what '
  'somebody has edited in pg_cron, puts statements back after a pause, notes which slots were '
  'missed, forgets subjects that were deleted, and gives the next statement of upkeep. A step that '
  'fails is told on its own receipt, the one of the job tick, which calls it. Errors: 2D000 called '
  'inside a transaction.';

-- One step of the tick; what it fails with is added to the faults.
create function maintenance_internal.tick_step(p_step text, p_faults jsonb)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_state text;
  v_message text;
  v_context text;
begin
  -- Nothing waits for the disk: what is lost in a crash is found again.
  perform set_config('synchronous_commit', 'off', true);
  execute format('select maintenance_internal.%I()', p_step);
  return p_faults;
exception when others or assert_failure then
  get stacked diagnostics v_state = returned_sqlstate, v_message = message_text,
    v_context = pg_exception_context;
  return p_faults || jsonb_build_object('sqlstate', v_state, 'message', v_message,
    'context', v_context, 'error',
    format('%s: %s', p_step, maintenance_internal.error_text(v_state, v_message, v_context)));
end
$$;

-- The kit's own jobs leave one receipt each, which is written anew: it is the sign that
-- pg_cron is at work. run_late writes it when a pass begins, and when it is over; where the one
-- before has not come to its end, and is at no run, that is a fault.
create function maintenance_internal.note_visit(
  p_statement text,
  p_began timestamptz default null,
  p_faults jsonb default '[]',
  p_is_over boolean default true)
returns timestamptz
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_now constant timestamptz := maintenance_internal.moment();
  v_run maintenance_internal.run;
begin
  perform set_config('synchronous_commit', 'off', true);
  select l.* into v_run from maintenance_internal.run as l
  join maintenance_internal.job as j on j.job_id = l.job_id
  where j.statement = p_statement and l.status not in ('waiting', 'skipped')
  order by coalesce(l.started_at, l.finished_at) desc
  limit 1;
  if not p_is_over and v_run.details ? 'open' and not maintenance_internal.is_late_at_work() then
    p_faults := p_faults || jsonb_build_object('sqlstate', 'PM008', 'error',
      'the pass before did not come to its end: pg_cron''s history may say why');
  end if;
  v_run.details := case when p_is_over then '{}' else '{"open": true}' end;
  v_run.started_at := coalesce(p_began, v_now);
  v_run.trigger := case when maintenance_internal.fired_by_cron() then 'schedule' else 'manual' end;
  v_run.status := case when p_faults = '[]' then 'succeeded' else 'failed' end;
  v_run.stop_reason := case when p_faults = '[]' then 'done' else 'error' end;
  v_run.sqlstate := p_faults #>> '{0,sqlstate}';
  v_run.error := (
    select string_agg(f.fault ->> 'error', '; ' order by f.n)
    from jsonb_array_elements(p_faults) with ordinality as f (fault, n));
  v_run.error_detail := (p_faults -> 0) - '{sqlstate,error}'::text[];
  update maintenance_internal.run as r
  -- That pg_cron has fired it once is kept, whoever calls it meanwhile.
  set trigger = case when r.trigger = 'schedule' then r.trigger else v_run.trigger end,
    slot = date_trunc('minute', v_run.started_at), status = v_run.status,
    started_at = v_run.started_at, touched_at = clock_timestamp(), finished_at = v_now,
    backend_pid = pg_backend_pid(), stop_reason = v_run.stop_reason, error = v_run.error,
    sqlstate = v_run.sqlstate, error_detail = v_run.error_detail, details = v_run.details
  where r.run_id = v_run.run_id;
  if not found then
    insert into maintenance_internal.run
      (job_id, job_name, trigger, slot, status, started_at, finished_at, stop_reason, error,
        sqlstate, error_detail, details)
    select j.job_id, j.job_name, v_run.trigger, date_trunc('minute', v_run.started_at),
      v_run.status, v_run.started_at, v_now, v_run.stop_reason, v_run.error, v_run.sqlstate,
      v_run.error_detail, v_run.details
    from maintenance_internal.job as j
    where j.statement = p_statement;
  end if;
  return v_now;
end
$$;
