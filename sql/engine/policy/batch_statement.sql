-- The statement of one batch over one leaf: $1 cut-off, $2 the addresses (ctid) of the slice.
-- The change itself checks the rule again, on the newest version of each row, so an address that
-- went stale since it was collected does no harm. The plain form waits for locked rows; where that
-- takes too long, the same slice is repeated with skip locked. unnest keeps the planner from
-- taking thousands of addresses for a reason to read the whole table.

create function maintenance.batch_statement(
  p_policy maintenance.policy,
  p_leaf regclass,
  p_skip_locked boolean default false)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_alias text := maintenance.target_alias(maintenance.find_target(p_policy.target));
  v_due text := maintenance.due_condition(p_policy);
  v_slice text := 'select unnest($2)';
begin
  if p_skip_locked then
    v_slice := format(
      e'\n    select %2$s.ctid from only %1$s as %2$s\n'
      '    where %2$s.ctid = any(array(%4$s)) and %3$s\n'
      '    for update of %2$s skip locked',
      p_leaf, v_alias, v_due, v_slice);
  end if;
  return format(
    e'with changed as (\n'
    '  %1$s\n'
    '  where %2$s.ctid = any(array(%3$s)) and %4$s\n'
    '  returning %5$s as again\n'
    ')\n'
    'select count(*), count(*) filter (where again) from changed',
    case p_policy.action
      when 'delete' then format('delete from only %s as %s', p_leaf, v_alias)
      else format('update only %s as %s set %s', p_leaf, v_alias, p_policy.assign)
    end,
    v_alias, v_slice, v_due,
    case p_policy.action when 'delete' then 'false' else '(' || v_due || ')' end);
end
$$;

comment on function maintenance.batch_statement(maintenance.policy, regclass, boolean) is
  'The statement of one batch over one leaf: $1 cut-off, $2 the addresses (ctid) of the slice.';
