-- Tables that are not ours work, whatever they look like: any schema, mixed-case names, partitions,
-- no primary key, timestamp and date columns, inheritance, generated columns.
begin;
create extension pgtap;
select plan(19);
set local timezone = 'America/New_York';

create schema "My Shop";
create table "My Shop"."Order Log" ("Created At" timestamptz, "Select" text);
insert into "My Shop"."Order Log" values
  (now() - interval '11 days', 'old'), (now() - interval '9 days', 'new'), (null, 'no age');
select maintenance.set_policy('quoted', '"My Shop"."Order Log"', 'delete', '"Created At"', '10 days',
  matching => '"Select" <> ''kept''');
select is(maintenance.run_now('quoted') #>> '{data,rowsAffected}', '1',
  'a table with blanks in its names, and without a primary key, is worked');
select results_eq('select "Select" from "My Shop"."Order Log" order by 1', array['new', 'no age'],
  'the old row is gone; a row without an age is never due');

set local search_path = "My Shop", public;
select maintenance.set_policy('named', '"Order Log"', 'delete', '"Created At"', '10 days');
select is((select p.target from maintenance.policy as p join maintenance.job as j using (job_id)
  where j.job_name = 'named'), '"My Shop"."Order Log"',
  'a name is found as the caller finds it, and kept with its schema');
reset search_path;

create table public.parts (id bigint generated always as identity, at timestamptz, region text)
partition by list (region);
create table public.parts_eu partition of public.parts for values in ('eu');
create table public.parts_us (region text, at timestamptz, id bigint not null);
alter table public.parts attach partition public.parts_us for values in ('us');
insert into public.parts (at, region)
select now() - i * interval '1 day', r from generate_series(1, 20) as i, (values ('eu'), ('us')) v (r);
select maintenance.set_policy('partitioned', 'public.parts', 'delete', 'at', '10 days',
  matching => 'exists (select from public.parts p where p.id = parts.id)');
select is(maintenance.run_now('partitioned') #>> '{data,rowsAffected}', '22',
  'a partitioned table is worked leaf by leaf');
select is((select count(*) from public.parts where at <= now() - interval '10 days'), 0::bigint,
  'no due row is left in any partition');
select is((select count(*) from public.parts), 18::bigint, 'and no other row is gone');

create table public.parent (id int, at timestamptz);
create table public.child () inherits (public.parent);
insert into public.parent select i, now() - i * interval '1 day' from generate_series(1, 20) as i;
insert into public.child select i, now() - i * interval '1 day' from generate_series(1, 20) as i;
select maintenance.set_policy('inherited', 'public.parent', 'delete', 'at', '10 days');
select is(maintenance.run_now('inherited') #>> '{data,rowsAffected}', '22',
  'so is a table with children');

create table public.stamps (id int, at timestamp, day date);
insert into public.stamps values
  (1, (now() at time zone 'UTC') - interval '2 hours', (now() at time zone 'UTC')::date),
  (2, (now() at time zone 'UTC') - interval '30 minutes', (now() at time zone 'UTC')::date - 3);
select maintenance.set_policy('stamped', 'public.stamps', 'delete', 'at', '1 hour');
select is((select age_type from maintenance.policy join maintenance.job using (job_id)
  where job_name = 'stamped'), 'timestamp', 'the type of the age is known');
select is((select due from maintenance.preview('stamped')), 1::bigint,
  'a timestamp is read as UTC, whatever the session''s time zone');
select ok(maintenance.explain_policy('stamped') like '%(at) <= ($1 at time zone ''UTC'')%',
  'the cut-off is converted to the column''s type, not the column');
select maintenance.set_policy('dated', 'public.stamps', 'delete', 'day', '2 days');
select is((select due from maintenance.preview('dated')), 1::bigint, 'a date works as an age');

create table public.made (id int primary key, at timestamptz, twice int generated always as (id * 2) stored,
  status text default 'new');
insert into public.made (id, at) select i, now() - interval '1 year' from generate_series(1, 3) as i;
select maintenance.set_policy('made', 'public.made', 'update', 'at', '1 day',
  matching => 'status = ''new'' and twice > 2', assign => 'status = ''seen''');
select is(maintenance.run_now('made') #>> '{data,rowsAffected}', '2',
  'a table with a generated column is worked');

select maintenance.set_policy('fixed', 'public.stamps', 'delete', 'at', '1 hour',
  matching => 'at < ''2020-01-01 12:00:00''::timestamptz at time zone ''UTC''');
select is((select matching from maintenance.policy join maintenance.job using (job_id)
    where job_name = 'fixed'),
  '(at < (''2020-01-01 12:00:00+00''::timestamp with time zone AT TIME ZONE ''UTC''::text))',
  'a rule is stored as Postgres prints it, in UTC');

select maintenance.set_policy('fixed', 'public.stamps', 'delete', 'at', '1 hour', matching => 'id > 1 -- not the first');
select is((select matching from maintenance.policy join maintenance.job using (job_id) where job_name = 'fixed'), '(id > 1)', 'a comment ends where the text ends');

select maintenance.set_policy('made', 'public.made', 'delete', 'at', '2 years');
select is((select action || keep || coalesce(matching, '-') || coalesce(assign, '-')
    from maintenance.policy join maintenance.job using (job_id) where job_name = 'made'),
  'delete2 years--', 'setting a policy again replaces all of it');
select is((select count(*) from maintenance.job where job_name = 'made'), 1::bigint,
  'and it stays one job');

alter table public.stamps rename column at to stamped_at;
select is(maintenance.run_now('stamped') #>> '{data,sqlstate}', '42703',
  'a column that was renamed away fails the run, with Postgres'' own word for it');
drop table public.stamps;
select is(maintenance.run_now('stamped') #>> '{data,sqlstate}', 'PM003',
  'and a table that was dropped with ours');
select is(maintenance.run_now('dated') ->> 'message',
  'dated failed: there is no table "public.stamps"', 'in words');
select * from finish();
rollback;
