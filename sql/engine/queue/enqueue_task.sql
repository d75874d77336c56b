-- Asks for a task: there is at most one open task per kind and subject.

create function maintenance.enqueue_task(
  kind text,
  subject text,
  priority integer default 0,
  not_before timestamptz default null,
  options jsonb default '{}',
  force boolean default false)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  v_kind maintenance.kind := maintenance_internal.find_kind(enqueue_task.kind);
  v_priority integer := coalesce(enqueue_task.priority, 0);
  v_due_at constant timestamptz :=
    greatest(enqueue_task.not_before, maintenance_internal.moment());
  v_task_id bigint;
begin
  if coalesce(enqueue_task.subject, '') in ('', maintenance_internal.erased())
    or length(enqueue_task.subject) > 200
  then
    raise exception 'the subject "%" is not acceptable', left(enqueue_task.subject, 50)
      using errcode = 'PM002', hint = 'A text of 1 to 200 characters, a user''s id for user kinds.';
  end if;
  if jsonb_typeof(coalesce(enqueue_task.options, '{}')) <> 'object' then
    raise exception 'options % are not an object', enqueue_task.options
      using errcode = 'PM002', hint = 'A JSON object, which prepare and apply are given.';
  end if;
  if length(enqueue_task.options::text) > 10000 then
    raise exception 'options of % characters are too long', length(enqueue_task.options::text)
      using errcode = 'PM002', hint = 'At most 10000: keep what is larger in a table of your own.';
  end if;
  if v_priority not between -5 and 5 then
    raise exception 'the priority % is out of range', v_priority
      using errcode = 'PM002', hint = 'From -5, which goes first, to 5.';
  end if;

  -- An open task may be closed between the two statements: then the insert has its way next time.
  loop
    insert into maintenance.task as t
      (kind, subject, priority, available_at, due_at, options, force)
    values (v_kind.kind, enqueue_task.subject, v_priority, v_due_at, v_due_at,
      coalesce(enqueue_task.options, '{}'), coalesce(enqueue_task.force, false))
    on conflict (kind, subject) where state in ('ready', 'leased') do nothing
    returning t.task_id into v_task_id;
    exit when found;

    update maintenance.task as t
    set again = t.state = 'leased',
      force = t.force or coalesce(enqueue_task.force, false)
    where t.kind = v_kind.kind and t.subject = enqueue_task.subject
      and t.state in ('ready', 'leased')
    returning t.task_id into v_task_id;
    exit when found;
  end loop;
  return v_task_id;
end
$$;

comment on function maintenance.enqueue_task(text, text, integer, timestamptz, jsonb, boolean) is
  'Asks for a task and returns its id. There is one open task per kind and subject: a second call '
  'returns the first, and on a leased one asks for another go after it. priority: -5 to 5, the '
  'lower goes first. not_before: not claimed earlier. options: given to prepare and apply. force: '
  'ask even where the input has not changed. Errors: PM002 argument, PM013 no such kind.';
