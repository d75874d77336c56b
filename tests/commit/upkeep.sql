-- S2-14, C-20, C-32: what needs VACUUM, ANALYZE or REINDEX is found, and done by one statement at a time, with the
-- proof on the receipt. The statements are real, and pg_cron is made up; tests/e2e has the real one. Committing, in a
-- database of its own.
\set QUIET on
set client_min_messages = error;
create extension pgtap;
select plan(86);
\ir connect.psql
select current_database() as "DB", rolsuper as is_super from pg_roles where rolname = current_user \gset
\getenv as_superuser AS_SUPERUSER
create function public.listed(wanted text default '') returns text language sql
begin atomic
  select string_agg(u.action || ' ' || u.relation || coalesce(': ' || u.held, ''), ', ' order by u.number)
  from (select l.*, row_number() over () as number from maintenance.upkeep as l) as u where u.relation ~ wanted;
end;
create procedure pg_temp.flush() language plpgsql as $$
begin
  perform pg_stat_force_next_flush();
  commit;
  perform pg_stat_clear_snapshot();
end $$;

-- What is measured.
create schema "Odd; Name";
create table "Odd; Name"."T;" (id integer primary key, owner integer, at timestamptz, note text)
with (autovacuum_enabled = off);
create index "I;" on "Odd; Name"."T;" (owner);
create index on "Odd; Name"."T;" (at) where at is not null;
create index on "Odd; Name"."T;" (lower(note));
insert into "Odd; Name"."T;" select g, g % 1000, case when g % 4 = 0 then now() - g * interval '1 s' end, md5(g::text)
from generate_series(1, 100000) as g;
call pg_temp.flush();
vacuum analyze "Odd; Name"."T;";
reindex table "Odd; Name"."T;";
create table public.changed (id integer) with (autovacuum_enabled = off);
insert into public.changed select generate_series(1, 20000);
call pg_temp.flush();
vacuum analyze public.changed;
create table public.small (id integer primary key) with (autovacuum_enabled = off);
insert into public.small select generate_series(1, 900);
create table public.parent (id integer) partition by range (id);
create table public.part partition of public.parent for values from (0) to (100000) with (autovacuum_enabled = off);
call pg_temp.flush();
select is(public.listed(), null, 'S2-14: what has little that is dead, changed, new or empty needs nothing');
update public.changed set id = id where id <= 1900;
call pg_temp.flush();
select is(public.listed(), null, 'S2-14: less than a tenth is let be');
insert into public.changed select generate_series(1, 700);
call pg_temp.flush();
select is(public.listed(), 'analyze public.changed', 'S2-14: a tenth has changed: ANALYZE');
update public.changed set id = id where id <= 2000;
insert into public.part select generate_series(1, 2000);
call pg_temp.flush();
select is(public.listed(), 'vacuum public.changed, vacuum public.part',
  'S2-14: a tenth is dead, or new: VACUUM; of a partitioned table, its partitions');
select results_eq($$select action, reason, statement from maintenance.upkeep$$,
  $$values ('vacuum', '4600 dead rows beside 20700', 'vacuum (analyze, skip_locked) public.changed'),
  ('vacuum', '2000 new rows since the last VACUUM', 'vacuum (analyze, skip_locked) public.part')$$,
  'S2-14: ... each with what was measured, and its statement');
select maintenance.configure('upkeep_dead_percent', 50);
select is(public.listed(), 'vacuum public.part', 'S2-14: ... by the setting');
select maintenance.configure('upkeep_dead_percent', null::text);
select is(public.listed(), null, 'S2-14: ... which may be null');
select maintenance.configure('upkeep_dead_percent', 10);
select maintenance.set_statement('mine', 'vacuum (analyze) public.changed, public.small', '0 2 * * 0');
select is(public.listed(), 'vacuum public.changed: it is left to the job mine, vacuum public.part',
  'C-32: a table that another job vacuums is left to it');
