-- The statement of one batch over one leaf: $1 cut-off, and which rows, in one of three forms:
--   slice     $2 their addresses (ctid); waits for locked rows
--   unlocked  the same, but for the rows that somebody else holds
--   window    $2 and $3, where the window begins and ends
-- The change itself checks the rule again, on the newest version of each row, so an address that
-- went stale since it was collected does no harm. unnest keeps the planner from taking thousands
-- of addresses for a reason to read the whole table.

create function maintenance_internal.batch_statement(
  p_policy maintenance_internal.policy,
  p_leaf regclass,
  p_form text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_alias text := maintenance_internal.target_alias(p_policy.target::regclass);
  v_due text := maintenance_internal.due_condition(p_policy);
  v_rows text := format(case p_form
    when 'slice' then '%1$s.ctid = any(array(select unnest($2)))'
    when 'window' then '%1$s.ctid >= $2 and %1$s.ctid < $3'
    when 'unlocked' then
      e'%1$s.ctid = any(array(\n'
      '    select %1$s.ctid from only %2$s as %1$s\n'
      '    where %1$s.ctid = any(array(select unnest($2))) and %3$s\n'
      '    for update of %1$s skip locked))'
    end, v_alias, p_leaf, v_due);
begin
  if p_policy.action = 'delete' then
    return format(e'delete from only %s as %s\nwhere %s and %s', p_leaf, v_alias, v_rows, v_due);
  end if;
  -- Counted in Postgres: a row that would be due again after the update.
  return format(
    e'with changed as (\n'
    '  update only %s as %s set %s\n'
    '  where %s and %s\n'
    '  returning (%5$s) as again\n'
    ')\n'
    'select count(*), count(*) filter (where again) from changed',
    p_leaf, v_alias, p_policy.assign, v_rows, v_due);
end
$$;
