-- The way out: schedules, schemas and roles go, and nothing that is not ours.

create function maintenance.uninstall(confirm text)
returns table (what text, outcome text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_schemas constant oid[] := array[
    'maintenance'::regnamespace, 'maintenance_internal'::regnamespace]::oid[];
  v_owner constant oid := (select n.nspowner from pg_namespace as n where n.oid = v_schemas[1]);
  v_functions oid[] := array[]::oid[];
  v_foreign text;
  v_row record;
begin
  if uninstall.confirm is distinct from current_database() then
    raise exception '"%" is not the name of this database', uninstall.confirm
      using errcode = 'PM002', hint = format(
        'To remove pg-maintenance from it: select * from maintenance.uninstall(%L);',
        current_database());
  end if;

  -- The functions of the reference application go; its tables stay, with their trigger functions.
  if to_regprocedure('maintenance_internal.reference_objects()') is not null then
    execute
      'select coalesce(array_agg(p.oid), ''{}'') from pg_proc as p '
      'join maintenance_internal.reference_objects() as o '
      'on o.kind = ''function'' and o.name = p.proname '
      'where p.pronamespace = ''public''::regnamespace and p.proowner = $1 '
      'and p.prorettype <> ''trigger''::regtype'
    into v_functions using v_owner;
  end if;

  -- What somebody else has built on ours, or put among it, is theirs to take away.
  with relation as (
    select c.oid from pg_class as c
    where c.relnamespace = any (v_schemas) or c.oid = 'public.maintenance_status'::regclass
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
  )
  select string_agg(f.description, ', ' order by f.description) into v_foreign
  from (
    select pg_describe_object(d.classid, d.objid, 0) as description
    from pg_depend as d
    join ours as o on o.classid = d.refclassid and o.objid = d.refobjid
    where d.deptype in ('n', 'a')
      and not exists (select from ours as u where u.classid = d.classid and u.objid = d.objid)
    union
    select pg_describe_object(o.classid, o.objid, 0)
    from ours as o
    join pg_shdepend as s on s.classid = o.classid and s.objid = o.objid
      and s.dbid = (select d.oid from pg_database as d where d.datname = current_database())
    where s.deptype = 'o' and s.refobjid <> v_owner
  ) as f;
  if v_foreign is not null then
    raise exception 'nothing was removed, since this is not of pg-maintenance and stands on it: %',
      v_foreign using errcode = 'PM020', hint = 'Drop it first, or move it elsewhere.';
  end if;

  return query select * from maintenance_internal.remove_schedules();
  perform set_config('client_min_messages', 'warning', true); -- not a line per object
  drop view public.maintenance_status;
  for v_row in
    select p.oid::regprocedure as function from pg_proc as p where p.oid = any (v_functions)
  loop
    execute format('drop function %s cascade', v_row.function);
  end loop;
  drop schema maintenance, maintenance_internal cascade;
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
      execute format('drop role %I', what);
      outcome := 'dropped';
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
  if to_regclass('public.schema_migrations') is null then
    outcome := 'there is no public.schema_migrations: take versions 20261124000000 and '
      '20261124000001 out of the table that your migrations are recorded in';
  else
    delete from public.schema_migrations as m
    where m.version::text in ('20261124000000', '20261124000001');
    outcome := case when found then 'forgotten' else 'not recorded in public.schema_migrations' end;
    if found and not exists (select from public.schema_migrations) then
      drop table public.schema_migrations;
      outcome := 'forgotten, and public.schema_migrations, which is empty now, dropped';
    end if;
  end if;
  return next;
exception when insufficient_privilege then
  raise exception 'nothing was removed: %', sqlerrm using errcode = 'insufficient_privilege',
    hint = 'As the owner of the schema maintenance.';
end
$$;

comment on function maintenance.uninstall(text) is
  'Removes pg-maintenance from this database: its jobs in pg_cron (where pg_cron lives in another '
  'database, the statements for there are in outcome), the schemas maintenance and '
  'maintenance_internal with all receipts and tasks, public.maintenance_status, the functions of '
  'the reference application (its tables stay), the roles where they have no rights elsewhere, and '
  'dbmate''s record. confirm: the name of this database. Refuses where somebody else''s objects '
  'stand on ours. For the engine''s owner. Errors: PM002 another name, PM020 foreign objects.';
