-- S2-11, S2-27, S2-42, C-20: the backup inside of the database: what it copies, how it is verified, when it goes, and
-- how it comes back.
begin;
create extension pgtap;
select plan(86);
create function pg_temp.run() returns jsonb language sql as $$ select maintenance.run_now('automated_backup') $$;
create function pg_temp.copies() returns bigint language sql as $$
  select count(*) from pg_class where relnamespace = 'maintenance_backup'::regnamespace and relkind = 'r' $$;
create function pg_temp.last() returns public.backups language sql as $$
  select b from public.backups as b order by b.backup_id desc limit 1 $$;
create function pg_temp.overdue() returns bigint language sql as $$
  select count from maintenance_status where task = 'backups_overdue' $$;
create function pg_temp.fault() returns text language sql as $$
  select concat_ws(' ', status, sqlstate, error) from maintenance.run_history
  where job_name = 'automated_backup' order by run_id desc limit 1 $$;
create function pg_temp.hint(statement text) returns text language plpgsql as $$
declare
  v_hint text;
begin
  execute statement;
  return null;
exception when others then
  get stacked diagnostics v_hint = pg_exception_hint;
  return v_hint;
end $$;
-- Hours of the clock, so that a backup made later is a later one.
create function pg_temp.go_on(pause interval) returns text language sql as $$
  select set_config('maintenance.fake_now', (maintenance_internal.clock() + pause)::text, true) $$;

select results_eq($$select schedule, priority, timeout, budget from maintenance_internal.job
    where job_name = 'automated_backup'$$,
  $$values ('0 3 * * *', 'critical', interval '30 minutes', interval '29 minutes')$$,
  'S2-11: it runs at three, is critical, and has thirty minutes');
select set_eq('select name from public.backup_tables', array['chat_conversations', 'messages', 'study_chat_memory',
  'memory_summaries', 'api_usage_logs', 'student_ai_profile', 'user_profiles', 'subjects', 'topics', 'activity_logs',
  'users'], 'S2-11: which tables it has can be read');
delete from public.backup_tables;
select * from maintenance.register('automated_backup') \g /dev/null
select is((select count(*) from public.backup_tables), 11::bigint, '... and comes back where a restore has lost it');
delete from public.backup_tables where name = 'topics';
select * from maintenance.register('automated_backup') \g /dev/null
select is((select count(*) from public.backup_tables), 10::bigint,
  '... and is left alone where somebody has edited it');
insert into public.backup_tables values ('topics');

-- Values of every sort, and names that have to be quoted.
create table public."Odd ""one""" (
  s bigint generated always as identity primary key, "Mixed case" text unique, double float8, at timestamptz,
  span interval, bytes bytea, doc jsonb, list text[], twice text generated always as ("Mixed case" || 'x') stored,
  gone text, unique (double, at));
alter table public."Odd ""one""" drop column gone;
insert into public."Odd ""one""" ("Mixed case", double, at, span, bytes, doc, list)
select 'a' || g, 1 / g::float8, '2026-06-30 12:00:00.123456Z'::timestamptz + g * interval '1 hour', g * interval '26 h',
  decode(lpad(to_hex(g), 4, '0'), 'hex'), '{"a": [1.10, null]}', array['x', null, '"y",']
from generate_series(1, 9) as g;
insert into public.backup_tables values ('Odd "one"');
insert into public.users (name, email) values ('Ada', 'ada'), ('Bob', 'bob');
insert into public.messages (user_id, content)
select id, name || ' says ' || g from public.users, generate_series(1, 5) g;
insert into public.user_profiles (user_id, notes) select id, name from public.users;

-- The checksum.
create table public.one as select g, g::float8 / 3 as f, now() as at, interval '40 days' as i, '\xff'::bytea as b,
  'public.backups'::regclass as r
from generate_series(1, 100) as g;
create table public.other as select * from public.one order by g desc;
select is(public.backup_sums('public.one'), public.backup_sums('public.other'),
  'C-20: the checksum does not depend on the order of rows');
select public.backup_sums('public.one')::text as before \gset
select set_config('timezone', 'Asia/Tokyo', true), set_config('datestyle', 'SQL, DMY', true),
  set_config('intervalstyle', 'iso_8601', true), set_config('extra_float_digits', '-5', true),
  set_config('bytea_output', 'escape', true), set_config('quote_all_identifiers', 'on', true) \g /dev/null
