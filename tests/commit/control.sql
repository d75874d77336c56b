-- Runs that somebody ends: time-outs, emergency stops, killed sessions; and ticks and passes of run_late at once.
-- Committing, in a database of its own. Other sessions are dblink connections.
\set QUIET on
set client_min_messages = error;
create extension pgtap;
select plan(46);
\ir connect.psql
select to_regclass('cron.job') is not null as has_cron \gset

-- What pg_cron fires, here and in the other sessions: a trusted role's session by its name.
select dblink_exec(c, 'set application_name = ''pg_cron''') from unnest('{other,third}'::text[]) as c \g /dev/null
create function public.nap(batch_size integer) returns bigint language plpgsql
as $$ begin perform pg_sleep(60); return 0; end $$;
create function public.short_naps(batch_size integer) returns bigint language plpgsql
as $$ begin perform pg_sleep(0.02); return 1; end $$;
-- Each second is a slot of its own.
select maintenance.set_job('nap', 'public.nap', '1 second'),
  maintenance.set_job('naps', 'public.short_naps', '1 second'), maintenance.set_job('ok', 'public.nap') \g /dev/null
create function public.last(job text) returns text language sql as $$
  select concat_ws('/', trigger, status, stop_reason, sqlstate, error) from maintenance.run_history
  where job_name = $1 and status <> 'waiting' order by run_id desc limit 1 $$;
create function public.waiting(job text) returns text language sql as $$
  select concat_ws('/', trigger, stop_reason, attempt) from maintenance.run_history
  where job_name = $1 and status = 'waiting' $$;
create procedure pg_temp.start(connection text, job text) language plpgsql as $$
begin
  perform dblink_send_query(connection, format('call maintenance.run_job(%L)', job));
  call pg_temp.wait_for(format($q$exists (select from maintenance_internal.run as r
    join pg_locks as l on l.pid = r.backend_pid and l.locktype = 'advisory' and l.objid = r.job_id
    where r.status = 'running' and r.job_name = %L)$q$, job));
end $$;
create function pg_temp.outcome(connection text) returns text language plpgsql as $$
declare v_state text := 'no error';
begin
  begin
    perform from dblink_get_result(connection) as d (r text);
  exception when query_canceled or others then
    v_state := sqlstate;
  end;
  perform from dblink_get_result(connection, false) as d (r text);
  return v_state;
end $$;

-- A session that goes on after a cancel between two batches closes what it has left open.
create function pg_temp.close(connection text) returns void language sql as $$
  select from dblink($1, 'select maintenance_internal.close_dead_runs()::text') as d (r text) $$;

-- Time-outs.
call pg_temp.start('other', 'nap');
select is(maintenance_internal.signal_runs(), 0::bigint, 'who is in time is let alone');
select maintenance.configure_job('nap', timeout => '1 millisecond') \g /dev/null
call maintenance.tick();
select is(pg_temp.outcome('other'), '57014', 'S2-20: a call that is over its time-out is cancelled by the tick');
select is(public.last('nap'), 'schedule/timeout/timeout/57014/it was not over after its time-out of 00:00:00.001',
  'S2-20: its receipt says timeout, and after how long');
select is(public.waiting('nap'), 'retry/retry/2', 'it is tried again');
select matches((select advice from public.maintenance_status where task = 'jobs_failing'),
  'nap: timeout: it was not over after its time-out of 00:00:00.001; waits for attempt 2', 'the status says so');
call pg_temp.start('other', 'naps');
select maintenance.configure_job('naps', timeout => '30 milliseconds') \g /dev/null
select is(pg_temp.outcome('other'), '57014', 'between two batches a run sees its time-out itself');
select is(public.last('naps'), 'schedule/timeout/timeout/57014/it was not over after its time-out of 00:00:00.03',
  '... and says the same');
select maintenance.configure_job(j, timeout => '0') from unnest('{nap,naps}'::text[]) as j \g /dev/null
select is((select maintenance_internal.time_out_of(j)::text from maintenance_internal.job as j where job_name = 'nap'),
  '01:05:00', 'where nobody has set one, it is an hour beyond the budget');

-- A cancel by a person.
call pg_temp.start('other', 'nap');
select pg_cancel_backend(backend_pid) from maintenance_internal.run where job_name = 'nap' and status = 'running'
\g /dev/null
select is(pg_temp.outcome('other'), '57014', 'a person cancels a run');
select matches(public.last('nap'), '^schedule/cancelled/cancelled/57014', 'it is cancelled, and no time-out');
select is((select count(*) from maintenance.run_history where status = 'waiting' and job_name = 'nap'), 0::bigint,
  '... and is not tried again');
