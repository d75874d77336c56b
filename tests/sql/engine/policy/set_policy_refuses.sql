-- What cannot be right is refused when it is set, with an SQLSTATE of ours and the value in it.
begin;
create extension pgtap;
select plan(46);

create schema shop;
create table shop.audit (
  id bigint primary key, created_at timestamptz, day date, status text, done boolean, note text);
create table shop.parts (id bigint, created_at timestamptz, kind text) partition by list (kind);
create view shop.audit_view as select * from shop.audit;
create function shop.rolls(bigint, bigint) returns boolean language sql volatile return random() > 0.5;
create function shop.roll() returns boolean language sql volatile return random() > 0.5;
insert into shop.audit select i, now() - '1 year'::interval, current_date, 'new' from generate_series(1, 5) i;

create function pg_temp.set_policy(
  target text default 'shop.audit', action text default 'delete', age text default 'created_at',
  keep interval default '1 day', matching text default null, assign text default null,
  schedule text default null, job_name text default 'a_job')
returns void language sql
as $$ select maintenance.set_policy($8, $1, $2, $3, $4, $5, $6, schedule => $7) $$;

select throws_ok($$select pg_temp.set_policy(target => 'shop.nothing')$$, '42P01',
  'relation "shop.nothing" does not exist', 'an unknown table is refused');
select throws_ok($$select pg_temp.set_policy(target => 'audit')$$, '42P01', null,
  'a table that the caller cannot name is refused');
select throws_ok($$select pg_temp.set_policy(target => null)$$, 'PM003', null, 'a policy without a table is refused');
select throws_ok($$select pg_temp.set_policy(target => 'shop.audit_view')$$, 'PM003',
  '"shop.audit_view" is a view, and a policy works on tables', 'a view is refused');
select throws_ok($$select pg_temp.set_policy(target => 'pg_catalog.pg_class', age => 'now()')$$,
  'PM003', null, 'the catalogue is refused');
select throws_ok($$select pg_temp.set_policy(action => 'archive')$$, 'PM002',
  'the action "archive" is not known', 'an unknown action is refused');
select throws_ok($$select pg_temp.set_policy(keep => '-1 day')$$, 'PM002',
  'keep "-1 days" is not acceptable', 'a negative keep is refused');
select throws_ok($$select pg_temp.set_policy(keep => null)$$, 'PM002', null, 'a policy without a keep is refused');
select throws_ok($$select pg_temp.set_policy(age => 'creatd_at')$$, 'PM004',
  'age "creatd_at" is not acceptable: column "creatd_at" does not exist',
  'an unknown column is refused, and named');
select throws_ok($$select pg_temp.set_policy(age => 'status')$$, 'PM004',
  'age "status" is no time: its type is text', 'an age that is no time is refused');
select throws_ok($$select pg_temp.set_policy(age => 'done')$$, 'PM004',
  'age "done" is no time: its type is boolean', 'a boolean age is refused');
select throws_ok($$select pg_temp.set_policy(age => 'created_at) is not null or (true')$$, 'PM004',
  null, 'a bracket smuggled into the age is refused');
select throws_ok(
  $$select pg_temp.set_policy(matching => 'true) union all select id from shop.audit where (true')$$,
  'PM004', null, 'a union smuggled into matching is refused');
select throws_ok($$select pg_temp.set_policy(matching => 'true); drop table shop.audit; --')$$,
  'PM004', null, 'a second statement in matching is refused');
select throws_ok($$select pg_temp.set_policy(age => 'created_at); delete from shop.audit; --')$$,
  'PM004', null, 'a second statement in age is refused');
select throws_ok($$select pg_temp.set_policy(matching => 'true /*')$$, 'PM004', null,
  'an open comment is refused');
select throws_ok($$select pg_temp.set_policy(matching => 'note')$$, 'PM004',
  'matching "note" is no condition: its type is text', 'a matching that is no condition is refused');
select throws_ok($$select pg_temp.set_policy(matching => 'random() > 0.5')$$, 'PM004',
  'matching "random() > 0.5" calls random(), which is volatile', 'a volatile function is refused');
select throws_ok($$select pg_temp.set_policy(matching => 'shop.roll()')$$, 'PM004',
  null, 'a volatile function of the host is refused');
select throws_ok($$select pg_temp.set_policy(matching => 'id in (select a.id from audit a)')$$,
  'PM004', null, 'a subquery over an unqualified name is refused');
select throws_ok($$select pg_temp.set_policy(action => 'update')$$, 'PM002',
  'the action "update" needs assign', 'an update without assign is refused');
select throws_ok($$select pg_temp.set_policy(assign => 'note = null')$$, 'PM002',
  'the action "delete" takes no assign', 'a delete with assign is refused');
