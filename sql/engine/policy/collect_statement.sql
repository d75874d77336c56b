-- The statement that collects a slab of due rows of one leaf, in heap order: $1 cut-off, $2 rows;
-- of a window, $3 and $4, where that begins and ends.
-- Collected once, the list outlives commits: no batch pays for the dead rows of those before it.

create function maintenance_internal.collect_statement(
  p_policy maintenance_internal.policy,
  p_leaf regclass,
  p_window boolean default false)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_alias text := maintenance_internal.target_alias(p_policy.target::regclass);
begin
  return format(
    e'select array_agg(d.ctid order by d.ctid) from (\n'
    '  select %2$s.ctid from only %1$s as %2$s where %4$s%3$s limit $2\n'
    ') as d',
    p_leaf, v_alias, maintenance_internal.due_condition(p_policy),
    case when p_window then format('%1$s.ctid >= $3 and %1$s.ctid < $4 and ', v_alias) end);
end
$$;
