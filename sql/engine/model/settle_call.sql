-- Closes a call under its lease token: what it took and cost, what it says of the model, and
-- whether a failure is the task's own fault. What a worker says of it is bounded: the login may
-- be in other hands.

create function maintenance_internal.settle_call(
  p_token uuid,
  p_outcome text,
  p_usage jsonb default null,
  p_details jsonb default null,
  p_message text default null,
  p_retry_after interval default null,
  out cost numeric,
  out is_own_fault boolean)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now constant timestamptz := maintenance_internal.moment();
  v_outcome text := p_outcome;
  v_answered constant boolean :=
    p_outcome in ('succeeded', 'quarantined', 'bad_output', 'stale', 'blocked');
  v_call maintenance.model_call;
begin
  is_own_fault := true;
  select * into v_call from maintenance.model_call as c
  where c.lease_token = p_token and c.settled_at is null;
  if not found then
    return; -- it was never asked
  end if;
  if p_outcome = 'released' and v_now < v_call.asks_at then
    v_outcome := 'unasked';
  end if;

  v_call.output_tokens := maintenance_internal.usage_number(p_usage, 'candidatesTokenCount')
    + maintenance_internal.usage_number(p_usage, 'thoughtsTokenCount');
  if maintenance_internal.usage_number(p_usage, 'promptTokenCount') > 0 then
    v_call.is_estimate := false;
    v_call.input_tokens := maintenance_internal.usage_number(p_usage, 'promptTokenCount');
    v_call.cached_tokens := least(v_call.input_tokens,
      maintenance_internal.usage_number(p_usage, 'cachedContentTokenCount'));
  elsif v_outcome in ('defer', 'gone', 'configuration', 'rejected', 'too_large', 'unasked') then
    v_call.is_estimate := false; -- refused, and not billed
    v_call.input_tokens := 0;
  end if;
  select trim_scale(((v_call.input_tokens - v_call.cached_tokens) * m.input_usd
      + v_call.cached_tokens * coalesce(m.cached_usd, m.input_usd)
      + v_call.output_tokens * m.output_usd) / 1e6) into cost
  from maintenance.model as m
  where m.model = v_call.model;
  update maintenance.model_call as c
  set outcome = v_outcome,
    settled_at = v_now,
    input_tokens = v_call.input_tokens,
    output_tokens = v_call.output_tokens,
    cached_tokens = v_call.cached_tokens,
    is_estimate = v_call.is_estimate,
    cost_usd = cost,
    model_version = left(p_usage ->> 'modelVersion', 100),
    duration =
      maintenance_internal.usage_number(p_usage, 'durationMs') * interval '1 millisecond',
    details = case when length(p_details::text) > 4000
      then jsonb_build_object('cut', left(p_details::text, 4000)) else p_details end
  where c.call_id = v_call.call_id;

  if v_outcome = 'unasked' then
    -- It gives its place back, where nobody has a later one.
    update maintenance_internal.model_pace as p
    set next_at = v_call.asks_at
    where p.model = v_call.model and p.next_at > v_call.asks_at and not exists (
      select from maintenance.model_call as o
      where o.model = v_call.model and o.settled_at is null and o.asks_at > v_call.asks_at);
  end if;
  if v_answered then
    delete from maintenance_internal.cool_down as c
    where c.model = v_call.model and c.kind in ('*', v_call.kind) and c.since <= v_call.asks_at;
  else
    -- What is too large is tried with less at first.
    is_own_fault := case when p_outcome = 'too_large' then true
      else maintenance_internal.cool_model(v_call, p_outcome, p_details, p_message,
        p_retry_after) end;
    if v_call.is_probe then
      update maintenance_internal.cool_down as c -- the next one may try
      set probing_until = null
      where c.model = v_call.model and c.kind in ('*', v_call.kind);
    end if;
  end if;
  if v_outcome = 'unasked' then
    update maintenance_internal.model_usage as u
    set requests = u.requests - 1,
      minute_requests =
        u.minute_requests - (u.minute = date_trunc('minute', v_call.asks_at))::integer
    where u.model = v_call.model and u.carrier = 'worker'
      and u.hour = date_trunc('hour', v_call.asks_at);
    return; -- no call was made
  end if;

  insert into maintenance.model_day as d (day, model, kind, calls, answered, input_tokens,
    output_tokens, cached_tokens, cost_usd, unknown_cost, answered_at, refused_at)
  values ((v_now at time zone 'America/Los_Angeles')::date, v_call.model, v_call.kind, 1,
    v_answered::integer, v_call.input_tokens, v_call.output_tokens, v_call.cached_tokens,
    coalesce(cost, 0), (v_call.is_estimate or cost is null)::integer,
    case when v_answered then v_now end,
    case when p_outcome = 'rejected' then v_now end)
  on conflict on constraint model_day_pkey do update
  set calls = d.calls + excluded.calls,
    answered = d.answered + excluded.answered,
    input_tokens = d.input_tokens + excluded.input_tokens,
    output_tokens = d.output_tokens + excluded.output_tokens,
    cached_tokens = d.cached_tokens + excluded.cached_tokens,
    cost_usd = d.cost_usd + excluded.cost_usd,
    unknown_cost = d.unknown_cost + excluded.unknown_cost,
    answered_at = greatest(d.answered_at, excluded.answered_at),
    refused_at = greatest(d.refused_at, excluded.refused_at);
end
$$;
