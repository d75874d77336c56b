-- The minute that a schedule of pg_cron's names next after a time, or named last, in pg_cron's own
-- time zone: pg_cron ignores what stands behind the fifth field. Null for a schedule that never
-- fires, or that only pg_cron can read: an operator may have put any into it.

create function maintenance.nearest_slot(p_schedule text, p_at timestamptz, p_forward boolean)
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
    p_at at time zone v_zone, p_forward) at time zone v_zone;
exception when sqlstate 'PM006' then
  return null;
end
$$;

comment on function maintenance.nearest_slot(text, timestamptz, boolean) is
  'The minute that a schedule of pg_cron''s names next after a time or, not forward, the latest at '
  'that time, in pg_cron''s own time zone; null for one that never fires or that only pg_cron can '
  'read.';
