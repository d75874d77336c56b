-- What a run of a policy would do, read with the very rule that it would use.

create function maintenance.preview(job_name text)
returns table (
  due bigint,
  is_capped boolean,
  oldest timestamptz,
  cutoff timestamptz,
  bytes bigint,
  kept bigint,
  runs_needed integer)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
set timezone = 'UTC'
set lock_timeout = '5s'
as $$
declare
  v_cap constant integer := 1000000;
  v_job maintenance.job := maintenance.find_job(preview.job_name);
  v_policy maintenance.policy := maintenance.find_policy(preview.job_name);
  v_table regclass := maintenance.find_target(v_policy.target);
  v_alias text := maintenance.target_alias(v_table);
  v_width numeric;
  v_rate numeric;
begin
  cutoff := maintenance.clock() - v_policy.keep;
  select c.due, c.oldest into due, oldest from maintenance.count_due(v_policy, cutoff, v_cap) as c;
  is_capped := due = v_cap;
  kept := maintenance.count_kept(v_policy, cutoff, 10000);

  execute format(
    'select avg(pg_column_size(d)) '
    'from (select %1$s.* from %2$s as %1$s where %3$s limit 1000) as d',
    v_alias, v_table, maintenance.due_condition(v_policy)) into v_width using cutoff;
  bytes := round(coalesce(v_width, 0) * due);

  -- Rows a second as the last runs show them; before the first run, a careful guess.
  select sum(r.rows_affected) / nullif(sum(extract(epoch from r.finished_at - r.started_at)), 0)
  into v_rate
  from (
    select h.* from maintenance.run as h
    where h.job_name = v_job.job_name and h.rows_affected > 0 and h.finished_at is not null
    order by h.run_id desc
    limit 10
  ) as r;
  runs_needed := ceil(due
    / (greatest(coalesce(v_rate, 10000), 1) * extract(epoch from v_job.budget)));
  return next;
end
$$;

comment on function maintenance.preview(text) is
  'What a run of a policy would do now: rows due (counted up to 1,000,000: then is_capped), the '
  'oldest, the cut-off, their bytes (from a sample), the rows past the cut-off that matching keeps '
  '(counted up to 10,000), and the runs needed at the job''s budget and the rate of its last runs '
  '(10,000 rows a second before the first). Errors: PM001 no such policy, PM003 its table is gone.';