select maintenance.disable_job('mine') \g /dev/null
select is(public.listed('changed'), 'vacuum public.changed', 'C-32: ... unless that one is disabled');
select maintenance.enable_job('mine') \g /dev/null
select maintenance.set_statement('mine', 'analyze public.changed', '0 2 * * 0');
select is(public.listed('changed'), 'vacuum public.changed', 'C-32: ... or does no VACUUM');
select maintenance.drop_job('mine');
select * from dblink('other', 'select pg_backend_pid()') as t (pid integer) \gset
select dblink_exec('other', 'begin; lock table public.changed in share update exclusive mode');
select is(public.listed('changed'), format('vacuum public.changed: process %s is at work on the table, or holds it',
  :'pid'),
  'S2-14: where another VACUUM is at work none is given');
select dblink_exec('other', 'rollback');
set vacuum_freeze_table_age = 0;
select matches(reason, 'its oldest row is of \d+ transactions ago',
  'S2-14: rows that are to be frozen are one reason more')
from maintenance.upkeep where relation = 'public.changed';
reset vacuum_freeze_table_age;

-- Where pg_cron is not here.
select maintenance.set_job('upkeep', step => 'maintenance.upkeep_step', schedule => '0 2 * * 6', description => 'Mine');
select is(maintenance.upkeep_step(1), 0::bigint, 'S2-14: outside of a run the step does nothing');
select is(run ->> 'message', 'upkeep failed: 2 statements have to be run, and none can be from here: '
  'pg_cron is not in this database', 'S2-14: without pg_cron it fails where something has to be done')
from maintenance.run_now('upkeep') as run;
select statement from maintenance.upkeep where held is null \gexec
call pg_temp.flush();
select is(public.listed(), null, 'S2-14: ... and psql does it, as the hint says');
select is(maintenance.run_now('upkeep') ->> 'success', 'true', 'S2-14: where nothing has to be done nothing fails');

-- pg_cron, made up.
\if :is_super
\elif :{?as_superuser}
\else
select skip('there is no superuser to make up pg_cron', 70);
select * from finish();
\q
\endif
create schema cron;
create table cron.job (jobid bigint generated always as identity, schedule text, command text,
  nodename text default 'localhost', nodeport integer default current_setting('port')::integer,
  username text default current_user, active boolean default true, jobname text unique,
  database text default current_database());
create table cron.job_run_details (jobid bigint, runid bigint generated always as identity, job_pid integer,
  username text default current_user, command text, status text, return_message text, start_time timestamptz,
  end_time timestamptz);
create function cron.schedule(job_name text, schedule text, command text) returns bigint language sql
begin atomic
  insert into cron.job as j (jobname, schedule, command) values (job_name, $2, $3)
  on conflict (jobname) do update set schedule = excluded.schedule, command = excluded.command
  returning jobid;
end;
create function cron.unschedule(job_id bigint) returns boolean language sql
begin atomic
  delete from cron.job where jobid = job_id returning true;
end;
\if :is_super
\else
\setenv DB :DB
\! $AS_SUPERUSER -d $DB -c 'alter schema cron owner to current_user; alter table cron.job owner to current_user'
\! $AS_SUPERUSER -d $DB -c 'grant all on schema cron to public; grant all on cron.job, cron.job_run_details to public'
\endif
-- Each step of the tick that is asked for, as the tick calls it; and what pg_cron leaves of a firing.
create procedure pg_temp.tick() language plpgsql as $$
begin
  call maintenance.tick();
  if exists (select from maintenance.run_history where job_name = 'tick' and error is not null) then
    raise exception '%', (select error from maintenance.run_history where job_name = 'tick');
  end if;
end $$;
create view public.given as
select u.*, c.schedule, c.command from maintenance_internal.upkeep as u
left join cron.job as c on c.jobname = 'maintenance:upkeep_statement' where u.finished_at is null;
create function public.fired(outcome text default 'succeeded') returns void language sql
begin atomic
  insert into cron.job_run_details (jobid, job_pid, command, status, return_message, start_time, end_time)
  select c.jobid, 4711, c.command, fired.outcome, case fired.outcome when 'failed' then 'ERROR: x' end,
    u.fires_at, case when fired.outcome <> 'running' then clock_timestamp() end
  from maintenance_internal.upkeep as u, cron.job as c
  where u.finished_at is null and c.jobname = 'maintenance:upkeep_statement';
