-- Every table of the application: how much of it is dead.

create view maintenance.table_bloat as
select
  s.schemaname as schema_name,
  s.relname as table_name,
  s.n_live_tup as live_rows,
  s.n_dead_tup as dead_rows,
  round(100.0 * s.n_dead_tup / nullif(s.n_live_tup + s.n_dead_tup, 0), 1) as dead_percent,
  -- More than a fifth is dead, in a table that is worth the look.
  s.n_dead_tup > 1000 and s.n_dead_tup > 0.2 * (s.n_live_tup + s.n_dead_tup) as is_bloated,
  c.relpages::bigint * current_setting('block_size')::bigint as bytes,
  greatest(s.last_vacuum, s.last_autovacuum) as last_vacuum,
  greatest(s.last_analyze, s.last_autoanalyze) as last_analyze
from pg_stat_user_tables as s
join pg_class as c on c.oid = s.relid
where s.schemaname not in ('maintenance', 'maintenance_internal', 'cron');

comment on view maintenance.table_bloat is
  'One row per table outside the engine: how much of it is dead, by the statistics of autovacuum.';
comment on column maintenance.table_bloat.schema_name is 'the table''s schema';
comment on column maintenance.table_bloat.table_name is 'the table';
comment on column maintenance.table_bloat.live_rows is 'an estimate';
comment on column maintenance.table_bloat.dead_rows is 'an estimate';
comment on column maintenance.table_bloat.dead_percent is 'dead rows of all, in percent';
comment on column maintenance.table_bloat.is_bloated is
  'more than 1,000 dead rows, and more than a fifth of all';
comment on column maintenance.table_bloat.bytes is
  'of the table without its indexes, as of the last VACUUM or ANALYZE';
comment on column maintenance.table_bloat.last_vacuum is 'by hand or by autovacuum';
comment on column maintenance.table_bloat.last_analyze is 'by hand or by autovacuum';
