-- doctor: each thing that is wrong is a row, with a fix that can be pasted and cures it; and health in
-- one word.
begin;
create extension pgtap;
select plan(71);

create function pg_temp.says(name text) returns text language sql as
$$ select string_agg(d.status || ': ' || d.detail, E'\n') from maintenance.doctor() as d where d.check_name = name $$;
create function pg_temp.status_of(name text) returns text language sql as
$$ select string_agg(d.status, ' ') from maintenance.doctor() as d where d.check_name = name $$;
-- Pastes the fix of a check, as psql would, statement by statement.
create function pg_temp.paste(name text) returns text language plpgsql as $$
declare
  v_fix text;
begin
  select d.fix into v_fix from maintenance.doctor() as d where d.check_name = name and d.status <> 'ok';
  execute regexp_replace(v_fix, 'create index concurrently', 'create index'); -- which no transaction can
  return pg_temp.status_of(name);
end $$;

-- Well.
select is(pg_temp.status_of('engine'), 'ok', 'the engine is there');
select matches(pg_temp.says('engine'), '^ok: pg-maintenance \S+, [0-9]+ jobs, on PostgreSQL [0-9.]+$',
  'and says its version');
select is(pg_temp.status_of('owner'), 'ok', 'its owner is no superuser');
select is(pg_temp.status_of('roles'), 'ok', 'its roles are there');
select is(pg_temp.status_of('time_outs'), 'ok', 'nothing ends its runs');
select is(pg_temp.status_of('connections'), 'ok', 'connections are left');
select is(pg_temp.status_of('transaction_ids'), 'ok', 'transaction ids are left');
select is(pg_temp.status_of('rules'), 'ok', 'lint finds nothing');
select set_eq($$select distinct status from maintenance.doctor()
  where check_name not in ('pg_cron', 'launcher', 'worker_slots', 'scheduler', 'disk', 'jobs_late')$$, array['ok'],
  'nothing else is wrong but what this server lacks');
select is_empty($$select check_name from maintenance.doctor() where (fix is null) <> (status = 'ok')$$,
  'whatever is wrong has a fix');

-- A look plans every rule: from here on there are few.
update maintenance_internal.job set depends_on = '{}';
select count(maintenance.drop_job(j.job_name)) from maintenance_internal.job as j
where j.kind <> 'statement' and j.job_name <> 'purge_edits';

-- Disk: unknown until somebody says how large it is (C-38).
select is(pg_temp.says('disk') ~ '^warning: the databases take .*, of a disk of unknown size$', true,
  'C-38: a disk of unknown size is no ok');
select is(pg_temp.paste('disk'), 'ok', 'and it is cured by saying so');

-- Time-outs.
do $$ begin execute format('alter role %I set statement_timeout = ''1min''', current_user); end $$;
select matches(pg_temp.says('time_outs'), '^warning: statement_timeout of the role .* is 1min, and a run is one',
  'a time-out of the owner''s role is named');
select is(pg_temp.status_of('rules'), 'ok', 'once');
select is(pg_temp.paste('time_outs'), 'ok', 'and its fix cures it');
do $$ begin execute format('alter database %I set default_transaction_read_only = on', current_database()); end $$;
select matches(pg_temp.says('time_outs'), '^failed: default_transaction_read_only of the database .* is on, and a run',
  'a database that is read-only for the owner has failed');
-- (Where pg_cron is, the tests have switched it off, and then that alone is told.)
select to_regclass('cron.job') is null as no_cron \gset
\if :no_cron
select is((select string_agg(c.cause || ' ' || c.subject || ' ' || c.severity, ', ')
    from maintenance_internal.alert_causes() as c where c.cause = 'setup'), 'setup time_outs critical',
  'somebody is called for it');
\else
select pass('pg_cron is here, and switched off');
\endif
select is(pg_temp.paste('time_outs'), 'ok', 'and its fix cures it');

-- Rights (faults F5, F17, F18).
grant create on schema public to public;
select is(pg_temp.says('path') ~ '^warning: the schema public is left out of the path .* public may create in it',
  true,
  'PUBLIC may create in public: that is named');
select is(pg_temp.status_of('rules'), 'ok', 'once');
select is((select string_agg(c.severity, ', ') from maintenance_internal.alert_causes() as c where c.subject = 'path'),
  'warning', 'somebody is called for it');
select is(pg_temp.paste('path'), 'ok', 'and its fix cures it');
grant execute on function maintenance.register(text) to public;
select is(pg_temp.says('rights') ~ '^failed: PUBLIC may execute 1 functions of the kit', true,
  'a door that is open to all has failed');
select is(pg_temp.paste('rights'), 'ok', 'and its fix cures it');
revoke execute on function maintenance.doctor() from maintenance_viewer;
select is(pg_temp.says('roles'), 'failed: maintenance_viewer lacks its rights', 'a role without its rights is named');
select is(pg_temp.paste('roles'), 'ok', 'and its fix cures it');
alter role maintenance_operator login;
select is(pg_temp.says('roles'), 'warning: maintenance_operator may log in', 'a role that can log in is named');
select is(pg_temp.paste('roles'), 'ok', 'and its fix cures it');
grant maintenance_worker to current_user;
select throws_ok($$set local role maintenance_worker; select * from maintenance.doctor()$$, '42501',
  'permission denied for function doctor', 'S1-11: whoever is not meant to gets 42501');
