-- The engine's owner, whom it trusts, and what the owner's own sessions are like. Code of the
-- owner's (triggers, steps, functions in rules, functions of kinds) was written for those sessions,
-- and hardly any of it names its schemas: it runs under their path (owner_path), but for schemas in
-- which somebody else may put things.

create function maintenance_internal.owner()
returns oid
language sql
stable
set search_path = pg_catalog, pg_temp
return (select n.nspowner from pg_namespace as n where n.nspname = 'maintenance');

-- Whether a role has the owner's rights anyway: the owner, its members, superusers.
create function maintenance_internal.is_trusted(p_role oid)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (
    select from pg_roles as r
    where r.oid = case p_role when to_regrole('pg_database_owner')
        then (select d.datdba from pg_database as d where d.datname = current_database())
        else p_role end
      and (r.rolsuper or pg_has_role(r.oid, maintenance_internal.owner(), 'member')));
end
$$;

-- What one of the kit's own roles can that nobody meant it to: a role of that name may have been
-- there before. The fix takes away that alone: who is no superuser may not even say nosuperuser.
create function maintenance_internal.role_fault(p_role text, out fault text, out fix text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select nullif(concat_ws(', ', case when r.rolsuper then 'is a superuser' end,
      case when r.rolcanlogin then 'may log in' end,
      case when r.rolcreaterole then 'may create roles' end,
      case when r.rolbypassrls then 'passes row security' end), ''),
    case when r.rolsuper or r.rolcanlogin or r.rolcreaterole or r.rolbypassrls then
      format('alter role %I %s;', r.rolname, concat_ws(' ',
        case when r.rolsuper then 'nosuperuser' end, case when r.rolcanlogin then 'nologin' end,
        case when r.rolcreaterole then 'nocreaterole' end,
        case when r.rolbypassrls then 'nobypassrls' end)) end
  from pg_roles as r
  where r.rolname = p_role;
end;

-- A setting that every session of the engine's owner in this database begins with, as pg_cron's do:
-- its value, whose it is, and the statement that takes it away. No row where none is given.
create function maintenance_internal.owner_setting(p_name text)
returns table (value text, whose text, fix text)
language plpgsql -- which keeps its plan
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
  select substr(c.setting, length(p_name) + 2),
    concat_ws(' in ', case when s.setrole <> 0 then 'the role ' || o.owner end,
      case when s.setdatabase <> 0 then 'the database ' || current_database() end),
    format('alter %s reset %s;', case
      when s.setrole = 0 then format('database %I', current_database())
      when s.setdatabase = 0 then format('role %I', o.owner)
      else format('role %I in database %I', o.owner, current_database()) end, p_name)
  from pg_db_role_setting as s
  cross join lateral unnest(s.setconfig) as c (setting)
  cross join (select pg_get_userbyid(maintenance_internal.owner()) as owner) as o
  where s.setrole in (0, maintenance_internal.owner())
    and s.setdatabase in (0, (
      select d.oid from pg_database as d where d.datname = current_database()))
    and c.setting like p_name || '=%'
  order by s.setdatabase <> 0 and s.setrole <> 0 desc, s.setrole <> 0 desc
  limit 1;
end
$$;

-- The schemas of the path of the owner's sessions, in order, each with the roles that may create in
-- it and are not trusted, and what would shut them out; null where there are none.
create function maintenance_internal.owner_schemas()
returns table (schema_name text, place bigint, strangers text, fix text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
  select n.nspname::text, e.place, c.strangers, c.fix
  from regexp_matches(
    coalesce((select s.value from maintenance_internal.owner_setting('search_path') as s),
      '"$user", public'),
    '"((?:[^"]|"")*)"|([^",\s]+)', 'g') with ordinality as e (name, place)
  join pg_namespace as n on n.nspname = coalesce(
    case when coalesce(e.name[1], e.name[2]) = '$user'
      then pg_get_userbyid(maintenance_internal.owner()) end,
    replace(e.name[1], '""', '"'), lower(e.name[2]))
  cross join lateral (
    select string_agg(distinct r.name, ', ') as strangers,
      string_agg(case
        when r.is_owner then format('alter schema %I owner to %I;', n.nspname,
          pg_get_userbyid(maintenance_internal.owner()))
        when r.is_owner is null then format('-- and drop, or take over, what %s has left there: '
          'select oid::regprocedure from pg_proc where pronamespace = %L::regnamespace and '
          'proowner = %L::regrole;', r.name, n.nspname, r.name)
        else format('revoke create on schema %I from %s;', n.nspname, r.name) end, ' '
        order by r.is_owner, r.name) as fix
    from (
      select n.nspowner::regrole::text as name, n.nspowner as role, true as is_owner
      union
      select case a.grantee when 0 then 'public' else a.grantee::regrole::text end, a.grantee, false
      from aclexplode(n.nspacl) as a
      where a.privilege_type = 'CREATE' and a.grantee <> n.nspowner
      union
      -- What somebody has left there, who may not create any more, is found as well.
      select o.owner::regrole::text, o.owner, null
      from (
        select p.proowner as owner from pg_proc as p where p.pronamespace = n.oid
        union select p.oprowner from pg_operator as p where p.oprnamespace = n.oid
        union select p.typowner from pg_type as p where p.typnamespace = n.oid and p.typrelid = 0
        offset 0 -- each owner is asked about once
      ) as o
    ) as r
    where not maintenance_internal.is_trusted(r.role)
  ) as c
  where n.nspname !~ '^pg_';
end
$$;

-- The path that the owner's code runs under; with p_all, as it would be if all could be trusted.
create function maintenance_internal.owner_path(p_all boolean default false)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select 'pg_catalog, ' || coalesce(
      string_agg(quote_ident(s.schema_name) || ', ', '' order by s.place), '') || 'pg_temp'
    from maintenance_internal.owner_schemas() as s
    where s.strangers is null or p_all);
end
$$;

-- The statement that has deferred keys and triggers of trusted tables checked now; null where there
-- are none. Not "all": before PostgreSQL 18 what a caller has deferred on a table of its own would
-- then run with our rights. Postgres knows constraints by schema and name alone, so a name that a
-- stranger uses as well is left out.
create function maintenance_internal.check_deferred_statement()
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return (
  select 'set constraints ' || string_agg(d.name, ', ' order by d.name) || ' immediate'
  from (
    select format('%I.%I', n.nspname, k.conname) as name
    from pg_constraint as k
    join pg_namespace as n on n.oid = k.connamespace
    join pg_class as c on c.oid = k.conrelid
    where k.condeferrable and k.conparentid = 0
      and has_schema_privilege(n.oid, 'usage')
    group by n.nspname, k.conname
    having bool_and(c.relpersistence <> 't' and maintenance_internal.is_trusted(c.relowner))
  ) as d);

-- Where the session is a stranger's, its temporary tables and types could be taken for what the
-- owner's code names without a schema: Postgres looks for them on every path. And what it has set
-- of an extension's settings (how alike is alike) goes back until its transaction ends.
create function maintenance_internal.check_session()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if maintenance_internal.is_trusted(
    (select r.oid from pg_roles as r where r.rolname = session_user)) then
    return;
  end if;
  perform set_config(s.name, coalesce(s.reset_val, ''), true)
  from pg_settings as s
  where s.name like '%.%' and s.name not like 'maintenance.%' and s.source = 'session'
    and s.context = 'user' and s.setting is distinct from s.reset_val;
  if pg_my_temp_schema() <> 0
    and exists (select from pg_type as t where t.typnamespace = pg_my_temp_schema())
  then
    raise exception 'this session has temporary tables, and the owner''s code could take them for '
        'others' using errcode = 'PM023', hint = 'discard temp; or open another session.';
  end if;
end
$$;

-- Executes a statement under a path, and nothing besides: of what stands on a path that is not to
-- be trusted, not even an operator of ours may be taken. Then only what runs nothing may be
-- executed.
create function maintenance_internal.execute_under(p_path text, p_statement text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform set_config('search_path', p_path, true);
  execute p_statement;
end
$$;
