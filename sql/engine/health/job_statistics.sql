-- How the jobs of a period went, from their receipts: how many runs, how many of them well, how
-- long they took, and a grade.

create function maintenance.job_statistics(period interval default '30 days')
returns table (
  job_name text,
  runs bigint,
  succeeded bigint,
  failed bigint,
  success_rate numeric,
  average_ms numeric,
  p95_ms numeric,
  max_ms numeric,
  rows_affected bigint,
  grade text,
  last_status text,
  last_run_at timestamptz,
  last_ms numeric,
  last_success_at timestamptz)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  v_since timestamptz;
begin
  if (job_statistics.period between interval '1 microsecond' and interval '1000 years')
    is not true then
    raise exception 'the period "%" is no time', job_statistics.period
      using errcode = 'PM002', hint = 'An interval above 0, up to now: ''30 days''.';
  end if;
  v_since := maintenance_internal.clock() - job_statistics.period;
  return query
    with receipt as materialized (
      select r.job_id, r.status = 'succeeded' as succeeded, r.rows_affected,
        1000 * extract(epoch from r.finished_at - r.started_at) as ms
      from maintenance_internal.run as r
      where r.finished_at > v_since
        and r.status in ('succeeded', 'failed', 'timeout', 'interrupted')
    ),
    sums as (
      select r.job_id, count(*) as runs, count(*) filter (where r.succeeded) as succeeded,
        round(100.0 * count(*) filter (where r.succeeded) / count(*), 2) as success_rate,
        avg(r.ms) as average_ms,
        percentile_cont(0.95) within group (order by r.ms::double precision) as p95_ms,
        max(r.ms) as max_ms, least(sum(r.rows_affected), 9223372036854775807) as rows_affected
      from receipt as r
      group by r.job_id
    )
    select j.job_name, coalesce(s.runs, 0), coalesce(s.succeeded, 0),
      coalesce(s.runs - s.succeeded, 0), s.success_rate, round(s.average_ms, 1),
      round(s.p95_ms::numeric, 1), round(s.max_ms, 1), coalesce(s.rows_affected, 0)::bigint,
      case
        when s.runs is null then 'unknown'
        when s.success_rate >= 95 and s.average_ms < 60000 then 'excellent'
        when s.success_rate >= 90 and s.average_ms < 120000 then 'good'
        when s.success_rate >= 80 and s.average_ms < 300000 then 'warning'
        else 'critical'
      end,
      l.status, coalesce(l.started_at, l.finished_at),
      round(1000 * extract(epoch from l.finished_at - l.started_at), 1), p.started_at
    from maintenance_internal.job as j
    left join sums as s on s.job_id = j.job_id
    left join lateral (
      select r.status, r.started_at, r.finished_at from maintenance_internal.run as r
      where r.job_id = j.job_id
        and (r.status not in ('waiting', 'skipped') or r.status = 'skipped' and r.error is not null)
      order by coalesce(r.started_at, r.finished_at) desc
      limit 1
    ) as l on true
    left join lateral (
      select r.started_at from maintenance_internal.run as r
      where r.job_id = j.job_id and r.status = 'succeeded'
      order by r.started_at desc
      limit 1
    ) as p on true
    where not maintenance_internal.is_own(j.statement)
    order by s.success_rate, j.job_name;
end
$$;

comment on function maintenance.job_statistics(interval) is
  'One row per job, the worst first: the runs that ended within the period (an interval up to '
  'now), how many succeeded, failed (failed, timed out or interrupted; what was cancelled or '
  'skipped does not count), the share in percent, average, 95th percentile and longest in ms, '
  'rows, and how the last run was (S1-19, S2-25, S2-28). grade (S4-21): excellent from 95 % and '
  'below 60 s on average, good from 90 % and below 120 s, warning from 80 % and below 300 s, else '
  'critical; unknown without a run. The kit''s own jobs (tick, run_late, alert_monitor), which '
  'leave one receipt each, are not there. Errors: PM002 no period.';
