-- The run that waits: retries, dependencies, windows, missed slots, by a clock that is moved by hand.
begin;
create extension pgtap;
select plan(87);
select to_regclass('cron.job') is not null as has_cron \gset
\if :has_cron
select skip('pg_cron is in this database: tests/control has it', 87);
\else
\ir fire.psql

-- Retries: how often and when, by priority.
select pg_temp.at('2040-03-01 00:00Z');
select maintenance.set_job('p_' || p, 'public.step_bad', '0 3 * * *'), maintenance.configure_job('p_' || p,
  priority => p) from unnest('{critical,high,medium,low}'::text[]) as p;
select pg_temp.at('2040-03-01 03:00:00.5Z');
select is(pg_temp.fire('p_' || p), 'failed/error', 'a job of priority ' || p || ' fails')
from unnest('{critical,high,medium,low}'::text[]) as p;
select ok(min(due_at - finished_at) >= '54 s' and max(due_at - finished_at) <= '66 s', 'the first retry is due after a '
  'minute, give or take a tenth') from (select r.due_at, f.finished_at from maintenance.run_history as r
  join maintenance.run_history as f using (job_name) where r.status = 'waiting' and f.status = 'failed') as d;
select results_eq($$select severity, advice ~ 'p_low: failed: .*; waits for attempt 2, from 2040-03-01 03:0[01] on\.'
    from pg_temp.row('jobs_failing')$$, $$values ('notice', true)$$, 'while a retry waits, that is a notice');
do $$
begin
  for m in 1 .. 60 loop
    perform pg_temp.at('2040-03-01 03:00:00.5Z'::timestamptz + m * interval '1 minute');
    perform pg_temp.tick();
    perform pg_temp.late();
  end loop;
end $$;
select results_eq($$select job_name,
  count(*) from maintenance.run_history where job_name ~ '^p_' group by 1 order by 1$$,
  $$values ('p_critical', 4::bigint), ('p_high', 3), ('p_low', 2), ('p_medium', 3)$$,
  'S2-19: critical jobs are tried 3 times more, high and medium ones 2, low ones once');
select results_eq($$select attempt, bool_and(due_at - f between d * interval '54 s' and d * interval '66 s'), count(*)
  from (select r.attempt, r.due_at, 2 ^ (r.attempt - 2) as d, lag(r.finished_at) over (partition by job_name
    order by r.run_id) as f from maintenance.run_history as r where r.job_name ~ '^p_') as r
  where attempt > 1 group by 1 order by 1$$, $$values (2, true, 4::bigint), (3, true, 3), (4, true, 1)$$,
  'retries are due 1, 2 and 4 minutes after the failure, give or take a tenth');
select is((select count(distinct (job_name, slot)) from maintenance.run_history where job_name ~ '^p_'), 4::bigint,
  'all attempts stand for one slot');
select is((pg_temp.row('jobs_failing')).severity, 'warning', 'when all attempts have failed, that is a warning');
select maintenance.run_now('p_low') \g /dev/null
select is(pg_temp.last('p_low'), 'manual/failed/error/1', 'what a person starts is not tried again');

create sequence public.tries;
create function public.step_third(batch_size integer) returns bigint language plpgsql as $$ begin
  perform set_config('maintenance.fake_tries', (coalesce(nullif(current_setting('maintenance.fake_tries', true), ''),
    '0')::int + 1)::text, true);
  if nextval('public.tries') < 3 then raise exception 'bad'; end if; return null; end $$;
select maintenance.set_job('third', 'public.step_third', '0 3 * * *');
select pg_temp.at('2040-03-02 03:00Z'), pg_temp.fire('third');
select pg_temp.at('2040-03-02 03:01:10Z'), pg_temp.late(), pg_temp.at('2040-03-02 03:04Z'), pg_temp.late();
select results_eq($$select trigger, attempt, status, slot from maintenance.run_history where job_name = 'third'
  order by run_id$$, $$values ('schedule', 1, 'failed', '2040-03-02 03:00Z'::timestamptz),
    ('retry', 2, 'failed', '2040-03-02 03:00Z'), ('retry', 3, 'succeeded', '2040-03-02 03:00Z')$$,
  'a job that fails twice and succeeds');
