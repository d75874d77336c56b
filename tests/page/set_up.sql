-- A week of a lively database, in a copy of the template: rows that are due, receipts of every kind, tasks and what
-- they cost, alerts; and a name that is a script wherever a name can be one. Nothing in it is left to chance.
\set hostile '<script>alert(1)</script>"''&'
\set long 'a_name_that_goes_on_and_on_and_on_without_a_single_blank_to_break_it_at_whatever_the_width_may_be'
begin;
set client_min_messages = error;

-- How much one day differs from another: from 0 to 1, the same each time.
create function pg_temp.noise(seed text) returns numeric language sql immutable
return (abs(hashtext(seed)) % 1000) / 1000.0;
-- What a real pg_cron has left is not in the way.
delete from maintenance_internal.run;

-- Receipts: what is fired every minute, every hour, every night.
insert into maintenance_internal.run
  (job_id, job_name, trigger, slot, status, started_at, finished_at, stop_reason, batches)
select j.job_id, j.job_name, 'schedule', at, 'succeeded', at, at + (8 + 30 * pg_temp.noise(at::text)) * interval '1 ms',
  'done', 1
from maintenance_internal.job as j,
  generate_series(date_trunc('minute', now()) - interval '8 days', now() - interval '1 minute',
    interval '1 minute') as at
where j.job_name in ('tick', 'run_late');
insert into maintenance_internal.run (job_id, job_name, trigger, slot, status, started_at, finished_at, rows_affected,
  batches, stop_reason, details)
select j.job_id, j.job_name, 'schedule', at, 'succeeded', at + interval '1 second',
  at + interval '1 second' + n * interval '9 seconds', (n * 400)::integer, 1, 'done', '{}'
from maintenance_internal.job as j,
  generate_series(date_trunc('hour', now()) - interval '8 days', now() - interval '2 minutes', interval '1 hour') as at,
  pg_temp.noise(j.job_name || at) as n
where j.schedule = '0 * * * *' and not (j.job_name = 'trigger_posts' and at > now() - interval '3 days');
insert into maintenance_internal.run (job_id, job_name, trigger, slot, status, started_at, finished_at, rows_affected,
  batches, stop_reason, details)
select j.job_id, j.job_name, 'schedule', at, 'succeeded', at, at + much * interval '3 minutes',
  case when j.kind = 'policy' and d.n <> 3 then (much * much * 90000)::integer else 0 end, 12, 'done',
  case when j.kind = 'policy' then jsonb_build_object('bytes_before',
    (400 + 40 * d.n * much)::integer * 1048576::bigint,
    'bytes_after', (390 + 10 * d.n * much)::integer * 1048576::bigint, 'left', 0) else '{}' end
from maintenance_internal.job as j,
  generate_series(0, 7) as d (n),
  lateral (select date_trunc('day', now()) - d.n * interval '1 day' + interval '3 hours' as at) as t,
  lateral pg_temp.noise(j.job_name || d.n) as e (much)
where j.schedule like '0 3 * * *' and at < now() - interval '10 minutes';

-- What went wrong.
create function pg_temp.fail(job text, ago interval, status text, reason text, error text, sqlstate text,
  attempt integer default 1)
returns void language sql as $$
  insert into maintenance_internal.run
    (job_id, job_name, trigger, attempt, status, due_at, started_at, finished_at, stop_reason, error, sqlstate,
    error_detail)
  select coalesce(j.job_id, 0), n, case attempt when 1 then 'schedule' else 'retry' end, attempt, status, now() - ago,
    now() - ago, now() - ago + interval '4 seconds', reason, error, sqlstate,
    '{"message": "the text of somebody''s row"}'
  from unnest(array[job]) as n left join maintenance_internal.job as j on j.job_name = n $$;
select pg_temp.fail('cleanup_old_raw_items', i * interval '24 hours' + interval '90 minutes', 'failed', 'error',
  'SQLSTATE 23503, constraint review_item_id_fkey of table review', '23503') from generate_series(0, 3) as i;
select pg_temp.fail('trigger_posts', i * interval '1 hour' + interval '13 minutes', 'failed', 'error',
  'SQLSTATE P0001', 'P0001', 1 + i % 3) from generate_series(0, 60) as i;
select pg_temp.fail('compact_old_import_jobs', interval '17 hours', 'timeout', 'timeout',
    'canceling statement due to statement timeout (SQLSTATE 57014)', '57014'),
  pg_temp.fail('purge_tasks', interval '31 hours', 'interrupted', 'backend_gone', null, null),
  pg_temp.fail('cleanup_temp_uploads', interval '50 hours', 'cancelled', 'cancelled', null, null),
  pg_temp.fail('purge_edits', interval '9 hours', 'skipped', 'too_late',
    'its window closed before it could begin', 'PM016'),
  pg_temp.fail(:'hostile', interval '2 hours', 'failed', 'error', :'hostile' || ' of table ' || :'long', '23514'),
  pg_temp.fail(:'long', interval '5 days', 'failed', 'error', 'canceling statement due to lock timeout', '55P03')
