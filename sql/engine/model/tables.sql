-- Which models may be asked, in which order, how often and at which price; what is known of them
-- meanwhile; and every call that was made.
--
--   model        what is declared: order, limits, prices, settings of the request
--   model_pace   what reservations write: the next free place; and limits that a refusal has told
--   model_usage  requests by hour: a day and a month are sums of hours, so nothing is ever reset
--   cool_down    who is not asked now, and why: a row is a problem, an answer takes it away
--   model_call   a row per call: made when its place is reserved, settled under its lease token
--   model_day    calls, tokens and cost by day: what stays when calls are purged
--
-- Locks are taken in this order, after the task's row and the application's; and what the
-- application reports has rows of its own, so that neither waits for the other.

create table maintenance.model (
  model text not null,
  carrier text not null default 'worker',
  position integer not null,
  input_usd numeric,
  output_usd numeric,
  cached_usd numeric,
  priced_on date,
  per_minute integer,
  per_hour integer,
  per_day integer,
  per_month integer,
  generation jsonb not null default '{}',
  request jsonb not null default '{}',
  timeout interval not null default '60 seconds',
  enabled boolean not null default true,
  changed_at timestamptz not null default maintenance_internal.moment(),
  constraint model_pkey primary key (model),
  constraint model_position_is_unique unique (carrier, position) deferrable,
  constraint model_carrier_is_known check (carrier in ('worker', 'application')),
  constraint model_prices_are_not_negative
    check (input_usd >= 0 and output_usd >= 0 and cached_usd >= 0),
  constraint model_limits_are_not_negative
    check (per_minute >= 0 and per_hour >= 0 and per_day >= 0 and per_month >= 0),
  constraint model_generation_is_an_object check (jsonb_typeof(generation) = 'object'),
  constraint model_request_is_an_object check (jsonb_typeof(request) = 'object'),
  constraint model_timeout_is_sane check (timeout between interval '1 second' and interval '1 hour')
);

comment on table maintenance.model is
  'The models, in the order in which they are asked. model_status says which one can be, now.';
comment on column maintenance.model.carrier is
  'worker: asked for tasks. application: asked by the application itself, which reports with '
  'record_usage';
comment on column maintenance.model.input_usd is
  'price of a million tokens in, in USD; null: unknown, and its calls cost nothing that is known';
comment on column maintenance.model.output_usd is
  'price of a million tokens out, thoughts among them, in USD';
comment on column maintenance.model.cached_usd is
  'price of a million tokens in that Gemini had in its cache; null: as the others';
comment on column maintenance.model.priced_on is 'the day on which these prices held';
comment on column maintenance.model.per_minute is
  'requests allowed a minute, like the three others; null: unknown, 0: never to be asked';
comment on column maintenance.model.generation is
  'settings of every request, for its generationConfig: {"thinkingConfig": {...}}';
comment on column maintenance.model.request is
  'settings of every request, beside its contents: {"safetySettings": [...], "serviceTier": '
  '"flex"}';
comment on column maintenance.model.timeout is 'how long an answer is waited for';
comment on column maintenance.model.changed_at is 'what was refused before is asked again since';

create table maintenance_internal.model_pace (
  model text not null,
  next_at timestamptz not null default '-infinity',
  learned_minute integer,
  learned_day integer,
  learned_at timestamptz,
  constraint model_pace_pkey primary key (model),
  constraint model_pace_model_fkey foreign key (model) references maintenance.model (model)
    on delete cascade
) with (fillfactor = 50);

comment on table maintenance_internal.model_pace is
  'Where the next call of a model may begin, and the limits that Gemini has told in a refusal.';

create table maintenance_internal.model_usage (
  model text not null,
  carrier text not null,
  hour timestamptz not null,
  requests bigint not null default 0,
  tokens bigint not null default 0,
  minute timestamptz not null,
  minute_requests bigint not null default 0,
  constraint model_usage_pkey primary key (model, carrier, hour),
  constraint model_usage_model_fkey foreign key (model) references maintenance.model (model)
    on delete cascade
) with (fillfactor = 50);

