-- The front door: what is still to be done, and whether anybody is on it.

create view public.maintenance_status as
select
  b.task,
  b.count,
  b.description,
  b.severity,
  b.oldest,
  b.job_name,
  b.schedule,
  b.active,
  b.last_run_at,
  b.last_status,
  b.next_run_at,
  b.advice
from maintenance.backlog() as b
union all
select
  t.task,
  t.count,
  t.description,
  t.severity,
  t.oldest,
  null,
  null,
  null,
  null,
  null,
  null,
  t.advice
from maintenance.task_backlog() as t;

comment on view public.maintenance_status is
  'A row a backlog: how many rows are due (counted up to 10,000), the oldest, and the job that '
  'takes them; then the tasks that are due, that wait for a decision, and that are dead. '
  'severity: ok nothing due; notice due, and somebody will take them; warning the job is behind, '
  'failed, disabled or not scheduled, tasks wait for more than an hour or for a decision, or are '
  'dead; critical the rule is broken.';