select is((pg_temp.row('jobs_failing')).advice ~ 'third', false, '... is failing no more');
select maintenance.drop_job(j) from unnest('{p_critical,p_high,p_medium,p_low,third}'::text[]) as j;

-- Dependencies.
select maintenance.set_job(j, 'public.step_ok', '0 3 * * *') from unnest('{d,e}'::text[]) as j;
select maintenance.configure_job('e', depends_on => '{d}', grace => '2 hours');
select pg_temp.at('2040-03-03 03:00:00.5Z');
select is(pg_temp.fire('e'), 'waiting/dependency', 'a job waits for the one that it depends on, in the same minute');
select is(pg_temp.late(), null, '... for as long as that has not run');
select is((select waiting from maintenance.job_status where job_name = 'e'), 'other jobs: d, from 2040-03-03 03:00 on',
  'job_status shows what it waits for');
select pg_temp.fire('d'), pg_temp.at('2040-03-03 03:01Z');
select is(pg_temp.late(), 'e:succeeded#1', '... and then runs');
select is((select details ->> 'waited' from maintenance.run_history where job_name = 'e'), 'dependency',
  'its receipt keeps what it has waited for');
select pg_temp.at('2040-03-04 03:00:00.5Z'), pg_temp.fire('d');
select is(pg_temp.fire('e'), 'succeeded/done', 'where the other was first, it runs at once');
select maintenance.disable_job('d');
select pg_temp.at('2040-03-05 03:00:00.5Z'), pg_temp.fire('d'), pg_temp.fire('e');
select pg_temp.at('2040-03-05 05:00:00Z'), pg_temp.late();
select is(pg_temp.last('e'), 'schedule/waiting/dependency/1/["d"]', 'a disabled dependency blocks, and is named');
select pg_temp.at('2040-03-05 05:00:01Z'), pg_temp.late();
select results_eq($$select status, stop_reason, error, sqlstate, started_at from maintenance.run_history
  where job_name = 'e' order by run_id desc limit 1$$, $$values ('skipped', 'dependency',
  'it waited until 2040-03-05 05:00 for d', 'PM025', null::timestamptz)$$, 'S2-18: after its grace a run is given up, '
  'and says for what it has waited');
select is((pg_temp.row('jobs_failing')).advice, 'e: skipped: it waited until 2040-03-05 05:00 for d. Mend it, then: '
  'call maintenance.run_job(''e'');', 'what was given up is failing');
select maintenance.enable_job('d');
select pg_temp.at('2040-03-06 03:00:00.5Z'), pg_temp.fire('e');
select pg_temp.at('2040-03-06 03:30Z'), maintenance.run_now('d');
select is(pg_temp.late(), 'e:succeeded#1', 'a success by hand lets it go, too');
select maintenance.set_job('n', 'public.step_ok'), maintenance.configure_job('e', depends_on => '{n}');
select pg_temp.at('2040-03-07 03:00:00.5Z');
select is(pg_temp.fire('e'), 'waiting/dependency', 'a dependency without a schedule that never ran');
select maintenance.run_now('n');
select is(pg_temp.late(), 'e:succeeded#1', '... has to succeed');
select pg_temp.at('2040-03-08 03:00:00.5Z');
select is(pg_temp.fire('e'), 'succeeded/done', '... once for ever');
select maintenance.set_job('m', 'public.step_ok', '* * * * *'), maintenance.configure_job('e', depends_on => '{m}');
select pg_temp.at('2040-03-09 03:00:00.5Z'), pg_temp.fire('e'), pg_temp.fire('m');
select pg_temp.at('2040-03-09 03:01:00.1Z');
select is(pg_temp.late(), 'e:succeeded#1', 'a dependency of every minute counts by the slot of the run that waits');
-- A chain, fired the wrong way round, in one pass.
select maintenance.configure_job('m', depends_on => '{d}'), maintenance.configure_job('e', depends_on => '{m}');
select pg_temp.at('2040-03-10 03:00:00.5Z'), pg_temp.fire('e'), pg_temp.fire('m'), pg_temp.fire('d');
select pg_temp.at('2040-03-10 03:01Z');
select is(pg_temp.late(), 'm:succeeded#1 e:succeeded#1', 'a chain of one minute runs in one pass');
select pg_temp.at('2040-03-11 03:00:00.5Z'), pg_temp.fire('e'), pg_temp.at('2040-03-11 03:10Z');
select maintenance.run_now('e');
select is((select string_agg(concat_ws('/', status, stop_reason), ' ' order by run_id) from maintenance.run_history
  where job_name = 'e' and started_at is null or job_name = 'e' and trigger = 'manual'),
  'skipped/dependency skipped/superseded succeeded/done', 'who has waited needs no more when a person runs it');