select is(public.backup_sums('public.one')::text, :'before', 'C-20: ... nor on settings of the session');
select set_config('timezone', 'UTC', true), set_config('datestyle', 'ISO, MDY', true),
  set_config('intervalstyle', 'postgres', true), set_config('extra_float_digits', '1', true),
  set_config('bytea_output', 'hex', true), set_config('quote_all_identifiers', 'off', true) \g /dev/null
update public.other set f = f + 1e-13 where g = 50;
select isnt((public.backup_sums('public.other')).checksum, (public.backup_sums('public.one')).checksum,
  'C-20: ... but on each value');
update public.other set g = 1;
update public.one set g = 2;
insert into public.other select * from public.other;
select is((public.backup_sums('public.other')).rows, 200::bigint, 'C-20: ... and rows are counted, also equal ones');
create table public.twice as select unnest('{1,1,2}'::integer[]) as i;
create table public.other_twice as select unnest('{1,2,2}'::integer[]) as i;
select isnt((public.backup_sums('public.twice')).checksum, (public.backup_sums('public.other_twice')).checksum,
  'C-20: ... each as often as it is there');
alter table public.twice enable row level security;
alter table public.twice force row level security;
select throws_ok($$select public.backup_sums('public.twice')$$, '42501', null, 'rows that are hidden are not left out');
truncate public.one;
select is(public.backup_sums('public.one')::text, '(0,0)', 'no row has the checksum 0');

-- A backup.
alter default privileges grant all on tables to maintenance_viewer;
set local maintenance.fake_now = '2026-06-30 03:00Z';
select is(pg_temp.overdue(), 0::bigint, 'no backup is overdue where the job is new');
update maintenance_internal.job set created_at = '2026-06-29 01:00Z' where job_name = 'automated_backup';
select is(pg_temp.overdue(), 0::bigint, '... 26 hours old');
update maintenance_internal.job set created_at = '2026-06-29 00:59:59Z' where job_name = 'automated_backup';
select is(pg_temp.overdue(), 1::bigint, '... and is from then on');
select pg_temp.run() -> 'data' as data \gset
select is(:'data'::jsonb ->> 'status', 'succeeded', 'S2-11: it succeeds');
select is((:'data'::jsonb ->> 'rowsAffected')::bigint, 0::bigint,
  'S2-11: it counts no rows, since none of the application is changed');
select is(:'data'::jsonb -> 'details', (select jsonb_build_object('backupId', backup_id, 'tables', 12, 'rows', 23,
  'bytes', size_bytes, 'verified', true, 'pruned', 0) from pg_temp.last()), 'S2-11: the receipt says what it has');
select results_eq('select status, backup_type, started_at, finished_at, error_message from pg_temp.last()',
  $$values ('verified', 'snapshot', '2026-06-30 03:00Z'::timestamptz, '2026-06-30 03:00Z'::timestamptz, null)$$,
  'S2-11: the registry says when, and that it is verified');
select set_eq('select key from pg_temp.last() as b, jsonb_each(b.tables)', 'select name from public.backup_tables',
  'S2-11: ... which tables');
select is_empty($$select key from pg_temp.last() as b, jsonb_each(b.tables) as t
    where (value ->> 'rows', value ->> 'checksum') is distinct from (select (s.rows::text, s.checksum)
      from public.backup_sums(format('public.%I', key)::regclass) as s)$$,
  'S2-11, C-20: ... how many rows of each, with which checksum');
select is((select sum((value ->> 'bytes')::bigint) from pg_temp.last() as b, jsonb_each(b.tables)),
  (select sum(pg_total_relation_size(oid)) from pg_class where relnamespace = 'maintenance_backup'::regnamespace
    and relkind = 'r'), 'S2-11: ... and of how many bytes');
select is((pg_temp.last()).size_bytes, (select sum((value ->> 'bytes')::bigint)::bigint
  from pg_temp.last() as b, jsonb_each(b.tables)), '... in all');
select backup_id as id, tables #>> '{messages,copy}' as messages, tables #>> '{users,copy}' as users,
  tables -> 'Odd "one"' ->> 'copy' as odd from pg_temp.last() \gset
