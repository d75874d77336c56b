-- When a schedule fires next, for everybody who writes one.

create function maintenance.next_run_at(schedule text, after timestamptz)
returns timestamptz
language sql
immutable
security definer
set search_path = pg_catalog, pg_temp
return maintenance_internal.nearest_minute(
  next_run_at.schedule, next_run_at.after at time zone 'UTC', true) at time zone 'UTC';

comment on function maintenance.next_run_at(text, timestamptz) is
  'The first minute after a time that a cron schedule names, in UTC, read as pg_cron reads it: '
  'names, lists, ranges, steps, @hourly and its kin; where neither day field starts with * a day '
  'needs to match one of them only. Null where there is none (30 February) or the schedule is '
  'null. Errors: PM006 not a cron expression.';
