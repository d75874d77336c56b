-- A database in which something is to be seen in every panel: rows that are due, a run that went well, one that
-- failed, a rule that is broken, tasks in all states, a model that was asked, a worker, alerts, dead rows.
set client_min_messages = error;

create table public.events (id bigint primary key, at timestamptz);
create index on public.events (at);
create table public.lines (id bigint references public.events);
select maintenance.set_policy('monitored', 'public.events', 'delete', 'at', '1 day', matching => 'id <= 7',
  description => 'Seven old events');
select maintenance.set_policy('purged', 'public.events', 'delete', 'at', '1 day', matching => 'id between 11 and 15',
  description => 'Five old events');
select maintenance.set_policy('refused', 'public.events', 'delete', 'at', '1 day', matching => 'id = 20',
  description => 'One that is still named');
insert into public.events select i, now() - interval '26 hours' from generate_series(1, 20) as i;
insert into public.lines values (20);
call maintenance.run_job('purged');
select maintenance.run_now('refused');
create table public.renamed (id bigint primary key, at timestamptz);
create index on public.renamed (at);
select maintenance.set_policy('broken', 'public.renamed', 'delete', 'at', '1 day', description => 'A rule that broke');
alter table public.renamed rename column at to happened_at;

create table public."bloat""ed \ {}" (id integer, pad text) with (autovacuum_enabled = off);
insert into public."bloat""ed \ {}" select i, repeat('x', 100) from generate_series(1, 5000) as i;
update public."bloat""ed \ {}" set pad = repeat('y', 100) where id <= 3000;
analyze public."bloat""ed \ {}";

insert into maintenance.task (kind, subject, state, available_at, due_at, finished_at, last_error)
select k.kind, 'nobody/' || s.state || i, s.state, now() - interval '10 minutes', now() - interval '10 minutes',
  case when s.state in ('dead', 'succeeded') then now() - interval '5 minutes' end, 'x'
from (select min(kind) as kind from maintenance.kind) as k
cross join (values ('ready', 3), ('dead', 2), ('succeeded', 4)) as s (state, tasks)
cross join generate_series(1, s.tasks) as i;
update maintenance.model set per_day = 100 where model = (select min(model) from maintenance.model);
insert into maintenance.model_day
  (day, model, kind, calls, answered, input_tokens, output_tokens, cached_tokens, cost_usd)
select (now() at time zone 'America/Los_Angeles')::date, min(model), 'k', 5, 4, 300, 20, 100, 0.25
from maintenance.model;
insert into maintenance.worker (worker, rss_bytes, heap_bytes, started_at, seen_at)
values ('host:1', 90000000, 40000000, now() - interval '1 hour', now()),
  (E'"} 1\n# HELP \\ {x="', 1, 1, now(), now());

call maintenance.tick();
call maintenance.alert_monitor();
delete from maintenance.alert;
insert into maintenance.alert (cause, subject, severity, description, opened_at, seen_at)
values ('job_failing', 'refused', 'warning', 'it is named', now() - interval '1 hour', now()),
  ('health', E'a "quoted"\nsubject', 'critical', 'it is full', now() - interval '1 minute', now());

select format('create role %I login password %L', :'monitor', :'password') \gexec
grant maintenance_viewer to :"monitor";
