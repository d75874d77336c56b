-- Reverses one change, row by row, and returns what became of each, in two rounds at most. The
-- first deletes the rows that the change added and puts back those that it changed or deleted. If
-- one of these cannot be put back, the first round is rolled back, and the second leaves the added
-- rows alone: nobody is left with less than before.
--
-- The last row comes first; what was refused is tried again as long as others are put back, from
-- the other end: what it belongs to may be among them. p_before: what became of the rows at an
-- earlier try; those that were put back then are let alone.

create function maintenance_internal.undo_change(
  p_change maintenance.change,
  p_counters text[],
  p_path text,
  p_check_deferred text,
  p_before jsonb)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_count constant integer := jsonb_array_length(p_change.rows);
  v_done jsonb[];
  v_first jsonb[];
  v_adds boolean := false;
  v_row record;
  v_key text;
  v_reason text;
  v_is_open boolean;
  v_is_moving boolean;
  v_is_backward boolean;
  v_passes integer := 0;
begin
  loop
    begin
      v_done := array_fill(null::jsonb, array[v_count]);
      for v_row in
        select r.row, (r.row ->> 'nr')::integer as nr
        from jsonb_array_elements(p_before) as r (row)
        where r.row ->> 'outcome' = 'applied'
      loop
        v_done[v_row.nr] := v_row.row;
      end loop;
      v_is_backward := true;
      v_passes := 0;
      loop
        v_is_open := false;
        v_is_moving := false;
        -- The added rows first: they may hold a unique key that the others need.
        for v_row in
          select r.nr::integer, r.row ->> 'table' as table_name,
            nullif(r.row -> 'before', 'null') as before, nullif(r.row -> 'after', 'null') as after
          from jsonb_array_elements(p_change.rows) with ordinality as r (row, nr)
          order by nullif(r.row -> 'before', 'null') is not null,
            case when v_is_backward then -r.nr else r.nr end
        loop
          continue when v_done[v_row.nr] ->> 'outcome' = 'applied';
          v_adds := v_adds or v_row.before is null;
          if v_row.before is null and v_first is not null then
            v_key := v_first[v_row.nr] ->> 'key';
            v_reason := coalesce(v_first[v_row.nr] ->> 'reason',
              'stays: not all that it stands for could be put back');
          else
            select r.key, r.reason into v_key, v_reason
            from maintenance_internal.restore_row(v_row.table_name, v_row.before, v_row.after,
              p_counters, p_path, p_check_deferred) as r;
          end if;
          v_is_open := v_is_open or v_reason is not null;
          v_is_moving := v_is_moving or v_reason is null;
          v_done[v_row.nr] := jsonb_strip_nulls(jsonb_build_object(
            'nr', v_row.nr, 'table', v_row.table_name, 'key', v_key,
            'outcome', case when v_reason is null then 'applied' else 'refused' end,
            'reason', v_reason));
        end loop;
        v_passes := v_passes + 1; -- the rest is for another try
        exit when not v_is_open or not v_is_moving or v_passes = 10;
        v_is_backward := not v_is_backward;
      end loop;
      exit when not v_is_open or not v_adds or v_first is not null;
      raise exception 'not all of it can be reversed' using errcode = 'PM000';
    exception when sqlstate 'PM000' then
      v_first := v_done; -- and the second round
    end;
  end loop;
  return (
    select coalesce(jsonb_agg(d.row
      order by nullif(r.row -> 'before', 'null') is not null, r.nr desc), '[]')
    from jsonb_array_elements(p_change.rows) with ordinality as r (row, nr)
    join unnest(v_done) with ordinality as d (row, nr) on d.nr = r.nr);
end
$$;
