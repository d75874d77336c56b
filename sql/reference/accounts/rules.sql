-- Accounts: expired sessions go, statistics are kept fresh, indexes are reported. Rules S4-01 and
-- S4-04 to S4-10.
-- Over tables of your own of these names:
--   psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -1 -f sql/reference/accounts/rules.sql

select maintenance.set_policy(
  'cleanup_expired_sessions',
  target => 'public.sessions',
  action => 'delete',
  age => 'expires_at',
  keep => '0',
  schedule => '0 * * * *',
  description => 'Sessions that have expired',
  backlog_name => 'expired_sessions');

select maintenance.set_statement(
  'analyze_account_tables',
  statement => 'analyze public.users, public.user_subscriptions, public.sessions',
  schedule => '0 * * * *',
  description => 'Fresh planner statistics for users, user_subscriptions and sessions');

select maintenance.set_statement(
  'vacuum_account_tables',
  statement => 'vacuum (analyze, skip_locked) '
    'public.users, public.user_subscriptions, public.sessions',
  schedule => '0 2 * * 0',
  description => 'VACUUM of users, user_subscriptions and sessions, but what autovacuum is at');

select maintenance.set_job(
  'weekly_index_report',
  step => 'maintenance.index_report_step',
  schedule => '10 2 * * 0',
  description => 'Unused and invalid indexes and bloated tables, kept in details of the receipt');
