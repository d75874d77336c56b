-- What was put into pg_cron here, so that an operator's edit or removal can be told from ours.

create table maintenance_internal.installed_schedule (
  job_id integer not null,
  home text not null,
  username name not null,
  schedule text,
  command text not null,
  seen jsonb,
  constraint installed_schedule_pkey primary key (job_id),
  constraint installed_schedule_job_id_fkey foreign key (job_id)
    references maintenance_internal.job (job_id) on delete cascade
);

comment on table maintenance_internal.installed_schedule is
  'What we last put into pg_cron for a job. A row of another home (a restored dump) counts as '
  'none. What cron.job shows beside it and this does not is the operator''s.';
comment on column maintenance_internal.installed_schedule.home is
  'where it was put: the server, the database and the table cron.job, which are others after a '
  'restore, or after drop and create extension';
comment on column maintenance_internal.installed_schedule.username is
  'whom pg_cron runs it as: after the owner was renamed, nobody';
comment on column maintenance_internal.installed_schedule.seen is
  'schedule and active as pg_cron had them at the last look; what differs is an edit';
