-- How a run goes through a leaf. The planner is asked, about ctid, so that it counts heap pages,
-- too:
--   ranges  of the age, where it would follow an index of the age for many rows, which then lie
--           together: each batch takes the next rows of the index
--   sweep   window by window of its pages, where finding the due rows one by one costs as much as
--           reading all pages, or where a fifth of the rows are due
--   lists   of due rows in heap order: else
-- A window cannot stop at an exact row, so small leaves, small batches and runs with a limit on
-- their rows are not swept.

create function maintenance_internal.choose_way(
  p_policy maintenance_internal.policy,
  p_job maintenance_internal.job,
  p_leaf regclass,
  p_cutoff timestamptz,
  p_path text,
  out way text,
  out due bigint,
  out pages bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_least_pages constant integer := 64;
  v_rows_per_page double precision := maintenance_internal.rows_per_page(p_leaf);
  v_plan jsonb;
begin
  perform set_config('search_path', p_path, true);
  execute format('explain (format json) select %2$s.ctid from only %1$s as %2$s where %3$s', p_leaf,
    maintenance_internal.target_alias(p_policy.target::regclass),
    maintenance_internal.due_condition(p_policy))
  into v_plan using p_cutoff;
  v_plan := v_plan #> '{0,Plan}';
  due := v_plan ->> 'Plan Rows';
  pages := pg_relation_size(p_leaf) / current_setting('block_size')::integer;
  way := case
    when due >= 2 * p_job.batch_size and v_plan ->> 'Node Type' = 'Index Scan'
      and strpos(v_plan ->> 'Index Cond', format('(%s <= ', p_policy.age)) > 0 then 'ranges'
    when pages >= v_least_pages and p_job.max_rows is null
      and p_job.batch_size >= 4 * v_rows_per_page
      and (due >= 0.2 * v_rows_per_page * pages or (v_plan ->> 'Total Cost')::double precision
        >= pages * current_setting('seq_page_cost')::double precision) then 'sweep'
    else 'lists'
  end;
end
$$;
