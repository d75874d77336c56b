-- Rows that cannot go keep no other row, whatever the reason and wherever they lie; what is no row's
-- fault stops the run and refuses none.
\set QUIET on
set client_min_messages = error;
begin;
create extension if not exists pgtap;
select plan(56);

create function pg_temp.last(job text default null) returns maintenance_internal.run language sql as $$
  select r from maintenance_internal.run as r where r.job_name = coalesce(job,
    r.job_name) order by run_id desc limit 1 $$;
create function pg_temp.run(job text) returns text language plpgsql as $$
begin
  perform maintenance.run_now(job);
  return (select concat_ws(' ', r.status, r.stop_reason, r.rows_affected, r.rows_refused, r.sqlstate)
    from pg_temp.last(job) as r);
end $$;
create function pg_temp.policy(name text) returns void language sql as $$
  select maintenance.set_policy(name, format('public.%I', name), 'delete', 'at', '7 days') $$;

-- N-003: more than a hundred rows that cannot go, before all others.
create table public.parent (id integer primary key, at timestamptz);
create table public.child (parent_id integer references public.parent);
create index on public.child (parent_id);
create index on public.parent (at);
insert into public.parent select g, now() - interval '9 days' from generate_series(1, 10000) as g;
insert into public.child select g from generate_series(1, 150) as g;
select pg_temp.policy('parent');
select is(pg_temp.run('parent'), 'failed refused_rows 9850 150 23503', 'N-003: all rows go but those that are held');
select is(jsonb_array_length((pg_temp.last()).error_detail -> 'rows'), 100,
  'the keys of a hundred refused rows are kept');
select is(pg_temp.run('parent'), 'failed refused_rows 0 150 23503', 'N-003: the next run refuses the same rows');
delete from public.child;
select is(pg_temp.run('parent'), 'succeeded done 150 0', 'N-003: rows that are held no more go');

insert into public.parent select g, now() - interval '9 days' from generate_series(1, 10000) as g;
insert into public.child select g from generate_series(9801, 10000) as g;
select is(pg_temp.run('parent'), 'failed refused_rows 9800 200 23503', 'rows that are held may lie behind all others');
select is((select count(distinct k) from jsonb_array_elements((pg_temp.last()).error_detail -> 'rows') as k),
  100::bigint, 'the keys that are kept are of a hundred different rows');

-- N-004: the parent lies before the child.
create table public.thread (id integer primary key, parent integer references public.thread, at timestamptz);
create index on public.thread (parent);
create index on public.thread (at);
insert into public.thread select g, null, now() - interval '9 days' from generate_series(1, 6000) as g;
insert into public.thread select g + 6000, g, now() - interval '9 days' from generate_series(1, 6000) as g;
select pg_temp.policy('thread');
select is(pg_temp.run('thread'), 'succeeded done 12000 0', 'N-004: parents go after their children');
insert into public.thread select g, nullif(g - 1, 0), now() - interval '9 days' from generate_series(1, 3000) as g;
select maintenance.configure_job('thread', batch_size => 50);
select is(pg_temp.run('thread'), 'succeeded done 3000 0', 'a chain of rows goes from its end');
insert into public.thread select g, nullif(g, 300) + 1, now() - interval '9 days' from generate_series(1, 300) as g;
select is(pg_temp.run('thread'), 'succeeded done 300 0', 'a chain the other way round goes, too');
insert into public.thread values (1, null, now() - interval '9 days'), (2, 1, now());
select is(pg_temp.run('thread'), 'failed refused_rows 0 1 23503', 'a parent of a young child is refused');
delete from public.thread;

-- C16: keys and triggers that are checked at the end of the transaction.
create table public.par (id integer primary key, at timestamptz);
create table public.chi (par_id integer references public.par deferrable initially deferred);
create index on public.chi (par_id);
create index on public.par (at);
insert into public.par select g, now() - interval '9 days' from generate_series(1, 1000) as g;
insert into public.chi values (700);
select pg_temp.policy('par');
select maintenance.configure_job('par', batch_size => 100);
select is(pg_temp.run('par'), 'failed refused_rows 999 1 23503', 'C16: a deferred key refuses its row alone');
select is((pg_temp.last()).error_detail #> '{rows,0}', '{"id": 700, "table": "public.par"}',
  'C16: the owner finds the key of the row that a deferred key holds');
