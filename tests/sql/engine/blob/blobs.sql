-- The outbox of blobs: filled by whichever way a row goes, emptied when a row names the blob again, and handed
-- out with leases (S0-23, C-06).
begin;
create extension pgtap;
select plan(73);
create table public.picture (id integer primary key, parent integer, url varchar(500), version integer default 1,
  at timestamptz default '2020-01-01');
create table public.album (id integer primary key);
alter table public.picture add foreign key (parent) references public.album on delete cascade;
create index on public.picture (url);
create trigger picture_names_blobs after insert or delete or update of url on public.picture
for each row execute function maintenance.track_blobs('url');
create trigger picture_names_blobs_no_more before truncate on public.picture
for each statement execute function maintenance.track_blobs('url');
create function pg_temp.outbox() returns text language sql as $$
  select string_agg(concat_ws(' ', b.url, nullif(b.state, 'ready')), ', ' order by b.url, b.blob_id)
  from maintenance.blob as b $$;
create function pg_temp.claim(most integer default 100) returns text language sql as $$
  select string_agg(c.url, ', ' order by c.url) from maintenance.claim_blobs('me', most) as c $$;
create function pg_temp.later(by interval) returns void language sql as $$
  select set_config('maintenance.fake_now', (maintenance_internal.moment() + by)::text, true) $$;
create function pg_temp.settle(url text, outcome text, message text default null) returns jsonb language sql as $$
  select maintenance.settle_blob(b.blob_id, b.lease_token, settle.outcome, settle.message) from maintenance.blob as b
  where b.url = settle.url and b.state = 'leased' $$;
create function pg_temp.waits(url text, outcome text, message text) returns numeric language sql as $$
  select extract(epoch from (s.end ->> 'available_at')::timestamptz - maintenance_internal.moment())
  from (select pg_temp.settle(url, outcome, message) as end offset 0) as s $$;

insert into public.album values (1), (2);
insert into public.picture (id, parent, url) values (1, null, 'by-hand'), (2, 1, 'cascade'), (3, 2, 'stays'),
  (4, null, 'policy'), (5, null, null), (6, null, ''), (7, null, 'shared'), (8, null, 'shared'), (9, null, 'edited');
select is(pg_temp.outbox(), null, 'rows that come leave nothing');
delete from public.picture where id = 1;
select is(pg_temp.outbox(), 'by-hand', 'a row that is deleted leaves an entry');
delete from public.album where id = 1;
select is(pg_temp.outbox(), 'by-hand, cascade', 'so does one that a cascading key takes');
select maintenance.set_policy('purge_pictures', 'public.picture', 'delete', 'at', '0',
  matching => 'url = ''policy''') \g /dev/null
select is(maintenance.run_now('purge_pictures') ->> 'success', 'true', 'and one that a policy takes');
select is(pg_temp.outbox(), 'by-hand, cascade, policy', '... is there');
delete from public.picture where id in (5, 6);
select is(pg_temp.outbox(), 'by-hand, cascade, policy', 'a row that names no blob leaves none');
update public.picture set url = 'edited anew' where id = 9;
update public.picture set version = 2;
select is(pg_temp.outbox(), 'by-hand, cascade, policy', 'nor does one that is given another blob');
savepoint a;
truncate public.picture;
select is(pg_temp.outbox(), 'by-hand, cascade, edited anew, policy, shared, shared, stays', 'truncate is noticed');
select is(pg_temp.claim(), 'by-hand, cascade, edited anew, policy, shared, stays', '... and they are handed out');
rollback to a;
savepoint b;
delete from public.picture where id = 3;
rollback to b;
select is(pg_temp.outbox(), 'by-hand, cascade, policy', 'what is rolled back leaves none');

