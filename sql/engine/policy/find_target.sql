-- The table that a policy's target names, or a clear error where no policy can work on it. Asked
-- again at each look and each run: a table's triggers, and the functions of its indexes and casts,
-- run with the rights of the engine's owner, so it must be in hands that have those rights anyway,
-- or that the policy names as meant.

create function maintenance_internal.find_target(p_target text, p_trusted_owner text default null)
returns regclass
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_table regclass;
  v_class record;
  v_tables oid[];
begin
  begin
    v_table := to_regclass(p_target);
  exception when syntax_error or invalid_name or feature_not_supported then
    null; -- not a name at all: falls through to the same error as an unknown one
  end;

  select c.oid, c.relkind, c.relpersistence, n.nspname into v_class
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  where c.oid = v_table;

  if not found then
    raise exception 'there is no table "%"', p_target
      using errcode = 'PM003', hint = 'Name it with its schema: public.audit, "My Schema"."Log".';
  elsif v_class.relkind not in ('r', 'p') then
    raise exception '"%" is a %, and a policy works on tables', p_target,
      case v_class.relkind
        when 'v' then 'view' when 'm' then 'materialized view' when 'f' then 'foreign table'
        when 'i' then 'index' when 'I' then 'index' when 'S' then 'sequence' else 'composite type'
      end
      using errcode = 'PM003', hint = 'Set the policy on the table that holds the rows.';
  elsif v_class.relpersistence = 't' then
    raise exception '"%" is a temporary table', p_target
      using errcode = 'PM003', hint = 'A policy outlives the session; set it on a permanent table.';
  elsif v_class.nspname in ('pg_catalog', 'information_schema', 'pg_toast') then
    raise exception '"%" belongs to the system catalogue', p_target
      using errcode = 'PM003', hint = 'Set the policy on a table of your own.';
  end if;

  v_tables := maintenance_internal.leaf_tables(v_table) || v_table::oid;
  select bool_or(c.relhastriggers) as has_triggers, bool_or(c.relowner <> n.nspowner) as is_foreign
  into v_class
  from pg_namespace as n
  cross join pg_class as c
  where n.nspname = 'maintenance' and c.oid = any (v_tables);
  if not v_class.has_triggers and not v_class.is_foreign then
    return v_table;
  end if;
  if v_class.has_triggers then
    -- Also what a key cascades to: the triggers there, after the change, run as we do.
    with recursive reached as (
      select unnest(v_tables) as relid
      union
      select t.tgconstrrelid
      from reached as r
      join pg_trigger as t on t.tgrelid = r.relid and t.tgisinternal and t.tgconstrrelid <> 0
      join pg_constraint as k on k.oid = t.tgconstraint and k.contype = 'f'
        and k.confrelid = r.relid
        and (k.confdeltype in ('c', 'n', 'd') or k.confupdtype in ('c', 'n', 'd'))
    )
    select array_agg(r.relid) into v_tables from reached as r;
  end if;
  select c.oid::regclass as name, pg_get_userbyid(c.relowner) as owner
  into v_class
  from pg_class as c
  where c.oid = any (v_tables)
    and c.relowner is distinct from to_regrole(quote_ident(p_trusted_owner))
    and not maintenance_internal.is_trusted(c.relowner)
  limit 1;
  if found then
    raise exception '% belongs to %, whose triggers, index functions and casts would run with the '
        'rights of %', v_class.name, v_class.owner, maintenance_internal.owner()::regrole
      using errcode = 'PM003',
        hint = format('alter table %s owner to %s; or, where it is meant so, set the policy with '
          'trusted_owner => %L.', v_class.name, maintenance_internal.owner()::regrole,
          v_class.owner);
  end if;
  return v_table;
end
$$;
