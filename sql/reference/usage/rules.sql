-- Usage: logs and reports go when they are old enough. Rule S2-42.
-- Over tables of your own of these names:
--   psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -1 -f sql/reference/usage/rules.sql

select maintenance.set_policy(
  'purge_usage_logs',
  target => 'public.api_usage_logs',
  action => 'delete',
  age => 'timestamp',
  keep => '90 days',
  schedule => '7 0 * * *',
  description => 'Calls of models, in the log of usage; what is reported of them stays',
  backlog_name => 'old_usage_logs');

select maintenance.set_policy(
  'purge_usage_reports',
  target => 'public.daily_usage_reports',
  action => 'delete',
  age => 'report_date',
  keep => '2 years',
  schedule => '8 0 * * *',
  description => 'Reports of usage by day',
  backlog_name => 'old_usage_reports');