select throws_ok($$select pg_temp.set_policy(action => 'update', assign => 'nothing = 1')$$, 'PM004',
  null, 'an assign to an unknown column is refused');
select throws_ok(
  $$select pg_temp.set_policy(action => 'update', assign => 'note = ''x'' where true')$$,
  'PM004', null, 'a where in assign is refused');
select throws_ok(
  $$select pg_temp.set_policy(action => 'update', assign => 'note = a.note from shop.audit a')$$,
  'PM004', null, 'a from in assign is refused');
select throws_ok(
  $$select pg_temp.set_policy(action => 'update', assign => 'note = 1; drop table shop.audit; --')$$,
  'PM004', null, 'a second statement in assign is refused');
select throws_ok(
  $$select pg_temp.set_policy(action => 'update',
    assign => 'note = ''x'' from (select 1 as one) as maintenance_guard where false; drop table shop.audit; --')$$,
  'PM004', null, 'a second statement in assign, behind a forged guard clause, is refused');
select throws_ok(
  $$select pg_temp.set_policy(action => 'update',
    assign => 'note = ''x'' from (select 1 as one) as maintenance_guard where false; update shop.audit set note '
      '= ''y''')$$,
  'PM004', null, 'a second statement in assign that takes the guard clause for itself is refused');
create temporary table passing (created_at timestamptz);
select throws_ok($$select pg_temp.set_policy(target => 'passing')$$, 'PM003', '"passing" is a temporary table',
  'a temporary table is refused');
create temporary table audit (created_at timestamptz);
select throws_ok($$select pg_temp.set_policy()$$, 'PM003', 'this session has a temporary table audit',
  'a temporary table of the target''s name is in the way');
drop table pg_temp.audit;
select throws_ok(
  $$select pg_temp.set_policy(action => 'update', matching => 'status = ''new''',
    assign => 'note = ''seen''')$$,
  'PM005', 'after assign "note = ''seen''::text" the rows would be due again, for ever',
  'an update that would match its own result is refused');
select throws_ok($$select pg_temp.set_policy(target => 'shop.parts', action => 'update',
  assign => 'kind = ''old''')$$, 'PM004',
  'assign "kind = ''old''" changes kind, which shop.parts is partitioned by',
  'an assign of a partition key is refused');
select throws_ok($$select pg_temp.set_policy(schedule => '61 * * * *')$$, 'PM006',
  'the schedule "61 * * * *" is not a cron expression: its minute "61" cannot be read', 'a bad schedule is refused');
select throws_ok($$select pg_temp.set_policy(job_name => 'a job')$$, 'PM002',
  'the job name "a job" is not acceptable', 'a job name with a blank is refused');

select throws_ok(format($$select pg_temp.set_policy(job_name => %L)$$, repeat('x', 52)), 'PM002', null,
  'a job name too long for pg_cron, where a name has 63 bytes, is refused');
select throws_ok($$select pg_temp.set_policy(age => 'created_at, day')$$, 'PM004', null, 'two ages are refused');
select throws_ok($$select pg_temp.set_policy(age => '')$$, 'PM004', null, 'an empty age is refused');
select throws_ok($$select pg_temp.set_policy(matching => ' ')$$, 'PM004', null, 'an empty matching is refused');
select throws_ok($$select pg_temp.set_policy(matching => 'count(*) > 1')$$, 'PM004', null, 'an aggregate is refused');
select throws_ok($$select pg_temp.set_policy(matching => 'row_number() over () > 1')$$, 'PM004', null,
  'a window function is refused');
select throws_ok($$select pg_temp.set_policy(matching => 'generate_series(1, 2) > 1')$$, 'PM004', null,
  'a set-returning function is refused');
select throws_ok($$select pg_temp.set_policy(matching => '$x$ true')$$, 'PM004', null, 'an open quote is refused');
select throws_ok($$select pg_temp.set_policy(matching => 'id > $1')$$, 'PM004', null, 'a parameter is refused');
select throws_ok($$select pg_temp.set_policy(age => 'clock_timestamp()')$$, 'PM004', null,
  'a clock that moves within a run is refused');
create operator shop.~~> (leftarg = bigint, rightarg = bigint, procedure = shop.rolls);
select throws_ok($$select pg_temp.set_policy(matching => 'id operator(shop.~~>) id')$$, 'PM004', null,
  'an operator over a volatile function is refused');

select is((select count(*) from maintenance_internal.job where job_name = 'a_job')
    + (select count(*) from pg_class where relnamespace = pg_my_temp_schema()
      and relname in ('audit', 'parts')), 0::bigint,
  'a refused policy leaves no job and no temporary table behind');
select * from finish();
rollback;
