-- Why nothing can be scheduled in this database, or null where pg_cron can be used.

create function maintenance.cron_gap()
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
set timezone = 'UTC'
set lock_timeout = '5s'
as $$
declare
  v_home text := maintenance.cron_setting('database_name');
begin
  -- Not to_regclass, which raises where the schema may not be used.
  if not exists (
    select from pg_class as c
    where c.relname = 'job' and c.relnamespace = to_regnamespace('cron')
  ) then
    return case
      when v_home = current_database() then 'pg_cron is loaded, but not created in this database'
      when v_home is not null then format('pg_cron lives in the database %s', v_home)
      else 'pg_cron is not in this database'
    end;
  elsif not has_schema_privilege('cron', 'usage') then
    return format('%s may not use the schema cron', current_user);
  end if;
  return null;
end
$$;

comment on function maintenance.cron_gap() is
  'Why jobs cannot be scheduled in this database: no pg_cron, another database, no right to it. '
  'Null where they can.';
