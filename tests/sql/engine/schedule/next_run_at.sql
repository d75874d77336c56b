-- next_run_at reads cron expressions as pg_cron does.
begin;
create extension pgtap;
select plan(81);

create function pg_temp.next(schedule text, after text default '2026-11-24 12:34:56+00')
returns text language sql
as $$ select to_char(maintenance.next_run_at(schedule, after::timestamptz) at time zone 'UTC', 'YYYY-MM-DD HH24:MI') $$;

select is(pg_temp.next('* * * * *'), '2026-11-24 12:35', 'five stars are every minute');
select is(pg_temp.next('34 12 * * *'), '2026-11-25 12:34', 'the minute that has begun is not the next run');
select is(pg_temp.next('35 12 * * *', '2026-11-24 12:34:59+00'), '2026-11-24 12:35',
  'the next run may be in the next minute');
select is(pg_temp.next('0 3 * * *'), '2026-11-25 03:00', 'a time that is over today comes tomorrow');
select is(pg_temp.next('*/15 * * * *'), '2026-11-24 12:45', 'a step is read');
select is(pg_temp.next('5-50/20 * * * *'), '2026-11-24 12:45', 'a step over a range is read');
select is(pg_temp.next('10,40 9-17 * * *'), '2026-11-24 12:40', 'lists and ranges are read');
select is(pg_temp.next('0 2 * * 0'), '2026-11-29 02:00', 'Sunday is 0');
select is(pg_temp.next('0 2 * * 7'), '2026-11-29 02:00', 'Sunday is 7');
select is(pg_temp.next('0 2 * * sun'), '2026-11-29 02:00', 'Sunday is sun');
select is(pg_temp.next('0 2 * * MON-Fri'), '2026-11-25 02:00', 'names of days make ranges, in upper and lower case');
select is(pg_temp.next('0 0 1 jan *'), '2027-01-01 00:00', 'months have names');
select is(pg_temp.next('0 0 1 1-12/6 *'), '2027-01-01 00:00', 'months have steps');
select is(pg_temp.next('0 0 31 * *'), '2026-12-31 00:00', 'short months are passed over');
select is(pg_temp.next('0 0 29 2 *'), '2028-02-29 00:00', 'leap days are found');
select is(pg_temp.next('0 0 30 2 *'), null, 'the 30th of February never comes');
select is(pg_temp.next('0 0 13 * fri'), '2026-11-27 00:00', 'two restricted day fields: either is enough');
select is(pg_temp.next('0 0 */2 * fri'), '2026-11-27 00:00', 'a day field that starts with *: both have to match');
select is(pg_temp.next('0 0 $ * *'), '2026-11-30 00:00', '$ is the last day of the month');
select is(pg_temp.next('0 0 $ 2 *'), '2027-02-28 00:00', '$ is the 28th in a February of 28 days');
select is(pg_temp.next('@hourly'), '2026-11-24 13:00', '@hourly');
select is(pg_temp.next('@daily'), '2026-11-25 00:00', '@daily');
select is(pg_temp.next('@weekly'), '2026-11-29 00:00', '@weekly');
select is(pg_temp.next('@monthly'), '2026-12-01 00:00', '@monthly');
select is(pg_temp.next('@yearly'), '2027-01-01 00:00', '@yearly');
select is(maintenance.next_run_at('30 seconds', '2026-11-24 12:34:56+00'), '2026-11-24 12:35:26+00',
  'an interval in seconds is read');
select is(maintenance.next_run_at(null, now()), null, 'without a schedule there is no next run');
set local timezone = 'Asia/Kathmandu';
select is(pg_temp.next('0 3 * * *'), '2026-11-25 03:00', 'the session''s time zone does not matter');

select throws_ok(format('select maintenance.next_run_at(%L, now())', s), 'PM006', null, format('"%s" is refused', s))
from unnest(array['', '* * * *', '* * * * * *', '60 * * * *', '5/10 * * * *', '5-1 * * * *', 'a * * * *', '* * 0 * *',
  '*/0 * * * *']) as s;

