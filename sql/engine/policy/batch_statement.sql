-- The statement of one batch over one leaf: $1 cut-off, $2 ctids. It gives the rows that were
-- still due and could be locked, those that changed, and those that would match again.
-- A ctid may have been used again since it was collected: the rule is checked under the lock.

create function maintenance.batch_statement(p_policy maintenance.policy, p_leaf regclass)
returns text
language plpgsql
stable
set search_path = ''
as $$
declare
  v_table regclass := maintenance.find_target(p_policy.target);
  v_alias text := maintenance.target_alias(v_table);
  v_due text := maintenance.due_condition(p_policy);
begin
  return format(
    e'with due as materialized (\n'
    '  select %2$s.ctid from only %1$s as %2$s\n'
    '  where %2$s.ctid = any($2) and %3$s\n'
    '  for update of %2$s skip locked\n'
    '), changed as (\n'
    '  %4$s\n'
    '  where %2$s.ctid = any(array(select ctid from due))\n'
    '  returning %5$s as again\n'
    ')\n'
    'select (select count(*) from due), count(*), count(*) filter (where again) from changed',
    p_leaf, v_alias, v_due,
    case p_policy.action
      when 'delete' then format('delete from only %s as %s', p_leaf, v_alias)
      else format('update only %s as %s set %s', p_leaf, v_alias, p_policy.assign)
    end,
    case p_policy.action when 'delete' then 'false' else '(' || v_due || ')' end);
end
$$;
