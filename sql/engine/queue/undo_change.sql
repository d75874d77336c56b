-- Reverses one change, row by row, and returns what became of each, in two rounds at most. The
-- first deletes the rows that the change added and restores those that it changed. If one of
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
  v_first jsonb;
  v_report jsonb;
  v_row record;
  v_key text;
  v_reason text;
begin
  loop
    begin
      v_report := '[]';
      -- The added rows first: they may hold a unique key that the others need.
      for v_row in
        select r.value ->> 'table' as table_name, nullif(r.value -> 'before', 'null') as before,
          r.value -> 'after' as after
        from jsonb_array_elements(p_change.rows) as r
        order by nullif(r.value -> 'before', 'null') is not null, r.value
      loop
        if v_row.before is null and v_first is not null then
          v_key := v_first -> jsonb_array_length(v_report) ->> 'key';
          v_reason := coalesce(v_first -> jsonb_array_length(v_report) ->> 'reason',
            'stays: not all that it stands for could be put back');
        else
          select r.key, r.reason into v_key, v_reason
          from maintenance_internal.restore_row(v_row.table_name, v_row.before, v_row.after,
            p_counters) as r;
        end if;
        v_report := v_report || jsonb_strip_nulls(jsonb_build_object(
          'table', v_row.table_name, 'key', v_key,
          'outcome', case when v_reason is null then 'applied' else 'refused' end,
          'reason', v_reason));
      end loop;
      exit when v_first is not null
        or not jsonb_path_exists(v_report, '$[*] ? (@.outcome == "refused")');
      raise exception 'not all of it can be reversed' using errcode = 'PM000';
    exception when sqlstate 'PM000' then
      v_first := v_report; -- and the second round
    end;
  end loop;
  return v_report;
end
$$;
