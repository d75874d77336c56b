-- maintenance_status: every backlog a row, true counts, no row hidden by another's fault.
begin;
create extension pgtap;
select plan(27);

select columns_are('public', 'maintenance_status', array['task', 'count', 'description', 'severity',
  'oldest', 'job_name', 'schedule', 'active', 'last_run_at', 'last_status', 'next_run_at', 'advice']);
select is((select string_agg(attname || ' ' || format_type(atttypid, null), ', ' order by attnum)
    from pg_attribute where attrelid = 'public.maintenance_status'::regclass and attnum > 0),
  'task text, count bigint, severity text, oldest timestamp with time zone, '
  'next_run_at timestamp with time zone, advice text, job_name text, schedule text, active boolean, '
  'last_run_at timestamp with time zone, last_status text, description text',
  'maintenance_status has its columns and their types in order');
select is_empty($$select unnest(array['stuck_runs', 'old_temp_uploads', 'old_raw_items', 'old_import_jobs',
  'expired_sessions'])
  except select task from public.maintenance_status$$, 'the status has the shipped backlogs');

create table public.events (id bigint primary key, at timestamptz);
create index on public.events (at);
select maintenance.set_policy('purge', 'public.events', 'delete', 'at', '1 day', schedule => '0 3 * * *',
  description => 'Old events');
create function pg_temp.row(name text) returns public.maintenance_status language sql
as $$ select s from public.maintenance_status s where s.task = name $$;

select results_eq($$select count, severity, description, oldest, advice from pg_temp.row('purge')$$,
  $$values (0::bigint, 'ok', 'Old events', null::timestamptz, null::text)$$, 'a job with nothing due is ok');
insert into public.events select i, now() - interval '26 hours' - i * interval '1 second' from generate_series(1, 10) i;
select results_eq($$select count, oldest from pg_temp.row('purge')$$,
  $$values (10::bigint, now() - interval '26 hours 10 seconds')$$, 'due rows are counted, and the oldest is told');

select to_regclass('cron.job') is null as no_cron \gset
\if :no_cron
select is((pg_temp.row('purge')).severity, 'warning', 'a job with due rows that is not scheduled here is a warning');
select ok((pg_temp.row('purge')).advice
    like 'Not fired: not scheduled here: pg_cron%call maintenance.run_job(''purge'');',
  'the advice says why a job is not scheduled');
select pass('no pg_cron here') from generate_series(1, 6);
\else
select is((pg_temp.row('purge')).severity, 'notice', 'a job with due rows that its schedule will take is a notice');
select is((pg_temp.row('purge')).advice, null, 'a job with due rows that its schedule will take has no advice');
select is((pg_temp.row('purge')).next_run_at, maintenance.next_run_at('0 3 * * *', now()),
  'the status tells the next run of a job');
select maintenance.disable_job('purge');
select results_eq($$select severity, active, advice from pg_temp.row('purge')$$,
  $$values ('warning', false, 'Disabled. select maintenance.enable_job(''purge'');')$$,
    'a disabled job with a backlog is a warning');
select maintenance.enable_job('purge');
update public.events set at = at - interval '3 days';
select is((pg_temp.row('purge')).severity, 'notice', 'a new rule is not behind before it was fired once');
update maintenance_internal.job set promised_at = now() - interval '3 days' where job_name = 'purge';
select set_config('maintenance.fake_now', (now() + interval '3 minutes')::text, true); -- the server has just started
select ok((pg_temp.row('purge')).advice ~ '^No run since .*, when one was due: see jobs_late. call maintenance.run_job',
  'a job that was not fired is late');
select set_config('maintenance.fake_now', '', true);
insert into maintenance_internal.run (job_id, job_name, trigger, status, started_at, finished_at, stop_reason)
select job_id, job_name, 'schedule', 'succeeded', now(), now(),
  'budget' from maintenance_internal.job where job_name = 'purge';
select is((pg_temp.row('purge')).severity, 'warning', 'rows that two firings should have taken are a warning');
select is((pg_temp.row('purge')).advice, 'Behind its schedule. select * from maintenance.preview(''purge'');',
  'a job that is behind its schedule has advice');
\endif

insert into public.events select i, now() - interval '26 hours' from generate_series(11, 12000) i;
select is((pg_temp.row('purge')).count, 10000::bigint, 'the count of due rows is capped at 10000');
select is((pg_temp.row('purge')).description, 'Old events; at least 10000',
  'the description says that the count is capped');

create table public.lines (id bigint references public.events);
insert into public.lines values (1);
select maintenance.run_now('purge');
select ok((pg_temp.row('purge')).severity = 'warning' and (pg_temp.row('purge')).last_status = 'failed',
  'a failed last run is a warning');
select ok((pg_temp.row('purge')).advice like 'The last run failed: SQLSTATE 23503, constraint %call '
  'maintenance.run_job(''purge'');', 'the advice says what failed');

alter table public.events rename column at to happened_at;
select is((pg_temp.row('purge')).severity, 'critical', 'a broken rule is critical');
select ok((pg_temp.row('purge')).description like '%cannot be counted: column %at%does not exist (SQLSTATE 42703)',
  'the description of a job with a broken rule shows the error');
select is((pg_temp.row('purge')).count, null, 'a job with a broken rule has no count');
select is((select count(*) from public.maintenance_status where severity = 'critical' and job_name <> ''), 1::bigint,
  'a broken rule makes no other row of the status critical');

insert into public.temp_uploads (created_at) values (now() - interval '25 hours');
grant maintenance_viewer to current_user;
set local role maintenance_viewer;
select is((select count from public.maintenance_status where task = 'old_temp_uploads'), 1::bigint,
  'a viewer sees true counts');
select is_empty($$select table_schema, table_name from information_schema.role_table_grants
  where grantee = 'maintenance_viewer' and (table_schema, table_name) not in (('public', 'maintenance_status'),
    ('maintenance', 'job_status'), ('maintenance', 'run_history'), ('maintenance', 'edit'),
      ('maintenance', 'index_health'), ('maintenance', 'table_bloat'), ('maintenance', 'todo'),
      ('maintenance', 'setting'),      ('maintenance', 'model_status'), ('maintenance', 'active_failovers'),
      ('maintenance', 'task_events'),
      ('maintenance', 'alert'), ('maintenance', 'worker'), ('maintenance', 'vacuum_holders'),
      ('maintenance', 'metrics'), ('maintenance', 'weekly_report'), ('maintenance', 'upkeep'),
      ('public', 'health_check_statistics'), ('public', 'usage_analysis_statistics'),
      ('public', 'backup_statistics'), ('public', 'backups'), ('public', 'daily_usage_reports'),
      ('public', 'monthly_usage_reports'), ('public', 'retention_policies'))$$,
  'a viewer has no right on any table');
reset role;
create function pg_temp.cost(query text) returns numeric language plpgsql as
$$ declare v json; begin execute 'explain (format json) ' || query into v; return v #>> '{0,Plan,Total Cost}'; end $$;
select ok(pg_temp.cost('select * from maintenance.job_status') < current_setting('jit_above_cost')::numeric,
  'job_status is planned without JIT, which would take longer than all the rest');
select ok((select proconfig @> '{jit=off}' from pg_proc where oid = 'maintenance_internal.backlog()'::regprocedure),
  'the function that counts due rows runs without JIT');
set transaction read only;
select lives_ok('select * from public.maintenance_status', 'maintenance_status works in a read-only transaction');
select lives_ok('select * from maintenance.job_status', 'job_status works in a read-only transaction');
select * from finish();
rollback;
