-- What a run of a policy would do, read with the very rule that it would use.

create function maintenance.preview(job_name text)
returns table (due bigint, capped boolean, oldest timestamptz, bytes bigint, batches bigint)
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
  v_job maintenance_internal.job := maintenance_internal.find_job(preview.job_name);
  v_policy maintenance_internal.policy := maintenance_internal.find_policy(preview.job_name);
  v_table regclass := maintenance_internal.find_target(v_policy.target);
  v_alias text := maintenance_internal.target_alias(v_table);
  v_cutoff timestamptz := maintenance_internal.clock() - v_policy.keep;
  v_width numeric;
  v_state text;
  v_message text;
  v_context text;
begin
  select c.due, c.oldest into due, oldest
  from maintenance_internal.count_due(v_policy, v_cutoff, v_cap) as c;
  capped := due = v_cap;
  batches := ceil(due::numeric / v_job.batch_size);

  execute format(
    'select avg(pg_column_size(d)) '
    'from (select %1$s.* from %2$s as %1$s where %3$s limit 1000) as d',
    v_alias, v_table, maintenance_internal.due_condition(v_policy)) into v_width using v_cutoff;
  bytes := round(coalesce(v_width, 0) * due);
  return next;
exception when others then
  get stacked diagnostics v_state = returned_sqlstate, v_message = message_text,
    v_context = pg_exception_context;
  raise exception 'the rule of "%" cannot be read: %', preview.job_name,
      maintenance_internal.error_text(v_state, v_message, v_context)
    using errcode = v_state, hint = format('select * from maintenance.lint(%L);', preview.job_name);
end
$$;

comment on function maintenance.preview(text) is
  'What a run of a policy would do now: rows due (counted up to 1,000,000: then capped), the time '
  'of the oldest, their bytes (from a sample), and the batches they make. '
  'Errors: PM001 no such policy, PM003 its table is gone.';
