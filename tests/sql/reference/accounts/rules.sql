-- The account jobs, rule by rule: S4-01 to S4-10, S4-16, S4-18, C-27 to C-31.
begin;
create extension pgtap;
select plan(32);

-- S4-01
insert into public.sessions (token, expires_at) values
  ('past', now() - interval '1 second'), ('now', now()), ('future', now() + interval '1 minute');
select is((select count from public.maintenance_status where task = 'expired_sessions'), 2::bigint,
  'the status counts sessions that have expired, the one that expires now among them');
select is(public.cleanup_expired_sessions(), 2,
  'S4-01: expired sessions are deleted, the one that expires now among them');
select results_eq('select token from public.sessions', array['future'], 'a session that expires later stays');

-- S4-08, S4-09
select is((select a.amname from pg_class c join pg_am a on a.oid = c.relam where c.relname = 'idx_sessions_token_hash'),
  'hash'::name,
  'S4-08: the token of a session has a hash index');
set local enable_seqscan = off;
create function pg_temp.plan(query text) returns text language plpgsql
as $$ declare line text; result text := ''; begin for line in execute 'explain ' || query loop result := result || line;
  end loop; return result; end $$;
select ok(pg_temp.plan($$select * from public.sessions where token = 'x'$$) like '%idx_sessions_token_hash%',
  'a look-up of a session by its token uses the hash index');
reset enable_seqscan;
select is(pg_get_indexdef('public.idx_user_subscriptions_plan_status'::regclass),
  'CREATE INDEX idx_user_subscriptions_plan_status ON public.user_subscriptions USING btree (plan, status) '
    'WHERE (status '
    '= ''active''::text)',
  'S4-09: user_subscriptions has a partial index on the plan and status of active rows');

-- S4-10, C-27, C-28
insert into public.users (id, email) values
  ('00000000-0000-0000-0000-000000000001', 'none@example.org'),
    ('00000000-0000-0000-0000-000000000002', 'one@example.org'),
  ('00000000-0000-0000-0000-000000000003', 'two@example.org'),
    ('00000000-0000-0000-0000-000000000004', 'ended@example.org');
insert into public.user_subscriptions (user_id, plan, status, current_period_end) values
  ('00000000-0000-0000-0000-000000000002', 'vt_plus', 'active', now() + interval '1 day'),
  ('00000000-0000-0000-0000-000000000003', 'vt_base', 'cancelled', now() + interval '9 days'),
  ('00000000-0000-0000-0000-000000000003', 'vt-plus', 'active', now() + interval '1 day'),
  ('00000000-0000-0000-0000-000000000003', 'vt_base', 'active', now() + interval '1 hour'),
  ('00000000-0000-0000-0000-000000000004', 'vt_plus', 'expired', now() - interval '1 day');
select has_materialized_view('public', 'user_subscription_summary',
  'S4-10: there is a materialized view user_subscription_summary');
select columns_are('public', 'user_subscription_summary',
  array['user_id', 'email', 'user_plan_slug', 'subscription_status', 'current_period_end',
  'creem_subscription_id', 'is_vt_plus', 'subscription_created_at', 'subscription_updated_at'],
    'user_subscription_summary has its nine columns');
select is((select count from public.maintenance_status where task = 'subscription_summary_stale'), 4::bigint,
  'S4-16: the status counts four users who are missing in the summary as stale');
select lives_ok('select public.refresh_subscription_summary()',
  'S4-02: refresh_subscription_summary() refreshes the summary');
select is((select count from public.maintenance_status where task = 'subscription_summary_stale'), 0::bigint,
  'no user is stale after a refresh of the subscription summary');
select results_eq('select left(email, 4), user_plan_slug, subscription_status, is_vt_plus from '
  'public.user_subscription_summary order by user_id',
  $$values ('none', null, null::text, false), ('one@', 'vt_plus', 'active', true),
    ('two@', 'vt-plus', 'active', true), ('ende', 'vt_plus', 'expired', false)$$,
  'the summary shows each user''s active, then longest subscription; vt-plus counts as plus');
select is((select details - 'bytes' from maintenance.run_history where job_name = 'refresh_subscription_summary'
  order by run_id desc limit 1),
  '{"rows": 4, "concurrently": true}', 'S4-16: the receipt of a refresh holds the rows, and that it was concurrent');
update public.user_subscriptions set status = 'cancelled' where user_id = '00000000-0000-0000-0000-000000000002';
select is((select count from public.maintenance_status where task = 'subscription_summary_stale'), 1::bigint,
  'a changed subscription makes its user stale');
update public.users set name = 'Nobody';
select is((select count from public.maintenance_status where task = 'subscription_summary_stale'), 1::bigint,
  'a change to a column that the summary does not hold makes no user stale');
refresh materialized view public.user_subscription_summary with no data;
select is((select count from public.maintenance_status where task = 'subscription_summary_stale'), 4::bigint,
  'an empty summary is stale for everybody');
