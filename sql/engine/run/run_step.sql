-- One step of a run: a piece of a policy's rows, in one statement, or one call of a step
-- function. It catches its own errors and notes them on the receipt, which it locks: a run whose
-- receipt somebody has closed ends there.
--
-- A piece that fails is put away; when everything else has been offered it is offered again, and
-- where it fails again, split, until a row stands alone. That row is set aside, and offered again
-- with its like as long as other rows go: its children may be among them. Only then it is
-- refused. What is no row's fault stops the run instead (judge_fault), or, of a partition, the
-- work on that.
--   more    something is left to do
--   notice  what run_job says while it works, every few seconds

create function maintenance_internal.run_step(p_run_id bigint, out more boolean, out notice text)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '2s'
as $$
declare
  v_began constant timestamptz := maintenance_internal.moment();
  v_running constant text := coalesce(current_setting('maintenance.run_id', true), '');
  v_run maintenance_internal.run;
  v_at maintenance_internal.progress;
  v_job maintenance_internal.job;
  v_policy maintenance_internal.policy;
  v_piece maintenance_internal.piece;
  v_fault maintenance_internal.fault;
  v_verdict text;
  v_leaf oid;
  v_offers boolean := false;
  v_changed bigint := 0;
  v_details jsonb := '{}';
  v_rows integer;
  v_settled record;
