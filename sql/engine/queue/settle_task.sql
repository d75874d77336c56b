-- Ends a lease: the one place that decides what becomes of a task and of its counters.
--
--   outcome        attempt     then
--   succeeded      burned      succeeded
--   continued      refunded    ready at once, and all its counts are zero again: it goes on
--   skipped        refunded    skipped; blocked and declined too, with the attempt burned; but one
--                              that went on, and finds nothing more, has succeeded
--   quarantined    burned      quarantined, with what a decision needs
--   transient      burned      ready after a back-off, or dead after the last attempt
--   bad_output     burned      the same; stale too: what it is about has changed meanwhile
--   too_large      burned      ready at once, to show less, or dead after the last attempt
--   rejected       burned      dead
--   defer          refunded    ready at once, and so is gone: it is the model that waits
--   configuration  refunded    ready after a minute, or retry_after if that is longer
--   released       refunded    ready at once
--   recovered      refunded    ready at once, dead at the fifth
--
-- What is not the task's own fault is refunded, too, of whatever class. A task that fails so
-- twice in a row, or whose request is refused as such, loses its priority, and lets another one
-- try first when its model may be asked again. Where others are answered meanwhile, it is put off
-- by itself, for a second at first and an hour at last, dead after 50 times; a transient failure
-- always is.
--
-- In vain: the same request would end in the same way, and is not made again.
--
-- With a settled token the result is kept, with the state in it, for the replay of that token.

-- Ten seconds, doubled with every attempt, at most an hour, and a quarter more or less.
create function maintenance_internal.back_off(p_attempts integer)
returns interval
language sql
set search_path = pg_catalog, pg_temp
return least(interval '10 seconds' * 2 ^ least(p_attempts - 1, 10), interval '1 hour')
  * (0.75 + random() / 2);

create function maintenance_internal.settle_task(
  p_task maintenance.task,
  p_outcome text,
  p_message text default null,
  p_retry_after interval default null,
  p_is_own_fault boolean default true,
  p_is_in_vain boolean default false,
  p_cost numeric default null,
  p_settled_token uuid default null,
  p_result jsonb default null)
returns maintenance.task
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_most_defers constant integer := 50;
  v_most_recoveries constant integer := 5;
  v_now constant timestamptz := maintenance_internal.moment();
  v_is_foreign constant boolean := not p_is_own_fault or p_outcome in ('defer', 'gone');
  v_task maintenance.task := p_task;
  v_is_put_off boolean;
