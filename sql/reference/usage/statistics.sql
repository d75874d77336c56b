-- How the analysis of usage goes, in a row (S2-27).

create view public.usage_analysis_statistics as
select s.job_name, s.last_status as status, s.last_run_at, s.last_success_at, s.last_ms,
  s.runs as run_count, s.succeeded as success_count, s.failed as failure_count,
  r.reports, r.last_report_date, r.total_calls, r.error_rate, r.avg_response_time, r.anomalies,
  r.cost_usd
from maintenance.job_statistics('30 days') as s
cross join (
  select count(*) as reports, max(u.report_date) as last_report_date,
    sum(u.total_api_calls)::bigint as total_calls,
    round(sum(u.error_rate * u.total_api_calls)
      / nullif(sum(u.total_api_calls), 0), 2) as error_rate,
    round(sum(u.avg_response_time * u.total_api_calls)
      / nullif(sum(u.total_api_calls) filter (where u.avg_response_time is not null), 0), 1)
      as avg_response_time,
    coalesce(sum(jsonb_array_length(u.anomalies)), 0)::bigint as anomalies,
    sum(u.cost_usd) as cost_usd
  from public.daily_usage_reports as u
  where u.report_date >= (maintenance_internal.clock() at time zone 'UTC')::date - 30
) as r
where s.job_name = 'usage_analysis';

comment on view public.usage_analysis_statistics is
  'How the analyses of 30 days went, and what they reported: one row (S2-27).';
comment on column public.usage_analysis_statistics.job_name is 'usage_analysis';
comment on column public.usage_analysis_statistics.status is 'how the last one ended';
comment on column public.usage_analysis_statistics.last_run_at is 'when it began';
comment on column public.usage_analysis_statistics.last_success_at is
  'when the last one began that succeeded';
comment on column public.usage_analysis_statistics.last_ms is 'how long the last one took, in ms';
comment on column public.usage_analysis_statistics.run_count is 'analyses';
comment on column public.usage_analysis_statistics.success_count is 'those that succeeded';
comment on column public.usage_analysis_statistics.failure_count is 'those that did not';
comment on column public.usage_analysis_statistics.reports is 'days that have a report';
comment on column public.usage_analysis_statistics.last_report_date is 'the last of them';
comment on column public.usage_analysis_statistics.total_calls is 'calls of those days';
comment on column public.usage_analysis_statistics.error_rate is
  'how many of them failed, in percent';
comment on column public.usage_analysis_statistics.avg_response_time is 'how long they took, in ms';
comment on column public.usage_analysis_statistics.anomalies is 'what was found odd';
comment on column public.usage_analysis_statistics.cost_usd is
  'what they cost, as far as that is known';
