-- Statement jobs: one statement that pg_cron runs as it stands (C-020), and the receipts that the
-- tick writes of them. VACUUM is real here, and pg_cron's tables are made up; tests/e2e has the real
-- ones. Committing, in a database of its own.
\set QUIET on
set client_min_messages = error;
create extension pgtap;
select plan(58);
\ir connect.psql
select current_database() || '_stranger' as stranger \gset
create role :"stranger";

-- What is one statement.
create table public.t (id integer);
create table public.u (id integer);
create table public.p (id integer) partition by range (id);
create table public.p1 partition of public.p for values from (0) to (10);
create schema "Odd; Name";
create table "Odd; Name"."T;" (id integer);
select lives_ok(format('select maintenance.set_statement(%L, %L)', 's', s), s) from unnest(array[
  'vacuum (analyze) public.t;', e'vacuum public.t -- weekly; keep', 'vacuum /* ; */ public.t',
    $$comment on table public.t is 'a; b'$$,
  'do $x$ begin perform 1; end $x$', 'vacuum "Odd; Name"."T;"']) as s;
select throws_ok(format('select maintenance.set_statement(%L, %L)', 's', s), 'PM007', null, 'set_statement refuses: '
  || s)
  from unnest(array[
  'vacuum t; vacuum u', e'vacuum t; -- x\nvacuum u', 'begin; vacuum t', '', '-- x', $$call maintenance.run_job('x')$$,
    $$ /* x */ CALL maintenance . run_job('x')$$]) as s;
select is((select statement from maintenance_internal.job where job_name = 's'), 'vacuum "Odd; Name"."T;"',
  'a refused statement leaves the old one alone');
select results_eq($$select s, (select string_agg(concat_ws(' ', verb, relid::text, options), ', ' order by relid)
  from maintenance_internal.statement_tables(s)) from unnest(array[
    'vacuum /* t, */ (analyze, skip_locked) public . t (id), u -- p', 'VACUUM full analyze "Odd; Name"."T;", only p *',
      'analyse public.p, nowhere, pg_class', 'vacuum',
      'repack (concurrently, verbose) public.t using index t_idx', 'REPACK u',
  'comment on table public.t is null']) as s$$,
  $$values ('vacuum /* t, */ (analyze, skip_locked) public . t (id), u -- p',
    'vacuum t  ( analyze , skip_locked ), vacuum u  ( analyze , skip_locked )'),
    ('VACUUM full analyze "Odd; Name"."T;", only p *',
      'vacuum p1  full analyze, vacuum "Odd; Name"."T;"  full analyze'),
      ('analyse public.p, nowhere, pg_class', 'analyze p1 '), ('vacuum', null),
      ('repack (concurrently, verbose) public.t using index t_idx', 'repack t  ( concurrently , verbose )'),
      ('REPACK u', 'repack u '),
      ('comment on table public.t is null', null)$$,
  'the tables that a statement names are read out of it');

select maintenance.set_statement('vac', 'vacuum public.t', '* * * * *') \g /dev/null
select maintenance.set_statement('gone', 'vacuum public.t', '* * * * *') \g /dev/null

-- pg_cron, made up.
create schema cron;
create table cron.job (jobid bigint, schedule text, command text, nodename text default 'localhost',
  nodeport integer default current_setting('port')::integer, username text default current_user,
  active boolean default true, jobname text, database text default current_database());
create table cron.job_run_details (jobid bigint, runid bigint, job_pid integer, username text default current_user,
  command text, status text, return_message text, start_time timestamptz, end_time timestamptz);
create table cron.fired (what text);
create function cron.schedule(text, text, text) returns bigint language sql as
  'insert into cron.fired values ($1) returning 1';
-- A schema by that name may be anybody's; pg_cron's own is a superuser's.
select rolsuper as is_super from pg_roles where rolname = current_user \gset
\getenv as_superuser AS_SUPERUSER
\if :is_super
select skip('whoever runs this is a superuser', 2);
\else
select is((maintenance_internal.cron_state()).gap, 'the schema cron of this database is somebody''s own, and not '
  'pg_cron''s', 'F16: a schema cron that is not pg_cron''s is taken for nothing else');
