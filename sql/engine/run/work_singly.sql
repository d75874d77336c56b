-- Works a short list row by row. A row that fails alone is set aside; when all else is through, and
-- something has gone since the first was, it is offered once more, and then it is refused: counted,
-- with its key for the owner. A row that waits for somebody's lock is left for the next run.

create function maintenance_internal.work_singly(
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
  v_most_keys constant integer := 100;
  v_until constant timestamptz := clock_timestamp() + interval '200 milliseconds';
  v_rest tid[] := p_piece.tids;
  v_bad tid[] := '{}';
  v_keys jsonb;
  v_fault maintenance_internal.fault;
  v_verdict text := 'row';
begin
  changed := 0;
  if p_piece.pass = 4 and p_run.rows_affected = p_at.aside_since then
    v_bad := v_rest;
    v_rest := '{}';
  elsif p_piece.pass = 4 and p_at.aside_since >= 0 then
    p_at.aside_since := -1;
    p_run.error := null;
    p_run.sqlstate := null;
    p_run.error_detail := null;
  end if;

  while v_rest <> '{}' and clock_timestamp() < v_until loop
    p_piece.tids := v_rest[1:1];
    begin
      changed := changed + maintenance_internal.change_piece(
        p_policy, p_run.cutoff, p_piece, p_at.locked is true);
      p_at.timeouts := 0;
    exception when query_canceled or others then
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

  p_at := maintenance_internal.add_lists(p_piece.run_id, p_piece.pass, p_piece.leaf, v_rest,
    v_most_rows, p_at);
  if p_piece.pass < 4 then
    p_at := maintenance_internal.add_lists(p_piece.run_id, 4, p_piece.leaf, v_bad, v_most_rows,
      p_at);
    if v_bad <> '{}' then
      p_at.aside_since := coalesce(p_at.aside_since, p_run.rows_affected);
    end if;
  elsif v_bad <> '{}' then
    v_keys := coalesce(p_run.error_detail -> 'rows', '[]');
    p_run.rows_refused := p_run.rows_refused + cardinality(v_bad);
    p_run.error_detail := p_run.error_detail || jsonb_build_object('rows', v_keys
      || maintenance_internal.row_keys(p_piece.leaf,
        v_bad[1 : v_most_keys - jsonb_array_length(v_keys)]));
  end if;
end
$$;
