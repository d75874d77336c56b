-- The trigger of a table that names blobs. A row that goes leaves an entry in the outbox, in the
-- same transaction, whichever way it goes. A row that comes takes the entries of its blob out
-- again; and it shares the gate of the blob, so that none is handed out before this transaction's
-- row is there to be seen.

-- The task whose answer is being applied in this transaction (applied_task), or is being undone
-- (undone_task): what rows that go or come belong to. Null outside.
create function maintenance_internal.current_task(p_setting text)
returns bigint
language sql
stable
set search_path = pg_catalog, pg_temp
return substring(current_setting('maintenance.' || p_setting, true) from '^[0-9]{1,18}$')::bigint;

-- Whether an undo may bring back what a task has deleted.
create function maintenance_internal.can_be_undone(p_task_id bigint)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
return exists (
  select from maintenance.change as c
  where c.task_id = p_task_id and c.deletes and c.forgotten_at is null);

-- When an entry that an undo holds is looked at, if the ledger does not release it before.
create function maintenance_internal.look_again_at()
returns timestamptz
language sql
stable
set search_path = pg_catalog, pg_temp
return maintenance_internal.moment() + greatest(interval '1 hour', interval '1 day' * least((
  select s.value::numeric from maintenance.setting as s where s.name = 'recovery_days'), 30));

-- The ledger forgets what was deleted, so that no undo brings it back: its blobs may go.
create function maintenance_internal.release_blobs()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  update maintenance.blob as b
  set available_at = least(b.available_at, maintenance_internal.moment()),
    due_at = least(b.due_at, maintenance_internal.moment())
  where b.task_id = new.task_id and b.state = 'ready'
    and not maintenance_internal.can_be_undone(b.task_id);
  return null;
end
$$;

create trigger release_blobs after update of forgotten_at on maintenance.change
for each row when (new.deletes and old.forgotten_at is null and new.forgotten_at is not null)
execute function maintenance_internal.release_blobs();

create function maintenance.track_blobs()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
-- A session keeps the plan that it made when the outbox was empty.
set enable_seqscan = off
as $$
declare
  v_task_id bigint;
  v_due timestamptz;
  v_read constant text := coalesce(quote_ident(tg_argv[0]), 'null') || '::text';
  v_url text;
  v_name text;
  v_gate integer;
begin
  if tg_op = 'TRUNCATE' and current_setting('transaction_isolation') <> 'read committed' then
    raise exception '% cannot be truncated under repeatable read: not all of its blobs are seen',
      tg_relid::regclass using errcode = 'PM003', hint = 'Under read committed, or by delete.';
  elsif tg_nargs <> 1 or (tg_op = 'TRUNCATE') <> (tg_when = 'BEFORE')
    or tg_level = 'STATEMENT' and tg_op in ('INSERT', 'UPDATE')
    or tg_level = 'STATEMENT' and tg_op = 'DELETE' and not exists (
      select from pg_trigger as t
      where t.tgrelid = tg_relid and t.tgname = tg_name and t.tgoldtable = 'gone')
  then
    raise exception '% is no trigger that can track blobs', tg_name
      using errcode = 'PM003', hint = format('create trigger %I after insert or delete or update '
        'of url on %s for each row execute function maintenance.track_blobs(''url''); with the '
        'name of the column instead of url.', tg_name, tg_relid::regclass);
  end if;
  if tg_op in ('DELETE', 'TRUNCATE') then
    v_task_id := maintenance_internal.current_task('applied_task');
    v_due := case when v_task_id is null then maintenance_internal.moment()
      else maintenance_internal.look_again_at() end;
  end if;
  begin
    if tg_level = 'STATEMENT' then
      execute format('insert into maintenance.blob (url, task_id, available_at, due_at) '
          'select %1$s, $1, $2, $2 from %2$s where %1$s <> ''''', v_read,
          case tg_op when 'DELETE' then 'gone' else tg_relid::regclass::text end)
        using v_task_id, v_due;
      return null;
    elsif tg_op = 'DELETE' then
      execute 'select ($1).' || v_read into v_url using old;
    else
      execute 'select ($1).' || v_read into v_url using new;
    end if;
  exception when undefined_column then
    raise exception '% has no column %, which its trigger % names', tg_relid::regclass,
      tg_argv[0], tg_name using errcode = 'PM003';
  end;
  if coalesce(v_url, '') = '' then
    return null;
  elsif tg_op = 'DELETE' then
    insert into maintenance.blob (url, task_id, available_at, due_at)
    values (v_url, v_task_id, v_due, v_due);
    return null;
  end if;
  v_name := ltrim(v_url, '/');
  v_gate := (hashtextextended(v_name, 0) & 255)::integer; -- as maintenance.blob has it
  -- Under repeatable read this fails where a claim has been there since, whose lease is not seen.
  perform from maintenance_internal.blob_gate as g where g.gate = v_gate for share;
  if not found then
    insert into maintenance_internal.blob_gate (gate) values (v_gate) on conflict do nothing;
    perform from maintenance_internal.blob_gate as g where g.gate = v_gate for share;
  end if;
  -- Behind the gate no claim is under way: who else is at these entries takes them out, too.
  if exists (
    select from maintenance.blob as b
    where b.name = v_name and b.lease_expires_at > maintenance_internal.moment())
  then
    raise exception 'the blob "%" is being deleted just now', v_url
      using errcode = 'PM028', hint = 'Store it under another name, or again in some minutes.';
  end if;
  -- Each row that an undo brings back has an entry of its own; those of other tasks stay, since
  -- their undo may bring rows back when this one has gone again.
  delete from maintenance.blob as b
  where b.blob_id = any (array(
    select l.blob_id from maintenance.blob as l
    where l.name = v_name and (
      l.task_id is null or not maintenance_internal.can_be_undone(l.task_id) or l.blob_id = (
        select min(o.blob_id) from maintenance.blob as o
        where o.name = v_name
          and o.task_id = maintenance_internal.current_task('undone_task')))
    for update skip locked));
  return null;
end
$$;

comment on function maintenance.track_blobs() is
  'Trigger, after each row that is inserted, deleted or given another blob (or after a delete, for '
  'each statement, referencing old table as gone, which is faster where many go), and before a '
  'truncate; its argument is the column that names the blob, which needs an index. A row that goes '
  'leaves an entry in maintenance.blob, and the worker deletes the blob when no row of any such '
  'table names it and no undo_task can bring one back; a row that names it again takes the entry '
  'out. A column that is only given another value leaves none: the same blob may have got another '
  'address. Errors: PM003 it is put elsewhere, PM028 a worker is deleting that blob.';
