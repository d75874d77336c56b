-- The receipts, as one reads them.

create view maintenance.run_history as
select
  r.run_id,
  r.job_name,
  r.trigger,
  r.slot,
  r.attempt,
  r.status,
  r.started_at,
  r.finished_at,
  r.rows_affected,
  r.rows_refused,
  r.batches,
  r.stop_reason,
  r.error,
  r.sqlstate,
  r.details
from maintenance.run as r;

comment on view maintenance.run_history is
  'A row a run: what it did, how it ended and why. executionTime is finished_at - started_at.';
