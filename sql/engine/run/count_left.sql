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

-- The same of a run that is cut, so that it can be seen whether a backlog grows: counted up to
-- twenty times what the run has done, which costs a part of that; beyond, it is left_at_least so
-- many.
create function maintenance_internal.count_behind(
  p_run maintenance_internal.run,
  p_job maintenance_internal.job)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_cap constant integer := least(greatest(10000, 20 * p_run.rows_affected), 10000000);
  v_left bigint;
begin
  if p_job.kind = 'policy' then
    select c.due into v_left
    from maintenance_internal.count_due(maintenance_internal.find_policy(p_job.job_name),
      p_run.cutoff, v_cap, (p_run.progress).path) as c;
  elsif p_job.backlog_function is not null then
    select c.due into v_left
    from maintenance_internal.call_backlog(p_job.backlog_function, v_cap,
      maintenance_internal.owner_path()) as c;
  end if;
  return jsonb_strip_nulls(jsonb_build_object(
    case when v_left < v_cap then 'left' else 'left_at_least' end, v_left));
exception when others or assert_failure then
  return '{}'; -- whatever is wrong with the count is told by the status; the run has done its work
end
$$;
