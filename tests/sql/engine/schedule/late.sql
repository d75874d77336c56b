-- Who should have run and left no trace is late, whatever its kind; who ran and did not succeed is
-- failing. Here nothing fires: receipts are made up, as of a pg_cron in another database.
begin;
create extension pgtap;
select plan(43);
select to_regclass('cron.job') is not null as has_cron \gset
\if :has_cron
select skip('pg_cron is in this database: tests/silence and tests/e2e have it', 43);
\else

create table public.events (at timestamptz);
select maintenance.set_policy('daily', 'public.events', 'delete', 'at', '1 day', schedule => '0 3 * * *');
select maintenance.set_statement('vac', 'vacuum public.events', '0 3 * * *');
create function public.nap(batch_size integer) returns bigint language sql return 0;
select maintenance.set_job('hourly', 'public.nap', '13 * * * *');
create function pg_temp.receipt(job text, at timestamptz, outcome text default 'succeeded',
  trigger text default 'schedule',
  pid integer default 0) returns void language sql as $$
  insert into maintenance_internal.run (job_id, job_name, trigger, slot, status, started_at, touched_at, finished_at,
    stop_reason, error, sqlstate, backend_pid)
  select job_id, job_name, $4, case when $4 = 'schedule' then date_trunc('minute', $2) end, $3, $2, $2,
    case when $3 <> 'running' then $2 end, case when $3 <> 'running' then 'x' end,
    case when $3 = 'failed' then 'SQLSTATE 23503' end, case when $3 = 'failed' then '23503' end, $5
  from maintenance_internal.job where job_name = $1 $$;
create function pg_temp.at(moment timestamptz) returns void language sql
as $$ select set_config('maintenance.fake_now', $1::text, true) $$;
create function pg_temp.late(moment timestamptz) returns text language plpgsql as $$
begin
  perform pg_temp.at(moment);
  return (select string_agg(format('%s %s', job_name, to_char(late_since at time zone 'UTC', 'DD HH24:MI')), ', '
    order by job_name) from maintenance.job_status where late_since is not null);
end $$;
create function pg_temp.row(name text) returns public.maintenance_status language sql
as $$ select s from public.maintenance_status s where s.task = name $$;
update maintenance_internal.job set promised_at = '2040-01-01';

select is(pg_temp.late('2040-01-20 03:10+00'), null, 'jobs that nobody ever fired owe nothing');
select pg_temp.receipt('daily', '2040-01-10 03:00:00.2+00'), pg_temp.receipt('vac', '2040-01-10 03:00:00.2+00'),
  pg_temp.receipt('hourly', '2040-01-11 01:13:00.4+00');
select pg_temp.at('2040-01-11 02:00+00');
select is((select string_agg(distinct scheduling, ' ') from maintenance.job_status where job_name = 'daily'),
  'scheduled, as receipts show: pg_cron is not in this database', 'receipts prove that somebody fires a job');
select results_eq($$select active, next_run_at from maintenance.job_status where job_name = 'daily'$$,
  $$values (true, '2040-01-11 03:00+00'::timestamptz)$$, '... and it has a next run');
select is(pg_temp.late('2040-01-11 02:12+00'), null, 'nobody is late between two slots');
select is(pg_temp.late('2040-01-11 02:14:59+00'), null, 'a slot has two minutes');
select is(pg_temp.late('2040-01-11 02:15+00'), 'hourly 11 02:13', 'a slot that came two minutes ago and left no trace');
select is(pg_temp.late('2040-01-11 02:35+00'), 'hourly 11 02:13',
  'one that ran, and was silent in the next slot, is late');
select is(pg_temp.late('2040-01-11 03:02+00'), 'daily 11 03:00, hourly 11 02:13', 'late since the first silent slot');
select results_eq($$select count, severity, oldest from pg_temp.row('jobs_late')$$,
  $$values (2::bigint, 'warning', '2040-01-11 02:13+00'::timestamptz)$$, 'jobs_late counts them');
select is((pg_temp.row('jobs_late')).advice, 'hourly, daily since 2040-01-11 02:13: pg_cron is not in this database. '
  'Where the server has none: README.md, "Adopt it", step 1. In the database where pg_cron lives, a superuser '
  'says what '
  'this prints: select * from maintenance.cron_statements(); To make up for it: call maintenance.run_job(''hourly''); '
  'call maintenance.run_job(''daily'');',
  'its advice has the cause, and what makes up for it');
select results_eq($$select active, late_since from maintenance.job_status where job_name = 'vac'$$,
  $$values (false, null::timestamptz)$$,
  'a statement leaves no receipt where pg_cron''s history cannot be read, and owes none');
select is((select scheduling from maintenance.job_status where job_name = 'daily'),
  'not scheduled here: pg_cron is not in this database', 'receipts that came to an end prove nothing');

