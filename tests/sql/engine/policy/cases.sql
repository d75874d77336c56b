-- Faults that people met in retention rules: an OR that eats its neighbours, a date that is no
-- moment, months across a change of clocks, times without an end, row security, foreign tables.
begin;
create extension pgtap;
select plan(43);

-- C-001
create table public.p1 (id int, at timestamptz, kind text, made timestamptz);
insert into public.p1 values (1, now() - interval '9 days', 'tmp'), (2, now(), 'tmp'), (3, now(), 'stash'),
  (4, now() - interval '9 days', 'stash'), (5, now() - interval '9 days', 'keep');
select maintenance.set_policy('p1', target => 'public.p1', action => 'delete', age => 'at', keep => '7 days',
  matching => $$kind = 'tmp' or kind = 'stash'$$);
select is((select due from maintenance.preview('p1')), 2::bigint,
  'C-001: an OR in matching is put in brackets, so that two rows are due');
select is((select count from public.maintenance_status where task = 'p1'), 2::bigint,
  'C-001: the status counts the two due rows of a rule with OR');
select matches(maintenance.explain_policy('p1'), $$and \(\(\(kind = 'tmp'::text\) OR \(kind = 'stash'::text\)\)\)$$,
  'C-001: explain_policy shows the brackets around an OR');