select lives_ok('select public.refresh_subscription_summary()', 'S4-18: an unpopulated summary is filled plainly');
select is((select details ->> 'concurrently' from maintenance.run_history
  where job_name = 'refresh_subscription_summary' order by run_id desc limit 1),
  'false', 'the receipt of a refresh of an unpopulated summary says that it was not concurrent');

-- C-016
insert into public.users (id, email) values ('00000000-0000-0000-0001-00000000000a', 'a@example.org'),
  ('00000000-0000-0000-0001-00000000000b', 'b@example.org'),
  ('00000000-0000-0000-0001-00000000000c', 'c@example.org'), ('00000000-0000-0000-0001-00000000000d', 'd@example.org');
insert into public.user_subscriptions (user_id, plan, status, current_period_end, created_at) values
  ('00000000-0000-0000-0001-00000000000a', 'vt_plus', 'active', null, now()),
    ('00000000-0000-0000-0001-00000000000a', 'vt_base', 'active', now() + interval '5 days', now()),
  ('00000000-0000-0000-0001-00000000000b', 'vt_plus', 'active', now() + interval '5 days', now()),
    ('00000000-0000-0000-0001-00000000000b', 'vt_base', 'active', now() + interval '5 days', now()),
  ('00000000-0000-0000-0001-00000000000c', 'vt_plus', 'cancelled', null, now()),
    ('00000000-0000-0000-0001-00000000000c', 'vt_base', 'cancelled', now() - interval '5 days', now());
select public.refresh_subscription_summary();
create temporary table seen as select user_id, user_plan_slug, subscription_status, current_period_end, is_vt_plus,
  subscription_created_at from public.user_subscription_summary;
select results_eq($$select left(email, 1), user_plan_slug, subscription_status, is_vt_plus
  from public.user_subscription_summary where email ~ '^[acd]@' order by email$$,
  $$values ('a', 'vt_base', 'active', false), ('c', 'vt_base', 'cancelled', false), ('d', null, null, false)$$,
    'C-016: a subscription without an end gives way to one that has one');
update public.user_subscriptions set updated_at = updated_at where plan = 'vt_plus';
update public.user_subscriptions set updated_at = updated_at where plan <> 'vt_plus';
select public.refresh_subscription_summary();
select set_eq('select user_id, user_plan_slug, subscription_status, current_period_end, is_vt_plus, '
  'subscription_created_at from public.user_subscription_summary', 'table seen',
  'C-016: the place of subscription rows in their table does not change the summary');

-- S4-04 to S4-07
select is((select kind || ' ' || schedule || ' ' || statement from maintenance_internal.job
  where job_name = 'analyze_account_tables'),
  'statement 0 * * * * analyze public.users, public.user_subscriptions, public.sessions',
    'S4-04: the hourly ANALYZE is one statement');
select is((select kind || ' ' || schedule || ' ' || statement from maintenance_internal.job
  where job_name = 'vacuum_account_tables'),
  'statement 0 2 * * 0 vacuum (analyze, skip_locked) public.users, public.user_subscriptions, public.sessions',
    'S4-05: the weekly VACUUM is one statement');
select is(maintenance.run_now('weekly_index_report') ->> 'success', 'true', 'S4-05: the index report runs as a job');
select ok((select details ?& array['indexes', 'bytes', 'unused', 'invalid', 'bloated'] from maintenance.run_history
  where job_name = 'weekly_index_report' order by run_id desc limit 1),
    'the receipt of weekly_index_report keeps the report');
select is((select schedule from maintenance_internal.job where job_name = 'cleanup_expired_sessions'), '0 * * * *',
  'S4-04: cleanup_expired_sessions runs hourly');
select columns_are('maintenance', 'index_health', array['schema_name', 'table_name', 'index_name', 'bytes', 'idx_scan',
  'is_unique', 'is_valid', 'is_unused'], 'S4-06: maintenance.index_health has its columns');
select is((select is_unused from maintenance.index_health where index_name = 'users_email_is_unique'), false,
  'C-31: a unique index is never unused');
select columns_are('maintenance', 'table_bloat', array['schema_name', 'table_name', 'live_rows', 'dead_rows',
  'dead_percent', 'is_bloated', 'bytes', 'air_bytes', 'air_percent', 'last_vacuum', 'last_analyze'],
    'S4-07: maintenance.table_bloat has its columns');

-- S4-03
select set_eq('select jsonb_object_keys(public.get_database_health_stats())',
  array['healthy', 'issues', 'stats', 'timestamp'], 'S4-03: get_database_health_stats() has its four keys');
select ok(public.get_database_health_stats() -> 'stats' ?& array['bloatedTables', 'unusedIndexes', 'expiredSessions',
  'totalSessions'], 'the stats of get_database_health_stats() hold bloat, unused indexes and session counts');
insert into public.sessions (expires_at) select now() - interval '1 day' from generate_series(1, 1001);
select is(public.get_database_health_stats() ->> 'healthy', 'false', 'more than 1,000 expired sessions are unhealthy');
select ok(public.get_database_health_stats() -> 'issues' ? '1001 expired sessions',
  'more than 1,000 expired sessions are named among the issues of health');
select * from finish();
rollback;