insert into public.chi values (701);
select throws_ok($$select maintenance.run_now('par')$$, '23503', null,
  'what the caller itself has left to check is the caller''s error');
insert into public.par values (701, now());
select lives_ok($$select maintenance.run_now('par')$$, 'a run goes when the caller''s keys are right');
select lives_ok($$insert into public.chi values (702)$$, 'keys that were deferred are deferred again after a run');
insert into public.par values (702, now());
create function public.defers(batch_size integer) returns bigint language sql begin atomic
  insert into public.chi values (-1); select 1::bigint; end;
select maintenance.set_job('defers', 'public.defers');
select is(pg_temp.run('defers'), 'failed error 0 0 23503', 'a deferred key fails the step function that broke it');

-- Whose fault it is.
create table public.victim (id integer primary key, at timestamptz);
create index on public.victim (at);
insert into public.victim select g, now() - interval '9 days' from generate_series(1, 500) as g;
select pg_temp.policy('victim');
create function public.trip() returns trigger language plpgsql as $$
begin
  if tg_argv[1] is null or old.id = tg_argv[1]::integer then
    case tg_argv[0]
      when 'gone' then execute 'insert into public.nowhere values (1)';
      when 'zero' then perform 1 / (old.id - old.id);
      else raise exception 'failed on purpose' using errcode = tg_argv[0];
    end case;
  end if;
  return old;
end $$;
create function pg_temp.with_fault(fault text, id integer default null) returns text language plpgsql as $$
declare v_outcome text;
begin
  execute format('create trigger fail before delete on public.victim for each row execute function '
    'public.trip(%L%s)', fault, ', ' || id);
  v_outcome := pg_temp.run('victim');
  drop trigger fail on public.victim;
  return v_outcome;
end $$;
select is(pg_temp.with_fault(s), 'failed error 0 0 ' || s, s || ' is no row''s fault: the run stops, and refuses none')
from unnest(array['53100', '53200', '57P03', '25006', '58030', '08006']) as s;
select is(pg_temp.with_fault('gone', 77), 'failed refused_rows 499 1 42P01',
  'a trigger that fails for one row keeps it');
insert into public.victim select g, now() - interval '9 days' from generate_series(1, 500) as g on conflict do nothing;
select is(pg_temp.with_fault('42501', 77), 'failed refused_rows 499 1 42501',
  'a row that a trigger protects is refused');
insert into public.victim select g, now() - interval '9 days' from generate_series(1, 500) as g on conflict do nothing;
select is(pg_temp.with_fault('zero', 500), 'failed refused_rows 499 1 22012', 'the last row of all can be the bad one');
insert into public.victim select g, now() - interval '9 days' from generate_series(1, 500) as g on conflict do nothing;
select is(pg_temp.with_fault('40001'), 'failed error 0 0 40001',
  'a conflict cannot be tried again in the caller''s transaction');
select is(pg_temp.run('victim'), 'succeeded done 500 0', 'without the fault the next run takes all');
alter table public.victim drop column at;
select is(pg_temp.run('victim'), 'failed error 0 0 42703', 'a rule whose column is gone fails, and refuses nothing');
drop table public.victim;
select is(pg_temp.run('victim'), 'failed error 0 0 PM003', 'a run that cannot begin leaves a receipt');
select throws_ok($$select maintenance.configure_job('par', keep => '500000 years')$$, 'PM002',
  'keep "500000 years" is not acceptable', 'a keep before all time is refused');
select throws_ok($$select maintenance.set_policy('par', 'public.par', 'delete', 'at', '500000 years')$$, 'PM002', null,
  'set_policy refuses a keep before all time');

