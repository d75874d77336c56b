-- The three jobs of the kit's own are known by their statements: what they call leaves its receipt
-- itself, and goes on while all others are paused.

create function maintenance_internal.tick_statement()
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return 'call maintenance.tick()';

create function maintenance_internal.run_late_statement()
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return 'call maintenance.run_late()';

create function maintenance_internal.alert_statement()
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return 'call maintenance.alert_monitor()';

create function maintenance_internal.is_own(p_statement text)
returns boolean
language sql
immutable
set search_path = pg_catalog, pg_temp
return coalesce(p_statement in (maintenance_internal.tick_statement(),
  maintenance_internal.run_late_statement(), maintenance_internal.alert_statement()), false);

create function maintenance_internal.own_jobs()
returns integer[]
language sql
stable
set search_path = pg_catalog, pg_temp
return array(
  select j.job_id from maintenance_internal.job as j
  where maintenance_internal.is_own(j.statement));