select count(*) from maintenance.install_schedules() \g /dev/null
select is_empty('table cron.fired', 'F16: ... and nothing in it is called');
\if :{?as_superuser}
select current_database() as "DB" \gset
\setenv DB :DB
\! $AS_SUPERUSER -d $DB -c 'alter schema cron owner to current_user; alter table cron.job owner to current_user'
\! $AS_SUPERUSER -d $DB -c 'grant all on schema cron to public; grant all on cron.job, cron.job_run_details to public'
\else
select skip('there is no superuser to make up pg_cron', 41);
select * from finish();
\q
\endif
\endif
drop function cron.schedule(text, text, text);
insert into cron.job (jobid, schedule, command, username, active, jobname) values (1, '* * * * *', 'vacuum public.t',
  default, default, 'maintenance:vac'),
  (2, '* * * * *', 'call maintenance.tick()', default, default, 'maintenance:tick'),
  (3, '* * * * *', 'vacuum public.t', default, default, 'maintenance:gone'),
    (4, '* * * * *', 'vacuum public.t', default, default, 'somebody else''s');
delete from maintenance_internal.job where job_name = 'gone';
-- What pg_cron runs for a statement job is its statement.
create function public.fired(id bigint, statement text, outcome text default 'succeeded', who text default current_user,
  began timestamptz default now(), job bigint default 1) returns void language sql
begin atomic
  update maintenance_internal.job as j set statement = fired.statement
  where fired.job = 1 and j.job_name = 'vac' and fired.statement !~* 'run_job';
  insert into cron.job_run_details values (job, id, 4711, who, statement, outcome, case outcome when 'failed'
    then 'ERROR: secret' end, began, case when outcome <> 'running' then began + interval '1 second' end);
end;
create function public.receipt(job text default 'vac') returns text language sql
begin atomic
  select concat_ws('|', count(*) over (), r.status, r.stop_reason, r.sqlstate, r.error, nullif(r.details, '{}'))
    from maintenance.run_history as r where r.job_name = job order by run_id desc limit 1;
end;

select public.fired(11, 'vacuum public.t', 'running') \g /dev/null
call maintenance.tick();
select is(public.receipt(), null, 'what has only just begun is left to the next tick, when it may be over');
update cron.job_run_details set start_time = now() - interval '20 seconds';
call maintenance.tick();
select is(public.receipt(), '1|running', 'a VACUUM that goes on has a receipt');
call maintenance.tick();
select is(public.receipt(), '1|running', 'a VACUUM that goes on has one receipt after two ticks');
vacuum public.t;
update cron.job_run_details set status = 'succeeded', end_time = now();
call maintenance.tick();
select is(public.receipt(), '1|succeeded|done', 'the receipt of a VACUUM says when it is done');
select results_eq($$select h.trigger, h.slot = date_trunc('minute', h.started_at), h.started_at = d.start_time,
  h.finished_at = d.end_time, r.backend_pid from maintenance.run_history as h join maintenance_internal.run as r
  using (run_id), cron.job_run_details as d where h.job_name = 'vac'$$,
  $$values ('schedule', true, true, true, 4711)$$, 'the receipt of a VACUUM has the times and the process of pg_cron');
call maintenance.tick();
select is(public.receipt(), '1|succeeded|done', 'the receipt of a VACUUM that is done is not written again');

select public.fired(12, 'vacuum public.u') \g /dev/null
call maintenance.tick();
select is(public.receipt(), '2|failed|error|PM019|public.u was left out: the statistics show no trace of it',
  'a VACUUM that touched nothing is failed, whatever pg_cron says');
select public.fired(13, 'vacuum pg_catalog.pg_authid, public.t', who => :'stranger') \g /dev/null
vacuum public.t;
call maintenance.tick();
select is(public.receipt(),
  format('3|failed|error|PM019|pg_authid was left out: %1$s may not vacuum it: it is not the owner; public.t was left '
    'out: %1$s may not vacuum it: it is not the owner', :'stranger'),
  'a VACUUM by a role that owns no table that it names is failed');
select public.fired(33, 'vacuum public.t, pg_catalog.pg_database') \g /dev/null
vacuum public.t;
call maintenance.tick();
select is(public.receipt(),
  format('4|failed|error|PM019|pg_database was left out: %s may not vacuum it: it is not the owner', current_user),
  'a VACUUM by a role that owns one of its tables, and not the shared catalogue, is failed');
