-- Foreign keys that a delete has to look up or cascades through, and that no index serves.

create function maintenance_internal.lint_references(
  p_policy maintenance_internal.policy,
  p_table regclass)
returns table (severity text, finding text, fix text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  with recursive hit as (
    select p_table::oid as relid
    where p_policy.action = 'delete'
    union
    select f.conrelid
    from pg_constraint as f
    join hit as h on h.relid = f.confrelid
    where f.contype = 'f' and f.confdeltype = 'c'
  )
  select 'warning',
    format('the foreign key %s of %s has no index: each deleted row of %s reads all of it',
      f.conname, f.conrelid::regclass, h.relid::regclass),
    format('create index%s on %s (%s);',
      case when c.relkind <> 'p' then ' concurrently' end, f.conrelid::regclass, (
      select string_agg(quote_ident(a.attname), ', ' order by k.number)
      from unnest(f.conkey) with ordinality as k (attnum, number)
      join pg_attribute as a on a.attrelid = f.conrelid and a.attnum = k.attnum))
  from hit as h
  join pg_constraint as f on f.confrelid = h.relid and f.contype = 'f' and f.conparentid = 0
  join pg_class as c on c.oid = f.conrelid
  where not exists (
    select from pg_index as i
    where i.indrelid = f.conrelid
      and i.indisvalid
      and i.indpred is null
      and (i.indkey::smallint[])[0 : cardinality(f.conkey) - 1] @> f.conkey
  );
end;
