-- What the status advises can be pasted, and mends what it is said of. Each state is reached as it comes
-- about, in pg_cron too; the advice is read out of the status, and executed as it stands.
\set QUIET on
set client_min_messages = error;
create extension if not exists pgtap;
\! $AS_SUPERUSER -c 'set client_min_messages = error' -c 'create extension if not exists dblink'
select plan(30);
\set said 'select (regexp_match(s.advice, :pattern))[1] from public.maintenance_status as s where s.task = :task'
create function public.row(task text) returns text language sql
as $$ select concat_ws(' ', s.severity, s.count, s.advice) from public.maintenance_status as s where s.task = $1 $$;

create table public.advised (id integer primary key, at timestamptz);
create index on public.advised (at);
create table public.holds (id integer references public.advised);
insert into public.advised select i, now() - interval '25 hours' from generate_series(1, 9) as i;
select maintenance.set_policy('advised', 'public.advised', 'delete', 'at', '1 day',
  schedule => '0 3 * * *') \g /dev/null
create function public.nothing(batch_size integer) returns bigint language sql return 0;
select maintenance.set_job('without_backlog', 'public.nothing', '0 3 * * *') \g /dev/null
select is(public.row('advised'), 'notice 9', 'rows that the next run will take need no advice');

-- The rows of one job.
\set task '''advised'''
\set pattern '''(select maintenance.(?:set_schedule|enable_job)[^;]*;)'''
select maintenance.disable_job('advised') \g /dev/null
select matches(public.row('advised'), '^warning 9 Disabled\. ', 'disabled');
\o /dev/null
:said \gexec
\o
select is(public.row('advised'), 'notice 9', '... and enabled by the advice');
select cron.unschedule('maintenance:advised') \g /dev/null
select matches(public.row('advised'), '^warning 9 Not fired: removed by an operator\. ', 'removed from pg_cron');
\o /dev/null
:said \gexec
\o
select is(public.row('advised'), 'notice 9', '... and put back by the advice');
\! $AS_SUPERUSER -c "update cron.job set active = false where jobname = 'maintenance:advised'"
select matches(public.row('advised'), '^warning 9 Not fired: inactive in pg_cron\. ', 'inactive in pg_cron');
\o /dev/null
:said \gexec
\o
select is(public.row('advised'), 'notice 9', '... and started by the advice, without a superuser');
select cron.schedule('maintenance:advised', '0 22-4 * * *', $$call maintenance.run_job('advised')$$) \g /dev/null
select matches(public.row('advised'), '^warning 9 Not fired: edited by an operator: its hour "22-4"', 'a schedule that '
  'never fires');
select matches(public.row('scheduler'), 'advised: edited by an operator: its hour "22-4"',
  '... is a fault of the schedule');
\o /dev/null
:said \gexec
\o
select is(public.row('advised') || public.row('scheduler'), 'notice 9ok 0', '... and mended by the advice');
select cron.unschedule('maintenance:advised') \g /dev/null
delete from maintenance_internal.installed_schedule where job_id = (
  select job_id from maintenance_internal.job where job_name = 'advised');
select matches(public.row('advised'), '^warning 9 Not in pg_cron yet\. ', 'never installed');
select matches(public.row('scheduler'), '^warning 1 advised: not installed yet\. ', '... is a fault of the schedule');
\set pattern '''(select \\* from maintenance.install_schedules[^;]*;)'''
\o /dev/null
:said \gexec
\o
select is(public.row('advised') || public.row('scheduler'), 'notice 9ok 0', '... and installed by the advice');

\set pattern '''(call maintenance.run_job[^;]*;)'''
insert into public.holds values (1);
\set ON_ERROR_STOP off
call maintenance.run_job('advised');
\set ON_ERROR_STOP on
select matches(public.row('advised'), '^warning 1 The last run failed: SQLSTATE 23503', 'a run that failed');
delete from public.holds;
\o /dev/null
:said \gexec
\o
select is(public.row('advised'), 'ok 0', '... and is repeated by the advice, when it is mended');
insert into public.advised values (1, now() - interval '25 hours');
update maintenance_internal.job set promised_at = now() - interval '3 days' where job_name in ('advised',
  'without_backlog');
