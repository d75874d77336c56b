-- A function that a job or a kind names, by exact signature, or a clear error. p_arguments: types.
-- It is found as in the owner's own sessions, and runs with the owner's rights, so it has to belong
-- to the owner or to a superuser.

create function maintenance_internal.find_function(p_name text, p_arguments text, p_result text)
returns regprocedure
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_oid oid;
  v_proc record;
begin
  begin
    if cardinality(parse_ident(p_name)) = 1 then
      perform set_config('search_path', maintenance_internal.owner_path(), true);
    end if;
    v_oid := to_regprocedure(format('%s(%s)', p_name, p_arguments));
  exception when syntax_error or invalid_name or feature_not_supported
    or invalid_parameter_value then
    null;
  end;
  perform set_config('search_path', 'pg_catalog, pg_temp', true);
  select p.prokind, p.proretset, p.proowner, pg_get_function_result(p.oid) as result,
    r.rolsuper as owned_by_superuser
  into v_proc
  from pg_proc as p
  join pg_roles as r on r.oid = p.proowner
  where p.oid = v_oid;

  if not found or v_proc.prokind <> 'f' or v_proc.result <> p_result then
    raise exception 'there is no function %(%) returns %', p_name, p_arguments, p_result
      using errcode = 'PM007', hint = 'Name it with its schema, and without arguments.';
  end if;
  if v_proc.proowner <> maintenance_internal.owner() and not v_proc.owned_by_superuser then
    raise exception 'the function % belongs to %', p_name, v_proc.proowner::regrole
      using errcode = 'PM007',
        hint = 'It runs with the rights of the engine''s owner, who has to own it.';
  end if;
  return v_oid;
end
$$;
