-- Pause, emergency stop and resume: what starts no more, what is refused, and what is as it was afterwards.
begin;
create extension pgtap;
select plan(39);
\ir ../queue/toy.psql
\ir fire.psql
select to_regclass('cron.job') is not null as has_cron \gset

create table public.t (id integer);
select maintenance.set_job('h', 'public.step_ok', '0 * * * *'), maintenance.set_job('off', 'public.step_ok',
  '0 * * * *');
select maintenance.set_statement('vac', 'vacuum public.t', '0 * * * *');
select maintenance.set_statement('vac_off', 'vacuum public.t', '0 * * * *');
select maintenance.disable_job(j) from unnest('{off,vac_off}'::text[]) as j;
insert into public.word values ('ada'), ('bob'), ('cy');
select maintenance.enqueue_task('word', w) from unnest('{ada,bob}'::text[]) as w;
create function pg_temp.command(job text) returns text language plpgsql as $$
begin
  if to_regclass('cron.job') is null then
    return (select maintenance_internal.cron_command(j) from maintenance_internal.job as j where job_name = $1);
  end if;
  return (select c.command from maintenance_internal.cron_jobs() as c where c.job_name = $1);
end $$;

select throws_ok($$select maintenance.pause(' ')$$, 'PM002', 'a reason is needed', 'a pause says why');
select is(maintenance.pause('a migration'), '{"success": true, "signalled": 0, "message":
  "Nothing starts any more, and nothing was running."}', 'a pause says what it did');
select is(pg_temp.fire('h'), 'skipped/paused', 'a job that is fired during a pause leaves a receipt');
select is(pg_temp.fire('vac'), 'skipped/paused', 'so does a statement, which pg_cron calls through run_job then');
select is(pg_temp.command('vac'), 'call maintenance.run_job(''vac'')', '... by another command');
select is(pg_temp.command('tick') || pg_temp.command('run_late'),
  'call maintenance.tick()call maintenance.run_late()', 'the kit''s own two go on');
select results_eq($$select r -> 'success', r #>> '{data,stopReason}',
  r ->> 'message' ~ 'all jobs are paused since .*: a migration'
  from maintenance.run_now('h') as r$$, $$values ('false'::jsonb, 'paused', true)$$,
    'a person cannot start one either');
select throws_ok($$select maintenance_internal.run_or_raise('h')$$, 'PM009', null, 'S1-10: the front doors raise');
select is(pg_temp.fire('off'), 'skipped/disabled', 'what is disabled says that');
select is_empty($$select * from maintenance.claim_tasks('me', 9)$$, 'no task is handed out');
create function pg_temp.said() returns text language sql as $$
  select concat_ws(' ', f.severity, f.fault, f.mend)
  from maintenance_internal.scheduler_faults(array(select s from maintenance.job_status as s)) as f
  where f.fault ~ '^All jobs' $$;
select matches(pg_temp.said(),
  '^notice All jobs are paused since .* by .*: a migration select maintenance.resume\(\);$',
  'the status says since when, by whom, why, and what ends it');
select matches((pg_temp.row('tasks_due')).advice, '^Paused since .*: a migration\. select maintenance\.resume\(\);',
  'the row of the tasks says so, too');
select is((pg_temp.row('tasks_due')).severity, 'notice', '... as a notice');
select is((select bool_or(active) from maintenance.job_status where kind <> 'statement'), false, 'no job is active');
select is((select count(*) from maintenance.job_status where active and not job_name in ('tick', 'run_late',
  'alert_monitor')),
  0::bigint,
  'but for the kit''s own');
update maintenance_internal.control set paused_at = now() - interval '25 hours';
select matches(pg_temp.said(), '^warning', 'a pause that is more than a day old may be forgotten');
select maintenance.pause('another reason');
select is((select paused_at = now() - interval '25 hours' and paused_for = 'another reason'
  from maintenance_internal.control), true, 'a second pause has another reason, and goes on from the first');

