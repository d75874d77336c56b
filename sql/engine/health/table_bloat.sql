-- Every table of the application: how much of it is dead.

create view maintenance.table_bloat as
select
  s.schemaname as schema_name,
  s.relname as table_name,
  s.n_live_tup as live_rows,
  s.n_dead_tup as dead_rows,
  round(100.0 * s.n_dead_tup / nullif(s.n_live_tup + s.n_dead_tup, 0), 1) as dead_percent,
  -- Dead rows above a fifth of the live ones, in a table that is worth the look.
  s.n_dead_tup > 1000 and s.n_dead_tup > 0.2 * s.n_live_tup as is_bloated,
  pg_total_relation_size(s.relid) as bytes,
  greatest(s.last_vacuum, s.last_autovacuum) as last_vacuum,
  greatest(s.last_analyze, s.last_autoanalyze) as last_analyze
from pg_stat_user_tables as s
where s.schemaname not in ('maintenance', 'cron');

comment on view maintenance.table_bloat is
  'A row a table outside the engine, by the statistics of autovacuum. is_bloated: more than 1,000 '
  'dead rows, and more than a fifth of the live ones.';
