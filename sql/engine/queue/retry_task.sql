-- Revives what is over, hurries what waits, and takes back what is leased; with all its attempts.

create function maintenance.retry_task(task_id bigint)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_task maintenance.task := maintenance_internal.lock_task(retry_task.task_id,
    '{dead,skipped,ready,leased}',
    'Dead and skipped tasks are revived, leased ones taken back, ready ones hurried.');
  v_twin bigint;
begin
  if v_task.state = 'leased' then
    v_task := maintenance_internal.settle_task(v_task, 'released', p_cost => (
      select c.cost from maintenance_internal.settle_call(v_task.lease_token, 'lost') as c));
  end if;
  begin
    update maintenance.task as t
    set state = 'ready',
      attempts = 0,
      defers = 0,
      recoveries = 0,
      more_room = false,
      halvings = 0,
      force = true,
      available_at = maintenance_internal.moment(),
      due_at = maintenance_internal.moment(),
      failed_at = null,
      finished_at = null
    where t.task_id = v_task.task_id
    returning * into v_task;
  exception when unique_violation then
    select t.task_id into v_twin from maintenance.task as t
    where t.kind = v_task.kind and t.subject = v_task.subject and t.state in ('ready', 'leased');
    raise exception 'task % of the kind % about % is open', v_twin, v_task.kind, v_task.subject
      using errcode = 'PM016', hint = format('It asks the same. To have it asked at once: select '
        'maintenance.retry_task(%s);', v_twin);
  end;
  return maintenance_internal.task_state(v_task);
end
$$;

comment on function maintenance.retry_task(bigint) is
  'Makes a dead or skipped task ready again at once, with all its attempts, and asks even where '
  'its input has not changed; a ready one is due at once; a leased one is taken back, and what its '
  'worker still says is refused. Returns {state, available_at}. '
  'Errors: PM014 no such task, PM016 it has succeeded or is quarantined, or another one is open.';

create function maintenance.retry_tasks(kind text)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  v_kind maintenance.kind := maintenance_internal.find_kind(retry_tasks.kind);
  v_task_id bigint;
  v_revived bigint := 0;
begin
  for v_task_id in
    -- Of several about one subject the last; none where one is open.
    select distinct on (t.subject) t.task_id
    from maintenance.task as t
    where t.kind = v_kind.kind and t.state = 'dead'
      and not exists (
        select from maintenance.task as o
        where o.kind = t.kind and o.subject = t.subject and o.state in ('ready', 'leased'))
    order by t.subject, t.task_id desc
  loop
    begin
      perform maintenance.retry_task(v_task_id);
      v_revived := v_revived + 1;
    exception when sqlstate 'PM014' or sqlstate 'PM016' then
      null; -- somebody has opened another one meanwhile, or taken it away
    end;
  end loop;
  return jsonb_build_object('revived', v_revived, 'dead', (
    select count(*) from maintenance.task as t where t.kind = v_kind.kind and t.state = 'dead'));
end
$$;

comment on function maintenance.retry_tasks(text) is
  'Revives every dead task of a kind, as retry_task does one, and returns {revived, dead}: those '
  'that stay dead are of subjects of which a later task is open. Errors: PM013 no such kind.';
