-- What the receipts of a period add up to, and the worker's heartbeat.
begin;
create extension pgtap;
select plan(28);

create function public.work(batch_size integer) returns bigint language sql as 'select 0::bigint';
create function pg_temp.receipt(job text, ended text, seconds numeric, ago interval default '1 hour',
  rows bigint default 0)
returns void language sql as $$
  insert into maintenance_internal.run (job_id, job_name, trigger, status, started_at, finished_at, stop_reason,
    error, sqlstate, rows_affected, due_at)
  select j.job_id, j.job_name, 'schedule', ended, now() - ago - seconds * interval '1 second', now() - ago, 'done',
    case when ended in ('failed', 'timeout', 'interrupted') then 'it broke' end,
    case when ended in ('failed', 'timeout', 'interrupted') then 'XX000' end, rows, now() - ago
  from maintenance_internal.job as j where j.job_name = job $$;
create function pg_temp.said(job text, period interval default '30 days') returns text language sql as $$
  select concat_ws('/', s.runs, s.succeeded, s.failed, s.success_rate, s.average_ms, s.p95_ms, s.max_ms,
  s.rows_affected,
    s.grade) from maintenance.job_statistics(period) as s where s.job_name = job $$;

select maintenance.set_job('work', 'public.work', description => 'Work');
select is(pg_temp.said('work'), '0/0/0/0/unknown', 'S4-21: without a run the grade is unknown');

-- S2-25: two that went well and one that did not.
select pg_temp.receipt('work', 'succeeded', 1, '3 hours', 5);
select pg_temp.receipt('work', 'failed', 2, '2 hours');
select pg_temp.receipt('work', 'succeeded', 3, '1 hour', 7);
select is(pg_temp.said('work'), '3/2/1/66.67/2000.0/2900.0/3000.0/12/critical',
  'S1-19, S2-25, S2-28: runs, successes, failures, share, average, 95th percentile, longest, rows');
select results_eq($$select last_status, last_run_at, last_ms, last_success_at from maintenance.job_statistics()
    where job_name = 'work'$$,
  $$values ('succeeded', now() - interval '1 hour 3 seconds', 3000.0, now() - interval '1 hour 3 seconds')$$,
  'S2-25: and how the last one was');
select pg_temp.receipt('work', 'cancelled', 100);
select pg_temp.receipt('work', 'skipped', 100);
select is(pg_temp.said('work'), '3/2/1/66.67/2000.0/2900.0/3000.0/12/critical',
  'what was cancelled or skipped does not count');
select pg_temp.receipt('work', 'timeout', 1);
select pg_temp.receipt('work', 'interrupted', 1);
select is(pg_temp.said('work'), '5/2/3/40.00/1600.0/2800.0/3000.0/12/critical',
  'what timed out or broke off has failed');
select is(pg_temp.said('work', '90 minutes'), '3/1/2/33.33/1666.7/2800.0/3000.0/7/critical', 'a period ends now');
select is(pg_temp.said('work', '1 minute'), '0/0/0/0/unknown', 'and may have none');
select results_eq($$select job_name from maintenance.job_statistics() where runs > 0$$, array['work'],
  'jobs have runs or none');
select is_empty($$select job_name from maintenance.job_statistics()
  where job_name in ('tick', 'run_late', 'alert_monitor')$$, 'the kit''s own, with one receipt each, are not there');
select results_eq($$select job_name from maintenance.job_statistics() order by job_name collate "C"$$,
  $$select job_name from maintenance.job_status where job_name not in ('tick', 'run_late', 'alert_monitor')
    order by job_name collate "C"$$, 'every other job is a row');
select throws_ok($$select maintenance.job_statistics('0')$$, 'PM002', 'the period "00:00:00" is no time');
select throws_ok($$select maintenance.job_statistics(null)$$, 'PM002', 'the period "<NULL>" is no time');

-- Grades, at each edge of S4-21.
create function pg_temp.grade(percent integer, seconds numeric) returns text language plpgsql as $$
begin
  delete from maintenance_internal.run;
  perform pg_temp.receipt('work', case when i <= percent then 'succeeded' else 'failed' end, seconds)
  from generate_series(1, 100) as i;
  return (select s.grade from maintenance.job_statistics() as s where s.job_name = 'work');
end $$;
select is(pg_temp.grade(t.percent, t.seconds), t.grade, format('S4-21: %s %% and %s s are %s', t.percent, t.seconds,
  t.grade))
from (values (100, 1, 'excellent'), (95, 59.999, 'excellent'), (95, 60, 'good'), (94, 1, 'good'), (90, 119.999, 'good'),
  (90, 120, 'warning'), (89, 1, 'warning'), (80, 299.999, 'warning'), (80, 300, 'critical'), (79, 1, 'critical'))
  as t (percent, seconds, grade);

-- What a worker says of itself is a stranger's word.
select maintenance.claim_tasks(e'evil\n<b>', 1, '1 minute', format('{"version": "%s", "pid": "DROP", "rss": -5, '
  '"heap": 1e30, "uptime": [1]}', repeat('<x>', 100))::jsonb);
select results_eq('select worker, length(version), pid, rss_bytes, heap_bytes, started_at from maintenance.worker',
  $$values ('evil b ', 50, null::integer, null::bigint, null::bigint, null::timestamptz)$$, 'it is cut and cleaned');
select maintenance.claim_tasks('evil b ', 1, '1 minute', '{"version": "2"}');
select is((select version from maintenance.worker), repeat(' x', 25), 'within ten seconds nothing is written');
select set_config('maintenance.fake_now', (clock_timestamp() + interval '11 seconds')::text, true);
select maintenance.claim_tasks('evil b ', 1, '1 minute', '{"version": "2", "pid": 99999999999, "uptime": 1e9}');
select results_eq('select version, pid, started_at from maintenance.worker',
  $$values ('2', null::integer, null::timestamptz)$$, 'then it is written anew');
insert into maintenance.worker (worker, seen_at) select 'w' || i, now() - i * interval '1 second'
  from generate_series(1, 999) as i;
select maintenance.claim_tasks('w');
select is((select string_agg(worker, ' ') from maintenance.worker where worker in ('w', 'w998', 'w999')), 'w998 w',
  'a new worker takes the place of the one that was seen longest ago');
select is((select count(*) from maintenance.worker), 1000::bigint, 'names that somebody makes up fill no disk');
select is((select count(*) from maintenance.task where state = 'leased'), 0::bigint, 'and claims go on');

select * from finish();
rollback;