update maintenance_internal.run set slot = null, started_at = now() - interval '2 days' + run_id * interval '1 second',
  finished_at = now() - interval '2 days' + run_id * interval '1 second' where job_name = 'advised';
select set_config('maintenance.fake_now', (now() + interval '3 minutes')::text, false) \g /dev/null
select matches(public.row('advised'), '^warning 1 No run since ', 'late');
select matches(public.row('jobs_late'),
  '^(warning|critical) \d+ (tick, )?without_backlog, advised (and \d+ more )?since ',
  '... and counted, whatever its kind');
\o /dev/null
:said \gexec
\o
\set task '''jobs_late'''
\o /dev/null
:said \gexec
\o
set maintenance.fake_now = '';
select is(public.row('advised') || public.row('jobs_late'), 'ok 0ok 0', '... and made up for by the advice');

-- Rows about all jobs. A statement of somebody else's table has failed: cron_fires.sql.
\set task '''jobs_failing'''
\set pattern '''(select distinct on [^;]*;)'''
select matches(public.row('jobs_failing'), '^warning 1 foreign_vacuum: failed: public.not_ours was left out', 'C8: a '
  'statement that fails');
\o /dev/null
:said \gexec
\o
select maintenance.drop_job('foreign_vacuum') \g /dev/null
select is(public.row('jobs_failing'), 'ok 0', '... and is dropped');

\set task '''scheduler'''
\set pattern '''(select maintenance.(?:set_schedule|enable_job)[^;]*;)'''
select maintenance.disable_job('tick') \g /dev/null
select matches(public.row('scheduler'), '^critical 1 The job tick, which looks after all others, is disabled\. ',
  'no tick');
\o /dev/null
:said \gexec
\o
select is(public.row('scheduler'), 'ok 0', '... and enabled by the advice');
select cron.schedule('maintenance:tick', '0 3 * * *', 'call maintenance.tick()') \g /dev/null
select matches(public.row('scheduler'), '^warning 1 The job tick, .*, is fired only at "0 3 \* \* \*"\. ',
  'a rare tick');
\o /dev/null
:said \gexec
\o
select is(public.row('scheduler'), 'ok 0', '... and fired every minute by the advice');
select cron.unschedule('maintenance:tick') \g /dev/null
select matches(public.row('scheduler'), '^critical \d The job tick, .*, is not fired: removed by an operator\. ',
  'a tick that was removed');
\o /dev/null
:said \gexec
\o
select is(public.row('scheduler'), 'ok 0', '... and put back by the advice');
select cron.unschedule(jobid) from cron.job where jobname like 'maintenance:%' \g /dev/null
\set pattern '''(select \\* from maintenance.register[^;]*;)'''
select matches(public.row('scheduler'), '^critical \d The job tick, .*, is not fired: removed by an operator\. ',
  'all jobs were removed');
\o /dev/null
:said \gexec
\o
select results_eq($$select public.row('scheduler'), count(*) from maintenance.job_status
    where not active and scheduling <> 'no schedule'$$,
  $$values ('ok 0', 0::bigint)$$, '... and put back by the advice, all of them');

-- What shows more.
\ir ../commit/connect.psql
select dblink_exec('other', 'begin'), dblink_exec('other', 'lock table public.advised') \g /dev/null
\set task '''advised'''
\set pattern '''(select .*;)'''
select (regexp_match(s.advice, :pattern))[1] as lock_said from public.maintenance_status as s where s.task = :task \gset
select results_eq(rtrim(:'lock_said', ';'), $$select 'idle in transaction', a.state_change, a.query
  from pg_stat_activity as a,
  dblink('other', 'select pg_backend_pid()') as o (pid integer) where a.pid = o.pid$$,
  'who has locked a table is shown');
select dblink_exec('other', 'rollback') \g /dev/null
select is((select count(*) from maintenance.todo), 0::bigint, 'nothing is left to be done');
drop table public.holds, public.advised;
select maintenance.drop_job(j) from unnest(array['advised', 'without_backlog']) as j \g /dev/null
drop function public.row(text);
select * from finish();
