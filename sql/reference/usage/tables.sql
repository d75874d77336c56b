-- Calls of models, those that the worker made and those of the application, in one log; and a
-- report of each day and each month.
--
-- The application's own calls count for the limits of models as soon as they are in the log; those
-- of the worker, which are copied, were counted when they were made.

create table public.api_usage_logs (
  id uuid not null default gen_random_uuid(),
  call_id bigint,
  user_id uuid,
  feature_name text not null default 'unknown',
  provider_used text not null default 'unknown',
  model_used text,
  tokens_input bigint not null default 0,
  tokens_output bigint not null default 0,
  latency_ms integer,
  cached boolean not null default false,
  cost_estimate numeric,
  timestamp timestamptz not null default now(),
  success boolean not null default true,
  error_message text,
  constraint api_usage_logs_pkey primary key (id),
  constraint api_usage_logs_one_a_call unique (call_id),
  constraint api_usage_logs_user_id_fkey
    foreign key (user_id) references public.users (id) on delete set null
);

create index api_usage_logs_timestamp_idx on public.api_usage_logs (timestamp);
create index api_usage_logs_copied_idx on public.api_usage_logs (timestamp)
where call_id is not null;
create index api_usage_logs_user_id_idx on public.api_usage_logs (user_id);

create table public.daily_usage_reports (
  report_date date not null,
  total_api_calls bigint not null default 0,
  provider_breakdown jsonb not null default '{}',
  avg_response_time numeric,
  error_rate numeric,
  peak_hour integer,
  feature_usage jsonb not null default '{}',
  error_types jsonb not null default '{}',
  peak_hours jsonb not null default '[]',
  anomalies jsonb not null default '[]',
  recommendations jsonb not null default '[]',
  cost_usd numeric,
  analyzed_at timestamptz not null default now(),
  constraint daily_usage_reports_pkey primary key (report_date)
);

create table public.monthly_usage_reports (
  month date not null,
  model text not null,
  requests bigint not null,
  allowed bigint not null,
  reset_at timestamptz not null,
  reported_at timestamptz not null,
  constraint monthly_usage_reports_pkey primary key (month, model)
);

comment on table public.api_usage_logs is
  'Calls of models, a row each: those of the application, which writes them, and those of the '
  'worker, copied by usage_analysis.';
comment on column public.api_usage_logs.call_id is
  'of which row of maintenance.model_call it is a copy; null: the application''s own';
comment on column public.api_usage_logs.cached is
  'answered from a cache of the application''s: nobody was asked';
comment on column public.api_usage_logs.timestamp is 'when it was asked';
comment on table public.daily_usage_reports is
  'What the calls of a day (UTC) were like: one row a day, by analyze_usage (S2-10).';
comment on column public.daily_usage_reports.avg_response_time is 'in ms';
comment on column public.daily_usage_reports.error_rate is 'percent of the calls';
comment on column public.daily_usage_reports.peak_hour is 'the hour with most calls, 0 to 23 (UTC)';
comment on column public.daily_usage_reports.anomalies is '[{rule, detail}]';
comment on table public.monthly_usage_reports is
  'How much of its limit a month each model had used when the month was over (S2-16): one row a '
  'month and model.';
comment on column public.monthly_usage_reports.month is 'its first day (UTC)';
comment on column public.monthly_usage_reports.reset_at is 'since when the next month is counted';
