-- S2-01, S2-17 to S2-20, S2-40, S2-41, C-01: the jobs of the registry, with what each has; and how one more is added.
begin;
create extension pgtap;
select plan(20);
create temporary table registry (job_name text, schedule text, priority text, timeout interval, depends_on text[]);
insert into registry values
  ('health_check', '*/5 * * * *', 'critical', '30 s', '{}'),
  ('rate_limit_monitor', '* * * * *', 'critical', '5 s', '{}'),
  ('alert_monitor', '* * * * *', 'medium', null, '{}'),
  ('cache_cleanup', '0 */6 * * *', 'low', '2 min', '{}'),
  ('daily_memory_cleanup', '0 0 * * *', 'high', '5 min', '{}'),
  ('usage_analysis', '0 1 * * *', 'medium', '10 min', '{daily_memory_cleanup}'),
  ('automated_backup', '0 3 * * *', 'critical', '30 min', '{usage_analysis}'),
  ('profile_refresh', '0 4 * * *', 'high', '15 min', '{automated_backup}'),
  ('weekly_summary_generation', '0 0 * * 0', 'medium', '1 hour', '{daily_memory_cleanup}'),
  ('database_maintenance', '0 2 * * 6', 'high', '10 min', '{}'),
  ('archive_conversations', '0 2 15 * *', 'medium', '5 min', '{database_maintenance}'),
  ('monthly_quota_reset', '0 0 1 * *', 'low', '1 min', '{}');
create temporary table job as select j.* from maintenance_internal.job as j join registry using (job_name);
select is((select count(*) from job), 12::bigint, 'S2-01, C-01: the registry has twelve jobs');
select set_eq('select job_name, schedule from job', 'select job_name, schedule from registry',
  'S2-01: with their schedules');
select set_eq('select job_name, priority, timeout from job', 'select job_name, priority, timeout from registry',
  'S2-19, S2-20: their priorities and time-outs');
select set_eq('select job_name, depends_on from job', 'select job_name, depends_on from registry',
  'S2-18: and what they wait for; S2-36: a health check that fails keeps no other from running');
select is_empty('select e.job_name, e.what from maintenance.edit as e join registry using (job_name)',
  'S2-01: what they ship with is nobody''s edit');
select is_empty($$select job_name from job where description = '' or not enabled$$,
  'S2-01: each is described, and enabled');
select is_empty('select job_name, budget, timeout from job where kind <> ''statement'' and budget >= timeout',
  'S2-20: each run has time to end by itself');
select throws_ok($$select maintenance.configure_job('daily_memory_cleanup', depends_on => '{profile_refresh}')$$,
  'PM002',
  null, 'S2-18: what would make a circle is refused');
select throws_ok($$select maintenance.configure_job('usage_analysis', depends_on => '{nobody}')$$, 'PM001',
  null, 'S2-18: so is a job that is not there');
select throws_ok($$select maintenance.drop_job('usage_analysis')$$, 'PM002', null,
  'S2-18: a job for which others wait is not dropped');

-- S2-40: one more job.
create function public.nightly_step(batch_size integer) returns bigint language sql return 0::bigint;
select maintenance.set_job('nightly', step => 'public.nightly_step', schedule => '30 4 * * *', description => 'Mine');
select maintenance.configure_job('nightly', priority => 'low', timeout => '6 minutes', budget => '5 minutes',
  depends_on => '{profile_refresh}');
select results_eq($$select schedule, enabled, options ->> 'priority', options -> 'depends_on'
  from maintenance.job_status where job_name = 'nightly'$$,
  $$values ('30 4 * * *', true, 'low', '["profile_refresh"]'::jsonb)$$, 'S2-40: a job is added with two calls');
select to_regclass('cron.job') is null as no_cron \gset
\if :no_cron
select is((select next_run_at from maintenance.job_status where job_name = 'nightly'), null,
  'S2-40: without pg_cron it is only declared');
\else
select is((select schedule || ' ' || command from cron.job where jobname = 'maintenance:nightly'),
  '30 4 * * * call maintenance.run_job(''nightly'')', 'S2-40: it is in cron.job');
\endif
select is(maintenance.run_now('nightly') ->> 'success', 'true', 'S2-40: ... and runs');

-- S2-41
select set_config('maintenance.fake_now', (now() + interval '10 years')::text, true);
insert into maintenance_internal.run (job_id, job_name, trigger, status, started_at, finished_at, stop_reason,
  rows_affected, error, sqlstate)
select j.job_id, j.job_name, 'schedule', s, maintenance_internal.clock() - a,
  maintenance_internal.clock() - a + interval '2 s', 'x', 10, case s when 'failed' then 'x' end,
  case s when 'failed' then 'P0001' end
from maintenance_internal.job as j
cross join (values ('succeeded', interval '1 hour'), ('succeeded', '6 days 23 hours'), ('failed', '2 days'),
  ('skipped', '1 day'), ('succeeded', '7 days 1 minute')) as v (s, a)
where j.job_name = 'usage_analysis';
insert into maintenance.alert (cause, subject, severity, description, opened_at, seen_at)
values ('job_failing', 'usage_analysis', 'warning', 'x', maintenance_internal.clock() - interval '1 day', now()),
  ('job_slow', 'usage_analysis', 'warning', 'x', maintenance_internal.clock() - interval '8 days', now());
insert into maintenance.edit (job_name, what, changed_at)
values ('usage_analysis', '{}', maintenance_internal.clock() - interval '1 day'),
  ('usage_analysis', '{}', maintenance_internal.clock() - interval '8 days');
select results_eq($$select runs, succeeded, failed, success_rate, rows_affected, average_ms, grade, alerts, edits
    from maintenance.weekly_report where job_name = 'usage_analysis'$$,
  $$values (3::bigint, 2::bigint, 1::bigint, 66.67, 30::bigint, 2000.0, 'critical', 1::bigint, 1::bigint)$$,
  'S2-41: the report has the last seven days of a job');
select set_eq($$select job_name, runs from maintenance.weekly_report$$, $$select j.job_name, count(r.run_id)
  from maintenance_internal.job as j
  left join maintenance.run_history as r on r.job_name = j.job_name and r.finished_at > maintenance_internal.clock()
    - interval '7 days' and r.status in ('succeeded', 'failed', 'timeout', 'interrupted')
  where j.job_name not in ('tick', 'run_late', 'alert_monitor') group by 1$$, 'S2-41: ... as run_history has them');
select is((select job_name from maintenance.weekly_report limit 1), 'usage_analysis', 'S2-41: the worst comes first');

-- Who may read all this.
grant maintenance_viewer to current_user;
set local role maintenance_viewer;
select isnt_empty('select * from maintenance.weekly_report', 'S2-41: a viewer reads the report');
select isnt_empty('select * from public.' || v, 'S2-27: a viewer reads ' || v)
from unnest('{health_check_statistics,usage_analysis_statistics,backup_statistics}'::text[]) as v;
select * from finish();
rollback;