delete from cron.job_run_details where runid = 33;
delete from maintenance_internal.run where cron_run_id = 33;
select public.fired(34, 'vacuum (skip_locked) public.t, public.p') \g /dev/null
vacuum public.t;
call maintenance.tick();
select is(public.receipt(), '4|succeeded|done|{"left_out": {"public.p1": "its lock was not free"}}',
  'the receipt of a VACUUM names the one of two tables that was locked');
select public.fired(35, 'vacuum (skip_locked) public.p', began => now() + interval '1 second') \g /dev/null
call maintenance.tick();
select is(public.receipt(), '5|failed|error|PM019|public.p1 was left out: its lock was not free',
  'a VACUUM whose only table was locked is failed');
select public.fired(36, 'vacuum full public.u') \g /dev/null
call maintenance.tick();
select is(public.receipt(), '6|succeeded|done', 'VACUUM FULL leaves no trace, so pg_cron is believed');
select public.fired(37, 'vacuum public.u', began => pg_postmaster_start_time() - interval '1 hour') \g /dev/null
call maintenance.tick();
select is(public.receipt(), '7|succeeded|done', 'pg_cron is believed where a restart may have taken the statistics');
select public.fired(38, 'analyze public.u') \g /dev/null
call maintenance.tick();
select is(public.receipt(), '8|failed|error|PM019|public.u was left out: the statistics show no trace of it',
  'an ANALYZE that touched nothing is failed, whatever pg_cron says');
select public.fired(39, 'analyze public.u') \g /dev/null
analyze public.u;
call maintenance.tick();
select is(public.receipt(), '9|succeeded|done', 'an ANALYZE that leaves its trace has succeeded');
select public.fired(40, 'vacuum public.t', 'failed') \g /dev/null
call maintenance.tick();
select is(public.receipt(), '10|failed|error|PM019|pg_cron reports a failure',
  'a VACUUM that pg_cron reports as failed is failed');
select is((select error_detail ->> 'message' from maintenance_internal.run order by run_id desc limit 1),
  'ERROR: secret', 'the receipt of a failed VACUUM keeps its message for the owner');
select public.fired(41, 'vacuum public.t', 'failed', began => null) \g /dev/null
call maintenance.tick();
call maintenance.tick();
select is(public.receipt(), '11|failed|error|PM019|pg_cron reports a failure',
  'a failure without a time, where pg_cron could not connect, has one receipt');
-- pg_cron is made anew.
select $$create table cron.anew as table cron.job; drop table cron.job; alter table cron.anew rename to job;
  grant all on cron.job to public$$ as anew \gset
\if :is_super
:anew;
\else
\setenv ANEW :anew
\! $AS_SUPERUSER -d $DB -c "$ANEW"
\endif
truncate cron.job_run_details;
select public.fired(11, 'vacuum public.t') \g /dev/null
vacuum public.t;
call maintenance.tick();
select is(public.receipt(), '12|succeeded|done', 'run numbers of pg_cron that begin anew are other runs');

-- What leaves a receipt of its own, or is nobody's.
select public.fired(43, 'vacuum public.u', job => 3), public.fired(44, 'vacuum public.u', job => 4),
  public.fired(45, 'call maintenance.tick()', job => 2) \g /dev/null
call maintenance.tick();
select is((select count(*) from maintenance.run_history where job_name <> 'tick'), 12::bigint,
  'the tick writes no receipt for what has its own, nor for a job that is not ours');
select public.fired(46, 'vacuum public.t', 'failed') \g /dev/null
select dblink_exec('other', 'begin'),
  (select x from dblink('other', $$select maintenance_internal.take_turn('statements')$$) as d (x text)) \g /dev/null
call maintenance.tick();
select is(public.receipt(), '12|succeeded|done', 'two ticks do not write at once');
select dblink_exec('other', 'rollback') \g /dev/null
call maintenance.tick();
select is(public.receipt(), '13|failed|error|PM019|pg_cron reports a failure', '... the next one writes it');

-- C10: what leaves a receipt itself is no statement, however its call is spelled.
create table public.events (at timestamptz);
select maintenance.set_policy('upper', 'public.events', 'delete', 'at', '1 day') \g /dev/null
insert into cron.job (jobid, schedule, command, username, active, jobname) values (5, '* * * * *',
  $$CALL maintenance.run_job('upper')$$, default, default,
  'maintenance:upper');
select public.fired(47, $$CALL maintenance.run_job('upper')$$, job => 5),
  public.fired(48, $$select 1; call maintenance.run_job('upper')$$, job => 5) \g /dev/null
