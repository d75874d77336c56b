-- Alerts: one a cause, opened once, closed when the cause has been away for a while; their causes, at
-- each edge of the settings.
begin;
create extension pgtap;
select plan(83);

create function pg_temp.at(minutes numeric) returns void language sql as
$$ select set_config('maintenance.fake_now', (now() + minutes * interval '1 minute')::text, true) $$;
-- A look; and what it left: open ones as cause/subject severity, gone ones in brackets.
create function pg_temp.look(cause text default null) returns text language plpgsql as $$
begin
  perform maintenance_internal.watch();
  return (select string_agg(format(case when a.gone_at is null then '%s' else '(%s)' end,
      concat_ws(' ', a.cause, nullif(a.subject, ''), a.severity)), ', ' order by a.cause, a.subject)
    from maintenance.alert as a where a.closed_at is null and a.cause = coalesce(look.cause, a.cause));
end $$;
create function pg_temp.receipt(name text, status text, seconds numeric default 1, ago interval default '1 minute',
  rows_left bigint default null, sqlstate text default null) returns void language sql as $$
  insert into maintenance_internal.run (job_id, job_name, trigger, status, started_at, finished_at, stop_reason,
    error, sqlstate, details, attempt)
  select job_id, job_name, 'schedule', status, maintenance_internal.clock() - ago - seconds * interval '1 second',
    maintenance_internal.clock() - ago, 'done', case when status <> 'succeeded' then 'it broke' end,
    case when status <> 'succeeded' then coalesce(sqlstate, '23503') end,
    jsonb_strip_nulls(jsonb_build_object('left', rows_left)), 1
  from maintenance_internal.job where job_name = name $$;
create function pg_temp.last(what text, of text default '') returns maintenance.alert language sql as
$$ select a from maintenance.alert as a where cause = what and subject = of order by alert_id desc limit 1 $$;

create function public.work(batch_size integer) returns bigint language sql as 'select 0::bigint';
create table public.events (id bigint primary key, at timestamptz);
create index on public.events (at);
select maintenance.set_job('work', 'public.work', description => 'Work');
select maintenance.set_job('other', 'public.work', description => 'Other work');
select maintenance.set_policy('purge', 'public.events', 'delete', 'at', '1 day', description => 'Old events');
-- What the server of a test lacks, or does meanwhile, is not what is asked here.
update maintenance_internal.job set schedule = null where job_name not in ('tick', 'run_late', 'alert_monitor');
select pg_temp.look('nothing');
update maintenance.alert set closed_at = seen_at, gone_at = seen_at;
delete from maintenance.alert;
create function pg_temp.mine() returns text language sql as
$$ select nullif(pg_temp.look('job_failing'), '') $$;

-- Three failures in a row (S1-15, S2-29, S4-22).
select is(pg_temp.mine(), null, 'no alert where nothing has failed');
select pg_temp.receipt('work', 'failed', ago => '9 minutes');
select pg_temp.receipt('work', 'failed', ago => '8 minutes');
select is(pg_temp.mine(), null, 'S2-29: two failures in a row are no alert');
select pg_temp.receipt('work', 'timeout', ago => '7 minutes');
select is(pg_temp.mine(), 'job_failing work warning', 'S1-15, S2-29, S4-22: the third is one');
select is(pg_temp.mine(), 'job_failing work warning', 'a second look opens no second one');
select is((select count(*) from maintenance.alert where cause = 'job_failing'), 1::bigint, 'it is one row');
select is((pg_temp.last('job_failing', 'work')).description, '3 failures in a row: it broke', 'it says what failed');
select is((pg_temp.last('job_failing', 'work')).advice, 'call maintenance.run_job(''work'');', 'and what to do');
select pg_temp.receipt('other', 'failed', ago => interval '9 minutes' - i * interval '1 minute')
from generate_series(1, 3) as i;
select is(pg_temp.mine(), 'job_failing other warning, job_failing work warning', 'two jobs are two causes');
select results_eq($$select count, severity from public.maintenance_status where task = 'open_alerts'$$,
  $$values ((select count(*) from maintenance.alert where gone_at is null),
    (select min(severity) from maintenance.alert where gone_at is null))$$, 'the status counts them');
