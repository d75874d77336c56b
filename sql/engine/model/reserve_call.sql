-- Reserves the place of one call, as the last of what task_request does: a row that is null where
-- no model can be asked now. Who asks twice under one token has one place.

create function maintenance_internal.reserve_call(p_task maintenance.task, p_characters integer)
returns maintenance.model_call
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_call maintenance.model_call;
  v_pick record;
  v_now timestamptz;
begin
  select * into v_call from maintenance.model_call as c
  where c.lease_token = p_task.lease_token and c.settled_at is null;
  if found then
    return v_call;
  end if;
  perform from maintenance.model as m
  where m.carrier = 'worker'
  order by m.model
  for no key update;
  v_now := maintenance_internal.moment();
  select * into v_pick from maintenance_internal.pick_models(v_now, p_task.kind);
  if not found or v_pick.calls = 0 then
    return null;
  end if;

  insert into maintenance_internal.model_pace as p (model, next_at)
  values (v_pick.model, v_pick.asks_at + v_pick.pace)
  on conflict on constraint model_pace_pkey do update set next_at = excluded.next_at;
  if v_pick.is_probe then
    -- Nobody else until it is settled, or has been given up.
    update maintenance_internal.cool_down as c
    set probing_until = v_pick.asks_at + m.timeout + interval '5 seconds'
    from maintenance.model as m
    where m.model = v_pick.model and c.model = m.model and c.kind in ('*', p_task.kind);
  end if;
  perform maintenance_internal.count_request(v_pick.model, 'worker', v_pick.asks_at, 1, 0);
  insert into maintenance.model_call
    (task_id, kind, model, lease_token, asks_at, is_probe, input_tokens)
  values (p_task.task_id, p_task.kind, v_pick.model, p_task.lease_token, v_pick.asks_at,
    v_pick.is_probe, ceil(p_characters / 3.0))
  returning * into v_call;
  return v_call;
end
$$;
