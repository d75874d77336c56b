-- Opens a run: closes the receipts of the dead, and writes one. Where another run goes on, or the
-- job is disabled, the receipt says skipped; where the run cannot begin, it says why.
-- The unique index on running receipts is the lock: of two starters one inserts.

create function maintenance_internal.start_run(p_job_name text, p_commits boolean)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
declare
  v_job maintenance_internal.job := maintenance_internal.find_job(p_job_name);
  v_policy maintenance_internal.policy;
  v_leaves oid[];
  v_run maintenance_internal.run;
  v_at maintenance_internal.progress;
  v_message text;
  v_context text;
begin
  if v_job.kind = 'statement' and v_job.enabled then
    raise exception 'the job "%" is one statement that cannot run inside a transaction', p_job_name
      using errcode = 'PM011',
        hint = format('pg_cron runs it as it stands; so can psql: %s', v_job.statement);
  end if;
  perform maintenance_internal.close_dead_runs(v_job.job_id);

  v_run.trigger := case when maintenance_internal.fired_by_cron() then 'schedule' else 'manual' end;
  v_run.status := 'running';
  v_at.commits := p_commits;
  v_at.path := maintenance_internal.owner_path();
  v_at.check_deferred := maintenance_internal.check_deferred_statement();
  v_at.size := least(50, v_job.batch_size);
  v_at.at := 0;
  v_at.pieces := 0;
  v_at.expected := 0;
  v_at.round_from := 0;
  v_at.timeouts := 0;
  v_at.conflicts := 0;
  v_at.said_at := clock_timestamp();
  if not v_job.enabled then
    v_run.status := 'skipped';
    v_run.stop_reason := 'disabled';
  elsif exists (
    -- At work in a transaction that nobody else can see into: run_now in somebody's own.
    select from pg_locks as l
    join pg_stat_activity as a on a.pid = l.pid
    where l.locktype = 'advisory' and l.pid <> pg_backend_pid() and l.objsubid = 2
      -- Of somebody who may run jobs: anybody can take an advisory lock.
      and (pg_has_role(a.usesysid, maintenance_internal.owner(), 'member')
        or pg_has_role(a.usesysid, to_regrole('maintenance_operator'), 'member'))
      and l.classid = maintenance_internal.lock_class()::oid and l.objid = v_job.job_id::oid
      and l.database = (select d.oid from pg_database as d where d.datname = current_database()))
  then
    v_run.status := 'skipped';
    v_run.stop_reason := 'already_running';
  elsif v_job.kind = 'policy' then
    begin
      select * into v_policy from maintenance_internal.policy as p where p.job_id = v_job.job_id;
      v_at.rule := hashtextextended(v_policy::text, 0);
      v_at.target := maintenance_internal.find_target(
    v_policy.target, v_policy.trusted_owner);
      v_run.cutoff := maintenance_internal.clock() - v_policy.keep;
      v_leaves := maintenance_internal.leaf_tables(v_at.target);
      v_run.details := maintenance_internal.size_of(v_leaves, 'bytes_before');
      perform maintenance_internal.check_keys(v_leaves);
      select r.cut_leaf, r.cut into v_at.behind_leaf, v_at.behind
      from maintenance_internal.run as r
      where r.job_id = v_job.job_id and r.status <> 'skipped'
      order by r.started_at desc
      limit 1;
    exception when others then
      get stacked diagnostics v_run.sqlstate = returned_sqlstate, v_message = message_text,
        v_context = pg_exception_context;
      v_run.status := 'failed';
      v_run.stop_reason := case v_run.sqlstate when '55P03' then 'lock_timeout' else 'error' end;
      v_run.error := maintenance_internal.error_text(v_run.sqlstate, v_message, v_context);
      v_run.error_detail := jsonb_build_object('message', v_message, 'context', v_context);
    end;
  end if;

  for v_try in 1 .. 2 loop
    begin
      insert into maintenance_internal.run as r
        (job_id, job_name, trigger, slot, status, finished_at, cutoff, stop_reason, error, sqlstate,
          error_detail, details, progress)
      values
        (v_job.job_id, v_job.job_name, v_run.trigger,
          case when v_run.trigger = 'schedule'
            then maintenance_internal.slot_of(v_job, clock_timestamp()) end,
          v_run.status, case when v_run.status <> 'running' then clock_timestamp() end,
          v_run.cutoff, v_run.stop_reason, v_run.error, v_run.sqlstate, v_run.error_detail,
          coalesce(v_run.details, '{}'), case when v_run.status = 'running' then v_at end)
      on conflict (job_id) where status = 'running' and cron_run_id is null do nothing
      returning r.run_id into v_run.run_id;
      exit when found;
    exception when lock_not_available or serialization_failure then
      null; -- somebody is just starting it
    end;
    v_run.status := 'skipped';
    v_run.stop_reason := 'already_running';
  end loop;
  return v_run.run_id;
end
$$;
