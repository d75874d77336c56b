-- Every table of the application: how much of it is dead, by the statistics of autovacuum, and how
-- much of its file is air, by the known estimate: the pages that its rows would take by their
-- average width, against the pages that it has.

-- Pages that each table's rows would fill. What a viewer may read decides what pg_stats shows, so
-- the owner looks. Null where a column has no statistics yet.
create function maintenance_internal.full_pages()
returns table (relid oid, pages bigint)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
begin atomic
  select c.oid,
    case when count(s.attname) = count(*) and c.reltuples >= 0 then
      ceil(c.reltuples / greatest(1, floor( -- rows of a page: none is on two
        (current_setting('block_size')::integer - 24) * coalesce((
          select o.option_value::numeric from pg_options_to_table(c.reloptions) as o
          where o.option_name = 'fillfactor'), 100) / 100
        / (4 -- the line pointer
          -- The row's head, with a bit a column where one is ever null; both in steps of eight.
          + 8 * ceil((23 + case when max(s.null_frac) > 0 then (max(a.attnum) + 7) / 8 else 0 end)
            / 8.0)
          + 8 * ceil(sum((1 - s.null_frac) * s.avg_width) / 8))::numeric)))::bigint end
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  left join pg_stats as s
    on s.schemaname = n.nspname and s.tablename = c.relname and s.attname = a.attname
    and not s.inherited
  where c.relkind in ('r', 'm')
    and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
  group by c.oid, c.reltuples, c.reloptions;
end;

-- The same, read from the pages themselves, in percent; null without the extension pgstattuple, or
-- where it may not be used.
create function maintenance_internal.measured_bloat(p_schema text, p_table text)
returns numeric
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
declare
  v_schema text := (
    select n.nspname from pg_extension as e join pg_namespace as n on n.oid = e.extnamespace
    where e.extname = 'pgstattuple');
  v_percent numeric;
begin
  if v_schema is not null then
    execute format('select a.approx_free_percent + a.dead_tuple_percent '
      'from %I.pgstattuple_approx($1) as a', v_schema)
    into v_percent using to_regclass(format('%I.%I', p_schema, p_table));
  end if;
  return round(v_percent, 1);
exception when insufficient_privilege or lock_not_available or wrong_object_type
  or feature_not_supported then
  return null;
end
$$;

create view maintenance.table_bloat as
select
  s.schemaname as schema_name,
  s.relname as table_name,
  s.n_live_tup as live_rows,
  s.n_dead_tup as dead_rows,
  round(100.0 * s.n_dead_tup / nullif(s.n_live_tup + s.n_dead_tup, 0), 1) as dead_percent,
  -- More than a fifth is dead, in a table that is worth the look.
  s.n_dead_tup > 1000 and s.n_dead_tup > 0.2 * (s.n_live_tup + s.n_dead_tup) as is_bloated,
  greatest(c.relpages, 0)::bigint * b.size as bytes, -- that of a partitioned one is -1
  case when f.pages is not null then greatest(c.relpages - f.pages, 0) * b.size end as air_bytes,
  case when f.pages is not null then
    round(100.0 * greatest(c.relpages - f.pages, 0) / nullif(c.relpages, 0), 1) end as air_percent,
  greatest(s.last_vacuum, s.last_autovacuum) as last_vacuum,
  greatest(s.last_analyze, s.last_autoanalyze) as last_analyze
from pg_stat_user_tables as s
join pg_class as c on c.oid = s.relid
left join maintenance_internal.full_pages() as f on f.relid = s.relid
cross join (select current_setting('block_size')::bigint as size) as b
where s.schemaname not in ('maintenance', 'maintenance_internal', 'cron');

comment on view maintenance.table_bloat is
  'One row per table outside the engine: how much of it is dead, by the statistics of autovacuum, '
  'and how much of its file is empty, by an estimate.';
comment on column maintenance.table_bloat.schema_name is 'the table''s schema';
comment on column maintenance.table_bloat.table_name is 'the table';
comment on column maintenance.table_bloat.live_rows is 'an estimate';
comment on column maintenance.table_bloat.dead_rows is 'an estimate';
comment on column maintenance.table_bloat.dead_percent is 'dead rows of all, in percent';
comment on column maintenance.table_bloat.is_bloated is
  'more than 1,000 dead rows, and more than a fifth of all';
comment on column maintenance.table_bloat.bytes is
  'of the table without its indexes, as of the last VACUUM or ANALYZE';
comment on column maintenance.table_bloat.air_bytes is
  'what its file could be smaller by, by the average width of its rows, as of the last ANALYZE; '
  'null before the first. The receipt of weekly_index_report has it measured where the extension '
  'pgstattuple is there';
comment on column maintenance.table_bloat.air_percent is 'the same, of its bytes, in percent';
comment on column maintenance.table_bloat.last_vacuum is 'by hand or by autovacuum';
comment on column maintenance.table_bloat.last_analyze is 'by hand or by autovacuum';
