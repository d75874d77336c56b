-- What became of each task, for whoever may see neither a text nor whom it is about (S0-25).

create view maintenance.task_events as
select
  t.task_id,
  t.kind,
  t.state,
  t.attempts,
  t.created_at,
  t.available_at,
  t.leased_at,
  t.finished_at
from maintenance.task as t;

comment on view maintenance.task_events is
  'The tasks, without a text and without whom they are about: what was asked, and what became of '
  'it.';
comment on column maintenance.task_events.task_id is 'the task';
comment on column maintenance.task_events.kind is 'what is asked';
comment on column maintenance.task_events.state is
  'ready, leased, succeeded, skipped, quarantined or dead';
comment on column maintenance.task_events.attempts is 'how many attempts it has used';
comment on column maintenance.task_events.created_at is 'when it was asked for';
comment on column maintenance.task_events.available_at is 'from when on a worker may have it';
comment on column maintenance.task_events.leased_at is 'when the worker claimed it that has it now';
comment on column maintenance.task_events.finished_at is 'when it was over';