savepoint s;
select pg_temp.receipt('daily', '2040-01-11 03:00:01+00', 'skipped');
select is(pg_temp.late('2040-01-11 03:03+00'), 'hourly 11 02:13', 'a skipped receipt is a trace');
rollback to s;
select pg_temp.receipt('daily', '2040-01-11 03:00:01+00', 'failed');
select is(pg_temp.late('2040-01-11 03:03+00'), 'hourly 11 02:13', 'so is that of a run that failed');
rollback to s;
select pg_temp.receipt('hourly', '2040-01-11 02:50+00', 'succeeded', 'manual');
select is(pg_temp.late('2040-01-11 03:01+00'), null, 'so is a run by hand: the advice cures');
rollback to s;
select pg_temp.receipt('daily', '2040-01-11 02:59+00', 'running', 'manual', pg_backend_pid());
update maintenance_internal.run set touched_at = clock_timestamp() where status = 'running';
select is(pg_temp.late('2040-01-11 03:02+00'), 'hourly 11 02:13', 'who is at work is not late');
rollback to s;
select maintenance.disable_job('hourly');
select is(pg_temp.late('2040-01-11 03:01+00'), null, 'a disabled job owes nothing');
update maintenance_internal.job set promised_at = '2040-01-01' where job_name = 'hourly';
select maintenance.enable_job('hourly');
select cmp_ok((select promised_at from maintenance_internal.job where job_name = 'hourly'), '=',
  maintenance_internal.clock(),
  'what it owes counts anew from when it is enabled');
rollback to s;
select maintenance.set_job('hourly', 'public.nap', '14 * * * *');
select results_eq($$select job_name,
  promised_at = maintenance_internal.clock() from maintenance_internal.job where job_name in ('daily',
  'hourly')
  order by 1$$, $$values ('daily', false), ('hourly', true)$$, '... and from when its schedule changes');
select maintenance.set_job('hourly', 'public.nap', '14 * * * *', 'other words');
select is((select count(*) from maintenance.edit where what ? 'promised_at'), 0::bigint, 'that is nobody''s edit');
rollback to s;
update maintenance_internal.job set schedule = '*/1/1 * * * *' where job_name = 'hourly';
select is(pg_temp.late('2040-01-11 03:01+00'), null, 'C2: a schedule that cannot be read owes nothing');
select is((pg_temp.row('scheduler')).advice ~ 'hourly: scheduled, as receipts show: .* select '
  'maintenance.set_schedule',
  true, '... and the row scheduler says so');
select results_eq($$select severity, finding ~ '^its schedule "\*/1/1 \* \* \* \*":', fix
  from maintenance.lint('hourly')$$,
  $$values ('warning', true, 'select maintenance.set_schedule(''hourly'', ''0 3 * * *'');')$$, '... and lint');
rollback to s;
select is_empty($$select * from maintenance.lint('hourly')$$, 'lint has nothing to say of a schedule that fits');
update maintenance_internal.run set finished_at = started_at + interval '2 hours' where job_name = 'hourly';
insert into maintenance_internal.run (job_id, job_name, trigger, status, due_at, stop_reason)
select job_id, job_name, 'retry', 'waiting', now(), 'retry' from maintenance_internal.job where job_name = 'hourly';
select results_eq($$select finding, fix from maintenance.lint('hourly')$$,
  $$values ('its last run took 02:00:00, and it is due again after 01:00:00: pg_cron runs it back to back',
    'select maintenance.configure_job(''hourly'', budget => ''00:30:00''); or a rarer schedule.')$$,
  'lint tells of a run that is longer than its interval, also while another one waits');
rollback to s;

-- C8: of any kind, whether or not it has a backlog.
select results_eq($$select count, severity, advice from pg_temp.row('jobs_failing')$$, $$values (0::bigint, 'ok',
  null::text)$$,
  'nobody fails');
select pg_temp.receipt('daily', '2040-01-11 03:00:01+00', 'failed'), pg_temp.receipt('vac', '2040-01-11 03:00:02+00',
  'failed'),
  pg_temp.receipt('hourly', '2040-01-11 03:00:03+00', 'interrupted'),
  pg_temp.receipt('purge_receipts', '2040-01-11 03:00:04+00', 'cancelled');
select pg_temp.at('2040-01-11 03:03+00');
select results_eq($$select count, severity, oldest from pg_temp.row('jobs_failing')$$,
  $$values (4::bigint, 'warning', '2040-01-11 03:00:01+00'::timestamptz)$$,
    'C8: jobs of every kind whose last run failed');
