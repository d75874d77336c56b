-- The way out: schedules, schemas and roles go, and nothing that is not ours.

-- Whether an object stands on one in these schemas, or on one of these.
create function maintenance_internal.stands_on(
  p_class regclass,
  p_object oid,
  p_schemas oid[],
  p_others oid[])
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
return exists (
  select from pg_depend as d
  where d.classid = p_class and d.objid = p_object and d.deptype = 'n'
    and (d.refclassid in ('pg_proc'::regclass, 'pg_class'::regclass) and d.refobjid = any (p_others)
      or d.refclassid = 'pg_proc'::regclass and d.refobjid in (
        select p.oid from pg_proc as p where p.pronamespace = any (p_schemas))
      or d.refclassid = 'pg_class'::regclass and d.refobjid in (
        select c.oid from pg_class as c where c.relnamespace = any (p_schemas))));

create function maintenance.uninstall(confirm text)
returns table (what text, outcome text)
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_schemas constant oid[] := array[
    'maintenance'::regnamespace, 'maintenance_internal'::regnamespace]::oid[];
  v_owner constant oid := (select n.nspowner from pg_namespace as n where n.oid = v_schemas[1]);
  v_names text[] := maintenance_internal.engine_names();
  v_more text[];
  v_versions text[] := array(select m.version from maintenance_internal.migration as m order by 1);
  v_parts oid[];
  v_part_views oid[];
  v_part_tables oid[];
  v_functions oid[] := array[]::oid[];
  v_views oid[] := array[]::oid[];
  v_found integer;
  v_foreign text;
  v_row record;