update maintenance_internal.job set enabled = false where job_name = 'vac';
select maintenance.run_now('vac') \g /dev/null
select public.fired(49, $$CALL maintenance.run_job('vac')$$,
  began => clock_timestamp() - interval '1 second') \g /dev/null
call maintenance.tick();
select is(public.receipt('upper'), null, 'C10: a call of run_job in capitals gets no second receipt');
select is(public.receipt(), '14|skipped|disabled', 'C10: ... nor does that of a disabled statement');
update maintenance_internal.job set enabled = true where job_name = 'vac';

-- C11: what we cannot read of a schedule, or of a statement, stops nothing.
update cron.job set schedule = '*/1/1 * * * *' where jobid = 1;
select public.fired(50, 'vacuum a.b.c.d') \g /dev/null
call maintenance.tick();
select public.fired(51, 'vacuum public.t') \g /dev/null
vacuum public.t;
call maintenance.tick();
select results_eq($$select status, slot,
  details from maintenance.run_history where job_name = 'vac' order by run_id desc
  limit 2$$, $$values ('succeeded', null::timestamptz, '{}'::jsonb),
    ('succeeded', null, '{"unproven": "SQLSTATE 42601"}')$$,
  'C11: receipts of a schedule that only pg_cron can read, and of a statement that cannot be looked into');
update cron.job set schedule = '* * * * * 2026' where jobid = 1;
select public.fired(52, 'vacuum public.t') \g /dev/null
vacuum public.t;
call maintenance.tick();
select is((select slot from maintenance.run_history where job_name = 'vac' order by run_id desc limit 1),
  date_trunc('minute', now()), 'C11: pg_cron ignores a sixth field, and so do we');

-- C15: what was noted once does not come back.
delete from maintenance_internal.run where job_name = 'vac';
call maintenance.tick();
select is(public.receipt(), null, 'C15: receipts that were purged do not come back');
select results_eq($$select noted, noted_in from maintenance_internal.turn where name = 'statements'$$,
  $$select max(runid), (maintenance_internal.cron_state()).home from cron.job_run_details$$,
  'P4: up to which number pg_cron''s history is noted is remembered');

-- A restore brings numbers along that are of another server's history.
select public.fired(53, 'vacuum public.t', 'running') \g /dev/null
update cron.job_run_details set start_time = now() - interval '20 seconds' where runid = 53;
call maintenance.tick();
update maintenance_internal.turn set noted = 500000, noted_in = 'elsewhere' where name = 'statements';
update cron.job_run_details set status = 'succeeded', end_time = now() where runid = 53;
select pg_sleep(0.01) \g /dev/null
select public.fired(54, 'vacuum public.t') \g /dev/null
vacuum public.t;
call maintenance.tick();
select results_eq($$select cron_run_id::int, status, stop_reason from maintenance_internal.run where job_name = 'vac'
  order by run_id$$, $$values (53, 'interrupted', 'history_gone'), (54, 'succeeded', 'done')$$,
  'another history counts anew, from what is younger than the last look');
delete from maintenance_internal.run where job_name = 'vac';

-- What a job was when it was fired is noted before it becomes another.
select public.fired(55, 'vacuum public.t') \g /dev/null
vacuum public.t;
create function cron.schedule(text, text, text) returns bigint language sql return 1;
select maintenance.set_statement('vac', 'vacuum public.u') \g /dev/null
drop function cron.schedule(text, text, text);
select is(public.receipt(), '1|succeeded|done', 'a firing is noted before its statement changes');
delete from maintenance_internal.run where job_name = 'vac';

-- Receipts of statements whose end nobody will tell.
select public.fired(60 + i, 'vacuum public.t', case i when 1 then 'connecting' else 'running' end)
  from generate_series(1, 5) as i \g /dev/null
update cron.job_run_details set start_time = now() - interval '20 seconds' where runid > 60;
update cron.job_run_details as d set job_pid = pid from dblink('other', 'select pg_backend_pid()') as w (pid int)
where runid = 65;
update cron.job_run_details set job_pid = null, start_time = null where runid = 61;
call maintenance.tick();
select results_eq($$select cron_run_id::int, status from maintenance_internal.run where job_name = 'vac' order by 1$$,
  $$select i, 'running' from generate_series(61, 65) as i$$, 'what begins, and what goes on, has a receipt');
