-- A run in one transaction: its receipt, its batches, and each way that it can end.
begin;
create extension pgtap;
select plan(36);

create schema shop;
create table shop.events (id bigint primary key, at timestamptz, status text default 'new');
insert into shop.events (id, at) select i, now() - interval '1 year' from generate_series(1, 1000) i;
create index on shop.events (at);
select maintenance.set_policy('purge', 'shop.events', 'delete', 'at', '1 day');
select maintenance.configure_job('purge', batch_size => 10);

create function pg_temp.last_run(job text) returns maintenance.run_history
language sql as $$ select h from maintenance.run_history h where h.job_name = job order by run_id desc limit 1 $$;

-- done
create temporary table result as select maintenance.run_now('purge') as r;
select set_eq('select jsonb_object_keys(r) from result',
  array['success', 'message', 'data', 'executionTime', 'timestamp'], 'the result has the five keys');
select results_eq($$select (r ->> 'success')::boolean, r ->> 'message' from result$$,
  $$values (true, 'purge succeeded: 1000 rows in 100 batches')$$, 'the message of the result says what was done');
select results_eq(
  $$select status, trigger, slot, attempt, rows_affected, rows_refused, batches, stop_reason, error
    from pg_temp.last_run('purge')$$,
  $$values ('succeeded', 'manual', null::timestamptz, 1, 1000::bigint, 0::bigint, 100, 'done', null::text)$$,
  'the receipt says what was done');
select ok((details -> 'bytes_before') is not null and (details -> 'bytes_after') is not null
    and details -> 'left' = '0', 'sizes before and after and what is left are on the receipt')
