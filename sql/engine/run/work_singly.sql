-- Works a short list row by row. A row that fails alone is set aside (pass 4); one that waits for
-- somebody's lock is left for the next run; what was not reached in time is offered again.

create function maintenance_internal.work_singly(
  p_job maintenance_internal.job,
  p_policy maintenance_internal.policy,
  p_piece maintenance_internal.piece,
  inout p_run maintenance_internal.run,
  inout p_at maintenance_internal.progress,
  out changed bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_most_rows constant integer := 100;
  v_until constant timestamptz := clock_timestamp() + interval '200 milliseconds';
  v_rest tid[] := p_piece.tids;
  v_bad tid[] := '{}';
  v_fault maintenance_internal.fault;
  v_verdict text;
begin
  changed := 0;
  if p_at.locked then
    perform set_config('lock_timeout', '10ms', true); -- it has been waited for already
  end if;
  while v_rest <> '{}' and clock_timestamp() < v_until
    and (p_job.max_rows > p_run.rows_affected + changed) is not false
  loop
    p_piece.tids := v_rest[1:1];
    begin
      changed := changed + maintenance_internal.change_piece(
        p_policy, p_run.cutoff, p_piece, p_at);
      p_at.timeouts := 0;
    exception when query_canceled or assert_failure or others then
      get stacked diagnostics v_fault.sqlstate = returned_sqlstate,
        v_fault.message = message_text, v_fault.detail = pg_exception_detail,
        v_fault.context = pg_exception_context, v_fault.on_constraint = constraint_name,
        v_fault.on_table = table_name;
      if v_fault.sqlstate = '57014' and not p_at.commits then
        raise;
      end if;
      p_at := maintenance_internal.count_fault(v_fault, p_at);
      v_verdict := maintenance_internal.judge_fault(v_fault, p_at, true);
      exit when v_verdict = 'again';
      if v_verdict <> 'row' or v_fault.sqlstate <> '55P03' then
        p_run := maintenance_internal.note_fault(v_fault, v_verdict, p_run);
        exit when v_verdict <> 'row';
        v_bad := v_bad || v_rest[1];
      end if;
    end;
    v_rest := v_rest[2:];
  end loop;

  p_at := maintenance_internal.add_lists(p_piece.run_id, greatest(p_piece.pass, 2), p_piece.leaf,
    v_rest, v_most_rows, p_at);
  p_at := maintenance_internal.add_lists(p_piece.run_id, 4, p_piece.leaf, v_bad, v_most_rows,
    p_at);
  if v_bad <> '{}' then
    p_at.aside_since := coalesce(p_at.aside_since, p_run.rows_affected);
  end if;
end
$$;