begin
  if uninstall.confirm is distinct from current_database() then
    raise exception '"%" is not the name of this database', uninstall.confirm
      using errcode = 'PM002', hint = format(
        'To remove pg-maintenance from it: select * from maintenance.uninstall(%L);',
        current_database());
  end if;

  -- The functions and views of the reference application that cannot work without the engine go;
  -- its tables stay, with what they need.
  if to_regprocedure('maintenance_internal.reference_names()') is not null then
    execute 'select maintenance_internal.reference_names()' into v_more;
    v_names := v_names || v_more;
    execute 'select array(select p.oid from pg_proc as p '
      'join maintenance_internal.reference_objects() as o '
      'on o.kind = ''function'' and o.name = p.proname '
      'where p.pronamespace = ''public''::regnamespace and p.proowner = $1 and p.prokind = ''f''), '
      'array(select c.oid from pg_class as c '
      'join maintenance_internal.reference_objects() as o '
      'on o.kind = ''table'' and o.name = c.relname '
      'where c.relnamespace = ''public''::regnamespace and c.relowner = $1 and c.relkind = ''v''), '
      'array(select c.oid from pg_class as c '
      'join maintenance_internal.reference_objects() as o '
      'on o.kind = ''table'' and o.name = c.relname '
      'where c.relnamespace = ''public''::regnamespace and c.relowner = $1 '
      'and c.relkind in (''r'', ''p''))'
    into v_parts, v_part_views, v_part_tables using v_owner;
    loop
      v_found := cardinality(v_functions) + cardinality(v_views);
      -- A body in PL/pgSQL is a text, and says by name what it calls.
      v_functions := array(
        select p.oid from pg_proc as p
        where p.oid = any (v_parts) and (p.prosrc ~ '\mmaintenance(_internal)?\.'
          or exists (
            select from pg_proc as d
            where d.oid = any (v_functions) and p.prosrc ~ format('\mpublic\.%s\(', d.proname))
          or exists (
            select from pg_class as d
            where d.oid = any (v_views) and p.prosrc ~ format('\mpublic\.%s\M', d.relname))
          or maintenance_internal.stands_on('pg_proc', p.oid, v_schemas, v_functions || v_views)));
      v_views := array(
        select w.ev_class from pg_rewrite as w
        where w.ev_class = any (v_part_views) and maintenance_internal.stands_on(
          'pg_rewrite', w.oid, v_schemas, v_functions || v_views));
      exit when cardinality(v_functions) + cardinality(v_views) = v_found;
    end loop;
  end if;

  -- What somebody else has put among ours, or built on it, is theirs to take away.
  with relation as (
    select c.oid from pg_class as c
    where c.relnamespace = any (v_schemas) or c.oid = 'public.maintenance_status'::regclass
      or c.oid = any (v_views)
  ), ours (classid, objid) as (
    select 'pg_class'::regclass, r.oid from relation as r
    union all
    select 'pg_type'::regclass, t.oid from pg_type as t
    where t.typnamespace = any (v_schemas) or t.typrelid in (select r.oid from relation as r)
    union all
    select 'pg_rewrite'::regclass, w.oid from pg_rewrite as w
    join relation as r on r.oid = w.ev_class
    union all
    select 'pg_trigger'::regclass, t.oid from pg_trigger as t
    join relation as r on r.oid = t.tgrelid
    union all
    select 'pg_attrdef'::regclass, a.oid from pg_attrdef as a
    join relation as r on r.oid = a.adrelid
    union all
    select 'pg_constraint'::regclass, c.oid from pg_constraint as c
    join relation as r on r.oid = c.conrelid
    union all
    select 'pg_proc'::regclass, p.oid from pg_proc as p
    where p.pronamespace = any (v_schemas) or p.oid = any (v_functions)
  ), known (classid, objid) as (
    select 'pg_class'::regclass, c.oid from pg_class as c
    where c.relnamespace = any (v_schemas) and c.relowner = v_owner
      and format('%s.%s', c.relnamespace::regnamespace, c.relname) = any (v_names)
    union all
    select 'pg_type'::regclass, t.oid from pg_type as t
    where t.typnamespace = any (v_schemas)
      and format('%s.%s', t.typnamespace::regnamespace, t.typname) = any (v_names)
    union all
    select 'pg_proc'::regclass, p.oid from pg_proc as p
    where p.pronamespace = any (v_schemas) and p.proowner = v_owner
      and format('%s.%s', p.pronamespace::regnamespace, p.proname) = any (v_names)
  )
  select string_agg(f.description, ', ' order by f.description) into v_foreign
  from (
    select pg_describe_object(d.classid, d.objid, 0) as description
    from pg_depend as d
    join ours as o on o.classid = d.refclassid and o.objid = d.refobjid
    where d.deptype in ('n', 'a')
      and not exists (select from ours as u where u.classid = d.classid and u.objid = d.objid)
      -- A trigger that tells nobody but us goes with us, and one of ours that cannot do without.
      and not exists (
        select from pg_trigger as t
        where d.classid = 'pg_trigger'::regclass and t.oid = d.objid
          and (t.tgfoid in ('maintenance.note_deleted()'::regprocedure,
              'maintenance.track_blobs()'::regprocedure)
            or t.tgfoid = any (v_functions) and t.tgrelid = any (v_part_tables)))
    union
    select pg_describe_object(d.classid, d.objid, 0)
    from pg_depend as d
    where d.refclassid = 'pg_namespace'::regclass and d.refobjid = any (v_schemas)
      and d.classid <> 'pg_default_acl'::regclass
      and not exists (select from known as k where k.classid = d.classid and k.objid = d.objid)
      -- Identity sequences belong to their tables.
      and not exists (
        select from pg_depend as i
        where i.classid = d.classid and i.objid = d.objid and i.deptype = 'i')
  ) as f;
  if v_foreign is not null then
    raise exception 'nothing was removed, since this is not of pg-maintenance and stands on it: %',
      v_foreign using errcode = 'PM020', hint = 'Drop it first, or move it elsewhere.';
  end if;

  return query select * from maintenance_internal.remove_schedules();
  return query
    select 'maintenance.blob', format('%s blobs stay in the store that were to be deleted from it',
      count(*))
    from maintenance.blob having count(*) > 0;
  perform set_config('client_min_messages', 'warning', true); -- not a line per object
  drop view maintenance.todo, public.maintenance_status;
  foreach what in array
    array(select p.oid::regprocedure::text from pg_proc as p where p.oid = any (v_functions))
  loop
    execute format('drop function if exists %s cascade', what);
  end loop;
  drop schema maintenance, maintenance_internal cascade;
  -- What is left of the reference application hands nothing to roles that are about to go.
  for v_row in
    select 'function ' || p.oid::regprocedure as object, a.grantee::regrole as grantee
    from pg_proc as p
    cross join aclexplode(p.proacl) as a
    where p.pronamespace = 'public'::regnamespace and p.proowner = v_owner
      and a.grantee in (to_regrole('maintenance_viewer'), to_regrole('maintenance_operator'))
    union
    select 'table ' || c.oid::regclass, a.grantee::regrole
    from pg_class as c
    cross join aclexplode(c.relacl) as a
    where c.oid = any (v_part_tables)
      and a.grantee in (to_regrole('maintenance_viewer'), to_regrole('maintenance_operator'))
  loop
    execute format('revoke all on %s from %s', v_row.object, v_row.grantee);
  end loop;
  foreach what in array array['schema maintenance', 'schema maintenance_internal',
    'view public.maintenance_status'] loop
    outcome := 'dropped';
    return next;
  end loop;

  foreach what in array
    array['maintenance_viewer', 'maintenance_operator', 'maintenance_worker']
  loop
    continue when to_regrole(what) is null;
    begin
      if exists (
        select from pg_roles as r
        where r.rolname = what and (r.rolcanlogin or r.rolconfig is not null
          or exists (
            select from pg_auth_members as m where m.roleid = r.oid and m.member <> v_owner))
      ) then
        outcome := format('kept: it has members, a login or settings; if nobody needs it: '
          'drop role %I;', what);
      else
        execute format('drop role %I', what);
        outcome := 'dropped';
      end if;
    exception
      when dependent_objects_still_exist then
        outcome := 'kept: it has rights in other databases, or on other objects';
      when insufficient_privilege then
        outcome := format('kept: %s may not drop it; who may: drop role %I;', current_user, what);
    end;
    what := 'role ' || what;
    return next;
  end loop;

  -- dbmate's record of our migrations, so that it would install them again.
  what := 'migrations';
  outcome := format('not in public.schema_migrations: take versions %s out of the table that your '
    'migrations are recorded in', array_to_string(v_versions, ', '));
  begin
    delete from public.schema_migrations as m
    where m.version::text = any(v_versions);
    if found then
      outcome := 'forgotten';
      begin
        if not exists (select from public.schema_migrations) then
          drop table public.schema_migrations;
          outcome := 'forgotten, and public.schema_migrations, which is empty now, dropped';
        end if;
      exception when dependent_objects_still_exist or insufficient_privilege then
        null; -- it stays, empty
      end;
    end if;
  exception when undefined_table or undefined_column or insufficient_privilege then
    null; -- the table of another tool: as outcome says
  end;
  return next;
exception when insufficient_privilege then
  raise exception 'nothing was removed: %', sqlerrm using errcode = 'insufficient_privilege',
    hint = 'As the owner of the schema maintenance.';
end
$$;

comment on function maintenance.uninstall(text) is
  'Removes pg-maintenance from this database: its jobs in pg_cron (where pg_cron lives in another '
  'database, the statements for there are in outcome), the schemas maintenance and '
  'maintenance_internal with all receipts and tasks (how many blobs stay in the store that were to '
  'be deleted is told), public.maintenance_status, the functions of the reference application that '
  'call the engine (its tables stay), triggers that call maintenance.note_deleted or track_blobs, '
  'the roles where nobody uses them, and dbmate''s record. confirm: the name of this database. '
  'Refuses where somebody else''s objects stand among ours or on them. For the engine''s owner. '
  'Errors: PM002 another name, PM020 foreign objects.';