begin
  if p_outcome = 'skipped' and p_task.carry is not null then
    p_outcome := 'succeeded';
    p_message := null;
    v_task.input_hash := null; -- what was asked last was no answer to all of it
  end if;
  if p_task.lease_token is not null then
    -- Whatever ended it: no call is left open.
    p_cost := coalesce(p_cost, (
      select c.cost from maintenance_internal.settle_call(p_task.lease_token, 'released') as c));
  end if;
  if v_is_foreign or p_outcome in ('skipped', 'configuration', 'released', 'recovered') then
    v_task.attempts := greatest(v_task.attempts - 1, 0);
  end if;
  v_is_put_off := v_is_foreign and (p_outcome = 'transient'
    or maintenance_internal.answered_since(p_task.failed_at));
  if p_outcome = 'continued' then
    v_task.attempts := 0;
    v_task.defers := 0;
    v_task.recoveries := 0;
    v_task.failed_at := null;
    v_task.more_room := false;
    v_task.halvings := 0;
    v_task.due_at := v_now;
  end if;
  v_task.defers := v_task.defers + v_is_put_off::integer;
  v_task.recoveries := v_task.recoveries + (p_outcome = 'recovered')::integer;
  v_task.state := case
    when p_outcome = 'succeeded' then 'succeeded'
    when p_outcome in ('skipped', 'blocked', 'declined') then 'skipped'
    when p_outcome = 'quarantined' then 'quarantined'
    when v_task.defers > v_most_defers or v_task.recoveries >= v_most_recoveries then 'dead'
    when v_is_foreign then 'ready'
    when p_outcome = 'rejected'
      or p_outcome in ('transient', 'bad_output', 'stale', 'too_large') and v_task.attempts >= (
        select k.max_attempts from maintenance.kind as k where k.kind = v_task.kind) then 'dead'
    else 'ready'
  end;
  v_task.available_at := case
    when v_is_put_off
      then v_now + least(interval '1 second' * 2 ^ least(v_task.defers - 1, 12), interval '1 hour')
    when v_is_foreign and p_task.failed_at is not null then greatest(v_now, (
      select max(c.until) from maintenance_internal.cool_down as c
      where c.model = v_task.model and c.kind in ('*', v_task.kind))) + interval '1 second'
    when v_is_foreign or p_outcome in ('continued', 'released', 'recovered', 'too_large') then v_now
    when p_outcome = 'configuration' then v_now + greatest(p_retry_after, interval '1 minute')
    else v_now + greatest(p_retry_after, maintenance_internal.back_off(v_task.attempts))
  end;
  if p_outcome not in ('succeeded', 'continued', 'released') then
    v_task.last_class := p_outcome;
    v_task.last_error := left(coalesce(p_message, p_outcome), 1000);
  end if;
  if v_is_foreign or p_outcome = 'transient' then
    v_task.failed_at := v_now;
  end if;
  if p_settled_token is not null then
    v_task.settled_token := p_settled_token;
    v_task.result := jsonb_strip_nulls(p_result || jsonb_build_object(
      'state', v_task.state,
      'available_at',
      case when v_task.state = 'ready' and p_outcome <> 'continued' then v_task.available_at end));
  end if;

  if p_settled_token is null and v_task.state not in ('ready', 'leased') then
    v_task.result := v_task.result || jsonb_build_object('state', v_task.state);
  end if;

  update maintenance.task as t
  set state = v_task.state,
    priority = case
      when v_is_foreign and (p_task.failed_at is not null or p_outcome in ('rejected', 'too_large'))
        then 5
      else t.priority end,
    attempts = v_task.attempts,
    defers = v_task.defers,
    recoveries = v_task.recoveries,
    more_room = v_task.more_room,
    halvings = v_task.halvings,
    asked_hash = case when p_is_in_vain then t.asked_hash end,
    due_at = v_task.due_at,
    available_at = case when v_task.state = 'ready' then v_task.available_at
      else t.available_at end,
    worker = null,
    lease_token = null,
    lease_expires_at = null,
    leased_at = null,
    again = false,
    context = case when v_task.state = 'quarantined' then v_task.context end,
    carry = case when v_task.state in ('ready', 'quarantined') then v_task.carry end,
    held_answer = case when v_task.state = 'quarantined' then v_task.held_answer end,
    foreseen = case when v_task.state = 'quarantined' then v_task.foreseen end,
    input_hash = v_task.input_hash,
    last_class = v_task.last_class,
    last_error = v_task.last_error,
    failed_at = v_task.failed_at,
    settled_token = v_task.settled_token,
    result = v_task.result,
    cost_usd = t.cost_usd + coalesce(p_cost, 0),
    finished_at = case when v_task.state not in ('ready', 'quarantined') then v_now end
  where t.task_id = v_task.task_id
  returning * into v_task;

  if v_task.state not in ('ready', 'leased') then
    insert into maintenance_internal.subject as s (kind, subject, input_hash, looked_at)
    values (v_task.kind, v_task.subject,
      case when v_task.state <> 'dead' and p_outcome <> 'skipped' then v_task.input_hash end,
      coalesce(p_task.leased_at, v_now))
    on conflict on constraint subject_pkey do update
    set input_hash = coalesce(excluded.input_hash, s.input_hash),
      looked_at = case when p_task.leased_at is null then s.looked_at else excluded.looked_at end;
  end if;
  if p_task.again and v_task.state <> 'ready' then
    perform maintenance.enqueue_task(v_task.kind, v_task.subject, v_task.priority,
      options => v_task.options, force => v_task.force);
  end if;
  return v_task;
end
$$;
