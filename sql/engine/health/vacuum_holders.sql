-- Who holds VACUUM back: dead rows stay as long as somebody could still see them. What holds them
-- is a transaction of a session, a prepared one, a replication slot, or a standby that tells what
-- its queries see. The age is told to everybody, since when only to who may read pg_stat_activity.

create function maintenance_internal.vacuum_holders()
returns table (
  kind text,
  name text,
  since timestamptz,
  xmin_age bigint,
  detail text,
  fix text)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
begin atomic
  select case when w.pid is null then 'session' else 'standby' end,
    case when w.pid is null then a.pid::text
      else coalesce(nullif(w.application_name, ''), a.pid::text) end,
    a.xact_start,
    greatest(age(a.backend_xmin), age(a.backend_xid))::bigint,
    case when w.pid is null then format('process %s of %s%s', a.pid, coalesce(a.usename, '?'),
        ', ' || a.state || coalesce(to_char(a.state_change, '" since" YYYY-MM-DD HH24:MI'), ''))
      else format('the standby %s, with hot_standby_feedback', w.application_name) end,
    case when w.pid is null then format('select pg_terminate_backend(%s);', a.pid)
      else '-- on the standby, end its longest query: select pid, xact_start, query from '
        'pg_stat_activity where xact_start is not null order by xact_start limit 1;' end
  from pg_stat_activity as a
  left join pg_stat_replication as w on w.pid = a.pid
  where (a.backend_xmin is not null or a.backend_xid is not null)
    and a.pid <> pg_backend_pid()
    and (a.datname = current_database() or w.pid is not null)
    -- VACUUM holds no VACUUM back, unless it writes the table anew; autovacuum has no user.
    and a.usesysid is not null
    and (a.state = 'active' and a.query ~* '^\s*vacuum\M' and a.query !~* '\mfull\M') is not true
  union all
  select 'prepared transaction', p.gid, p.prepared, age(p.transaction)::bigint,
    format('prepared by %s', p.owner), format('rollback prepared %L;', p.gid)
  from pg_prepared_xacts as p
  where p.database = current_database()
  union all
  select 'replication slot', s.slot_name, null, greatest(age(s.xmin), age(s.catalog_xmin))::bigint,
    format('a %s slot, %s', s.slot_type,
      case when s.active then 'read by process ' || s.active_pid else 'which nobody reads' end),
    case when s.active then format('select pg_terminate_backend(%s); ', s.active_pid) else '' end
      || format('select pg_drop_replication_slot(%L);', s.slot_name)
  from pg_replication_slots as s
  where (s.xmin is not null or s.catalog_xmin is not null)
    and (s.database is null or s.database = current_database());
end;

create view maintenance.vacuum_holders as
select h.kind, h.name, h.since, h.xmin_age, d.dead_rows, h.detail, h.fix
from maintenance_internal.vacuum_holders() as h
cross join (
  select coalesce(sum(t.n_dead_tup), 0)::bigint as dead_rows from pg_stat_user_tables as t
) as d
order by h.xmin_age desc;

comment on view maintenance.vacuum_holders is
  'Who keeps VACUUM from removing dead rows now, the oldest first: why a table does not shrink.';
comment on column maintenance.vacuum_holders.kind is
  'session, prepared transaction, replication slot or standby';
comment on column maintenance.vacuum_holders.name is 'the process, the name of the transaction, '
  'slot or standby';
comment on column maintenance.vacuum_holders.since is
  'since when its transaction is open; null of a slot, and of sessions of other roles where the '
  'engine''s owner is no member of pg_read_all_stats';
comment on column maintenance.vacuum_holders.xmin_age is
  'how many transactions have begun since: rows that died in these stay';
comment on column maintenance.vacuum_holders.dead_rows is
  'dead rows in all tables of this database: so many, at most, are kept';
comment on column maintenance.vacuum_holders.detail is 'who that is, in words';
comment on column maintenance.vacuum_holders.fix is 'the statement that ends it';
