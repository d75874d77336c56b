-- The limits a month of models begin anew by themselves: what is used is counted by the hour, and a
-- month is a sum of hours. What this job does is to say how much of them was used up in the month
-- that has ended. Rule S2-16.

create function public.monthly_quota_reset_step(batch_size integer)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_end constant timestamptz := date_trunc('month', maintenance_internal.clock(), 'UTC');
  v_begin constant timestamptz := date_trunc('month', v_end - interval '1 day', 'UTC');
  v_month constant date := (v_begin at time zone 'UTC')::date;
  v_results jsonb;
begin
  with made as (
    insert into public.monthly_usage_reports as r
      (month, model, requests, allowed, reset_at, reported_at)
    select v_month, m.model, coalesce(sum(u.requests), 0), m.per_month, v_end,
      maintenance_internal.moment()
    from maintenance.model as m
    left join maintenance_internal.model_usage as u
      on u.model = m.model and u.hour >= v_begin and u.hour < v_end
    where m.per_month is not null
    group by m.model
    having m.changed_at < v_end or count(u.model) > 0 -- it was there already
    on conflict do nothing
    returning r.*
  )
  select coalesce(jsonb_agg(jsonb_build_object('model', m.model, 'previousUsage', m.requests,
    'limit', m.allowed, 'resetTime', to_char(m.reset_at at time zone 'UTC',
      'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'success', true) order by m.model), '[]')
  into v_results
  from made as m;
  perform maintenance.add_details(jsonb_strip_nulls(jsonb_build_object('month', v_month,
    'results', nullif(v_results, '[]'))));
  return jsonb_array_length(v_results);
end
$$;

comment on function public.monthly_quota_reset_step(integer) is
  'Step of monthly_quota_reset (S2-16): for each model with a limit a month how much of it was '
  'used in the month that has ended (UTC), in monthly_usage_reports, once.';

create function public.reset_monthly_quotas()
returns jsonb
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  select jsonb_build_object('month', d.data #> '{details,month}',
    'resets', d.data -> 'rowsAffected', 'results', coalesce(d.data #> '{details,results}', '[]'))
  from maintenance_internal.run_or_raise('monthly_quota_reset') as d (data);
end;

comment on function public.reset_monthly_quotas() is
  'Reports the month that has ended, in the caller''s transaction (S2-16): {month, resets, '
  'results: [{model, previousUsage, limit, resetTime, success}]}, of models with a limit a month; '
  'a second time none. The limits begin anew without it. Errors: PM008 it failed, PM009 it is '
  'running or disabled.';
