-- What an application asks of its accounts by function.

create function public.cleanup_expired_sessions()
returns integer
language sql
set search_path = pg_catalog, pg_temp
return (maintenance_internal.run_or_raise('cleanup_expired_sessions') ->> 'rowsAffected')::integer;

comment on function public.cleanup_expired_sessions() is
  'Deletes the sessions whose expires_at has come (S4-01), in the caller''s transaction; rows '
  'deleted. Errors: PM008 it failed, PM009 it is running or disabled.';

create function public.get_database_health_stats()
returns jsonb
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
declare
  v_bloated jsonb;
  v_unused jsonb;
  v_expired bigint;
  v_sessions bigint;
  v_issues jsonb := '[]'::jsonb;
begin
  select coalesce(jsonb_agg(jsonb_build_object(
      'table', format('%I.%I', b.schema_name, b.table_name),
      'deadRows', b.dead_rows, 'deadPercent', b.dead_percent) order by b.dead_rows desc), '[]')
  into v_bloated
  from maintenance.table_bloat as b
  where b.is_bloated;
  select coalesce(
    jsonb_agg(format('%I.%I', h.schema_name, h.index_name) order by h.bytes desc), '[]')
  into v_unused
  from maintenance.index_health as h
  where h.is_unused;
  begin
    select count(*) into v_expired
    from (
      select from public.sessions as s
      where s.expires_at <= maintenance_internal.clock()
      limit 10000
    ) as s;
  exception when lock_not_available then
    null; -- said below
  end;
  select greatest(c.reltuples, 0)::bigint into v_sessions
  from pg_class as c where c.oid = 'public.sessions'::regclass;

  select coalesce(
    jsonb_agg(format('%s has %s %% dead rows', b ->> 'table', b ->> 'deadPercent')), '[]')
  into v_issues
  from jsonb_array_elements(v_bloated) as b;
  if v_expired is null then
    v_issues := v_issues || '["public.sessions is locked: its expired rows are not counted"]';
  elsif v_expired > 1000 then
    v_issues := v_issues || to_jsonb(format('%s%s expired sessions',
      case when v_expired = 10000 then 'at least ' else '' end, v_expired));
  end if;

  return jsonb_build_object(
    'healthy', v_issues = '[]',
    'issues', v_issues,
    'stats', jsonb_build_object(
      'bloatedTables', v_bloated,
      'unusedIndexes', v_unused,
      'expiredSessions', v_expired,
      'totalSessions', v_sessions,
      'databaseBytes', pg_database_size(current_database())),
    'timestamp', to_char(now(), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'));
end
$$;

comment on function public.get_database_health_stats() is
  '{healthy, issues, stats: {bloatedTables, unusedIndexes, expiredSessions (counted up to 10,000; '
  'null while the table is locked), totalSessions (the planner''s estimate), databaseBytes}, '
  'timestamp} (S4-03). Unused indexes are told and are no issue (C-31).';