end;
-- Its minute comes, and the statement runs.
\set minute 'update maintenance_internal.upkeep set fires_at = clock_timestamp() where finished_at is null;'
\set fire 'select command from public.given \\gexec'
create function public.receipt(job text default 'upkeep_statement') returns maintenance.run_history language sql
begin atomic
  select * from maintenance.run_history as r where r.job_name = job order by run_id desc limit 1;
end;


-- A plan, and its first statement.
delete from "Odd; Name"."T;" where id % 10 <> 0;
call pg_temp.flush();
call maintenance.run_job('upkeep');
select is(status || ' ' || (details -> 'plan')::text,
  'succeeded [{"action": "vacuum", "reason": "90000 dead rows beside '
  '10000", "relation": "\"Odd; Name\".\"T;\""}]', 'S2-14: the receipt has the plan') from public.receipt('upkeep');
select is(command, 'vacuum (analyze, skip_locked) "Odd; Name"."T;"', 'S2-14: pg_cron is given a single statement')
from public.given;
select is(schedule, to_char(fires_at at time zone 'UTC', 'FMMI FMHH24 FMDD FMMM *'), 'S2-14: ... for a single minute')
from public.given;
select ok(fires_at > now() and fires_at < now() + interval '80 seconds', 'S2-14: ... which is the next')
  from public.given;
call pg_temp.tick();
call maintenance.run_job('upkeep');
select is((select count(*) from cron.job), 1::bigint, 'S2-14: until that is over no other is given, whoever asks');
select is(public.listed(), 'vacuum "Odd; Name"."T;": it was given to pg_cron', 'S2-14: ... and the list says so');
:minute
select public.fired('running') \g /dev/null
update cron.job_run_details set start_time = start_time - interval '20 seconds';
update maintenance_internal.upkeep set fires_at = fires_at - interval '20 seconds' where finished_at is null;
call pg_temp.tick();
select is(schedule is not null, true, 'S2-14: what goes on is looked after') from public.given;
select command from public.given \gexec
call pg_temp.flush();
update cron.job_run_details set status = 'succeeded', end_time = clock_timestamp();
call pg_temp.tick();
select results_eq($$select status, details - 'reason' from public.receipt()$$, $$values ('succeeded',
  jsonb_build_object(
  'relation', '"Odd; Name"."T;"', 'action', 'vacuum', 'outcome', 'done',
  'before', jsonb_build_object('rows', 10000, 'deadRows', 90000, 'changes', 90000, 'bytes',
  pg_relation_size('"Odd; Name"."T;"')),
  'after', jsonb_build_object('rows', 10000, 'deadRows', 0, 'changes', 0, 'bytes',
  pg_relation_size('"Odd; Name"."T;"'))))$$,
  'S2-14, C-20: its receipt has rows, dead rows and bytes before and after');
