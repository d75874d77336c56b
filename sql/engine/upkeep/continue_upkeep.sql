-- Goes on with a plan: what was given last is looked after until it is over, then the next is
-- given. Called by upkeep_step, and by the tick each minute.

create function maintenance_internal.continue_upkeep()
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_plan maintenance_internal.run;
  v_stopped text;
begin
  if not exists (select from maintenance_internal.upkeep as u where u.finished_at is null)
      and (select t.noted from maintenance_internal.turn as t where t.name = 'upkeep') is null
    or not maintenance_internal.take_turn('upkeep')
    or not maintenance_internal.settle_upkeep()
  then
    return 0;
  end if;
  select r.* into v_plan
  from maintenance_internal.turn as t
  join maintenance_internal.run as r on r.run_id = t.noted
  where t.name = 'upkeep';
  if not found or maintenance_internal.is_paused() then
    return 0;
  end if;

  select case
    when not coalesce(j.enabled, false) then 'disabled'
    when maintenance_internal.moment() >= (v_plan.details ->> 'until')::timestamptz then 'time'
    when v_plan.trigger <> 'manual'
      and not maintenance_internal.in_window(j, maintenance_internal.moment()) then 'window'
    when not maintenance_internal.give_upkeep(v_plan.run_id) then 'done'
  end into v_stopped
  from (select v_plan.job_id) as p (job_id)
  left join maintenance_internal.job as j on j.job_id = p.job_id;
  if v_stopped is null then
    return 1;
  end if;
  perform maintenance_internal.end_upkeep(v_stopped);
  return 0;
end
$$;

-- Gives the first of the list that nothing is held against; false where there is none.
create function maintenance_internal.give_upkeep(p_run_id bigint)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_need record;
  -- pg_cron reads its jobs when they change, and is to have read this one before its minute begins.
  v_at constant timestamptz := date_trunc('minute', clock_timestamp() + interval '10 seconds')
    + interval '1 minute';
begin
  select * into v_need from maintenance.upkeep as n where n.held is null limit 1;
  if not found then
    return false;
  end if;
  insert into maintenance_internal.upkeep as u
    (relation, action, statement, reason, run_id, given_at, fires_at, invalid, before)
  values (v_need.relation, v_need.action, v_need.statement, v_need.reason, p_run_id,
    maintenance_internal.moment(), v_at, maintenance_internal.invalid_indexes(v_need.relation),
    coalesce(maintenance_internal.upkeep_state(v_need.relation, v_need.action), '{}'))
  on conflict on constraint upkeep_pkey do update
  set statement = excluded.statement, reason = excluded.reason, run_id = excluded.run_id,
    given_at = excluded.given_at, fires_at = excluded.fires_at, invalid = excluded.invalid,
    before = excluded.before, finished_at = null, outcome = null, after = null;
  perform maintenance_internal.schedule_upkeep(v_need.statement, v_at);
  return true;
end
$$;

-- Whether nothing is going on, or what was is over now: then its receipt, and that of the run that
-- planned it, say how it was before and is afterwards.
create function maintenance_internal.settle_upkeep()
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_given maintenance_internal.upkeep;
  v_run maintenance_internal.run;
  v_after jsonb;
  v_outcome text;
  v_error text;
  v_entry jsonb;
  v_leftovers oid[];
begin
  select * into v_given from maintenance_internal.upkeep as u where u.finished_at is null;
  if not found then
    return true;
  end if;
  select r.* into v_run
  from maintenance_internal.run as r
  join maintenance_internal.job as j on j.job_id = r.job_id
  where j.job_name = 'upkeep_statement' and r.cron_run_id is not null
    and r.started_at > v_given.fires_at - interval '10 seconds' and not r.details ? 'outcome'
  order by r.started_at limit 1;
  if v_run.status = 'running' or exists (
      select from pg_stat_activity as a
      where a.datname = current_database() and a.state = 'active' and a.query = v_given.statement
        and a.pid <> pg_backend_pid())
    -- Its receipt may come with the next tick.
    or v_run.run_id is null and clock_timestamp() < v_given.fires_at + interval '2 minutes'
  then
    return false;
  end if;

  v_after := maintenance_internal.upkeep_state(v_given.relation, v_given.action);
  v_outcome := case
    when v_run.status = 'succeeded' and v_given.action = 'reindex'
      and v_after -> 'oid' = v_given.before -> 'oid' then 'failed'
    when v_run.status = 'succeeded' then 'done'
    when v_run.run_id is not null then 'failed'
    -- pg_cron keeps no history, or somebody else has done it.
    when v_given.action in ('drop', 'reindex')
      and v_after -> 'oid' is distinct from v_given.before -> 'oid' then 'done'
    else 'not_fired'
  end;
  v_error := case v_outcome when 'not_fired' then 'pg_cron has not fired it'
    when 'failed' then case when v_run.status = 'succeeded' then 'it was not rebuilt'
      else coalesce(v_run.error, v_run.stop_reason) end
    end;
  v_leftovers := array(
    select i.oid from unnest(maintenance_internal.invalid_indexes(v_given.relation)) as i (oid)
    join pg_class as c on c.oid = i.oid and c.relname ~ '_cc(new|old)[0-9]*$'
    where v_given.action = 'reindex' and i.oid <> all (v_given.invalid));
  update maintenance_internal.upkeep as u
  set finished_at = maintenance_internal.moment(), outcome = v_outcome, after = v_after,
    -- A stop, or a crash of the server, says nothing of it.
    failures = case when v_outcome = 'done' then 0
      when v_outcome = 'failed' and v_run.status in ('failed', 'timeout', 'succeeded')
        and v_run.started_at > pg_postmaster_start_time() then u.failures + 1
      else u.failures end,
    -- Those of before are ours still, as long as they are there.
    leftovers = array(
      select l.oid from unnest(u.leftovers || v_leftovers) as l (oid)
      join pg_index as i on i.indexrelid = l.oid and not i.indisvalid)
  where u.relation = v_given.relation and u.action = v_given.action;

  v_entry := jsonb_strip_nulls(jsonb_build_object('relation', v_given.relation,
    'action', v_given.action, 'reason', v_given.reason, 'outcome', v_outcome,
    'before', v_given.before - 'oid', 'after', v_after - 'oid', 'error', v_error,
    -- Dead rows that VACUUM has left are kept for somebody.
    'heldBy', case when v_given.action = 'vacuum' and v_outcome = 'done'
        and 2 * (v_after ->> 'deadRows')::bigint > (v_given.before ->> 'deadRows')::bigint then (
      select jsonb_agg(format('%s %s', h.kind, h.name))
      from (select * from maintenance.vacuum_holders limit 3) as h) end));
  update maintenance_internal.run as r set details = r.details || v_entry
  where r.run_id = v_run.run_id;
  update maintenance_internal.run as r
  set details = r.details || jsonb_build_object(
    'done', coalesce(r.details -> 'done', '[]') || jsonb_build_array(v_entry))
  where r.run_id = v_given.run_id;
  perform maintenance_internal.schedule_upkeep();
  return true;
end
$$;

-- The plan of a run is over.
create function maintenance_internal.end_upkeep(p_stopped text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  update maintenance_internal.run as r
  set details = r.details || jsonb_build_object('stopped', p_stopped,
    'endedAt', maintenance_internal.moment(),
    'databaseBytesAfter', pg_database_size(current_database()))
  from maintenance_internal.turn as t
  where t.name = 'upkeep' and r.run_id = t.noted;
  update maintenance_internal.turn as t set noted = null where t.name = 'upkeep';
end
$$;
