-- Takes from PUBLIC, and from every role that default privileges of this host favour, what they got
-- on objects that were just created. A grant that somebody made to another role stays.
-- p_kind as in pg_default_acl (n schema, r relation, S sequence, f function); p_objects as after
-- REVOKE ALL ON.

create function maintenance_internal.revoke_defaults(p_kind "char", p_objects text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_owner constant oid := maintenance_internal.owner();
  v_grantee text;
begin
  for v_grantee in
    select 'public'
    union
    select a.grantee::regrole::text
    from pg_default_acl as d
    cross join aclexplode(d.defaclacl) as a
    where d.defaclrole = v_owner
      and d.defaclobjtype = p_kind
      and a.grantee not in (0, v_owner)
  loop
    execute format('revoke all on %s from %s', p_objects, v_grantee);
  end loop;
end
$$;