select maintenance.configure_job(j, depends_on => '{}', grace => '0') from unnest('{m,e}'::text[]) as j;
select maintenance.drop_job(j) from unnest('{m,e,n,d}'::text[]) as j;

-- What was missed.
select maintenance.set_job('h', 'public.step_ok', '0 * * * *'), maintenance.set_job('g', 'public.step_ok', '0 * * * *'),
  maintenance.configure_job('g', depends_on => '{h}');
select maintenance.set_job('t', 'public.step_ok', '0 * * * *'), maintenance.configure_job('t', grace => '1 minute');
select pg_temp.at('2040-03-12 02:00:00.5Z'), pg_temp.fire(j) from unnest('{h,g,t}'::text[]) as j;
select pg_temp.at('2040-03-12 06:11:59Z');
create function pg_temp.late_jobs() returns text language sql as $$
  select string_agg(job_name || ' ' || to_char(late_since at time zone 'UTC', 'HH24:MI'), ', ' order by job_name)
  from maintenance.job_status where late_since is not null and kind <> 'statement' $$;
select is(pg_temp.late_jobs(), 'g 03:00, h 03:00, t 03:00', 'three jobs are late after an outage');
select is(pg_temp.tick(), 3::bigint, '... and the tick catches up with them');
select results_eq($$select job_name, slot from maintenance.run_history where status = 'waiting' and trigger = 'catch_up'
  order by 1$$, $$select j, '2040-03-12 06:00Z'::timestamptz from unnest('{g,h,t}'::text[]) as j$$,
  'of several slots that were missed with the last');
select is(pg_temp.late_jobs(), null, 'none is late then');
select is(pg_temp.tick(), 0::bigint, 'a second look finds nothing');
select is(pg_temp.late(), 'h:succeeded#1 g:succeeded#1', 'two of a chain run in one pass');
select is(pg_temp.last('t'), 'catch_up/skipped/too_late/1', 'one that has a minute of grace is given up');
select is(pg_temp.fire('h'), 'skipped/slot_done', 'pg_cron, which fires that slot after all, finds it done');
select pg_temp.at('2040-03-12 07:00Z');
select is(pg_temp.fire('h'), 'succeeded/done', '... and the next one not');
-- The launcher dies after a slot has run, and the next ones are lost.
select pg_temp.at('2040-03-12 09:35Z');
select is(pg_temp.tick(), 3::bigint, 'a job that has run since is late like the others');
select is((select max(slot) from maintenance.run_history where job_name = 'h' and status = 'waiting'),
  '2040-03-12 09:00Z'::timestamptz, 'trap 3: the latest slot counts');
