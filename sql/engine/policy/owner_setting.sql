-- A setting that every session of the engine's owner in this database begins with, as pg_cron's do:
-- its value, whose it is, and the statement that takes it away. No row where none is given.

create function maintenance_internal.owner_setting(p_name text)
returns table (value text, whose text, fix text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select substr(c.setting, length(p_name) + 2),
    concat_ws(' in ', case when s.setrole <> 0 then 'the role ' || o.owner end,
      case when s.setdatabase <> 0 then 'the database ' || current_database() end),
    format('alter %s reset %s;', case
      when s.setrole = 0 then format('database %I', current_database())
      when s.setdatabase = 0 then format('role %I', o.owner)
      else format('role %I in database %I', o.owner, current_database()) end, p_name)
  from pg_db_role_setting as s
  cross join lateral unnest(s.setconfig) as c (setting)
  cross join (
    select n.nspowner, pg_get_userbyid(n.nspowner) as owner from pg_namespace as n
    where n.nspname = 'maintenance') as o
  where s.setrole in (0, o.nspowner)
    and s.setdatabase in (0, (
      select d.oid from pg_database as d where d.datname = current_database()))
    and c.setting like p_name || '=%'
  order by s.setdatabase <> 0 and s.setrole <> 0 desc, s.setrole <> 0 desc
  limit 1;
end;
