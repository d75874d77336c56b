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
      < maintenance_internal.clock() - interval '7 days'
    as is_unused
from pg_stat_user_indexes as s
join pg_index as i on i.indexrelid = s.indexrelid
join pg_class as c on c.oid = s.indexrelid
cross join (
  select d.stats_reset from pg_stat_database as d where d.datname = current_database()
) as d
where s.schemaname not in ('maintenance', 'maintenance_internal', 'cron');

comment on view maintenance.index_health is 'One row per index outside the engine.';
comment on column maintenance.index_health.schema_name is 'of the table and the index';
comment on column maintenance.index_health.table_name is 'the table';
comment on column maintenance.index_health.index_name is 'the index';
comment on column maintenance.index_health.bytes is
  'its size as of the last VACUUM or ANALYZE, so that no lock is waited for';
comment on column maintenance.index_health.idx_scan is
  'how often it was read since statistics began';
comment on column maintenance.index_health.is_unique is 'it guards a unique key';
comment on column maintenance.index_health.is_valid is
  'false after a CREATE INDEX CONCURRENTLY that failed: to be dropped or rebuilt';
comment on column maintenance.index_health.is_unused is
  'never read since statistics began, at least seven days ago, and not unique';
