-- Pages that each B-tree would have if it were built now, by the average width of its keys: so many
-- that an index which really has more is mostly air. Measured beside indexes that were just built
-- it is right within a few percent. Null where a key has no statistics yet.

create function maintenance_internal.full_index_pages()
returns table (relid oid, pages bigint)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  with key as (
    select i.indexrelid, c.reltuples as rows, array_to_string(c.reloptions, ',') as options,
      -- One that tells equal keys apart keeps each by itself.
      not i.indisunique and i.indnatts = i.indnkeyatts as may_share,
      a.attnum <= i.indnkeyatts as is_key, s.null_frac, s.avg_width,
      case when s.n_distinct < 0 then -s.n_distinct * t.reltuples else s.n_distinct end
        + case when s.null_frac > 0 then 1 else 0 end as distinct_values,
      a.attnum > i.indnkeyatts or exists (
        select from pg_opclass as o
        join pg_amproc as p on p.amprocfamily = o.opcfamily and p.amprocnum = 4
          and p.amproclefttype = o.opcintype and p.amprocrighttype = o.opcintype
        where o.oid = i.indclass[a.attnum - 1]) as is_plain
    from pg_index as i
    join pg_class as c on c.oid = i.indexrelid and c.relkind = 'i'
    join pg_am as m on m.oid = c.relam and m.amname = 'btree'
    join pg_class as t on t.oid = i.indrelid
    join pg_namespace as n on n.oid = t.relnamespace
    join pg_attribute as a on a.attrelid = i.indexrelid
    left join pg_attribute as k on k.attrelid = i.indrelid and k.attnum = i.indkey[a.attnum - 1]
    left join pg_stats as s on s.schemaname = n.nspname and not s.inherited
      and s.tablename = case when k.attnum is null then c.relname else t.relname end
      and s.attname = case when k.attnum is null then a.attname else k.attname end
    where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
  ),
  entry as (
    select k.indexrelid, greatest(max(k.rows), 1)::numeric as rows,
      case when count(k.avg_width) = count(*) and max(k.rows) >= 0 then
        12 + 8 * ceil(sum((1 - k.null_frac) * k.avg_width) / 8) end::numeric as bytes,
      -- How many keys there are, as if no column said anything about another.
      case when bool_and(k.may_share and k.is_plain)
        and max(k.options) ~ 'deduplicate_items=(off|false|no|0)' is not true
        then greatest(1, exp(least(700, sum(ln(greatest(1, k.distinct_values)))
          filter (where k.is_key)))) end::numeric as keys,
      coalesce(substring(max(k.options), 'fillfactor=(\d+)')::numeric, 90)
        as fill
    from key as k
    group by k.indexrelid
  )
  select e.indexrelid,
    ceil(least(e.rows * e.bytes,
      -- Equal keys share an entry, up to some 130 of them, of six bytes each.
      case when e.keys < e.rows then
        e.keys * ceil(e.rows / e.keys / 130) * e.bytes + e.rows * 6 end)
      / ((current_setting('block_size')::integer - 40) * e.fill / 100))::bigint
  from entry as e;
end;
