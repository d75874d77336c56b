-- The way through a table: windows of pages where much is due, lists where little is; and in both a
-- row that cannot be changed is refused alone, and nothing is done twice or stepped over.
begin;
create extension pgtap;
select plan(44);

create function pg_temp.last(job text) returns maintenance_internal.run language sql as $$
  select r from maintenance_internal.run as r where r.job_name = job order by run_id desc limit 1 $$;
create function pg_temp.way(job text, size integer default 2000) returns text language sql as $$
  select w.way from maintenance_internal.find_policy(job) as p, maintenance_internal.find_job(job) as j,
    maintenance_internal.choose_way(p, j, p.target::regclass, maintenance_internal.clock() - p.keep,
      maintenance_internal.owner_path()) as w $$;
-- 20,000 rows of 100 bytes, 300 pages, of random age: half of them due.
create function pg_temp.fill(share double precision default 0.5) returns void language plpgsql as $$
begin
  truncate public.big cascade;
  perform setseed(0.5);
  insert into public.big select i, now() - case when random() < share
    then interval '30 days' + random() * interval '30 days' else random() * interval '20 days' end, repeat('x', 80), 0
    from generate_series(1, 20000) as i;
  analyze public.big;
end $$;
create table public.big (id integer primary key, at timestamptz, pad text, n integer);
create index on public.big (at);
select pg_temp.fill();
select maintenance.set_policy('big', 'public.big', 'delete', 'at', '25 days');
select maintenance.configure_job('big', batch_size => 1000);
create function pg_temp.due() returns bigint language sql as $$ select count(*) from public.big
  where at <= now() - interval '25 days' $$;

-- The choice.
select is(pg_temp.way('big'), 'sweep', 'where half is due, the leaf is swept');
select pg_temp.fill(0.001);
select is(pg_temp.way('big'), 'lists', 'where a thousandth is due, its rows are collected');
truncate public.big cascade;
insert into public.big select i, now() - interval '32 days' + i * interval '2 minutes', repeat('x', 80), 0
  from generate_series(1, 20000) as i;
analyze public.big;
select is(pg_temp.way('big'), 'ranges', 'where an index of the age follows the heap, it is followed');
-- Ranges: of many ages, of one, and with a row that cannot go.
create function pg_temp.in_heap_order(age text) returns void language plpgsql as $$
begin
  truncate public.big cascade;
  execute format('insert into public.big select i, now() - interval ''32 days'' + %s, repeat(''x'', 80), 0 '
    'from generate_series(1, 20000) as i', age);
  analyze public.big;
