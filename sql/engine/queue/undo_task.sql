-- Reverses what an answer changed, the last operation first. Row by row: what was edited, deleted
-- or replaced since is refused and said so, the rest is put back.

-- Takes all rows of a task's changes at first, in the order of their tables and keys, as answers
-- do: else an undo and an answer about the same rows could wait for each other.
create function maintenance_internal.lock_changed_rows(p_task_id bigint)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_table record;
  v_sql text;
begin
  for v_table in
    select r.row ->> 'table' as name, maintenance_internal.changed_table(r.row ->> 'table') as id,
      jsonb_agg(maintenance_internal.key_of(maintenance_internal.changed_table(r.row ->> 'table'),
        coalesce(nullif(r.row -> 'after', 'null'), r.row -> 'before'))) as rows
    from maintenance.change as c
    cross join lateral jsonb_array_elements(c.rows) as r (row)
    where c.task_id = p_task_id and c.outcome = 'applied' and c.undoes is null
    group by 1, 2
    order by 1
  loop
    select format('select from %1$s as t where (%2$s) in (select %2$s from '
      'pg_catalog.jsonb_populate_recordset(null::%1$s, $1)) order by %2$s for update', v_table.id,
      string_agg(quote_ident(a.attname), ', ' order by a.attnum))
    into v_sql
    from pg_index as i
    join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = any (i.indkey::smallint[])
    where i.indrelid = v_table.id and i.indisprimary
    having count(*) > 0;
    -- Where that cannot be, as where its key has another type by now, restore_row says so.
    continue when v_sql is null;
    begin
      execute v_sql using v_table.rows;
    exception when data_exception or integrity_constraint_violation then
      null;
    end;
  end loop;
end
$$;

create function maintenance.undo_task(task_id bigint)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_task maintenance.task;
  v_kind maintenance.kind;
  v_states text[];
  v_change maintenance.change;
  v_path constant text := maintenance_internal.owner_path();
  v_check_deferred constant text := maintenance_internal.check_deferred_statement();
  v_before jsonb;
  v_rows jsonb;
  v_reason text;
  v_forgotten bigint;
begin
  perform maintenance_internal.check_session();
  -- One that goes on, or was given up then, has changed something too.
  select array_agg(distinct t.state) into v_states
  from maintenance.task as t
  join maintenance.change as c on c.task_id = t.task_id and c.outcome = 'applied'
  where t.task_id = undo_task.task_id;
  v_task := maintenance_internal.lock_task(undo_task.task_id, array['succeeded'] || v_states,
    'Only what an answer has changed can be undone.');
  v_kind := maintenance_internal.find_kind(v_task.kind);
  perform maintenance_internal.lock_subject(v_task.kind, v_task.subject);
  perform maintenance_internal.lock_changed_rows(v_task.task_id);
  perform from maintenance.change as c
  where c.task_id = v_task.task_id
  order by c.change_id
  for update;
  if not exists (
      select from maintenance.change as c
      where c.task_id = v_task.task_id and c.undoes is null and c.forgotten_at is null
        or c.task_id = v_task.task_id and c.undoes is not null)
    and exists (select from maintenance.change as c where c.task_id = v_task.task_id)
  then
    raise exception 'what task % changed is not known any more', v_task.task_id
      using errcode = 'PM016', hint = 'The ledger has been emptied of it: the jobs forget_changes '
        'and forget_deletions say when.';
  end if;
  perform set_config('maintenance.undone_task', v_task.task_id::text, true);
  for v_change in
    select c.* from maintenance.change as c
    where c.task_id = v_task.task_id and c.outcome = 'applied' and c.undoes is null
      and c.forgotten_at is null
    order by c.change_id desc
  loop
    select u.rows into v_before from maintenance.change as u where u.undoes = v_change.change_id;
    continue when not jsonb_path_exists(v_before, '$[*] ? (@.outcome == "refused")');
    v_rows := maintenance_internal.undo_change(v_change, v_kind.counters, v_path,
      v_check_deferred, coalesce(v_before, '[]'));
    v_reason := case when jsonb_path_exists(v_rows, '$[*] ? (@.outcome == "refused")')
      then 'not all rows could be put back' end;
    insert into maintenance.change as c
      (task_id, kind, subject, undoes, op, outcome, reason, keys, rows)
    values (v_task.task_id, v_task.kind, v_task.subject, v_change.change_id, 'undo',
      case when jsonb_path_exists(v_rows, '$[*] ? (@.outcome == "applied")')
        or v_rows = '[]' then 'applied' else 'refused' end,
      v_reason, v_change.keys, v_rows)
    on conflict on constraint change_is_undone_once do update
    set outcome = excluded.outcome, reason = excluded.reason, rows = excluded.rows,
      created_at = excluded.created_at;
  end loop;
  perform set_config('maintenance.undone_task', '', true);

  -- Told from the ledger alone, so that the second call tells the same.
  select count(*) into v_forgotten
  from maintenance.change as c
  where c.task_id = v_task.task_id and c.outcome = 'applied' and c.undoes is null
    and c.forgotten_at is not null
    and not exists (
      select from maintenance.change as u
      where u.undoes = c.change_id
        and not jsonb_path_exists(u.rows, '$[*] ? (@.outcome == "refused")'));
  return case when v_forgotten > 0 then jsonb_build_object('forgotten', v_forgotten) else '{}' end
    || (
    select jsonb_build_object(
      'task', v_task.task_id,
      'undone', count(*) filter (where r.row ->> 'outcome' = 'applied'),
      'refused', count(*) filter (where r.row ->> 'outcome' = 'refused'),
      'rows', coalesce(jsonb_agg(r.row - 'nr' || jsonb_build_object('op', c.op)
        order by u.change_id, r.nr) filter (where r.row is not null), '[]'))
    from maintenance.change as u
    join maintenance.change as c on c.change_id = u.undoes
    left join lateral jsonb_array_elements(u.rows) with ordinality as r (row, nr) on true
    where u.task_id = v_task.task_id);
end
$$;

comment on function maintenance.undo_task(bigint) is
  'Puts back every row that the task''s answers changed, but for the columns that its kind names '
  'as counters, and every row that they deleted, with all of them; takes away what they added, '
  'unless a row that it stands for cannot be put back. Returns {task, undone, refused, rows: '
  '[{op, table, key, outcome, reason}]}; a row that was edited or deleted since, or whose place is '
  'taken, is refused. A second call tries again what was refused, and changes nothing else. What '
  'was changed is known for 30 days, what was deleted for the setting recovery_days; how many '
  'operations are not known any more is told as forgotten. Rows that the database has deleted or '
  'changed by a key of yours do not come back. Errors: PM014 no such task, PM016 its answer was '
  'not applied, or nothing of what it did is known any more.';
