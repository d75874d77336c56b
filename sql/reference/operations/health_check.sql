-- How the system is, every five minutes, on a receipt: so that it can be said afterwards when it
-- was not well, and for how long. What is critical calls somebody by way of alert_monitor. Rules
-- S2-02, S2-27.

create function public.health_check_step(batch_size integer)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_began constant timestamptz := clock_timestamp();
  v_health constant jsonb := maintenance.system_health();
  v_models jsonb;
begin
  -- By their last calls: how many failed in a row, and how long those took that were answered.
  select coalesce(jsonb_object_agg(m.model, jsonb_build_object('calls', c.calls,
    'failuresInARow', c.failures_in_a_row, 'avgResponseMs', c.response_ms, 'lastAnswer',
    to_char(c.answered_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))), '{}')
  into v_models
  from maintenance.model as m
  cross join lateral (
    select count(*) as calls,
      count(*) filter (where l.failed and l.answered_before = 0) as failures_in_a_row,
      round(avg(extract(epoch from l.duration) * 1000) filter (where not l.failed)) as response_ms,
      max(l.settled_at) filter (where not l.failed) as answered_at
    from (
      select r.*, count(*) filter (where not r.failed)
        over (order by r.created_at desc, r.call_id desc) as answered_before
      from (
        select o.*, o.outcome not in
          ('succeeded', 'quarantined', 'bad_output', 'stale', 'blocked') as failed
        from maintenance.model_call as o
        where o.model = m.model and o.settled_at is not null
          and o.outcome not in ('unasked', 'released')
          and o.created_at > maintenance_internal.clock() - interval '1 hour'
        order by o.created_at desc
        limit 100
      ) as r
    ) as l
  ) as c
  where m.enabled;
  perform maintenance.add_details(jsonb_build_object(
    'overall', v_health -> 'overall',
    'checks', (
      select jsonb_object_agg(c.key, c.value - 'detail')
      from jsonb_each(v_health #> '{details,checks}') as c),
    'scheduler', v_health #> '{details,scheduler}',
    'jobs', v_health #> '{details,jobs}',
    'models', v_models,
    'databaseBytes', v_health #> '{details,databaseBytes}',
    'uptime', v_health #> '{details,uptime}',
    'ms', round(1000 * extract(epoch from clock_timestamp() - v_began)),
    'recommendations', v_health -> 'recommendations'));
  return 0;
end
$$;

comment on function public.health_check_step(integer) is
  'Step of health_check (S2-02): leaves maintenance.system_health() on the receipt, as overall, '
  'checks, scheduler, jobs and recommendations, and of each model the calls of an hour, how many '
  'of the last have failed in a row, how long answers took, and when the last one came.';

create view public.health_check_statistics as
select s.job_name, s.last_status as status, s.last_run_at, s.last_success_at, s.last_ms,
  s.runs as run_count, s.succeeded as success_count, s.failed as failure_count,
  h.healthy, h.degraded, h.unhealthy, h.last_overall,
  round(100.0 * (h.healthy + h.degraded) / nullif(h.healthy + h.degraded + h.unhealthy, 0), 2)
    as uptime_percent
from maintenance.job_statistics('30 days') as s
cross join lateral (
  select count(*) filter (where r.details ->> 'overall' = 'healthy') as healthy,
    count(*) filter (where r.details ->> 'overall' = 'degraded') as degraded,
    count(*) filter (where r.details ->> 'overall' = 'unhealthy') as unhealthy,
    (array_agg(r.details ->> 'overall' order by r.started_at desc))[1] as last_overall
  from maintenance.run_history as r
  where r.job_name = s.job_name and r.status = 'succeeded'
    and r.started_at > maintenance_internal.clock() - interval '30 days'
) as h
where s.job_name = 'health_check';

comment on view public.health_check_statistics is
  'How the health checks of 30 days went, and what they found: one row (S2-27).';
comment on column public.health_check_statistics.job_name is 'health_check';
comment on column public.health_check_statistics.status is 'how the last one ended';
comment on column public.health_check_statistics.last_run_at is 'when it began';
comment on column public.health_check_statistics.last_success_at is
  'when the last one began that succeeded';
comment on column public.health_check_statistics.last_ms is 'how long the last one took, in ms';
comment on column public.health_check_statistics.run_count is 'checks';
comment on column public.health_check_statistics.success_count is
  'those that came to a result, whichever';
comment on column public.health_check_statistics.failure_count is 'those that did not';
comment on column public.health_check_statistics.healthy is 'those that found all well';
comment on column public.health_check_statistics.degraded is 'those that found a warning';
comment on column public.health_check_statistics.unhealthy is
  'those that found something critical';
comment on column public.health_check_statistics.last_overall is 'what the last one found';
comment on column public.health_check_statistics.uptime_percent is
  'the share of those that found nothing critical, in percent';
