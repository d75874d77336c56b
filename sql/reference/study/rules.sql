-- Study: memories, summaries and the log of what students did go when they are old enough. Rules
-- S2-09, S2-42, C-18.
-- Over tables of your own of these names:
--   psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -1 -f sql/reference/study/rules.sql

select maintenance.set_policy(
  'daily_memory_cleanup',
  target => 'public.study_chat_memory',
  action => 'delete',
  age => $$
    coalesce(expires_at, (created_at at time zone 'UTC' + interval '8 months') at time zone 'UTC')
  $$,
  keep => '0',
  schedule => '0 0 * * *',
  description => 'Memories that have expired; without a date, after eight months',
  backlog_name => 'expired_memories');

select maintenance.configure_job('daily_memory_cleanup',
  priority => 'high', budget => '4 minutes', timeout => '5 minutes');

select maintenance.set_policy(
  'purge_memory_summaries',
  target => 'public.memory_summaries',
  action => 'delete',
  age => 'expires_at',
  keep => '0',
  schedule => '5 0 * * *',
  description => 'Summaries of memories that have expired',
  backlog_name => 'expired_summaries');

select maintenance.set_policy(
  'purge_activity_logs',
  target => 'public.activity_logs',
  action => 'delete',
  age => 'created_at',
  keep => '1 year',
  schedule => '6 0 * * *',
  description => 'What students did more than a year ago',
  backlog_name => 'old_activity');
