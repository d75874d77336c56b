-- What a run of a policy would do, read with the very rule that it would use.

create function maintenance.preview(job_name text)
returns table (
  due bigint,
  capped boolean,
  oldest timestamptz,
  bytes bigint,
  batches bigint,
  cascades bigint)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_path constant text := maintenance_internal.owner_path();
  v_cap constant integer := 1000000;
  v_most_to_look_up constant integer := 10000;
  v_job maintenance_internal.job := maintenance_internal.find_job(preview.job_name);
  v_policy maintenance_internal.policy := maintenance_internal.find_policy(preview.job_name);
  v_table regclass := maintenance_internal.find_target(
    v_policy.target, v_policy.trusted_owner);
  v_alias text := maintenance_internal.target_alias(v_table);
  v_cutoff timestamptz := maintenance_internal.clock() - v_policy.keep;
  v_width numeric;
  v_key record;
  v_state text;
  v_message text;
  v_context text;
begin
  select c.due, c.oldest into due, oldest
  from maintenance_internal.count_due(v_policy, v_cutoff, v_cap, v_path) as c;
  capped := due = v_cap;
  batches := ceil(due::numeric / v_job.batch_size);

  perform set_config('search_path', v_path, true);
  execute format(
    'select avg(pg_column_size(d)) '
    'from (select %1$s.* from %2$s as %1$s where %3$s limit 1000) as d',
    v_alias, v_table, maintenance_internal.due_condition(v_policy)) into v_width using v_cutoff;
  bytes := round(coalesce(v_width, 0) * due);

  -- Rows behind keys that cascade: where an index finds them, and few enough are due.
  if v_policy.action = 'delete' and due <= v_most_to_look_up then
    cascades := 0;
    for v_key in
      select f.conrelid::regclass as child, k.columns, k.referenced,
        exists (
          select from pg_index as i
          where i.indrelid = f.conrelid and i.indisvalid and i.indpred is null
            and (i.indkey::smallint[])[0 : cardinality(f.conkey) - 1] @> f.conkey) as is_indexed
      from pg_constraint as f
      cross join lateral (
        select string_agg(quote_ident(a.attname), ', ' order by k.n) as columns,
          string_agg(quote_ident(r.attname), ', ' order by k.n) as referenced
        from unnest(f.conkey, f.confkey) with ordinality as k (from_column, to_column, n)
        join pg_attribute as a on a.attrelid = f.conrelid and a.attnum = k.from_column
        join pg_attribute as r on r.attrelid = f.confrelid and r.attnum = k.to_column
      ) as k
      where f.confrelid = v_table and f.contype = 'f' and f.confdeltype = 'c'
        and not exists (select from pg_constraint as u
          where u.oid = f.conparentid and u.confrelid = f.confrelid)
    loop
      if not v_key.is_indexed then
        cascades := null;
        exit;
      end if;
      execute format(
        'select count(*) from %s where (%s) in (select %s from %s as %s where %s)',
        v_key.child, v_key.columns, v_key.referenced, v_table, v_alias,
        maintenance_internal.due_condition(v_policy))
      into v_width using v_cutoff;
      cascades := cascades + v_width;
    end loop;
  end if;
  return next;
exception when others or assert_failure then
  get stacked diagnostics v_state = returned_sqlstate, v_message = message_text,
    v_context = pg_exception_context;
  raise exception 'the rule of "%" cannot be read: %', preview.job_name,
      maintenance_internal.error_text(v_state, v_message, v_context)
    using errcode = v_state, hint = format('select * from maintenance.lint(%L);', preview.job_name);
end
$$;

comment on function maintenance.preview(text) is
  'What a run of a policy would do now: rows due (counted up to 1,000,000: then capped), the time '
  'of the oldest, their bytes (from a sample), the batches they make, and the rows of other tables '
  'that go with them by keys that cascade (directly; null where counting them would be dear). '
  'Errors: PM001 no such policy, PM003 its table is gone.';