select is((select severity from public.maintenance_status where task = 'jobs_failing'), 'warning',
  'a cancelled job counts as failing');

-- An emergency stop: one in the middle of a call, one between batches, one who may not be cancelled.
call pg_temp.start('other', 'nap');
call pg_temp.start('third', 'naps');
select maintenance.emergency_stop('a fire') as stopped \gset
select is((:'stopped'::jsonb - 'signalled') ->> 'message'
  ~ '^Nothing starts any more. 2 runs were going on: [12] cancelled',
  true, 'S2-34: an emergency stop says what it ended');
select is(:'stopped'::jsonb ->> 'success', 'true', 'S2-34: ... and that it did');
select is(pg_temp.outcome('other') || pg_temp.outcome('third'), '5701457014', 'both runs end');
select pg_temp.close('other'), pg_temp.close('third') \g /dev/null
select matches(public.last(j), '^schedule/cancelled/emergency_stop', j || ': cancelled by an emergency stop')
from unnest('{nap,naps}'::text[]) as j;
select is((select count(*) from maintenance.run_history where status = 'waiting'), 0::bigint, 'neither is tried again');
select maintenance.resume() \g /dev/null
select is((select count(*) from maintenance.run_history where trigger = 'catch_up'), 0::bigint,
  'nothing is caught up with afterwards');

-- A flag alone, where nobody cancels, also where it is taken back at once.
call pg_temp.start('other', 'naps');
update maintenance_internal.control set stopped_at = clock_timestamp();
select is(pg_temp.outcome('other'), '57014', 'a run between batches sees the stop itself');
select is(public.last('naps'), 'schedule/cancelled/emergency_stop/57014/ended by an emergency stop',
  '... and says so');
select maintenance.resume() \g /dev/null

-- Steps of no time: a cancel comes between two of them as often as not.
create function public.tiny(batch_size integer) returns bigint language sql return 1::bigint;
select maintenance.set_job('tiny', 'public.tiny', '1 second') \g /dev/null
create procedure pg_temp.stop_often(times integer) language plpgsql as $$
begin
  for i in 1 .. times loop
    perform dblink_send_query('other', 'call maintenance.run_job(''tiny'')');
    call pg_temp.wait_for($q$exists (select from maintenance_internal.run where status = 'running' and batches > 100
      and job_name = 'tiny')$q$);
    perform maintenance.emergency_stop('a drill');
    commit;
    perform pg_temp.outcome('other');
    perform pg_temp.close('other');
    perform maintenance.resume();
    commit;
    call maintenance.tick();
  end loop;
end $$;
call pg_temp.stop_often(12);
select results_eq($$select status, stop_reason, count(*) from maintenance.run_history where job_name = 'tiny'
  and status <> 'skipped' group by 1, 2$$, $$values ('cancelled', 'emergency_stop', 12::bigint)$$,
  'wherever an emergency stop reaches a run, it is cancelled, and not tried again');
select dblink_disconnect('other') \g /dev/null
\ir connect.psql
select dblink_exec('other', 'set application_name = ''pg_cron''') \g /dev/null

-- A stop takes hold whatever others hold: here all rows of jobs.
select dblink_exec('third', 'begin') \g /dev/null
select from dblink('third', 'select maintenance.configure_job(''ok'', depends_on => ''{tiny}'')::text') as d (r text)
\g /dev/null
call pg_temp.start('other', 'nap');
select is(maintenance.emergency_stop('a fire') ->> 'signalled', '1', 'a stop needs no row of a job');
select is(pg_temp.outcome('other'), '57014', '... and ends what runs');
select is(maintenance.resume() ->> 'success', 'true', '... nor does resume');
select dblink_exec('third', 'rollback') \g /dev/null

-- One in somebody's own transaction, whose receipt nobody sees.
select dblink_exec('third', 'begin') \g /dev/null
select dblink_send_query('third', 'select maintenance.run_now(''nap'')::text') \g /dev/null
call pg_temp.wait_for($q$exists (select from pg_locks as l where l.locktype = 'advisory'
  and l.classid = maintenance_internal.lock_class()::oid
  and l.database = (select oid from pg_database where datname = current_database()))$q$);
