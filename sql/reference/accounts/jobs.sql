-- Accounts: the jobs that are functions of the reference application.

select maintenance.set_job(
  'refresh_subscription_summary',
  step => 'public.refresh_subscription_summary_step',
  schedule => '0 * * * *',
  description => 'Users whose subscription summary is out of date',
  backlog_name => 'subscription_summary_stale',
  backlog_function => 'public.stale_subscription_summary');
