-- How many pages of a leaf the first window of a sweep has, where sweeping over the whole leaf
-- costs less than finding the due rows one by one; null where it does not. The planner is asked:
-- a sweep is worth it where finding the rows costs as much as reading all pages, or where a fifth
-- of the rows are due. It is asked about ctid, so that it counts the heap pages, too.
-- A window cannot stop at an exact row, so small leaves, small batches and runs with a limit on
-- their rows are not swept.

create function maintenance_internal.first_window(
  p_policy maintenance_internal.policy,
  p_job maintenance_internal.job,
  p_leaf regclass,
  p_cutoff timestamptz,
  out pages integer,
  out leaf_pages bigint,
  out due bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_least_pages constant integer := 64;
  v_plan jsonb;
  v_rows_per_page double precision := maintenance_internal.rows_per_page(p_leaf);
  v_due_per_page double precision;
begin
  leaf_pages := pg_relation_size(p_leaf) / current_setting('block_size')::integer;
  if leaf_pages < v_least_pages or p_job.max_rows is not null then
    return;
  end if;
  execute format('explain (format json) select %2$s.ctid from only %1$s as %2$s where %3$s', p_leaf,
    maintenance_internal.target_alias(maintenance_internal.find_target(p_policy.target)),
    maintenance_internal.due_condition(p_policy))
  into v_plan using p_cutoff;
  due := v_plan #>> '{0,Plan,Plan Rows}';
  v_due_per_page := greatest(
    (v_plan #>> '{0,Plan,Plan Rows}')::double precision / leaf_pages, 0.01);
  if p_job.batch_size < 4 * v_rows_per_page
    or v_due_per_page < 0.2 * v_rows_per_page
      and (v_plan #>> '{0,Plan,Total Cost}')::double precision
        < leaf_pages * current_setting('seq_page_cost')::double precision
  then
    return;
  end if;
  -- Small enough for a fiftieth of a batch even if every row in it is due, whatever the estimate
  -- says; later windows grow with what the earlier ones held, and how long they took.
  pages := ceil(least(p_job.batch_size / v_rows_per_page, leaf_pages) / 50);
end
$$;