-- A run that is cut goes on behind the place where the last one was: a bad row in each batch, last first.
create table public.cut (id integer primary key, at timestamptz);
create table public.holds (id integer references public.cut);
create index on public.holds (id);
create index on public.cut (at);
insert into public.cut select g, now() - interval '9 days' from generate_series(1, 200) as g;
insert into public.holds select id from public.cut where id % 10 = 1;
select pg_temp.policy('cut');
select maintenance.configure_job('cut', batch_size => 10, max_batches => 1);
-- On a clock that stands still no batch is slow, and none is worked row by row at once.
select set_config('maintenance.fake_now', (now() + interval '1 second')::text, true);
select is(pg_temp.run('cut'), 'succeeded max_batches 9 0', 'a run that is cut calls no row refused');
select is((pg_temp.last()).cut, '(1,6)', 'what failed is offered again, the last first');
update maintenance_internal.run set cut = '(0,101)' where run_id = (pg_temp.last()).run_id;
select is(pg_temp.run('cut') || (pg_temp.last()).cut::text, 'succeeded max_batches 9 0(0,91)',
  'the next run begins behind the place where this one was cut');
select set_config('maintenance.fake_now', '', true);
select maintenance.configure_job('cut', max_batches => 0, budget => '1 microsecond');
select matches(pg_temp.run('cut'), '^succeeded budget [1-9][0-9]* 0$', 'a run with no time at all does something');
select maintenance.configure_job('cut', budget => '5 minutes', max_rows => 5);
select is(pg_temp.run('cut'), 'succeeded max_rows 5 0', 'no run changes more rows than it may, whatever failed before');
select maintenance.configure_job('cut', max_rows => 0);
select matches(pg_temp.run('cut'), '^failed refused_rows [0-9]+ 20 23503$', 'a run with time comes to its end');
select is((pg_temp.last()).cut, null, 'a run that came to its end was cut nowhere');
select is((select count(*) from public.cut), 20::bigint, 'rows that cannot go keep no other');
select is((select count(*) from maintenance_internal.piece), 0::bigint, 'no run leaves a piece behind');

-- Rows that move while they are deleted, and triggers that assert, keep rows, or stop a rule.
create table public.loose (id integer primary key, par integer references public.loose on delete set null,
  at timestamptz);
create index on public.loose (par);
create index on public.loose (at);
insert into public.loose select i, null, now() - interval '9 days' from generate_series(1,
  2000) as i order by hashint4(i);
update public.loose set par = id - 1000 where id > 1000;
select pg_temp.policy('loose');
select maintenance.configure_job('loose', batch_size => 50);
select pg_temp.run('loose');
select is((select count(*) from public.loose), 0::bigint, 'rows whose keys a delete sets to null go as well');
create table public.odd (id integer primary key, at timestamptz, state text default 'open');
create index on public.odd (at);
insert into public.odd select g, now() - interval '9 days' from generate_series(1, 1000) as g;
select pg_temp.policy('odd');
create function public.odd() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' and tg_argv[0] = 'assert' then
    assert old.id <> 3;
  elsif tg_op = 'DELETE' then
    return case when old.id % 2 = 0 then old end;
  else
    new.state := case when old.id = 3 then 'open' else new.state end;
    return new;
  end if;
  return old;
end $$;
select maintenance.set_policy('close', 'public.odd', 'update', 'at', '7 days', matching => 'state = ''open''',
  assign => 'state = ''closed''');
create trigger odd before update on public.odd for each row execute function public.odd();
select is(pg_temp.run('close'), 'failed refused_rows 999 1 PM005',
  'a row that stays due after an update is refused alone');
create trigger assert before delete on public.odd for each row execute function public.odd('assert');
select is(pg_temp.run('odd'), 'failed refused_rows 999 1 P0004', 'a row that an assertion keeps is refused alone');
drop trigger assert on public.odd;
insert into public.odd select g, now() - interval '9 days' from generate_series(1, 1000) as g where g <> 3;
create trigger half before delete on public.odd for each row execute function public.odd('half');
select is(pg_temp.run('odd'), 'failed no_effect 500 0 PM012', 'a trigger that keeps half of the rows is no success');
create table public.tree (id integer primary key, par integer references public.tree, at timestamptz);
create index on public.tree (par);
insert into public.tree select i, nullif(i, 1) / 2, now() - interval '9 days' from generate_series(1, 3000) as i
order by hashint4(i);
select pg_temp.policy('tree');
select maintenance.configure_job('tree', batch_size => 100);
select is(pg_temp.run('tree'), 'succeeded done 3000 0', 'a tree in any order goes in one run');