-- Rows that name it again.
insert into public.picture (id, url) values (10, 'cascade');
select is(pg_temp.outbox(), 'by-hand, policy', 'a row that comes takes the entry of its blob out');
update public.picture set url = 'policy' where id = 10;
select is(pg_temp.outbox(), 'by-hand', 'and so does one that is given this blob');
delete from public.picture where id = 7;
select is(pg_temp.outbox(), 'by-hand, shared', 'of two rows with one blob the first leaves an entry');
select is(pg_temp.claim(), 'by-hand', '... which is not handed out');
select is(pg_temp.outbox(), 'by-hand leased', '... and dropped: another row names it');
delete from public.picture where id = 8;
select is(pg_temp.claim(), 'shared', 'until the last of them goes');
select throws_ok($$insert into public.picture values (11, null, 'shared')$$, 'PM028',
  'the blob "shared" is being deleted just now', 'a blob that is being deleted cannot be named');
select throws_ok($$update public.picture set url = 'shared'$$, 'PM028', null, '... nor by an edit');
select is(pg_temp.settle('shared', 'deleted'), '{"state": "deleted", "available_at": null}', 'deleted is done');
select lives_ok($$insert into public.picture values (11, null, 'shared')$$, 'and then its name is free');
alter table public.picture disable trigger picture_names_blobs;
insert into public.picture values (12, null, 'by-hand');
alter table public.picture enable trigger picture_names_blobs;
select is(pg_temp.settle('by-hand', 'released') ->> 'state', 'ready', 'released goes back');
select is(pg_temp.claim(), null, 'a row that came in silence is seen all the same');
select is(pg_temp.outbox(), null, '... and the entry dropped');

-- Leases, back-off, dead.
insert into public.picture (id, url) select i, 'a' || i from generate_series(101, 105) as i;
delete from public.picture where id > 100;
select is(pg_temp.claim(2), 'a101, a102', 'the oldest first, no more than is asked for');
select is(pg_temp.claim(2), 'a103, a104', 'and nobody gets what is leased');
select results_eq($$select pg_temp.settle('a101', 'gone')$$,
  $$values ('{"state": "gone", "available_at": null}'::jsonb)$$, 'gone already counts as done');
select is(pg_temp.outbox(), 'a102 leased, a103 leased, a104 leased, a105', '... and its entry goes');
select ok(w between 58 and 61, 'a store that is down waits a minute')
from pg_temp.waits('a102', 'defer', 'the store is down') as w;
select ok(w between 6 and 14, 'a failure of its own ten seconds, at first')
from pg_temp.waits('a103', 'transient', 'no') as w;
select is((select array[a.attempts, b.attempts] from maintenance.blob as a, maintenance.blob as b
  where a.url = 'a102' and b.url = 'a103'), '{0,1}', 'and that alone costs an attempt');
select is((select last_error from maintenance.blob where url = 'a102'), 'the store is down', 'the message is kept');
select is(pg_temp.settle('a104', 'rejected', 'elsewhere') ->> 'state', 'dead',
  'what cannot be deleted is dead at once');
select pg_temp.later('3 minutes') \g /dev/null
select is(pg_temp.claim(), 'a102, a103, a105', 'what waited is handed out, and what is dead is not');
select b.blob_id, b.lease_token from maintenance.blob as b where b.url = 'a105' \gset
select pg_temp.later('3 minutes') \g /dev/null
select is((select maintenance.settle_blob(:blob_id, :'lease_token', 'deleted') ->> 'state'), 'deleted',
  'the token decides, and not the clock');
select throws_ok(format('select maintenance.settle_blob(%s, %L, %L)', :blob_id, :'lease_token', 'deleted'), 'PM014',
  format('blob %s is not leased under this token (any more)', :blob_id), 'a second word is refused');
update maintenance.blob set last_error = null where url = 'a102';
select is(pg_temp.claim(), null, 'a lease that ran out is put off');
select results_eq($$select url, attempts, defers, last_error from maintenance.blob where url in ('a102', 'a103')
  order by url$$, $$values ('a102', 0, 2, 'the lease of me ended without a word'), ('a103', 1, 1, 'no')$$,
  '... and costs no attempt, as a store that is down; the last word stays');