select is(maintenance.run_now('p1') #>> '{data,rowsAffected}', '2', 'C-001: a delete with OR takes the two due rows');
select is((select string_agg(id::text, ' ' order by id) from public.p1), '2 3 5',
  'C-001: rows that a delete with OR does not match stay');
update public.p1 set made = now();
insert into public.p1 values (1, now() - interval '9 days', 'tmp', null), (4, null, 'stash', now() - interval '9 days');
select maintenance.set_policy('p1', target => 'public.p1', action => 'update', age => 'coalesce(at, made)',
  keep => '7 days', matching => $$kind = 'tmp' or kind = 'stash'$$, assign => $$kind = 'old'$$);
select is(maintenance.run_now('p1') #>> '{data,rowsAffected}', '2',
  'C-001: an update with OR, by an expression as age, takes the two due rows');
select is((select string_agg(id || kind, ' ' order by id) from public.p1), '1old 2tmp 3stash 4old 5keep',
  'C-001: rows that an update with OR does not match are unchanged');

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
  select string_agg(p.due || ' ' || s.count, ', ' order by j) into v from unnest(array['d', 'dp']) as j cross
    join lateral maintenance.preview(j) as p
  join public.maintenance_status as s on s.task = j;
  v := v || ': ' || (maintenance.run_now('d') #>> '{data,rowsAffected}') || ' '
    || (maintenance.run_now('dp') #>> '{data,rowsAffected}');
  return v || ', left ' || (select count(*) from public.d
    where day > ((now() at time zone 'UTC') - interval '7 days')::date) || ' of ' || (select count(*) from public.d);
end $$;
select is(pg_temp.in_zone(z), '14 14, 15 15: 14 15, left 7 of 7', 'C-048: a date counts as its midnight in UTC, in '
  || z)
from unnest(array['UTC', 'Pacific/Kiritimati', 'Pacific/Niue', 'Asia/Kathmandu']) as z;
select matches(maintenance.explain_policy('d'), $$\(day\) <= \(\$1 at time zone 'UTC'\)::date$$,
  'C-048: the cut-off is converted, never the column');
select is_empty($$select * from maintenance.lint('d')$$, 'C-048: an index on a date column serves the age');

-- C-017
create table public.session (sid text primary key, sess json, expire timestamp(6) not null);
create index on public.session (expire);
select maintenance.set_policy('web_sessions', target => 'public.session', action => 'delete', age => 'expire',
  keep => '0');
create function pg_temp.sessions_in(zone text) returns text language plpgsql as $$
declare v text;
begin
  perform set_config('timezone', zone, true);
  truncate public.session;
  insert into public.session select g::text, '{}', (now() at time zone 'UTC') + (g - 50) * interval '6 minutes'
    from generate_series(1, 100) as g;
  select p.due || ' ' || s.count into v from maintenance.preview('web_sessions') as p, public.maintenance_status as s
    where s.task = 'web_sessions';
  v := v || ' ' || (maintenance.run_now('web_sessions') #>> '{data,rowsAffected}');
  return v || ', left from ' || (select min(sid::int) from public.session);
end $$;
select is(pg_temp.sessions_in(z), '50 50 50, left from 51', 'C-017: a timestamp is read as UTC, in ' || z)
from unnest(array['UTC', 'America/New_York', 'Asia/Kolkata', 'Asia/Tokyo']) as z;
select is_empty($$select * from maintenance.lint('web_sessions')$$,
  'C-017: an index on a timestamp column serves the age');
set local timezone = 'Asia/Tokyo';
truncate public.session;
insert into public.session select g::text, '{}', (now() at time zone 'Europe/Paris') + (g - 50) * interval '6 minutes'
  from generate_series(1, 100) as g;
select maintenance.set_policy('web_sessions', target => 'public.session', action => 'delete', age =>
  $$expire at time zone 'Europe/Paris'$$, keep => '0');
create index on public.session ((expire at time zone 'Europe/Paris'));
select is((select due from maintenance.preview('web_sessions')), 50::bigint,
  'C-017: local time is read as such where the age says so');
select is_empty($$select * from maintenance.lint('web_sessions')$$,
  'C-017: an index on the age in local time serves it');
set local timezone = 'UTC';

-- C-019
create table public.idle (id int primary key, last_access timestamptz, max_idle int);
insert into public.idle select g, now() - g * interval '1 second', 1800 from generate_series(1, 50000) as g;
select maintenance.set_policy('idle', target => 'public.idle', action => 'delete',
  age => 'last_access + make_interval(secs => max_idle)', keep => '0');
select results_eq($$select finding, fix ~ '^--' from maintenance.lint('idle')$$,
  $$values ('no index serves the age (last_access + make_interval(secs => (max_idle)::double precision)) of '
    'public.idle', true)$$, 'C-019: lint warns of the full read, and advises no index that Postgres refuses');
select lives_ok(fix || E'\nselect', 'C-019: the advice of lint can be run as it stands') from maintenance.lint('idle');
select is(maintenance.run_now('idle') #>> '{data,rowsAffected}', '48201', 'C-019: the rows whose own time is over go');
select is((select max(id) from public.idle), 1799, 'C-019: rows whose own time is not over stay');
-- What the advice comes to: the time in a column, kept by a trigger.
alter table public.idle add over_at timestamptz;
update public.idle set over_at = last_access + make_interval(secs => max_idle);
create index on public.idle (over_at);
select maintenance.set_policy('idle', target => 'public.idle', action => 'delete', age => 'over_at', keep => '0');
select is_empty($$select * from maintenance.lint('idle')$$, 'C-019: with the time in a column lint is silent');
select throws_ok($$select maintenance.set_policy('idle', target => 'public.idle', action => 'delete',
  age => 'last_access + random() * make_interval(secs => max_idle)', keep => '0')$$, 'PM004', null,
  'C-019: a volatile age is refused');
select throws_ok($$select maintenance.set_policy('idle', target => 'public.idle', action => 'delete',
  age => 'last_access', keep => '0', matching => 'last_access < clock_timestamp()')$$, 'PM004', null,
  'C-019: a volatile matching is refused');
select is((select age from maintenance_internal.policy join maintenance_internal.job using (job_id)
  where job_name = 'idle'), 'over_at', 'C-019: a refused policy changes nothing');
select is((select count(*) from public.maintenance_status where task = 'idle' and severity = 'ok'), 1::bigint,
  'C-019: with the time in a column nothing is due, and the status is ok');

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
insert into public.ends values ('infinity', 'infinity', 1), ('-infinity', '-infinity', 2), (null, null, 3),
  (now(), current_date, 4);
select maintenance.set_policy('ends', 'public.ends', 'delete', 'at', '7 days');
select maintenance.set_policy('ends_by_day', 'public.ends', 'delete', 'day', '7 days');
select results_eq($$select due, oldest from maintenance.preview('ends_by_day')$$,
  $$values (1::bigint, '-infinity'::timestamptz)$$, 'an age of -infinity is due, an age of infinity is not');
select results_eq($$select count, oldest from public.maintenance_status where task = 'ends'$$,
  $$values (1::bigint, '-infinity'::timestamptz)$$, 'the status shows -infinity as the oldest age');
select is(maintenance.run_now('ends') #>> '{data,rowsAffected}', '1', 'a run deletes the row whose age is -infinity');
select is((select string_agg(id::text, ' ' order by id) from public.ends), '1 3 4',
  'rows whose age is infinity, null or now stay');

-- Row security that hides rows is an error, never an empty table.
create table public.secret (at timestamptz, who text);
insert into public.secret select now() - interval '1 year', 'x' from generate_series(1, 5);
select maintenance.set_policy('secret', 'public.secret', 'delete', 'at', '1 day');
alter table public.secret enable row level security, force row level security;
select is(maintenance.run_now('secret') #>> '{data,sqlstate}', '42501', 'rows that row security hides fail the run');
select is((select severity from public.maintenance_status where task = 'secret'), 'critical',
  'rows that row security hides make the status critical');
alter table public.secret no force row level security;
select is(maintenance.run_now('secret') #>> '{data,rowsAffected}', '5',
  'the owner works on all rows where row security is not forced');

-- A table under another name is not found, and its job alone fails.
alter table public.secret rename to revealed;
select results_eq($$select task, severity from public.maintenance_status where task in ('secret', 'p1') order by 1$$,
  $$values ('p1', 'ok'), ('secret', 'critical')$$,
    'a renamed table makes its own row of the status critical, and no other');
create table public.secret (at timestamptz primary key);
insert into public.secret values ('2020-01-01');
select is(maintenance.run_now('secret') #>> '{data,rowsAffected}', '1', 'a new table of the old name is worked again');

-- What somebody may not read, a rule of theirs does not read either.
select throws_ok($$select maintenance.set_policy('spy', 'public.p1', 'delete', 'at', '1 day',
  matching => 'exists (select from pg_authid)')$$, 'PM004',
  'matching "exists (select from pg_authid)" is not acceptable: permission denied for table pg_authid',
    'a rule cannot read a table that its owner may not read');
create role some_operator in role maintenance_operator;
create role some_stranger;
create table public.salaries (amount int);
insert into public.salaries values (7);
grant some_operator, some_stranger to current_user;
grant usage on schema public to some_operator, some_stranger;
set local role some_operator;
select throws_ok($$select maintenance.set_policy('spy', 'public.p1', 'delete', 'at', '1 day',
  matching => '(select amount from public.salaries) > 5')$$, '42501', 'permission denied for function set_policy',
  'an operator cannot read a table of somebody else through a rule');
select throws_ok($$select maintenance_internal.parse_expression('public.p1', 'matching',
  '(select amount from public.salaries) > 5', false, null)$$, '42501', null,
    'an operator cannot read a table of somebody else through parse_expression');
select throws_ok($$select maintenance_internal.count_due(row(0, 'public.p1', 'delete', 'at', 'timestamptz', '1 day',
  '(select amount from public.salaries) > 5', null, null, null, null)::maintenance_internal.policy, now(), 10, '')$$,
    '42501', null,
  'an operator cannot read a table of somebody else through count_due');
reset role;
select * from finish();
rollback;
