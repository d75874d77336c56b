-- The engine's own jobs: the tick, and what keeps its own history and pg_cron's from growing.

select maintenance.set_statement(
  'tick',
  statement => 'call maintenance.tick()',
  schedule => '* * * * *',
  description => 'Receipts of the statements that pg_cron runs itself');

select maintenance.set_policy(
  'purge_receipts',
  target => 'maintenance_internal.run',
  action => 'delete',
  age => 'finished_at',
  keep => '90 days',
  -- The last of a job, of its successes and of what was skipped stays: what it owes is counted
  -- from there.
  matching => $$not exists (
      select from maintenance_internal.job as j where j.job_id = run.job_id)
    or run.status = 'skipped' and exists (
      select from maintenance_internal.run as l
      where l.job_id = run.job_id and l.status = 'skipped' and l.started_at > run.started_at)
    or exists (
      select from maintenance_internal.run as l
      where l.job_id = run.job_id and l.status <> 'skipped' and l.started_at > run.started_at)
    and (run.status <> 'succeeded' or exists (
      select from maintenance_internal.run as l
      where l.job_id = run.job_id and l.status = 'succeeded' and l.started_at > run.started_at))$$,
  schedule => '40 3 * * *',
  description => 'Receipts that nobody needs any more');

select maintenance.set_job(
  'purge_cron_history',
  step => 'maintenance_internal.purge_cron_history_step',
  schedule => '50 3 * * *',
  description => 'pg_cron''s own history, a row for every firing, beyond seven days');
