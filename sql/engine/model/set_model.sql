-- Declares a model that may be asked, or changes what is given; what is null stays as it is.

create function maintenance.set_model(
  model text,
  "position" integer default null,
  input_usd numeric default null,
  output_usd numeric default null,
  cached_usd numeric default null,
  priced_on date default null,
  per_minute integer default null,
  per_hour integer default null,
  per_day integer default null,
  per_month integer default null,
  generation jsonb default null,
  request jsonb default null,
  timeout interval default null,
  carrier text default null,
  enabled boolean default null)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_priced_on constant date := coalesce(set_model.priced_on, case
    when coalesce(set_model.input_usd, set_model.output_usd, set_model.cached_usd) is not null
      then current_date end);
begin
  if coalesce(set_model.model, '') !~ '^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$' then
    raise exception 'the model "%" is not acceptable', set_model.model
      using errcode = 'PM002', hint = 'Up to 100 letters, digits, ".", "_", "/" and "-".';
  end if;
  if least(set_model.input_usd, set_model.output_usd, set_model.cached_usd) < 0
    or 'NaN' in (set_model.input_usd, set_model.output_usd, set_model.cached_usd) then
    raise exception 'the prices %, % and % are not acceptable', set_model.input_usd,
      set_model.output_usd, set_model.cached_usd
      using errcode = 'PM002', hint = 'USD per million tokens in, out and in of the cache.';
  end if;
  if least(set_model.per_minute, set_model.per_hour, set_model.per_day, set_model.per_month) < -1
  then
    raise exception 'the limits %, %, % and % are not acceptable', set_model.per_minute,
      set_model.per_hour, set_model.per_day, set_model.per_month
      using errcode = 'PM002', hint = 'Requests allowed; 0: never to be asked; -1: unknown.';
  end if;
  if jsonb_typeof(set_model.generation) <> 'object' or jsonb_typeof(set_model.request) <> 'object'
  then
    raise exception 'generation % or request % is not an object', set_model.generation,
      set_model.request
      using errcode = 'PM002', hint = 'Settings of the request: ''{"temperature": 0}''.';
  end if;
  if set_model.request ?| array['model', 'contents', 'systemInstruction', 'generationConfig'] then
    raise exception 'request % has what the worker puts there', set_model.request
      using errcode = 'PM002', hint = 'What stands beside it: safetySettings, serviceTier, '
        'cachedContent. For generationConfig there is generation.';
  end if;
  if set_model.timeout not between interval '1 second' and interval '1 hour' then
    raise exception 'the timeout "%" is out of range', set_model.timeout
      using errcode = 'PM002', hint = 'An interval from a second to an hour.';
  end if;
  if set_model.carrier not in ('worker', 'application') then
    raise exception 'there is no carrier "%"', set_model.carrier
      using errcode = 'PM002', hint = 'worker: asked for tasks. application: it asks by itself, '
        'and calls record_usage.';
  end if;

  insert into maintenance.model as m (model, carrier, position, input_usd, output_usd, cached_usd,
    priced_on, per_minute, per_hour, per_day, per_month, generation, request, timeout, enabled)
  values (
    set_model.model,
    coalesce(set_model.carrier, 'worker'),
    coalesce(set_model.position, (
      select coalesce(max(o.position), 0) + 1 from maintenance.model as o
      where o.carrier = coalesce(set_model.carrier, 'worker') and o.model <> set_model.model)),
    set_model.input_usd,
    set_model.output_usd,
    set_model.cached_usd,
    v_priced_on,
    nullif(set_model.per_minute, -1),
    nullif(set_model.per_hour, -1),
    nullif(set_model.per_day, -1),
    nullif(set_model.per_month, -1),
    coalesce(set_model.generation, '{}'),
    coalesce(set_model.request, '{}'),
    coalesce(set_model.timeout, '60 seconds'),
    coalesce(set_model.enabled, true))
  on conflict on constraint model_pkey do update
  set carrier = coalesce(set_model.carrier, m.carrier),
    position = coalesce(set_model.position, m.position),
    input_usd = coalesce(set_model.input_usd, m.input_usd),
    output_usd = coalesce(set_model.output_usd, m.output_usd),
    cached_usd = coalesce(set_model.cached_usd, m.cached_usd),
    priced_on = coalesce(v_priced_on, m.priced_on),
    per_minute = nullif(coalesce(set_model.per_minute, m.per_minute), -1),
    per_hour = nullif(coalesce(set_model.per_hour, m.per_hour), -1),
    per_day = nullif(coalesce(set_model.per_day, m.per_day), -1),
    per_month = nullif(coalesce(set_model.per_month, m.per_month), -1),
    generation = coalesce(set_model.generation, m.generation),
    request = coalesce(set_model.request, m.request),
    timeout = coalesce(set_model.timeout, m.timeout),
    enabled = coalesce(set_model.enabled, m.enabled);
end
$$;

comment on function maintenance.set_model(
  text, integer, numeric, numeric, numeric, date, integer, integer, integer, integer, jsonb, jsonb,
  interval, text, boolean) is
  'Declares a model, or changes what is given of it: what is null stays. position: in which order '
  'they are asked; a new one is the last. Prices in USD per million tokens in, out, and in of the '
  'cache, with the day on which they held (today). per_minute to per_month: requests allowed, -1 '
  'for unknown. generation, request: settings of the request, in its generationConfig and beside '
  'it. timeout: for an answer. carrier: worker, or application, which reports by record_usage. '
  'What was refused before is asked again at once. For the engine''s owner. Errors: PM002 '
  'argument, 23505 the position is taken.';

-- Whoever changes a model or a kind, by which way ever, wants to see whether it works now: what
-- was learned of it before, and what it was refused for, is forgotten.
create function maintenance_internal.forget_refusals()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
begin
  new.changed_at := maintenance_internal.moment();
  if tg_table_name = 'model' then
    update maintenance_internal.model_pace as p
    set learned_minute = null, learned_day = null, learned_at = null
    where p.model = new.model;
    delete from maintenance_internal.cool_down as c where c.model = new.model;
  else
    delete from maintenance_internal.cool_down as c where c.kind = new.kind;
  end if;
  return new;
end
$$;

create trigger forget_refusals before update on maintenance.model
for each row execute function maintenance_internal.forget_refusals();

-- A model by its name, or a clear error.
create function maintenance_internal.find_model(p_model text)
returns maintenance.model
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_model maintenance.model;
begin
  select * into v_model from maintenance.model as m where m.model = p_model;
  if not found then
    raise exception 'there is no model "%"', p_model
      using errcode = 'PM024', hint = (
        select 'There are: ' || coalesce(string_agg(m.model, ', ' order by m.model), 'none yet')
          || '. The owner declares one: select maintenance.set_model(...);'
        from maintenance.model as m);
  end if;
  return v_model;
end
$$;