-- What waits is given up, and the slot that was missed meanwhile is not lost by that.
select maintenance.drop_job(j) from unnest('{g,h}'::text[]) as j;
select pg_temp.at('2040-03-12 11:01Z'), pg_temp.late();
select is(pg_temp.last('t'), 'catch_up/skipped/too_late/1', 'a receipt that is closed late');
select pg_temp.at('2040-03-12 11:02Z'), pg_temp.tick();
select is((select slot from maintenance.run_history where job_name = 't' and status = 'waiting'),
  '2040-03-12 11:00Z'::timestamptz, 'trap 4: ... is no trace of the slot before it');
select pg_temp.at('2040-03-12 12:30Z'), maintenance.drop_job('t');
select maintenance.set_job('no_debt', 'public.step_ok', '0 * * * *');
select pg_temp.at('2040-03-12 12:59Z'), maintenance.set_job('no_debt', 'public.step_ok', '58 * * * *');
select pg_temp.at('2040-03-12 13:05Z');
select is(pg_temp.tick(), 0::bigint, 'a schedule that was edited to a minute that is past owes nothing from before');
select pg_temp.at('2040-03-12 14:03Z'), maintenance.disable_job('no_debt'), maintenance.enable_job('no_debt');
select is(pg_temp.tick(), 0::bigint, 'nor does who was disabled meanwhile');
select pg_temp.at('2040-03-12 15:10Z');
select maintenance.set_job('no_debt', 'public.step_ok', '58 * * * *', 'said once more');
select is(pg_temp.tick(), 1::bigint, 'a job that is declared as it was owes what it owed');
update maintenance_internal.turn set noted_in = 'elsewhere' where name = 'missed';
select pg_temp.at('2040-03-12 16:10Z');
select is(pg_temp.late(), null, 'what waited when a database was dumped does not begin in the restored one');
select is(pg_temp.tick(), 0::bigint, 'a restored database owes nothing from before');
select is(pg_temp.last('no_debt'), 'catch_up/skipped/restored/1', '... and gives up what waited');
select pg_temp.at('2040-03-12 17:10Z');
select is(pg_temp.tick(), 1::bigint, '... but owes what comes');
select maintenance.disable_job('no_debt');
select is(pg_temp.late() || pg_temp.last('no_debt'), null, 'a disabled job does not begin');
select is(pg_temp.last('no_debt'), 'catch_up/skipped/disabled/1', '... and its run that waited is given up');
select maintenance.drop_job('no_debt');

-- Windows.
select maintenance.set_job('w', 'public.step_ok', '0 * * * *');
select maintenance.configure_job('w', window_start => '22:00', window_end => '06:00', window_zone => 'Europe/Berlin');
create function pg_temp.open_minutes(noon timestamptz) returns bigint language sql as $$
  select count(*) from maintenance_internal.job as j, generate_series(noon, noon + interval '1439 minutes',
    interval '1 minute') as m
  where j.job_name = 'w' and maintenance_internal.in_window(j, m) $$;
create function pg_temp.opens(job text, at timestamptz) returns timestamptz language sql as $$
  select maintenance_internal.window_opens(j, $2) from maintenance_internal.job as j where j.job_name = $1 $$;
select is(pg_temp.open_minutes('2026-03-28 12:00Z'), 420::bigint, 'a window over midnight, when an hour is left out');
select is(pg_temp.open_minutes('2026-10-24 12:00Z'), 540::bigint, '... and when there is one twice');
select is(pg_temp.opens('w', '2026-03-28 12:00:30Z'), '2026-03-28 21:00Z'::timestamptz, 'it opens by the clock on the '
  'wall');
select is(pg_temp.opens('w', '2026-03-29 12:00:30Z'), '2026-03-29 20:00Z'::timestamptz, '... which is another one in '
  'summer');
select pg_temp.at('2040-03-13 12:00:00.5Z');
select is(pg_temp.fire('w'), 'waiting/window', 'who is fired outside of its window waits');
select pg_temp.at('2040-03-13 13:00:00.5Z'), pg_temp.fire('w');
select results_eq($$select slot, due_at, attempt from maintenance.run_history where job_name = 'w'$$,
  $$values ('2040-03-13 13:00Z'::timestamptz, '2040-03-13 21:00Z'::timestamptz, 1)$$, 'the run that waits stands for '
  'every later slot, too');
