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

  if maintenance_internal.drop_leftovers(v_plan.run_id) then
    return 1; -- the lock on its table ends with this transaction
  end if;
  select case
    when not coalesce(j.enabled, false) or exists (
      select from maintenance_internal.job as s
      where s.job_name = 'upkeep_statement' and not s.enabled) then 'disabled'
    when (
      select count(*) > 2 from jsonb_array_elements(v_plan.details -> 'done') as d
      where d ->> 'outcome' = 'not_fired') then 'not_fired'
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
  select * into v_need from maintenance.upkeep as n
  where n.held is null and n.action <> 'drop' limit 1;
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
  v_leftovers := array(
    select i.oid from unnest(maintenance_internal.invalid_indexes(v_given.relation)) as i (oid)
    join pg_class as c on c.oid = i.oid
    join pg_class as x on x.oid = to_regclass(v_given.relation)
    -- As Postgres names it: the name of the index, cut where both are too long together.
    cross join lateral substring(c.relname, '^(.*)_cc(?:new|old)[0-9]*$') as n (name)
    where v_given.action = 'reindex' and i.oid <> all (v_given.invalid)
      and (n.name = x.relname or octet_length(c.relname) > 60 and starts_with(x.relname, n.name)));
  v_outcome := case
    when v_run.status = 'succeeded' and v_given.action = 'reindex'
      and v_after -> 'oid' = v_given.before -> 'oid' then 'failed'
    when v_run.status = 'succeeded' then 'done'
    when v_run.run_id is not null or v_leftovers <> '{}' then 'failed'
    -- pg_cron keeps no history, or somebody else has done it: then its trace is what tells.
    when case v_given.action
      when 'reindex' then v_after -> 'oid' <> v_given.before -> 'oid'
      when 'vacuum' then greatest(pg_stat_get_last_vacuum_time(to_regclass(v_given.relation)),
        pg_stat_get_last_autovacuum_time(to_regclass(v_given.relation))) >= v_given.fires_at
      else greatest(pg_stat_get_last_analyze_time(to_regclass(v_given.relation)),
        pg_stat_get_last_autoanalyze_time(to_regclass(v_given.relation))) >= v_given.fires_at
      end then 'done'
    else 'not_fired'
  end;
  v_error := case v_outcome when 'not_fired' then 'pg_cron has not fired it'
    when 'failed' then case when v_run.status = 'succeeded' then 'it was not rebuilt'
      else coalesce(v_run.error, v_run.stop_reason, 'it has left an invalid index behind') end
    end;
  update maintenance_internal.upkeep as u
  set finished_at = maintenance_internal.moment(), outcome = v_outcome, after = v_after,
    -- A stop, or a crash of the server, says nothing of it, nor does what is gone.
    failures = case when v_outcome = 'done' then 0
      when v_outcome = 'failed' and v_after is not null
        and coalesce(v_run.status, 'failed') in ('failed', 'timeout', 'succeeded')
        and v_given.fires_at > pg_postmaster_start_time() then u.failures + 1
      else u.failures end,
    -- Those of before are ours still, as long as they are there.
    leftovers = array(
      select l.oid from unnest(u.leftovers || v_leftovers) as l (oid)
      join pg_index as i on i.indexrelid = l.oid and not i.indisvalid
      where v_outcome = 'failed' or l.oid = any (u.leftovers))
  where u.relation = v_given.relation and u.action = v_given.action;

  v_entry := jsonb_strip_nulls(jsonb_build_object('relation', v_given.relation,
    'action', v_given.action, 'reason', v_given.reason, 'outcome', v_outcome,
    'before', v_given.before - 'oid', 'after', v_after - 'oid', 'error', v_error,
    'runId', v_run.run_id,
    -- Dead rows that VACUUM has left are kept for somebody.
    'heldBy', case when v_given.action = 'vacuum' and v_outcome = 'done'
        and 2 * (v_after ->> 'deadRows')::bigint > (v_given.before ->> 'deadRows')::bigint then (
      select jsonb_agg(format('%s %s', h.kind, h.name))
      from (select * from maintenance.vacuum_holders limit 3) as h) end));
  update maintenance_internal.run as r set details = r.details || (v_entry - 'runId')
  where r.run_id = v_run.run_id;
  perform maintenance_internal.note_done(v_given.run_id, v_entry);
  perform maintenance_internal.schedule_upkeep();
  return true;
end
$$;

create function maintenance_internal.note_done(p_run_id bigint, p_entry jsonb)
returns void
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  update maintenance_internal.run as r
  set details = r.details || jsonb_build_object(
    'done', coalesce(r.details -> 'done', '[]') || jsonb_build_array(p_entry))
  where r.run_id = p_run_id;
end;

-- Drops what a REINDEX that was given here has left, and says whether there was any. Not by way of
-- pg_cron: a statement goes by a name, which may be another's a minute later.
create function maintenance_internal.drop_leftovers(p_run_id bigint)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'
as $$
declare
  v_left record;
  v_found boolean := false;
begin
  for v_left in
    select l.oid, maintenance_internal.full_name(l.oid) as name, c.relpages::bigint as pages
    from maintenance_internal.upkeep as u
    cross join unnest(u.leftovers) as l (oid)
    join pg_index as i on i.indexrelid = l.oid and not i.indisvalid
    join pg_class as c on c.oid = l.oid
  loop
    begin
      execute format('drop index %s', v_left.name);
      -- Its lock is held now, and until here the name may have become another's.
      if exists (select from pg_class as c where c.oid = v_left.oid) then
        raise lock_not_available;
      end if;
      perform maintenance_internal.note_done(p_run_id, jsonb_build_object(
        'relation', v_left.name, 'action', 'drop', 'outcome', 'done',
        'reason', 'a REINDEX CONCURRENTLY has left it', 'before', jsonb_build_object(
          'bytes', v_left.pages * current_setting('block_size')::bigint)));
      v_found := true;
    exception when lock_not_available or undefined_object or undefined_table then
      null; -- the next minute
    end;
  end loop;
  return v_found;
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
