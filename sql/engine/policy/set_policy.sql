-- Sets one rule over one table: which rows are due, and what becomes of them. The texts are read
-- here, as in the caller's session; what is done with them is done in put_policy, as anywhere else.

create function maintenance.set_policy(
  job_name text,
  target regclass,
  action text,
  age text,
  keep interval,
  matching text default null,
  assign text default null,
  trusted_owner name default null,
  schedule text default null,
  description text default null,
  backlog_name text default null)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_table regclass;
  v_alias text;
  v_copy regclass;
  v_has_cutoff boolean;
  v_parsed record;
  v_columns smallint[];
  v_policy maintenance_internal.policy;
  v_job maintenance_internal.job;
begin
  if to_regrole(quote_ident(set_policy.trusted_owner)) is null
    and set_policy.trusted_owner is not null then
    raise exception 'there is no role "%"', set_policy.trusted_owner
      using errcode = 'PM002', hint = 'trusted_owner is the role that owns the target.';
  end if;
  v_table := maintenance_internal.find_target(set_policy.target::text, set_policy.trusted_owner);
  v_alias := maintenance_internal.target_alias(v_table);
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
  v_policy.trusted_owner := set_policy.trusted_owner;

  select * into v_parsed
  from maintenance_internal.parse_expression(
    v_copy, 'age', set_policy.age, false, set_policy.trusted_owner);
  v_policy.age := v_parsed.printed;
  v_policy.calls := v_parsed.calls;
  v_columns := v_parsed.columns;
  v_policy.age_type := case v_parsed.type
    when 'timestamp with time zone' then 'timestamptz'
    when 'timestamp without time zone' then 'timestamp'
    when 'date' then 'date'
  end;
  if v_policy.age_type is null then
    raise exception 'age "%" is no time: its type is %', set_policy.age, v_parsed.type
      using errcode = 'PM004', hint = case
        when v_parsed.type in ('integer', 'bigint', 'numeric', 'double precision')
          then format('Of seconds: to_timestamp(%1$s); of milliseconds: to_timestamp(%1$s / '
            '1000.0). Such an age needs an index of its own.', set_policy.age)
        else 'Give a timestamptz, a timestamp (read as UTC) or a date.' end;
  elsif v_columns = '{}' then
    raise exception 'age "%" reads no column of %', set_policy.age, v_table
      using errcode = 'PM004',
        hint = 'It is the age of a row: created_at. How long rows are kept is what keep says.';
  end if;

  if set_policy.matching is not null then
    v_has_cutoff := exists (
      select from pg_attribute as a
      where a.attrelid = v_copy and a.attname = 'cutoff' and not a.attisdropped);
    if not v_has_cutoff then
      execute format('alter table pg_temp.%s add column cutoff timestamptz', v_alias);
    end if;
    select * into v_parsed from maintenance_internal.parse_expression(
      v_copy, 'matching', set_policy.matching, not v_has_cutoff, set_policy.trusted_owner);
    if not v_has_cutoff then
      execute format('alter table pg_temp.%s drop column cutoff', v_alias);
    end if;
    v_policy.matching := v_parsed.printed;
    v_policy.calls := v_policy.calls || v_parsed.calls;
    v_columns := v_columns || v_parsed.columns;
    if v_parsed.type <> 'boolean' then
      raise exception 'matching "%" is no condition: its type is %', set_policy.matching,
          v_parsed.type
        using errcode = 'PM004', hint = 'Give an expression that is true for the rows that may go.';
    end if;
  end if;

  if set_policy.assign is not null then
    select * into v_parsed
    from maintenance_internal.parse_assign(
      v_table, v_copy, set_policy.assign, set_policy.trusted_owner);
    v_policy.assign := v_parsed.printed;
    v_policy.calls := v_policy.calls || v_parsed.calls;
    v_columns := v_columns || v_parsed.columns;
  end if;
  v_policy.calls := array(select distinct c from unnest(v_policy.calls) as c order by c);

  v_job.job_name := set_policy.job_name;
  v_job.kind := 'policy';
  v_job.schedule := set_policy.schedule;
  v_job.description := coalesce(set_policy.description, format('%s rows of %s whose %s is %s',
    initcap(v_policy.action || 's'), v_policy.target, v_policy.age,
    case when v_policy.keep = interval '0' then 'past' else 'older than ' || v_policy.keep end));
  v_job.backlog_name := set_policy.backlog_name;
  perform maintenance_internal.put_policy(v_job, v_policy, v_copy, v_columns);
end
$$;

comment on function maintenance.set_policy(
  text, regclass, text, text, interval, text, text, name, text, text, text) is
  'Sets a rule over a table: rows are due when age <= cutoff, which is now() - keep, and '
  'matching holds; the action ''delete'' removes them, ''update'' sets assign. target: a table, '
  'kept with its schema. age: a column or expression of type timestamptz, timestamp (read as '
  'UTC) or date. matching: a condition; it may name cutoff. Expressions are read as in the '
  'owner''s own sessions, their dates and times as in the caller''s, and kept in full. '
  'trusted_owner: the role that owns the table, where that is not the engine''s owner, and it is '
  'meant that its triggers and functions run with the engine owner''s rights. schedule: '
  'five-field cron, UTC; put into pg_cron at once where that is here. backlog_name: the row''s '
  'name in maintenance_status. Setting it again replaces it, and says what that dropped; an '
  'operator''s edits in pg_cron survive. Says how many rows are due now, and what lint finds, as '
  'notice and warnings. For the engine''s owner. Errors: PM002 argument, PM003 target, PM004 '
  'expression, PM005 the update would match its own result, PM006 schedule.';
