-- The tables that really hold a target's rows: itself, its partitions, its children.
-- Batches go leaf by leaf with ONLY, since a ctid is unique in one table alone.

create function maintenance_internal.leaf_tables(p_table regclass)
returns oid[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_leaves oid[];
  v_foreign regclass;
begin
  with recursive tree as (
    select p_table::oid as relid
    union
    select i.inhrelid from pg_inherits as i join tree as t on i.inhparent = t.relid
  )
  select
    array_agg(c.oid order by c.oid) filter (where c.relkind = 'r'),
    min(c.oid) filter (where c.relkind = 'f')
  into v_leaves, v_foreign
  from tree as t
  join pg_class as c on c.oid = t.relid;

  if v_foreign is not null then
    raise exception 'part of % is the foreign table %', p_table, v_foreign
      using errcode = 'PM003', hint = 'Set the policy on the local partitions, one by one.';
  end if;
  return coalesce(v_leaves, '{}');
end
$$;