select pg_temp.receipt('other', 'cancelled');
select is(pg_temp.mine(), 'job_failing other warning, job_failing work warning', 'what was cancelled is no success');
select pg_temp.receipt('other', 'succeeded', ago => '0');
select is(pg_temp.mine(), '(job_failing other warning), job_failing work warning', 'a success ends the cause');
select is((pg_temp.last('job_failing', 'other')).closed_at, null, 'and the alert stays open for a while');
select pg_temp.at(4);
select is(pg_temp.mine(), '(job_failing other warning), job_failing work warning', 'for four minutes');
select pg_temp.at(5);
select is(pg_temp.mine(), 'job_failing work warning', 'and after five it is closed');
select is((pg_temp.last('job_failing', 'other')).closed_at, now() + interval '5 minutes', 'which is noted');
select pg_temp.receipt('work', 'succeeded', ago => '0');
select pg_temp.mine();
select pg_temp.at(7);
select pg_temp.receipt('work', 'failed', ago => i * interval '20 seconds') from generate_series(0, 2) as i;
select is(pg_temp.mine(), 'job_failing work warning', 'a cause that comes back meanwhile');
select is((select count(*) from maintenance.alert where subject = 'work'), 1::bigint, 'opens no new alert');
select is((pg_temp.last('job_failing', 'work')).gone_at, null, 'but is there again in the old one');
select maintenance.configure('alert_failures', 4);
select is(pg_temp.mine(), '(job_failing work warning)', 'how many failures it takes is a setting');
select maintenance.configure('alert_failures', 1);
select is(pg_temp.mine(), 'job_failing work warning', 'S4-17: with 1 the first failing run opens one');
select maintenance.configure('alert_failures', null::text);
select is(pg_temp.mine(), '(job_failing work warning)', 'null: none does');
select pg_temp.receipt('other', 'failed', ago => '0', sqlstate => '53100');
select is(pg_temp.mine(), 'job_failing other critical, (job_failing work warning)',
  'S4-22: a full disk is fatal, and critical at once');
delete from maintenance_internal.run where job_name = 'other' and sqlstate = '53100';
select pg_temp.receipt('other', 'interrupted', ago => '0');
select is(pg_temp.mine(), 'job_failing other critical, (job_failing work warning)',
  'S4-22: so is a run that broke off');
update maintenance_internal.run set started_at = pg_postmaster_start_time() - interval '1 minute'
where job_name = 'other' and status = 'interrupted';
delete from maintenance_internal.run where job_name = 'other' and status <> 'interrupted';
select is(pg_temp.mine(), '(job_failing other critical), (job_failing work warning)',
  'but for one that ended with the server, which is a failure as any other');
update maintenance_internal.run set started_at = finished_at where job_name = 'other';
select pg_temp.mine();
select maintenance.disable_job('other');
select is(pg_temp.mine(), '(job_failing other critical), (job_failing work warning)',
  'a job that is disabled fails no more');
select maintenance.configure('alert_failures', '3');
delete from maintenance_internal.run where job_name in ('other', 'work');
delete from maintenance.alert;

-- How long a run takes (S2-29, S4-22).
select pg_temp.at(10);
do $$
declare
  v_row record;
begin
  for v_row in
    select * from (values (59999, null), (60000, 'job_slow work warning'), (299999, 'job_slow work warning'),
      (300000, 'job_slow work critical'), (59999, '(job_slow work critical)')) as t (ms, expected)
  loop
    delete from maintenance_internal.run where job_name = 'work';
    perform pg_temp.receipt('work', 'succeeded', v_row.ms / 1000.0, '0');
    perform set_config('my.is_' || v_row.ms, coalesce(pg_temp.look('job_slow'), 'none'), true);
    if v_row.ms = 59999 and v_row.expected is null then
      perform set_config('my.first', current_setting('my.is_59999'), true);
    end if;
  end loop;
end $$;
select is(current_setting('my.first'), 'none', 'S2-29: a run of 59999 ms is no alert');
select is(current_setting('my.is_60000'), 'job_slow work warning', 'S2-29: one of 60000 ms is a warning');
select is(current_setting('my.is_299999'), 'job_slow work warning', 'S2-29: so is one of 299999 ms');
select is(current_setting('my.is_300000'), 'job_slow work critical', 'S2-29, S4-22: one of 300000 ms is critical');
select is(current_setting('my.is_59999'), '(job_slow work critical)', 'a shorter one ends that');
delete from maintenance_internal.run where job_name = 'work';
delete from maintenance.alert;
insert into maintenance_internal.run (job_id, job_name, trigger, status, started_at)
select job_id, job_name, 'manual', 'running', maintenance_internal.clock() - interval '61 seconds'
from maintenance_internal.job where job_name = 'work';
select pg_advisory_xact_lock(maintenance_internal.lock_class(), job_id)
from maintenance_internal.job where job_name = 'work';
select is(pg_temp.look('job_slow'), 'job_slow work warning', 'one that goes on counts');
select is((pg_temp.last('job_slow', 'work')).description ~ 'goes on, since 61 s$', true, 'and says so');
delete from maintenance_internal.run where job_name = 'work';
delete from maintenance.alert;

