-- metrics: each number is the one that the tables have, names and labels are legal and never twice, and what is
-- broken is told and hides nothing else.
begin;
create extension pgtap;
select plan(54);

create function pg_temp.value(name text, labels jsonb default '{}') returns numeric language sql as $$
  select m.value::numeric from maintenance.metrics as m
  where m.name = 'pg_maintenance_' || value.name and m.labels = value.labels $$;
create function pg_temp.has(name text, labels jsonb default '{}') returns bigint language sql as $$
  select count(*) from maintenance.metrics as m
  where m.name = 'pg_maintenance_' || has.name and m.labels @> has.labels $$;
create function pg_temp.errors() returns text language sql as $$
  select string_agg(m.labels ->> 'part', ' ' order by 1) from maintenance.metrics as m
  where m.name = 'pg_maintenance_scrape_error' and m.value <> 0 $$;
create function pg_temp.receipt(name text, status text, ago interval, seconds numeric, changed bigint,
  refused bigint default 0) returns void language sql as $$
  insert into maintenance_internal.run (job_id, job_name, trigger, status, started_at, finished_at, stop_reason,
    rows_affected, rows_refused, error, sqlstate)
  select job_id, job_name, 'schedule', status, now() - ago - seconds * interval '1 second', now() - ago, 'done',
    changed, refused, case when status <> 'succeeded' then 'it broke' end,
    case when status <> 'succeeded' then '23503' end
  from maintenance_internal.job where job_name = name $$;

-- Names, types, labels.
create temporary table seen as select * from maintenance.metrics;
select is((select string_agg(attname || ' ' || format_type(atttypid, null), ', ' order by attnum)
    from pg_attribute where attrelid = 'maintenance.metrics'::regclass and attnum > 0),
  'name text, labels jsonb, value double precision, help text, type text', 'the view has its columns and their types');
select ok(count(*) > 300, 'it has hundreds of samples') from seen;
select is_empty($$select name from maintenance_internal.metric_names()
  where name !~ '^pg_maintenance_[a-z]+(_[a-z]+)*$'$$,
  'every name is one of Prometheus, with our prefix');
select is_empty($$select name from maintenance_internal.metric_names() where type not in ('gauge', 'counter')
  or (type = 'counter') <> (name ~ '_total$')$$, 'every type is gauge or counter, and counters alone end with _total');
select is_empty($$select name from maintenance_internal.metric_names() where name ~ '_(ms|minutes|hours|mb|kb|percent)$'
  or name ~ '_(bytes|seconds|ratio|usd)_'$$, 'units are base units, and stand at the end');
select is_empty($$select name from maintenance_internal.metric_names()
  where coalesce(help, '') = '' or help ~ '[\n\\]'$$,
  'every name has a help of one line');
select is_empty($$select name from maintenance_internal.metric_names() group by name having count(*) > 1$$,
  'every name is there once');
select is_empty($$select name from seen group by name having count(distinct (help, type)) > 1$$,
  'help and type are the same for each row of a name');
select is_empty($$select name, labels from seen group by name, labels having count(*) > 1$$,
  'no name is there twice with the same labels');
select is_empty($$select name, labels from seen where value is null or value = 'NaN'$$, 'no value is missing');
select is_empty($$select name, l.key from seen cross join lateral jsonb_each(labels) as l
  where jsonb_typeof(labels) <> 'object' or jsonb_typeof(l.value) <> 'string' or l.key !~ '^[a-z]+(_[a-z]+)*$'$$,
  'every label is a text with a legal name');
select is_empty($$select distinct l.key from seen cross join lateral jsonb_object_keys(labels) as l (key)
  where l.key <> all (array['carrier', 'cause', 'check_name', 'holder', 'job_name', 'kind', 'model', 'part',
    'schema_name', 'server_version', 'severity', 'state', 'status', 'subject', 'table_name', 'task', 'type', 'unit',
    'version', 'worker'])$$, 'no label is there that the queries of scripts/monitoring leave out');