update maintenance_internal.run set touched_at = now() - interval '2 minutes'
where status = 'running' and cron_run_id > 0;
update maintenance_internal.run set job_id = -1 where cron_run_id = 63;
delete from cron.job_run_details where runid = 64;
call maintenance.tick();
select results_eq($$select cron_run_id::int, status,
  stop_reason from maintenance_internal.run where job_name = 'vac' order by 1$$,
  $$values (61, 'interrupted', 'backend_gone'), (62, 'interrupted', 'backend_gone'), (63, 'interrupted', 'job_dropped'),
    (64, 'interrupted', 'history_gone'), (65, 'running', null)$$,
  'a receipt whose process is gone, whose job was dropped, whose row is gone, is closed with that reason');
update cron.job_run_details set status = 'succeeded', end_time = now() where runid > 60;
vacuum public.t;
call maintenance.tick();
select results_eq($$select cron_run_id::int, status from maintenance_internal.run where job_name = 'vac'
  and status <> 'interrupted'$$, $$values (65, 'succeeded')$$, 'one that is at work is closed when it ends');

-- What a statement failed with may hold a row's text: it is the owner's to read.
select public.fired(66, 'vacuum public.t', 'failed') \g /dev/null
update maintenance_internal.turn set noted = 66 where name = 'statements';
update maintenance_internal.job set promised_at = now() - interval '9 minutes' where job_name = 'vac';
update maintenance_internal.control set promised_at = '-infinity'; -- pg_cron was made anew above
update maintenance_internal.run set slot = null, started_at = now() - interval '9 minutes',
  finished_at = now() - interval '9 minutes' where job_name = 'vac';
update cron.job set schedule = '* * * * *' where jobid = 1;
update maintenance_internal.installed_schedule set seen = null;
call maintenance.tick();
select set_config('maintenance.fake_now', (now() + interval '3 minutes')::text, false) \g /dev/null
update maintenance_internal.run set started_at = now() - interval '8 minutes' where job_name = 'tick';
select is((select late_since from maintenance.job_status where job_name = 'vac'), null,
  'a statement is not late before a tick has come two minutes after its slot');
update maintenance_internal.run set started_at = now() + interval '3 minutes' where job_name = 'tick';
select matches((select advice from public.maintenance_status where task = 'jobs_late'),
  '^vac since [-0-9: ]+: pg_cron reports a failure\. To make up for it: vacuum public.t; select ',
  'a statement is late when a tick has come two minutes after its slot; of its failure no text is shown');
set maintenance.fake_now = '';
call maintenance.tick();

-- The tick leaves one receipt of its own; a step that fails stops no other, and is told until it is mended.
select results_eq($$select status, slot = date_trunc('minute', started_at), started_at > now() - interval '5 seconds'
  from maintenance.run_history where job_name = 'tick'$$, $$values ('succeeded', true, true)$$,
  'the tick keeps one receipt, of the last one');
alter function maintenance_internal.close_dead_runs(integer) rename to aside;
create function maintenance_internal.close_dead_runs() returns void language plpgsql
set search_path = pg_catalog, pg_temp as 'begin raise exception ''secret''; end';
select public.fired(70, 'vacuum public.t', 'failed') \g /dev/null
call maintenance.tick();
select is(public.receipt('tick'), '1|failed|error|P0001|close_dead_runs: SQLSTATE P0001',
  'a step of the tick that fails is on its receipt');
select is(public.receipt(), '6|failed|error|PM019|pg_cron reports a failure', '... and stops no other');
drop function maintenance_internal.close_dead_runs();
alter function maintenance_internal.aside(integer) rename to close_dead_runs;
call maintenance.tick();
select is(public.receipt('tick'), '1|succeeded|done', '... until it is mended');
select dblink_disconnect('other') \g /dev/null

-- A history of before the last seven days goes.
insert into cron.job_run_details select 1, -g, 1, current_user, 'x', 'succeeded', '', now() - interval '8 days', now()
  from generate_series(1, 9) as g;
update cron.job_run_details set start_time = null where runid = -9;
select is(concat_ws(' ', r #>> '{data,rowsAffected}', r #>> '{data,batches}'), '9 2',
  'pg_cron''s own history is purged, rows without a time among it, in one batch and a look')
  from maintenance.run_now('purge_cron_history') as r;
select is((select min(runid) from cron.job_run_details), 11::bigint,
  'the purge of pg_cron''s history leaves later rows');
drop role :"stranger";
select * from finish();
