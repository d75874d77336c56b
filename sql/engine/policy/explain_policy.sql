-- Shows the SQL that a policy runs.

create function maintenance.explain_policy(job_name text)
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_policy maintenance_internal.policy := maintenance_internal.find_policy(explain_policy.job_name);
  v_leaves oid[] := maintenance_internal.leaf_tables(
    maintenance_internal.find_target(
    v_policy.target, v_policy.trusted_owner));
begin
  return format(
    e'-- $1, the cut-off, fixed once a run: now() - %L::interval, now %L\n'
    '-- leaf by leaf, %s of them; first a list of rows in heap order, $2 at most:\n%s;\n'
    '-- then piece by piece of that list, $2, with a commit after each:\n%s;\n'
    '-- or, where much of a leaf is due, window by window of its pages, from $3 up to $4:\n%s;\n'
    '-- or, where an index follows the heap, range by range of the age, from $5 up to $6:\n%s;\n',
    v_policy.keep, maintenance_internal.clock() - v_policy.keep, cardinality(v_leaves),
    replace(maintenance_internal.list_statement(v_policy, v_leaves[1], 'all'), 'true and ', ''),
    maintenance_internal.piece_statement(v_policy, v_leaves[1], 'list', false),
    maintenance_internal.piece_statement(v_policy, v_leaves[1], 'window', false),
    maintenance_internal.piece_statement(v_policy, v_leaves[1], 'range', false));
end
$$;

comment on function maintenance.explain_policy(text) is
  'The exact SQL of a policy: how its rows are collected, and what one batch does. '
  'Errors: PM001 no such policy, PM003 its table is gone.';