select is((details #> '{done,0}') - 'runId', (public.receipt()).details, 'S2-14: ... and so has the one of the plan')
from public.receipt('upkeep');

-- The next is an index; only now it is seen what of them is empty.
select is(command, 'reindex index concurrently "Odd; Name"."T;_lower_idx"', 'S2-14: what is emptiest comes first')
from public.given;
select is(public.listed('Odd'), 'reindex "Odd; Name"."T;_lower_idx": it was given to pg_cron, '
  'reindex "Odd; Name"."T;_pkey", repack "Odd; Name"."T;": it writes the table anew: to be run by hand',
  'S2-14: ... smaller ones are not worth it, and a table that is mostly empty is told');
select is(statement ~ case when current_setting('server_version_num')::integer < 190000
  then '^vacuum \(full, analyze\) ' else '^repack \(concurrently\) ' end, true,
  'S2-14: with what does it: REPACK, where there is one') from maintenance.upkeep where action = 'repack';
:minute
:fire
select public.fired() \g /dev/null
call pg_temp.tick();
select is(details ->> 'outcome', 'done', 'S2-14: an index is rebuilt') from public.receipt();
select ok((details #>> '{after,bytes}')::bigint < 0.2 * (details #>> '{before,bytes}')::bigint
  and (details #>> '{after,bytes}')::bigint = pg_relation_size('"Odd; Name"."T;_lower_idx"'),
  'S2-14, C-20: a bloated index is smaller, with the proof on its receipt') from public.receipt();
:minute
-- pg_cron calls it succeeded, and it was not rebuilt.
select public.fired() \g /dev/null
call pg_temp.tick();
select results_eq($$select details ->> 'outcome', details ->> 'error' from public.receipt()$$,
  $$values ('failed', 'it was not rebuilt')$$, 'S2-14, C-20: what pg_cron says is not believed');
select results_eq($$select details ->> 'stopped', details ? 'endedAt', details ? 'databaseBytesAfter'
  from public.receipt('upkeep')$$, $$values ('done', true, true)$$, 'S2-14: the plan is over');
select is((select count(*) from cron.job), 0::bigint, 'S2-14: then nothing of it is left in pg_cron');
select is_empty($$select * from maintenance.edit where job_name = 'upkeep_statement'$$, 'S2-14: nor is it an edit');
select is((select scheduling from maintenance.job_status where job_name = 'upkeep_statement'), 'no schedule',
  'S2-14: ... and the job waits for nothing');

-- Not twice in a week.
insert into "Odd; Name"."T;" select g, g % 1000, null, md5(g::text) from generate_series(100001, 200000) as g;
delete from "Odd; Name"."T;" where id > 100000 and id % 10 <> 0;
call pg_temp.flush();
vacuum analyze "Odd; Name"."T;";
select matches(public.listed('lower'), format('^reindex "Odd; Name"."T;_lower_idx": done, and again from %s ..:.. on$',
  (now() at time zone 'UTC' + interval '6 days 20 hours')::date), 'S2-14: an index is not rebuilt twice in a week');
set maintenance.fake_now = '2100-01-01';
select is(public.listed('lower|pkey'), 'reindex "Odd; Name"."T;_lower_idx", reindex "Odd; Name"."T;_pkey"',
  'S2-14: ... but the next time');
select set_config('maintenance.fake_now', (now() + interval '8 days')::text, false) \g /dev/null
select matches(public.listed('pkey'), format('^reindex "Odd; Name"."T;_pkey": failed, and again from %s ..:.. on$',
  (now() at time zone 'UTC' + interval '13 days 20 hours')::date),
  'S2-14: ... and what has failed is left alone for longer');
update maintenance_internal.upkeep as u
set after = u.after || jsonb_build_object('bytes', c.relpages * 8192, 'rows', c.reltuples::bigint, 'oid', c.oid::bigint)
from pg_class as c where c.relname = 'T;_lower_idx' and u.relation ~ 'lower';
select is(public.listed('lower'), null, 'S2-14: an index that was rebuilt here is measured by what it was then');
update maintenance_internal.upkeep set after = after || jsonb_build_object('rows', 3 * (after ->> 'rows')::bigint)
where relation ~ 'lower';
select is(public.listed('lower'), 'reindex "Odd; Name"."T;_lower_idx"', 'S2-14: ... row by row');
update maintenance_internal.upkeep set after = after || '{"oid": 1}' where relation ~ 'lower';
select is(reason, (select format('%s of %s are empty', pg_size_pretty((c.relpages - e.pages) * 8192::bigint),
    pg_size_pretty(c.relpages * 8192::bigint))
  from maintenance_internal.full_index_pages() as e join pg_class as c on c.oid = e.relid
  where c.relname = 'T;_lower_idx'),
  'S2-14: ... and another of that name by estimate') from maintenance.upkeep where relation ~ 'lower';
drop table "Odd; Name"."T;";
create function public.broken(integer) returns integer language plpgsql immutable as $$
begin
  if current_setting('tests.broken', true) = 'on' then
    raise exception 'broken';
  end if;
  return $1;
end $$;
create table public.breakable (id integer) with (autovacuum_enabled = off);
insert into public.breakable select generate_series(1, 200000);
create index breakable_idx on public.breakable (public.broken(id));
create index breakable_idx2 on public.breakable (id);
create index other_idx_ccnew on public.breakable (id);
\if :is_super
update pg_index set indisvalid = false where indexrelid = 'other_idx_ccnew'::regclass;
\else
\setenv DB :DB
\! $AS_SUPERUSER -d $DB -c "update pg_index set indisvalid = false where indexrelid = 'other_idx_ccnew'::regclass"
\! $AS_SUPERUSER -d $DB -c 'create table public.not_ours as select generate_series(1, 9000) as i; delete from not_ours'
\endif
update public.breakable set id = id + 1;
update public.breakable set id = id + 1;
call pg_temp.flush();
vacuum analyze public.breakable;
select is(public.listed('breakable'), 'reindex public.breakable_idx, reindex public.breakable_idx2, '
  'repack public.breakable: it writes the table anew: to be run by hand', 'two indexes are mostly empty');

-- Room.
select maintenance.configure('upkeep_blind_mb', 4);
select is(held, 'nobody knows whether there is room: select maintenance.configure(''disk_capacity_gb'', 100); '
  '-- what it holds', 'S2-14: where nobody knows of the disk a large index is not rebuilt')
from maintenance.upkeep where relation = 'public.breakable_idx';
select maintenance.configure('disk_capacity_gb', 100);
select is(held, null, 'S2-14: where there is room it is')
from maintenance.upkeep where relation = 'public.breakable_idx';
select maintenance.configure('disk_capacity_gb', (select round((used + 1.5 * c.relpages * 8192) / 0.9 / 1073741824, 5)
  from maintenance_internal.disk_use(), pg_class as c where c.relname = 'breakable_idx'));
select matches(held, '^there is no room: it takes \d+ MB$', 'S2-14: where there is none for it and its log it is not')
from maintenance.upkeep where relation = 'public.breakable_idx';
select maintenance.configure('disk_capacity_gb', null::text);
select maintenance.configure('upkeep_blind_mb', 1024);


-- Somebody else builds an index, on whatever table.
select dblink_exec('third',
  'begin; lock table public.small in access share mode; insert into public.small values (-1)');
select dblink_send_query('other', 'create index concurrently small_idx on public.small (id)') \g /dev/null
call pg_temp.wait_for('exists (select from pg_stat_progress_create_index)');
select is(distinct_held, 'another index is being built', 'S2-14: beside another no index is rebuilt')
from (select distinct held from maintenance.upkeep where action = 'reindex') as u (distinct_held);
select dblink_cancel_query('other') \g /dev/null
\set ON_ERROR_STOP off
select * from dblink_get_result('other') as r (t text) \g /dev/null
\set ON_ERROR_STOP on
select * from dblink_get_result('other') as r (t text) \g /dev/null
select dblink_exec('third', 'rollback');
drop index public.small_idx;

-- A REINDEX that fails leaves an index behind, which goes; what somebody else has left does not.
call maintenance.run_job('upkeep');
select is(command, 'reindex index concurrently public.breakable_idx', 'the next') from public.given;
create index breakable_idx2_ccnew on public.breakable (id);
\if :is_super
update pg_index set indisvalid = false where indexrelid = 'breakable_idx2_ccnew'::regclass;
\else
\! $AS_SUPERUSER -d $DB -c "update pg_index set indisvalid = false where indexrelid = 'breakable_idx2_ccnew'::regclass"
\endif
:minute
set tests.broken = on;
\set ON_ERROR_STOP off
:fire
\set ON_ERROR_STOP on
reset tests.broken;
select dblink_exec('other', 'begin; lock table public.breakable in access share mode');
select public.fired('failed') \g /dev/null
call pg_temp.tick();
select results_eq($$select status, details ->> 'outcome', details ->> 'error' from public.receipt()$$,
  $$values ('failed', 'failed', 'pg_cron reports a failure')$$, 'S2-14: a REINDEX that fails is told');
select is(details #> '{done,-1,runId}', to_jsonb((public.receipt()).run_id), 'S2-14: ... and where to read why')
from public.receipt('upkeep');
select matches(public.listed('ccnew'), '^drop public.breakable_idx_ccnew, '
  'drop public.breakable_idx2_ccnew: no REINDEX that was given here has left it, '
  'drop public.other_idx_ccnew: no REINDEX that was given here has left it$|',
  'S2-14: what it has left is known, and what others have left');
select is(command, 'reindex index concurrently public.breakable_idx2', 'S2-14: one that fails keeps no other')
from public.given;
select is(before -> 'rows', '200000', 'S2-14: rows of an index are those of its table')
from maintenance_internal.upkeep where relation = 'public.breakable_idx2';
select dblink_exec('other', 'rollback');

-- What somebody has done meanwhile, or pg_cron keeps no history.
reindex index concurrently public.breakable_idx2;
call pg_temp.tick();
select is(outcome, null, 'S2-14: its receipt may come yet')
from maintenance_internal.upkeep where relation = 'public.breakable_idx2';
update maintenance_internal.upkeep set fires_at = clock_timestamp() - interval '3 minutes' where finished_at is null;
call pg_temp.tick();
select is(outcome, 'done', 'S2-14: without a history the effect is what tells')
from maintenance_internal.upkeep where relation = 'public.breakable_idx2';
select is(to_regclass('public.breakable_idx_ccnew') is null and to_regclass('public.breakable_idx2_ccnew') is not null
  and to_regclass('public.other_idx_ccnew') is not null, true, 'S2-14: ... and is gone, but for theirs');
select is((details #> '{done,-1}') - 'before', '{"relation": "public.breakable_idx_ccnew", "action": "drop",
  "outcome": "done", "reason": "a REINDEX CONCURRENTLY has left it"}', 'S2-14: ... as the receipt says')
from public.receipt('upkeep');
call pg_temp.tick();
select is(options ->> 'timeout', '01:00:00', 'S2-14: a statement is ended after an hour')
from maintenance.job_status where job_name = 'upkeep_statement';
select is((select array_agg(details ->> 'stopped' order by run_id) from maintenance.run_history
  where job_name = 'upkeep' and details ? 'stopped'), '{done,another run,done,done}'::text[],
  'S2-14: each plan says why it ended');

-- Nothing is given while a statement goes on, whatever the history says.
update maintenance_internal.upkeep set finished_at = null, outcome = null, after = null,
  statement = 'select pg_sleep(60)',
  fires_at = clock_timestamp() - interval '3 minutes' where relation = 'public.breakable_idx2';
select dblink_send_query('other', 'select pg_sleep(60)') \g /dev/null
call pg_temp.wait_for($$exists (select from pg_stat_activity where query = 'select pg_sleep(60)'
  and state = 'active')$$);
call pg_temp.tick();
select is(outcome, null, 'S2-14: while the statement goes on nothing is settled, and no other given')
from maintenance_internal.upkeep where relation = 'public.breakable_idx2';
select dblink_cancel_query('other') \g /dev/null
\set ON_ERROR_STOP off
select * from dblink_get_result('other') as r (t text) \g /dev/null
\set ON_ERROR_STOP on
select * from dblink_get_result('other') as r (t text) \g /dev/null

-- A stop, and a crash, say nothing of it; and the rest after failures has an end.
create function public.settled(status text, since interval) returns integer language plpgsql as $$
begin
  update maintenance_internal.upkeep set finished_at = null, outcome = null, failures = 5,
    fires_at = pg_postmaster_start_time() + since where relation = 'public.breakable_idx2';
  insert into maintenance_internal.run (job_id, job_name, trigger, status, started_at, finished_at, cron_run_id,
    stop_reason, error, sqlstate)
  select job_id, job_name, 'schedule', $1, pg_postmaster_start_time() + since, now(), 4711, 'error', 'x', 'PM019'
  from maintenance_internal.job where job_name = 'upkeep_statement';
  perform maintenance_internal.settle_upkeep();
  delete from maintenance_internal.run where cron_run_id = 4711;
  return (select failures from maintenance_internal.upkeep where relation = 'public.breakable_idx2');
end $$;
select is(public.settled('failed', '1 second'), 6, 'S2-14: failures are counted');
select is(public.settled('timeout', '1 second'), 6, 'S2-14: ... and time-outs');
select is(public.settled('cancelled', '1 second'), 5, 'S2-14: ... but no stop');
select is(public.settled('failed', '-1 second'), 5, 'S2-14: ... nor a crash');
update maintenance_internal.upkeep set failures = 100, outcome = 'failed', given_at = now() - interval '57 days'
where relation = 'public.breakable_idx';
select is(held, null, 'S2-14: after eight weeks at most it is tried again')
from maintenance.upkeep where relation = 'public.breakable_idx';
insert into maintenance_internal.upkeep (relation, action, statement, reason, run_id, given_at, fires_at, before,
  finished_at, outcome, leftovers)
select 'public.gone', 'reindex', '', '', 0, now(), now(), '{}', now(), 'failed',
  array['other_idx_ccnew'::regclass::oid];
call maintenance.run_job('upkeep');
select is(to_regclass('public.other_idx_ccnew'), null,
  'S2-14: what an index has left that is gone is ours all the same');
delete from maintenance_internal.upkeep where relation ~ 'breakable|gone';
drop table public.breakable;
select dblink_exec('other', 'begin; lock table public.changed in access exclusive mode');
select is(maintenance_internal.upkeep_state('public.changed', 'vacuum') - '{deadRows,changes}'::text[],
  '{"rows": 20700, "bytes": null}', 'S2-14: the size of a table that is locked is unknown, and not waited for');
select dblink_exec('other', 'rollback');
select is(public.listed('not_ours'), null, 'S2-14: what others own is let be');

-- What is in the way.
create table public.unfired (id integer) with (autovacuum_enabled = off);
insert into public.unfired select generate_series(1, 5000);
call pg_temp.flush();
select maintenance.pause('tests') \g /dev/null
call maintenance_internal.check_outside('x');
select is(maintenance.run_now('upkeep') #>> '{data,status}', 'skipped', 'S2-14: during a pause nothing is planned');
select maintenance.resume() \g /dev/null
call maintenance.run_job('upkeep');
select is(count(*), 1::bigint, 'one is given') from public.given;
select maintenance.pause('tests') \g /dev/null
select is(command, 'call maintenance.run_job(''upkeep_statement'')', 'S2-14: a pause takes back what was given')
from public.given;
select maintenance.resume() \g /dev/null
call pg_temp.tick();
select is(count(*), 1::bigint, 'S2-14: for two minutes pg_cron is waited for') from public.given;
update maintenance_internal.upkeep set fires_at = clock_timestamp() - interval '3 minutes' where finished_at is null;
call pg_temp.tick();
select is(details #>> '{done,-1,error}', 'pg_cron has not fired it', 'S2-14: what pg_cron has not fired is told')
from public.receipt('upkeep');
select is(relation || (fires_at > now()), 'public.unfiredtrue', 'S2-14: ... and given once more') from public.given;
select maintenance.pause('tests') \g /dev/null
update maintenance_internal.upkeep set fires_at = clock_timestamp() - interval '3 minutes' where finished_at is null;
call pg_temp.tick();
select is((select count(*) from public.given), 0::bigint, 'S2-14: during a pause nothing is given');
select maintenance.resume() \g /dev/null
call pg_temp.tick();
select is((select count(*) from public.given), 1::bigint, 'S2-14: ... and afterwards it is');
update maintenance_internal.upkeep set fires_at = clock_timestamp() - interval '3 minutes' where finished_at is null;
call pg_temp.tick();
select is(details ->> 'stopped', 'not_fired', 'S2-14: after the third time it is given up')
  from public.receipt('upkeep');
call maintenance.run_job('upkeep');
-- No history, and it has been done.
:minute
:fire
call pg_temp.flush();
update maintenance_internal.upkeep set fires_at = fires_at - interval '3 minutes' where finished_at is null;
call pg_temp.tick();
select is(details #>> '{done,-1,outcome}', 'done', 'S2-14: without a history the statistics tell of a VACUUM')
from public.receipt('upkeep');
drop table public.unfired;
update public.changed set id = id;
call pg_temp.flush();
delete from maintenance_internal.upkeep where relation ~ 'changed';
select maintenance.disable_job('upkeep_statement') \g /dev/null
call maintenance.run_job('upkeep');
select is(details ->> 'stopped', 'disabled', 'S2-14: where its statements are disabled none is given')
from public.receipt('upkeep');
select maintenance.enable_job('upkeep_statement') \g /dev/null
call maintenance.run_job('upkeep');

-- Whatever somebody makes of it in pg_cron, it is fired once.
update cron.job set schedule = '* * * * *';
call pg_temp.tick();
:minute
:fire
call pg_temp.flush();
select public.fired() \g /dev/null
update maintenance_internal.run set details = details || jsonb_build_object('until', now() - interval '1 second')
where run_id = (select run_id from public.receipt('upkeep'));
call pg_temp.tick();
select is(details ->> 'stopped', 'time', 'S2-14: when its time is over no more is given') from public.receipt('upkeep');
select is((select count(*) from cron.job), 0::bigint, 'S2-14: an edit in pg_cron does not keep it there');

-- Dead rows that somebody could still see.
select dblink_exec('other', 'begin transaction isolation level repeatable read');
select * from dblink('other', 'select pg_backend_pid()') as t (pid integer) \gset
update public.changed set id = id;
call pg_temp.flush();
delete from maintenance_internal.upkeep where relation ~ 'changed';
call maintenance.run_job('upkeep');
:minute
:fire
call pg_temp.flush();
select public.fired() \g /dev/null
select maintenance.disable_job('upkeep') \g /dev/null
call pg_temp.tick();
select is(details -> 'heldBy', to_jsonb(array['session ' || :'pid']),
  'S2-14: a VACUUM that has left dead rows says for whom') from public.receipt();
select is(details ->> 'stopped', 'disabled', 'S2-14: a job that is disabled meanwhile gives no more')
from public.receipt('upkeep');
select dblink_exec('other', 'rollback');
select maintenance.enable_job('upkeep') \g /dev/null

-- In its window alone.
update public.changed set id = id;
call pg_temp.flush();
delete from maintenance_internal.upkeep where relation ~ 'changed';
call maintenance.run_job('upkeep');
select maintenance.configure_job('upkeep', window_start => date_trunc('hour',
  now() at time zone 'UTC' + interval '2 hours')::time,
  window_end => date_trunc('hour', now() at time zone 'UTC' + interval '3 hours')::time);
:minute
:fire
call pg_temp.flush();
select public.fired() \g /dev/null
delete from maintenance_internal.upkeep where relation ~ 'part';
insert into public.part select generate_series(1, 20000);
call pg_temp.flush();
call pg_temp.tick();
select is(command, 'vacuum (analyze, skip_locked) public.part', 'a run by hand goes on outside of its window')
from public.given;
update maintenance_internal.run set trigger = 'schedule' where run_id = (select run_id from public.receipt('upkeep'));
:minute
:fire
call pg_temp.flush();
select public.fired() \g /dev/null
insert into public.part select generate_series(1, 20000);
call pg_temp.flush();
call pg_temp.tick();
select is(details ->> 'stopped', 'window', 'S2-14: one of pg_cron''s gives no more when its window closes')
from public.receipt('upkeep');

-- What is nobody's, or cannot be done.
create table public.excluding (at tstzrange, exclude using gist (at with &&));
select is_empty($$select * from maintenance_internal.upkeep_needs() as n join pg_index as i on i.indexrelid = n.relid
  where i.indisexclusion$$, 'an index that cannot be rebuilt beside is left out');
drop table public.changed;
call maintenance.run_job('upkeep');
select is_empty($$select * from maintenance_internal.upkeep where relation ~ 'changed'$$,
  'what is gone is forgotten');
select * from public.given;
select * from finish();
