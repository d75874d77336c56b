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
  (E'job', E'tick', E'select maintenance.set_statement(\n  \'tick\',\n  statement => \'call maintenance.tick()\',\n  schedule => \'* * * * *\',\n  description => \'Receipts of the statements that pg_cron runs itself\');'),
  (E'job', E'purge_receipts', E'select maintenance.set_policy(\n  \'purge_receipts\',\n  target => \'maintenance_internal.run\',\n  action => \'delete\',\n  age => \'finished_at\',\n  keep => \'90 days\',\n  -- The last of a job, of its successes and of what was skipped stays: what it owes is counted\n  -- from there.\n  matching => $$not exists (\n      select from maintenance_internal.job as j where j.job_id = run.job_id)\n    or run.status = \'skipped\' and exists (\n      select from maintenance_internal.run as l\n      where l.job_id = run.job_id and l.status = \'skipped\' and l.started_at > run.started_at)\n    or exists (\n      select from maintenance_internal.run as l\n      where l.job_id = run.job_id and l.status <> \'skipped\' and l.started_at > run.started_at)\n    and (run.status <> \'succeeded\' or exists (\n      select from maintenance_internal.run as l\n      where l.job_id = run.job_id and l.status = \'succeeded\' and l.started_at > run.started_at))$$,\n  schedule => \'40 3 * * *\',\n  description => \'Receipts that nobody needs any more\');'),
  (E'job', E'purge_cron_history', E'select maintenance.set_job(\n  \'purge_cron_history\',\n  step => \'maintenance_internal.purge_cron_history_step\',\n  schedule => \'50 3 * * *\',\n  description => \'pg_cron\'\'s own history, a row for every firing, beyond seven days\');'),
  (E'model', E'gemini-3.5-flash-lite', E'select maintenance.set_model(\'gemini-3.5-flash-lite\', 1, 0.30, 2.50, 0.03, \'2026-11-22\');'),
  (E'model', E'gemini-3.1-flash-lite', E'select maintenance.set_model(\'gemini-3.1-flash-lite\', 2, 0.25, 1.50, 0.025, \'2026-11-22\');'),
  (E'model', E'gemini-2.5-flash-lite', E'select maintenance.set_model(\'gemini-2.5-flash-lite\', 3, 0.10, 0.40, 0.01, \'2026-11-22\');')
  ) as s (kind, name, call);
end;

select s.* from maintenance_internal.ship('engine') as s;