select is((pg_temp.last()).file_location, format('maintenance_backup.b%s_*', :id), 'S2-11: ... and where it is');
select set_eq(format('select * from maintenance_backup.%I', :'odd'), 'select * from public."Odd ""one"""',
  'S2-11: the copies have the rows');
select is(pg_temp.overdue(), 0::bigint, 'with a verified backup none is overdue');
select pg_temp.go_on('26 hours') \g /dev/null
select is(pg_temp.overdue(), 0::bigint, '... for 26 hours');
select pg_temp.go_on('1 second') \g /dev/null
select results_eq($$select count, oldest from maintenance_status where task = 'backups_overdue'$$,
  $$values (1::bigint, '2026-06-30 03:00Z'::timestamptz)$$, '... and then one is, since the last');
insert into public.backups (started_at) values (maintenance_internal.clock()) returning backup_id as failed \gset
select is(pg_temp.overdue(), 1::bigint, '... whatever has failed since');
delete from public.backups where backup_id = :failed;
insert into public.backups (backup_type, status, started_at, file_location, checksum)
values ('dump', 'verified', maintenance_internal.clock(), 'db1:/var/backups/app-20260701T050001Z.dump', 'abc')
returning backup_id as dump \gset
select is(pg_temp.overdue(), 1::bigint, 'S2-11: ... nor does a dump hide that there is no snapshot');
delete from public.backups where backup_id = :dump;

-- A bad delete, after a person's own.
delete from public.users;
select is((select count(*) from public.messages), 0::bigint, 'a bad delete takes all messages along');
select results_eq(format('select name from maintenance_backup.%I order by name', :'users'), array['Ada', 'Bob'],
  '... and the copies stay, whoever has gone');
insert into public.users select * from maintenance_backup.:users;
insert into public.messages select * from maintenance_backup.:messages where content like 'Ada%';
select is((select count(*) from public.messages), 5::bigint, 'rows come back by plain SQL');

