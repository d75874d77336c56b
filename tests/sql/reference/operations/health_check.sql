-- S2-02, S2-27, S2-36: what a health check finds is on its receipt.
begin;
create extension pgtap;
\ir ../../engine/model/calls.psql
select plan(25);
create function pg_temp.check() returns jsonb language sql as $$
  select maintenance.run_now('health_check');
  select details from maintenance.run_history where job_name = 'health_check' order by run_id desc limit 1 $$;
create function pg_temp.failures(model text) returns text language sql as $$
  select concat_ws(' ', m -> 'calls', m -> 'failuresInARow', m -> 'avgResponseMs', m ->> 'lastAnswer')
  from (select pg_temp.check() #> array['models', $1] as m) as c $$;
select maintenance.configure('disk_capacity_gb', 1000);
select is(maintenance.run_now('health_check') #>> '{data,stopReason}', 'done', 'S2-02: a check is a run');
select set_eq('select jsonb_object_keys(details) from maintenance.run_history where job_name = ''health_check''',
  array['overall',
  'checks', 'scheduler', 'jobs', 'models', 'databaseBytes', 'uptime', 'ms', 'recommendations'],
  'S2-02: with what it found');
select set_eq($$select jsonb_object_keys(details -> 'checks')
  from maintenance.run_history where job_name = 'health_check'$$,
  array['connections', 'disk', 'transaction_ids', 'vacuum', 'worker_memory', 'models'],
  'S2-02: of the database, the disk, the worker, and the models');
select is(pg_temp.check() -> 'overall', maintenance.system_health() -> 'overall',
  'S2-02: it says what system_health says');
select is((select status || ' ' || (details #>> '{checks,disk,status}')
  from maintenance.run_history where job_name = 'health_check'
  order by run_id desc limit 1), 'succeeded ok', 'S2-02: a disk with room is well');

-- The models, by their last calls.
insert into maintenance.model_call (task_id, kind, model, outcome, lease_token, asks_at, settled_at, created_at,
  duration)
select 1, 'k', 'gemini-2.5-flash-lite', o, gen_random_uuid(), n.now, n.now - age, n.now - age, d
from (select maintenance_internal.clock() as now) as n, (values ('transient', interval '1 min', interval '9 s'),
  ('defer', '2 min', null), ('released', '3 min', null), ('transient', '4 min', '9 s'), ('bad_output', '5 min', '2 s'),
  ('transient', '6 min', '9 s'), ('succeeded', '7 min', '1 s'), ('transient', '61 min', null)) as v (o, age, d);
select is(pg_temp.failures('gemini-2.5-flash-lite'), '6 3 1500 2026-11-10T11:55:00Z',
  'S2-02: three failures in a row, how long answers took, and when the last one came');
select is(pg_temp.failures('gemini-3.5-flash-lite'), '', 'S2-02: nothing is said of a model that was not asked');
-- What else is wrong with a server counts, too.
select is(pg_temp.check() ->> 'overall',
  case maintenance.system_health() ->> 'overall' when 'unhealthy' then 'unhealthy' else 'degraded' end,
  'S2-02: three failures in a row of one of three models are a warning');
select matches(pg_temp.check() ->> 'recommendations', 'The last 3 calls of gemini-2.5-flash-lite have failed',
  'S2-02: ... and are told');
savepoint failing;
update maintenance.model_call set outcome = 'bad_output'
where created_at = maintenance_internal.clock() - interval '4 min';
select is(pg_temp.check() ->> 'overall', maintenance.system_health() ->> 'overall', 'S2-02: two are not');
select unalike(pg_temp.check() ->> 'recommendations', '%have failed%', '... and are not told');
rollback to failing;
-- Those of the application, by its log.
select maintenance.set_model('mine', 20, carrier => 'application');
insert into public.api_usage_logs (model_used, success, latency_ms, timestamp, cached)
select 'mine', g = 4, 100, maintenance_internal.clock() - g * interval '1 minute', g = 3 from generate_series(1,
  5) as g;
select is(pg_temp.failures('mine'), '4 2 100 2026-11-10T11:56:00Z',
  'S2-02: the application''s own calls count alike, but for cached ones');
insert into public.api_usage_logs (model_used, success, timestamp) values ('mine', false, maintenance_internal.clock());
select is(pg_temp.check() ->> 'overall', 'unhealthy', 'S2-02: half of the models are critical');
rollback to failing;
select is(pg_temp.check() #>> '{checks,models,status}', 'ok', 'S2-02: models that can be asked are well');
create function pg_temp.break(model text) returns void language sql as $$
  insert into maintenance_internal.cool_down (model, class, reason, since, until)
  values ($1, 'fault', 'it fails', maintenance_internal.clock() - interval '1 minute',
  maintenance_internal.clock() + interval '1 hour') $$;
select maintenance.set_model('fourth', 9, 1, 1, 1, '2026-11-22'), maintenance.set_model('fifth', 10, 1, 1, 1,
  '2026-11-22'),
  maintenance.set_model('sixth', 11, 1, 1, 1, '2026-11-22') \g /dev/null
select pg_temp.break('fourth');
select is(pg_temp.check() #>> '{checks,models,status}', 'warning', 'S2-02: one of six that is down is a warning');
select isnt(pg_temp.check() ->> 'overall', 'healthy', 'S2-02: ... and all is not healthy');
select pg_temp.break('fifth');
select is(pg_temp.check() #>> '{checks,models,status}', 'warning', 'S2-02: two of six are, too');
select pg_temp.break('sixth');
select is(pg_temp.check() #>> '{checks,models,status}', 'critical', 'S2-02: three of six are critical');
select is(pg_temp.check() ->> 'overall', 'unhealthy', 'S2-02, C-21: ... and all is unhealthy');
select is(maintenance.run_now('health_check') ->> 'success', 'true', 'S2-36: the check has succeeded all the same');
select matches(pg_temp.check() ->> 'recommendations', 'fourth is cooling', 'S2-02: what to do is told');

-- S2-27
delete from maintenance_internal.run where job_name = 'health_check';
insert into maintenance_internal.run (job_id, job_name, trigger, status, started_at, finished_at, stop_reason, details,
  error, sqlstate)
select j.job_id, j.job_name, 'schedule', s, maintenance_internal.clock() - a,
  maintenance_internal.clock() - a + interval '50 ms', 'x', jsonb_strip_nulls(jsonb_build_object('overall', o)),
  case s when 'failed' then 'x' end, case s when 'failed' then 'P0001' end
from maintenance_internal.job as j
cross join (values ('succeeded', interval '1 hour', 'degraded'), ('succeeded', '2 days', 'healthy'), ('failed',
  '3 days', null),
  ('succeeded', '4 days', 'unhealthy'), ('succeeded', '5 days', 'healthy'), ('succeeded', '31 days',
  'unhealthy')) as v (s, a, o)
where j.job_name = 'health_check';
select results_eq('select job_name, status, last_run_at, last_success_at, last_ms, run_count, success_count,
    failure_count, healthy, degraded, unhealthy, last_overall, uptime_percent from public.health_check_statistics',
  $$select 'health_check', 'succeeded', l.at, l.at, 50.0, 5::bigint, 4::bigint, 1::bigint, 2::bigint, 1::bigint,
  1::bigint,
    'degraded', 75.00 from (select maintenance_internal.clock() - interval '1 hour' as at) as l$$,
  'S2-27: one row of statistics');

-- S2-36: a check that fails stops nothing.
create or replace function public.health_check_step(batch_size integer) returns bigint language plpgsql
as $$ begin raise exception 'broken'; end $$;
select is(maintenance.run_now('health_check') ->> 'success', 'false', 'S2-36: a check that fails');
select is(maintenance.run_now('cache_cleanup') ->> 'success', 'true', 'S2-36: ... keeps no other job from running');
select is((select success_count || ' ' || failure_count from public.health_check_statistics), '4 2',
  '... and is counted');
select * from finish();
rollback;
