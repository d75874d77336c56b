-- What needs VACUUM, ANALYZE or REINDEX now, by what the statistics and the sizes say, and not by
-- the calendar: what matters first, with the statement, and why it is not given where it is not.
-- A plan is the top of this list, asked anew for each statement.

-- A table or an index by its full name.
create function maintenance_internal.full_name(p_relation oid)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select format('%I.%I', n.nspname, c.relname)
  from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
  where c.oid = p_relation;
end;

create function maintenance_internal.upkeep_needs()
returns table (relid oid, table_id oid, action text, rank integer, gain numeric, reason text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  with setting as materialized (
    select maintenance_internal.setting('upkeep_dead_percent') / 100 as dead,
      maintenance_internal.setting('upkeep_air_percent') / 100 as air,
      maintenance_internal.setting('upkeep_air_mb') * 1048576 as least,
      current_setting('block_size')::numeric as page
  ),
  -- What the owner may maintain; of a partitioned table, its partitions.
  relation as materialized (
    select c.oid, c.relkind, c.relname, n.nspname, c.relfrozenxid,
      greatest(c.relpages, 0)::numeric as pages, c.reltuples
    from pg_class as c
    join pg_namespace as n on n.oid = c.relnamespace
    where c.relkind in ('r', 'm', 'i') and c.relpersistence <> 't'
      and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
      and (pg_has_role(c.relowner, 'usage') or c.relkind <> 'i' and case
        when current_setting('server_version_num')::integer >= 170000
        then has_table_privilege(c.oid, 'maintain') else false end)
  ),
  -- VACUUM is given with ANALYZE, so a table has one of the two.
  stale as (
    select r.oid,
      case when w.vacuum <> '' then 'vacuum' else 'analyze' end as action,
      case when w.vacuum <> '' then 2 else 3 end as rank,
      greatest(s.n_dead_tup, s.n_ins_since_vacuum, s.n_mod_since_analyze) as gain,
      case when w.vacuum <> '' then w.vacuum else w.analyze end as reason
    from relation as r
    cross join setting as g
    join pg_stat_all_tables as s on s.relid = r.oid
    cross join lateral (
      select greatest(1000, g.dead * (s.n_live_tup + s.n_dead_tup)) as least,
        age(r.relfrozenxid) as age
    ) as m
    cross join lateral (
      select concat_ws(', ',
          case when s.n_dead_tup > m.least
            then format('%s dead rows beside %s', s.n_dead_tup, s.n_live_tup) end,
          case when s.n_ins_since_vacuum > m.least
            then format('%s new rows since the last VACUUM', s.n_ins_since_vacuum) end,
          case when m.age > current_setting('vacuum_freeze_table_age')::integer
            then format('its oldest row is of %s transactions ago', m.age) end) as vacuum,
        case when s.n_mod_since_analyze > m.least
          then format('%s changes since the last ANALYZE', s.n_mod_since_analyze) end as analyze
    ) as w
    where r.relkind <> 'i' and g.dead is not null and (w.vacuum <> '' or w.analyze <> '')
  ),
  -- An index that was rebuilt here is measured by what it was then, and any other B-tree by
  -- estimate.
  full_index as (
    select r.oid, i.indrelid as table_id, r.pages, coalesce(
      case when (u.after ->> 'bytes')::numeric >= 100 * g.page
        then (u.after ->> 'bytes')::numeric / g.page
          * greatest(r.reltuples, 1)::numeric / greatest((u.after ->> 'rows')::numeric, 1) end,
      f.pages) as full_pages
    from relation as r
    cross join setting as g
    join pg_index as i on i.indexrelid = r.oid
      and i.indisvalid and i.indisready and not i.indisexclusion
    left join maintenance_internal.upkeep as u
      on u.relation = format('%I.%I', r.nspname, r.relname) and u.action = 'reindex'
      and u.outcome = 'done' and (u.after ->> 'oid')::oid = r.oid
    left join maintenance_internal.full_index_pages() as f on f.relid = r.oid
    where r.relkind = 'i' and r.reltuples >= 0
  ),
  full_table as (
    select r.oid, r.pages, f.pages as full_pages
    from relation as r
    join maintenance_internal.full_pages() as f on f.relid = r.oid
    where r.relkind in ('r', 'm')
  ),
  empty as (
    select f.oid, f.table_id, 'reindex' as action, 4 as rank, f.pages, f.full_pages
    from full_index as f
    union all
    select f.oid, f.oid, 'repack', 5, f.pages, f.full_pages from full_table as f
  )
  select s.oid, s.oid, s.action, s.rank, s.gain::numeric, s.reason from stale as s
  union all
  select e.oid, e.table_id, e.action, e.rank, (e.pages - e.full_pages) * g.page,
    format('%s of %s are empty', pg_size_pretty((e.pages - e.full_pages) * g.page),
      pg_size_pretty(e.pages * g.page))
  from empty as e
  cross join setting as g
  where (e.pages - e.full_pages) * g.page >= g.least
    and e.pages - e.full_pages
      > e.pages * case e.action when 'repack' then greatest(g.air, 0.5) else g.air end
  union all
  select i.indexrelid, i.indrelid, 'drop', 1, r.pages * g.page,
    'it is invalid, and named as what a REINDEX CONCURRENTLY leaves that fails'
  from relation as r
  cross join setting as g
  join pg_index as i on i.indexrelid = r.oid and not i.indisvalid
  where r.relname ~ '_cc(new|old)[0-9]*$';
end;

-- What a reader may see decides what pg_stats shows, so the owner looks.
create function maintenance_internal.upkeep()
returns table (
  relation text,
  action text,
  reason text,
  held text,
  statement text,
  bytes numeric,
  last_given_at timestamptz,
  last_outcome text)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
begin atomic
  -- VACUUM, ANALYZE, REINDEX and CREATE INDEX CONCURRENTLY keep each other out, and DDL all. Who
  -- they are is told to who may read all statistics alone; what they hold, to everybody.
  with worker as materialized (
    select l.relation as table_id, min(l.pid) as pid from pg_locks as l
    where l.locktype = 'relation' and l.granted
      and l.database = (select b.oid from pg_database as b where b.datname = current_database())
      and l.mode in ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock',
        'ExclusiveLock', 'AccessExclusiveLock')
    group by l.relation
  ),
  job as materialized (
    select t.relid as table_id, min(j.job_name) filter (where t.verb = 'vacuum') as vacuums,
      min(j.job_name) as analyzes
    from maintenance_internal.job as j
    cross join lateral maintenance_internal.statement_tables(j.statement) as t
    where j.enabled and j.schedule is not null and t.verb in ('vacuum', 'analyze')
    group by t.relid
  )
  select d.relation, d.action, d.reason,
    case
      when d.action = 'repack' then 'it writes the table anew: to be run by hand'
      when u.outcome is null and u.relation is not null then 'it was given to pg_cron'
      when worker.pid is not null
        then format('process %s is at work on the table, or holds it', worker.pid)
      when d.action = 'drop' and o.relation is null
        then 'no REINDEX that was given here has left it'
      when u.outcome <> 'not_fired' and maintenance_internal.clock() < rest.until
        then format('%s, and again from %s on', u.outcome,
          to_char(rest.until at time zone 'UTC', 'YYYY-MM-DD HH24:MI'))
      when d.action = 'vacuum' and job.vacuums is not null
        then 'it is left to the job ' || job.vacuums
      when d.action = 'analyze' and job.analyzes is not null
        then 'it is left to the job ' || job.analyzes
      when d.action = 'reindex' and exists (
          select from pg_stat_progress_create_index as p where p.datname = current_database())
        then 'another index is being built'
      when d.action = 'reindex' and disk.capacity is null
          and d.bytes > maintenance_internal.setting('upkeep_blind_mb') * 1048576
        then 'nobody knows whether there is room: select maintenance.configure('
          '''disk_capacity_gb'', 100); -- what it holds'
      -- The new one beside the old, and as much in the log.
      when d.action = 'reindex' and disk.used + 2 * d.bytes > disk.capacity
          * (1 - coalesce(maintenance_internal.setting('disk_warning_percent'), 0) / 100)
        then format('there is no room: it takes %s', pg_size_pretty(2 * d.bytes))
    end as held,
    case d.action
      when 'drop' then format('drop index concurrently if exists %s', d.relation)
      when 'vacuum' then format('vacuum (analyze, skip_locked) %s', d.relation)
      when 'analyze' then format('analyze (skip_locked) %s', d.relation)
      when 'reindex' then format('reindex index concurrently %s', d.relation)
      -- Who uses the table waits for a VACUUM FULL.
      when 'repack' then case when current_setting('server_version_num')::integer >= 190000
        then format('repack (concurrently) %s', d.relation)
        else format('vacuum (full, analyze) %s', d.relation) end
    end as statement,
    d.bytes, u.given_at as last_given_at, u.outcome as last_outcome
  from (
    select n.*, maintenance_internal.full_name(n.relid) as relation,
      c.relpages::numeric * current_setting('block_size')::numeric as bytes
    from maintenance_internal.upkeep_needs() as n
    join pg_class as c on c.oid = n.relid
  ) as d
  left join maintenance_internal.upkeep as u on u.relation = d.relation and u.action = d.action
  left join maintenance_internal.upkeep as o on d.action = 'drop' and d.relid = any (o.leftovers)
  -- A day of rest, a week for an index, and for longer after each failure; some hours less, so that
  -- the same hour of the day is not missed.
  cross join lateral (
    select u.given_at - interval '4 hours' + interval '1 day' * (1 + least(u.failures, 7))
      * case d.action when 'reindex' then 7 else 1 end as until
  ) as rest
  left join worker on worker.table_id = d.table_id
  left join job on job.table_id = d.table_id
  cross join maintenance_internal.disk_use() as disk
  order by d.rank, d.gain desc, d.relation;
end;

create view maintenance.upkeep as
select u.relation, u.action, u.reason, u.held, u.statement, u.bytes, u.last_given_at, u.last_outcome
from maintenance_internal.upkeep() as u;

comment on view maintenance.upkeep is
  'What needs VACUUM, ANALYZE or REINDEX now, one row each, what matters first: dead rows and '
  'changes by the statistics (the setting upkeep_dead_percent), empty room of B-trees by an '
  'estimate that lets be what it is not sure of, or by what the index was when it was last rebuilt '
  '(upkeep_air_percent, upkeep_air_mb). A job whose step is maintenance.upkeep_step has it done. '
  'Where pg_cron is not here, in psql: select statement from maintenance.upkeep where held is '
  'null \gexec (S2-14).';
comment on column maintenance.upkeep.relation is 'the table or index, with its schema';
comment on column maintenance.upkeep.action is
  'drop (of what a failed REINDEX has left), vacuum, analyze, reindex, or repack, which is for a '
  'table that is mostly empty, and is never done by the job';
comment on column maintenance.upkeep.reason is 'what was measured';
comment on column maintenance.upkeep.held is 'why it is not done now; null where it may be';
comment on column maintenance.upkeep.statement is
  'what does it, as a statement of its own: no function can hold it. From PostgreSQL 19 on a '
  'repack is REPACK (CONCURRENTLY), and before that VACUUM FULL, for which all wait';
comment on column maintenance.upkeep.bytes is 'its size as of the last VACUUM or ANALYZE';
comment on column maintenance.upkeep.last_given_at is 'when it was last given to pg_cron';
comment on column maintenance.upkeep.last_outcome is
  'what became of that: done, failed, or not_fired; null while it is not over';
