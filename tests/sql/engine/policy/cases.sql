-- Faults that people met in retention rules: an OR that eats its neighbours, a date that is no
-- moment, months across a change of clocks, times without an end, row security, foreign tables.
begin;
create extension pgtap;
select plan(27);

-- C-001
create table public.p1 (id int, at timestamptz, kind text, made timestamptz);
insert into public.p1 values (1, now() - interval '9 days', 'tmp'), (2, now(), 'tmp'), (3, now(), 'stash'), (4, now() - interval '9 days', 'stash'), (5, now() - interval '9 days', 'keep');
select maintenance.set_policy('p1', target => 'public.p1', action => 'delete', age => 'at', keep => '7 days', matching => $$kind = 'tmp' or kind = 'stash'$$);
select is((select due from maintenance.preview('p1')), 2::bigint, 'C-001: an OR stands in brackets: two are due');
select is((select count from public.maintenance_status where task = 'p1'), 2::bigint, 'C-001: the status says the same');
select matches(maintenance.explain_policy('p1'), $$and \(\(\(kind = 'tmp'::text\) OR \(kind = 'stash'::text\)\)\)$$, 'C-001: and the SQL shows it');
select is(maintenance.run_now('p1') #>> '{data,rowsAffected}', '2', 'C-001: two go');
select is((select string_agg(id::text, ' ' order by id) from public.p1), '2 3 5', 'C-001: and the others stay');
update public.p1 set made = now();
insert into public.p1 values (1, now() - interval '9 days', 'tmp', null), (4, null, 'stash', now() - interval '9 days');
select maintenance.set_policy('p1', target => 'public.p1', action => 'update', age => 'coalesce(at, made)', keep => '7 days', matching => $$kind = 'tmp' or kind = 'stash'$$, assign => $$kind = 'old'$$);
select is(maintenance.run_now('p1') #>> '{data,rowsAffected}', '2', 'C-001: an update over an expression alike');
select is((select string_agg(id || kind, ' ' order by id) from public.p1), '1old 2tmp 3stash 4old 5keep', 'C-001: and the others stay');

-- C-048
create table public.d (day date primary key);
create table public.dp (day date) partition by range (day);
create table public.dp_old partition of public.dp for values from (minvalue) to ('2026-01-01');
create table public.dp_new partition of public.dp for values from ('2026-01-01') to (maxvalue);
create function pg_temp.fill() returns void language sql as $$
  truncate public.d, public.dp;
  insert into public.d select (now() at time zone 'UTC')::date - g from generate_series(0, 20) g;
  insert into public.dp select day from public.d union all select '2025-12-31'::date; $$;
select maintenance.set_policy('d', target => 'public.d', action => 'delete', age => 'day', keep => '7 days');
select maintenance.set_policy('dp', target => 'public.dp', action => 'delete', age => 'day', keep => '7 days');
create function pg_temp.in_zone(zone text) returns text language plpgsql as $$
declare v text;
begin
  perform set_config('timezone', zone, true);
  perform pg_temp.fill();
  select string_agg(p.due || ' ' || s.count, ', ' order by j) into v from unnest(array['d', 'dp']) as j cross join lateral maintenance.preview(j) as p
  join public.maintenance_status as s on s.task = j;
  v := v || ': ' || (maintenance.run_now('d') #>> '{data,rowsAffected}') || ' ' || (maintenance.run_now('dp') #>> '{data,rowsAffected}');
  return v || ', left ' || (select count(*) from public.d where day > ((now() at time zone 'UTC') - interval '7 days')::date) || ' of ' || (select count(*) from public.d);
end $$;
select is(pg_temp.in_zone(z), '14 14, 15 15: 14 15, left 7 of 7', 'C-048: a date counts as its midnight in UTC, in ' || z)
from unnest(array['UTC', 'Pacific/Kiritimati', 'Pacific/Niue', 'Asia/Kathmandu']) as z;
select matches(maintenance.explain_policy('d'), $$\(day\) <= \(\$1 at time zone 'UTC'\)::date$$, 'C-048: the cut-off is converted, never the column');
select is_empty($$select * from maintenance.lint('d')$$, 'C-048: so that its index serves');

-- A month is a month of UTC, whatever the clocks of the session do.
create table public.m (at timestamptz primary key);
set local timezone = 'America/New_York';
insert into public.m values ('2026-03-01 12:00:00+00'), ('2026-03-01 12:00:01+00');
select maintenance.set_policy('m', 'public.m', 'delete', 'at', '1 month');
set local maintenance.fake_now = '2026-04-01 12:00:00+00';
select is((select due from maintenance.preview('m')), 1::bigint, 'month arithmetic is that of UTC');
set local maintenance.fake_now = '';
set local timezone = 'UTC';

-- Times without an end.
create table public.ends (at timestamptz, day date, id int);
insert into public.ends values ('infinity', 'infinity', 1), ('-infinity', '-infinity', 2), (null, null, 3), (now(), current_date, 4);
select maintenance.set_policy('ends', 'public.ends', 'delete', 'at', '7 days');
select maintenance.set_policy('ends_by_day', 'public.ends', 'delete', 'day', '7 days');
select results_eq($$select due, oldest from maintenance.preview('ends_by_day')$$, $$values (1::bigint, '-infinity'::timestamptz)$$, 'what never was is due, what never ends is not');
select results_eq($$select count, oldest from public.maintenance_status where task = 'ends'$$, $$values (1::bigint, '-infinity'::timestamptz)$$, 'the status can say so');
select is(maintenance.run_now('ends') #>> '{data,rowsAffected}', '1', 'and it goes');
select is((select string_agg(id::text, ' ' order by id) from public.ends), '1 3 4', 'alone');

-- Row security that hides rows is an error, never an empty table.
create table public.secret (at timestamptz, who text);
insert into public.secret select now() - interval '1 year', 'x' from generate_series(1, 5);
select maintenance.set_policy('secret', 'public.secret', 'delete', 'at', '1 day');
alter table public.secret enable row level security, force row level security;
select is(maintenance.run_now('secret') #>> '{data,sqlstate}', '42501', 'rows that row security hides fail the run');
select is((select severity from public.maintenance_status where task = 'secret'), 'critical', 'and the status');
alter table public.secret no force row level security;
select is(maintenance.run_now('secret') #>> '{data,rowsAffected}', '5', 'the owner sees through it where it is not forced');

-- A table under another name is not found, and its job alone fails.
alter table public.secret rename to revealed;
select results_eq($$select task, severity from public.maintenance_status where task in ('secret', 'p1') order by 1$$, $$values ('p1', 'ok'), ('secret', 'critical')$$, 'a table that was renamed makes its own row critical');
create table public.secret (at timestamptz primary key);
insert into public.secret values ('2020-01-01');
select is(maintenance.run_now('secret') #>> '{data,rowsAffected}', '1', 'another one of the name is worked again');

-- What somebody may not read, a rule of theirs does not read either.
select throws_ok($$select maintenance.set_policy('spy', 'public.p1', 'delete', 'at', '1 day', matching => 'exists (select from pg_authid)')$$, 'PM004',
  'matching "exists (select from pg_authid)" is not acceptable: permission denied for table pg_authid', 'a rule cannot read a table that its owner may not read');
create role some_operator in role maintenance_operator;
create role some_stranger;
create table public.salaries (amount int);
insert into public.salaries values (7);
grant some_operator, some_stranger to current_user;
grant usage on schema public to some_operator, some_stranger;
set local role some_operator;
select throws_ok($$select maintenance.set_policy('spy', 'public.p1', 'delete', 'at', '1 day', matching => '(select amount from public.salaries) > 5')$$, '42501', 'permission denied for function set_policy', 'an operator reads no foreign table through a rule');
select throws_ok($$select maintenance.parse_expression('public.p1', 'matching', '(select amount from public.salaries) > 5')$$, '42501', null, 'nor through the parser');
select throws_ok($$select maintenance.count_due(row(0, 'public.p1', 'delete', 'at', 'timestamptz', '1 day', '(select amount from public.salaries) > 5', null, null)::maintenance.policy, now(), 10)$$, '42501', null, 'nor through a count');
reset role;
select * from finish();
rollback;
