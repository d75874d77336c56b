-- The run that waits, of which a job has one at most: put there, and given up.

-- What a run waits for is its stop_reason: window, dependency, missed (a slot that left no trace)
-- or retry. The later one takes the place of the earlier, whose receipt says so, and where that
-- has waited for other jobs, that it did in vain; but one that waits for its window stands for
-- the later slot, too.
create function maintenance_internal.put_off(
  p_job maintenance_internal.job,
  p_trigger text,
  p_attempt integer,
  p_slot timestamptz,
  p_due_at timestamptz,
  p_reason text)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_run_id bigint;
begin
  update maintenance_internal.run as r
  set slot = p_slot, trigger = p_trigger, attempt = p_attempt, backend_pid = pg_backend_pid()
  where r.job_id = p_job.job_id and r.status = 'waiting' and r.stop_reason = 'window'
    and p_reason in ('window', 'missed')
  returning r.run_id into v_run_id;
  if found then
    return v_run_id;
  end if;
  perform maintenance_internal.supersede(p_job);
  insert into maintenance_internal.run as r
    (job_id, job_name, trigger, attempt, slot, status, due_at, stop_reason, details)
  values
    (p_job.job_id, p_job.job_name, p_trigger, p_attempt, p_slot, 'waiting', p_due_at, p_reason,
      jsonb_strip_nulls(jsonb_build_object('waitsFor',
        maintenance_internal.waits_for(p_job, coalesce(p_slot, p_due_at)))))
  on conflict (job_id) where status = 'waiting' do nothing -- somebody has just put one there
  returning r.run_id into v_run_id;
  return coalesce(v_run_id, (
    select r.run_id from maintenance_internal.run as r
    where r.job_id = p_job.job_id and r.status = 'waiting'));
end
$$;

-- Closes the run of a job that waits, since a later slot has come.
create function maintenance_internal.supersede(p_job maintenance_internal.job)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_for text;
begin
  -- One that waits for its window has not asked for others yet.
  select case when r.stop_reason <> 'window' then maintenance_internal.waits_text(
    maintenance_internal.waits_for(p_job, coalesce(r.slot, r.due_at))) end into v_for
  from maintenance_internal.run as r where r.job_id = p_job.job_id and r.status = 'waiting';
  if found then
    perform maintenance_internal.give_up(p_job.job_id,
      case when v_for is null then 'superseded' else 'dependency' end,
      'it waited until its next slot for ' || v_for);
  end if;
end
$$;

-- Closes the run of a job that waits; what it waited for is kept. One that waited in vain is a
-- failure, and says for what.
create function maintenance_internal.give_up(
  p_job_id integer,
  p_reason text,
  p_error text default null,
  p_sqlstate text default 'PM025')
returns void
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  update maintenance_internal.run as r
  set status = 'skipped',
    finished_at = maintenance_internal.moment(),
    stop_reason = p_reason,
    error = p_error,
    sqlstate = case when p_error is not null then p_sqlstate end,
    details = r.details || jsonb_build_object('waited', r.stop_reason)
  where r.job_id = p_job_id and r.status = 'waiting';
end;

-- Until when a run waits: for the grace of its job or, where that has none, until its next slot,
-- though a quarter of an hour at least; without any slot for a day.
create function maintenance_internal.waits_until(
  p_job maintenance_internal.job,
  p_slot timestamptz,
  p_due_at timestamptz)
returns timestamptz
language sql
stable
set search_path = pg_catalog, pg_temp
return case
  when (p_job).grace is not null then p_due_at + (p_job).grace
  else coalesce((
    select greatest(n.slot, p_due_at + interval '15 minutes')
    from maintenance_internal.slot_near(p_job, p_slot, true) as n (slot)
    where n.slot is not null), p_due_at + interval '1 day') -- greatest would pass over a null
end;

-- Whether a run that succeeded has left something to the next.
create function maintenance_internal.is_cut(p_stop_reason text)
returns boolean
language sql
immutable
set search_path = pg_catalog, pg_temp
return p_stop_reason in ('budget', 'max_batches', 'max_rows', 'rows_locked', 'window');

-- What a run of a moment still waits for: the dependencies without a success that began at their
-- own latest slot up to that moment, or later; of those without a slot any success will do. A run
-- that has left something has not done its work: nobody is to delete what it has not exported
-- yet.
create function maintenance_internal.waits_for(
  p_job maintenance_internal.job,
  p_moment timestamptz)
returns text[]
language sql
stable
set search_path = pg_catalog, pg_temp
return (
  select array_agg(d.name order by d.name)
  from unnest((p_job).depends_on) as d (name)
  left join maintenance_internal.job as j on j.job_name = d.name
  where not exists (
    select from maintenance_internal.run as r
    where r.job_id = j.job_id and r.status = 'succeeded'
      and not maintenance_internal.is_cut(r.stop_reason)
      and r.started_at >= coalesce(
        maintenance_internal.slot_near(j, p_moment, false), '-infinity'))
);

-- When a job's schedule in force began to count: no slot before it was ever owed.
create function maintenance_internal.promised_at(p_job maintenance_internal.job)
returns timestamptz
language sql
stable
set search_path = pg_catalog, pg_temp
return greatest((p_job).promised_at, (
  select c.promised_at from maintenance_internal.control as c));

-- The same in words: with why a success of one is not enough.
create function maintenance_internal.waits_text(p_for text[])
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select string_agg(f.name || case when maintenance_internal.is_cut(l.stop_reason)
    then format(' (which has only come to %s)', l.stop_reason) else '' end, ', ' order by f.n)
  from unnest(p_for) with ordinality as f (name, n)
  left join lateral (
    select r.stop_reason
    from maintenance_internal.job as j
    join maintenance_internal.run as r on r.job_id = j.job_id and r.status = 'succeeded'
    where j.job_name = f.name
    order by r.started_at desc
    limit 1
  ) as l on true;
end;
