-- pg_cron, where this database is known to be its home and we may create it.

do $$
begin
  if to_regnamespace('cron') is null
    and maintenance_internal.cron_setting('database_name') = current_database() then
    create extension pg_cron;
  end if;
exception when insufficient_privilege then
  raise warning 'pg_cron is not created: % may not', current_user using hint = format(
    'As a superuser: create extension pg_cron; grant usage on schema cron to %I;', current_user);
end
$$;
