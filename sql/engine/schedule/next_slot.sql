-- When a schedule that stands in pg_cron fires next, in pg_cron's own time zone: pg_cron ignores
-- what stands behind the fifth field. Null for one that never fires, or that only pg_cron can read.

create function maintenance.next_slot(p_schedule text)
returns timestamptz
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_zone text := maintenance.cron_zone();
begin
  return maintenance.find_slot(
    coalesce(substring(p_schedule from '^[ \t]*(?:[^ \t]+[ \t]+){4}[^ \t]+'), p_schedule),
    maintenance.clock() at time zone v_zone, true) at time zone v_zone;
exception when sqlstate 'PM006' then
  return null;
end
$$;

comment on function maintenance.next_slot(text) is
  'When a schedule fires next in pg_cron''s own time zone; null for one that never fires or that '
  'only pg_cron can read.';