begin
  select * into v_run
  from maintenance_internal.run as r
  where r.run_id = p_run_id and r.backend_pid = pg_backend_pid() and r.status = 'running'
  for no key update;
  more := found and v_run.stop_reason is null;
  if not more then
    return;
  end if;
  perform pg_try_advisory_xact_lock(maintenance_internal.lock_class(), v_run.job_id);
  perform set_config('maintenance.run_id', ltrim(v_running || ' ' || p_run_id), true);
  v_at := v_run.progress;
  perform pg_sleep(v_at.conflicts * 0.1); -- so that the other one of a deadlock gets on

  begin
    perform maintenance_internal.check_session();
    select * into v_job from maintenance_internal.job as j where j.job_id = v_run.job_id;
    if not found then
      raise exception 'the job was dropped' using errcode = 'PM001';
    end if;
    v_rows := least(v_at.size, v_job.batch_size, v_job.max_rows - v_run.rows_affected);

    if v_job.kind = 'function' then
      v_offers := true;
      v_changed := maintenance_internal.call_step(v_job.step, v_rows, v_at);
      more := v_changed <> 0;
      v_changed := greatest(v_changed, 0);

    else
      -- A piece can go without its locked rows, so it waits less than a step function may.
      perform set_config('lock_timeout',
        case when v_at.locked then '20ms' else '200ms' end, true);
      select * into v_policy from maintenance_internal.policy as p where p.job_id = v_job.job_id;
      if hashtextextended(v_policy::text, 0) is distinct from v_at.rule
        or to_regclass(v_policy.target) is distinct from v_at.target then
        raise exception 'the rule or its table was changed while the run went on'
          using errcode = 'PM022';
      end if;
      v_piece := maintenance_internal.next_piece(v_run, v_policy, v_rows);

      if not maintenance_internal.is_leaf(v_piece.leaf, v_at.target) then
        v_at := maintenance_internal.leave_leaf(p_run_id, v_piece.leaf, v_at);
      elsif v_piece.leaf is null and v_at.collected is not true then
        v_at := maintenance_internal.find_pieces(v_run, v_job, v_policy, v_at);
      elsif v_piece.leaf is null then
        select e.* into v_settled from maintenance_internal.end_round(v_job, v_run, v_at) as e;
        v_run := v_settled.p_run;
        v_at := v_settled.p_at;
        more := v_settled.more;
        if not more then
          v_details := maintenance_internal.count_left(v_run, v_policy);
        end if;
      elsif v_piece.pass > 1 and (v_piece.tids is null
        or cardinality(v_piece.tids) > least(v_job.max_rows - v_run.rows_affected,
          case when v_piece.failed_at = v_run.rows_affected then 100 end)) then
        -- Of what failed: no list yet, more rows than may go, or a list that fails again for
        -- sure, since nothing has gone meanwhile.
        v_at := maintenance_internal.split_piece(v_run, v_job, v_policy, v_piece, v_at);
      else
        v_offers := true;
        v_changed := maintenance_internal.change_piece(
          v_policy, v_run.cutoff, v_piece, v_at);
      end if;
    end if;
  exception when query_canceled or assert_failure or others then
    get stacked diagnostics v_fault.sqlstate = returned_sqlstate,
      v_fault.message = message_text, v_fault.detail = pg_exception_detail,
      v_fault.context = pg_exception_context, v_fault.on_constraint = constraint_name,
      v_fault.on_table = table_name;
    if v_fault.sqlstate = '57014' and not v_at.commits then
      raise;
    end if;
    v_changed := 0;
    more := true;
  end;

  if v_fault.sqlstate is not null then
    v_at := maintenance_internal.count_fault(v_fault, v_at);
    v_leaf := coalesce(v_piece.leaf, v_at.leaf);
    v_verdict := maintenance_internal.judge_fault(v_fault, v_at,
      v_offers and v_piece.leaf is not null and not exists (
        select from pg_locks as l
        where v_fault.sqlstate = '55P03' and l.relation = v_leaf and l.granted
          and l.pid <> pg_backend_pid() and l.mode ~ '^(AccessExclusive|Exclusive|Share)'
          and l.mode <> 'ShareUpdateExclusiveLock'));
    if not maintenance_internal.is_leaf(v_leaf, v_at.target) then
      v_verdict := 'again'; -- a partition that went in the middle of it; the next step leaves it
    elsif v_verdict in ('error', 'lock_timeout') and v_fault.sqlstate in ('42501', '55P03')
      and v_leaf <> v_at.target then
      -- A partition that cannot be worked on keeps no other.
      v_run := maintenance_internal.note_fault(v_fault, 'row', v_run);
      v_at := maintenance_internal.leave_leaf(p_run_id, v_leaf, v_at);
      v_verdict := 'again';
    end if;
    v_offers := v_verdict = 'row';
    if v_verdict = 'again' and v_fault.sqlstate = '55P03' then
      v_at.locked := (v_run.progress).locked; -- the table, and no row of it
      perform pg_sleep(0.2);
    end if;
    if v_verdict = 'cancelled' then
      -- Its time-out may have been set meanwhile, to end it.
      select * into v_job from maintenance_internal.job as j where j.job_id = v_run.job_id;
      v_verdict := maintenance_internal.stop_sign(v_run, v_job, true);
    end if;
    if v_verdict not in ('again', 'row') then
      v_run := maintenance_internal.note_fault(v_fault, v_verdict, v_run);
      v_run.error := coalesce(maintenance_internal.stop_text(v_verdict, v_job), v_run.error);
    end if;
  elsif v_offers then
    v_at.timeouts := 0;
    v_at.conflicts := 0;
  end if;
  if v_offers then
    select s.* into v_settled
    from maintenance_internal.settle_piece(v_job, v_policy, v_piece, v_fault,
      1000 * extract(epoch from maintenance_internal.moment() - v_began), v_run, v_at, v_changed)
      as s;
    v_run := v_settled.p_run;
    v_at := v_settled.p_at;
    v_changed := v_settled.p_changed;
  end if;
  v_run.rows_affected := v_run.rows_affected + v_changed;
  v_run.batches := v_run.batches
    + (v_offers and (v_fault.sqlstate is null or v_changed > 0))::integer;

  v_run := maintenance_internal.decide_stop(v_job, v_policy, v_at,
    v_offers and v_piece.pass > 1, more, v_details, v_run);
  if more and maintenance_internal.is_cut(v_run.stop_reason) then
    v_details := v_details || maintenance_internal.count_behind(v_run, v_job);
  end if;
  more := more and v_run.stop_reason is null;
  if v_at.said_at < clock_timestamp() - interval '5 seconds' then
    -- What was expected is the planner's word.
    notice := format('%s: %s rows so far, %s a second%s', v_run.job_name, v_run.rows_affected,
      round(v_run.rows_affected
        / nullif(extract(epoch from maintenance_internal.moment() - v_run.started_at), 0)),
      ', about ' || case when v_at.expected > v_run.rows_affected + v_run.rows_refused
        then v_at.expected - v_run.rows_affected - v_run.rows_refused end || ' to go');
    v_at.said_at := clock_timestamp();
  end if;
  update maintenance_internal.run as r
  set touched_at = clock_timestamp(),
    rows_affected = v_run.rows_affected,
    rows_refused = v_run.rows_refused,
    batches = v_run.batches,
    stop_reason = v_run.stop_reason,
    error = v_run.error,
    sqlstate = v_run.sqlstate,
    error_detail = v_run.error_detail,
    details = r.details || v_details,
    cut_leaf = v_run.cut_leaf,
    cut = v_run.cut,
    progress = v_at
  where r.run_id = p_run_id;
  perform set_config('maintenance.run_id', v_running, true);
end
$$;