select pg_temp.at('2040-03-13 20:59:59Z');
select is(pg_temp.late(), null, 'a second before it opens nothing runs');
select pg_temp.at('2040-03-13 21:00Z');
select is(pg_temp.late(), 'w:succeeded#1', 'when it opens it runs');
select is(pg_temp.late_jobs(), null, 'no slot outside of it was missed');
create function public.step_on(batch_size integer) returns bigint language plpgsql
as $$ begin perform set_config('maintenance.fake_now', '2040-03-14 05:00:00Z', true); return 1; end $$;
select maintenance.set_job('w', 'public.step_on', '0 * * * *');
select pg_temp.at('2040-03-14 04:00:00Z');
select is(pg_temp.fire('w'), 'succeeded/window', 'a run ends with its window');
select results_eq($$select trigger, attempt, stop_reason, slot, due_at from maintenance.run_history where job_name = 'w'
  order by run_id desc limit 1$$, $$values ('schedule', 1, 'window', '2040-03-14 04:00Z'::timestamptz,
  '2040-03-14 21:00Z'::timestamptz)$$, '... and goes on in the next one');
select maintenance.set_job('w', 'public.step_ok', '0 * * * *');
select pg_temp.at('2040-03-14 12:00:00Z');
create function public.step_twice(batch_size integer) returns bigint language sql return nextval('public.tries') % 2;
select maintenance.set_job('w', 'public.step_twice', '0 * * * *');
select matches(maintenance.run_now('w') #>> '{data,stopReason}', 'done', 'a person may run it at any time');
select maintenance.set_job('w', 'public.step_ok', '0 * * * *');
select maintenance.configure_job('w', window_start => '02:10', window_end => '02:50');
select is(pg_temp.opens('w', '2026-03-29 00:00Z'), '2026-03-30 00:10Z'::timestamptz, 'a window inside of the hour that '
  'is left out opens on the next day');
select maintenance.drop_job('w');

-- What waits for other jobs in vain says so, however often its next slot comes.
select pg_temp.at('2040-03-15 00:00Z');
select maintenance.set_job('d', 'public.step_ok', '0 3 * * *'), maintenance.disable_job('d'),
  maintenance.set_job('e', 'public.step_ok', '*/10 * * * *'), maintenance.configure_job('e', depends_on => '{d}');
select pg_temp.at('2040-03-15 04:00Z'), pg_temp.fire('e'), pg_temp.at('2040-03-15 04:10Z'), pg_temp.fire('e');
select results_eq($$select status, stop_reason, error, sqlstate from maintenance.run_history where job_name = 'e'
  and slot >= '2040-03-15' order by run_id$$, $$values ('skipped', 'dependency',
    'it waited until its next slot for d', 'PM025'),
    ('waiting', 'dependency', null, null)$$,
      'a run that waited until the next slot is told as one that waited in vain');
select results_eq($$select severity,
  advice ~ '^e: skipped: it waited until its next slot for d; waits for other jobs: d'
  from pg_temp.row('jobs_failing')$$, $$values ('warning', true)$$, '... and its job as failing');
create function public.step_one(batch_size integer) returns bigint language sql return 1::bigint;
select maintenance.set_job('d', 'public.step_one', '0 3 * * *'), maintenance.enable_job('d'),
  maintenance.configure_job('d', max_batches => 1);
select pg_temp.at('2040-03-16 03:00Z'), pg_temp.at('2040-03-16 03:10Z');
select is(maintenance.run_now('d') #>> '{data,stopReason}', 'max_batches', 'a run that a limit has cut');
select is(pg_temp.fire('e'), 'waiting/dependency', '... lets nobody go who depends on it');
select is(maintenance_internal.waits_text('{d}'), 'd (which has only come to max_batches)', '... and is told');
select results_eq($$select r,
  maintenance_internal.is_cut(r) from unnest('{done,rows_locked,window,budget}'::text[]) as r$$,
  $$values ('done', false), ('rows_locked', true), ('window', true), ('budget', true)$$,
    'what has left something is cut');
select maintenance.set_job('d', 'public.step_ok', '0 3 * * *'), maintenance.run_now('d');
select is(pg_temp.late(), 'e:succeeded#1', '... but one that has come to its end');
select is((select details - 'waited' from maintenance.run_history where job_name = 'e' order by run_id desc limit 1),
  '{}',
  'its receipt does not say any more what it waits for');
select maintenance.drop_job(j) from unnest('{e,d}'::text[]) as j;

-- Who goes first, and what one pass takes.
select maintenance.set_job(p, 'public.step_bad', '0 3 * * *'), maintenance.configure_job(p, priority => p)
from unnest('{low,critical}'::text[]) as p;
select pg_temp.at('2040-03-17 03:00Z'), pg_temp.fire('low'), pg_temp.at('2040-03-17 03:00:05Z'),
  pg_temp.fire('critical');
update maintenance_internal.run set due_at = '2040-03-17 03:00:50Z' where job_name = 'low' and status = 'waiting';
update maintenance_internal.run set due_at = '2040-03-17 03:01:20Z' where job_name = 'critical' and status = 'waiting';
select pg_temp.at('2040-03-17 03:02Z');
select is(maintenance_internal.start_waiting('2040-03-17 03:00:10Z'), null,
  'a pass takes nothing that falls due later');
select matches(pg_temp.late(), '^critical:failed#2 low:failed#2', 'of those that wait the critical goes first');
select maintenance.set_job(p, 'public.step_ok', '0 3 * * *') from unnest('{low,critical}'::text[]) as p;
select pg_temp.at('2040-03-17 03:03Z'), maintenance.disable_job('low');
select pg_temp.at('2040-03-18 03:00Z'), pg_temp.fire('critical');
select results_eq($$select status, stop_reason, attempt from maintenance.run_history where job_name = 'critical'
  order by run_id desc offset 1 limit 1$$, $$values ('skipped', 'superseded', 3)$$,
  'a later slot takes the place of a retry');
select maintenance.set_job('critical', 'public.step_bad', '*/10 * * * *');
select pg_temp.at('2040-03-18 04:00Z'), pg_temp.fire('critical'), pg_temp.at('2040-03-18 04:10Z'),
  pg_temp.fire('critical');
select results_eq($$select slot, attempt from maintenance.run_history where job_name = 'critical'
  and status = 'waiting'$$, $$values ('2040-03-18 04:10Z'::timestamptz, 2)$$, '... also where it fails as well');
create function public.step_disables(batch_size integer) returns bigint language plpgsql as $$ begin
  update maintenance_internal.job set enabled = false where job_name = 'critical'; return null; end $$;
select maintenance.set_job('critical', 'public.step_disables', '0 3 * * *');
select pg_temp.at('2040-03-19 03:00Z'), set_config('maintenance.fake_fired', 'on', true);
select maintenance_internal.start_run('critical', true) as run_id \gset
select set_config('maintenance.fake_fired', '', true);
update maintenance_internal.run set error = 'bad', sqlstate = 'P0001' where run_id = :run_id;
select pg_temp.work(:run_id);
select is(pg_temp.last('critical'), 'schedule/failed/error/1', 'a job that was disabled meanwhile is not tried again');
select maintenance.drop_job(j) from unnest('{low,critical}'::text[]) as j;

-- A run that goes on over a slot, and dies: the slot is not forgotten.
select pg_temp.at('2040-03-20 02:50Z'), maintenance.set_job('h', 'public.step_ok', '0 3 * * *');
select maintenance_internal.start_run('h', true) as run_id \gset
select pg_temp.at('2040-03-20 03:05Z'), set_config('maintenance.run_id', :'run_id', true);
select is(pg_temp.tick(), 0::bigint, 'who is at work has missed nothing');
update maintenance_internal.run set status = 'interrupted', finished_at = '2040-03-20 03:06Z',
  stop_reason = 'backend_gone'
where run_id = :run_id;
select set_config('maintenance.run_id', '', true), pg_temp.at('2040-03-20 03:06Z');
select is(pg_temp.tick(), 1::bigint, '... but when he is found dead he has');
select is(pg_temp.late(), 'h:succeeded#1', 'it is caught up with');
select maintenance.drop_job('h');

-- A catch-up of a job of every five minutes waits for a quarter of an hour.
select pg_temp.at('2040-03-21 00:00Z'), maintenance.set_job('m', 'public.step_ok', '*/5 * * * *');
select pg_temp.at('2040-03-21 00:08Z'), pg_temp.tick(), pg_temp.at('2040-03-21 00:20Z');
select is(pg_temp.late(), 'm:succeeded#1', 'without a grace a run waits for a quarter of an hour at least');
select maintenance.drop_job('m');

-- Without a slot to come a run waits for a day.
select pg_temp.at('2040-03-21 12:00Z'), maintenance.set_job('u', 'public.step_bad', '0 * * * *'), pg_temp.fire('u');
select maintenance.set_job('u', 'public.step_ok'), pg_temp.at('2040-03-21 12:20Z');
select is(pg_temp.late(), 'u:succeeded#2', 'a job whose schedule was taken away has its retry all the same');
select maintenance.drop_job('u');

-- Windows that change, and retries that run into their end.
select maintenance.set_job('w', 'public.step_bad', '*/5 * * * *'), maintenance.configure_job('w', priority => 'low',
  window_start => '02:00', window_end => '02:12');
select pg_temp.at('2040-03-22 02:10Z'), pg_temp.fire('w'), pg_temp.at('2040-03-22 02:12Z'), pg_temp.late();
select results_eq($$select trigger, attempt, stop_reason, due_at from maintenance.run_history where job_name = 'w'
  and status = 'waiting'$$, $$values ('retry', 2, 'window', '2040-03-23 02:00Z'::timestamptz)$$,
  'a retry that falls due outside of the window waits for it');
select pg_temp.at('2040-03-22 23:55Z'), pg_temp.fire('w');
select results_eq($$select trigger, attempt, slot from maintenance.run_history where job_name = 'w'
  and status = 'waiting'$$, $$values ('schedule', 1, '2040-03-22 23:55Z'::timestamptz)$$,
  'a later slot that waits with it has its own attempts');
select maintenance.configure_job('w', window_start => '23:00', window_end => '23:59');
select pg_temp.at('2040-03-22 23:56Z');
select is(pg_temp.late(), 'w:failed#1', 'a window that is changed counts for who waits already');

-- One that cannot be judged keeps no other: a time zone that another server knew.
select maintenance.set_job('o', 'public.step_bad', '0 3 * * *');
select pg_temp.at('2040-03-23 03:00Z'), pg_temp.fire('o');
update maintenance_internal.job set window_zone = 'Mars/Base', priority = 'critical' where job_name = 'w';
update maintenance_internal.run set due_at = '2040-03-23 03:00Z' where job_name = 'w' and status = 'waiting';
select pg_temp.at('2040-03-23 03:02Z');
select is(pg_temp.late(), 'o:failed#2', 'a run that cannot be judged keeps no other from its turn');
select results_eq($$select status, stop_reason, sqlstate,
  error ~ 'Mars/Base|SQLSTATE 22023' from maintenance.run_history
  where job_name = 'w' order by run_id desc limit 1$$, $$values ('skipped', 'error', '22023', true)$$,
  '... and is closed with its error');
\endif
select * from finish();
rollback;
