-- S2-14: how large an index would be if it were built now. Those of many sorts that just were are as large as that, or
-- smaller where too little is known, so that none is taken for empty. Committing, in a database of its own.
\set QUIET on
set client_min_messages = error;
create extension pgtap;
select plan(5);

create table public.fresh with (autovacuum_enabled = off) as
select g as i, g::bigint as l, md5(g::text)::uuid as u, md5(g::text) || repeat('x', g % 20) as t, g % 1000 as few,
  g % 20000 as many, case when g % 10 = 0 then repeat(md5(g::text), 4) end as rare, (g % 3)::text::char(10) as padded,
  case when g % 10 < 7 then 'same' else md5(g::text) end as skewed, case when g % 2 = 0 then 0 else g end as half,
  case when g % 10 = 0 then repeat(md5(g::text), 3) else 'ok' end as picked, g % 2 = 0 as b, g::numeric as n,
  g::float8 as f,
  jsonb_build_object('g', g) as j, array[g] as a, (g % 10)::text collate "C" as c, null::text as nothing
from generate_series(1, 100000) as g;
create table public.wide with (autovacuum_enabled = off) as
select g as i, (select string_agg(md5(g::text || n), '') from generate_series(1, 60) as n) as w from generate_series(1,
  2000) as g;
alter table public.wide alter w set storage external;
update public.wide set w = w || 'x';
create temporary table kind as select unnest(array['unique (i)', '(l)', 'unique (u)', '(t)', '(few)', '(few, b)',
  '(c)', '(few) with (deduplicate_items = off)', '(u) with (fillfactor = 50)', '(i) include (t)', '(few) include (b)',
  '(lower(t))', '(lower(picked)) where picked <> ''ok''', '(l) where b', '(n)', '(f)', '(j)', '(a)', '(padded)',
  '(b, l, nothing)', '(b, i, b, l)', '(few, u)', '(many)', '(rare)', '(skewed)', '(half)', '(picked)']) as definition;
select format('create %s index on public.fresh %s', split_part(definition, ' (', 1), substr(definition,
  strpos(definition, '(')))
from (select case when definition ~ '^unique' then definition else ' ' || definition end
  from kind) as k (definition) \gexec
create index on public.fresh (picked) where picked <> 'ok';
create index on public.fresh (rare) where rare is not null;
create index on public.wide (w);
select pg_stat_force_next_flush() \g /dev/null
vacuum full public.wide;
vacuum analyze public.wide;
vacuum analyze public.fresh;
create temporary table estimate as
select regexp_replace(pg_get_indexdef(c.oid), '.* USING btree ', '') as definition, c.relpages, e.pages
from maintenance_internal.full_index_pages() as e join pg_class as c on c.oid = e.relid
join pg_index as i on i.indexrelid = c.oid where i.indrelid in ('public.fresh'::regclass, 'public.wide'::regclass);
select is((select count(*) from estimate), (select count(*) + 3 from kind), 'there is an index of each sort');
select is_empty('select * from estimate where pages < 0.95 * relpages',
  'S2-14: an index that was just built is not taken for empty');
select is((select count(*) from estimate where pages < 1.1 * relpages and definition = any (
  '{(i),(l),(u),(t),(few),(c),(n),(f),(j),(a),(padded),(lower(t)),(few) WITH (deduplicate_items=off)}')), 13::bigint,
  'S2-14: ... and most are as large as is estimated, by a tenth');
select set_eq('select definition from estimate where pages is null',
  array['(picked) WHERE (picked <> ''ok''::text)', '(rare) WHERE (rare IS NOT NULL)', '(w)'],
  'S2-14: where nobody knows how wide its keys are there is no estimate');
select is_empty('table maintenance.upkeep', 'S2-14: none of them is listed');
select * from finish();
