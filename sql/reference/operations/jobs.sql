-- Operations: the health check, upkeep, and backups.

select maintenance.set_job(
  'health_check',
  step => 'public.health_check_step',
  schedule => '*/5 * * * *',
  description => 'Leaves on its receipt how the database, the models, the disk and the jobs are');

select maintenance.configure_job('health_check', priority => 'critical',
  budget => '25 seconds', timeout => '30 seconds');

select maintenance.set_job(
  'database_maintenance',
  step => 'maintenance.upkeep_step',
  schedule => '0 2 * * 6',
  description => 'VACUUM, ANALYZE and REINDEX where something needs them, in the two hours after');

select maintenance.configure_job('database_maintenance',
  priority => 'high', timeout => '10 minutes');

select maintenance.set_job(
  'automated_backup',
  step => 'public.automated_backup_step',
  schedule => '0 3 * * *',
  description => 'Backups: the last that was verified is older than 26 hours, or there is none',
  backlog_name => 'backups_overdue',
  backlog_function => 'public.overdue_backups');

select maintenance.configure_job('automated_backup', priority => 'critical',
  budget => '29 minutes', timeout => '30 minutes', depends_on => '{usage_analysis}');
