-- The statements of a run over one leaf, with the rule in them: $1 is the cut-off.
-- Which rows they are about: list, the addresses $2; window, the pages from $3 up to $4; range, the
-- ages from $5 up to $6.
-- The change itself checks the rule again, on the newest version of each row, so an address that
-- went stale since it was listed does no harm. unnest keeps the planner from taking thousands of
-- addresses for a reason to read the whole table.

create function maintenance_internal.piece_rows(
  p_policy maintenance_internal.policy,
  p_form text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return format(case p_form
    when 'list' then '%1$s.ctid = any(array(select unnest($2)))'
    when 'window' then '%1$s.ctid >= $3 and %1$s.ctid < $4'
    when 'range' then '(%2$s) >= %3$s and (%2$s) < %4$s'
    when 'behind' then '%1$s.ctid > $3'
    when 'all' then 'true'
  end,
  maintenance_internal.target_alias(p_policy.target::regclass), p_policy.age,
  maintenance_internal.age_bound(p_policy, '$5'), maintenance_internal.age_bound(p_policy, '$6'));

-- Changes them, all or but for those that somebody else holds. An update counts what it changed,
-- and what of it would be due again.
create function maintenance_internal.piece_statement(
  p_policy maintenance_internal.policy,
  p_leaf regclass,
  p_form text,
  p_skip_locked boolean)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_alias text := maintenance_internal.target_alias(p_policy.target::regclass);
  v_due text := maintenance_internal.due_condition(p_policy);
  v_rows text := maintenance_internal.piece_rows(p_policy, p_form);
begin
  if p_skip_locked then
    v_rows := format(
      e'%1$s.ctid = any(array(\n'
      '    select %1$s.ctid from only %2$s as %1$s\n'
      '    where %3$s and %4$s\n'
      '    for update of %1$s skip locked))', v_alias, p_leaf, v_rows, v_due);
  end if;
  if p_policy.action = 'delete' then
    return format(e'delete from only %s as %s\nwhere %s and %s', p_leaf, v_alias, v_rows, v_due);
  end if;
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

-- Lists their addresses, in heap order, $2 at most; of all due rows, of those behind the address
-- $3, of a window or a range. Listed once, they outlive commits: no batch pays for the dead rows of
-- those before it.
create function maintenance_internal.list_statement(
  p_policy maintenance_internal.policy,
  p_leaf regclass,
  p_form text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return format(
  e'select array(\n'
  '  select %2$s.ctid from only %1$s as %2$s where %3$s and %4$s\n'
  '  order by %2$s.ctid limit $2)', p_leaf,
  maintenance_internal.target_alias(p_policy.target::regclass),
  maintenance_internal.piece_rows(p_policy, p_form),
  maintenance_internal.due_condition(p_policy));