-- Whose name a fault bears: what a trigger raises is never a cancel or a change of the rule.
create table public.named_fault (id integer primary key, at timestamptz);
create index on public.named_fault (at);
create function public.trip_at_7() returns trigger language plpgsql as $$ begin
  if old.id = 7 then raise exception 'no' using errcode = tg_argv[0]; end if; return old; end $$;
select pg_temp.policy('named_fault');
create function pg_temp.raised(code text) returns text language plpgsql as $$
declare v_outcome text;
begin
  insert into public.named_fault select g, now() - interval '9 days' from generate_series(1,
    20) as g on conflict do nothing;
  execute format('create trigger t before delete on public.named_fault for each row execute function '
    'public.trip_at_7(%L)', code);
  v_outcome := pg_temp.run('named_fault');
  drop trigger t on public.named_fault;
  return v_outcome;
end $$;
select is(pg_temp.raised(s), 'failed refused_rows 19 1 ' || s, s || ' that a trigger raises is about its row')
from unnest(array['PM022', 'PM001', '42P01', '23514']) as s;

-- The caller's own constraints.
create table public.named (id integer constraint fk_owner unique deferrable initially deferred);
create table public.named_too (id integer constraint fk_owner check (id > 0));
select is(pg_temp.run('tree'), 'succeeded done 0 0', 'two constraints of one name are no matter for run_now');
create table public.later (pid integer references public.par deferrable initially immediate);
set constraints all deferred;
insert into public.later values (4711);
select throws_ok($$select maintenance.run_now('par')$$, '23503', null,
  'what the caller has deferred is the caller''s error, and no row''s');
insert into public.par values (4711, now());

-- Steps that run jobs.
create function public.inner_step(batch_size integer) returns bigint language plpgsql as $$
begin perform maintenance.add_details('{"of": "inner"}'); return 0; end $$;
select maintenance.set_job('inner', 'public.inner_step');
create function public.outer_step(batch_size integer) returns bigint language plpgsql as $$
begin
  perform maintenance.add_details('{"before": 1}');
  perform maintenance.run_now('inner');
  perform maintenance.add_details(jsonb_build_object('after', 1, 'again', maintenance.run_now('outer') -> 'message'));
  return 0;
end $$;
select maintenance.set_job('outer', 'public.outer_step');
select maintenance.run_now('outer');
select is((pg_temp.last('inner')).details, '{"of": "inner"}',
  'details of a job that a step runs are on its own receipt');
select results_eq($$select status, stop_reason, details from maintenance_internal.run where job_name = 'outer'
  order by run_id$$, $$values ('succeeded', 'done',
    '{"before": 1, "after": 1, "again": "outer is already running"}'::jsonb),
    ('skipped', 'already_running', '{}')$$, 'a step that starts its own job is skipped, and goes on itself');
select results_eq('select maintenance.run_now(''inner'') -> ''success'' from generate_series(1, 2)', $$values
  ('true'::jsonb), ('true')$$, 'a job can run twice in one transaction');

-- Told to stop.
insert into public.par select g, now() - interval '9 days' from generate_series(2000, 2100) as g;
create function public.dawdle() returns trigger language plpgsql as $$ begin perform pg_sleep(0.05); return old; end $$;
create trigger dawdle before delete on public.par for each row execute function public.dawdle();
create function pg_temp.stopped() returns text language plpgsql as $$
begin
  perform maintenance.run_now('par');
  return 'went on';
exception when query_canceled then
  return 'stopped';
end $$;
set local statement_timeout = '300ms';
select is(pg_temp.stopped(), 'stopped', 'a time-out ends run_now, and its caller is told');
reset statement_timeout;
select is((select count(*) from public.par where id between 2000 and 2100), 101::bigint,
  'what a time-out ended has deleted nothing');
select * from finish();
rollback;
