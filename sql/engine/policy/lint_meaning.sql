-- What a rule can hardly be meant to say: it asks the session that reads it, or the ages of its
-- rows lie where no time lies.

create function maintenance_internal.lint_meaning(
  p_policy maintenance_internal.policy,
  p_table regclass)
returns table (severity text, finding text, fix text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_dear constant double precision := 10000; -- as the planner counts it: some tenths of a second
  v_session text;
  v_statement text := format(
    'select min(%1$s)::timestamptz, max(%1$s)::timestamptz from %2$s as %3$s', p_policy.age,
    p_table, maintenance_internal.target_alias(p_table));
  v_plan jsonb;
  v_oldest timestamptz;
  v_newest timestamptz;
begin
  -- As Postgres prints them: functions with a bracket, keywords in capitals.
  select string_agg(distinct lower(coalesce(m[1], m[2])), ', ') into v_session
  from regexp_matches(
    regexp_replace(concat_ws(' ', p_policy.age, p_policy.matching, p_policy.assign),
      '''([^'']|'''')*''|"([^"]|"")*"', '', 'g'),
    '\y(?:(current_(?:setting|schemas?|query)|inet_\w+_(?:addr|port)|pg_backend_pid|'
    'pg_my_temp_schema|has_\w+_privilege|pg_has_role|row_security_active)\(|'
    '(CURRENT_USER|SESSION_USER|CURRENT_ROLE|USER|CURRENT_SCHEMA)\y)', 'g') as m;
  if v_session is not null then
    severity := 'warning';
    finding := format('the rule asks the session that reads it, by %s: status and run can disagree',
      v_session);
    fix := '-- Keep what it should depend on in a table.';
    return next;
  end if;

  perform set_config('search_path', maintenance_internal.owner_path(), true);
  execute 'explain (format json) ' || v_statement into v_plan;
  if (v_plan #>> '{0,Plan,Total Cost}')::double precision < v_dear then
    execute v_statement into v_oldest, v_newest;
  end if;
  perform set_config('search_path', 'pg_catalog, pg_temp', true);
  -- The year 9999 says never.
  if isfinite(v_newest) and v_newest > maintenance_internal.clock() + interval '20 years'
    and extract(year from v_newest) <> 9999
    or isfinite(v_oldest) and v_oldest < '1980-01-01' then
    severity := 'warning';
    finding := format('the ages of %s reach from %s to %s', p_table, v_oldest, v_newest);
    fix := '-- Milliseconds read as seconds lie far ahead, seconds read as milliseconds in 1970: '
      'correct the column, or the age.';
    return next;
  end if;
end
$$;
