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
where s.schemaname not in ('maintenance', 'cron');

comment on view maintenance.table_bloat is
  'A row a table outside the engine, by the statistics of autovacuum. is_bloated: more than 1,000 '
  'dead rows, and more than a fifth of all. bytes: of the table without its indexes, as of the '
  'last VACUUM or ANALYZE, so that no lock is waited for.';
