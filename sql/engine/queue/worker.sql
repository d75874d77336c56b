-- The workers, as they say of themselves with each claim: a heartbeat, noted every ten seconds.

create table maintenance.worker (
  worker text not null,
  login text not null default session_user,
  version text,
  pid integer,
  kinds text[],
  rss_bytes bigint,
  heap_bytes bigint,
  started_at timestamptz,
  seen_at timestamptz not null,
  constraint worker_pkey primary key (worker)
) with (fillfactor = 50);

create index worker_seen_at_idx on maintenance.worker (seen_at);

comment on table maintenance.worker is
  'One row per worker: who claims tasks here, and how it is (S2-26, S2-30).';
comment on column maintenance.worker.worker is 'the name that it claims under: host and process id';
comment on column maintenance.worker.login is 'the role that it is logged in as';
comment on column maintenance.worker.version is 'its release; null where it did not say';
comment on column maintenance.worker.kinds is 'the kinds of task that it takes; null: all';
comment on column maintenance.worker.rss_bytes is 'memory that its process has';
comment on column maintenance.worker.heap_bytes is 'memory that its program uses of that';
comment on column maintenance.worker.started_at is 'when it was started, by its uptime';
comment on column maintenance.worker.seen_at is 'its last claim, to ten seconds';

create function maintenance_internal.note_worker(
  p_worker text,
  p_about jsonb,
  p_kinds text[],
  p_now timestamptz)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_worker constant text := maintenance_internal.worker_name(p_worker);
  -- What it says is a stranger's word.
  v_number constant jsonb := (
    select jsonb_object_agg(n.key, case when p_about ->> n.key ~ '^[0-9]{1,15}(\.[0-9]{0,9})?$'
      then trunc((p_about ->> n.key)::numeric) end)
    from unnest(array['pid', 'rss', 'heap', 'uptime']) as n (key));
begin
  if exists (
    select from maintenance.worker as w
    where w.worker = v_worker and w.seen_at between p_now - interval '10 seconds' and p_now)
  then
    return;
  end if;
  -- Names that somebody makes up fill no disk, and keep nobody out.
  if (select count(*) from maintenance.worker) >= 1000 then
    delete from maintenance.worker as w
    where w.worker = (select o.worker from maintenance.worker as o order by o.seen_at limit 1)
      and not exists (select from maintenance.worker as o where o.worker = v_worker);
  end if;
  insert into maintenance.worker
    (worker, version, pid, kinds, rss_bytes, heap_bytes, started_at, seen_at)
  select v_worker, left(regexp_replace(p_about ->> 'version', '[^[:alnum:]_.,+-]+', ' ', 'g'), 50),
    case when (v_number ->> 'pid')::numeric < 2147483648 then (v_number ->> 'pid')::integer end,
    (select array_agg(k.kind order by k.kind) from (
      select distinct unnest(p_kinds) as kind order by 1 limit 100) as k),
    (v_number ->> 'rss')::bigint, (v_number ->> 'heap')::bigint,
    p_now - case when (v_number ->> 'uptime')::numeric < 1e9
      then (v_number ->> 'uptime')::integer * interval '1 second' end, p_now
  on conflict on constraint worker_pkey do update
  set login = excluded.login, version = excluded.version, pid = excluded.pid,
    kinds = excluded.kinds, rss_bytes = excluded.rss_bytes, heap_bytes = excluded.heap_bytes,
    started_at = excluded.started_at, seen_at = excluded.seen_at;
end
$$;

-- A worker's name, as it is kept: what it may say is bounded.
create function maintenance_internal.worker_name(p_worker text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return left(regexp_replace(p_worker, '[^[:alnum:]_.:@/-]+', ' ', 'g'), 200);