select is((pg_temp.row('jobs_failing')).advice, 'purge_receipts: cancelled. hourly: interrupted. vac: failed: SQLSTATE '
  '23503. Mend it, then: call maintenance.run_job(''purge_receipts''); call maintenance.run_job(''hourly''); In '
  'full, as '
  'the owner: select distinct on (job_name) job_name, error_detail from maintenance.run_history where job_name in '
  '(''vac'') and error <> '''' order by job_name, run_id desc; And 1 more: select job_name, last_error from '
  'maintenance.job_status where last_status in (''failed'', ''timeout'', ''cancelled'', ''interrupted'', ''skipped'');',
  'its advice names them, with what to say');
select pg_temp.receipt(j, '2040-01-11 03:00:05+00') from unnest(array['daily', 'vac', 'purge_receipts']) as j;
select pg_temp.receipt('hourly', '2040-01-11 03:00:05+00', 'skipped');
select is((pg_temp.row('jobs_failing')).advice,
  'hourly: interrupted. Mend it, then: call maintenance.run_job(''hourly'');',
  'one that succeeds is gone, one that is skipped is not');
select maintenance.disable_job('hourly');
select is((pg_temp.row('jobs_failing')).count, 0::bigint, 'nor is one that somebody has disabled in it');

select matches((pg_temp.row('scheduler')).advice, 'hourly: disabled. select maintenance.enable_job\(''hourly''\);',
  'what somebody has disabled is a notice');
select maintenance.enable_job('hourly');
update maintenance_internal.job set promised_at = '2040-01-01' where job_name = 'hourly';
select pg_temp.receipt('hourly', '2040-01-11 03:00:06+00', 'running', 'manual', pg_backend_pid());
update maintenance_internal.run set touched_at = clock_timestamp() where status = 'running';
select matches((pg_temp.row('jobs_failing')).advice, '^hourly: interrupted',
  'while one runs, the one before it counts');
select is(pg_temp.late('2040-01-11 03:16+00'), 'hourly 11 03:05',
  'who is at work for longer than he may '
  'be is late');
select matches((pg_temp.row('jobs_late')).advice,
  'its run of 03:00 goes on, for longer than its budget of 00:05:00\. '
    'Whoever runs it says: select pg_cancel_backend\(\d+\);', '... and why is said');
select maintenance.disable_job('hourly');

-- The tick: whether pg_cron is at work at all.
select pg_temp.receipt('tick', '2040-01-11 02:58:00.1+00');
select results_eq($$select severity, count, advice ~ '^No tick since 2040-01-11 02:58: pg_cron is not in this database'
  from pg_temp.row('scheduler')$$, $$values ('critical', 2::bigint, true)$$, 'no tick for two minutes is critical');
select is((pg_temp.row('jobs_late')).severity, 'critical', '... and so are the late then');
select throws_ok($$select maintenance.set_statement('tock', 'CALL maintenance.tick ( );', '* * * * *')$$, 'PM007', null,
  'there is one tick, however it is spelled');
select cmp_ok((select max(length(t.task)) + 5 + max(length(l.line)) + 8 from maintenance.todo as t,
  unnest(string_to_array(t.advice, e'\n')) as l (line)), '<=', 80, 'todo fits 80 columns');
create function pg_temp.wrapped(width integer) returns setof text language sql as $$
  select unnest(string_to_array(maintenance_internal.wrap_text('It''s his. select maintenance.set_schedule(''a b c'', '
    '''0 3 * * *''); Or: somebody''s own.', $1), e'\n')) $$;
select results_eq('select pg_temp.wrapped(30)', array['It''s his. select', 'maintenance.set_schedule(',
  '''a b c'', ''0 3 * * *''); Or:', 'somebody''s own.'], 'lines of advice are broken, and no literal');
select results_eq('select pg_temp.wrapped(200)', array['It''s his. select maintenance.set_schedule(''a b c'', '
  '''0 3 * * *''); Or: somebody''s own.'], 'a line that fits is left as it is');
select is((select count(*) from public.maintenance_status where severity in ('warning', 'critical') and advice is null),
  0::bigint, 'what is not well has advice');
-- What a job owes is counted from its last receipt, which the purge of receipts leaves.
select set_config('maintenance.fake_now', '', true);
delete from maintenance_internal.run;
select pg_temp.receipt('daily', now() - d * interval '1 day', s)
from (values (220, 'succeeded'), (210, 'succeeded'), (200, 'failed'), (190, 'failed'), (180, 'skipped'),
  (170, 'skipped')) as v (d, s);
select pg_temp.receipt('hourly', now() - interval '200 days');
update maintenance_internal.run set job_id = -1 where job_name = 'hourly';
select is(maintenance.run_now('purge_receipts') #>> '{data,rowsAffected}', '4', 'old receipts go');
select results_eq($$select job_name, status, now() - started_at from maintenance.run_history
  where job_name <> 'purge_receipts' order by started_at$$,
  $$values ('daily', 'succeeded', interval '210 days'), ('daily', 'failed', '190 days'),
    ('daily', 'skipped', '170 days')$$,
  '... but for the last run of a job that is there, its last success, and the last that was skipped');
\endif
select * from finish();
rollback;
