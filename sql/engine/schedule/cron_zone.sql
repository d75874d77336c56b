-- The time zone that pg_cron reads schedules in: GMT before 1.5, a setting of the server since.

create function maintenance.cron_zone()
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return coalesce(maintenance.cron_setting('timezone'), 'UTC');

comment on function maintenance.cron_zone() is
  'The time zone that pg_cron reads schedules in: GMT before 1.5, a setting of the server since.';
