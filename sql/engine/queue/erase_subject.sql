-- Forgets what the engine holds about a subject: rows stay, to be counted and added up, without a
-- name, a text or a key. Whoever deletes somebody only notes it (note_deleted); from then on no
-- answer about them is taken, and the tick forgets them (erase_subjects). What is below a subject,
-- as USER/CONVERSATION is below USER, is forgotten with it.

create function maintenance_internal.erased()
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return '(erased)';

create function maintenance_internal.is_to_be_erased(p_task maintenance.task)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
return exists (
  select from maintenance_internal.erasure as e
  where e.subject = any (array(
      select array_to_string((string_to_array(p_task.subject, '/'))[:i], '/')
      from generate_series(1, cardinality(string_to_array(p_task.subject, '/'))) as i))
    and e.kind in ('*', p_task.kind));

create function maintenance_internal.erase(
  p_subject text,
  p_kind text,
  out tasks bigint,
  out leases bigint,
  out changes bigint,
  out calls bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_below constant text := p_subject || '/';
  v_behind constant text := p_subject || chr(ascii('/') + 1);
  v_kinds constant text[] := array(
    select k.kind from maintenance.kind as k where p_kind in ('*', k.kind));
  v_task maintenance.task;
  v_ids bigint[];
  v_changed bigint;
begin
  if p_kind <> '*' then
    perform maintenance_internal.find_kind(p_kind);
  end if;
  tasks := 0;
  leases := 0;
  calls := 0;
  -- Whoever is at one of them ends first, and what he wrote is forgotten, too: also a task that
  -- he has asked for.
  loop
    v_ids := '{}';
    for v_task in
      select t.* from maintenance.task as t
      where (t.subject = p_subject or t.subject ~>=~ v_below and t.subject ~<~ v_behind)
        and t.kind = any (v_kinds)
      order by t.task_id
      for update
    loop
      v_ids := v_ids || v_task.task_id;
      continue when v_task.state not in ('ready', 'leased', 'quarantined');
      leases := leases + (v_task.state = 'leased')::integer;
      v_task.carry := null;
      perform maintenance_internal.settle_task(v_task, 'skipped', p_cost => (
        select c.cost from maintenance_internal.settle_call(v_task.lease_token, 'lost') as c));
    end loop;
    exit when v_ids = '{}';

    update maintenance.model_call as c
    set details = null
    where c.details is not null and c.task_id = any (v_ids);
    get diagnostics v_changed = row_count;
    calls := calls + v_changed;
    update maintenance.task as t
    set subject = maintenance_internal.erased(),
      state = case t.state when 'dead' then 'skipped' else t.state end,
      options = '{}',
      input_hash = null,
      asked_hash = null,
      settled_token = null,
      last_error = 'its subject was erased',
      result = case t.state when 'succeeded' then '{"state": "succeeded"}'
        else '{"state": "skipped"}' end::jsonb
    where t.task_id = any (v_ids);
    tasks := tasks + cardinality(v_ids);
  end loop;

  update maintenance.change as c
  set subject = maintenance_internal.erased(),
    keys = '{}',
    rows = '[]',
    note = null,
    reason = case when c.reason is not null then 'its subject was erased' end,
    forgotten_at = coalesce(c.forgotten_at, maintenance_internal.moment())
  where (c.subject = p_subject or c.subject ~>=~ v_below and c.subject ~<~ v_behind)
    and (p_kind = '*' or c.kind = p_kind);
  get diagnostics changes = row_count;
  delete from maintenance_internal.subject as s
  where (s.subject = p_subject or s.subject ~>=~ v_below and s.subject ~<~ v_behind)
    and s.kind = any (v_kinds);
end
$$;

-- Receipts that name a row which a policy could not change, by its key: in one pass, for many.
create function maintenance_internal.erase_receipts(p_subjects text[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Of USER/CONVERSATION the conversation is meant, and not its user.
  p_subjects := p_subjects || array(select split_part(s, '/', -1) from unnest(p_subjects) as s);
  update maintenance_internal.run as r
  set error_detail = '{"message": "of a subject that was erased"}'
  where r.error_detail ? 'rows' and exists (
    select from jsonb_array_elements(r.error_detail -> 'rows') as w (row)
    cross join lateral jsonb_each_text(w.row) as v
    where v.value = any (p_subjects));
end
$$;

create function maintenance.erase_subject(subject text, kind text default null)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_kind constant text := coalesce(erase_subject.kind, '*');
  v_erased record;
begin
  if coalesce(erase_subject.subject, '') in ('', maintenance_internal.erased()) then
    raise exception 'the subject "%" is not acceptable', erase_subject.subject
      using errcode = 'PM002', hint = 'What the tasks are about: a user''s id for user kinds.';
  end if;
  select * into v_erased from maintenance_internal.erase(erase_subject.subject, v_kind);
  perform maintenance_internal.erase_receipts(array[erase_subject.subject]);
  -- Where it was deleted, too, the tick does so once more: somebody may be asking about it.
  update maintenance_internal.erasure as e
  set erased_in = pg_current_xact_id(), error = null
  where e.subject = erase_subject.subject and v_kind in ('*', e.kind);
  return to_jsonb(v_erased);
end
$$;

comment on function maintenance.erase_subject(text, text) is
  'Forgets everything that the engine holds about a subject, for one kind of task or for all: what '
  'its tasks showed, held and changed, their errors, options and results, the details of their '
  'calls, what was last asked, and the subject itself. Leases are revoked, and a late answer is '
  'refused; what was open or dead is skipped; an undo is not possible any more. Rows, tokens and '
  'costs stay. What is below it goes, too: USER/CONVERSATION with USER. Receipts of runs lose the '
  'keys and words of refused rows where one of the keys is the subject. Returns {tasks, leases, '
  'changes, calls}. The application''s own rows are its own affair. For the engine''s owner. '
  'Errors: PM002 argument, PM013 no such kind.';

create function maintenance.note_deleted()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_subject text;
begin
  if tg_when <> 'AFTER' or tg_level <> 'ROW' or tg_op = 'INSERT' or tg_nargs = 0 then
    raise exception '% is no trigger after each row with the name of a column', tg_name
      using errcode = 'PM003', hint = format('create trigger %I after delete on %s for each row '
        'execute function maintenance.note_deleted(''id'');', tg_name, tg_relid::regclass);
  end if;
  begin
    execute format('select ($1).%I::text', tg_argv[0]) into v_subject using old;
  exception when undefined_column then
    raise exception '% has no column %, which its trigger % names', tg_relid::regclass,
      tg_argv[0], tg_name using errcode = 'PM003';
  end;
  -- What can be no subject has no tasks.
  if length(v_subject) between 1 and 200 and v_subject <> maintenance_internal.erased() then
    insert into maintenance_internal.erasure (subject, kind)
    select v_subject, k.kind
    from unnest(case when tg_nargs > 1 then tg_argv[1:] else '{*}' end) as k (kind)
    on conflict do nothing;
  end if;
  return null;
end
$$;

comment on function maintenance.note_deleted() is
  'Trigger, after each row that is deleted, or marked as deleted: notes the subject that a column '
  'has. Its arguments are the name of the column, and the kinds of task whose subjects these are, '
  'all where none is named. From then on no answer about it is taken, and the tick forgets it '
  '(erase_subject), within two or three minutes, also where the row comes back meanwhile. Errors: '
  'PM003 it is put elsewhere, or the column is not there.';

-- A step of the tick. What somebody is at is left for the next one.
create function maintenance_internal.erase_subjects()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'
as $$
declare
  v_until constant timestamptz := clock_timestamp() + interval '2 seconds';
  v_note maintenance_internal.erasure;
  v_erased record;
  v_subjects text[] := '{}'::text[];
  v_context text;
begin
  for v_note in
    select e.* from maintenance_internal.erasure as e
    where e.erased_in is null or e.erased_in < pg_snapshot_xmin(pg_current_snapshot())
      -- A transaction that never ends; or numbers of another server, from a dump.
      or e.noted_at < maintenance_internal.moment() - interval '1 day'
    order by e.error is not null, e.noted_at
    limit 10000
  loop
    exit when clock_timestamp() > v_until;
    begin
      select * into v_erased from maintenance_internal.erase(v_note.subject, v_note.kind);
      if v_note.erased_in is not null and v_erased.tasks + v_erased.changes = 0 then
        delete from maintenance_internal.erasure as e
        where e.subject = v_note.subject and e.kind = v_note.kind;
      else
        update maintenance_internal.erasure as e
        set erased_in = pg_current_xact_id(), error = null
        where e.subject = v_note.subject and e.kind = v_note.kind;
      end if;
      v_subjects := v_subjects || v_note.subject;
      continue;
    exception when others then
      get stacked diagnostics v_context = pg_exception_context;
      v_context := maintenance_internal.error_text(sqlstate, sqlerrm, v_context);
    end;
    update maintenance_internal.erasure as e
    set error = v_context
    where e.subject = v_note.subject and e.kind = v_note.kind;
  end loop;
  if v_subjects <> '{}' then
    perform maintenance_internal.erase_receipts(v_subjects);
  end if;
end
$$;
