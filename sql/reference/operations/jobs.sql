-- Operations: the health check, VACUUM, and backups.

select maintenance.set_job(
  'health_check',
  step => 'public.health_check_step',
  schedule => '*/5 * * * *',
  description => 'Leaves on its receipt how the database, the models, the disk and the jobs are');

select maintenance.configure_job('health_check', priority => 'critical',
  budget => '25 seconds', timeout => '30 seconds');

select maintenance.set_statement(
  'database_maintenance',
  statement => 'vacuum (analyze, skip_locked) public.chat_conversations, public.messages, '
    'public.study_chat_memory, public.memory_summaries, public.api_usage_logs, public.subjects, '
    'public.topics, public.user_profiles, public.student_ai_profile, public.activity_logs, '
    'public.search_cache',
  schedule => '0 2 * * 6',
  description => 'VACUUM and statistics of the tables of chat, study and usage');

select maintenance.configure_job('database_maintenance', timeout => '10 minutes');

select maintenance.set_job(
  'automated_backup',
  step => 'public.automated_backup_step',
  schedule => '0 3 * * *',
  description => 'Backups: the last that was verified is older than 26 hours, or there is none',
  backlog_name => 'backups_overdue',
  backlog_function => 'public.overdue_backups');

select maintenance.configure_job('automated_backup', priority => 'critical',
  budget => '29 minutes', timeout => '30 minutes', depends_on => '{usage_analysis}');
