-- Accounts: expired sessions go, the subscription summary is refreshed, statistics are kept fresh,
-- indexes are reported. Rules S4-01 to S4-10, S4-16 and S4-18.

select maintenance.set_policy(
  'cleanup_expired_sessions',
  target => 'public.sessions',
  action => 'delete',
  age => 'expires_at',
  keep => '0',
  schedule => '0 * * * *',
  description => 'Sessions that have expired',
  backlog_name => 'expired_sessions');

create function public.cleanup_expired_sessions()
returns integer
language sql
set search_path = pg_catalog, pg_temp
return maintenance.run_or_raise('cleanup_expired_sessions');

comment on function public.cleanup_expired_sessions() is
  'Deletes the sessions whose expires_at has come (S4-01), in the caller''s transaction; rows '
  'deleted. Errors: PM008 it failed, PM009 it is running or disabled.';

create function public.refresh_subscription_summary_step(batch_size integer)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_rows bigint;
  v_concurrently boolean := (
    select c.relispopulated from pg_class as c
    where c.oid = 'public.user_subscription_summary'::regclass);
begin
  -- Postgres refuses CONCURRENTLY on a view that was never filled (S4-18).
  if v_concurrently then
    refresh materialized view concurrently public.user_subscription_summary;
  else
    refresh materialized view public.user_subscription_summary;
  end if;
  select count(*) into v_rows from public.user_subscription_summary;
  perform maintenance.add_details(
    jsonb_build_object('rows', v_rows, 'concurrently', v_concurrently));
  notify subscription_summary_refreshed;
  return 0;
end
$$;

comment on function public.refresh_subscription_summary_step(integer) is
  'Step of refresh_subscription_summary: one refresh, without blocking readers where the view is '
  'filled (S4-02); leaves the number of rows on the receipt and notifies '
  'subscription_summary_refreshed.';

create function public.stale_subscription_summary(cap integer)
returns table (due bigint, oldest timestamptz)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_since timestamptz :=
    coalesce(maintenance.last_success('refresh_subscription_summary'), '-infinity')
    - interval '1 hour';
begin
  if not (select c.relispopulated from pg_class as c
    where c.oid = 'public.user_subscription_summary'::regclass) then
    return query
      select count(*), min(u.created_at)
      from (select p.created_at from public.users as p limit cap) as u;
    return;
  end if;

  -- Looked at is what changed since the last refresh began, and an hour before it for the
  -- transactions that were open then; stale is what differs.
  return query
    with changed as (
      select u.id, u.updated_at
      from public.users as u
      where u.updated_at >= v_since
      union all
      select s.user_id, s.updated_at
      from public.user_subscriptions as s
      where s.updated_at >= v_since and s.user_id is not null
    ), stale as (
      select max(c.updated_at) as updated_at
      from changed as c
      join public.user_subscription_now as n on n.user_id = c.id
      left join public.user_subscription_summary as m on m.user_id = c.id
      where to_jsonb(m) is distinct from to_jsonb(n)
      group by c.id
      limit cap
    )
    select count(*), min(stale.updated_at) from stale;
end
$$;

comment on function public.stale_subscription_summary(integer) is
  'How many users differ from their row in user_subscription_summary, up to cap, and since when '
  '(S4-16).';

select maintenance.set_job(
  'refresh_subscription_summary',
  step => 'public.refresh_subscription_summary_step',
  schedule => '0 * * * *',
  description => 'Users whose subscription summary is out of date',
  backlog_name => 'subscription_summary_stale',
  backlog_function => 'public.stale_subscription_summary');

create function public.refresh_subscription_summary()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform maintenance.run_or_raise('refresh_subscription_summary');
end
$$;

comment on function public.refresh_subscription_summary() is
  'Refreshes user_subscription_summary (S4-02), concurrently where it is filled, in the caller''s '
  'transaction. Errors: PM008 it failed, PM009 it is running or disabled.';

create function public.analyze_account_tables_step(batch_size integer)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  analyze public.users, public.user_subscriptions, public.sessions;
  return 0;
end
$$;

comment on function public.analyze_account_tables_step(integer) is
  'Step of analyze_account_tables: ANALYZE of users, user_subscriptions and sessions (S4-04).';

select maintenance.set_job(
  'analyze_account_tables',
  step => 'public.analyze_account_tables_step',
  schedule => '0 * * * *',
  description => 'Fresh planner statistics for users, user_subscriptions and sessions');

select maintenance.set_statement(
  'vacuum_account_tables',
  statement => 'vacuum (analyze, skip_locked) '
    'public.users, public.user_subscriptions, public.sessions',
  schedule => '0 2 * * 0',
  description => 'VACUUM of users, user_subscriptions and sessions, but what autovacuum is at');

create function public.weekly_index_report_step(batch_size integer)
returns bigint
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  select maintenance.add_details(jsonb_build_object(
    'indexes', (select count(*) from maintenance.index_health),
    'bytes', (select coalesce(sum(h.bytes), 0) from maintenance.index_health as h),
    'unused', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'index', format('%I.%I', h.schema_name, h.index_name), 'bytes', h.bytes)
        order by h.bytes desc), '[]')
      from maintenance.index_health as h where h.is_unused),
    'invalid', (
      select coalesce(jsonb_agg(format('%I.%I', h.schema_name, h.index_name)), '[]')
      from maintenance.index_health as h where not h.is_valid),
    'bloated', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'table', format('%I.%I', b.schema_name, b.table_name), 'deadPercent', b.dead_percent)
        order by b.dead_rows desc), '[]')
      from maintenance.table_bloat as b where b.is_bloated)));
  select 0::bigint;
end;

comment on function public.weekly_index_report_step(integer) is
  'Step of weekly_index_report: leaves unused and invalid indexes and bloated tables on the '
  'receipt (S4-05 to S4-07).';

select maintenance.set_job(
  'weekly_index_report',
  step => 'public.weekly_index_report_step',
  schedule => '10 2 * * 0',
  description => 'Unused and invalid indexes and bloated tables, kept in details of the receipt');

create function public.get_database_health_stats()
returns jsonb
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
set timezone = 'UTC'
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
      select from public.sessions as s where s.expires_at <= maintenance.clock() limit 10000
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
