-- The receipts: one row per run, written when it starts, after every batch, and when it ends.

create table maintenance_internal.run (
  run_id bigint generated always as identity,
  job_id integer not null,
  job_name text not null,
  trigger text not null,
  slot timestamptz,
  attempt integer not null default 1,
  status text not null,
  started_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  cutoff timestamptz,
  rows_affected bigint not null default 0,
  rows_refused bigint not null default 0,
  batches integer not null default 0,
  backend_pid integer not null default pg_backend_pid(),
  cron_run_id bigint,
  stop_reason text,
  error text,
  sqlstate text,
  error_detail jsonb,
  details jsonb not null default '{}',
  constraint run_pkey primary key (run_id),
  constraint run_trigger_is_known
    check (trigger in ('schedule', 'manual', 'retry', 'catch_up')),
  constraint run_status_is_known check (status in
    ('running', 'succeeded', 'failed', 'skipped', 'timeout', 'cancelled', 'interrupted')),
  constraint run_ends_when_it_is_over check ((status = 'running') = (finished_at is null)),
  constraint run_over_has_a_stop_reason check (status = 'running' or stop_reason is not null),
  constraint run_failed_has_an_error check (status <> 'failed' or error is not null),
  constraint run_error_has_an_sqlstate check ((error is null) = (sqlstate is null))
) with (fillfactor = 50);

create index run_job_name_idx on maintenance_internal.run (job_name, run_id);
create index run_cron_run_id_idx on maintenance_internal.run (cron_run_id)
where cron_run_id is not null;
create index run_finished_at_idx on maintenance_internal.run (finished_at);
create index run_running_idx on maintenance_internal.run (job_id) where status = 'running';

comment on table maintenance_internal.run is
  'Receipts, one row per run. Kept when the job is dropped. Read them as maintenance.run_history.';
comment on column maintenance_internal.run.slot is
  'the scheduled minute that the run stands for; null for a run started by hand';
comment on column maintenance_internal.run.cutoff is 'policies: rows as old as this were due';
comment on column maintenance_internal.run.backend_pid is
  'the backend that runs it: alive while it holds the job''s advisory lock, however long it takes';
comment on column maintenance_internal.run.cron_run_id is
  'statement jobs: the run in pg_cron''s history that this receipt was written from';
comment on column maintenance_internal.run.error is
  'the first error, without any row''s text: SQLSTATE, constraint and table';
comment on column maintenance_internal.run.error_detail is
  'the first error in full, with the key of the row that was refused: for the owner alone';
comment on column maintenance_internal.run.stop_reason is
  'done, budget, max_rows, max_batches, rows_locked, no_effect, refused_rows, lock_timeout, error, '
  'cancelled, already_running, disabled, backend_gone';

-- Where the loop of a run stands between two batches. It travels through the procedure that
-- commits, so nothing in it is trusted: the functions that take it check the run and the leaf.
create type maintenance_internal.progress as (
  run_id bigint,
  next text,
  leaf_number integer,
  leaf_changed bigint,
  contended boolean,
  sweep_from bigint,
  sweep_pages integer,
  sweep_end bigint,
  slab_size integer,
  slab_changed bigint,
  position integer,
  size integer,
  bad_end integer,
  lock_timeouts integer
);

comment on type maintenance_internal.progress is
  'where the loop of a run stands between two batches. next: collect, window, again (a window that '
  'failed: collect its rows), slice, step or end; sweep_*: pages of a leaf that is swept; slab_* '
  'and position: the collected rows, and how far they are worked; size: of the next slice; '
  'bad_end: the end of a slice that failed';
