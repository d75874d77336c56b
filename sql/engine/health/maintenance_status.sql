-- The front door: what is still to be done, and whether anybody is on it.

create view public.maintenance_status as
select
  b.task,
  b.count,
  b.severity,
  b.oldest,
  b.next_run_at,
  b.advice,
  b.job_name,
  b.schedule,
  b.active,
  b.last_run_at,
  b.last_status,
  b.description
from maintenance_internal.backlog() as b
union all
select t.task, t.count, t.severity, t.oldest, null, t.advice, null, null, null, null, null,
  t.description
from maintenance_internal.task_backlog() as t
union all
select b.task, b.count, b.severity, b.oldest, null, b.advice, null, null, null, null, null,
  b.description
from maintenance_internal.blob_backlog() as b
union all
select a.task, a.count, a.severity, a.oldest, null, a.advice, null, null, null, null, null,
  a.description
from maintenance_internal.alert_backlog() as a;

comment on view public.maintenance_status is
  'One row per backlog: what is due, and the job that takes it; then jobs_failing, jobs_late and '
  'scheduler, about all jobs; then the tasks that are due, with a worker, that wait for a '
  'decision, and that are dead; then the models that they are asked of; then, where a table names '
  'blobs, those that are to be deleted from the store; last, the open alerts.';
comment on column public.maintenance_status.task is
  'the name of the backlog; the job''s own name where it has no other';
comment on column public.maintenance_status.count is
  'rows due now, by the job''s own rule; counted up to 10,000, then the description says at '
  'least. Jobs whose last run did not succeed; jobs that should have run by their schedule and '
  'left no trace; what keeps pg_cron from firing; tasks; models';
comment on column public.maintenance_status.severity is
  'ok: nothing is due. notice: a job will take it. warning: the job is behind, failed, disabled '
  'or not fired, or late; tasks wait for an hour, for a budget or for a decision, or are dead; a '
  'model is not asked now. critical: the rule is broken or its table locked; pg_cron fires '
  'nothing any more; no model can be asked';
comment on column public.maintenance_status.oldest is
  'the time of the oldest row that is due; since when the first job is late or failing';
comment on column public.maintenance_status.next_run_at is 'when pg_cron starts the job next';
comment on column public.maintenance_status.advice is
  'what to do about it, with the statement to paste; null where there is nothing to do';
comment on column public.maintenance_status.job_name is
  'the job that takes it; null for the rows about all jobs, tasks and models';
comment on column public.maintenance_status.schedule is 'the job''s schedule in force';
comment on column public.maintenance_status.active is 'pg_cron will start the job';
comment on column public.maintenance_status.last_run_at is 'when the job''s last run began';
comment on column public.maintenance_status.last_status is 'how that run ended';
comment on column public.maintenance_status.description is 'what the backlog is, in words';
