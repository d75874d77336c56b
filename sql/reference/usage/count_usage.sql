-- The application's own calls count for the limits of models as soon as they are in the log (S2-03,
-- C-02). Whoever logs is not to wait for that, nor to fail: where another one holds the count of a
-- model for a second, rate_limit_monitor makes up for it within a minute.

create function public.count_usage()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
declare
  v_now constant timestamptz := maintenance_internal.moment();
begin
  -- It works as the owner, and a trigger can be put on any table by whoever may execute it.
  if tg_relid <> 'public.api_usage_logs'::regclass then
    raise exception 'count_usage is a trigger of public.api_usage_logs' using errcode = 'PM003';
  end if;
  perform maintenance_internal.count_request(c.model, 'application', c.at, c.requests, c.tokens)
  from (
    select m.model, date_trunc('minute', n.timestamp) as at, count(*) as requests,
      sum(n.tokens_input + n.tokens_output)::bigint as tokens
    from new_logs as n
    join maintenance.model as m on m.model = n.model_used
    where n.call_id is null and not n.cached
      and n.timestamp between v_now - interval '61 days' and v_now + interval '1 minute'
    group by 1, 2
    order by 1, 2
  ) as c;
  return null;
exception when lock_not_available or deadlock_detected then
  raise warning 'the calls are logged, and counted for the limits of their model within a minute'
    using detail = sqlerrm;
  return null;
end
$$;

create trigger api_usage_logs_are_counted
after insert on public.api_usage_logs
referencing new table as new_logs
for each statement execute function public.count_usage();

comment on function public.count_usage() is
  'Trigger: the application''s calls that are logged are counted for the limits of their model, '
  'as by record_usage, where maintenance.model has it; not what was answered from a cache, and not '
  'the worker''s, which were counted when they were made.';

create function public.rate_limit_monitor_step(batch_size integer)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now constant timestamptz := maintenance_internal.moment();
  v_missing record;
  v_counted bigint := 0;
begin
  for v_missing in
    select l.model_used as model, l.hour, l.requests - coalesce(u.requests, 0) as requests
    from (
      select g.model_used, date_trunc('hour', g.timestamp) as hour, count(*) as requests
      from public.api_usage_logs as g
      where g.timestamp >= date_trunc('hour', v_now) - interval '1 hour' and g.timestamp <= v_now
        and g.call_id is null and not g.cached
      group by 1, 2
    ) as l
    join maintenance.model as m on m.model = l.model_used
    left join maintenance_internal.model_usage as u
      on u.model = l.model_used and u.carrier = 'application' and u.hour = l.hour
    where l.requests > coalesce(u.requests, 0)
    order by 1, 2
  loop
    perform maintenance_internal.count_request(v_missing.model, 'application',
      least(v_now, v_missing.hour + interval '59 minutes'), v_missing.requests, 0);
    v_counted := v_counted + v_missing.requests;
  end loop;
  perform maintenance.add_details(jsonb_build_object('limits', (
      select coalesce(jsonb_object_agg(s.model, jsonb_build_object(
        'state', s.state, 'percent', s.percent, 'span', s.span)), '{}')
      from maintenance_internal.model_states(v_now) as s
      where s.percent is not null)))
  where v_counted = 0;
  return v_counted;
end
$$;

comment on function public.rate_limit_monitor_step(integer) is
  'Step of rate_limit_monitor (S2-03): counts what the log has more of than was counted, of this '
  'hour and the one before, and leaves on the receipt how much of its limits each model has used. '
  'What follows from that, is told by model_status and by alerts.';
