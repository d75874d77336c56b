-- automated_backup: copies of tables inside of the database, as of one moment, verified by being
-- restored, and kept for the setting backup_days. Rules S2-11, S2-42, C-20.
--
-- One statement copies all tables and sums up their sources, so that it sees all of them in one
-- snapshot: the inserts are parts of it, and backup_sums, being stable, looks with its eyes. The
-- tables are locked before it begins, as by any reader: everybody reads and writes, and nobody
-- alters or truncates one until the backup is verified (who tries waits, and others behind him).
--
-- Copies, verification and the word verified are one transaction: of a backup that fails, or whose
-- session dies, nothing is left, and none is there that was not verified. That it was begun is
-- committed before, as one that has failed.
--
-- The cost grows with the tables: 100,000 rows of 300 bytes take 1.3 seconds, a million 16, so that
-- thirty minutes should do for a hundred million. On the disk each backup takes what its tables
-- do without their indexes, and twice that and the unique keys until it is verified; meanwhile
-- VACUUM cannot remove what dies.
--
-- Whoever is deleted stays in the copies until these go: a copy that forgot along with the
-- application would be no help against a bad delete, its first purpose. So the promise to forget
-- somebody is one of backup_days. Who has to forget sooner deletes from the copies by hand, which
-- a restore tells (restore_backup), and which is no fault.