select is_empty($$select s.name from maintenance_internal.metric_samples() as s
  where 'pg_maintenance_' || s.name not in (select n.name from maintenance_internal.metric_names() as n)$$,
  'no sample is left out for want of a name');
select is(pg_temp.errors(), null, 'nothing is broken at first');

-- What is known.
select is(pg_temp.value('up'), 1::numeric, 'up is 1');
select is((select labels ->> 'version' from seen where name = 'pg_maintenance_info'),
  (select release from maintenance.version() where part = 'engine'), 'info has the release');
create table public.events (id bigint primary key, at timestamptz);
create index on public.events (at);
select maintenance.set_policy('purge', 'public.events', 'delete', 'at', '1 day', schedule => '0 3 * * *',
  description => 'Old events');
insert into public.events select i, now() - interval '25 hours' from generate_series(1, 7) as i;
select is(pg_temp.value('backlog_rows', '{"task": "purge", "job_name": "purge"}'), 7::numeric,
  'what is due is counted');
select is(pg_temp.value('backlog_oldest_seconds', '{"task": "purge", "job_name": "purge"}'), 90000::numeric,
  'and the oldest is 25 hours old');
select is(pg_temp.value('backlog_severity', '{"task": "purge", "job_name": "purge"}'),
  (select array_position(array['ok', 'notice', 'warning', 'critical'], severity) - 1.0
    from public.maintenance_status where task = 'purge')::numeric, 'the severity is that of the status');
select results_eq($$select count(*) from maintenance.metrics where name = 'pg_maintenance_backlog_severity'$$,
  'select count(*) from public.maintenance_status', 'every row of the status is there');

select pg_temp.receipt('purge', 'succeeded', '3 hours', 4, 100, 2);
select pg_temp.receipt('purge', 'succeeded', '30 minutes', 2, 50);
select pg_temp.receipt('purge', 'failed', '10 minutes', 1.5, 3);
select pg_temp.receipt('purge', 'succeeded', '2 days', 9, 1000);
select is(pg_temp.value('job_last_hour_runs', '{"job_name": "purge", "status": "succeeded"}'), 1::numeric,
  'runs of the last hour are counted by how they ended');
select is(pg_temp.value('job_last_day_runs', '{"job_name": "purge", "status": "succeeded"}'), 2::numeric,
  'and those of a day');
select is(pg_temp.value('job_last_hour_rows', '{"job_name": "purge", "status": "succeeded"}'), 50::numeric,
  'their rows, of an hour');
select is(pg_temp.value('job_last_day_rows', '{"job_name": "purge", "status": "succeeded"}'), 150::numeric,
  'and of a day');
select is(pg_temp.value('job_last_day_refused_rows', '{"job_name": "purge", "status": "succeeded"}'), 2::numeric,
  'what was refused');
select is(pg_temp.value('job_last_day_run_seconds', '{"job_name": "purge", "status": "succeeded"}'), 6::numeric,
  'and the time they took');
select is(pg_temp.value('job_last_duration_seconds', '{"job_name": "purge"}'), 1.5::numeric,
  'the last run has its duration');
select is(pg_temp.value('job_last_status', '{"job_name": "purge", "status": "failed"}'), 1::numeric,
  'and how it ended');
select is(pg_temp.value('job_failing', '{"job_name": "purge"}'), 1::numeric, 'the job fails');
select is(round(pg_temp.value('job_last_success_timestamp_seconds', '{"job_name": "purge"}'), 3),
  round(extract(epoch from now() - interval '30 minutes 2 seconds'), 3), 'its last success has a time stamp');
select is(pg_temp.value('job_enabled', '{"job_name": "purge"}'), 1::numeric, 'it is enabled');
select maintenance.disable_job('purge');
select is(pg_temp.value('job_enabled', '{"job_name": "purge"}') + pg_temp.value('job_active', '{"job_name": "purge"}'),
  0::numeric, 'one that is disabled is neither enabled nor active');
