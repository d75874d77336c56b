-- Sets one rule over one table: which rows are due, and what becomes of them.

create function maintenance.set_policy(
  job_name text,
  target regclass,
  action text,
  age text,
  keep interval,
  matching text default null,
  assign text default null,
  schedule text default null,
  description text default null,
  backlog_name text default null)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set quote_all_identifiers = off
set row_security = off
set timezone = 'UTC'
set lock_timeout = '5s'
as $$
declare
  v_table regclass := maintenance_internal.find_target(set_policy.target::text);
  v_alias text := maintenance_internal.target_alias(v_table);
  v_copy regclass;
  v_columns text;
  v_type text;
  v_policy maintenance_internal.policy;
  v_job maintenance_internal.job;
  v_again bigint;
  v_index_on text;
  v_finding record;
begin
  if set_policy.action is null or set_policy.action not in ('delete', 'update') then
    raise exception 'the action "%" is not known', set_policy.action
      using errcode = 'PM002', hint = 'A policy deletes or updates: ''delete'' or ''update''.';
  end if;
  if set_policy.keep is null then
    raise exception 'a policy needs a keep'
      using errcode = 'PM002', hint = 'An interval of zero or more: ''90 days'', ''8 months''.';
  end if;
  perform maintenance_internal.check_keep(set_policy.keep);
  if (set_policy.action = 'update') <> (set_policy.assign is not null) then
    raise exception 'the action "%" %', set_policy.action,
      case when set_policy.assign is null then 'needs assign' else 'takes no assign' end
      using errcode = 'PM002',
        hint = 'assign is the SET list of an update, and of nothing else.';
  end if;
  if set_policy.age is null then
    raise exception 'a policy needs an age'
      using errcode = 'PM002', hint = 'A column or an expression that gives a time: created_at.';
  end if;
  if to_regclass('pg_temp.' || v_alias) is not null then
    raise exception 'this session has a temporary table %', v_alias
      using errcode = 'PM003',
        hint = 'Drop it: the rule is parsed over a temporary copy of that name.';
  end if;

  execute format('create temporary table %s (like %s including generated) on commit drop',
    v_alias, v_table);
  v_copy := ('pg_temp.' || v_alias)::regclass;

  v_policy.target := v_table::text;
  v_policy.action := set_policy.action;
  v_policy.keep := set_policy.keep;
  select e.printed, e.type into v_policy.age, v_type
  from maintenance_internal.parse_expression(v_copy, 'age', set_policy.age) as e;
  v_policy.age_type := case v_type
    when 'timestamp with time zone' then 'timestamptz'
    when 'timestamp without time zone' then 'timestamp'
    when 'date' then 'date'
  end;
  if v_policy.age_type is null then
    raise exception 'age "%" is no time: its type is %', set_policy.age, v_type
      using errcode = 'PM004', hint = 'Give a timestamptz, a timestamp (read as UTC) or a date.';
  end if;

  if set_policy.matching is not null then
    select e.printed, e.type into v_policy.matching, v_type
    from maintenance_internal.parse_expression(v_copy, 'matching', set_policy.matching) as e;
    if v_type <> 'boolean' then
      raise exception 'matching "%" is no condition: its type is %', set_policy.matching, v_type
        using errcode = 'PM004', hint = 'Give an expression that is true for the rows that may go.';
    end if;
  end if;

  if set_policy.assign is not null then
    v_policy.assign := maintenance_internal.parse_assign(v_table, v_copy, set_policy.assign);

    -- What a sample shows; every batch checks the same again.
    select string_agg(quote_ident(a.attname), ', ' order by a.attnum) into v_columns
    from pg_attribute as a
    where a.attrelid = v_copy and a.attnum > 0 and not a.attisdropped and a.attgenerated = '';
    execute format(
      'insert into %1$s (%2$s) '
      'select %2$s from (select * from %3$s limit 10000) as %4$s where %5$s',
      v_copy, v_columns, v_table, v_alias, maintenance_internal.due_condition(v_policy))
    using maintenance_internal.clock() - v_policy.keep;
    execute format(
      'with changed as (update %1$s as %2$s set %3$s returning (%4$s) as again) '
      'select count(*) from changed where again',
      v_copy, v_alias, v_policy.assign, maintenance_internal.due_condition(v_policy))
    into v_again using maintenance_internal.clock() - v_policy.keep;
    if v_again > 0 then
      raise exception 'after assign "%" the rows would be due again, for ever', set_policy.assign
        using errcode = 'PM005', hint = 'Let matching exclude what assign has set.';
    end if;
  end if;

  -- The best index that Postgres takes: partial on the rule, else on the age alone, else none.
  v_index_on := format(case when v_policy.age ~ '^("[^"]+"|[a-z_][a-z0-9_]*)$' then '(%s)'
    else '((%s))' end, v_policy.age);
  foreach v_index_on in array array_remove(
    array[v_index_on || ' where ' || v_policy.matching, v_index_on], null)
  loop
    begin
      execute format('create index on %s %s', v_copy, v_index_on);
      v_policy.index_on := v_index_on;
      exit;
    exception when invalid_object_definition or feature_not_supported then
      continue; -- not immutable, or a subquery
    end;
  end loop;
  execute format('drop table %s', v_copy);

  v_job.job_name := set_policy.job_name;
  v_job.kind := 'policy';
  v_job.schedule := set_policy.schedule;
  v_job.description := coalesce(set_policy.description, format('%s rows of %s whose %s is %s',
    initcap(v_policy.action || 's'), v_policy.target, v_policy.age,
    case when v_policy.keep = interval '0' then 'past' else 'older than ' || v_policy.keep end));
  v_job.backlog_name := set_policy.backlog_name;
  v_job := maintenance_internal.upsert_job(v_job);

  insert into maintenance_internal.policy as p
    (job_id, target, action, age, age_type, keep, matching, assign, index_on)
  values
    (v_job.job_id, v_policy.target, v_policy.action, v_policy.age, v_policy.age_type,
      v_policy.keep, v_policy.matching, v_policy.assign, v_policy.index_on)
  on conflict (job_id) do update
  set target = excluded.target,
    action = excluded.action,
    age = excluded.age,
    age_type = excluded.age_type,
    keep = excluded.keep,
    matching = excluded.matching,
    assign = excluded.assign,
    index_on = excluded.index_on;

  perform maintenance_internal.sync_schedule(v_job.job_name);
  for v_finding in select * from maintenance.lint(v_job.job_name) loop
    raise warning '%', v_finding.finding using hint = v_finding.fix;
  end loop;
end
$$;

comment on function maintenance.set_policy(
  text, regclass, text, text, interval, text, text, text, text, text) is
  'Sets a rule over a table: rows are due when age <= now() - keep and matching holds; the action '
  '''delete'' removes them, ''update'' sets assign. target: a table, kept with its schema. age: a '
  'column or expression of type timestamptz, timestamp (read as UTC) or date. schedule: five-field '
  'cron, UTC; put into pg_cron at once where that is here. backlog_name: the row''s name in '
  'maintenance_status. Setting it again replaces it; an operator''s edits in pg_cron survive. '
  'What lint finds is raised as warnings. '
  'For the engine''s owner. Errors: PM002 argument, PM003 target, PM004 expression, PM005 the '
  'update would match its own result, PM006 schedule.';