-- Settings that turn values into text are pinned. A sum, since it does not ask for an order.
create function public.backup_sums(source regclass, out rows bigint, out checksum text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set datestyle = 'ISO, YMD'
set intervalstyle = 'postgres'
set extra_float_digits = '1'
set bytea_output = 'hex'
set quote_all_identifiers = 'off'
set row_security = off
as $$
begin
  execute format('select count(*), coalesce(sum(hashtextextended((s.*)::text, 0)), 0) from %s as s',
    source)
  into rows, checksum;
end
$$;

comment on function public.backup_sums(regclass) is
  'How many rows a table has, and a checksum of them: the sum of a hash of each row as text, '
  'whatever their order and the settings of the session (S2-11, C-20). For the owner.';

-- Restores a copy into a table like its source, but for constraints that the source may break.
create function maintenance_internal.verify_copy(p_name text, p_table jsonb)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_source constant regclass := to_regclass(format('public.%I', p_name));
  v_scratch constant text := format('pg_temp.%I', p_table ->> 'copy');
  v_tolerated text;
  v_index text;
  v_columns text;
  v_sums record;
begin
  execute format('create table %s (like %s including all excluding indexes)', v_scratch, v_source);
  for v_tolerated in
    select c.conname from pg_constraint as c
    where c.conrelid = v_source and c.contype in ('c', 'n') and not c.convalidated
  loop
    execute format('alter table %s drop constraint if exists %I', v_scratch, v_tolerated);
  end loop;
  select string_agg(quote_ident(a.attname), ', ' order by a.attnum) into v_columns
  from pg_attribute as a
  where a.attrelid = to_regclass(v_scratch) and a.attnum > 0 and not a.attisdropped
    and a.attgenerated = '';
  execute format('insert into %s (%s) overriding system value '
    'select %2$s from maintenance_backup.%I', v_scratch, v_columns, p_table ->> 'copy');
  -- Afterwards they are built many times faster.
  for v_index in
    select substr(d.text, strpos(d.text, d.mark) + length(d.mark))
    from pg_index as i
    cross join lateral (
      select pg_get_indexdef(i.indexrelid), format(' %s USING ', v_source)) as d (text, mark)
    where i.indrelid = v_source and i.indisunique and i.indisvalid
  loop
    execute format('create unique index on %s using %s', v_scratch, v_index);
  end loop;
  select s.* into v_sums from public.backup_sums(to_regclass(v_scratch)) as s;
  if not p_table @> to_jsonb(v_sums) then
    raise exception 'the copy of % has % rows and the checksum %, and its source % and %',
        v_source, v_sums.rows, v_sums.checksum, p_table ->> 'rows', p_table ->> 'checksum'
      using errcode = 'PM029', hint = 'call maintenance.run_job(''automated_backup'');';
  end if;
  execute format('drop table %s', v_scratch);
end
$$;

create function maintenance_internal.make_backup(p_backup_id bigint)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_name text;
  v_copy name;
  v_inserts text[] := '{}';
  v_tables jsonb := '{}';
  v_as_of timestamptz;
  v_counts record;
begin
  for v_name in select t.name from public.backup_tables as t order by t.name loop
    if to_regclass(format('public.%I', v_name)) is null then
      raise exception 'there is no public.%, which backup_tables names', v_name
        using errcode = 'PM029', hint = format('If it is gone for good: delete from '
          'public.backup_tables where name = %L;', v_name);
    end if;
    v_copy := format('b%s_%s', p_backup_id, v_name);
    execute format('lock table public.%I in access share mode', v_name);
    -- Of a database from which the registry was not brought along.
    execute format('drop table if exists maintenance_backup.%I', v_copy);
    execute format('create table maintenance_backup.%I as select * from public.%I with no data',
      v_copy, v_name);
    perform maintenance_internal.revoke_defaults('r',
      format('table maintenance_backup.%I', v_copy));
    v_inserts := v_inserts || format(
      '%I as (insert into maintenance_backup.%1$I select * from public.%I)', v_copy, v_name);
    v_tables := v_tables || jsonb_build_object(v_name, jsonb_build_object('copy', v_copy, 'keys', (
      select coalesce(jsonb_agg(jsonb_build_object('is_primary', c.contype = 'p', 'columns', (
        select jsonb_agg(a.attname order by k.nr)
        from unnest(c.conkey) with ordinality as k (attnum, nr)
        join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = k.attnum))), '[]')
      from pg_constraint as c
      where c.conrelid = to_regclass(format('public.%I', v_name)) and c.contype in ('p', 'u'))));
  end loop;
  if v_inserts = '{}' then
    raise exception 'backup_tables is empty' using errcode = 'PM029',
      hint = 'As it ships: select maintenance_internal.put_backup_tables();';
  end if;

  v_as_of := maintenance_internal.moment();
  execute format('with %s select jsonb_object_agg(t.key, t.value || to_jsonb(s)) '
    'from jsonb_each($1) as t cross join lateral public.backup_sums('
    'to_regclass(format(''public.%%I'', t.key))) as s', array_to_string(v_inserts, ', '))
  into v_tables using v_tables;
  perform maintenance_internal.verify_copy(t.key, t.value) from jsonb_each(v_tables) as t;

  select jsonb_object_agg(t.key, t.value || jsonb_build_object('bytes', b.bytes)) as tables,
    count(*) as number, sum((t.value ->> 'rows')::bigint) as rows, sum(b.bytes) as bytes
  into v_counts
  from jsonb_each(v_tables) as t
  cross join lateral pg_total_relation_size(
    to_regclass(format('maintenance_backup.%I', t.value ->> 'copy'))) as b (bytes);
  update public.backups as b
  set status = 'verified', started_at = v_as_of, finished_at = maintenance_internal.moment(),
    file_location = format('maintenance_backup.b%s_*', p_backup_id),
    size_bytes = v_counts.bytes, tables = v_counts.tables, error_message = null
  where b.backup_id = p_backup_id;
  perform maintenance.add_details(jsonb_build_object('tables', v_counts.number,
    'rows', v_counts.rows, 'bytes', v_counts.bytes, 'verified', true));
end
$$;

-- What is old enough goes, but for the last that was verified: some of them in a transaction, since
-- each table takes a lock. What somebody reads, or has built on, stays, and is told.
create function maintenance_internal.prune_backups(p_most integer, p_kept bigint[])
returns table (backup_id bigint, is_gone boolean, reason text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_tables jsonb;
  v_copy text;
  v_context text;
begin
  for backup_id, v_tables in
    select b.backup_id, b.tables from public.backups as b
    where b.backup_type = 'snapshot' and b.backup_id <> all (p_kept)
      and maintenance_internal.clock() - b.started_at
        >= maintenance_internal.setting('backup_days')::double precision * interval '1 day'
      and b.backup_id is distinct from (
        select l.backup_id from public.backups as l
        where l.status = 'verified' and l.backup_type = 'snapshot'
        order by l.started_at desc, l.backup_id desc
        limit 1)
    order by b.backup_id
    limit p_most
  loop
    begin
      for v_copy in select t.value ->> 'copy' from jsonb_each(v_tables) as t loop
        execute format('drop table if exists maintenance_backup.%I', v_copy);
      end loop;
      delete from public.backups as b where b.backup_id = prune_backups.backup_id;
      is_gone := true;
      reason := null;
    exception when others then
      get stacked diagnostics v_context = pg_exception_context;
      is_gone := false;
      reason := maintenance_internal.error_text(sqlstate, sqlerrm, v_context);
    end;
    return next;
  end loop;
end
$$;

create function public.automated_backup_step(batch_size integer)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_run_id constant bigint := maintenance_internal.this_run();
  v_backup public.backups;
  v_details jsonb;
  v_gone bigint[];
  v_kept bigint[];
  v_kept_for text;
begin
  if v_run_id is null then
    return 0;
  end if;
  select b.* into v_backup
  from maintenance_internal.run as r
  join public.backups as b on b.backup_id = (r.details ->> 'backupId')::bigint
  where r.run_id = v_run_id;
  if not found then
    insert into public.backups (started_at, error_message)
    values (maintenance_internal.moment(), format('It did not come to its end: select error_detail '
      'from maintenance.run_history where run_id = %s;', v_run_id))
    returning * into v_backup;
    perform maintenance.add_details(jsonb_build_object('backupId', v_backup.backup_id));
    return -1;
  elsif v_backup.status = 'failed' then
    perform maintenance_internal.make_backup(v_backup.backup_id);
    return -1;
  end if;
  select r.details into v_details
  from maintenance_internal.run as r where r.run_id = v_run_id;
  select array_agg(p.backup_id) filter (where p.is_gone),
    array_agg(p.backup_id) filter (where not p.is_gone), min(p.reason)
  into v_gone, v_kept, v_kept_for
  from maintenance_internal.prune_backups(5, array(
    select k::bigint from jsonb_array_elements_text(v_details -> 'kept') as k)) as p;
  perform maintenance.add_details(jsonb_strip_nulls(jsonb_build_object(
    'pruned', coalesce((v_details ->> 'pruned')::integer, 0) + coalesce(cardinality(v_gone), 0),
    'kept', coalesce(v_details -> 'kept', '[]') || to_jsonb(v_kept), 'keptFor', v_kept_for)))
  where v_gone is not null or v_kept is not null or not v_details ? 'pruned';
  return case when v_gone is null and v_kept is null then 0 else -1 end;
end
$$;

comment on function public.automated_backup_step(integer) is
  'Step of automated_backup: registers a backup; makes and verifies it, in one transaction; lets '
  'go of those that are older than the setting backup_days (30), but for the last that was '
  'verified (S2-11). On the receipt are backupId, tables, rows, bytes, verified, pruned, and kept: '
  'those that could not go, since somebody reads them or has built on them, with keptFor: why the '
  'last could not. It counts no rows: nothing of the application is changed. Outside of a run it '
  'does nothing. Errors: PM029 a table is not there, or its copy is not like it.';

create function public.overdue_backups(cap integer)
returns table (due bigint, oldest timestamptz)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select count(*), min(l.at)
  from (
    select coalesce(max(b.started_at), (
      select j.created_at from maintenance_internal.job as j
      where j.job_name = 'automated_backup')) as at
    from public.backups as b
    where b.status = 'verified' and b.backup_type = 'snapshot' -- a dump is no trace of the job
  ) as l
  where l.at < maintenance_internal.clock() - interval '26 hours';
end;

comment on function public.overdue_backups(integer) is
  'Backlog of automated_backup: 1 where the last verified snapshot is older than 26 hours, or '
  'there is none and the job is (S2-11); oldest: since when.';