insert into maintenance_internal.run (job_id, job_name, trigger, status, started_at)
select job_id, job_name, 'manual', 'running', maintenance_internal.clock() - interval '61 seconds'
from maintenance_internal.job where job_name = 'other';
select is(pg_temp.look('job_slow'), null, 'but not where nobody is at it any more');
delete from maintenance_internal.run where job_name = 'other';
select maintenance.set_statement('vac', 'vacuum public.events', description => 'Vacuum');
select pg_temp.receipt('vac', 'succeeded', 400, '0');
select is(pg_temp.look('job_slow'), null, 'a VACUUM takes as long as it does');
select pg_temp.receipt('work', 'succeeded', 400, '25 hours');
select is(pg_temp.look('job_slow'), null, 'and what is a day old is no news');
select pg_temp.receipt('work', 'succeeded', 400, '23 hours');
select is(pg_temp.look('job_slow'), 'job_slow work critical', 'what is younger is');
select maintenance.disable_job('work');
select is(pg_temp.look('job_slow'), '(job_slow work critical)', 'until its job is disabled');
select maintenance.enable_job('work');
select pg_temp.receipt('work', 'failed', 400, i * interval '1 minute') from generate_series(1, 3) as i;
select is(pg_temp.look('job_slow') || pg_temp.look('job_failing'), '(job_slow work critical)job_failing work warning',
  'what fails is not told as slow, too');
delete from maintenance_internal.run where job_name in ('work', 'vac');
delete from maintenance.alert;
do $$
declare
  v_state text;
begin
  foreach v_state in array '{53200,53300,58030,XX001,23503}'::text[] loop
    perform pg_temp.receipt('work', 'failed', 1, '0', sqlstate => v_state);
    perform set_config('my.is_' || v_state, coalesce(pg_temp.look('job_failing'), 'none'), true);
    delete from maintenance_internal.run where job_name = 'work';
    delete from maintenance.alert;
  end loop;
end $$;
select is(array(select s || ' ' || current_setting('my.is_' || s)
  from unnest('{53200,53300,58030,XX001,23503}'::text[]) as s),
  array['53200 job_failing work critical', '53300 none', '58030 job_failing work critical',
    'XX001 job_failing work critical', '23503 none'],
  'S4-22: which errors are fatal');

-- A backlog that grows (S4-22: more than 1,000).
select pg_temp.receipt('purge', 'succeeded', ago => '3 hours', rows_left => 500);
select pg_temp.receipt('purge', 'succeeded', ago => '2 hours', rows_left => 800);
select is(pg_temp.look('backlog_growing'), null, 'two runs do not show that a backlog grows');
select pg_temp.receipt('purge', 'succeeded', ago => '1 hour', rows_left => 999);
select is(pg_temp.look('backlog_growing'), null, 'S4-22: 999 rows that are left are few');
update maintenance_internal.run set details = '{"left": 1000}' where details ->> 'left' = '999';
update maintenance_internal.run set details = '{"left": 400}' where details ->> 'left' = '800';
select is(pg_temp.look('backlog_growing'), null, 'nor are they where it was less once');
update maintenance_internal.run set details = '{"left": 800}' where details ->> 'left' = '400';
select is(pg_temp.look('backlog_growing'), 'backlog_growing purge warning', 'S4-22: 1000, and ever more, are an alert');
select ok((pg_temp.last('backlog_growing',
  'purge')).description ~ '^1000 rows are left by its last run, 800 by the one before, 500 before',
  'with the numbers');
select pg_temp.receipt('purge', 'succeeded', ago => '0', rows_left => 900);
select is(pg_temp.look('backlog_growing'), '(backlog_growing purge warning)', 'it is worked off again');
update maintenance_internal.run set details = '{"left": 2000}' where details ->> 'left' = '900';
select pg_temp.look();
select maintenance.disable_job('purge');
select is(pg_temp.look('backlog_growing'), '(backlog_growing purge warning)',
  'a job that is disabled works nothing off');
