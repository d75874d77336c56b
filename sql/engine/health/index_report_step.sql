-- A report on indexes and bloat, left on the receipt of the job whose step this is.

create function maintenance.index_report_step(batch_size integer)
returns bigint
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  select maintenance.add_details(jsonb_build_object(
    'indexes', (select count(*) from maintenance.index_health),
    'bytes', (select coalesce(sum(h.bytes), 0) from maintenance.index_health as h),
    'unused', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'index', format('%I.%I', h.schema_name, h.index_name), 'bytes', h.bytes)
        order by h.bytes desc), '[]')
      from maintenance.index_health as h where h.is_unused),
    'invalid', (
      select coalesce(jsonb_agg(format('%I.%I', h.schema_name, h.index_name)), '[]')
      from maintenance.index_health as h where not h.is_valid),
    'bloated', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'table', format('%I.%I', b.schema_name, b.table_name), 'deadPercent', b.dead_percent)
        order by b.dead_rows desc), '[]')
      from maintenance.table_bloat as b where b.is_bloated),
    -- Of the ten with most: reading them takes a while.
    'air', (
      select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
        'table', format('%I.%I', a.schema_name, a.table_name), 'bytes', a.air_bytes,
        'percent', a.air_percent,
        'measuredPercent', maintenance_internal.measured_bloat(a.schema_name, a.table_name)))
        order by a.air_bytes desc), '[]')
      from (
        select b.* from maintenance.table_bloat as b
        where b.air_bytes > 10000000 and b.air_percent > 20
        order by b.air_bytes desc
        limit 10
      ) as a)));
  select 0::bigint;
end;

comment on function maintenance.index_report_step(integer) is
  'A step for set_job: leaves unused and invalid indexes, tables with many dead rows, and those '
  'whose files are more than a fifth empty (by estimate, and measured where pgstattuple is '
  'there), on the receipt, in details (S4-05 to S4-07).';
