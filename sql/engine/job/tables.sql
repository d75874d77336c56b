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
  promised_at timestamptz not null default now(),
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
  constraint job_limits_are_positive check (max_batches > 0 and max_rows > 0)
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
comment on column maintenance_internal.job.promised_at is
  'when its schedule in force began to count, or it was enabled: no slot before it was ever owed';

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
