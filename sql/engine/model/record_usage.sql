-- What somebody else has asked of a model: the application with its own code, or with the key
-- that the worker has too. It writes rows of its own, which no worker waits for.

create function maintenance_internal.count_request(
  p_model text,
  p_carrier text,
  p_at timestamptz,
  p_requests bigint,
  p_tokens bigint)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into maintenance_internal.model_usage as u
    (model, carrier, hour, requests, tokens, minute, minute_requests)
  values (p_model, p_carrier, date_trunc('hour', p_at), p_requests, p_tokens,
    date_trunc('minute', p_at), p_requests)
  on conflict on constraint model_usage_pkey do update
  set requests = u.requests + excluded.requests,
    tokens = u.tokens + excluded.tokens,
    minute = greatest(u.minute, excluded.minute),
    minute_requests = case
      when u.minute < excluded.minute then excluded.minute_requests
      when u.minute = excluded.minute then u.minute_requests + excluded.minute_requests
      else u.minute_requests end;
end
$$;

create function maintenance.record_usage(
  model text,
  requests bigint default 1,
  tokens bigint default 0,
  at timestamptz default null)
returns text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_now constant timestamptz := maintenance_internal.moment();
  v_at constant timestamptz := coalesce(record_usage.at, v_now);
begin
  perform maintenance_internal.find_model(record_usage.model);
  if record_usage.requests is null or record_usage.requests not between 0 and 1000000000
    or record_usage.tokens is null or record_usage.tokens not between 0 and 1000000000000000 then
    raise exception '% requests and % tokens are not acceptable', record_usage.requests,
      record_usage.tokens using errcode = 'PM002', hint = 'Numbers from 0 on.';
  end if;
  if v_at not between v_now - interval '62 days' and v_now + interval '1 minute' then
    raise exception 'at "%" is out of range', v_at
      using errcode = 'PM002', hint = 'A time of the last 62 days.';
  end if;
  perform maintenance_internal.count_request(record_usage.model, 'application', v_at,
    record_usage.requests, record_usage.tokens);
  return maintenance.effective_model(record_usage.model);
end
$$;

comment on function maintenance.record_usage(text, bigint, bigint, timestamptz) is
  'Counts requests that the application has made of a model (S0-28, S2-03), for its limits in '
  'model_status, and returns the model to ask next (effective_model). at: when, now if null, up to '
  '62 days back. It holds a row of that model''s usage until the transaction ends. Errors: PM002 '
  'argument, PM024 no such model.';
