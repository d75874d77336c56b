-- Every index of the application: its size and whether anything reads it.

create view maintenance.index_health as
select
  s.schemaname as schema_name,
  s.relname as table_name,
  s.indexrelname as index_name,
  c.relpages::bigint * current_setting('block_size')::bigint as bytes,
  s.idx_scan,
  i.indisunique as is_unique,
  i.indisvalid as is_valid,
  -- A unique index earns its keep without being read; one that is built on fresh statistics
  -- has had no time to be.
  s.idx_scan = 0
    and not i.indisunique
    and coalesce(d.stats_reset, pg_postmaster_start_time())
      < maintenance.clock() - interval '7 days'
    as is_unused
from pg_stat_user_indexes as s
join pg_index as i on i.indexrelid = s.indexrelid
join pg_class as c on c.oid = s.indexrelid
cross join (
  select d.stats_reset from pg_stat_database as d where d.datname = current_database()
) as d
where s.schemaname not in ('maintenance', 'cron');

comment on view maintenance.index_health is
  'A row an index outside the engine. is_unused: never read since statistics began at least seven '
  'days ago, and not unique. bytes: as of the last VACUUM or ANALYZE, so that no lock is waited '
  'for.';
