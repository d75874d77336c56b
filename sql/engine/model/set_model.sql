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
  v_old maintenance.model;
  v_priced constant boolean :=
    coalesce(set_model.input_usd, set_model.output_usd, set_model.cached_usd) is not null;
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

  select * into v_old from maintenance.model as m where m.model = set_model.model for update;
  v_old.carrier := coalesce(set_model.carrier, v_old.carrier, 'worker');
  insert into maintenance.model as m (model, carrier, position, input_usd, output_usd, cached_usd,
    priced_on, per_minute, per_hour, per_day, per_month, generation, request, timeout, enabled)
  values (
    set_model.model,
    v_old.carrier,
    coalesce(set_model.position, v_old.position, (
      select coalesce(max(o.position), 0) + 1 from maintenance.model as o
      where o.carrier = v_old.carrier)),
    coalesce(set_model.input_usd, v_old.input_usd),
    coalesce(set_model.output_usd, v_old.output_usd),
    coalesce(set_model.cached_usd, v_old.cached_usd),
    coalesce(set_model.priced_on, case when v_priced then current_date end, v_old.priced_on),
    nullif(coalesce(set_model.per_minute, v_old.per_minute), -1),
    nullif(coalesce(set_model.per_hour, v_old.per_hour), -1),
    nullif(coalesce(set_model.per_day, v_old.per_day), -1),
    nullif(coalesce(set_model.per_month, v_old.per_month), -1),
    coalesce(set_model.generation, v_old.generation, '{}'),
    coalesce(set_model.request, v_old.request, '{}'),
    coalesce(set_model.timeout, v_old.timeout, '60 seconds'),
    coalesce(set_model.enabled, v_old.enabled, true))
  on conflict on constraint model_pkey do update
  set carrier = excluded.carrier,
    position = excluded.position,
    input_usd = excluded.input_usd,
    output_usd = excluded.output_usd,
    cached_usd = excluded.cached_usd,
    priced_on = excluded.priced_on,
    per_minute = excluded.per_minute,
    per_hour = excluded.per_hour,
    per_day = excluded.per_day,
    per_month = excluded.per_month,
    generation = excluded.generation,
    request = excluded.request,
    timeout = excluded.timeout,
    enabled = excluded.enabled;
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
    delete from maintenance_internal.model_pace as p where p.model = new.model;
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
