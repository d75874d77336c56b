-- The weekly look (S2-41): what each job did in seven days, whom it called, and who changed it.

create view maintenance.weekly_report as
select s.job_name, s.runs, s.succeeded, s.failed, s.success_rate, s.rows_affected, s.average_ms,
  s.grade,
  (
    select count(*) from maintenance.alert as a
    where a.subject = s.job_name
      and a.opened_at > maintenance_internal.clock() - interval '7 days'
  ) as alerts,
  (
    select count(*) from maintenance.edit as e
    where e.job_name = s.job_name
      and e.changed_at > maintenance_internal.clock() - interval '7 days'
  ) as edits
from maintenance.job_statistics('7 days') as s;

comment on view maintenance.weekly_report is
  'One row per job, but for the kit''s own that leave one receipt (tick, run_late, alert_monitor): '
  'how its runs of the last seven days went, the worst first (S2-41).';
comment on column maintenance.weekly_report.job_name is 'the job';
comment on column maintenance.weekly_report.runs is 'runs that ended, as in run_history';
comment on column maintenance.weekly_report.succeeded is 'those that succeeded';
comment on column maintenance.weekly_report.failed is
  'those that failed, timed out or were interrupted';
comment on column maintenance.weekly_report.success_rate is 'the share that succeeded, in percent';
comment on column maintenance.weekly_report.rows_affected is 'rows that they handled';
comment on column maintenance.weekly_report.average_ms is 'how long they took on average, in ms';
comment on column maintenance.weekly_report.grade is 'as in maintenance.job_statistics';
comment on column maintenance.weekly_report.alerts is 'alerts that it opened';
comment on column maintenance.weekly_report.edits is 'how often somebody changed it';
