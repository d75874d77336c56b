-- The calls in the files of sql/engine/ that set jobs, kinds and models, and their shipping. Written
-- by make migration.

create function maintenance_internal.engine_ships()
returns table (kind text, name text, call text)
language sql
immutable
set search_path = pg_catalog, pg_temp
begin atomic
  select s.kind, s.name, s.call
  from (values
  (E'job', E'tick', E'select maintenance.set_statement(\n  \'tick\',\n  statement => \'call maintenance.tick()\',\n  schedule => \'* * * * *\',\n  description => \'Looks after all other jobs, every minute\');'),
  (E'job', E'run_late', E'select maintenance.set_statement(\n  \'run_late\',\n  statement => \'call maintenance.run_late()\',\n  schedule => \'* * * * *\',\n  description => \'Starts what is owed: retries, missed slots, runs that wait\');'),
  (E'job', E'purge_receipts', E'select maintenance.set_policy(\n  \'purge_receipts\',\n  target => \'maintenance_internal.run\',\n  action => \'delete\',\n  age => \'finished_at\',\n  keep => \'90 days\',\n  -- Of a job that is there the last that says how it is stays, the last trace, from which counts\n  -- what it owes, and the last success.\n  matching => $$not exists (\n      select from maintenance_internal.job as j where j.job_id = run.job_id)\n    or exists (\n      select from maintenance_internal.run as l\n      where l.job_id = run.job_id and l.traced_at > run.traced_at)\n    and (run.status = \'skipped\' and run.error is null or exists (\n      select from maintenance_internal.run as l\n      where l.job_id = run.job_id\n        and (l.status not in (\'waiting\', \'skipped\') or l.status = \'skipped\' and l.error is not null)\n        and coalesce(l.started_at, l.finished_at) > coalesce(run.started_at, run.finished_at)))\n    and (run.status <> \'succeeded\' or exists (\n      select from maintenance_internal.run as l\n      where l.job_id = run.job_id and l.status = \'succeeded\' and l.started_at > run.started_at))$$,\n  schedule => \'40 3 * * *\',\n  description => \'Receipts that nobody needs any more\');'),
  (E'job', E'purge_cron_history', E'select maintenance.set_job(\n  \'purge_cron_history\',\n  step => \'maintenance_internal.purge_cron_history_step\',\n  schedule => \'50 3 * * *\',\n  description => \'pg_cron\'\'s own history, a row for every firing, beyond seven days\');'),
  (E'job', E'purge_edits', E'select maintenance.set_policy(\n  \'purge_edits\',\n  target => \'maintenance.edit\',\n  action => \'delete\',\n  age => \'changed_at\',\n  keep => \'1 year\',\n  schedule => \'41 3 * * *\',\n  description => \'Who changed what of a job\');'),
  (E'job', E'purge_tasks', E'select maintenance.set_policy(\n  \'purge_tasks\',\n  target => \'maintenance.task\',\n  action => \'delete\',\n  age => \'finished_at\',\n  keep => \'30 days\',\n  -- The dead wait for somebody, for three months.\n  matching => $$state <> \'dead\' or finished_at <= cutoff - interval \'60 days\'$$,\n  schedule => \'42 3 * * *\',\n  description => \'Tasks that are over; dead ones after 90 days\');'),
  (E'job', E'purge_subjects', E'select maintenance.set_policy(\n  \'purge_subjects\',\n  target => \'maintenance_internal.subject\',\n  action => \'delete\',\n  age => \'looked_at\',\n  keep => \'1 year\',\n  schedule => \'43 3 * * *\',\n  description => \'What was last asked about somebody, when nobody asked for a year\');'),
  (E'job', E'purge_model_calls', E'select maintenance.set_policy(\n  \'purge_model_calls\',\n  target => \'maintenance.model_call\',\n  action => \'delete\',\n  age => \'created_at\',\n  keep => \'30 days\',\n  schedule => \'44 3 * * *\',\n  description => \'Calls of models; what they cost is kept by day\');'),
  (E'job', E'purge_model_days', E'select maintenance.set_policy(\n  \'purge_model_days\',\n  target => \'maintenance.model_day\',\n  action => \'delete\',\n  age => \'day\',\n  keep => \'2 years\',\n  schedule => \'45 3 * * *\',\n  description => \'What models took and cost, by day\');'),
  (E'job', E'purge_model_usage', E'select maintenance.set_policy(\n  \'purge_model_usage\',\n  target => \'maintenance_internal.model_usage\',\n  action => \'delete\',\n  age => \'hour\',\n  keep => \'100 days\',\n  schedule => \'46 3 * * *\',\n  description => \'Requests by hour, of which limits are counted\');'),
  (E'job', E'forget_changes', E'select maintenance.set_policy(\n  \'forget_changes\',\n  target => \'maintenance.change\',\n  action => \'update\',\n  assign => $$rows = \'[]\', note = null, forgotten_at = now()$$,\n  age => \'created_at\',\n  keep => \'30 days\',\n  matching => \'forgotten_at is null and not deletes\',\n  schedule => \'47 3 * * *\',\n  description => \'The texts in the ledger of answers, and with them their undo\');'),
  (E'job', E'forget_deletions', E'select maintenance.set_policy(\n  \'forget_deletions\',\n  target => \'maintenance.change\',\n  action => \'update\',\n  assign => $$rows = \'[]\', note = null, forgotten_at = now()$$,\n  age => \'created_at\',\n  keep => \'0\',\n  matching => $$deletes and forgotten_at is null and created_at <= cutoff - (\n    select least(s.value::numeric, 100000) * interval \'1 day\' from maintenance.setting as s\n    where s.name = \'recovery_days\')$$,\n  schedule => \'49 3 * * *\',\n  description => \'What answers deleted, and with it their undo, after the setting recovery_days\');'),
  (E'job', E'purge_changes', E'select maintenance.set_policy(\n  \'purge_changes\',\n  target => \'maintenance.change\',\n  action => \'delete\',\n  age => \'created_at\',\n  keep => \'2 years\',\n  schedule => \'48 3 * * *\',\n  description => \'The ledger of answers: what was changed, without texts\');'),
  (E'model', E'gemini-3.5-flash-lite', E'select maintenance.set_model(\'gemini-3.5-flash-lite\', 1, 0.30, 2.50, 0.03, \'2026-11-22\');'),
  (E'model', E'gemini-3.1-flash-lite', E'select maintenance.set_model(\'gemini-3.1-flash-lite\', 2, 0.25, 1.50, 0.025, \'2026-11-22\');'),
  (E'model', E'gemini-2.5-flash-lite', E'select maintenance.set_model(\'gemini-2.5-flash-lite\', 3, 0.10, 0.40, 0.01, \'2026-11-22\');')
  ) as s (kind, name, call);
end;

select s.* from maintenance_internal.ship('engine') as s;