select results_eq($$select count(*) from maintenance.metrics where name = 'pg_maintenance_job_enabled'$$,
  'select count(*) from maintenance.job_status', 'every job is there');
delete from maintenance_internal.run where job_name = 'tick';
select is(pg_temp.value('tick_age_seconds'), 'Infinity'::numeric, 'a tick that never ran is infinitely old');
select pg_temp.receipt('tick', 'succeeded', '5 minutes', 60, 0);
select is(pg_temp.value('tick_age_seconds'), 360::numeric, 'one that did has its age');

-- A pause.
select is(pg_temp.value('paused') + pg_temp.value('stopped') + pg_temp.value('paused_seconds'), 0::numeric,
  'nothing is paused');
update maintenance_internal.control set paused_at = now() - interval '2 days', paused_by = 'me', paused_for = 'a test';
select is(pg_temp.value('paused_seconds'), 172800::numeric, 'a pause has its length');
update maintenance_internal.control set stopped_at = now();
select is(pg_temp.value('paused') + pg_temp.value('stopped'), 2::numeric, 'a stop is a pause, too');
update maintenance_internal.control set paused_at = null, stopped_at = null;

-- Tasks, models, workers, alerts.
delete from maintenance.task;
insert into maintenance.task (kind, subject, state, available_at, due_at, finished_at, last_error, last_class)
select (select min(kind) from maintenance.kind), 'secret-of-' || state || i, state, now() - interval '20 minutes',
  now() - interval '30 minutes', case when state <> 'ready' then now() - interval '10 minutes' end, 'x', 'x'
from unnest(array['ready', 'dead', 'succeeded']) as state, generate_series(1, 3) as i;
update maintenance.task set available_at = now() + interval '1 hour' where subject = 'secret-of-ready3';
select results_eq($$select labels ->> 'state', value::numeric from maintenance.metrics
    where name = 'pg_maintenance_tasks'
    and labels ->> 'kind' = (select min(kind) from maintenance.kind) order by 1$$,
  $$values ('dead', 3::numeric), ('leased', 0), ('quarantined', 0), ('ready', 3)$$,
  'tasks are counted by state');
select is(pg_temp.value('tasks_due', jsonb_build_object('kind', (select min(kind) from maintenance.kind))),
  2::numeric, 'those that are due are, too');
select cmp_ok(pg_temp.value('tasks_oldest_due_seconds',
  jsonb_build_object('kind', (select min(kind) from maintenance.kind))), '>=', 1800::numeric,
  'and the oldest of them has its age');
select is(pg_temp.value('tasks_last_hour', jsonb_build_object('kind', (select min(kind) from maintenance.kind),
  'state', 'succeeded')), 3::numeric, 'what ended within the hour is counted');
insert into maintenance.model_day
  (day, model, kind, calls, answered, input_tokens, output_tokens, cached_tokens, cost_usd)
values ((now() at time zone 'America/Los_Angeles')::date, 'm', 'k', 5, 4, 300, 20, 100, 0.25),
  ((now() at time zone 'America/Los_Angeles')::date - 1, 'm', 'k', 50, 40, 300, 20, 100, 9);
select results_eq($$select replace(name, 'pg_maintenance_model_today_', '') || coalesce(' ' || (labels ->> 'type'), ''),
    value::numeric from maintenance.metrics where name ~ 'model_today' and labels ->> 'model' = 'm'
  order by 1$$,
  $$values ('answered', 4::numeric), ('calls', 5), ('cost_usd', 0.25), ('tokens cached', 100),
    ('tokens input', 300), ('tokens output', 20)$$, 'what a model did today is told, without yesterday');