create index model_usage_hour_idx on maintenance_internal.model_usage (hour);

comment on table maintenance_internal.model_usage is
  'Requests of a model in an hour, by who made them, and in the last minute of it that had any; '
  'tokens are known of the application''s alone.';

create table maintenance_internal.cool_down (
  model text not null,
  kind text not null default '*',
  class text not null,
  reason text not null,
  times integer not null default 1,
  since timestamptz not null,
  until timestamptz not null,
  probing_until timestamptz,
  constraint cool_down_pkey primary key (model, kind),
  constraint cool_down_model_fkey foreign key (model) references maintenance.model (model)
    on delete cascade,
  constraint cool_down_class_is_known check (class in ('limit', 'fault', 'gone', 'refused'))
);

comment on table maintenance_internal.cool_down is
  'Which models are not asked now, for all kinds of task (*) or for one: limit, it is asked too '
  'often; fault, it fails; gone, it is not there; refused, it takes no request of this kind. When '
  'until is over, one call tries (probing_until): its answer deletes the row, its failure doubles '
  'the time.';

create table maintenance.model_call (
  call_id bigint generated always as identity,
  task_id bigint not null,
  kind text not null,
  model text not null,
  outcome text not null default 'asked',
  lease_token uuid not null,
  asks_at timestamptz not null,
  is_probe boolean not null default false,
  settled_at timestamptz,
  input_tokens bigint not null default 0,
  output_tokens bigint not null default 0,
  cached_tokens bigint not null default 0,
  is_estimate boolean not null default true,
  cost_usd numeric,
  model_version text,
  duration interval,
  details jsonb,
  created_at timestamptz not null default clock_timestamp(),
  constraint model_call_pkey primary key (call_id)
) with (fillfactor = 80);

create index model_call_created_at_idx on maintenance.model_call (created_at);
create index model_call_details_idx on maintenance.model_call (task_id) where details is not null;
create unique index model_call_open_is_unique on maintenance.model_call (lease_token)
where settled_at is null;

comment on table maintenance.model_call is
  'Every call of a model, good or failed: what it took and what it cost. outcome: asked while it '
  'goes on; then succeeded, quarantined, the failure class, lost with its worker, released by a '
  'worker that stopped, unasked where it was released before it was made.';
comment on column maintenance.model_call.asks_at is 'its place: when the worker may ask';
comment on column maintenance.model_call.is_probe is
  'it tries whether the model, which cools, can be asked again';
comment on column maintenance.model_call.input_tokens is 'with the cached ones';
comment on column maintenance.model_call.output_tokens is 'candidates and thoughts together';
comment on column maintenance.model_call.is_estimate is
  'nobody has told the tokens: a third of the characters asked. Lost calls and time-outs are '
  'billed all the same';
comment on column maintenance.model_call.cost_usd is 'null where the model has no price here';
comment on column maintenance.model_call.model_version is 'what answered, as Gemini says it';

create table maintenance.model_day (
  day date not null,
  model text not null,
  kind text not null,
  calls bigint not null default 0,
  answered bigint not null default 0,
  input_tokens bigint not null default 0,
  output_tokens bigint not null default 0,
  cached_tokens bigint not null default 0,
  cost_usd numeric not null default 0,
  unknown_cost bigint not null default 0,
  answered_at timestamptz,
  refused_at timestamptz,
  constraint model_day_pkey primary key (day, model, kind)
) with (fillfactor = 50);

comment on table maintenance.model_day is
  'What the calls of a day took and cost, by model and kind of task. A day is one of Los Angeles, '
  'as the quotas of Gemini.';
comment on column maintenance.model_day.answered is 'the calls that Gemini answered, well or badly';
comment on column maintenance.model_day.unknown_cost is
  'the calls of which cost_usd has an estimate only, or nothing, the model being without a price';
comment on column maintenance.model_day.answered_at is 'the last answer';
comment on column maintenance.model_day.refused_at is 'the last request that was refused as such';
