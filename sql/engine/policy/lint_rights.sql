-- What would stop a policy's batches: rights, row security, replica identity.

create function maintenance_internal.lint_rights(
  p_policy maintenance_internal.policy,
  p_table regclass)
returns table (severity text, finding text, fix text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_leaf regclass;
  v_missing text;
begin
  for v_leaf in
    select distinct t from unnest(p_table::oid || maintenance_internal.leaf_tables(p_table)) as t
  loop
    -- FOR UPDATE needs UPDATE, for a delete too.
    select string_agg(r.name, ', ') into v_missing
    from unnest(array['select', 'update', p_policy.action]) with ordinality as r (name, number)
    where not has_table_privilege(v_leaf, r.name) and (r.number < 3 or r.name <> 'update');
    if v_missing is not null then
      return query select 'critical',
        format('%s may not %s on %s', current_user, v_missing, v_leaf),
        format('grant %s on %s to %I;', v_missing, v_leaf, current_user);
    end if;

    if row_security_active(v_leaf) then
      return query select 'critical',
        format('row security of %s hides rows from %s', v_leaf, current_user),
        format('alter table %s no force row level security; or make %I its owner', v_leaf,
          current_user);
    end if;

    return query
      select 'critical', format('%s is published by %s without a replica identity, so that '
        'Postgres refuses the %s', v_leaf, min(p.pubname), p_policy.action),
        format('alter table %s replica identity full; -- or give it a primary key', v_leaf)
      from pg_publication as p
      join pg_publication_tables as t on t.pubname = p.pubname
      join pg_class as c on c.oid = v_leaf and c.relname = t.tablename
      join pg_namespace as n on n.oid = c.relnamespace and n.nspname = t.schemaname
      where case p_policy.action when 'delete' then p.pubdelete else p.pubupdate end
        and (c.relreplident = 'n' or c.relreplident = 'd' and not exists (
          select from pg_index as i where i.indrelid = c.oid and i.indisprimary))
      having count(*) > 0;
  end loop;
end
$$;
