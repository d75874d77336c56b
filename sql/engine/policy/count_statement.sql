-- The statement behind count_due, which lint asks the planner about: $1 cut-off, $2 cap.

create function maintenance_internal.count_statement(p_policy maintenance_internal.policy)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_table regclass := maintenance_internal.find_target(
    p_policy.target, p_policy.trusted_owner);
begin
  return format(
    'select count(*), min(d.age)::timestamptz '
    'from (select %1$s as age from %2$s as %3$s where %4$s order by %1$s limit $2) as d',
    p_policy.age, v_table, maintenance_internal.target_alias(v_table),
    maintenance_internal.due_condition(p_policy));
end
$$;