select pg_temp.later('3 minutes') \g /dev/null
select is(pg_temp.claim(), 'a102, a103', '... and is handed out again');
select is(pg_temp.settle('a102', 'unknown', 'no answer') ->> 'state', 'leased',
  'what the store may still do stays leased');
select throws_ok($$insert into public.picture (id, url) values (101, 'a102')$$, 'PM028', null, '... and guarded');
select throws_ok(format('select maintenance.settle_blob(%s, %L, %L)', blob_id, gen_random_uuid(), 'deleted'), 'PM014',
  null, 'a lease is settled under its own token alone') from maintenance.blob where url = 'a102';
create function pg_temp.fail_often() returns integer language plpgsql as $$
declare v_tries integer := 0;
begin
  delete from maintenance.blob where url <> 'a103';
  while exists (select from maintenance.blob where state = 'leased') loop
    perform pg_temp.settle('a103', 'transient', 'forbidden'), pg_temp.later('2 hours'), pg_temp.claim();
    v_tries := v_tries + 1;
  end loop;
  return v_tries;
end $$;
select is(pg_temp.fail_often(), 19, 'after twenty attempts in all');
select is((select state || ' ' || attempts from maintenance.blob), 'dead 20', '... it is dead');
select results_eq($$select count, severity, advice from maintenance_status where task = 'blobs_dead'$$,
  $$values (1::bigint, 'warning', 'The first: forbidden. Which, as the owner: select blob_id, url, last_error from '
    'maintenance.blob where state = ''dead''; all of them once more: select maintenance.retry_blobs(); those of this '
    'error, which then stay in the store for ever: delete from maintenance.blob where state = ''dead'' and '
    'last_error = ''forbidden'';')$$, 'the status says so');
select is(maintenance.retry_blobs(), '{"revived": 1, "hurried": 0}', 'the advice');
select is(pg_temp.claim(), 'a103', '... revives it');
select pg_temp.settle('a103', 'transient', 'forbidden') \g /dev/null
select is(maintenance.retry_blobs(), '{"revived": 0, "hurried": 1}', 'and hurries what waits');
select results_eq($$select count, severity, advice from maintenance_status where task = 'blobs_due'$$,
  $$values (1::bigint, 'notice', null)$$, 'what is due is told');
select pg_temp.later('61 minutes') \g /dev/null
select matches(advice, '^Due for more than an hour: the store says: forbidden\. When that is mended, at once: select '
  'maintenance.retry_blobs\(\);$', '... and since when: a warning, with the store''s last word')
from maintenance_status where task = 'blobs_due' and severity = 'warning' and oldest
  < maintenance_internal.moment() - interval '1 hour';
update maintenance.blob set last_error = null;
select matches(advice, 'is a worker running that has BLOB_STORE set', '... or that nobody is at work')
from maintenance_status where task = 'blobs_due';
select maintenance.pause('a test') \g /dev/null
select is(pg_temp.claim(), null, 'none is handed out during a pause');
select matches(advice, 'select maintenance.resume\(\);$', '... and the status says so')
from maintenance_status where task = 'blobs_due' and severity = 'notice';
select maintenance.resume() \g /dev/null
select is(pg_temp.claim(), 'a103', '... but after it');
select pg_temp.later('1 hour') \g /dev/null
select lives_ok($$insert into public.picture (id, url) values (101, '/a103')$$,
  'a lease that has ended guards nothing, whoever claims or not');
select is(pg_temp.outbox(), null, '... and a slash before a name makes no other one of it');
delete from public.picture where id = 101;
insert into public.picture (id, url) values (102, 'a103');
select is(pg_temp.outbox(), null, '... nor one that is missing');
delete from public.picture where id = 102;
alter table public.picture disable trigger picture_names_blobs;
insert into public.picture (id, url) values (103, '/a103');
alter table public.picture enable trigger picture_names_blobs;
select is(pg_temp.claim(), null, '... when it is handed out, too');
delete from public.picture where id = 103;