select is(maintenance.emergency_stop('a fire') ->> 'message',
  'Nothing starts any more. 1 run was going on: 1 cancelled, '
  'and what could not be ends after its batch.', 'a run in somebody''s transaction is ended, too');
select is(pg_temp.outcome('third'), '57014', '... with the transaction');
select dblink_exec('third', 'rollback'), maintenance.resume() \g /dev/null

-- A pause that is held open in a transaction is told to the next one.
select dblink_exec('third', 'begin') \g /dev/null
select from dblink('third', 'select maintenance.pause(''held'')::text') as d (r text) \g /dev/null
select throws_ok($$select maintenance.emergency_stop('a fire')$$, '55P03', 'somebody else pauses or resumes, in a '
  'transaction that is still open', 'a stop does not wait for a pause that is left open');
select dblink_exec('third', 'rollback') \g /dev/null
select is(maintenance.resume() ->> 'message', 'Nothing was paused.', 'resume by itself changes nothing');

-- Who swallows a cancel loses his session, of a stop as of a time-out.
create function public.deaf(batch_size integer) returns bigint language plpgsql as $$
begin
  loop
    begin
      perform pg_sleep(60);
    exception when query_canceled then
      null;
    end;
  end loop;
end $$;
select maintenance.set_job('deaf', 'public.deaf', '1 second') \g /dev/null
call pg_temp.start('other', 'deaf');
select maintenance.configure_job('deaf', timeout => '1 millisecond') \g /dev/null
call maintenance.tick();
select is(public.last('deaf'), 'schedule/running', 'a step may swallow a cancel');
set maintenance.fake_now = 'infinity';
select set_config('maintenance.fake_now', (clock_timestamp() + interval '6 minutes')::text, false) \g /dev/null
call maintenance.tick();
reset maintenance.fake_now;
select is(public.last('deaf'), 'schedule/timeout/timeout/57014/it was not over after its time-out of 00:00:00.001',
  '... and five minutes later its session is ended');
select dblink_disconnect('other') \g /dev/null
\ir connect.psql
select dblink_exec('other', 'set application_name = ''pg_cron''') \g /dev/null
select maintenance.configure_job('deaf', timeout => '0') \g /dev/null
call pg_temp.start('other', 'deaf');
select maintenance.emergency_stop('a fire'), maintenance.resume() \g /dev/null
select set_config('maintenance.fake_now', (clock_timestamp() + interval '6 minutes')::text, false) \g /dev/null
call maintenance.tick();
reset maintenance.fake_now;
select is(public.last('deaf'), 'schedule/cancelled/emergency_stop/57014/ended by an emergency stop',
  'who swallows an emergency stop loses his session five minutes later, after resume, too');
select maintenance.drop_job(j) from unnest('{deaf,tiny}'::text[]) as j \g /dev/null
select dblink_disconnect('other') \g /dev/null
\ir connect.psql
select dblink_exec('other', 'set application_name = ''pg_cron''') \g /dev/null

-- A pass of run_late that fails says so from the next one on.
create function pg_temp.run_late() returns text language plpgsql as $$
begin
  perform from dblink('other', 'call maintenance.run_late()') as d (r text);
  return 'no error';
exception when others then
  return sqlerrm;
end $$;
select pg_get_functiondef('maintenance_internal.start_waiting(timestamptz)'::regprocedure) as whole \gset
create or replace function maintenance_internal.start_waiting(p_due_at timestamptz) returns bigint language plpgsql
set search_path = pg_catalog, pg_temp as $$ begin raise exception 'broken'; end $$;
select pg_temp.run_late(), pg_temp.run_late() \g /dev/null
select is(public.last('run_late') ~ '/failed/error/PM008/the pass before did not come to its end', true,
  'a pass of run_late that fails is told');
select is(f.severity || f.fault ~ '^warningrun_late, which starts what is owed, fails: the pass before', true,
  '... by the row scheduler') from maintenance_internal.scheduler_faults(array(
  select s from maintenance.job_status as s)) as f where f.fault ~ 'run_late' limit 1;
:whole;
select pg_temp.run_late(), pg_temp.run_late() \g /dev/null
select is(public.last('run_late') ~ '/succeeded/done$', true, '... until one has come to its end');

select dblink_exec('other', 'set application_name = ''pg_cron''') \g /dev/null

