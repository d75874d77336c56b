-- The engine's own jobs: the tick, what starts what is owed, and what keeps each table of its
-- own, and pg_cron's history, from growing for ever.

select maintenance.set_statement(
  'tick',
  statement => 'call maintenance.tick()',
  schedule => '* * * * *',
  description => 'Looks after all other jobs, every minute');

select maintenance.set_statement(
  'run_late',
  statement => 'call maintenance.run_late()',
  schedule => '* * * * *',
  description => 'Starts what is owed: retries, missed slots, runs that wait');

select maintenance.set_statement(
  'alert_monitor',
  statement => 'call maintenance.alert_monitor()',
  schedule => '* * * * *',
  description => 'Opens and closes alerts, and calls who listens');

select maintenance.set_policy(
  'purge_receipts',
  target => 'maintenance_internal.run',
  action => 'delete',
  age => 'finished_at',
  keep => '90 days',
  -- Of a job that is there the last that says how it is stays, the last trace, from which counts
  -- what it owes, and the last success.
  matching => $$not exists (
      select from maintenance_internal.job as j where j.job_id = run.job_id)
    or exists (
      select from maintenance_internal.run as l
      where l.job_id = run.job_id and l.traced_at > run.traced_at)
    and (run.status = 'skipped' and run.error is null or exists (
      select from maintenance_internal.run as l
      where l.job_id = run.job_id
        and (l.status not in ('waiting', 'skipped') or l.status = 'skipped' and l.error is not null)
        and coalesce(l.started_at, l.finished_at) > coalesce(run.started_at, run.finished_at)))
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

select maintenance.set_policy(
  'purge_edits',
  target => 'maintenance.edit',
  action => 'delete',
  age => 'changed_at',
  keep => '1 year',
  schedule => '41 3 * * *',
  description => 'Who changed what of a job');

select maintenance.set_policy(
  'purge_tasks',
  target => 'maintenance.task',
  action => 'delete',
  age => 'finished_at',
  keep => '30 days',
  -- The dead wait for somebody, for three months; and what was deleted can be brought back.
  matching => $$(state <> 'dead' or finished_at <= cutoff - interval '60 days') and not exists (
    select from maintenance.change as c
    where c.task_id = task.task_id and c.deletes and c.forgotten_at is null)$$,
  schedule => '42 3 * * *',
  description => 'Tasks that are over; dead ones after 90 days');

select maintenance.set_policy(
  'purge_subjects',
  target => 'maintenance_internal.subject',
  action => 'delete',
  age => 'looked_at',
  keep => '1 year',
  schedule => '43 3 * * *',
  description => 'What was last asked about somebody, when nobody asked for a year');

select maintenance.set_policy(
  'purge_model_calls',
  target => 'maintenance.model_call',
  action => 'delete',
  age => 'created_at',
  keep => '30 days',
  schedule => '44 3 * * *',
  description => 'Calls of models; what they cost is kept by day');

select maintenance.set_policy(
  'purge_model_days',
  target => 'maintenance.model_day',
  action => 'delete',
  age => 'day',
  keep => '2 years',
  schedule => '45 3 * * *',
  description => 'What models took and cost, by day');

select maintenance.set_policy(
  'purge_model_usage',
  target => 'maintenance_internal.model_usage',
  action => 'delete',
  age => 'hour',
  keep => '100 days',
  schedule => '46 3 * * *',
  description => 'Requests by hour, of which limits are counted');

select maintenance.set_policy(
  'forget_changes',
  target => 'maintenance.change',
  action => 'update',
  assign => $$rows = '[]', note = null, forgotten_at = now()$$,
  age => 'created_at',
  keep => '30 days',
  -- Nor what became of an undo, as long as it can be tried again.
  matching => $$forgotten_at is null and not deletes and not exists (
    select from maintenance.change as c
    where c.change_id = change.undoes and c.deletes and c.forgotten_at is null)$$,
  schedule => '47 3 * * *',
  description => 'The texts in the ledger of answers, and with them their undo');

select maintenance.set_policy(
  'forget_deletions',
  target => 'maintenance.change',
  action => 'update',
  assign => $$rows = '[]', note = null, forgotten_at = now()$$,
  age => 'created_at',
  keep => '0',
  matching => $$deletes and forgotten_at is null and created_at <= cutoff - (
    select least(s.value::numeric, 100000) * interval '1 day' from maintenance.setting as s
    where s.name = 'recovery_days')$$,
  schedule => '49 3 * * *',
  description => 'What answers deleted, and with it their undo, after the setting recovery_days');

select maintenance.set_policy(
  'purge_changes',
  target => 'maintenance.change',
  action => 'delete',
  age => 'created_at',
  keep => '2 years',
  schedule => '48 3 * * *',
  description => 'The ledger of answers: what was changed, without texts');

select maintenance.set_policy(
  'purge_blobs',
  target => 'maintenance.blob',
  action => 'delete',
  age => 'dead_at',
  keep => '1 year',
  matching => $$state = 'dead'$$,
  schedule => '51 3 * * *',
  description => 'Blobs that could not be deleted, and that nobody has looked after for a year');

select maintenance.set_policy(
  'purge_alerts',
  target => 'maintenance.alert',
  action => 'delete',
  age => 'closed_at',
  keep => '1 year',
  schedule => '52 3 * * *',
  description => 'Alerts that were closed a year ago');

select maintenance.set_policy(
  'purge_workers',
  target => 'maintenance.worker',
  action => 'delete',
  age => 'seen_at',
  keep => '7 days',
  schedule => '53 3 * * *',
  description => 'Workers that have claimed nothing for a week');
