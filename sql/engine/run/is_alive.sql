-- Whether a run that its receipt calls running is at work: its backend is there, and is in one of
-- its steps, or ended one within the last ten seconds. A step holds its job's lock, however long it
-- takes.

create function maintenance_internal.is_alive(
  p_job_id integer,
  p_backend_pid integer,
  p_touched_at timestamptz)
returns boolean
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
return exists (select from pg_stat_activity as a where a.pid = p_backend_pid)
  and (p_touched_at > clock_timestamp() - interval '10 seconds' or exists (
    select from pg_locks as l
    where l.locktype = 'advisory' and l.pid = p_backend_pid and l.objsubid = 2
      and l.classid = maintenance_internal.lock_class()::oid and l.objid = p_job_id::oid
      and l.database = (select d.oid from pg_database as d where d.datname = current_database())));
