-- How much of each limit of a model is used: a minute and an hour of the clock, a day that begins
-- at midnight in Los Angeles, as the quotas of Gemini, a month in UTC. An unknown limit is null.
-- Without p_all only the spans that have a limit are counted. In plpgsql, which keeps its plan:
-- in SQL each look would be planned anew, in 2 ms.

create function maintenance_internal.quota_day(p_at timestamptz)
returns timestamptz
language sql
stable
set search_path = pg_catalog, pg_temp
return date_trunc('day', p_at, 'America/Los_Angeles');

create function maintenance_internal.model_limits(p_now timestamptz, p_all boolean default false)
returns table (model text, span text, allowed bigint, used bigint, resets_at timestamptz)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_minute constant timestamptz := date_trunc('minute', p_now);
  v_hour constant timestamptz := date_trunc('hour', p_now);
  v_day constant timestamptz := maintenance_internal.quota_day(p_now);
  v_month constant timestamptz := date_trunc('month', p_now, 'UTC');
begin
  return query
    select m.model, w.span, w.allowed, coalesce(w.used, 0)::bigint, w.resets_at
    from maintenance.model as m
    left join maintenance_internal.model_pace as p on p.model = m.model
      and p.learned_at > p_now - interval '1 day' -- what was told is believed for a day
    cross join lateral (
      select sum(u.minute_requests) filter (where u.minute = v_minute) as minute,
        sum(u.requests) filter (where u.hour >= v_hour) as hour,
        sum(u.requests) filter (where u.hour >= v_day) as day,
        sum(u.requests) filter (where u.hour >= v_month) as month
      from maintenance_internal.model_usage as u
      where u.model = m.model and u.hour <= p_now
        and u.hour >= case
          when p_all or m.per_month is not null then least(v_day, v_month)
          when m.per_day is not null or p.learned_day is not null then v_day
          else v_hour end
    ) as u
    cross join lateral (values
      ('minute', least(m.per_minute, p.learned_minute)::bigint, u.minute,
        v_minute + interval '1 minute'),
      ('hour', m.per_hour, u.hour, v_hour + interval '1 hour'),
      -- A day has 23 to 25 hours.
      ('day', least(m.per_day, p.learned_day), u.day,
        maintenance_internal.quota_day(v_day + interval '36 hours')),
      ('month', m.per_month, u.month,
        date_trunc('month', v_month + interval '40 days', 'UTC'))
    ) as w (span, allowed, used, resets_at);
end
$$;