-- Many that stay keep none from going.
delete from maintenance.blob;
alter table public.picture disable trigger picture_names_blobs;
insert into public.picture (id, url) select i, 'kept' || i from generate_series(201, 250) as i;
alter table public.picture enable trigger picture_names_blobs;
insert into maintenance.blob (url) select 'kept' || i from generate_series(201, 250) as i;
insert into maintenance.blob (url) values ('goes'), ('goes');
select is((select count(*) from maintenance.claim_blobs('me', 10)), 1::bigint, 'a claim looks further than it leases');
select is(pg_temp.outbox(), 'goes leased', 'and of two entries for one blob one goes');

-- Bad input.
select throws_ok($$select maintenance.claim_blobs(' ')$$, 'PM002', 'the worker has no name', 'a worker has a name');
select throws_ok($$select maintenance.claim_blobs('me', 0)$$, 'PM002', 'max "0" is out of range', 'max is positive');
select throws_ok($$select maintenance.claim_blobs('me', 1, '-1 s')$$, 'PM002', 'the lease "-00:00:01" is out of range',
  'a lease is positive');
select throws_ok($$select maintenance.settle_blob(1, null, 'done')$$, 'PM002', 'the outcome "done" is not known',
  'outcomes are known');
create trigger odd after delete on public.album for each statement execute function maintenance.track_blobs('id');
select throws_ok('delete from public.album', 'PM003', null, 'a trigger in the wrong place says so');
drop trigger odd on public.album;
create trigger odd after delete on public.album for each row execute function maintenance.track_blobs('url');
select throws_ok('delete from public.album', 'PM003', 'public.album has no column url, which its trigger odd names',
  '... and one with a wrong column');
drop trigger odd on public.album;
create trigger odd after delete on public.album referencing old table as gone for each statement
execute function maintenance.track_blobs('id');
insert into public.album values (7), (8);
delete from maintenance.blob;
delete from public.album where id > 6;
select is(pg_temp.claim(), '7, 8', 'a trigger for each statement does for deletes, and any type for a name');
insert into maintenance.blob (url) values ('2'), ('9');
select is(pg_temp.claim(), '9', '... which is looked up in any type');
insert into maintenance.blob (url) values ('2');
savepoint renamed;
alter table public.album rename id to number;
select throws_ok('select pg_temp.claim()', 'PM003', 'what a table names cannot be told: public.album: it has no column '
  'id, which its trigger names', 'nothing is handed out where a table cannot be asked');
select matches(advice,
  '^None is handed out, since what a table names cannot be told: public.album: it has no column id')
from maintenance_status where task = 'blobs_due' and severity = 'warning';
rollback to renamed;
alter table public.album enable row level security, force row level security;
select throws_ok('select pg_temp.claim()', 'PM003', null, '... by its row security');
rollback to renamed;
create constraint trigger late after insert on public.album deferrable for each row
execute function maintenance.track_blobs('id');
select throws_ok('select pg_temp.claim()', 'PM003', null, '... or whose trigger may come late');
rollback to renamed;

-- Tables of partitions, columns of other types.
create table public.part (id integer, url text, primary key (id, url)) partition by list (id);
create table public.part_1 partition of public.part for values in (1);
create trigger part_names_blobs after insert or delete or update of url on public.part
for each row execute function maintenance.track_blobs('url');
delete from maintenance.blob;
insert into public.part values (1, 'p'), (1, 'q');
delete from public.part_1 where url = 'p';
select is(pg_temp.claim(), 'p', 'rows of a partition count, whichever way they go');
select throws_ok($$insert into public.part_1 values (1, 'p')$$, 'PM028', null, '... or come');
select * from finish();
rollback;
