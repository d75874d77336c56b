-- The application's own calls count for the limits of models as soon as they are in the log (S2-03,
-- C-02). Whoever logs is not to wait for that, nor to fail: where the count of a model is held by
-- another one, or cannot be written, rate_limit_monitor makes up for it within a minute.

-- What the log has more of than was counted, by model and hour.
create function public.uncounted_usage(since timestamptz, until timestamptz)
returns table (model text, hour timestamptz, requests bigint, tokens bigint)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select l.model_used, l.hour, l.requests - coalesce(u.requests, 0),
    greatest(l.tokens - coalesce(u.tokens, 0), 0)
  from (
    select g.model_used, date_trunc('hour', g.timestamp) as hour, count(*) as requests,
      least(sum(greatest(g.tokens_input, 0)::numeric + greatest(g.tokens_output, 0)), 1e15)::bigint
        as tokens
    from public.api_usage_logs as g
    where g.timestamp >= uncounted_usage.since and g.timestamp < uncounted_usage.until
      and g.call_id is null and not g.cached
    group by 1, 2
  ) as l
  join maintenance.model as m on m.model = l.model_used
  left join maintenance_internal.model_usage as u
    on u.model = l.model_used and u.carrier = 'application' and u.hour = l.hour
  where l.requests > coalesce(u.requests, 0)
  order by 1, 2;
end;

comment on function public.uncounted_usage(timestamptz, timestamptz) is
  'The application''s calls in the log that were not counted for the limits of their model, by '
  'hour: those that nobody was asked for, as cached ones, and of models that are not known, are '
  'none of them.';

create function public.count_usage()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '100ms'
as $$
declare
  v_now constant timestamptz := maintenance_internal.moment();
  v_hour constant timestamptz := date_trunc('hour', v_now);
begin
  -- It works as the owner, and a trigger can be put on any table by whoever may execute it.
  if tg_relid <> 'public.api_usage_logs'::regclass then
    raise exception 'count_usage is a trigger of public.api_usage_logs' using errcode = 'PM003';
  end if;
  begin
    perform maintenance_internal.count_request(c.model, 'application', c.at, c.requests, c.tokens)
    from (
      select m.model, date_trunc('minute', n.timestamp) as at, count(*) as requests,
        least(sum(greatest(n.tokens_input, 0)::numeric + greatest(n.tokens_output, 0)), 1e15)
          ::bigint as tokens
      from new_logs as n
      join maintenance.model as m on m.model = n.model_used
      where n.call_id is null and not n.cached
        and n.timestamp >= v_hour and n.timestamp <= v_now + interval '1 minute'
      group by 1, 2
      order by 1, 2
    ) as c;
    -- Of what is older so many as were not counted: rows that are brought back were.
    perform maintenance_internal.count_request(u.model, 'application',
      h.hour + interval '59 minutes', u.requests, u.tokens)
    from (
      select distinct date_trunc('hour', n.timestamp) as hour
      from new_logs as n
      where n.call_id is null and not n.cached
        and n.timestamp >= v_now - interval '61 days' and n.timestamp < v_hour
    ) as h
    cross join lateral public.uncounted_usage(h.hour, h.hour + interval '1 hour') as u;
  exception when others then
    -- Into the server's log; what cannot be counted then, either, fails rate_limit_monitor.
    raise warning 'the calls are logged, and not counted yet: %', sqlerrm;
  end;
  return null;
end
$$;

create trigger api_usage_logs_are_counted
after insert on public.api_usage_logs
referencing new table as new_logs
for each statement execute function public.count_usage();

comment on function public.count_usage() is
  'Trigger: the application''s calls that are logged are counted for the limits of their model, as '
  'by record_usage, where maintenance.model has it; not what was answered from a cache, and not '
  'the worker''s, which were counted when they were made.';

create function public.rate_limit_monitor_step(batch_size integer)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now constant timestamptz := maintenance_internal.moment();
  v_hour constant timestamptz := date_trunc('hour', v_now);
  v_missing record;
  v_counted bigint := 0;
  v_held text[] := '{}';
begin
  perform set_config('lock_timeout', '100ms', true);
  for v_missing in
    select * from public.uncounted_usage(v_hour - interval '1 hour',
      v_now + interval '1 microsecond')
  loop
    begin
      perform maintenance_internal.count_request(v_missing.model, 'application',
        least(v_now, v_missing.hour + interval '59 minutes'), v_missing.requests,
        v_missing.tokens);
      v_counted := v_counted + v_missing.requests;
    exception when lock_not_available then
      v_held := v_held || v_missing.model; -- by who logs, or reports, in a long transaction
    end;
  end loop;
  if v_counted > 0 then
    return v_counted;
  end if;
  perform maintenance.add_details(jsonb_strip_nulls(jsonb_build_object('limits', (
      select coalesce(jsonb_object_agg(s.model, jsonb_build_object(
        'state', s.state, 'percent', s.percent, 'span', s.span)), '{}')
      from maintenance_internal.model_states(v_now) as s
      where s.percent is not null),
    'held', to_jsonb(nullif(v_held, '{}')))));
  return 0;
end
$$;

comment on function public.rate_limit_monitor_step(integer) is
  'Step of rate_limit_monitor (S2-03): counts what the log has more of than was counted, of this '
  'hour and the one before, and leaves on the receipt how much of its limits each model has used, '
  'and of which models the count was held by somebody, for the next time. What follows from that '
  'is told by model_status and by alerts.';
