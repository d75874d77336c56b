-- Pages that each B-tree would take at most if it were built now, by the widths of its keys: what
-- has many more is empty to that extent, and rebuilding it gives that back. Where the statistics do
-- not say enough the larger number is taken, so that a healthy index is let be, and null where they
-- say too little: the width of values that are kept elsewhere, or of those that a condition picks.

create function maintenance_internal.full_index_pages()
returns table (relid oid, pages bigint)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  with key as (
    select i.indexrelid, c.reltuples::numeric as rows,
      max(case a.attalign when 'd' then 8 when 'i' then 4 when 's' then 2 else 1 end)
        over (partition by i.indexrelid)::numeric as unit,
      case when a.attlen > 0 then a.attlen
        when i.indpred is not null and k.attnum is not null then null
        when s.most_common_vals is not null or s.histogram_bounds is not null
          or s.null_frac = 1 then s.avg_width end as width,
      case when i.indpred is null or k.attnum is null then coalesce(s.null_frac, 0) else 0 end
        as nulls,
      -- Equal keys share an entry where what is equal is the same, byte for byte. How many there
      -- are is known well where even those that are not common were in the sample ten times.
      case when i.indpred is null and not i.indisunique and i.indnatts = i.indnkeyatts
          and array_to_string(c.reloptions, ',') ~ 'deduplicate_items=(off|false|no|0)' is not true
          and s.n_distinct > 0 and least(t.reltuples,
              300 * current_setting('default_statistics_target')::integer) * (1 - s.null_frac - (
                select coalesce(sum(f), 0) from unnest(s.most_common_freqs) as f))
            >= 10 * (s.n_distinct - coalesce(cardinality(s.most_common_freqs), 0)) - 1
          and a.atttypid <> 'bpchar'::regtype
          and (l.oid is null or l.collisdeterministic)
          and exists (
            select from pg_opclass as o
            join pg_amproc as p on p.amprocfamily = o.opcfamily and p.amprocnum = 4
              and p.amproclefttype = o.opcintype and p.amprocrighttype = o.opcintype
            where o.oid = i.indclass[a.attnum - 1])
        then s.n_distinct + case when s.null_frac > 0 then 1 else 0 end end as keys,
      coalesce(substring(array_to_string(c.reloptions, ',') from 'fillfactor=(\d+)')::numeric, 90)
        / 100 as fill
    from pg_index as i
    join pg_class as c on c.oid = i.indexrelid and c.relkind = 'i' and c.reltuples >= 0
    join pg_am as m on m.oid = c.relam and m.amname = 'btree'
    join pg_class as t on t.oid = i.indrelid
    join pg_namespace as n on n.oid = t.relnamespace
    join pg_attribute as a on a.attrelid = i.indexrelid
    left join pg_attribute as k on k.attrelid = i.indrelid and k.attnum = i.indkey[a.attnum - 1]
    left join pg_collation as l on l.oid = a.attcollation
    left join pg_stats as s on s.schemaname = n.nspname and not s.inherited
      and s.tablename = case when k.attnum is null then c.relname else t.relname end
      and s.attname = case when k.attnum is null then a.attname else k.attname end
    where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
  ),
  entry as (
    select k.indexrelid, greatest(max(k.rows), 1) as rows, max(k.fill) as fill,
      -- The line pointer and the head, which says which columns are null; and the columns, each as
      -- if it had to be aligned as the widest of them.
      case when count(k.width) = count(*) then 12 + 8 * max((k.nulls > 0)::integer)
        + case when count(*) = 1 then sum((1 - k.nulls) * 8 * ceil(k.width / 8.0))
          else 8 * ceil(sum((1 - k.nulls) * k.unit * ceil(k.width / k.unit)) / 8) end
        end::numeric as bytes,
      case when count(k.keys) = count(*) and sum(ln(greatest(1, k.keys))) < ln(5000)
        then exp(sum(ln(greatest(1, k.keys)))) end::numeric as keys
    from key as k
    group by k.indexrelid
  )
  select e.indexrelid, ceil(least(
      -- Whole entries to a page, beside the one that says where it ends; and the pages above.
      case when e.bytes > 0 then -- greatest would pass over a null
        e.rows / greatest(2, floor((p.size * e.fill - e.bytes) / e.bytes))
          * (1 + 1 / greatest(1, floor(0.7 * p.size / e.bytes) - 1)) end,
      -- A shared entry takes a tenth of a page at most, six bytes for each row.
      case when e.bytes < 400 and e.keys < e.rows then
        (e.keys * ceil(e.rows / e.keys / floor((0.1 * p.size - e.bytes) / 6)) * e.bytes
          + e.rows * 6) / (p.size * e.fill) end) + 1)::bigint
  from entry as e
  cross join (select current_setting('block_size')::numeric - 40 as size) as p;
end;
