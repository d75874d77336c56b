-- A setting of pg_cron, or null: only superusers and pg_read_all_settings may see them.

create function maintenance_internal.cron_setting(p_name text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return nullif(current_setting('cron.' || p_name, true), '');
exception when insufficient_privilege then
  return null;
end
$$;