-- Against a matcher that walks minute by minute and shares no code with it.
create function pg_temp.field_matches(field text, value int, low int, high int) returns boolean
language sql as $$
  select bool_or(
    case
      when item ~ '/' then (value - coalesce(substring(item from '^\d+'), low::text)::int) % substring(item
        from '\d+$')::int = 0
        and value between coalesce(substring(item from '^\d+'), low::text)::int
          and coalesce(substring(item from '-(\d+)'), high::text)::int
      when item ~ '-' then value between split_part(item, '-', 1)::int and split_part(item, '-', 2)::int
      when item = '*' then true
      else value = item::int
    end)
  from regexp_split_to_table(field, ',') as item
$$;
create function pg_temp.brute(schedule text, after timestamp, days int) returns timestamp
language plpgsql as $$
declare
  f text[] := string_to_array(schedule, ' ');
  t timestamp := date_trunc('minute', after) + interval '1 minute';
  dom boolean; dow boolean;
begin
  while t < after + days * interval '1 day' loop
    dom := pg_temp.field_matches(f[3], extract(day from t)::int, 1, 31);
    dow := pg_temp.field_matches(f[5], extract(dow from t)::int, 0, 7)
      or extract(dow from t) = 0 and pg_temp.field_matches(f[5], 7, 0, 7);
    if not pg_temp.field_matches(f[4], extract(month from t)::int, 1, 12)
      or not (case when left(f[3], 1) = '*' or left(f[5], 1) = '*' then dom and dow else dom or dow end) then
      t := date_trunc('day', t) + interval '1 day';
    elsif not pg_temp.field_matches(f[2], extract(hour from t)::int, 0, 23) then
      t := date_trunc('hour', t) + interval '1 hour';
    elsif pg_temp.field_matches(f[1], extract(minute from t)::int, 0, 59) then
      return t;
    else
      t := t + interval '1 minute';
    end if;
  end loop;
  return null;
end
$$;
create function pg_temp.random_field(low int, high int) returns text
language plpgsql as $$
declare a int; b int; parts text[] := '{}';
begin
  for i in 1 .. 1 + floor(random() * 3)::int loop
    a := low + floor(random() * (high - low + 1))::int;
    b := a + floor(random() * (high - a + 1))::int;
    parts := parts || (array['*', '*', a::text, a::text, a || '-' || b, '*/' || least(1 + a, high), a || '-' || b || '/'
      || 1 + floor(random() * 5)::int])[1 + floor(random() * 7)::int];
  end loop;
  return case when random() < 0.3 then '*' else array_to_string(parts, ',') end;
end
$$;
select setseed(0.42);
create temporary table cases as
select format('%s %s %s %s %s', pg_temp.random_field(0, 59), pg_temp.random_field(0, 23),
    pg_temp.random_field(1, 31), pg_temp.random_field(1, 12), pg_temp.random_field(0, 7)) as schedule,
  timestamp '2026-01-01' + random() * interval '3650 days' as after
from generate_series(1, 400);
select is_empty($$
  select c.*, b.at, n.at from cases as c,
    lateral (select pg_temp.brute(c.schedule, c.after, 800) as at) as b,
    lateral (select maintenance.next_run_at(c.schedule, c.after at time zone 'UTC') at time zone 'UTC' as at) as n
  where b.at is not null and b.at is distinct from n.at
    or b.at is null and n.at < c.after + interval '800 days'$$,
  '400 random expressions agree with a minute-by-minute matcher over ten years');

select results_eq($$select maintenance_internal.nearest_slot('* * * * *', '2026-10-25 00:15+00', forward,
    'Europe/Berlin')
  from (values (true), (false)) as v (forward)$$,
  $$values ('2026-10-25 00:16+00'::timestamptz), ('2026-10-25 00:15+00')$$,
  'a minute that the clocks show twice is the one that comes first');
select results_eq($$select maintenance_internal.nearest_slot('30 2 * * *', at, forward, 'Europe/Berlin')
  from (values ('2026-03-28 12:00+00'::timestamptz, true), ('2026-03-29 12:00+00', false)) as v (at, forward)$$,
  $$values ('2026-03-30 00:30+00'::timestamptz), ('2026-03-28 01:30+00')$$,
  'a minute that the clocks leave out never comes');
