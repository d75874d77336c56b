-- Hands blobs that are due to a worker. Each is looked at anew, behind the lock on its entry:
-- whether a row names it (again), and whether an undo may bring one back.

-- Tables that name blobs, and the column that does, as a text: those with the trigger, also where
-- it is disabled. An index serves a column of a type of strings as it stands. fault: why it cannot
-- be told what such a table names.
create function maintenance_internal.blob_tables()
returns table (name regclass, url text, fault text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select distinct t.name,
    't.' || quote_ident(t.url_column) || case when y.typcategory = 'S' then '' else '::text' end,
    t.name || ': ' || case
      when a.attname is null then format('it has no column %s, which its trigger names',
        t.url_column)
      when not maintenance_internal.is_trusted(t.owner)
        then format('its owner %s is not trusted', t.owner::regrole)
      when row_security_active(t.name) then 'its row security holds for its owner, too'
      when t.is_deferrable then 'its trigger is deferrable'
    end
  from (
    select g.tgrelid::regclass as name, c.relowner as owner, g.tgdeferrable as is_deferrable,
      convert_from(substring(g.tgargs from 1 for position(decode('00', 'hex') in g.tgargs) - 1),
        getdatabaseencoding()) as url_column
    from pg_trigger as g
    join pg_class as c on c.oid = g.tgrelid
    where g.tgfoid = 'maintenance.track_blobs()'::regprocedure and g.tgparentid = 0
      and g.tgnargs = 1 and c.relpersistence <> 't'
  ) as t
  left join pg_attribute as a
    on a.attrelid = t.name and a.attname = t.url_column and a.attnum > 0 and not a.attisdropped
  left join pg_type as y on y.oid = a.atttypid;
end;

-- Leases that have ended: nobody is at these any more, and some may be done.
create function maintenance_internal.sweep_blobs()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_blob maintenance.blob;
begin
  for v_blob in
    select b.* from maintenance.blob as b
    where b.state = 'leased' and b.lease_expires_at <= maintenance_internal.moment()
    order by b.lease_expires_at
    limit 100
    for update skip locked
  loop
    perform maintenance_internal.end_blob_lease(v_blob, 'defer', coalesce(v_blob.last_error,
      format('the lease of %s ended without a word', v_blob.worker)));
  end loop;
end
$$;

-- Which of these blobs rows name, in their spelling.
create function maintenance_internal.named_blobs(p_urls text[])
returns text[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_table record;
  v_named text[] := '{}'::text[];
  v_some text[];
begin
  for v_table in select * from maintenance_internal.blob_tables() loop
    if v_table.fault is not null then
      raise exception 'what a table names cannot be told: %', v_table.fault
        using errcode = 'PM003', hint = 'Mend it, or drop its triggers that call '
          'maintenance.track_blobs.';
    end if;
    execute format('select array(select distinct %1$s::text from %2$s as t where %1$s = any ($1))',
      v_table.url, v_table.name) into v_some using p_urls;
    v_named := v_named || v_some;
  end loop;
  return v_named;
end
$$;

create function maintenance.claim_blobs(
  worker text,
  max integer default 10,
  lease interval default '2 minutes')
returns table (blob_id bigint, url text, lease_token uuid, attempt integer)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
-- Who names a blob waits as long as this waits for a table.
set lock_timeout = '500ms'
-- A session keeps the plan that it made when the outbox was empty.
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  v_left integer := claim_blobs.max;
  v_claimed integer;
  v_ids bigint[];
  v_gates integer[];
  v_named text[];
begin
  if coalesce(btrim(claim_blobs.worker), '') = '' then
    raise exception 'the worker has no name'
      using errcode = 'PM002', hint = 'Any text that tells who it is: host and process.';
  end if;
  if claim_blobs.max is null or claim_blobs.max not between 1 and 1000 then
    raise exception 'max "%" is out of range', claim_blobs.max
      using errcode = 'PM002', hint = 'A number from 1 to 1000.';
  end if;
  if claim_blobs.lease is null
    or claim_blobs.lease not between interval '1 second' and interval '6 hours' then
    raise exception 'the lease "%" is out of range', claim_blobs.lease
      using errcode = 'PM002', hint = 'An interval from a second to six hours.';
  end if;
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'blobs are claimed under read committed alone'
      using errcode = 'PM002', hint = 'What others have committed meanwhile would not be seen: '
        'alter role ... set default_transaction_isolation = ''read committed'';';
  end if;
  if maintenance_internal.is_paused() then
    return;
  end if;
  -- Who names a blob waits for this transaction: nobody else's login sits in it.
  if not maintenance_internal.is_trusted(
    (select r.oid from pg_roles as r where r.rolname = session_user)) then
    perform set_config('idle_in_transaction_session_timeout', '5s', true);
  end if;
  perform maintenance_internal.sweep_blobs();
  if (select count(*) from maintenance_internal.blob_gate) < 256 then
    perform maintenance_internal.put_blob_gates();
  end if;

  -- Many may have to stay: some thousand are looked at, and the rest by the next claim.
  for v_pass in 1 .. 10 loop
    v_ids := array(
      select b.blob_id from maintenance.blob as b
      where b.state = 'ready' and b.available_at <= maintenance_internal.moment()
      order by b.available_at, b.blob_id
      limit case v_pass when 1 then claim_blobs.max else greatest(claim_blobs.max, 200) end
      for update skip locked);
    exit when v_ids = '{}';
    -- Somebody may have made a row that names one of these, and has not committed yet: those are
    -- for the next second, and what can be undone for later still.
    v_gates := array(
      select g.gate from maintenance_internal.blob_gate as g
      where g.gate in (
        select b.gate from maintenance.blob as b where b.blob_id = any (v_ids))
      for update skip locked);
    update maintenance_internal.blob_gate as g
    set closings = g.closings + 1
    where g.gate = any (v_gates);
    with later as (
      update maintenance.blob as b
      set available_at = w.at, due_at = case when w.is_shared then b.due_at else w.at end
      from (
        select o.blob_id, o.gate <> all (v_gates) as is_shared, case when o.gate <> all (v_gates)
          then maintenance_internal.moment() + interval '1 second'
          else maintenance_internal.look_again_at() end as at
        from maintenance.blob as o
        where o.blob_id = any (v_ids)
          and (o.gate <> all (v_gates) or maintenance_internal.can_be_undone(o.task_id))
      ) as w
      where b.blob_id = w.blob_id
      returning b.blob_id
    )
    select array(select unnest(v_ids) except select l.blob_id from later as l) into v_ids;
    v_named := maintenance_internal.named_blobs(array(
      select distinct s.url from maintenance.blob as b
      cross join lateral unnest(array[b.url, b.name, '/' || b.name]) as s (url)
      where b.blob_id = any (v_ids)));
    -- Named by a row; or one of several entries for the same blob, of which one that an undo holds
    -- counts, or the last.
    delete from maintenance.blob as b
    where b.blob_id = any (v_ids)
      and (b.name in (select ltrim(n.url, '/') from unnest(v_named) as n (url))
        or exists (
          select from maintenance.blob as o
          where o.name = b.name and o.blob_id <> b.blob_id
            and (maintenance_internal.can_be_undone(o.task_id)
              or o.blob_id > b.blob_id and o.state <> 'dead')));
    return query
      update maintenance.blob as u
      set state = 'leased',
        attempts = u.attempts + 1,
        worker = maintenance_internal.worker_name(claim_blobs.worker),
        lease_token = gen_random_uuid(),
        lease_expires_at = maintenance_internal.moment() + claim_blobs.lease
      where u.blob_id = any (array(
        select b.blob_id from maintenance.blob as b
        where b.blob_id = any (v_ids)
        order by b.available_at, b.blob_id
        limit v_left))
      returning u.blob_id, u.url, u.lease_token, u.attempts;
    get diagnostics v_claimed = row_count;
    v_left := v_left - v_claimed;
    exit when v_left = 0;
  end loop;
end
$$;

comment on function maintenance.claim_blobs(text, integer, interval) is
  'Leases up to max blobs to a worker, which deletes them from the store and says so by '
  'settle_blob; an entry whose lease ends without a word is handed out again. Only blobs that no '
  'row names, and that no undo_task can bring a row back for. None during a pause. In a '
  'transaction of its own, under read committed: who names a blob meanwhile may wait for it. '
  'Errors: PM002 argument, PM003 what a table names cannot be told.';