from pg_temp.last_run('purge');
select is(maintenance.run_now('purge') #>> '{data,batches}', '0', 'a run with nothing due does nothing');

-- rows that cannot be changed
insert into shop.events (id, at) select i, now() - interval '1 year' from generate_series(1, 1000) i;
create table shop.lines (event_id bigint references shop.events);
insert into shop.lines values (1), (500), (501), (1000);
create temporary table refused as select maintenance.run_now('purge') as r;
select is((select count(*) from shop.events), 4::bigint,
  'rows that a foreign key holds stay, and every other row goes');
select results_eq($$select status, rows_affected, rows_refused, stop_reason, sqlstate,
    error from pg_temp.last_run('purge')$$,
  $$values ('failed', 996::bigint, 4::bigint, 'refused_rows', '23503',
    'SQLSTATE 23503, constraint lines_event_id_fkey of table lines')$$,
  'rows that a foreign key holds are counted, with the first error, and fail the run');
select results_eq($$select jsonb_path_query_array(error_detail, '$.rows[*].table') || '"of"'
    || jsonb_path_query_array(error_detail, '$.rows[*].id'),
  error_detail ->> 'message' like '%violates foreign key constraint%',
    error_detail ->> 'detail' from maintenance_internal.run order by run_id desc limit 1$$,
  $$values ('["shop.events", "shop.events", "shop.events", "shop.events", "of", 1, 500, 501, 1000]'::jsonb, true,
    'Key (id)=(1) is still referenced from table "lines".')$$,
    'the owner finds the whole error, with the keys of all refused rows, in error_detail');
select is((select r -> 'success' from refused), 'false', 'run_now returns a failure and does not raise');
select is((select r ->> 'message' from refused),
  'purge failed: SQLSTATE 23503, constraint lines_event_id_fkey of table lines',
    'the message of run_now says why a run failed');
drop table shop.lines;
delete from shop.events;

insert into shop.events (id, at) select i, now() - interval '1 year' from generate_series(1, 300) i;
create function shop.never() returns trigger language plpgsql
as $$ begin raise exception 'not %', old.id; end $$;
create trigger never before delete on shop.events for each row execute function shop.never();
select maintenance.run_now('purge');
select results_eq($$select status, rows_refused, stop_reason, error from pg_temp.last_run('purge')$$,
  $$values ('failed', 300::bigint, 'refused_rows', 'SQLSTATE P0001')$$, 'every refused row is counted');
drop trigger never on shop.events;

-- a list without effect
create function shop.suppress() returns trigger language plpgsql as $$ begin return null; end $$;
create trigger suppress before delete on shop.events for each row execute function shop.suppress();
select maintenance.run_now('purge');
select results_eq($$select status, rows_affected, stop_reason, sqlstate from pg_temp.last_run('purge')$$,
  $$values ('failed', 0::bigint, 'no_effect', 'PM012')$$,
  'a trigger that suppresses every delete ends the run, and is no success');
drop trigger suppress on shop.events;

-- update
select maintenance.set_policy('mark', 'shop.events', 'update', 'at', '1 day',
  matching => 'status = ''new''', assign => 'status = ''old''');
select is(maintenance.run_now('mark') #>> '{data,rowsAffected}', '300', 'an update changes the due rows');
select is(maintenance.run_now('mark') #>> '{data,rowsAffected}', '0', 'an update that is run again has nothing to do');
update shop.events set status = 'new';
create function shop.undo() returns trigger language plpgsql
as $$ begin new.status := 'new'; return new; end $$;
create trigger undo before update on shop.events for each row execute function shop.undo();
select maintenance.run_now('mark');
select results_eq($$select status, rows_affected, stop_reason, sqlstate from pg_temp.last_run('mark')$$,
  $$values ('failed', 0::bigint, 'refused_rows', 'PM005')$$,
  'an update whose rows would match again changes nothing');

-- budget
select maintenance.configure_job('purge', batch_size => 10, budget => '1 microsecond');
select maintenance.run_now('purge');
select results_eq($$select status, rows_affected, batches, stop_reason from pg_temp.last_run('purge')$$,
  $$values ('succeeded', 10::bigint, 1, 'budget')$$, 'the budget stops a run between two batches');

-- functions
create table shop.todo (id int);
insert into shop.todo select generate_series(1, 25);
create function shop.step(batch_size integer) returns bigint language sql
begin atomic
  with gone as (delete from shop.todo where id in (select id from shop.todo limit batch_size) returning 1)
  select count(*) from gone;
end;
select maintenance.set_job('work', 'shop.step');
select maintenance.configure_job('work', batch_size => 10);
select maintenance.run_now('work');
select results_eq($$select status, rows_affected, batches, stop_reason from pg_temp.last_run('work')$$,
  $$values ('succeeded', 25::bigint, 4, 'done')$$, 'a step function is called until it returns 0');
create sequence shop.steps;
create function shop.slow_step(batch_size integer) returns bigint language sql
return (array[-1, -1, 5, -1, 2, null])[nextval('shop.steps')];
select maintenance.set_job('slow_work', 'shop.slow_step');
select maintenance.run_now('slow_work');
select results_eq($$select status, rows_affected, batches, stop_reason from pg_temp.last_run('slow_work')$$,
  $$values ('succeeded', 7::bigint, 6, 'done')$$, 'less than 0 counts for nothing, and has it go on');
create function shop.told(batch_size integer) returns bigint language plpgsql
as $$ begin perform maintenance.add_details('{"seen": 3}'); return 0; end $$;
select maintenance.set_job('told', 'shop.told');
select maintenance.run_now('told');
select is((select details ->> 'seen' from pg_temp.last_run('told')), '3', 'a step leaves details on the receipt');
create function shop.fails(batch_size integer) returns bigint language plpgsql
as $$ begin insert into shop.todo values (99); raise exception 'out of %', 'luck'; end $$;
select maintenance.set_job('fails', 'shop.fails');
select is(maintenance.run_now('fails') ->> 'message', 'fails failed: SQLSTATE P0001',
  'a step that raises fails the run');
select is((select error_detail ->> 'message' from maintenance_internal.run order by run_id desc limit 1), 'out of luck',
  'the owner finds the message of a step that raises in error_detail');
select is((select count(*) from shop.todo), 0::bigint, 'a step that raises leaves nothing behind');
drop function shop.fails;
select is(maintenance.run_now('fails') #>> '{data,sqlstate}', 'PM007', 'a step that is gone fails the run');

-- skipped
select maintenance.disable_job('purge');
select results_eq($$select r ->> 'message', r #>> '{data,status}', r #>> '{data,stopReason}'
  from maintenance.run_now('purge') r$$,
  $$values ('purge is disabled', 'skipped', 'disabled')$$, 'a disabled job is skipped, with a receipt');
select throws_ok($$select maintenance_internal.run_or_raise('purge')$$, 'PM009', 'purge is disabled',
  'run_or_raise raises for a disabled job');
select maintenance.enable_job('purge');
select is(maintenance.run_now('purge') ->> 'success', 'true', 'a job that is enabled again runs');
select throws_ok($$select maintenance_internal.run_or_raise('fails')$$, 'PM008', null, 'run_or_raise raises a failure');
select throws_ok($$select maintenance.run_now('nothing')$$, 'PM001', 'there is no job "nothing"',
  'an unknown job is an error');

-- the clock
set local maintenance.fake_now = '2001-01-01';
select is((maintenance.run_now('purge') #>> '{data,rowsAffected}'), '0', 'the cut-off follows the clock seam');
reset maintenance.fake_now;

-- a receipt that nobody works on any more
insert into maintenance_internal.run (job_id, job_name, trigger, status, started_at, backend_pid)
select job_id, job_name, 'schedule', 'running', now(), 1 from maintenance_internal.job where job_name = 'purge';
create function pg_temp.shown(ago interval) returns text language sql as $$
  update maintenance_internal.run set started_at = clock_timestamp(), touched_at = clock_timestamp() - ago
  where backend_pid = 1;
  select last_status || ' ' || running from maintenance.job_status where job_name = 'purge' $$;
select is(pg_temp.shown('1 s'), 'running true',
  'a run whose session has just gone is not called interrupted while it may end');
select is(pg_temp.shown('11 s'), 'interrupted false', '... and is ten seconds later');
select maintenance.run_now('purge');
select results_eq($$select status, stop_reason from maintenance_internal.run where backend_pid = 1
  and job_name = 'purge'$$,
  $$values ('interrupted', 'backend_gone')$$, 'a running receipt whose lock is free is closed as interrupted');

-- what a caller hands in is not trusted
insert into maintenance_internal.run (job_id, job_name, trigger, status, started_at, backend_pid)
select job_id, job_name, 'schedule', 'running', now(), 1 from maintenance_internal.job where job_name = 'purge'
returning run_id \gset
select is((select more from maintenance_internal.run_step(:run_id)), false, 'nobody steps in another session''s run');
select throws_ok(format('select maintenance_internal.end_run(%s)', :run_id), 'PM002', null,
  'nobody ends another session''s run');
select maintenance_internal.close_dead_runs();
select throws_ok($$update maintenance_internal.run set status = 'running'$$, '23514', null,
  'a receipt that is over cannot say that it runs');
select is((select count(*) from maintenance_internal.run where status = 'running'), 0::bigint,
  'no receipt is left open');
select * from finish();
rollback;
