-- The receipts, as one reads them.

create view maintenance.run_history as
select
  r.run_id,
  r.job_name,
  r.trigger,
  r.slot,
  r.attempt,
  r.status,
  r.due_at,
  r.started_at,
  r.finished_at,
  r.rows_affected,
  r.rows_refused,
  r.batches,
  r.stop_reason,
  r.error,
  r.sqlstate,
  r.details,
  case when pg_has_role((select n.nspowner from pg_namespace as n where n.nspname = 'maintenance'),
    'usage') then r.error_detail end as error_detail
from maintenance_internal.run as r;

comment on view maintenance.run_history is 'One row per run: what it did, how it ended and why.';
comment on column maintenance.run_history.run_id is 'counts up';
comment on column maintenance.run_history.job_name is 'kept when the job is dropped';
comment on column maintenance.run_history.trigger is
  'schedule (pg_cron started it), manual, catch_up (of a slot that pg_cron has missed) or retry';
comment on column maintenance.run_history.slot is
  'the scheduled minute that the run stands for; null for one started by hand';
comment on column maintenance.run_history.attempt is 'counts the retries of one slot from 1';
comment on column maintenance.run_history.status is
  'waiting, running, succeeded, failed, skipped (it did not begin: stop_reason says why), timeout, '
  'cancelled, or interrupted (its session died)';
comment on column maintenance.run_history.due_at is
  'of a run that waits or has waited: not before; null for others';
comment on column maintenance.run_history.started_at is
  'when it began; null while it waits, and where it waited in vain';
comment on column maintenance.run_history.finished_at is
  'when it ended; null while it waits or runs';
comment on column maintenance.run_history.rows_affected is
  'rows deleted, updated or counted by a step';
comment on column maintenance.run_history.rows_refused is 'due rows that could not be changed';
comment on column maintenance.run_history.batches is 'committed batches';
comment on column maintenance.run_history.stop_reason is
  'done, budget, max_rows, max_batches, rows_locked, no_effect, refused_rows, rule_changed, '
  'lock_timeout, error, window, timeout, cancelled, emergency_stop, backend_gone, left_open, '
  'history_gone, job_dropped; of skipped ones disabled, paused, already_running, slot_done, '
  'superseded, restored, dropped, dependency, too_late; of what waits window, dependency, missed, '
  'retry: sql/README.md has them in a table';
comment on column maintenance.run_history.error is
  'the first error, without any row''s text: SQLSTATE, constraint and table';
comment on column maintenance.run_history.sqlstate is 'the SQLSTATE of that error';
comment on column maintenance.run_history.details is
  'left (rows still due), kept (old enough, but kept by matching), bytes_before, bytes_after; '
  'waited (what it waited for), waitsFor (the jobs that it waits for still); and what a step left '
  'by add_details';
comment on column maintenance.run_history.error_detail is
  'the first error in full, with the keys of the first hundred rows that were refused: for the '
  'engine''s owner alone';