-- A session that is killed.
call pg_temp.start('other', 'nap');
select pg_terminate_backend(backend_pid) from maintenance_internal.run where job_name = 'nap' and status = 'running'
\g /dev/null
select backend_pid as pid from maintenance_internal.run where job_name = 'nap' order by run_id desc limit 1 \gset
call pg_temp.wait_for(format('not exists (select from pg_stat_activity where pid = %s)', :pid));
delete from maintenance_internal.run where status = 'waiting';
call maintenance.tick();
select is(public.last('nap'), 'schedule/interrupted/backend_gone', 'the run of a killed session is interrupted');
select is(public.waiting('nap'), 'retry/retry/2', '... and tried again');
select dblink_disconnect('other') \g /dev/null
\ir connect.psql
select dblink_exec('other', 'set application_name = ''pg_cron''') \g /dev/null

-- A step of the tick that fails stops no other.
create function public.before() returns bigint language sql as
$$ select count(*) from maintenance.run_history where status = 'running' $$;
select pg_get_functiondef('maintenance_internal.record_schedule_edits(text,integer)'::regprocedure) as whole \gset
create or replace function maintenance_internal.record_schedule_edits(p_changed_by text default 'pg_cron',
  p_job_id integer default null) returns void language plpgsql set search_path = pg_catalog, pg_temp
as $$ begin raise exception 'broken'; end $$;
insert into maintenance_internal.run (job_id, job_name, trigger, status, started_at, touched_at, backend_pid)
select job_id, job_name, 'schedule', 'running', now(), now() - interval '1 minute', 1 from maintenance_internal.job
where job_name = 'ok';
call maintenance.tick();
select is(public.last('tick') ~ '/failed/error/P0001/record_schedule_edits: SQLSTATE P0001', true,
  'the tick says which of its steps fails');
select is(public.last('ok'), 'schedule/interrupted/backend_gone', 'the other steps are done');
select is(error_detail ->> 'message', 'broken', 'the owner reads with what') from maintenance.run_history
where job_name = 'tick';
:whole;
call maintenance.tick();
select is(public.last('tick') ~ '/succeeded/done$', true, 'when it is mended the tick is well again');
select throws_ok('call maintenance.tick()', '2D000', 'maintenance.tick commits, and cannot do so inside a transaction',
  'the tick is not called inside a transaction');

-- Three ticks and three passes of run_late at once, with twenty jobs that missed a slot.
\if :has_cron
select skip('pg_cron is in this database', 4);
\else
select maintenance.drop_job(j) from unnest('{nap,naps,ok}'::text[]) as j \g /dev/null
-- What pg_cron fires begins with a clean session, without a clock of its own.
select dblink_exec(c, 'reset application_name') from unnest('{other,third}'::text[]) as c \g /dev/null
create function public.quick(batch_size integer) returns bigint language sql return null::bigint;
select maintenance.set_job('q' || i, 'public.quick', '0 * * * *') from generate_series(1, 20) as i \g /dev/null
set maintenance.fake_now = '2040-01-01 00:30Z';
update maintenance_internal.job set promised_at = '2040-01-01 00:30Z';
insert into maintenance_internal.run (job_id, job_name, trigger, status, started_at, finished_at, stop_reason)
select job_id, job_name, 'schedule', 'succeeded', now(), now(), 'done' from maintenance_internal.job
where job_name = 'tick';
select dblink_exec(c, 'set maintenance.fake_now = ''2040-01-01 02:30Z''') from unnest('{other,third}'::text[]) as c
\g /dev/null
set maintenance.fake_now = '2040-01-01 02:30Z';
create procedure pg_temp.at_once(statement text) language plpgsql as $$
begin
  perform dblink_send_query(c, statement) from unnest('{other,third}'::text[]) as c;
  commit;
end $$;
call pg_temp.at_once('call maintenance.tick()');
call maintenance.tick();
select is(pg_temp.outcome('other') || pg_temp.outcome('third'), 'no errorno error', 'three ticks at once');
select is((select count(*) from maintenance.run_history where trigger = 'catch_up' and status = 'waiting' and
  job_name ~ '^q'), 20::bigint,
  'one run waits for each job that missed a slot');
call pg_temp.at_once('call maintenance.run_late()');
call maintenance.run_late();
select is(pg_temp.outcome('other') || pg_temp.outcome('third'), 'no errorno error', 'three passes of run_late at once');
select results_eq($$select status, slot, count(*) from maintenance.run_history where trigger = 'catch_up'
  and job_name ~ '^q' group by 1, 2$$,
  $$values ('succeeded', '2040-01-01 02:00Z'::timestamptz, 20::bigint)$$, 'each job runs once, for its latest slot');
\endif
select * from finish();
