-- Whether pg_cron started this session: as a background worker, or over a connection of its own,
-- whose name anybody could take, but for the role.

create function maintenance_internal.fired_by_cron()
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
return exists (
  select from pg_stat_activity as a
  where a.pid = pg_backend_pid()
    and (a.backend_type like 'pg_cron%' or a.application_name = 'pg_cron'
      and maintenance_internal.is_trusted(a.usesysid))
);