-- What fails leaves nothing but its registration.
create function pg_temp.broken() returns text language sql as $$
  select concat_ws(' ', (pg_temp.run() #>> '{data,status}'), (pg_temp.last()).status, pg_temp.copies()) $$;
create view public.random as select random() as value;
insert into public.backup_tables values ('random');
select is(pg_temp.broken(), 'failed failed 12', 'C-20: a copy that is not like its source is no success, and goes');
select matches(pg_temp.fault(), 'failed PM029 the copy of public\.random has 1 rows and the checksum .*, and its '
  'source 1 and ', 'C-20: ... and the receipt says which');
select matches((pg_temp.last()).error_message, 'select error_detail from maintenance.run_history where run_id = \d+;$',
  '... and the registry, where that is');
select results_eq('select file_location, size_bytes, tables from pg_temp.last()',
  $$values (null::text, null::bigint, '{}'::jsonb)$$, '... and that there is nothing');
drop view public.random;
select is(pg_temp.broken(), 'failed failed 12', 'S2-11: where a table is gone it fails as a whole');
select matches(pg_temp.fault(), 'PM029 there is no public\.random, which backup_tables names',
  '... and names the table');
delete from public.backup_tables where name = 'random';
create function public.is_good(text) returns boolean language sql immutable return true;
alter table public.topics add constraint topics_are_good check (public.is_good(name));
insert into public.topics (name) values ('bad');
create or replace function public.is_good(text) returns boolean language sql immutable return false;
select is(pg_temp.broken(), 'failed failed 12', 'S2-11: what cannot be restored is no backup');
select matches(pg_temp.fault(), '23514, constraint topics_are_good of table', '... and the receipt says why');
alter table public.topics drop constraint topics_are_good;
alter table public.topics add constraint topics_are_good check (public.is_good(name)) not valid;
select is(pg_temp.run() ->> 'success', 'true', 'what a constraint that is not valid tolerates is restored');
alter table public.topics drop constraint topics_are_good;
create function public.folded(text) returns text language sql immutable return $1;
create unique index topics_are_one on public.topics (public.folded(name)) where public.folded(name) <> 'none';
insert into public.topics (name) values ('other');
create or replace function public.folded(text) returns text language sql immutable return 'same';
select is(pg_temp.broken(), 'failed failed 24', 'S2-11: ... nor are rows that break a unique key');
select matches(pg_temp.fault(), '23505', '... and the receipt says so');
drop index public.topics_are_one;
alter table public.topics enable row level security;
alter table public.topics force row level security;
select is(pg_temp.broken(), 'failed failed 24', 'nor is a part of the rows, where row security hides others');
alter table public.topics disable row level security;
create temporary table listed as select * from public.backup_tables;
delete from public.backup_tables;
select matches(pg_temp.run() ->> 'message', 'backup_tables is empty', 'a backup of nothing is none');
insert into public.backup_tables values ('subjects');
select is(pg_temp.run() #> '{data,details,pruned}', '0', '... but one of empty tables is, and goes on');
delete from public.backups where backup_id = (pg_temp.last()).backup_id
returning tables #>> '{subjects,copy}' as copy \gset
drop table maintenance_backup.:copy;
insert into public.backup_tables select * from listed on conflict do nothing;
select is((maintenance.run_now('automated_backup') ->> 'success'), 'true', 'and the next one succeeds again');
select is(public.automated_backup_step(100), 0::bigint, 'outside of a run the step does nothing');

-- What goes.
select is(pg_temp.copies(), 36::bigint, 'three backups are there');
update public.backups set started_at = maintenance_internal.clock() - case backup_id when :id then interval '31 days'
  else interval '30 days' - interval '1 second' end where backup_id < (pg_temp.last()).backup_id;
insert into public.backups (started_at) values (maintenance_internal.clock() - interval '30 days');
insert into public.backups (started_at, backup_type) values ('2026-01-01', 'dump');
select is(pg_temp.run() #>> '{data,details,pruned}', '2', 'S2-11: what is 31 days old goes, and 30 days');
select is(pg_temp.copies(), 36::bigint, 'S2-11: ... with its copies');
select is_empty($$select from public.backups where backup_id = $$ || :id, 'S2-11: ... out of the registry');
select is((select count(*) from public.backups where status = 'failed' and backup_type = 'snapshot'), 6::bigint,
  'S2-11: ... and 29 days stay');
select is((select count(*) from public.backups where backup_type <> 'snapshot'), 1::bigint, '... as does what is none');
update public.backups set status = 'verified', started_at = maintenance_internal.clock() + interval '31 days'
where backup_type = 'dump';
update public.backups set started_at = maintenance_internal.clock() - interval '30 days' where status = 'failed';
select maintenance.configure('backup_days', null) \g /dev/null
select is(pg_temp.run() #>> '{data,details,pruned}', '0', 'backup_days is a setting: null is for ever');
select maintenance.configure('backup_days', 1e9) \g /dev/null
select is(pg_temp.run() #>> '{data,details,pruned}', '0', '... and as good as that');
select maintenance.configure('backup_days', 30) \g /dev/null
select (pg_temp.last()).tables #>> '{messages,copy}' as messages, (pg_temp.last()).backup_id as id \gset
create view public.built as select * from maintenance_backup.:messages;
select pg_temp.go_on('31 days') \g /dev/null
insert into public.backups (started_at) values (maintenance_internal.clock()) returning backup_id as failed \gset
select is((select count(*) || ' ' || bool_and(is_gone) from maintenance_internal.prune_backups(3, '{}')), '3 true',
  'S2-42: what is old goes, some at a time');
select is((select count(*) from maintenance_internal.prune_backups(100, '{}')), 7::bigint, 'S2-42: nothing is kept');
delete from public.backups where backup_type = 'dump' or backup_id = :failed;
select results_eq('select backup_id, status from public.backups', format('values (%s::bigint, ''verified'')', :id),
  'S2-11: ... but the last that is verified, however old');
select is((pg_temp.run() #> '{data,details}') - '{backupId,tables,rows,bytes}'::text[],
  format('{"verified": true, "pruned": 0, "kept": [%s], "keptFor": "cannot drop table maintenance_backup.%s because '
    'other objects depend on it (SQLSTATE 2BP01)"}', :id, :'messages')::jsonb,
  'what somebody has built on stays, and the receipt says so, and why');
drop view public.built;
select pg_temp.go_on('1 hour') \g /dev/null
select is((pg_temp.run() #> '{data,details}') - '{backupId,tables,rows,bytes}'::text[],
  '{"verified": true, "pruned": 1}', '... until that is gone');

-- Many at once: some in a transaction, as each table takes a lock; and one that cannot go holds up no other.
insert into public.backups (started_at, status) select maintenance_internal.clock() - interval '40 days', 'verified'
from generate_series(1, 12) as g;
create table maintenance_backup.odd (i integer);
create view public.built as select * from maintenance_backup.odd;
update public.backups set tables = '{"odd": {"copy": "odd"}}' where backup_id = (select max(backup_id) - 10
  from public.backups);
select is((r #>> '{data,details,pruned}') || ' ' || jsonb_array_length(r #> '{data,details,kept}') || ' '
  || ((r #>> '{data,batches}')::integer > 4), '11 1 true', 'S2-42: all of many that are old go, but for what cannot')
from pg_temp.run() as r;
drop view public.built;
drop table maintenance_backup.odd;
delete from public.backups where tables ? 'odd';
-- A structure that was restored without its registry.
select format('create table maintenance_backup.b%s_users (i integer)', max(backup_id) + 1) from public.backups \gexec
select is(pg_temp.run() ->> 'success', 'true', 'a copy that no registry knows is in nobody''s way');

-- How it comes back.
select throws_ok(format('select * from public.restore_backup(%s, %L)', (pg_temp.last()).backup_id, n), 'PM002', null,
  'S2-11: nothing is restored into ' || coalesce(n, 'null'))
from unnest('{maintenance,maintenance_internal,maintenance_backup,pg_temp,null}'::text[]) as n;
select (b).backup_id as id, (b).tables #>> '{messages,copy}' as messages, (b).tables #>> '{users,copy}' as users
from pg_temp.last() as b \gset
drop table public.api_usage_logs, public.activity_logs cascade;
delete from maintenance_backup.:messages where content = 'Ada says 1';
select set_eq(format('select * from public.restore_backup(%s, ''then'')', :id), $$values ('users', 2::bigint, true),
  ('messages', 4, false), ('topics', 2, true), ('Odd "one"', 9, true), ('subjects', 0, true),
  ('user_profiles', 0, true), ('chat_conversations', 0, true), ('study_chat_memory', 0, true),
  ('memory_summaries', 0, true),
  ('student_ai_profile', 0, true), ('activity_logs', 0, true), ('api_usage_logs', 0, true)$$,
  'a restore tells what came back, and what somebody has changed in the copies');
select set_eq('select * from "then"."Odd ""one"""', 'select * from public."Odd ""one"""', '... with the same rows');
select set_eq($$select conrelid::regclass::text, contype::text, pg_get_constraintdef(oid) from pg_constraint
    where connamespace = 'then'::regnamespace and contype in ('p', 'u')$$,
  $$select regexp_replace(conrelid::regclass::text, '^', '"then".'), contype::text, pg_get_constraintdef(oid)
    from pg_constraint where connamespace = 'public'::regnamespace and contype in ('p', 'u')
      and conrelid in (select to_regclass(format('public.%I', name)) from public.backup_tables)
    union all select '"then".' || t, c, d from (values ('activity_logs', 'p', 'PRIMARY KEY (id)'),
      ('api_usage_logs', 'p', 'PRIMARY KEY (id)'), ('api_usage_logs', 'u', 'UNIQUE (call_id)')) as v (t, c, d)$$,
  '... with their keys, also of tables that are gone');
select throws_ok(format('select public.restore_backup(%s, ''then'')', :id), 'PM002', null,
  'nothing is overwritten in a schema');
select throws_matching(format('select public.restore_backup(%s, ''public'')', :id), 'public.users',
  '... least of all what is live');
select throws_ok($$select public.restore_backup(0, 'new')$$, 'PM002', 'there is no verified backup 0',
  'of what is no backup nothing comes back');
insert into public.backups (started_at) values ('2026-01-01') returning backup_id as failed \gset
select throws_ok(format('select public.restore_backup(%s, ''new'')', :failed), 'PM002', null,
  '... nor of one that has failed');
insert into public.backups (backup_type, status, started_at, file_location)
values ('dump', 'verified', '2026-01-01', 'db1:/var/backups/app-20260101T000000Z.dump')
returning backup_id as dump \gset
select throws_ok(format('select public.restore_backup(%s, ''new'')', :dump), 'PM002', 'backup ' || :dump
  || ' is a dump, and is restored from its file: db1:/var/backups/app-20260101T000000Z.dump',
  'S2-11: a dump does not come back from inside');
select is(pg_temp.hint(format('select public.restore_backup(%s, ''new'')', :dump)), 'Into a new database, on the host '
  'that it is on: create database restored; then pg_restore -d restored /var/backups/app-20260101T000000Z.dump',
  'S2-11: ... and the hint says how it does');
select hasnt_schema('new', '... and no schema is made');

-- S2-27.
select maintenance.disable_job('automated_backup') \g /dev/null
select is(pg_temp.run() #>> '{data,status}', 'skipped', 'a job that is disabled makes none');
select maintenance.enable_job('automated_backup') \g /dev/null
delete from public.backups;
delete from maintenance_internal.run;
delete from public.backup_tables where name in ('api_usage_logs', 'activity_logs');
select pg_temp.run(), pg_temp.go_on('1 hour'), pg_temp.run(), pg_temp.go_on('1 hour') \g /dev/null
insert into public.backup_tables values ('gone');
select pg_temp.run() \g /dev/null
select results_eq($$select job_name, status, last_run_at, last_success_at, last_ms, run_count, success_count,
    failure_count, backups, verified, last_backup_at, oldest_backup_at from public.backup_statistics$$,
  $$select 'automated_backup', 'failed', n, n - interval '1 hour', 0.0, 3::bigint, 2::bigint, 1::bigint, 3::bigint,
    2::bigint, n - interval '1 hour', n - interval '2 hours' from maintenance_internal.clock() as n$$,
  'S2-27: the statistics of the backups are one row');
select results_eq('select total_bytes, average_bytes from public.backup_statistics',
  'select sum(size_bytes), round(sum(size_bytes) / 2) from public.backups', '... with their sizes');
select to_jsonb(b) as before from public.backup_statistics as b \gset
select is(:'before'::jsonb ->> 'last_dump_at', null, 'S2-27: ... where there is no dump, it says none');
insert into public.backups (backup_type, status, started_at, size_bytes)
values ('dump', 'verified', '2026-07-01', 1e6), ('dump', 'verified', '2026-07-02', 1e6),
  ('dump', 'failed', '2026-07-03', 1);
select is((select to_jsonb(b) from public.backup_statistics as b), :'before'::jsonb
  || jsonb_build_object('last_dump_at', '2026-07-02'::timestamptz),
  'S2-27: ... and dumps change nothing but when the last was');
delete from public.backups;
delete from maintenance_internal.run;
select results_eq($$select status, run_count, backups, total_bytes from public.backup_statistics$$,
  $$values (null::text, 0::bigint, 0::bigint, 0::numeric)$$, 'S2-27: ... also before the first');

-- Whose they are.
alter default privileges grant usage on schemas to maintenance_viewer;
grant usage on schema maintenance_backup to maintenance_viewer;
select maintenance.grant_roles() \g /dev/null
select is_empty($$select n.nspname, c.relname, a.*, x.* from pg_namespace as n
    left join pg_class as c on c.relnamespace = n.oid and c.relkind = 'r'
    left join aclexplode(n.nspacl) as a on a.grantee <> n.nspowner
    left join aclexplode(c.relacl) as x on x.grantee <> c.relowner
    where n.nspname = 'maintenance_backup' and (a.grantee is not null or x.grantee is not null)$$,
  'nobody but the owner has a right on the copies, whatever new tables are granted to');
select results_eq($$select r, has_table_privilege(r, 'public.backup_statistics', 'select'),
    has_table_privilege(r, 'public.backup_tables', 'select')
      or has_function_privilege(r, 'public.restore_backup(bigint, text)', 'execute')
      or has_function_privilege(r, 'public.backup_sums(regclass)', 'execute')
    from unnest(array['maintenance_viewer', 'maintenance_operator', 'maintenance_worker', 'public']) as r$$,
  $$values ('maintenance_viewer', true, false), ('maintenance_operator', true, false),
    ('maintenance_worker', false, false), ('public', false, false)$$,
  'S2-27: the statistics are for viewers and operators, and what a backup holds for the owner');
select * from finish();
rollback;
