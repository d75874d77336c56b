-- Whose code a job runs with the rights of the engine's owner, and what it cannot find.

create function maintenance_internal.lint_trust(
  p_policy maintenance_internal.policy,
  p_table regclass)
returns table (severity text, finding text, fix text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  with called as (
    select format('the trigger %I of %s', t.tgname, t.tgrelid::regclass) as caller,
      t.tgfoid as function
    from pg_trigger as t
    where t.tgrelid = any (p_table::oid || maintenance_internal.leaf_tables(p_table))
      and not t.tgisinternal and t.tgparentid = 0 and t.tgenabled <> 'D'
      and t.tgtype & case p_policy.action when 'delete' then 8 else 16 end <> 0
    union
    -- Planning a query over the table may run it.
    select format('the index %s', i.indexrelid::regclass), d.refobjid
    from pg_index as i
    join pg_depend as d on d.classid = 'pg_class'::regclass and d.objid = i.indexrelid
      and d.refclassid = 'pg_proc'::regclass
    where i.indrelid = any (p_table::oid || maintenance_internal.leaf_tables(p_table))
    union
    select format('the check %I of %s', k.conname, k.conrelid::regclass), d.refobjid
    from pg_constraint as k
    join pg_depend as d on d.classid = 'pg_constraint'::regclass and d.objid = k.oid
      and d.refclassid = 'pg_proc'::regclass
    where k.conrelid = any (p_table::oid || maintenance_internal.leaf_tables(p_table))
    union
    select format('the column %I of %s', a.attname, a.attrelid::regclass), d.refobjid
    from pg_attrdef as f
    join pg_attribute as a on a.attrelid = f.adrelid and a.attnum = f.adnum
    join pg_depend as d on d.classid = 'pg_attrdef'::regclass and d.objid = f.oid
      and d.refclassid = 'pg_proc'::regclass
    where f.adrelid = any (p_table::oid || maintenance_internal.leaf_tables(p_table))
    union
    select 'the rule', to_regprocedure(c)
    from unnest(p_policy.calls) as c
  )
  select 'critical',
    format('%s calls %s, which belongs to %I, with the rights of %s', c.caller,
      c.function::regprocedure, pg_get_userbyid(p.proowner), maintenance_internal.owner()::regrole),
    format('alter function %s owner to %s; -- where its text is to be trusted',
      c.function::regprocedure, maintenance_internal.owner()::regrole)
  from called as c
  join pg_proc as p on p.oid = c.function
  where not maintenance_internal.is_trusted(p.proowner)
    and pg_get_userbyid(p.proowner) is distinct from p_policy.trusted_owner
  order by 2;
end;

-- The schemas that are left out of the path of the owner's code, since it would then be anybody's.
create function maintenance_internal.lint_path()
returns table (severity text, finding text, fix text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select 'warning',
    format('the schema %I is left out of the path that the owner''s code runs under, since %s may '
      'create in it, or has left something there', s.schema_name, s.strangers),
    s.fix
  from maintenance_internal.owner_schemas() as s
  where s.strangers is not null;
end;

-- What PUBLIC may run of the kit, as after a restore without rights.
create function maintenance_internal.lint_public()
returns table (severity text, finding text, fix text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select 'critical', format('PUBLIC may execute %s functions of the kit, as %s: they were '
    'restored without their rights', count(*), min(p.oid::regprocedure::text)),
    'select * from maintenance.grant_roles();'
  from pg_proc as p
  where p.pronamespace in ('maintenance'::regnamespace, 'maintenance_internal'::regnamespace)
    and exists (
      select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as a
      where a.grantee = 0)
  having count(*) > 0;
end;
