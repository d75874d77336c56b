-- Declares a model that tasks may be sent to.

create function maintenance.set_model(
  model text,
  "position" integer,
  input_usd numeric default 0,
  output_usd numeric default 0,
  generation jsonb default '{}',
  enabled boolean default true)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
begin
  if coalesce(set_model.model, '') !~ '^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$' then
    raise exception 'the model "%" is not acceptable', set_model.model
      using errcode = 'PM002', hint = 'Up to 100 letters, digits, ".", "_", "/" and "-".';
  end if;
  if set_model.input_usd is null or set_model.output_usd is null
    or least(set_model.input_usd, set_model.output_usd) < 0 then
    raise exception 'the prices % and % are not acceptable', set_model.input_usd,
      set_model.output_usd
      using errcode = 'PM002', hint = 'USD per million tokens in and out, zero or more.';
  end if;
  if set_model.generation is null or jsonb_typeof(set_model.generation) <> 'object' then
    raise exception 'generation % is not an object', set_model.generation
      using errcode = 'PM002', hint = 'Settings of the request: ''{"temperature": 0}''.';
  end if;
  insert into maintenance.model as m
    (model, position, input_usd, output_usd, generation, enabled)
  values (set_model.model, set_model.position, set_model.input_usd, set_model.output_usd,
    set_model.generation, set_model.enabled)
  on conflict on constraint model_pkey do update
  set position = excluded.position,
    input_usd = excluded.input_usd,
    output_usd = excluded.output_usd,
    generation = excluded.generation,
    enabled = excluded.enabled;
end
$$;

comment on function maintenance.set_model(text, integer, numeric, numeric, jsonb, boolean) is
  'Declares a model, or changes it. position: the enabled one of the lowest position is asked. '
  'Prices in USD per million tokens in and out. generation: settings passed on with every '
  'request. For the engine''s owner. Errors: PM002 argument, 23505 the position is taken.';
