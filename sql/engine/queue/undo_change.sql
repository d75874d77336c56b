-- Reverses one change, row by row, and returns what became of each, in two rounds at most. The
-- first deletes the rows that the change added and restores those that it changed or deleted, the
-- last one first: what was deleted before what it belonged to comes back after it. If one of
-- these cannot be restored, the first round is rolled back, and the second leaves the added rows
-- alone: nobody is left with less than before.

create function maintenance_internal.undo_change(
  p_change maintenance.change,
  p_counters text[])
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_rows jsonb[];
  v_first jsonb[];
  v_row record;
  v_key text;
  v_reason text;
  v_is_whole boolean;
begin
  loop
    begin
      v_rows := '{}';
      v_is_whole := true;
      -- The added rows first: they may hold a unique key that the others need.
      for v_row in
        select r.row ->> 'table' as table_name, nullif(r.row -> 'before', 'null') as before,
          nullif(r.row -> 'after', 'null') as after
        from jsonb_array_elements(p_change.rows) with ordinality as r (row, nr)
        order by nullif(r.row -> 'before', 'null') is not null, r.nr desc
      loop
        if v_row.before is null and v_first is not null then
          v_key := v_first[cardinality(v_rows) + 1] ->> 'key';
          v_reason := coalesce(v_first[cardinality(v_rows) + 1] ->> 'reason',
            'stays: not all that it stands for could be put back');
        else
          select r.key, r.reason into v_key, v_reason
          from maintenance_internal.restore_row(v_row.table_name, v_row.before, v_row.after,
            p_counters) as r;
        end if;
        v_is_whole := v_is_whole and v_reason is null;
        v_rows := v_rows || jsonb_strip_nulls(jsonb_build_object(
          'table', v_row.table_name, 'key', v_key,
          'outcome', case when v_reason is null then 'applied' else 'refused' end,
          'reason', v_reason));
      end loop;
      exit when v_first is not null or v_is_whole;
      raise exception 'not all of it can be reversed' using errcode = 'PM000';
    exception when sqlstate 'PM000' then
      v_first := v_rows; -- and the second round
    end;
  end loop;
  return to_jsonb(v_rows);
end
$$;
