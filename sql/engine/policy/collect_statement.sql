-- The statement that collects a slab of due rows of one leaf, in heap order: $1 cut-off, $2 rows.
-- Collected once, the list outlives commits: no batch pays for the dead rows of those before it.

create function maintenance.collect_statement(p_policy maintenance.policy, p_leaf regclass)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_alias text := maintenance.target_alias(maintenance.find_target(p_policy.target));
begin
  return format(
    e'select array_agg(d.ctid order by d.ctid) from (\n'
    '  select %2$s.ctid from only %1$s as %2$s where %3$s limit $2\n'
    ') as d',
    p_leaf, v_alias, maintenance.due_condition(p_policy));
end
$$;

comment on function maintenance.collect_statement(maintenance.policy, regclass) is
  'The statement that collects a slab of due rows of one leaf, in heap order: $1 cut-off, $2 '
  'rows.';