-- The hour that is shown twice, and the one that is left out, beside a walk through all minutes.
create temporary table shown as
select m as at, extract(hour from l)::integer as hour, extract(minute from l)::integer as minute
from unnest('{2026-10-25 00:00+00,2026-03-29 00:00+00}'::timestamptz[]) as d (day),
  generate_series(day - interval '30 hours', day + interval '30 hours', '1 minute') as m,
  lateral (select m at time zone 'Europe/Berlin') as z (l);
select is_empty($$
  select s.schedule, a.at, f.forward, n.slot, w.slot
  from (values ('*/20 * * * *', null, 20), ('30 2 * * *', 2, 30), ('50 1 * * *', 1, 50), ('5 3 * * *', 3, 5),
      ('59 2 * * *', 2, 59), ('0 2 * * *', 2, 0)) as s (schedule, hour, minute),
    unnest('{2026-10-25 00:00+00,2026-03-29 00:00+00}'::timestamptz[]) as d (day),
    generate_series(d.day - interval '20 minutes', d.day + interval '150 minutes', '10 minutes') as a (at),
    (values (true), (false)) as f (forward),
    lateral (select maintenance_internal.nearest_slot(schedule, a.at, forward, 'Europe/Berlin') as slot) as n,
    lateral (select case when forward then min(m.at) else max(m.at) end as slot from shown as m
      where case when forward then m.at > a.at else m.at <= a.at end and abs(extract(epoch from m.at - a.at)) < 97200
        and case when s.hour is null then m.minute % s.minute = 0
          else (m.hour, m.minute) = (s.hour, s.minute) end) as w
  where n.slot is distinct from w.slot$$, 'over a change of clocks each minute that the clock shows is a slot');
-- What is refused is named, and the hint says what to write instead (C-010, C-011).
create function pg_temp.refusal(schedule text) returns text language plpgsql as $$
declare v_hint text;
begin
  return 'taken: ' || maintenance.next_run_at(schedule, now());
exception when sqlstate 'PM006' then
  get stacked diagnostics v_hint = pg_exception_hint;
  return regexp_replace(sqlerrm, '^.* is not a cron expression: ', '') || coalesce(substring(v_hint from ': .*$'), '');
end $$;
select is(pg_temp.refusal(s), r, format('"%s" is refused with its reason', s)) from (values
  ('0 22-4 * * *', 'its hour "22-4" runs backwards, and pg_cron never fires for it: 22-23,0-4'),
  ('0 0 * * fri-mon', 'its day of week "fri-mon" runs backwards, and pg_cron never fires for it: 5-6,0-1'),
  ('0 0 * * mon-sun', 'its day of week "mon-sun" runs backwards, and pg_cron never fires for it: 1-6,0'),
  ('0 0 * nov-feb *', 'its month "nov-feb" runs backwards, and pg_cron never fires for it: 11-12,1-2'),
  ('30-10/5 * * * *', 'its minute "30-10/5" runs backwards, and pg_cron never fires for it: 30,35,40,45,50,55,0,5,10'),
  ('0 0 * * 7-1', 'its day of week "7-1" runs backwards, and pg_cron never fires for it: 0-1'),
    ('0 22-4/2 * * *', 'its hour "22-4/2" runs backwards, and pg_cron never fires for it: 22,0,2,4'),
  ('0 0 28-3/2 * *', 'its day of month "28-3/2" runs backwards, and pg_cron never fires for it: 28,30,1,3'),
    ('0 0 * * sat-tue/2', 'its day of week "sat-tue/2" runs backwards, and pg_cron never fires for it: 6,1'),
  ('0 3 1 1 * 2027', 'it has 6 fields, and not five: 0 3 1 1 *'),
    ('0 2 * * * *', 'it has 6 fields, and not five: 0 2 * * *'),
  ('0 9,22-4 * * *', 'its hour "22-4" runs backwards, and pg_cron never fires for it: 22-23,0-4'),
  ('0 0 * * 1#2', 'its day of week "1#2" cannot be read'), ('*x * * * *', 'its minute "*x" cannot be read'),
    ('0 0 * *', 'it has 4 fields, and not five'),
  ('', 'it has 0 fields, and not five'), ('@reboot', '@reboot names no time'),
    ('@MIDNIGHT', 'it has 1 fields, and not five'), ('0 0 L * *', 'its day of month "L" cannot be read'),
    ('5/10 * * * *', 'its minute "5/10" cannot be read: 5-59/10'),
  ('0 0 * * tue/2', 'its day of week "tue/2" cannot be read: tue-6/2'),
  ('0 0 $,15 * *', 'its day of month "$" cannot be read'), ('0 $ * * *', 'its hour "$" cannot be read'),
    ('0 5-/2 * * *', 'its hour "5-/2" cannot be read')) as v (s, r);
