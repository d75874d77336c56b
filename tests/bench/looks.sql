-- :jobs jobs, two fifths of them policies, and :receipts receipts, most of them of one job; pg_cron has
-- fired :firings statements (tests/bench/cron.sql). Then the pages that each look reads, a job, the
-- second time in a session; and how long a tick takes.
create table public.t (at timestamptz);
create index on public.t (at);
create function public.step(batch_size integer) returns bigint language sql return 0;
\o /dev/null
select maintenance.set_policy('policy_' || i, 'public.t', 'delete', 'at', '1 day', schedule => '0 3 * * *')
from generate_series(1, 2 * :jobs / 5) as i;
select maintenance.set_job('function_' || i, 'public.step', '0 3 * * *') from generate_series(1, 2 * :jobs / 5) as i;
select maintenance.set_statement('statement_' || i, 'analyze public.t', '0 3 * * *')
from generate_series(1, :jobs / 5) as i;
select maintenance.install_schedules();
insert into maintenance_internal.run (job_id, job_name, trigger, slot, status, started_at, finished_at, stop_reason)
select j.job_id, j.job_name, 'schedule', r.at, 'succeeded', r.at, r.at, 'done'
from (select i, now() - i * interval '1 minute' as at from generate_series(1, :receipts) as i) as r
join (select *, row_number() over (order by job_id desc) as n, count(*) over () as jobs
  from maintenance_internal.job) as j
  on j.n = case when r.i % 10 = 0 then 1 + r.i / 10 % j.jobs else 1 end;
select public.fire(:firings);
call maintenance.tick();
\o
vacuum analyze;
-- What the tick does, in one transaction.
create function public.tick() returns void language plpgsql as $$
begin
  perform maintenance_internal.tick_step(step, '[]') from unnest('{record_statements,signal_runs,close_dead_runs,
    record_schedule_edits,find_missed}'::text[]) as step;
  perform maintenance_internal.note_visit(maintenance_internal.tick_statement());
end $$;
create function public.milliseconds(look text) returns numeric language plpgsql as $$
declare
  v_began timestamptz;
  v_took numeric[];
begin
  for i in 1 .. 9 loop
    v_began := clock_timestamp();
    execute look;
    v_took := v_took || extract(epoch from clock_timestamp() - v_began) * 1000;
  end loop;
  return (select percentile_cont(0.5) within group (order by t) from unnest(v_took) as t);
end $$;
create function public.pages(look text) returns numeric language plpgsql as $$
declare
  plan json;
begin
  execute look;
  execute 'explain (analyze, buffers, timing off, format json) ' || look into plan;
  return (plan #>> '{0,Plan,Shared Hit Blocks}')::numeric + (plan #>> '{0,Plan,Shared Read Blocks}')::numeric;
end $$;
select l.name, round(public.pages(l.look) / (select count(*) from maintenance_internal.job), 1)
from (values ('maintenance_status', 'select * from public.maintenance_status'),
  ('job_status', 'select * from maintenance.job_status'), ('tick', 'select public.tick()'),
  ('alert_monitor', 'select * from maintenance_internal.alert_causes()'),
  ('statistics_of_a_week', 'select * from maintenance.job_statistics(''7 days'')')) as l (name, look)
union all
select 'tick_ms', round(public.milliseconds('select public.tick()'), 1)
union all
select 'alert_monitor_ms', round(public.milliseconds('select maintenance_internal.watch()'), 1)
union all
select 'statistics_of_a_week_ms',
  round(public.milliseconds('select count(*) from maintenance.job_statistics(''7 days'')'), 1);
