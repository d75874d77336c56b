-- Which tables (of how many) a VACUUM or ANALYZE left out, although it ended without an error:
-- Postgres only warns of a table that the role may not maintain, or whose lock a SKIP_LOCKED did
-- not get. Told by the statistics, which know when a table was last maintained. A VACUUM FULL or
-- REPACK leaves no trace there, nor does anything before a crash: then only rights are looked at.

create function maintenance_internal.skipped_tables(
  p_statement text,
  p_username text,
  p_started_at timestamptz)
returns table (relid regclass, may boolean, reason text, tables bigint)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select o.relid, o.may,
    case when not o.may then format('%s may not %s it: it is not the owner', p_username, o.verb)
      when o.options ~ 'skip_locked' then 'its lock was not free'
      else 'the statistics show no trace of it' end,
    o.tables
  from (
    select t.relid, t.verb, t.options, count(*) over () as tables,
      pg_has_role(r.oid, c.relowner, 'usage')
        or not c.relisshared and pg_has_role(r.oid, d.datdba, 'usage')
        or case when current_setting('server_version_num')::integer >= 170000
          then has_table_privilege(r.oid, c.oid, 'maintain') else false end as may,
      t.verb = 'repack' or t.options ~ 'full'
        or p_started_at < greatest(s.stats_reset, pg_postmaster_start_time())
        or case t.verb
          when 'vacuum' then greatest(u.last_vacuum, u.last_autovacuum)
          else greatest(u.last_analyze, u.last_autoanalyze)
        end >= p_started_at as done
    from maintenance_internal.statement_tables(p_statement) as t
    join pg_class as c on c.oid = t.relid
    join pg_roles as r on r.rolname = p_username
    join pg_database as d on d.datname = current_database()
    left join pg_stat_database as s on s.datid = d.oid
    left join pg_stat_all_tables as u on u.relid = c.oid
  ) as o
  where not o.may or o.done is not true;
end;
