-- Forgets what the engine holds about a subject, whatever the kind: rows stay, to be counted and
-- added up, without a name, a text or a key. Whoever deletes somebody only notes it (note_deleted);
-- from then on no answer about them is taken, and the next tick forgets them.

create function maintenance_internal.erased()
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return '(erased)';

create function maintenance_internal.is_to_be_erased(p_subject text)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
return exists (select from maintenance_internal.erasure as e where e.subject = p_subject);

create function maintenance.erase_subject(subject text)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  v_task maintenance.task;
  v_leases bigint := 0;
  v_tasks bigint;
  v_calls bigint;
  v_changes bigint;
begin
  if coalesce(erase_subject.subject, '') in ('', maintenance_internal.erased()) then
    raise exception 'the subject "%" is not acceptable', erase_subject.subject
      using errcode = 'PM002', hint = 'What the tasks are about: a user''s id for user kinds.';
  end if;

  -- Whoever is at one of them ends first, and what he wrote is forgotten, too.
  for v_task in
    select t.* from maintenance.task as t
    where t.subject = erase_subject.subject
    order by t.task_id
    for update
  loop
    continue when v_task.state not in ('ready', 'leased', 'quarantined');
    v_leases := v_leases + (v_task.state = 'leased')::integer;
    v_task.again := false;
    v_task.carry := null;
    perform maintenance_internal.settle_task(v_task, 'skipped', p_cost => (
      select c.cost from maintenance_internal.settle_call(v_task.lease_token, 'lost') as c));
  end loop;

  update maintenance.model_call as c
  set details = null
  where c.details is not null and c.task_id in (
    select t.task_id from maintenance.task as t where t.subject = erase_subject.subject);
  get diagnostics v_calls = row_count;
  update maintenance.task as t
  set subject = maintenance_internal.erased(),
    state = case t.state when 'dead' then 'skipped' else t.state end,
    options = '{}',
    input_hash = null,
    asked_hash = null,
    settled_token = null,
    last_error = 'its subject was erased',
    result = jsonb_build_object('state', t.state)
  where t.subject = erase_subject.subject;
  get diagnostics v_tasks = row_count;
  update maintenance.change as c
  set subject = maintenance_internal.erased(),
    keys = '{}',
    rows = '[]',
    note = null,
    reason = case when c.reason is not null then 'its subject was erased' end,
    forgotten_at = coalesce(c.forgotten_at, maintenance_internal.moment())
  where c.subject = erase_subject.subject;
  get diagnostics v_changes = row_count;
  delete from maintenance_internal.subject as s where s.subject = erase_subject.subject;
  -- Rows that a policy could not change, by their keys.
  update maintenance_internal.run as r
  set error_detail = '{"message": "of a subject that was erased"}'
  where r.error_detail ? 'rows' and exists (
    select from jsonb_array_elements(r.error_detail -> 'rows') as w (row)
    cross join lateral jsonb_each_text(w.row) as v
    where v.value = erase_subject.subject);
  delete from maintenance_internal.erasure as e where e.subject = erase_subject.subject;
  return jsonb_build_object(
    'tasks', v_tasks, 'leases', v_leases, 'changes', v_changes, 'calls', v_calls);
end
$$;

comment on function maintenance.erase_subject(text) is
  'Forgets everything that the engine holds about a subject, of whatever kind: what its tasks '
  'showed, held and changed, their errors and results, the details of their calls, what was last '
  'asked, and the subject itself. Leases are revoked, and a late answer is refused; an undo is not '
  'possible any more. Rows, states, tokens and costs stay. Returns {tasks, leases, changes, '
  'calls}. The application''s own rows are its own affair. Errors: PM002 argument.';

create function maintenance.note_deleted()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_subject constant text := to_jsonb(old) ->> tg_argv[0];
begin
  if v_subject is null then
    raise exception '% has no %, which its trigger % names', tg_relid::regclass, tg_argv[0],
      tg_name using errcode = 'PM003', hint = 'The column whose values are the subjects of tasks: '
        'execute function maintenance.note_deleted(''id'')';
  end if;
  insert into maintenance_internal.erasure (subject) values (v_subject) on conflict do nothing;
  return null;
end
$$;

comment on function maintenance.note_deleted() is
  'Trigger, after each row that is deleted, or marked as deleted: notes the subject that its '
  'argument, a column, has the name of. From then on no answer about it is taken, and the next '
  'tick forgets it (erase_subject). Errors: PM003 the column is not there, or null.';

-- A step of the tick. What somebody is at is left for the next one.
create function maintenance_internal.erase_subjects()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'
as $$
declare
  v_until constant timestamptz := clock_timestamp() + interval '2 seconds';
  v_subject text;
  v_context text;
begin
  for v_subject in
    select e.subject from maintenance_internal.erasure as e
    order by e.error is not null, e.noted_at
    limit 10000
  loop
    exit when clock_timestamp() > v_until;
    begin
      perform maintenance.erase_subject(v_subject);
      continue;
    exception when others then
      get stacked diagnostics v_context = pg_exception_context;
      v_context := maintenance_internal.error_text(sqlstate, sqlerrm, v_context);
    end;
    update maintenance_internal.erasure as e set error = v_context where e.subject = v_subject;
  end loop;
end
$$;