select maintenance.enable_job('purge');
delete from maintenance_internal.run where job_name = 'purge';
delete from maintenance.alert;

-- Disk and memory (S2-29, S2-30, C-38).
create function pg_temp.disk(free numeric) returns text language plpgsql as $$
begin
  -- The capacity at which so much is free of it now.
  perform maintenance.configure('disk_capacity_gb', (select sum(pg_database_size(oid)) from pg_database
    where has_database_privilege(oid, 'connect')) / 1073741824.0 / (1 - free / 100));
  return (select status from maintenance_internal.health_checks() where check_name = 'disk');
end $$;
select is((select status from maintenance_internal.health_checks() where check_name = 'disk'), 'unknown',
  'C-38: what the disk holds is unknown, and no ok');
select is(pg_temp.look('health'), null, 'and no alert');
select is(pg_temp.disk(11), 'ok', 'S2-29: 11 % free are enough');
select is(pg_temp.disk(9.9), 'warning', 'S2-29: 10 % are a warning');
select is(pg_temp.disk(5.2), 'warning', 'S2-29: a little more than 5 %, too');
select is(pg_temp.disk(4), 'critical', 'S2-29, S2-30: 4 % are critical');
select is(pg_temp.look('health'), 'health disk critical', 'S2-30: and an alert');
select maintenance.configure('disk_capacity_gb', null::text);
select is(pg_temp.look('health'), '(health disk critical)', 'which is gone when that is unknown again');
select is(maintenance_internal.judge(10, 10, 5, true), 'warning', 'S2-29: exactly 10 % are a warning');
select is(maintenance_internal.judge(5, 10, 5, true), 'critical', 'S2-29: exactly 5 % are critical');
delete from maintenance.alert;
select maintenance.claim_tasks('host:1', 1, '2 minutes',
  '{"version": "1.2.3", "pid": 17, "rss": 209715200, "heap": 104857599, "uptime": 60}');
select results_eq($$select worker, version, pid, kinds, rss_bytes, heap_bytes, started_at, seen_at
  from maintenance.worker$$,
  $$select 'host:1', '1.2.3', 17, null::text[], 209715200::bigint, 104857599::bigint,
    maintenance_internal.clock() - interval '1 minute', maintenance_internal.clock()$$,
  'S2-26: a claim leaves a heartbeat');
create function pg_temp.heap(bytes bigint) returns text language plpgsql as $$
begin
  update maintenance.worker set heap_bytes = bytes;
  return (select status from maintenance_internal.health_checks() where check_name = 'worker_memory');
end $$;
select is(pg_temp.heap(104000000), 'ok', 'S2-29: a heap below 100 MB is none');
select is(pg_temp.heap(104857600), 'warning', 'S2-29: 100 MB are a warning');
select is(pg_temp.heap(524000000), 'warning', 'S2-29: below 500 MB, too');
select is(pg_temp.heap(524288000), 'critical', 'S2-29: 500 MB are critical');
select is(pg_temp.look('health'), 'health worker_memory critical', 'S2-29: and an alert');
update maintenance.worker set seen_at = seen_at - interval '6 minutes';
select is((select status from maintenance_internal.health_checks() where check_name = 'worker_memory'), 'unknown',
  'C-38: of a worker that claims no more nothing is known');

-- Tasks and models.
create function public.kind_functions() returns integer language plpgsql as $f$
begin
  create function public.s() returns setof text language sql stable as 'select null::text where false';
  create function public.p(subject text, options jsonb) returns table (content text, context jsonb, input_hash text,
    skip_reason text) language sql stable as $$ select 'c', '{}'::jsonb, 'h', null $$;
  create function public.a(subject text, context jsonb, answer jsonb, options jsonb) returns jsonb language sql
  as $$ select '{}'::jsonb $$;
  return 1;
end $f$;
delete from maintenance.alert;
select is(pg_temp.look('model'), null, 'a model that can be asked is no cause');
select maintenance.set_model('m2', "position" => 99, per_month => 1000);
insert into maintenance_internal.model_usage (model, carrier, hour, requests, minute)
values ('m2', 'worker', date_trunc('hour', maintenance_internal.clock()), 800, date_trunc('minute',
  maintenance_internal.clock()));