reset role;

-- Rules.
create table public.events (id bigint primary key, at timestamptz);
select maintenance.set_policy('purge', 'public.events', 'delete', 'at', '1 day', description => 'Old events');
select is(pg_temp.says('purge'), 'warning: no index serves the age at of public.events',
  'an index that is missing is named');
select is(pg_temp.paste('purge'), null, 'and its fix cures it');
drop table public.events;
select is(pg_temp.says('purge') ~ 'failed: ', true, 'a table that is gone is named');
select is((select bool_and(d.fix !~ 'drop_job' or d.fix ~ '^-- ')
  from maintenance.doctor() as d where d.check_name = 'purge'),
  true, 'and nobody pastes the end of its rule');
select is(pg_temp.status_of('jobs_failing'), null, 'which no run has met yet');
create table public.events (id bigint primary key, at timestamptz);
create index on public.events (at);
insert into public.events values (1, now() - interval '1 year');
select is(pg_temp.status_of('purge'), 'warning', 'rows that are due, and that nobody fires');
select is((select d.fix from maintenance.doctor() as d where d.check_name = 'purge'),
  'call maintenance.run_job(''purge'');',
  'are named, with what takes them');
select maintenance.run_now('purge');
select is(pg_temp.status_of('purge'), null, 'and are gone then');

-- What the status says.
create function public.step(batch_size integer) returns bigint language plpgsql as
$$ begin raise exception 'broken'; end $$;
select maintenance.set_job('broken', 'public.step', description => 'Broken');
select maintenance.run_now('broken');
select is(pg_temp.says('jobs_failing') ~ '^warning: Jobs whose last run did not succeed: 1\. broken: failed', true,
  'a job that failed is named');
create or replace function public.step(batch_size integer) returns bigint language sql as 'select 0::bigint';
select is((select d.fix
  from maintenance.doctor() as d where d.check_name = 'jobs_failing') ~ 'call maintenance.run_job\(''broken''\);', true,
  'with the statement that runs it again');
select maintenance.run_now('broken');
select is(pg_temp.status_of('jobs_failing'), null, 'S1-15: and a run that succeeds cures that');
select maintenance.disable_job('broken');
select is(pg_temp.status_of('jobs_failing'), null, 'a job that somebody has disabled is nobody''s fault');

-- Nothing is registered (N-009: structure without rows).
savepoint before;
select maintenance.drop_job(j.job_name) from maintenance_internal.job as j;
select is(pg_temp.says('engine') ~ '^failed: pg-maintenance \S+, 0 jobs', true,
  'a restored structure without rows is named');
select is(pg_temp.paste('engine'), 'ok', 'and its fix cures it');
rollback to before;

-- Nobody else's words become a statement to paste: names in errors, reasons of pauses.
create table public.parent (id integer primary key, at timestamptz default now() - interval '1 year');
create index on public.parent (at);
insert into public.parent values (1);
create table public."b. drop table public.victim; x" (id integer references public.parent);
create index on public."b. drop table public.victim; x" (id);
insert into public."b. drop table public.victim; x" values (1);
select maintenance.set_policy('named', 'public.parent', 'delete', 'at', '90 days');
select maintenance.run_now('named') ->> 'success';
select is((select string_agg(distinct d.fix, '/') from maintenance.doctor() as d where d.check_name in ('named',
  'jobs_failing')),
  'call maintenance.run_job(''named'');', 'a table with a statement for a name puts none into a fix');
select ok(maintenance_internal.statements_in((select advice
  from public.maintenance_status where task = 'named')) !~ 'drop',
  'nor is it one to a reader who looks for statements');
select maintenance.drop_job('named');
drop table public."b. drop table public.victim; x", public.parent;
select maintenance.emergency_stop('x. grant all on all tables in schema public to public --');
select is((select d.fix from maintenance.doctor() as d where d.check_name = 'paused'), 'select maintenance.resume();',
  'nor does the reason of a stop');
select is_empty($$select fix from maintenance.doctor() where fix ~ 'grant'$$, 'in no row');
select is(pg_temp.paste('paused'), null, 'and the fix of a stop cures it');

-- Alerting that is switched off is not well.
select maintenance.drop_job('alert_monitor');
select is((select string_agg(f.fault || '/' || f.mend, ' ') from maintenance_internal.scheduler_faults(
    array(select s from maintenance.job_status as s)) as f where f.fault ~ 'alert_monitor'),
  'No job calls alert_monitor, which opens and closes alerts/As the owner: select * from '
  'maintenance.register(''alert_monitor'');', 'a dropped alert_monitor is told');
