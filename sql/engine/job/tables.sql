-- What should be done, one row per job, and who changed it. Rows are written by set_policy, set_job
-- and set_statement, and by nobody else.

create table maintenance_internal.job (
  job_id integer generated always as identity,
  job_name text not null,
  kind text not null,
  step text,
  statement text,
  schedule text,
  description text not null,
  backlog_name text,
  backlog_function text,
  enabled boolean not null default true,
  batch_size integer not null default 20000,
  budget interval not null default interval '5 minutes',
  max_batches integer,
  max_rows bigint,
  priority text not null default 'medium',
  timeout interval,
  depends_on text[] not null default '{}',
  grace interval,
  window_start time,
  window_end time,
  window_zone text,
  promised_at timestamptz not null default now(),
  look_at timestamptz not null default '-infinity',
  look_since timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint job_pkey primary key (job_id),
  constraint job_name_is_unique unique (job_name),
  constraint job_backlog_name_is_unique unique (backlog_name),
  constraint job_name_fits_pg_cron check (job_name ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,50}$'),
  constraint job_kind_is_known check (kind in ('policy', 'function', 'statement')),
  constraint job_step_belongs_to_functions check ((kind = 'function') = (step is not null)),
  constraint job_statement_belongs_to_statements
    check ((kind = 'statement') = (statement is not null)),
  constraint job_backlog_function_has_a_name
    check (backlog_function is null or (kind = 'function' and backlog_name is not null)),
  constraint job_batch_size_is_sane check (batch_size between 1 and 100000),
  constraint job_budget_is_positive check (budget > interval '0'),
  constraint job_limits_are_positive check (max_batches > 0 and max_rows > 0),
  constraint job_priority_is_known check (priority in ('critical', 'high', 'medium', 'low')),
  constraint job_times_are_positive check (timeout > interval '0' and grace > interval '0'),
  constraint job_window_is_whole check (num_nulls(window_start, window_end, window_zone) in (0, 3)),
  constraint job_window_has_a_length check (window_start <> window_end)
);

comment on table maintenance_internal.job is
  'One row per job: what set_policy, set_job and set_statement declared, and the options of '
  'configure_job. schedule is the declared one; job_status shows the one in force.';
comment on column maintenance_internal.job.step is
  'function jobs: qualified name of a function (batch_size integer) returns bigint';
comment on column maintenance_internal.job.backlog_name is
  'the name of the job''s row in maintenance_status; the job''s own name where null';
comment on column maintenance_internal.job.backlog_function is
  'function jobs: qualified name of a function (cap integer) that counts what is due';
comment on column maintenance_internal.job.budget is
  'a run stops cleanly after this much wall-clock time';
comment on column maintenance_internal.job.priority is
  'how often a failed run is tried again, and who goes first of those that wait';
comment on column maintenance_internal.job.timeout is
  'a run is ended after this much time; where null, time_out_of says when';
comment on column maintenance_internal.job.depends_on is
  'jobs that have to have succeeded for a slot before its run begins';
comment on column maintenance_internal.job.grace is
  'how long a run may wait; where null, until the next slot';
comment on column maintenance_internal.job.window_start is
  'the only time of day, in window_zone, in which pg_cron and the tick may have it run; over '
  'midnight where it ends before it starts';
comment on column maintenance_internal.job.promised_at is
  'when its schedule in force began to count, or it was enabled: no slot before it was ever owed';
comment on column maintenance_internal.job.look_at is
  'no slot of its can be missed before this moment, so that the tick need not read its schedule; '
  'holds for the promise of look_since alone';

create table maintenance.edit (
  edit_id bigint generated always as identity,
  job_name text not null,
  changed_at timestamptz not null default clock_timestamp(),
  changed_by text not null default session_user,
  what jsonb not null,
  constraint edit_pkey primary key (edit_id)
);

create index edit_changed_at_idx on maintenance.edit (changed_at);

comment on table maintenance.edit is
  'Who changed what of a job, its rule or its schedule, and when: one row per change, kept when '
  'the job is dropped.';
comment on column maintenance.edit.changed_by is
  'the login; pg_cron where the change was found there, which does not say whose it was';
comment on column maintenance.edit.what is
  'what changed: {"keep": [before, after], ...}; schedule and active are those in pg_cron, where '
  'the change was made or found there';