end $$;
select is(maintenance.run_now('big') #>> '{data,rowsAffected}', '5040', 'ranges take all that is due');
select is((select count(*) from public.big), 14960::bigint, 'ranges take nothing that is not due');
select is((pg_temp.last('big')).details ->> 'left', '0', 'the receipt of a run by ranges says what is left');
select pg_temp.in_heap_order('i / 2000 * interval ''1 day''');
select is(maintenance.run_now('big') #>> '{data,rowsAffected}', '15999',
  'rows of one age, too many for a batch, go as well');
select is((select count(*) from public.big), 4001::bigint, 'of rows of a few ages nothing goes that is not due');
alter table public.big alter at type timestamp;
select maintenance.set_policy('big', 'public.big', 'delete', 'at', '25 days');
select pg_temp.in_heap_order('i * interval ''2 minutes''');
set local timezone = 'Asia/Tokyo';
select is(pg_temp.way('big'), 'ranges', 'an index of a timestamp is followed, too');
select is(maintenance.run_now('big') #>> '{data,rowsAffected}', '5040', 'ranges of a timestamp are read as UTC');
reset timezone;
alter table public.big alter at type timestamptz;
select maintenance.set_policy('big', 'public.big', 'delete', 'at', '25 days');
create table public.big_child (big_id integer references public.big);
create index on public.big_child (big_id);
select pg_temp.in_heap_order('i * interval ''2 minutes''');
insert into public.big_child values (1), (700), (4000);
select maintenance.run_now('big');
select results_eq($$select status, rows_affected, rows_refused, jsonb_path_query_array(error_detail, '$.rows[*].id')
  from pg_temp.last('big')$$, $$values ('failed', 5037::bigint, 3::bigint, '[1, 700, 4000]'::jsonb)$$,
    'rows that cannot go are refused one by one in a run by ranges');
drop table public.big_child;
select pg_temp.fill();
select maintenance.configure_job('big', max_rows => 100);
select is(pg_temp.way('big'), 'lists', 'a run with a limit on its rows does not sweep');
select maintenance.configure_job('big', batch_size => 100, max_rows => 0);
select is(pg_temp.way('big'), 'lists', 'a run of small batches does not sweep: a window is no smaller than a page');
select maintenance.configure_job('big', batch_size => 1000);

-- A sweep.
create temporary table before_run as select id from public.big where at <= now() - interval '25 days';
select is(maintenance.run_now('big') #>> '{data,rowsAffected}', (select count(*)::text from before_run),
  'a sweep takes all that is due');
select is((select count(*) from public.big), 20000 - (select count(*) from before_run),
  'a sweep takes nothing that is not due');
select ok((pg_temp.last('big')).batches between 8 and 300, 'a sweep goes in windows of at most a few batches: '
  || (pg_temp.last('big')).batches);
select is((pg_temp.last('big')).details ->> 'left', '0', 'the receipt of a sweep says what is left');
select is(maintenance.run_now('big') #>> '{data,rowsAffected}', '0', 'a second run after a sweep finds nothing');


-- One bad row, and several, in a sweep and in a list.
create table public.child (big_id integer primary key references public.big);
create function pg_temp.bad(share double precision) returns text language plpgsql as $$
declare v_due bigint; v_run maintenance_internal.run;
begin
  truncate public.child, public.big;
  perform pg_temp.fill(share);
  insert into public.child select id from public.big where at <= now() - interval '25 days' and id % 7 = 0 order by id
    limit 5;
  v_due := pg_temp.due();
  perform maintenance.run_now('big');
  v_run := pg_temp.last('big');
  return format('%s %s %s of due %s refused, %s left, %s kept by nobody, %s', v_run.status, v_run.stop_reason,
    v_run.rows_affected + 5 - v_due, v_run.rows_refused, v_run.details ->> 'left',
    (select count(*) from public.big where at <= now() - interval '25 days'
      and id not in (select big_id from public.child)),
      v_run.error_detail #>> '{rows,0,id}' = (select min(big_id)::text from public.child));
end $$;
select is(pg_temp.bad(0.5), 'failed refused_rows 0 of due 5 refused, 5 left, 0 kept by nobody, t',
  'rows that a child holds are refused one by one in a sweep');
select is(pg_temp.bad(0.01), 'failed refused_rows 0 of due 5 refused, 5 left, 0 kept by nobody, t',
  'rows that a child holds are refused one by one in a list');
insert into public.child select id from public.big where at <= now() - interval '25 days' on conflict do nothing;
truncate public.child, public.big;
select pg_temp.fill();
insert into public.child select id from public.big where at <= now() - interval '25 days' and id % 10 = 0;
select maintenance.run_now('big');
select results_eq($$select status, rows_refused, stop_reason, sqlstate from pg_temp.last('big')$$,
  $$select 'failed', count(*), 'refused_rows', '23503' from public.child$$, 'every refused row is counted');
select is(jsonb_array_length((pg_temp.last('big')).error_detail -> 'rows'), 100,
  'of many refused rows the keys of a hundred are kept');
select is(pg_temp.due(), (select count(*) from public.child), 'rows that cannot go keep no other row');
truncate public.child;
select is(maintenance.run_now('big') #>> '{data,status}', 'succeeded',
  'a run succeeds once no row is refused any more');
select is(pg_temp.due(), 0::bigint, 'the run after one that stopped at refused rows takes all that is due');

-- Triggers that swallow.
create function public.swallow() returns trigger language plpgsql as $$ begin if old.id % tg_argv[0]::integer = 0
  then return null; end if; return old; end $$;
select pg_temp.fill();
create trigger swallow before delete on public.big for each row execute function public.swallow(1);
select maintenance.run_now('big');
select results_eq($$select status, rows_affected, stop_reason, sqlstate from pg_temp.last('big')$$,
  $$values ('failed', 0::bigint, 'no_effect', 'PM012')$$, 'a sweep without effect fails, and says so');
drop trigger swallow on public.big;
create trigger swallow before delete on public.big for each row execute function public.swallow(10);
select maintenance.run_now('big');
select is((pg_temp.last('big')).details ->> 'left', pg_temp.due()::text, 'what some triggers keep is counted as left');
select ok(pg_temp.due() between 500 and 2000, 'rows that a trigger keeps are still in the table');
drop trigger swallow on public.big;

-- Limits.
select pg_temp.fill();
select maintenance.configure_job('big', max_batches => 3);
select maintenance.run_now('big');
select results_eq($$select status, batches, stop_reason from pg_temp.last('big')$$,
  $$values ('succeeded', 3, 'max_batches')$$, 'a run stops after max_batches batches');
select maintenance.configure_job('big', max_batches => 0, max_rows => 2500);
select maintenance.run_now('big');
select results_eq($$select status, rows_affected, stop_reason from pg_temp.last('big')$$,
  $$values ('succeeded', 2500::bigint, 'max_rows')$$, 'a run stops after exactly max_rows rows');
select maintenance.configure_job('big', max_rows => 0, budget => '1 microsecond');
select maintenance.run_now('big');
select results_eq($$select status, batches, stop_reason from pg_temp.last('big')$$,
  $$values ('succeeded', 1, 'budget')$$, 'a run stops when its budget is over, never before one batch');
select maintenance.configure_job('big', budget => '5 minutes');
select throws_ok($$select maintenance.configure_job('big', max_rows => -1)$$, 'PM002', null,
  'a negative limit is refused');
select maintenance.run_now('big');
select is(pg_temp.due(), 0::bigint, 'a run without limits takes the rest');
create table public.todo (id integer);
create function public.take(batch_size integer) returns bigint language sql as $$
  with t as (delete from public.todo where id in (select id from public.todo limit batch_size)
  returning 1) select count(*) from t $$;
insert into public.todo select generate_series(1, 100);
select maintenance.set_job('take', 'public.take');
select maintenance.configure_job('take', batch_size => 10, max_rows => 35);
select maintenance.run_now('take');
select results_eq($$select rows_affected, batches, stop_reason from pg_temp.last('take')$$,
  $$values (35::bigint, 4, 'max_rows')$$, 'max_rows limits the run of a step function too');

-- C-005: updates whose own condition changes, each row once.
create table public.upd (id int primary key, touched timestamptz, state text default 'open', n int default 0);
insert into public.upd select g, now() - interval '9 days' from generate_series(1, 10007) g;
select maintenance.set_policy('upd', target => 'public.upd', action => 'update', age => 'touched', keep => '7 days',
  matching => $$state = 'open'$$, assign => $$touched = now(), state = 'done', n = n + 1$$);
select maintenance.configure_job('upd', batch_size => 100);
create function public.refuse() returns trigger language plpgsql as $$ begin if old.id = 5003 then raise exception 'no';
  end if; return new; end $$;
create trigger refuse before update on public.upd for each row execute function public.refuse();
select is(maintenance.run_now('upd') #>> '{data,rowsAffected}', '10006',
  'C-005: an update changes every row but the one that a trigger refuses');
drop trigger refuse on public.upd;
select is(maintenance.run_now('upd') #>> '{data,rowsAffected}', '1',
  'C-005: the next run takes the row that a trigger had refused');
select is((select count(*) from public.upd where n = 1 and state = 'done'), 10007::bigint,
  'C-005: an update in small batches changes each row once');
update public.upd set touched = now() - interval '9 days', state = 'open', n = 0;
analyze public.upd;
select maintenance.configure_job('upd', batch_size => 2000);
select is(pg_temp.way('upd'), 'sweep', 'C-005: an update in large batches is swept');
select is(maintenance.run_now('upd') #>> '{data,rowsAffected}', '10007', 'C-005: a swept update changes every row');
select is((select count(*) from public.upd where n = 1 and state = 'done'), 10007::bigint,
  'C-005: a swept update changes each row once');
create table public.d (id int primary key, at timestamptz);
select maintenance.set_policy('d', 'public.d', 'delete', 'at', '1 day');
select maintenance.configure_job('d', batch_size => 50);
create function pg_temp.sizes(size integer) returns text language plpgsql as $$
begin
  insert into public.d select g, now() - interval '9 days' from generate_series(1, size) g;
  perform maintenance.run_now('d');
  return (select count(*) from public.d) || ' left, ' || (pg_temp.last('d')).rows_affected || ' in '
    || (pg_temp.last('d')).batches;
end $$;
select is(pg_temp.sizes(s), '0 left, ' || s || ' in ' || ceil(s / 50.0),
  'C-005: a run in batches of 50 takes all of a table of ' || s)
  from unnest(array[1, 100, 101, 200]) as s;
select * from finish();
rollback;