select count(*) from maintenance.register('alert_monitor');
select is((select count(*) from maintenance_internal.scheduler_faults(
    array(select s from maintenance.job_status as s)) as f where f.fault ~ 'No job calls alert_monitor'), 0::bigint,
  'and its fix cures it');

-- What a slow run has opened an alert for.
insert into maintenance_internal.run (job_id, job_name, trigger, status, started_at, finished_at, stop_reason)
select job_id, job_name, 'manual', 'succeeded', now() - interval '400 seconds', now(), 'done'
from maintenance_internal.job where job_name = 'purge_edits';
select maintenance_internal.watch();
select matches(pg_temp.says('job_slow'), '^failed: purge_edits: its run of .* took 400 s$', 'is in doctor as well');
update maintenance.alert set gone_at = seen_at;
delete from maintenance_internal.run where job_name = 'purge_edits';

-- Statements in words.
select is(maintenance_internal.statements_in(t.advice), t.statements, 'statements in: ' || coalesce(t.advice, 'null'))
from (values
  (null, null),
  ('All is lost.', null),
  ('As a superuser: create extension pg_cron; grant usage on schema cron to o; then, as o: '
    'select * from maintenance.install_schedules();',
    'create extension pg_cron; grant usage on schema cron to o; select * from maintenance.install_schedules();'),
  ('select maintenance.set_schedule(''a;b'', ''* * * * *'');',
  'select maintenance.set_schedule(''a;b'', ''* * * * *'');'),
  ('It says "select; me". call maintenance.run_job(''it''''s; mine'');',
  'call maintenance.run_job(''it''''s; mine'');'),
  ('The table public."b. drop table vic; x" is locked. select 1;', 'select 1;'),
  ('It says ''b. drop table vic; x'': select 1;', 'select 1;'),
  ('Whatever you select is lost; drop it.', null)) as t (advice, statements);

-- Health in a word (S2-24, C-21).
create function pg_temp.health(path text[] default '{overall}') returns text language sql as
$$ select maintenance.system_health() #>> path $$;
update maintenance_internal.job set enabled = false;
select maintenance.set_job('job' || i, 'public.step', description => 'One of a hundred') from generate_series(1,
  100) as i;
create function pg_temp.fail(jobs integer) returns void language sql as $$
  delete from maintenance_internal.run;
  insert into maintenance_internal.run (job_id, job_name, trigger, status, started_at, finished_at, stop_reason, error,
  sqlstate)
  select job_id, job_name, 'schedule', t.status, now(), now(), 'done', t.error, t.error
  from maintenance_internal.job,
    lateral (select case when substr(job_name, 4)::integer <= jobs then 'failed' else 'succeeded' end,
      case when substr(job_name, 4)::integer <= jobs then 'XX000' end) as t (status, error)
  where job_name ~ '^job[0-9]+$' $$;
-- What is wrong with a server without pg_cron is not what is asked here.
create or replace function maintenance_internal.scheduler_faults(p_jobs maintenance.job_status[])
returns table (severity text, fault text, mend text) language sql stable set search_path = pg_catalog, pg_temp
as 'select null::text, null::text, null::text where false';
select pg_temp.fail(0);
select is(pg_temp.health(), 'healthy', 'S2-24: where no job failed it is healthy');
select pg_temp.fail(1);
select is(pg_temp.health(), 'degraded', 'S2-24: one job that failed degrades it');
select pg_temp.fail(20);
select is(pg_temp.health(), 'degraded', 'C-21: so do 20 %');
select pg_temp.fail(21);
select is(pg_temp.health(), 'unhealthy', 'S2-24, C-21: 21 % are unhealthy');
select is(pg_temp.health('{details,jobs}')::jsonb - 'disabled',
  '{"total": 100, "running": 0, "completed": 79, "failed": 21}', 'S2-24: with the numbers');
select pg_temp.fail(0);
select maintenance.configure('disk_capacity_gb', 0.000001);
select is(pg_temp.health(), 'unhealthy', 'C-21: a full disk is unhealthy');
select is(pg_temp.health('{details,checks,disk,status}'), 'critical', 'and named');
select is((maintenance.system_health() -> 'recommendations')::text ~ 'the databases take', true, 'with what to do');
select maintenance.configure('disk_capacity_gb', null::text);
select is(pg_temp.health('{details,checks,disk,status}'), 'unknown', 'C-38: an unknown disk is unknown');
select is(pg_temp.health(), 'healthy', 'and makes nothing worse');
update maintenance.model set enabled = "position" > 1;
create function pg_temp.cool() returns void language sql as $$
insert into maintenance_internal.cool_down (model, class, reason, since, until)
select model, 'fault', 'It fails', maintenance_internal.moment(), maintenance_internal.moment() + interval '1 hour'
from maintenance.model where enabled order by "position" limit 1 $$;
select pg_temp.cool();
select is(pg_temp.health(), 'unhealthy', 'C-21: half of the models down is critical');
update maintenance.model set enabled = true;
select pg_temp.cool();
select is(pg_temp.health(), 'degraded', 'C-21: fewer degrade it');

select * from finish();
rollback;
