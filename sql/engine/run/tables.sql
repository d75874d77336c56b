-- The receipts: one row per run, written when it starts, after every step, and when it ends. A
-- run that goes on has its whole state there, and what it is still to offer in the table beside
-- it.

-- Where a run stands between two steps; null on the receipt of one that is over.
create type maintenance_internal.progress as (
  commits boolean,
  rule bigint,
  path text,
  check_deferred text,
  target oid,
  leaf oid,
  filenode oid,
  way text,
  listed_to tid,
  page bigint,
  pages integer,
  end_page bigint,
  from_age timestamptz,
  collected boolean,
  missed boolean,
  round_from bigint,
  size integer,
  at integer,
  pieces bigint,
  aside_since bigint,
  expected bigint,
  locked boolean,
  timeouts integer,
  conflicts integer,
  behind_leaf oid,
  behind tid,
  said_at timestamptz
);

comment on type maintenance_internal.progress is
  'commits: run_job, and not run_now. rule: hash of the policy as it was. path: owner_path, as '
  'it was; check_deferred: check_deferred_statement, as it was. leaf, filenode: the table at '
  'work, way: new, then as choose_way says; listed_to, swept up to page (pages at a time, to '
  'end_page), or through up to from_age; collected: no leaf is left; missed: rows may have been '
  'stepped over in this round, which began at round_from rows_affected. size: rows of the next '
  'batch; at: how far the first list is worked; pieces: numbers them. aside_since: rows_affected '
  'when the first row was set aside; expected: rows by list or estimate. locked: somebody holds '
  'rows, which are left out; timeouts, conflicts: in a row. behind_leaf, behind: where the run '
  'before was cut';

create table maintenance_internal.run (
  run_id bigint generated always as identity,
  job_id integer not null,
  job_name text not null,
  trigger text not null,
  slot timestamptz,
  attempt integer not null default 1,
  status text not null,
  due_at timestamptz,
  started_at timestamptz,
  touched_at timestamptz not null default clock_timestamp(),
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
  cut_leaf oid,
  cut tid,
  progress maintenance_internal.progress,
  traced_at timestamptz generated always as (greatest(slot, started_at, case
    when status in ('succeeded', 'failed', 'timeout', 'cancelled') then finished_at end)) stored,
  constraint run_pkey primary key (run_id),
  constraint run_trigger_is_known
    check (trigger in ('schedule', 'manual', 'retry', 'catch_up')),
  constraint run_status_is_known check (status in ('waiting', 'running', 'succeeded', 'failed',
    'skipped', 'timeout', 'cancelled', 'interrupted')),
  constraint run_begins_when_it_has_waited
    check (started_at is not null or status = 'waiting'
      or status = 'skipped' and due_at is not null),
  constraint run_waits_until_it_is_due
    check (status <> 'waiting' or due_at is not null and started_at is null),
  constraint run_ends_when_it_is_over
    check ((status in ('waiting', 'running')) = (finished_at is null)),
  constraint run_over_has_a_stop_reason check (status = 'running' or stop_reason is not null),
  constraint run_failed_has_an_error check (status <> 'failed' or error is not null),
  constraint run_error_has_an_sqlstate check ((error is null) = (sqlstate is null))
) with (fillfactor = 50);

create index run_error_rows_idx on maintenance_internal.run (run_id) where error_detail ? 'rows';
create index run_job_name_idx on maintenance_internal.run (job_name, run_id);
-- Of each job the last run that says how it is, the last trace of any, and the last that
-- succeeded. By the time: an order that the primary key has, too, would have it walked backwards
-- for a job without any.
create index run_last_idx on maintenance_internal.run (job_id, (coalesce(started_at, finished_at)))
where status not in ('waiting', 'skipped') or status = 'skipped' and error is not null;
create index run_traced_idx on maintenance_internal.run (job_id, traced_at);
create index run_succeeded_idx on maintenance_internal.run (job_id, started_at)
where status = 'succeeded';
-- Statements that go on.
create index run_statement_idx on maintenance_internal.run (cron_run_id)
where status = 'running' and cron_run_id is not null;
create index run_finished_at_idx on maintenance_internal.run (finished_at);
-- One run of a job at a time, and one that waits; what pg_cron runs itself is not ours to keep
-- apart.
create unique index run_running_idx on maintenance_internal.run (job_id)
where status = 'running' and cron_run_id is null;
create unique index run_waiting_idx on maintenance_internal.run (job_id)
where status = 'waiting';

comment on table maintenance_internal.run is
  'Receipts, one row per run. Kept when the job is dropped. Read them as maintenance.run_history.';
comment on column maintenance_internal.run.slot is
  'the scheduled minute that the run stands for; null for a run started by hand';
comment on column maintenance_internal.run.due_at is
  'of a run that waits or has waited: not before; only a window and a resume move it';
comment on column maintenance_internal.run.traced_at is
  'up to when the job has left a trace: no slot until then was missed. When a run was given up, or '
  'was found to be dead, says nothing';
comment on column maintenance_internal.run.touched_at is 'the end of its last step';
comment on column maintenance_internal.run.cutoff is 'policies: rows as old as this were due';
comment on column maintenance_internal.run.backend_pid is
  'the backend that runs it; whether it is at work says is_alive';
comment on column maintenance_internal.run.cron_run_id is
  'statement jobs: the run in pg_cron''s history that this receipt was written from';
comment on column maintenance_internal.run.error is
  'the first error, without any row''s text: SQLSTATE, constraint and table';
comment on column maintenance_internal.run.error_detail is
  'the first error in full, with the keys of the first hundred rows that were refused: for the '
  'owner alone';
comment on column maintenance_internal.run.stop_reason is
  'done, budget, max_rows, max_batches, rows_locked, no_effect, refused_rows, rule_changed, '
  'lock_timeout, error, window, timeout, cancelled, emergency_stop, backend_gone, left_open, '
  'history_gone, job_dropped; of skipped ones disabled, paused, already_running, slot_done, '
  'superseded, restored, dropped, dependency, too_late; of what waits window, dependency, missed, '
  'retry';
comment on column maintenance_internal.run.cut is
  'where in cut_leaf a run ended that was at what had failed: the next one begins behind it';

-- What a run is still to offer: rows of one leaf by their addresses, a window of its pages, or a
-- range of the age. First the lists (pass 1), in heap order; then what failed, last first,
-- beginning behind the place where the run before was cut (pass 2, then 3); then the rows that
-- failed alone (pass 4). Lost in a crash, as the run is.
create unlogged table maintenance_internal.piece (
  run_id bigint not null,
  pass integer not null,
  place bigint not null,
  leaf oid not null,
  page bigint,
  end_page bigint,
  from_age timestamptz,
  to_age timestamptz,
  tids tid[],
  failed_at bigint,
  constraint piece_pkey primary key (run_id, pass, place)
);

alter table maintenance_internal.piece alter tids set storage external;

comment on table maintenance_internal.piece is
  'What runs that go on are still to offer: tids, or the pages from page up to end_page, or the '
  'rows whose age is from from_age up to to_age. failed_at: rows_affected when it failed.';