select is(pg_temp.has('model_state'), (select count(*) from maintenance.model), 'every model has a state');
insert into maintenance.worker (worker, rss_bytes, heap_bytes, started_at, seen_at)
values ('host:1', 9e7, 4e7, now() - interval '1 hour', now() - interval '1 minute'),
  (E'"}\n# HELP \\ \'); drop', null, null, null, now() - interval '1 hour'),
  ('gone', 1, 1, now(), now() - interval '2 days');
select is(pg_temp.value('workers'), 1::numeric, 'a worker that was seen is counted');
select is(pg_temp.value('worker_heap_bytes', '{"worker": "host:1"}'), 4e7::numeric, 'its heap is told');
select is(pg_temp.has('worker_seen_seconds', '{"worker": "gone"}'), 0::bigint, 'one that is long gone is left out');
select is(pg_temp.has('worker_seen_seconds', jsonb_build_object('worker', E'"}\n# HELP \\ \'); drop')), 1::bigint,
  'a hostile name is a label like any other');
delete from maintenance.alert;
insert into maintenance.alert (cause, subject, severity, description, opened_at, seen_at, silenced_until)
values ('job_failing', 'purge', 'warning', 'secret', now() - interval '1 hour', now(), null),
  ('health', 'disk', 'critical', 'secret', now(), now(), null),
  ('health', 'vacuum', 'critical', 'secret', now(), now(), now() + interval '1 hour');
select results_eq($$select name, labels ->> 'severity', value::numeric from maintenance.metrics
    where name ~ '^pg_maintenance_alerts(_silenced)?$' order by 1, 2$$,
  $$values ('pg_maintenance_alerts', 'critical', 1::numeric), ('pg_maintenance_alerts', 'warning', 1),
    ('pg_maintenance_alerts_silenced', null, 1)$$, 'alerts are counted by severity, silent ones apart');
select is(pg_temp.value('alert_open_seconds', '{"cause": "job_failing", "subject": "purge", "severity": "warning"}'),
  3600::numeric, 'an alert has its age');

-- What is broken is told, and hides nothing.
alter table public.events rename column at to happened_at;
select results_eq($$select pg_temp.errors(),
    pg_temp.value('backlog_severity', '{"task": "purge", "job_name": "purge"}'),
    pg_temp.has('backlog_rows', '{"task": "purge"}'),
    (select count(*) from maintenance.metrics where name = 'pg_maintenance_backlog_severity'
      and value = 3 and labels ? 'job_name')$$,
  $$values ('backlog', 3::numeric, 0::bigint, 1::bigint)$$, 'a broken rule is critical, and no other');
alter table public.events rename column happened_at to at;
create function pg_temp.scrape_broken(statement text) returns text language plpgsql as $$
declare v text;
begin
  execute statement;
  select format('%s: %s of %s parts', pg_temp.errors(), count(distinct labels ->> 'part'),
    sum(case when name = 'pg_maintenance_scrape_error' then 1 end)) into v
  from maintenance.metrics where name in ('pg_maintenance_scrape_error', 'pg_maintenance_scrape_seconds');
  raise exception using errcode = 'ZZ000', message = v;
exception when sqlstate 'ZZ000' then
  return v;
end $$;
select is(pg_temp.scrape_broken('alter table maintenance.worker rename column rss_bytes to other'),
  'health workers: 17 of 17 parts', 'what cannot be read breaks its own part alone');

-- No row's text; and who may read it.
select is_empty($$select name, labels from maintenance.metrics where labels::text ~ 'secret'$$,
  'no label has a subject of a task, or the text of an alert');
grant maintenance_viewer to current_user;
create temporary table mine as select distinct name from maintenance.metrics;
grant select on mine to maintenance_viewer;
set local role maintenance_viewer;
set transaction read only;
select results_eq($$select distinct name from maintenance.metrics where name !~ 'vacuum_holder_' order by 1$$,
  $$select name from mine where name !~ 'vacuum_holder_' order by 1$$,
  'a viewer reads all of it, in a read-only transaction');
select * from finish();
rollback;
