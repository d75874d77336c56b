-- Which models may be asked, in which order, at which price; and every call that was made.

create table maintenance.model (
  model text not null,
  position integer not null,
  input_usd numeric not null default 0,
  output_usd numeric not null default 0,
  generation jsonb not null default '{}',
  enabled boolean not null default true,
  constraint model_pkey primary key (model),
  constraint model_position_is_unique unique (position) deferrable,
  constraint model_prices_are_not_negative check (input_usd >= 0 and output_usd >= 0),
  constraint model_generation_is_an_object check (jsonb_typeof(generation) = 'object')
);

comment on table maintenance.model is
  'The models that tasks may be sent to; the enabled one of the lowest position is asked.';
comment on column maintenance.model.input_usd is 'price of a million tokens in, in USD';
comment on column maintenance.model.output_usd is
  'price of a million tokens out, thoughts among them, in USD';
comment on column maintenance.model.generation is 'settings passed on with every request';

create table maintenance.model_call (
  call_id bigint generated always as identity,
  task_id bigint not null,
  kind text not null,
  model text,
  outcome text not null,
  input_tokens bigint not null default 0,
  output_tokens bigint not null default 0,
  cost_usd numeric,
  duration interval,
  details jsonb,
  created_at timestamptz not null default clock_timestamp(),
  constraint model_call_pkey primary key (call_id)
);

create index model_call_kind_idx on maintenance.model_call (kind, call_id);

comment on table maintenance.model_call is
  'Every call of a model, good or failed: what it took and what it cost. outcome: succeeded, or '
  'the failure class. cost_usd is null where the model has no price here.';
comment on column maintenance.model_call.output_tokens is 'candidates and thoughts together';
