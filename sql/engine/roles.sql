-- Who may call what. Last in the build, so that it sees everything.
--
--   maintenance_viewer    reads status and history
--   maintenance_operator  also runs, schedules, enables, disables and pauses jobs; asks for tasks,
--                         revives, decides and undoes them
--   maintenance_worker    carries tasks to the model and back, is told which blobs to delete, and
--                         nothing else
--
-- Roles belong to the whole server and are not in a dump: grant_roles can be called again at any
-- time, by the owner. Who may read no table can still read the views: they show no row's content.

create function maintenance.grant_roles()
returns table (role_name text, outcome text, fix text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  -- The functions of maintenance_internal below are what a view or a procedure, which cannot work
  -- as the owner, calls in its reader's name.
  v_viewer constant text[] := array[
    'table public.maintenance_status',
    'table maintenance.todo',
    'table maintenance.job_status',
    'table maintenance.run_history',
    'table maintenance.edit',
    'table maintenance.index_health',
    'table maintenance.table_bloat',
    'table maintenance.upkeep',
    'table maintenance.setting',
    'table maintenance.model_status',
    'table maintenance.active_failovers',
    'table maintenance.task_events',
    'table maintenance.alert',
    'table maintenance.worker',
    'table maintenance.vacuum_holders',
    'table maintenance.metrics',
    'table maintenance.weekly_report',
    'function maintenance.job_statistics(interval)',
    'function maintenance.system_health()',
    'function maintenance.doctor()',
    'function maintenance.effective_model(text)',
    'function maintenance_internal.model_status()',
    'function maintenance_internal.other_settings()',
    'function maintenance_internal.backlog()',
    'function maintenance_internal.task_backlog()',
    'function maintenance_internal.blob_backlog()',
    'function maintenance_internal.alert_backlog()',
    'function maintenance_internal.vacuum_holders()',
    'function maintenance_internal.metrics()',
    'function maintenance_internal.full_pages()',
    'function maintenance_internal.upkeep()',
    'function maintenance_internal.was_fired(integer)',
    'function maintenance_internal.unlike_shipped(text)',
    'function maintenance_internal.cron_state()',
    'function maintenance_internal.cron_jobs()',
    'function maintenance_internal.cron_fault(text)',
    'function maintenance_internal.is_alive(integer, integer, timestamptz)',
    'function maintenance_internal.nearest_slot(text, timestamptz, boolean, text)',
    'function maintenance_internal.clock()',
    'function maintenance_internal.tick_statement()',
    'function maintenance_internal.is_own(text)',
    'function maintenance_internal.alert_statement()',
    'function maintenance_internal.run_late_statement()',
    'function maintenance_internal.wrap_text(text, integer)',
    'function maintenance.version()',
    'function maintenance.report_html(integer)',
    'function maintenance.next_run_at(text, timestamptz)',
    'function maintenance.lint(text)',
    'function maintenance.preview(text)',
    'function maintenance.explain_policy(text)'];
  v_operator constant text[] := v_viewer || array[
    'procedure maintenance.run_job(text, jsonb)',
    'function maintenance.run_now(text)',
    'function maintenance_internal.run_or_raise(text)',
    'function maintenance_internal.start_run(text, boolean)',
    'function maintenance_internal.run_step(bigint)',
    'function maintenance_internal.end_run(bigint)',
    'function maintenance_internal.defer_again()',
    'function maintenance_internal.refuse_inside_transaction(text, text)',
    'procedure maintenance_internal.check_outside(text)',
    'procedure maintenance_internal.run_steps(bigint)',
    'function maintenance_internal.message_or_failure(jsonb)',
    'function maintenance.install_schedules()',
    'function maintenance.cron_statements()',
    'function maintenance.set_schedule(text, text)',
    'function maintenance.enable_job(text)',
    'function maintenance.disable_job(text)',
    'function maintenance.pause(text)',
    'function maintenance.emergency_stop(text)',
    'function maintenance.resume()',
    'function maintenance.enqueue_task(text, text, integer, timestamptz, jsonb, boolean)',
    'function maintenance.trigger_jobs(text, interval, boolean, boolean)',
    'table maintenance.model',
    'table maintenance.model_day',
    'table maintenance.pending_answer',
    'function maintenance.record_usage(text, bigint, bigint, timestamptz)',
    'function maintenance.retry_task(bigint)',
    'function maintenance.retry_tasks(text)',
    'function maintenance.approve_task(bigint)',
    'function maintenance.reject_task(bigint, text)',
    'function maintenance.undo_task(bigint)',
    'function maintenance.retry_blobs()',
    'function maintenance.silence_alert(bigint, timestamptz)'];
  v_worker constant text[] := array[
    'function maintenance.claim_tasks(text, integer, interval, jsonb)',
    'function maintenance.task_request(bigint, uuid)',
    'function maintenance.extend_lease(bigint, uuid, interval)',
    'function maintenance.complete_task(bigint, uuid, text, jsonb)',
    'function maintenance.fail_task(bigint, uuid, text, text, interval, jsonb, jsonb)',
    'function maintenance.release_task(bigint, uuid)',
    'function maintenance.claim_blobs(text, integer, interval)',
    'function maintenance.settle_blob(bigint, uuid, text, text)'];
  v_can text;
  v_mend text;
  v_schema text;
  v_doors text;
  v_door text;
begin
  foreach v_schema in array array['maintenance', 'maintenance_internal'] loop
    perform maintenance_internal.revoke_defaults('n', 'schema ' || v_schema);
    perform maintenance_internal.revoke_defaults('r', 'all tables in schema ' || v_schema);
    perform maintenance_internal.revoke_defaults('S', 'all sequences in schema ' || v_schema);
    perform maintenance_internal.revoke_defaults('f', 'all routines in schema ' || v_schema);
  end loop;
  perform maintenance_internal.revoke_defaults('r', 'table public.maintenance_status');
  perform maintenance_internal.pin_settings(array(
    select p.oid from pg_proc as p
    where p.pronamespace in (
      'maintenance'::regnamespace, 'maintenance_internal'::regnamespace)));

  foreach grant_roles.role_name in array
    array['maintenance_viewer', 'maintenance_operator', 'maintenance_worker']
  loop
    outcome := 'there';
    fix := null;
    if to_regrole(role_name) is null then
      begin
        execute format('create role %I nologin', role_name);
        outcome := 'created';
      exception when duplicate_object or unique_violation then
        -- Another database's migration has just made it: opening the catalogue anew makes this
        -- session hear of it.
        perform from pg_roles as r where r.rolname = grant_roles.role_name;
      when insufficient_privilege then
        outcome := format('missing: %s may not create roles', current_user);
        fix := format('create role %I nologin; -- then: select * from maintenance.grant_roles();',
          role_name);
        return next;
        continue;
      end;
    end if;
    select 'there, and ' || f.fault, f.fix || ' -- a login of its own is a member of it'
    into v_can, v_mend
    from maintenance_internal.role_fault(role_name) as f
    where f.fault is not null;
    if found then
      outcome := v_can;
      fix := v_mend;
    end if;
    execute format('grant usage on schema maintenance to %I', role_name);
    foreach v_door in array case role_name
      when 'maintenance_viewer' then v_viewer
      when 'maintenance_operator' then v_operator
      else v_worker end
    loop
      execute format('grant %s on %s to %I',
        case when v_door like 'table %' then 'select' else 'execute' end, v_door, role_name);
    end loop;
    if role_name = 'maintenance_operator' then
      grant usage on schema maintenance_internal to maintenance_operator;
      grant select (task_id, kind, subject, state, attempts, defers, recoveries, available_at,
        last_error, result, cost_usd, created_at, finished_at)
      on maintenance.task to maintenance_operator;
      grant select (change_id, task_id, undoes, op, outcome, reason, keys, made_by, created_at)
      on maintenance.change to maintenance_operator;
      grant select (blob_id, state, task_id, attempts, defers, available_at, due_at, noted_at,
        last_error, dead_at)
      on maintenance.blob to maintenance_operator;
    end if;
    return next;
  end loop;

  -- The front doors of the application that is installed beside the engine, if one is.
  v_doors := to_regprocedure('maintenance_internal.grant_front_doors()')::text;
  if v_doors is not null then
    execute format('select %s', v_doors);
  end if;
end
$$;

comment on function maintenance.grant_roles() is
  'Creates the roles maintenance_viewer, maintenance_operator and maintenance_worker where that is '
  'allowed, takes everything from PUBLIC and grants each role its doors. One row per role, with '
  'the statement that is missing in fix. For the engine''s owner; it can be called again.';

do $$
declare
  v_row record;
begin
  if (select r.rolsuper from pg_roles as r where r.oid = maintenance_internal.owner()) then
    raise warning 'the engine belongs to the superuser %, and so does what it runs at night',
        maintenance_internal.owner()::regrole
      using hint = 'Let the role that owns the application''s tables install it.';
  end if;
  for v_row in select * from maintenance.grant_roles() loop
    if v_row.fix is not null then
      raise warning '% %', v_row.role_name, v_row.outcome using hint = v_row.fix;
    end if;
  end loop;
end
$$;
