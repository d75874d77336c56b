-- What can be done with pg_cron from this database.
--   gap       why jobs cannot be scheduled here; null where they can
--   mend      what to do about that
--   readable  cron.job can be read; where it cannot, the declared schedules are the truth
--   zone      of its schedules: GMT before pg_cron 1.5, a setting of the server since
-- and home (which server, database and table cron.job these are) and username (whom it runs our
-- jobs as), which tell what was put into them from what a restore, a copy or a rename has left.
-- cron.job shows each role its own rows by a policy: row security has to be on here.

create function maintenance_internal.cron_state(
  out gap text,
  out mend text,
  out readable boolean,
  out zone text,
  out home text,
  out username name)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set lock_timeout = '200ms'
as $$
declare
  v_cron_oid oid;
  v_other text;
  v_home text := maintenance_internal.cron_setting('database_name');
  v_elsewhere constant text := 'In the database where pg_cron lives, a superuser says what this '
    'prints: select * from maintenance.cron_statements();';
begin
  -- Not to_regclass, which raises where the schema may not be used; and not anybody's schema cron.
  v_cron_oid := (
    select c.oid
    from pg_class as c
    join pg_namespace as n on n.oid = c.relnamespace
    where n.nspname = 'cron' and c.relname = 'job' and (
      exists (
        select from pg_depend as d
        join pg_extension as e on e.oid = d.refobjid and e.extname = 'pg_cron'
        where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
          and d.refclassid = 'pg_extension'::regclass)
      or (select r.rolsuper from pg_roles as r where r.oid = c.relowner)
        and (select r.rolsuper from pg_roles as r where r.oid = n.nspowner)));
  if v_cron_oid is not null then
    if not has_schema_privilege('cron', 'usage') then
      gap := format('%s may not use the schema cron', current_user);
      mend := format('As a superuser: grant usage on schema cron to %I;', current_user);
    end if;
  elsif to_regnamespace('cron') is not null then
    gap := 'the schema cron of this database is somebody''s own, and not pg_cron''s';
    mend := v_elsewhere;
  elsif v_home = current_database() then
    gap := 'pg_cron is loaded, but not created in this database';
    mend := format('As a superuser: create extension pg_cron; grant usage on schema cron to %I; '
      'then, as %s: select * from maintenance.install_schedules();', current_user, current_user);
  elsif v_home is not null then
    gap := format('pg_cron lives in the database %s', v_home);
    mend := v_elsewhere;
  else
    gap := 'pg_cron is not in this database';
    mend := 'Where the server has none: README.md, "Adopt it", step 1. ' || v_elsewhere;
  end if;

  readable := case when gap is null then has_table_privilege('cron.job', 'select') else false end;
  if readable then
    -- A copy of pg_cron's database has rows that nobody fires; after a rename pg_cron goes on to
    -- connect to the old name.
    begin
      execute
        'select min(c.database) from cron.job as c '
        'join maintenance_internal.job as j on c.jobname::text = ''maintenance:'' || j.job_name '
        'where c.username = current_user '
        'having not bool_or(c.database = current_database())'
      into v_other;
    exception when lock_not_available then
      readable := false;
      gap := 'somebody has locked cron.job';
      mend := 'Who: select pid, relation::regclass from pg_locks where mode = '
        '''AccessExclusiveLock'';';
    end;
    if v_other is not null then
      readable := false;
      gap := format('cron.job is of the database %s, from before a rename, or a copy', v_other);
      mend := format('If it was renamed, as a superuser: update cron.job set database = %L where '
        'database = %L and jobname like ''maintenance:%%''; if it is a copy: %s',
        current_database(), v_other, lower(left(v_elsewhere, 1)) || substr(v_elsewhere, 2));
    end if;
  end if;
  zone := coalesce(maintenance_internal.cron_setting('timezone'), 'UTC');
  username := current_user;
  home := concat_ws('/',
    case when has_function_privilege('pg_control_system()', 'execute')
      then (select c.system_identifier from pg_control_system() as c) end,
    (select d.oid from pg_database as d where d.datname = current_database()), v_cron_oid);
end
$$;