select is(pg_temp.look('model'), 'model m2 warning', 'S2-28: 80 % of a month are a warning');
update maintenance_internal.model_usage set requests = 1000 where model = 'm2';
select is(pg_temp.look('model'), 'model m2 warning', 'so is a model that is used up, while others can be asked');
select is((select string_agg(c.cause || ' ' || c.subject, ', ') from maintenance_internal.alert_causes() as c
  where 'models' in (c.cause, c.subject)), null, 'told once');
update maintenance.model set enabled = false where model <> 'm2';
select is(pg_temp.look('model'), 'model m2 critical', 'where none can, it is critical');
select maintenance.set_kind('k', 'Say.', '{"type": "object", "properties": {"w": {"type": "string"}}}',
  subjects => 'public.s',
  prepare => 'public.p', apply => 'public.a') from public.kind_functions();
select maintenance.enqueue_task('k', 'somebody');
update maintenance.task set due_at = maintenance_internal.moment() - interval '2 hours',
  available_at = maintenance_internal.moment() - interval '2 hours';
select is((select severity from public.maintenance_status where task = 'tasks_due'), 'warning', 'tasks wait for it');
select is(pg_temp.look('tasks_due'), null, 'and nobody is called a second time for that');
select pg_temp.look();
delete from maintenance_internal.model_usage;
insert into maintenance_internal.model_usage (model, carrier, hour, requests, minute, minute_requests)
values ('m2', 'worker', date_trunc('hour', maintenance_internal.clock()), 10, date_trunc('minute',
  maintenance_internal.clock()), 10);
select maintenance.set_model('m2', per_minute => 10);
select is(pg_temp.look('model'), '(model m2 critical)', 'what is used up in a minute is no news');

-- Nothing happens for two hours (S4-22, S1-20): pg_cron has fired once, and does no more.
-- (Where pg_cron is, the tests have switched it off, which is told instead.)
select to_regclass('cron.job') is null as no_cron \gset
\if :no_cron
delete from maintenance.alert;
delete from maintenance_internal.run;
update maintenance_internal.job set promised_at = now() - interval '3 hours';
insert into maintenance_internal.run (job_id, job_name, trigger, status, slot, started_at, finished_at, stop_reason)
select job_id, job_name, 'schedule', 'succeeded', date_trunc('minute', now()), now(), now(), 'done'
from maintenance_internal.job where job_name in ('tick', 'run_late', 'alert_monitor');
select pg_temp.at(1);
select ok(coalesce(pg_temp.look('scheduler'), '') !~ 'critical', 'a minute after the last tick all is well');
select pg_temp.at(120);
select is(pg_temp.look('scheduler'), 'scheduler critical', 'S4-22: two hours without a tick call somebody');
select is(pg_temp.look('jobs_late'), null, 'and no second time for each job that is late of it');
select pg_temp.at(10);
\else
select pass('pg_cron is here, and switched off') from generate_series(1, 3);
\endif

-- Severity rises, silence, and one row a cause.
delete from maintenance.alert;
select pg_temp.receipt('work', 'succeeded', 70, '0');
select pg_temp.look('job_slow');
select is((maintenance.silence_alert((pg_temp.last('job_slow', 'work')).alert_id,
  maintenance_internal.clock() + interval '1 hour')).silenced_by, session_user::text,
  'who has silenced an alert is noted');
select is((select count from public.maintenance_status where task = 'open_alerts'),
  (select count(*) from maintenance.alert where gone_at is null and cause <> 'job_slow'),
  'the status counts it no more');
select throws_ok($$select maintenance.silence_alert(0, now() + interval '1 day')$$, 'PM002',
  'there is no open alert 0');
select throws_ok($$select maintenance.silence_alert(null, now() + interval '1 day')$$, 'PM002',
  'there is no open alert null');
select throws_matching($$select maintenance.silence_alert(1, '2001-01-01Z')$$, 'is over$');
select maintenance.configure('alert_quiet_minutes', 0);
delete from maintenance_internal.run where job_name = 'work';
select is(pg_temp.look('job_slow'), null, 'with alert_quiet_minutes 0 it is closed at once');
select pg_temp.receipt('work', 'succeeded', 70, '0');
select pg_temp.look('job_slow');
select is((select count(*) from maintenance.alert where cause = 'job_slow'), 2::bigint, 'and a new one is opened then');
select is((pg_temp.last('job_slow', 'work')).silenced_until, maintenance_internal.clock() + interval '1 hour',
  'which is silent as the one before');
select is((maintenance.silence_alert((pg_temp.last('job_slow', 'work')).alert_id, null)).silenced_until, null,
  'until somebody ends that');

select * from finish();
rollback;