\g /dev/null

-- Rules with rows that are due, of tables with names of their own.
create table public.audit_log (id bigint generated always as identity, at timestamptz);
insert into public.audit_log (at) select now() - interval '100 days' - i * interval '1 minute'
from generate_series(1, 12000) as i;
create table public.:"hostile" (id bigint generated always as identity, at timestamptz);
insert into public.:"hostile" (at) select now() - interval '3 days' from generate_series(1, 321);
select maintenance.set_policy('purge_audit', 'public.audit_log', 'delete', 'at', '90 days', schedule => '30 2 * * *',
  description => 'Entries of the audit log, which have to be kept for 90 days');
select maintenance.set_policy('purge_hostile', format('public.%I', :'hostile')::regclass, 'delete', 'at', '1 day',
  description => 'Rows of ' || :'hostile');
update maintenance_internal.job set backlog_name = :'hostile' where job_name = 'purge_hostile';
select maintenance.set_policy('purge_broken', 'public.audit_log', 'delete', 'at', '1 day');
update maintenance_internal.policy set matching = 'no_such_column > 0' where job_id = (
  select job_id from maintenance_internal.job where job_name = 'purge_broken');
insert into maintenance_internal.run
  (job_id, job_name, trigger, status, started_at, finished_at, rows_affected, batches, stop_reason, details)
select j.job_id, j.job_name, 'manual', 'succeeded', now() - i * interval '20 hours', now() - i * interval '20 hours'
  + interval '2 minutes', 2500, 3, 'done', jsonb_build_object('bytes_before', 90000000 + i * 9000000,
  'bytes_after', 85000000 + i * 9000000)
from maintenance_internal.job as j, generate_series(1, 4) as i
where j.job_name in ('purge_audit', 'purge_hostile');
-- And of what ships.
with somebody as (insert into public.users (name) values ('Somebody') returning id)
insert into public.sessions (user_id, token, expires_at)
select u.id, 'token ' || i, now() - interval '30 minutes' from somebody as u, generate_series(1, 240) as i;

-- Tasks, what they cost, and models.
insert into maintenance.kind (kind, instruction, response_schema, subjects, prepare, apply)
values (:'hostile', 'Do.', '{}', 'a', 'b', 'c');
insert into maintenance.task (kind, subject, state, finished_at, last_error, last_class, created_at)
select k.kind, 'subject ' || i, s.state, case when s.state <> 'ready' then now() - i * interval '1 minute' end,
  'nobody reads this text', 'invalid', now() - interval '2 hours'
from unnest(array['consolidate_memories', 'archive_session', :'hostile']) as k (kind),
  (values ('ready', 14), ('dead', 2), ('succeeded', 410), ('skipped', 33)) as s (state, tasks),
  generate_series(1, s.tasks) as i;
insert into maintenance.model (model, position) values (:'hostile', 99);
insert into maintenance_internal.cool_down (model, kind, class, reason, until, since)
select :'hostile', '*', 'refused', 'It refuses ' || :'hostile', now() + interval '3 hours', now();
insert into maintenance.model_day (day, model, kind, calls, answered, input_tokens, output_tokens, cost_usd,
  unknown_cost)
select (now() at time zone 'America/Los_Angeles')::date - d, m.model, k.kind, 40 + d, 38, 120000 + 1000 * d, 9000,
  0.07 * pg_temp.noise(k.kind || d) * case d when 4 then 900 when 5 then 0.001 else 1 end,
    (m.model = :'hostile')::integer
from generate_series(0, 9) as d,
  unnest(array['gemini-3.5-flash-lite', :'hostile']) as m (model),
  unnest(array['consolidate_memories', 'archive_session', :'hostile']) as k (kind)
where d <> 2;

insert into maintenance.alert (cause, subject, severity, description, advice, opened_at, seen_at, silenced_until) values
  ('job_failing', 'trigger_posts', 'critical', 'trigger_posts has failed 61 times in a row',
    'See its error, then: call maintenance.run_job(''trigger_posts'');', now() - interval '60 hours', now(), null),
  ('backlog_growing', :'hostile', 'warning', 'The backlog of ' || :'hostile' || ' grows', :'hostile',
    now() - interval '5 hours', now() - interval '4 hours', null),
  ('job_slow', 'compact_old_import_jobs', 'warning', 'It takes three times as long as a week ago', null,
    now() - interval '30 hours', now(), now() + interval '2 days');
commit;
