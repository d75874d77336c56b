-- Leases due tasks to a worker: the lower priority first, within a kind the longest due. It
-- writes the lease and counts the attempt, nothing else; what a task asks is worked out by
-- task_request. What cannot be asked now is not handed out: a notice says why, and until when.
--
-- A claim has a name, so that it can be repeated: its tasks' tokens are made of it, and who says
-- that it was sent before gets what it has leased.

create function maintenance.claim_tasks(
  worker text,
  max_tasks integer default 1,
  lease interval default '2 minutes',
  about jsonb default null)
returns table (task_id bigint, kind text, lease_token uuid, attempt integer)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  v_now timestamptz := maintenance_internal.moment();
  v_hold text := maintenance_internal.asking_hold(v_now);
  v_since timestamptz;
  v_claim uuid;
  v_kinds text[];
  v_lane record;
  v_left integer := claim_tasks.max_tasks;
  v_total integer := 0;
  v_claimed integer;
begin
  if coalesce(btrim(claim_tasks.worker), '') = '' then
    raise exception 'a worker has to say who it is'
      using errcode = 'PM002', hint = 'A name that finds the process again: host and process id.';
  end if;
  if v_left is null or v_left not between 1 and 1000 then
    raise exception 'max_tasks % is out of range', claim_tasks.max_tasks
      using errcode = 'PM002', hint = '1 to 1000.';
  end if;
  if claim_tasks.lease is null
    or claim_tasks.lease not between interval '1 second' and interval '6 hours' then
    raise exception 'the lease "%" is out of range', claim_tasks.lease
      using errcode = 'PM002', hint = 'An interval from a second to six hours.';
  end if;

  if jsonb_typeof(claim_tasks.about) <> 'object' then
    raise exception 'what the worker says about itself is not an object but %',
      jsonb_typeof(claim_tasks.about)
      using errcode = 'PM002', hint = '{"claim": a uuid, "repeated": true, "kinds": ["a_kind"], '
        '"version": "1.0", "pid": 1, "rss": bytes, "heap": bytes, "uptime": seconds}, each of '
        'them as you like.';
  end if;
  if claim_tasks.about ->> 'claim' !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
    raise exception 'the claim "%" is no uuid', left(claim_tasks.about ->> 'claim', 100)
      using errcode = 'PM002', hint = 'A new one for each claim, and the same to repeat it.';
  end if;
  if jsonb_typeof(claim_tasks.about -> 'kinds') <> 'array' then
    raise exception 'the kinds are not an array but %', jsonb_typeof(claim_tasks.about -> 'kinds')
      using errcode = 'PM002', hint = 'Names of kinds: ["a_kind"]; without, all are meant.';
  end if;
  v_claim := coalesce(claim_tasks.about ->> 'claim', gen_random_uuid()::text)::uuid;
  if claim_tasks.about ? 'kinds' then
    v_kinds := array(
      select (maintenance_internal.find_kind(k.kind)).kind
      from jsonb_array_elements_text(claim_tasks.about -> 'kinds') as k (kind));
  end if;

  -- One that is repeated waits for the first, which may still be on its way to an end.
  perform pg_advisory_xact_lock(hashtextextended(v_claim::text, 0));
  if claim_tasks.about -> 'repeated' = 'true' then
    return query
      select t.task_id, t.kind, t.lease_token, t.attempts from maintenance.task as t
      where t.state = 'leased'
        and t.lease_token = md5(concat_ws('/', v_claim, t.task_id, t.claims))::uuid;
    if found then
      return;
    end if;
  end if;

  -- A claim that is lost in a crash leaves a ready task: nothing to wait for the disk for.
  perform set_config('synchronous_commit', 'off', true);
  perform maintenance_internal.note_worker(claim_tasks.worker, claim_tasks.about, v_kinds, v_now);
  -- Tasks of dead workers: now and then, and wherever there are too few others.
  if extract(microseconds from v_now)::integer % 20 = 0 then
    perform maintenance_internal.sweep_leases();
    v_now := maintenance_internal.moment();
  end if;

  for v_pass in 1 .. 2 loop
    exit when v_hold is not null;
    for v_lane in
      select k.kind, p.priority, k.calls, h.available_at
      from maintenance_internal.pick_models(v_now) as k
      cross join generate_series(-5, 5) as p (priority)
      cross join lateral (
        select t.available_at from maintenance.task as t
        where t.state = 'ready' and t.kind = k.kind and t.priority = p.priority
          and t.available_at <= v_now
        order by t.available_at
        limit 1
      ) as h
      where k.kind = any (coalesce(v_kinds, array[k.kind]))
      order by p.priority, h.available_at
    loop
      v_since := least(v_since, v_lane.available_at);
      continue when v_lane.calls <= v_total;
      return query
        update maintenance.task as u
        set state = 'leased',
          attempts = u.attempts + 1,
          worker = maintenance_internal.worker_name(claim_tasks.worker),
          lease_token = md5(concat_ws('/', v_claim, u.task_id, u.claims + 1))::uuid,
          leased_at = v_now,
          claims = u.claims + 1,
          claimed_by = session_user,
          lease_expires_at = v_now + claim_tasks.lease
        where u.task_id = any(array(
          select t.task_id from maintenance.task as t
          where t.state = 'ready' and t.kind = v_lane.kind and t.priority = v_lane.priority
            and t.available_at <= v_now
          order by t.available_at, t.task_id
          limit least(v_left, v_lane.calls - v_total)
          for update skip locked))
        returning u.task_id, u.kind, u.lease_token, u.attempts;
      get diagnostics v_claimed = row_count;
      v_left := v_left - v_claimed;
      v_total := v_total + v_claimed;
      exit when v_left = 0;
    end loop;
    exit when v_left = 0 or v_pass = 2 or maintenance_internal.sweep_leases() = 0;
    v_now := maintenance_internal.moment();
  end loop;

  -- For a worker's metrics, until the transaction ends; a notice would be seen by people.
  perform set_config('maintenance.due_seconds',
    coalesce(extract(epoch from v_now - v_since)::bigint, 0)::text, true);
  if v_total = 0 then
    for v_hold, v_since in
      select h.hold, h.due_since from maintenance_internal.task_holds(v_now) as h
      where h.kind = any (coalesce(v_kinds, array[h.kind]))
      limit 3
    loop
      raise notice '%', v_hold
        using detail = format('due for %s seconds', extract(epoch from v_now - v_since)::bigint);
    end loop;
  end if;
end
$$;

comment on function maintenance.claim_tasks(text, integer, interval, jsonb) is
  'Leases up to max_tasks due tasks to a worker and counts their attempts. The lease token is '
  'needed for everything else; extend_lease keeps it. Two workers never get one task. Where '
  'tasks are due and no model may be asked, the budget of the day is spent, or all is paused, '
  'there is no row, and a notice says why and until when. about: what the worker says of itself: '
  'kinds, the list of those that it takes; claim, a uuid, under which a claim that may not have '
  'been heard is sent again, with repeated, and gives the same tasks; version, pid, rss, heap, '
  'uptime, which maintenance.worker shows (S2-26). In a transaction of its '
  'own: its commit does not wait for the disk. Errors: PM002 argument, PM013 no such kind.';
