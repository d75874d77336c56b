-- Priority, time-out, dependencies, grace and window of a job: what they take, and what they refuse.
begin;
create extension pgtap;
select plan(27);

create function public.nap(batch_size integer) returns bigint language sql return 0;
create table public.events (at timestamptz);
select maintenance.set_job(j, 'public.nap') from unnest('{a,b,c,d}'::text[]) as j;
select maintenance.set_policy('purge', 'public.events', 'delete', 'at', '1 day');
select maintenance.set_statement('vac', 'vacuum public.events');
create function pg_temp.options(job text) returns jsonb language sql
as $$ select options - '{batch_size,budget}'::text[] from maintenance.job_status where job_name = $1 $$;

select is(pg_temp.options('a'), '{"priority": "medium"}', 'a job is of medium priority, and has nothing else');
select lives_ok($$select maintenance.configure_job('a', priority => 'critical', timeout => '20 minutes',
  depends_on => '{b,purge}', grace => '2 hours', window_start => '22:00', window_end => '06:00',
  window_zone => 'Europe/Berlin')$$, 'all of them at once');
select is(pg_temp.options('a'), '{"priority": "critical", "timeout": "00:20:00", "depends_on": ["b", "purge"],
  "grace": "02:00:00", "window": "22:00-06:00 Europe/Berlin"}', 'job_status shows what is in force');
select maintenance.configure_job('a', window_end => '05:30');
select is(pg_temp.options('a') ->> 'window', '22:00-05:30 Europe/Berlin', 'what is not given stays');
select is((select what from maintenance.edit where job_name = 'a' order by edit_id desc limit 1),
  '{"window_end": ["06:00:00", "05:30:00"]}', '... and who changed it is kept');

-- Cycles, with their path.
select throws_ok($$select maintenance.configure_job('b', depends_on => '{b}')$$, 'PM002',
  'the dependencies of "b" come back to it: b -> b', 'a job cannot depend on itself');
select maintenance.configure_job('b', depends_on => '{c}');
select throws_ok($$select maintenance.configure_job('c', depends_on => '{d,a}')$$, 'PM002',
  'the dependencies of "c" come back to it: c -> a -> b -> c', 'nor on what depends on it, however far');
select throws_ok($$select maintenance.configure_job('b', depends_on => '{nobody}')$$, 'PM001',
  'there is no job "nobody"', 'nor on what is no job');
select throws_ok($$select maintenance.drop_job('b')$$, 'PM002', 'other jobs wait for "b": a',
  'a job that another one names is not dropped');
select maintenance.configure_job('a', depends_on => '{purge}');
select lives_ok($$select maintenance.drop_job('b')$$, '... but when nobody names it any more');

select throws_ok($$select maintenance.configure_job('c', window_start => '22:00')$$, 'PM002',
  'the window of "c" has no end', 'half a window is none');
select throws_ok($$select maintenance.configure_job('c', window_zone => 'UTC')$$, 'PM002',
  'the window of "c" has no start', 'nor is a time zone alone');
select throws_ok($$select maintenance.configure_job('c', window_start => '1:00', window_end => '2:00',
  window_zone => 'Mars/Base')$$, 'PM002', 'there is no time zone "Mars/Base"', 'a window is of this world');
select throws_ok($$select maintenance.configure_job('c', window_start => '1:00', window_end => '2:00',
  window_zone => 'UTC+3')$$, 'PM002', 'there is no time zone "UTC+3"', '... and has a name');
select throws_ok($$select maintenance.configure_job('c', window_start => '22:00:10', window_end => '22:00:50')$$,
  'PM002',
  'the window from 22:00:10 to 22:00:50 is not of whole minutes of a day', 'a window is of whole minutes');
select throws_ok(format('select maintenance.configure_job(''c'', %s => ''2 years'')', o), 'PM002', null,
  o || ' is a year at most') from unnest('{timeout,grace,budget}'::text[]) as o;
select maintenance.configure_job('c', depends_on => '{d,d}');
select is(pg_temp.options('c') -> 'depends_on', '["d"]', 'a job is named once');
select throws_ok($$select maintenance.configure_job('c', priority => 'urgent')$$, 'PM002',
  'there is no priority "urgent"', 'an unknown priority is refused');
select throws_ok($$select maintenance.configure_job('c', timeout => '-1 s')$$, 'PM002', null,
  'so is a time-out below zero');
select throws_ok($$select maintenance.configure_job('c', grace => '-1 s')$$, 'PM002', null, '... and a grace');
select throws_ok(format('select maintenance.configure_job(''vac'', %s)', o), 'PM002',
  'pg_cron runs the statement of "vac" as it stands, at its time', 'a statement job takes no ' || o)
from unnest(array['depends_on => ''{a}''', 'priority => ''high''', 'grace => ''1 hour''']) as o;
select lives_ok($$select maintenance.configure_job('vac', timeout => '1 hour')$$, '... but a time-out');

select maintenance.configure_job('a', timeout => '0', depends_on => '{}', grace => '0', window_start => '0:00',
  window_end => '0:00');
select is(pg_temp.options('a'), '{"priority": "critical"}', 'each can be taken away again');
select * from finish();
rollback;