-- A step above the field's highest value, which pg_cron refuses from 1.6.5 on: what it means, ready to be pasted.
select is(pg_temp.refusal(s), r, format('"%s" is refused, with its plain form', s)) from (values
  ('*/60 * * * *', 'its minute "*/60" steps by more than 59, which pg_cron refuses from 1.6.5 on: 0 * * * *'),
  ('0 */24 * * *', 'its hour "*/24" steps by more than 23, which pg_cron refuses from 1.6.5 on: 0 0 * * *'),
  ('0 0 */32 * *', 'its day of month "*/32" steps by more than 31, which pg_cron refuses from 1.6.5 on: 0 0 1 * *'),
  ('0 0 1 */13 *', 'its month "*/13" steps by more than 12, which pg_cron refuses from 1.6.5 on: 0 0 1 1 *'),
  ('0 0 * * */8', 'its day of week "*/8" steps by more than 7, which pg_cron refuses from 1.6.5 on: 0 0 * * 0'),
  ('0 0 */40 * Fri', 'its day of month "*/40" steps by more than 31, which pg_cron refuses from 1.6.5 on: 0 0 */31 * '
    'Fri'),
  ('0-9/60 2,4-6/99999 * * mon-fri/8',
    'its minute "0-9/60" steps by more than 59, which pg_cron refuses from 1.6.5 on: 0 2,4 * * 1'),
  ('*/60 * * * * 2027', 'it has 6 fields, and not five: Its first value is all that it means: 0 * * * *'),
  ('*/60 */0 * * *', 'its hour "*/0" cannot be read'),
    ('*/60 18-16 * * *', 'its hour "18-16" runs backwards, and pg_cron never fires for it: 18-23,0-16')) as v (s, r);
select isnt(pg_temp.next(s), null, format('"%s" is the largest step', s))
  from unnest(array['*/59 */23 */31 */12 */7']) as s;
select is(pg_temp.next(e'0\t0  *   * 5-7', '2026-11-22 10:00:00+00'), '2026-11-27 00:00',
  'tabs and several blanks are fine, and so is a range up to 7');
select is(pg_temp.next('0 0 * * sun-sat'), '2026-11-25 00:00', 'sun-sat is every day');

-- What we take, pg_cron takes; and what it takes and never fires, or cuts off, we do not.
select to_regclass('cron.job') is null as no_cron \gset
\if :no_cron
select pass('pg_cron is not in this database') from generate_series(1, 3);
\else
create function pg_temp.ours(schedule text) returns boolean language plpgsql as
$$ begin perform maintenance.next_run_at(schedule, now()); return true;
  exception when sqlstate 'PM006' then return false; end $$;
create function pg_temp.theirs(schedule text) returns boolean language plpgsql as
$$ begin perform cron.schedule('probe', schedule, 'select 1'); return true; exception when others then return false;
  end $$;
create temporary table mangled as
select case when random() < 0.4 then schedule
  else overlay(schedule placing substr('0123456789*/,-, @#ax', 1 + floor(random() * 20)::int, 1)
  from 1 + floor(random() * length(schedule))::int for floor(random() * 2)::int) end as s
from cases, generate_series(1, 3);
select ok(count(*) filter (where pg_temp.ours(s)) > 300 and count(*) filter (where not pg_temp.ours(s)) > 200,
  'random expressions, good and bad: ' || count(*) filter (where pg_temp.ours(s)) || ' of ' || count(*)) from mangled;
select is_empty($$select s from mangled where pg_temp.ours(s) and not pg_temp.theirs(s)$$,
  'pg_cron takes whatever we take');
select is(maintenance_internal.nearest_slot('0 3 1 1 * 2027', now(), true, 'UTC'),
  maintenance.next_run_at('0 3 1 1 *', now()),
  'C-011: a sixth field that stands in pg_cron is read as pg_cron reads it');
\endif
select * from finish();
rollback;
