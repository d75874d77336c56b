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
  v_since constant timestamptz := maintenance_internal.clock() - interval '1 hour';
  v_health constant jsonb := maintenance.system_health();
  v_models record;
begin
  -- By their last calls, those of the worker and those of the application: how many failed in a
  -- row, and how long those took that were answered.
  with call as (
    select c.model, c.created_at as at, c.outcome not in
        ('succeeded', 'quarantined', 'bad_output', 'stale', 'blocked') as failed,
      1000 * extract(epoch from c.duration) as ms
    from maintenance.model_call as c
    where c.created_at > v_since and c.settled_at is not null
      and c.outcome not in ('unasked', 'released')
    union all
    select l.model_used, l.timestamp, not l.success, l.latency_ms
    from public.api_usage_logs as l
    where l.timestamp > v_since and l.timestamp <= maintenance_internal.clock()
      and l.call_id is null and not l.cached
  ),
  model as (
    select m.model, count(c.model) as calls,
      count(*) filter (where c.failed and c.answered_later = 0) as failures,
      round(avg(c.ms) filter (where not c.failed)) as ms,
      max(c.at) filter (where not c.failed) as answered_at
    from maintenance.model as m
    left join (
      select o.*, count(*) filter (where not o.failed)
        over (partition by o.model order by o.at desc, o.failed) as answered_later
      from call as o
    ) as c on c.model = m.model
    where m.enabled
    group by m.model
  )
  select count(*) as number, count(*) filter (where m.failures >= 3) as failing,
    coalesce(jsonb_object_agg(m.model, jsonb_strip_nulls(jsonb_build_object('calls', m.calls,
      'failuresInARow', m.failures, 'avgResponseMs', m.ms, 'lastAnswer',
      to_char(m.answered_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))))
      filter (where m.calls > 0), '{}') as told,
    coalesce(jsonb_agg(format('The last %s calls of %s have failed: select * from '
      'public.api_usage_logs where model_used = %L order by timestamp desc limit 10;', m.failures,
      m.model, m.model) order by m.model) filter (where m.failures >= 3), '[]') as advice
  into v_models
  from model as m;

  perform maintenance.add_details(jsonb_build_object(
    'overall', case
      when v_health ->> 'overall' = 'unhealthy'
        or v_models.failing > 0 and 2 * v_models.failing >= v_models.number then 'unhealthy'
      when v_models.failing > 0 then 'degraded'
      else v_health ->> 'overall'
    end,
    'checks', (
      select jsonb_object_agg(c.key, c.value - 'detail')
      from jsonb_each(v_health #> '{details,checks}') as c),
    'scheduler', v_health #> '{details,scheduler}',
    'jobs', v_health #> '{details,jobs}',
    'models', v_models.told,
    'databaseBytes', v_health #> '{details,databaseBytes}',
    'uptime', v_health #> '{details,uptime}',
    'ms', round(1000 * extract(epoch from clock_timestamp() - v_began)),
    'recommendations', (v_health -> 'recommendations') || v_models.advice));
  return 0;
end
$$;

comment on function public.health_check_step(integer) is
  'Step of health_check (S2-02): leaves maintenance.system_health() on the receipt, as overall, '
  'checks, scheduler, jobs and recommendations, and of each model that was asked within an hour, '
  'by the worker or the application, how many calls, how many of the last have failed in a row, '
  'how long answers took, and when the last one came. Three failures in a row make the whole '
  'degraded, and unhealthy where half of the models have so many.';

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
