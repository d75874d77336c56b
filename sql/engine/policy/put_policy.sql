-- The second half of set_policy: tries the rule, writes it, and says what follows from it.

create function maintenance_internal.put_policy(
  p_job maintenance_internal.job,
  p_policy maintenance_internal.policy,
  p_copy regclass,
  p_columns smallint[])
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_job maintenance_internal.job;
  v_before maintenance_internal.policy;
  v_finding record;
begin
  if p_policy.action = 'update' then
    perform maintenance_internal.try_update(p_policy, p_copy, p_columns);
  end if;
  p_policy.index_on := maintenance_internal.find_index(p_policy, p_copy);
  execute format('drop table pg_temp.%s', maintenance_internal.target_alias(p_copy));

  v_job := maintenance_internal.upsert_job(p_job);
  select * into v_before from maintenance_internal.policy as p where p.job_id = v_job.job_id;
  if v_before.matching is not null and p_policy.matching is null then
    raise warning '"%" loses what this call does not name: matching %', v_job.job_name,
        v_before.matching
      using hint = 'Setting a job replaces it: name again what is meant to stay.';
  end if;
  if v_before.keep <> p_policy.keep then
    raise warning 'the keep of "%" was %, and is %', v_job.job_name, v_before.keep, p_policy.keep
      using hint = format('If it was meant to stay: '
        'select maintenance.configure_job(%L, keep => %L);', v_job.job_name, v_before.keep);
  end if;
  p_policy.job_id := v_job.job_id;
  if v_before.job_id is null then
    insert into maintenance_internal.policy select p_policy.*;
  else
    update maintenance_internal.policy as p
    set (target, action, age, age_type, keep, matching, assign, index_on, calls, trusted_owner) =
      (p_policy.target, p_policy.action, p_policy.age, p_policy.age_type, p_policy.keep,
        p_policy.matching, p_policy.assign, p_policy.index_on, p_policy.calls,
        p_policy.trusted_owner)
    where p.job_id = v_job.job_id;
  end if;

  perform maintenance_internal.sync_schedule(v_job.job_name);
  for v_finding in select * from maintenance.lint(v_job.job_name) loop
    if v_finding.severity = 'notice' then
      raise notice '%', v_finding.finding using hint = v_finding.fix;
    else
      raise warning '%', v_finding.finding using hint = v_finding.fix;
    end if;
  end loop;
  if current_setting('client_min_messages') ~ '^(debug|log|notice)' then
    perform maintenance_internal.tell_due(v_job.job_name, p_policy);
  end if;
end
$$;

-- Whether an update leaves its rows due, by a sample; every batch checks the same again. Only what
-- the rule names is copied: rows can be large.
create function maintenance_internal.try_update(
  p_policy maintenance_internal.policy,
  p_copy regclass,
  p_columns smallint[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_alias text := maintenance_internal.target_alias(p_copy);
  v_table regclass := p_policy.target::regclass;
  v_due text := maintenance_internal.due_condition(p_policy);
  v_cutoff timestamptz := maintenance_internal.clock() - p_policy.keep;
  v_columns text;
  v_nullable text;
  v_again bigint;
begin
  select string_agg(quote_ident(a.attname), ', ' order by a.attnum) filter (where a.is_read
      and a.attgenerated = ''),
    string_agg(format('alter %I drop not null', a.attname), ', ') filter (where a.attnotnull)
  into v_columns, v_nullable
  from (
    select a.*, a.attnum = any (p_columns)
      -- What a generated column is made of, and a type that takes no null.
      or exists (
        select from pg_attrdef as f
        join pg_depend as d on d.classid = 'pg_attrdef'::regclass and d.objid = f.oid
        where f.adrelid = p_copy and f.adnum = any (p_columns)
          and d.refclassid = 'pg_class'::regclass and d.refobjid = p_copy
          and d.refobjsubid = a.attnum)
      or exists (select from pg_type as t where t.oid = a.atttypid and t.typtype = 'd') as is_read
    from pg_attribute as a
    where a.attrelid = p_copy and a.attnum > 0 and not a.attisdropped
  ) as a;
  if v_nullable is not null then
    execute format('alter table pg_temp.%s %s', v_alias, v_nullable);
  end if;

  perform set_config('search_path', maintenance_internal.owner_path(), true);
  execute format(
    'insert into pg_temp.%1$s (%2$s) '
    'select %2$s from (select * from %3$s limit 10000) as %1$s where %4$s limit 300',
    v_alias, v_columns, v_table, v_due) using v_cutoff;
  execute format(
    'with changed as (update pg_temp.%1$s set %2$s returning (%3$s) as again) '
    'select count(*) from changed where again',
    v_alias, p_policy.assign, v_due) into v_again using v_cutoff;
  if v_again > 0 then
    raise exception 'after assign "%" the rows would be due again, for ever', p_policy.assign
      using errcode = 'PM005', hint = 'Let matching exclude what assign has set.';
  end if;
exception when data_exception then
  raise exception 'assign "%" does not fit: %', p_policy.assign, sqlerrm
    using errcode = 'PM004', detail = 'SQLSTATE ' || sqlstate,
      hint = 'A column is too short, or of another type, for what the rule sets.';
end
$$;

-- The best index that Postgres takes for a rule: partial on it, else on the age alone, else none.
create function maintenance_internal.find_index(
  p_policy maintenance_internal.policy,
  p_copy regclass)
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_table text := 'pg_temp.' || maintenance_internal.target_alias(p_copy);
  v_on text := format(case when p_policy.age ~ '^("[^"]+"|[a-z_][a-z0-9_]*)$' then '(%s)'
    else '((%s))' end, p_policy.age);
begin
  perform set_config('search_path', maintenance_internal.owner_path(), true);
  foreach v_on in array array_remove(array[v_on || ' where ' || p_policy.matching, v_on], null)
  loop
    begin
      execute format('create index on %s %s', v_table, v_on);
      return v_on;
    exception when invalid_object_definition or feature_not_supported or undefined_parameter then
      null; -- not immutable, a subquery, or the cut-off
    end;
  end loop;
  return null;
end
$$;

-- Says how many rows are due now, and which share of the table that is: the last chance to see that
-- a rule means more than was meant.
create function maintenance_internal.tell_due(
  p_job_name text,
  p_policy maintenance_internal.policy)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_cap constant integer := 10000;
  v_due bigint;
  v_rows double precision;
begin
  select c.due into v_due from maintenance_internal.count_due(
    p_policy, maintenance_internal.clock() - p_policy.keep, v_cap,
    maintenance_internal.owner_path()) as c;
  -- Of how many is not known before the first ANALYZE; nor is the share of what was counted in
  -- part.
  select case when min(c.reltuples) >= 0 and v_due < v_cap
    then greatest(sum(c.reltuples), v_due) end into v_rows
  from pg_class as c
  where c.oid = any (maintenance_internal.leaf_tables(p_policy.target::regclass));
  raise notice '%: % row% of % due now%', p_job_name,
    case when v_due = v_cap then 'at least ' else '' end || v_due,
    case when v_due <> 1 then 's' else '' end,
    p_policy.target || case when v_due = 1 then ' is' else ' are' end,
    case when v_due > 0 and v_rows > 0 then format(', %s %% of it', round(100 * v_due / v_rows))
      else '' end;
exception when others or assert_failure then
  raise warning '%: what is due cannot be counted: %', p_job_name, sqlerrm
    using hint = format('select * from maintenance.lint(%L);', p_job_name);
end
$$;