select maintenance.pause('x. select * from maintenance.uninstall(''app'');');
select is((select paused_for from maintenance_internal.control), 'x. select from maintenance.uninstall app',
  'a reason is no statement, which somebody might paste');
select is(maintenance.resume() - 'signalled', '{"success": true, "message":
  "Jobs start again, and models are asked again."}', 'resume says what it did');
select is(pg_temp.command('vac'), 'vacuum public.t', 'a statement is put back');
select is(pg_temp.command('vac_off'), 'call maintenance.run_job(''vac_off'')',
  '... but not one that was disabled before');
select results_eq('select job_name from maintenance.job_status where not enabled order by 1',
  array['off', 'vac_off'], 'what was disabled before stays so');
select is(pg_temp.fire('h'), 'succeeded/done', 'jobs start again');
select is(pg_temp.said(), null, 'the status does not speak of it any more');
select is((select min(maintenance_internal.promised_at(j)) from maintenance_internal.job as j), now(),
  'nothing is owed from the time of the pause');

-- What waits, waits on; and what was missed before is not lost.
\if :has_cron
\else
select pg_temp.at('2039-12-31 00:00Z'), maintenance.set_job('m', 'public.step_ok', '0 3 * * *');
select pg_temp.at('2039-12-31 03:01Z'), maintenance.pause('a look'), pg_temp.at('2039-12-31 04:00Z'),
  maintenance.resume();
select matches(pg_temp.late(), 'm:succeeded#1', 'a slot that was missed just before a pause is made up for after it');
select maintenance.drop_job('m');
select pg_temp.at('2040-01-01 00:00Z'), maintenance.set_job('h', 'public.step_bad', '0 * * * *');
select pg_temp.at('2040-01-01 01:00Z'), pg_temp.fire('h'), maintenance.emergency_stop('fire'),
  pg_temp.at('2040-01-01 01:05Z');
select is(pg_temp.late(), null, 'a retry that waits does not begin while all is stopped');
select is(pg_temp.tick(), 0::bigint, 'no slot is missed then');
select pg_temp.at('2040-01-01 09:05Z'), maintenance.resume();
select is(pg_temp.late(), 'h:failed#2', 'it begins when all goes on, however long that took');
reset maintenance.fake_now;
\endif
\if :has_cron
select skip('pg_cron is here', 4);
\endif

-- Answers of models.
create temporary table held as select * from maintenance.claim_tasks('me', 2);
select maintenance.task_request(task_id, lease_token) from held order by task_id limit 1;
select is(maintenance.emergency_stop('fire') ->> 'success', 'true', 'an emergency stop');
select throws_ok(format('select maintenance.complete_task(%s, %L, ''{"word": "hi"}'')', task_id, lease_token), 'PM026',
  null, 'takes no answer') from held order by task_id limit 1;
select is((select word from public.word where subject = 'ada'), null, '... and nothing of it');
select is((select maintenance.task_request(task_id, lease_token) from held order by task_id desc limit 1), null,
  'nor is a model asked any more');
select is((select state || attempts from maintenance.task where task_id = (select max(task_id) from held)), 'ready0',
  '... and the task is given back, and has cost nothing');
select is((select maintenance.extend_lease(task_id, lease_token, '1 minute') from held order by task_id limit 1), true,
  'the worker keeps what it has');
select maintenance.pause('only a pause');
select is(maintenance_internal.is_stopped(), true, 'a pause does not take an emergency stop back');
select maintenance.resume();
select is((select maintenance.complete_task(task_id, lease_token,
  '{"word": "hi"}') ->> 'state' from held order by task_id
  limit 1), 'succeeded', 'the answer is taken after resume');
select is((select word from public.word where subject = 'ada'), 'hi', '... and applied');
select is((select count(*) from maintenance.claim_tasks('me', 9)), 1::bigint, 'tasks are handed out again');
select * from finish();
rollback;
