-- What a run that is through leaves on its receipt: the rows that are still due, those that are old
-- enough and kept by matching, and the size of the tables. Counting walks over all that the run has
-- taken out of the index: after more rows than these it is left out, unless something may be left,
-- since rows were refused or locked, or a trigger can silence a change.

create function maintenance_internal.count_left(
  p_run maintenance_internal.run,
  p_policy maintenance_internal.policy)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_most_to_look_over constant bigint := 100000;
  v_leaves oid[] := maintenance_internal.leaf_tables((p_run.progress).target);
  v_left bigint;
  v_kept bigint;
begin
  if p_run.rows_affected <= v_most_to_look_over or p_run.rows_refused > 0
    or (p_run.progress).locked or maintenance_internal.has_silencing_trigger(p_policy, v_leaves)
  then
    select c.due into v_left
    from maintenance_internal.count_due(
      p_policy, p_run.cutoff, 10000, (p_run.progress).path) as c;
    if p_policy.action = 'delete' then
      p_policy.matching := case when p_policy.matching is null then 'false'
        else format('(%s) is not true', p_policy.matching) end;
      select c.due into v_kept
      from maintenance_internal.count_due(
      p_policy, p_run.cutoff, 10000, (p_run.progress).path) as c;
    end if;
  end if;
  return jsonb_strip_nulls(jsonb_build_object('left', v_left, 'kept', v_kept))
    || maintenance_internal.size_of(v_leaves, 'bytes_after');
end
$$;
