-- The statement behind count_due, which lint asks the planner about: $1 cut-off, $2 cap.

create function maintenance.count_statement(p_policy maintenance.policy)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_table regclass := maintenance.find_target(p_policy.target);
begin
  return format(
    'select count(*), min(d.age)::timestamptz '
    'from (select %1$s as age from %2$s as %3$s where %4$s order by %1$s limit $2) as d',
    p_policy.age, v_table, maintenance.target_alias(v_table), maintenance.due_condition(p_policy));
end
$$;

comment on function maintenance.count_statement(maintenance.policy) is
  'The statement behind count_due, which lint asks the planner about: $1 cut-off, $2 cap.';
