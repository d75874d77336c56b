-- What the calls of a day were like: statistics by provider, what is odd (anomalies), and what
-- could be done about it. One report a day, and the same again from the same log. Rule S2-10.

create function public.usage_error_type(message text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return case
  when message ~* 'rate.?limit|too many requests|resource.?exhausted|^defer'
    or message ~ '(^|[^0-9])429([^0-9]|$)' then 'rate limit'
  when message ~* 'unauthori[sz]ed|api key|(^|[^0-9])401([^0-9]|$)|^configuration' then '401'
  when message ~* 'forbidden|permission|(^|[^0-9])403([^0-9]|$)' then '403'
  when message ~* 'not found|(^|[^0-9])404([^0-9]|$)|^gone' then '404'
  when message ~* 'time.?out|timed out|deadline|^lost' then 'timeout'
  when message ~* '^50[0-9]\M|(http|status|code|error)[^0-9]{0,10}50[0-9]\M'
    '|internal (server )?error|overloaded|unavailable|bad gateway|^transient' then '500'
  when message ~* 'network|connection|econn|socket|dns|fetch failed' then 'network'
  when message ~* 'quota|billing|credit' then 'quota'
  when message ~* 'valid|schema|parse|(^|[^0-9])400([^0-9]|$)|^(bad_output|too_large|rejected)'
    then 'validation'
  else 'unknown'
end;

comment on function public.usage_error_type(text) is
  'Which kind of failure a message is of: rate limit, 401, 403, 404, timeout, 500, network, quota, '
  'validation or unknown (S2-10). A worker''s failure classes are among them.';

create function public.analyze_usage(day date)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_today constant date := (maintenance_internal.clock() at time zone 'UTC')::date;
  v_day timestamptz;
  v_report public.daily_usage_reports;
  v_calls bigint;
  v_week record;
begin
  if (analyze_usage.day between v_today - 10000 and v_today) is not true then
    raise exception 'the day "%" is none that there was', analyze_usage.day
      using errcode = 'PM002', hint = 'A day up to today (UTC): current_date - 1.';
  end if;
  v_day := analyze_usage.day::timestamp at time zone 'UTC';

  with call as materialized (
    select l.provider_used, l.feature_name, l.success, l.error_message, l.latency_ms,
      l.tokens_input, l.tokens_output,
      case when l.cost_estimate between 0 and 1e9 then l.cost_estimate end as cost_estimate,
      extract(hour from l.timestamp at time zone 'UTC')::integer as hour
    from public.api_usage_logs as l
    where l.timestamp >= v_day and l.timestamp < v_day + interval '24 hours' and not l.cached
  ),
  total as (
    select count(*) as calls, round(avg(c.latency_ms), 1) as latency,
      round(100.0 * count(*) filter (where not c.success) / nullif(count(*), 0), 2) as error_rate,
      sum(c.cost_estimate) as cost
    from call as c
  ),
  provider as (
    select c.provider_used as name, count(*) as calls,
      round(100.0 * count(*) / t.calls, 2) as percent, round(avg(c.latency_ms), 1) as latency,
      round(100.0 * count(*) filter (where not c.success) / count(*), 2) as error_rate,
      sum(c.tokens_input) as tokens_input, sum(c.tokens_output) as tokens_output,
      sum(c.cost_estimate) as cost
    from call as c
    cross join total as t
    group by c.provider_used, t.calls
  ),
  by_hour as (
    select c.hour, count(*) as calls, round(100.0 * count(*) / t.calls, 2) as percent,
      row_number() over (order by count(*) desc, c.hour) as place
    from call as c
    cross join total as t
    group by c.hour, t.calls
  ),
  failure as (
    select f.type, f.calls, row_number() over (order by f.calls desc, f.type) as place
    from (
      select public.usage_error_type(c.error_message) as type, count(*) as calls
      from call as c
      where not c.success
      group by 1
    ) as f
  ),
  anomaly as (
    select 1 as nr, 'single_provider' as rule,
      format('every call went to %s', (select p.name from provider as p)) as detail
    where (select count(*) from provider) = 1
    union all
    select 2, 'high_error_rate', format('%s %% of the calls failed', t.error_rate)
    from total as t where t.error_rate > 20
    union all
    select 3, 'hour_share', format('%s %% of the calls were made from %s to %s o''clock',
      h.percent, h.hour, h.hour + 1)
    from by_hour as h where h.percent > 30
    union all
    select 4, 'hour_spike', format('%s calls were made from %s to %s o''clock, and %s an hour on '
      'average', h.calls, h.hour, h.hour + 1, round(t.calls / 24.0, 1))
    from by_hour as h cross join total as t where h.calls > 3 * t.calls / 24.0
    union all
    select 5, 'dominant_provider', format('%s %% of the calls went to %s', p.percent, p.name)
    from provider as p where p.percent > 80
  )
  -- In the order of the table's columns.
  select analyze_usage.day, t.calls,
    (select coalesce(jsonb_object_agg(p.name, jsonb_build_object('calls', p.calls,
        'percent', p.percent, 'avgLatencyMs', p.latency, 'errorRate', p.error_rate,
        'tokensInput', p.tokens_input, 'tokensOutput', p.tokens_output, 'costUsd', p.cost)), '{}')
      from provider as p),
    t.latency, t.error_rate,
    (select h.hour from by_hour as h where h.place = 1),
    (select coalesce(jsonb_object_agg(f.feature_name, f.calls), '{}')
      from (select c.feature_name, count(*) as calls from call as c group by 1) as f),
    (select coalesce(jsonb_object_agg(f.type, f.calls), '{}') from failure as f
      where f.place <= 10),
    (select coalesce(jsonb_agg(jsonb_build_object('hour', h.hour, 'calls', h.calls)
      order by h.place), '[]') from by_hour as h where h.place <= 5),
    (select coalesce(jsonb_agg(jsonb_build_object('rule', a.rule, 'detail', a.detail)
      order by a.nr, a.detail), '[]') from anomaly as a),
    '[]', t.cost, maintenance_internal.moment()
  into v_report
  from total as t;
  select r.total_api_calls into v_calls
  from public.daily_usage_reports as r where r.report_date = analyze_usage.day;
  if v_calls > v_report.total_api_calls then
    raise exception 'the log has % calls of %, and its report has %', v_report.total_api_calls,
        analyze_usage.day, v_calls
      using errcode = 'PM002', hint = format('What has gone from the log stays reported. To report '
        'what is left: delete from public.daily_usage_reports where report_date = %L;',
        analyze_usage.day);
  end if;

  select count(*) as calls, round(avg(l.latency_ms)) as latency,
    count(distinct l.provider_used) as providers
  into v_week
  from public.api_usage_logs as l
  where l.timestamp >= v_day - interval '144 hours' and l.timestamp < v_day + interval '24 hours'
    and not l.cached;
  v_report.recommendations := to_jsonb(array_remove(array[
    case when v_week.latency > 2000 then format('Calls of seven days took %s ms on average: ask a '
      'faster model, or for less.', v_week.latency) end,
    case when v_week.providers = 1 then 'All calls of seven days went to one provider: have '
      'another one to fall back on.' end,
    case when v_report.error_rate > 20 then format('%s %% of the calls failed, most of them by %s: '
      'see error_message in api_usage_logs.', v_report.error_rate,
      (select f.key from jsonb_each_text(v_report.error_types) as f
        order by f.value::bigint desc, f.key limit 1)) end,
    case when v_report.anomalies @> '[{"rule": "hour_share"}]' then 'Spread what can wait over the '
      'day: limits a minute and an hour are met at the peak.' end], null));

  insert into public.daily_usage_reports as r select v_report.*
  on conflict (report_date) do update
  set (total_api_calls, provider_breakdown, avg_response_time, error_rate, peak_hour,
      feature_usage, error_types, peak_hours, anomalies, recommendations, cost_usd, analyzed_at)
    = (excluded.total_api_calls, excluded.provider_breakdown, excluded.avg_response_time,
      excluded.error_rate, excluded.peak_hour, excluded.feature_usage, excluded.error_types,
      excluded.peak_hours, excluded.anomalies, excluded.recommendations, excluded.cost_usd,
      excluded.analyzed_at);
  return jsonb_build_object(
    'reportDate', analyze_usage.day, 'totalCalls', v_report.total_api_calls,
    'providers', v_report.provider_breakdown, 'avgResponseTimeMs', v_report.avg_response_time,
    'errorRate', v_report.error_rate, 'peakHour', v_report.peak_hour,
    'peakHours', v_report.peak_hours, 'errorTypes', v_report.error_types,
    'featureUsage', v_report.feature_usage, 'anomalies', v_report.anomalies,
    'recommendations', v_report.recommendations, 'costUsd', v_report.cost_usd);
end
$$;

comment on function public.analyze_usage(date) is
  'Reports what the calls of a day (UTC) were like, from api_usage_logs without what was answered '
  'from a cache, as one row of daily_usage_reports (S2-10); the same day again takes its place. '
  'Returns {reportDate, totalCalls, providers, avgResponseTimeMs, errorRate in percent, peakHour, '
  'peakHours: the five, errorTypes: the ten, featureUsage, anomalies, recommendations, costUsd}. '
  'Anomalies: single_provider; high_error_rate, above 20 %; hour_share, an hour with more than 30 '
  '% of the calls; hour_spike, one with more than three times what an hour of the day has on '
  'average; dominant_provider, above 80 %. Recommendations look at seven days, too. Errors: PM002 '
  'no day that there was, or one of which the log has fewer calls than its report.';

-- Copies the worker's calls that are settled, in the order in which they were made. A call is
-- settled within two hours, or lost; those are looked through again.
create function public.copy_model_calls(most integer)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_since constant timestamptz := coalesce((
    select least(l.timestamp, maintenance_internal.moment())
    from public.api_usage_logs as l
    where l.call_id is not null
    order by l.timestamp desc
    limit 1), '-infinity') - interval '2 hours';
  v_rows bigint;
begin
  with copied as (
    insert into public.api_usage_logs as l
      (call_id, user_id, feature_name, provider_used, model_used, tokens_input, tokens_output,
       latency_ms, cost_estimate, timestamp, success, error_message)
    select c.call_id, u.id, c.kind, 'gemini', c.model, c.input_tokens, c.output_tokens,
      case when c.duration < interval '20 days' then 1000 * extract(epoch from c.duration) end,
      c.cost_usd, c.created_at,
      c.outcome in ('succeeded', 'quarantined'),
      case when c.outcome not in ('succeeded', 'quarantined') then c.outcome end
    from maintenance.model_call as c
    left join maintenance.task as t on t.task_id = c.task_id
    -- Of a task about a conversation the user comes first.
    left join public.users as u on u.id = substring(split_part(t.subject, '/', 1)
      from '^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$')::uuid
    where c.created_at >= v_since and c.settled_at is not null and c.outcome <> 'unasked'
      and not exists (
        select from public.api_usage_logs as l where l.call_id = c.call_id)
    order by c.created_at, c.call_id
    limit copy_model_calls.most
    returning l.timestamp
  ),
  -- What was reported of their days is to be reported again.
  stale as (
    update public.daily_usage_reports as r
    set analyzed_at = '-infinity'
    where r.report_date in (
      select (c.timestamp at time zone 'UTC')::date from copied as c)
  )
  select count(*) into v_rows from copied;
  return v_rows;
end
$$;

comment on function public.copy_model_calls(integer) is
  'Copies so many of the worker''s calls that are settled (maintenance.model_call) into '
  'api_usage_logs, each once, without a text; how many.';

create function public.usage_analysis_step(batch_size integer)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_today constant date := (maintenance_internal.clock() at time zone 'UTC')::date;
  v_copied constant bigint := public.copy_model_calls(usage_analysis_step.batch_size);
  v_day date;
  v_report jsonb;
begin
  if v_copied > 0 then
    return v_copied;
  end if;
  -- The first day up to yesterday, of a month, that has no report, or none of all of it, each once
  -- a run: from the first call on, and yesterday in any case.
  select min(d.day)::date into v_day
  from generate_series(greatest(v_today - 31, least(v_today - 1, (
      select (min(l.timestamp) at time zone 'UTC')::date from public.api_usage_logs as l)
    ))::timestamp, v_today - 1, interval '1 day') as d (day)
  where not exists (
    select from public.daily_usage_reports as r
    where r.report_date = d.day and r.analyzed_at >=
      least(maintenance_internal.run_began(), (d.day + interval '25 hours') at time zone 'UTC'));
  if v_day is null then
    return 0;
  end if;
  begin
    v_report := public.analyze_usage(v_day);
  exception when sqlstate 'PM002' then -- its calls are gone since: what was reported stays
    update public.daily_usage_reports as r
    set analyzed_at = maintenance_internal.moment()
    where r.report_date = v_day;
    v_report := jsonb_build_object('reportDate', v_day, 'note', sqlerrm);
  end;
  perform maintenance.add_details(v_report - '{providers,featureUsage,peakHours}'::text[]);
  return 1;
end
$$;

comment on function public.usage_analysis_step(integer) is
  'Step of usage_analysis (S2-10): copies the worker''s calls into api_usage_logs, and reports '
  'each day up to yesterday (UTC) that has no report, or none of the whole day, at most a month '
  'back; the last one is on the receipt.';
