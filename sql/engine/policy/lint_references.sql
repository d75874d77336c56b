-- Foreign keys to a policy's table: rows of other tables that a delete takes or changes by them,
-- and that no rule protects; rows that it keeps; and those that no index serves.

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
  join pg_constraint as f on f.confrelid = h.relid and f.contype = 'f'
    and not exists (select from pg_constraint as u
      where u.oid = f.conparentid and u.confrelid = f.confrelid)
  join pg_class as c on c.oid = f.conrelid
  where not exists (
    select from pg_index as i
    where i.indrelid = f.conrelid
      and i.indisvalid
      and i.indpred is null
      and (i.indkey::smallint[])[0 : cardinality(f.conkey) - 1] @> f.conkey
  )
  union all
  select 'notice',
    case
      when f.confdeltype = 'c' then format('each deleted row of %s takes its rows of %s with it, '
        'however young they are%s', h.relid::regclass, f.conrelid::regclass, (
        select format('; the policy "%s" keeps them for %s', j.job_name, p.keep)
        from maintenance_internal.policy as p
        join maintenance_internal.job as j on j.job_id = p.job_id
        where to_regclass(p.target) = f.conrelid and p.action = 'delete'
          and f.conrelid <> p_table
        order by p.keep desc
        limit 1))
      when f.confdeltype in ('n', 'd') then format('each deleted row of %s changes its rows of %s',
        h.relid::regclass, f.conrelid::regclass)
      else format('rows of %s that rows of %s refer to do not go', h.relid::regclass,
        f.conrelid::regclass)
    end,
    case when f.confdeltype in ('c', 'n', 'd')
      then format('-- The key %I says so. Where that is not meant, let matching leave them out.',
        f.conname)
      else format('-- The key %I has no action: set a policy on %s, or let matching leave them '
        'out.', f.conname, f.conrelid::regclass) end
  from hit as h
  join pg_constraint as f on f.confrelid = h.relid and f.contype = 'f'
    and not exists (select from pg_constraint as u
      where u.oid = f.conparentid and u.confrelid = f.confrelid);
end;
