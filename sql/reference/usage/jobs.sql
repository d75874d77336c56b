-- Usage: the jobs that are functions of the reference application.

select maintenance.set_job(
  'usage_analysis',
  step => 'public.usage_analysis_step',
  schedule => '0 1 * * *',
  description => 'Reports what the calls of models were like the day before');

select maintenance.configure_job('usage_analysis', priority => 'medium',
  budget => '9 minutes', timeout => '10 minutes', depends_on => '{daily_memory_cleanup}');

select maintenance.set_job(
  'monthly_quota_reset',
  step => 'public.monthly_quota_reset_step',
  schedule => '0 0 1 * *',
  description => 'Reports how much of their limits a month models have used when it is over');

select maintenance.configure_job('monthly_quota_reset', priority => 'low',
  budget => '50 seconds', timeout => '1 minute');

select maintenance.set_job(
  'rate_limit_monitor',
  step => 'public.rate_limit_monitor_step',
  schedule => '* * * * *',
  description => 'Counts for the limits of models what the application has logged');

select maintenance.configure_job('rate_limit_monitor', priority => 'critical',
  budget => '4 seconds', timeout => '5 seconds');
