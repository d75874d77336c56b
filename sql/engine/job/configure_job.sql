-- Changes the options of a job of any kind; what is not given stays.

create function maintenance.configure_job(
  job_name text,
  batch_size integer default null,
  budget interval default null,
  max_batches integer default null,
  max_rows bigint default null,
  keep interval default null,
  priority text default null,
  timeout interval default null,
  depends_on text[] default null,
  grace interval default null,
  window_start time default null,
  window_end time default null,
  window_zone text default null)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_job maintenance_internal.job := maintenance_internal.find_job(configure_job.job_name);
  v_start time := coalesce(configure_job.window_start, v_job.window_start);
  v_end time := coalesce(configure_job.window_end, v_job.window_end);
  v_zone text := coalesce(configure_job.window_zone, v_job.window_zone, 'UTC');
  v_depends_on text[] := case when configure_job.depends_on is not null then array(
    select distinct d.name from unnest(configure_job.depends_on) as d (name) order by 1) end;
  v_most constant interval := interval '1 year';
begin
  if configure_job.batch_size not between 1 and 100000 then
    raise exception 'the batch size % is out of range', configure_job.batch_size
      using errcode = 'PM002', hint = 'Rows per batch: 1 to 100000.';
  end if;
  if configure_job.budget <= interval '0' or configure_job.budget > v_most then
    raise exception 'the budget % is out of range', configure_job.budget
      using errcode = 'PM002', hint = 'An interval above zero, up to a year: ''5 minutes''.';
  end if;
  if configure_job.max_batches < 0 or configure_job.max_rows < 0 then
    raise exception 'max_batches % or max_rows % is out of range',
      configure_job.max_batches, configure_job.max_rows
      using errcode = 'PM002', hint = 'One or more; 0 takes the limit away.';
  end if;
  if configure_job.keep is not null and v_job.kind <> 'policy' then
    raise exception 'the job "%" is a % job and keeps nothing', v_job.job_name, v_job.kind
      using errcode = 'PM002', hint = 'keep is an option of policies alone.';
  end if;
  perform maintenance_internal.check_keep(configure_job.keep);
  if configure_job.priority not in ('critical', 'high', 'medium', 'low') then
    raise exception 'there is no priority "%"', configure_job.priority
      using errcode = 'PM002', hint = 'critical, high, medium or low.';
  end if;
  if least(configure_job.timeout, configure_job.grace) < interval '0'
    or greatest(configure_job.timeout, configure_job.grace) > v_most then
    raise exception 'the timeout % or the grace % is out of range',
      configure_job.timeout, configure_job.grace
      using errcode = 'PM002', hint = 'An interval above zero, up to a year: ''30 minutes''; ''0'' '
        'makes it what ships.';
  end if;
  if v_job.kind = 'statement' and (configure_job.priority is not null
    or configure_job.depends_on <> '{}' or configure_job.grace is not null
    or num_nonnulls(configure_job.window_start, configure_job.window_end) > 0) then
    raise exception 'pg_cron runs the statement of "%" as it stands, at its time', v_job.job_name
      using errcode = 'PM002', hint = 'It can have a timeout; a priority, dependencies, a grace '
        'and a window are for policies and function jobs.';
  end if;
  if num_nulls(v_start, v_end) = 1 or configure_job.window_zone is not null and v_start is null then
    raise exception 'the window of "%" has no %', v_job.job_name,
        case when v_start is null then 'start' else 'end' end
      using errcode = 'PM002', hint = 'window_start => ''22:00'', window_end => ''06:00'', '
        'window_zone => ''Europe/Berlin''; a start that is the end takes the window away.';
  end if;
  if extract(second from v_start) > 0 or extract(second from v_end) > 0 or v_start = '24:00' then
    raise exception 'the window from % to % is not of whole minutes of a day',
        v_start, v_end
      using errcode = 'PM002', hint = 'window_start => ''22:00'', window_end => ''06:00''.';
  end if;
  if configure_job.window_zone is not null and not exists (
    select from pg_timezone_names as z where lower(z.name) = lower(configure_job.window_zone))
  then
    raise exception 'there is no time zone "%"', v_zone
      using errcode = 'PM002', hint = 'A name of pg_timezone_names: ''Europe/Berlin''.';
  end if;
  perform maintenance_internal.check_dependencies(v_job.job_name, v_depends_on);

  update maintenance_internal.policy as p
  set keep = configure_job.keep
  where p.job_id = v_job.job_id and configure_job.keep is not null;
  update maintenance_internal.job as j
  set batch_size = coalesce(configure_job.batch_size, j.batch_size),
    budget = coalesce(configure_job.budget, j.budget),
    max_batches = nullif(coalesce(configure_job.max_batches, j.max_batches), 0),
    max_rows = nullif(coalesce(configure_job.max_rows, j.max_rows), 0),
    priority = coalesce(configure_job.priority, j.priority),
    timeout = nullif(coalesce(configure_job.timeout, j.timeout), interval '0'),
    depends_on = coalesce(v_depends_on, j.depends_on),
    grace = nullif(coalesce(configure_job.grace, j.grace), interval '0'),
    window_start = case when v_start <> v_end then v_start end,
    window_end = case when v_start <> v_end then v_end end,
    window_zone = case when v_start <> v_end then v_zone end,
    updated_at = now()
  where j.job_id = v_job.job_id;
end
$$;

comment on function maintenance.configure_job(text, integer, interval, integer, bigint, interval,
  text, interval, text[], interval, time, time, text) is
  'Options of every kind of job; only those given change (S2-18 to S2-20). batch_size: rows per '
  'batch, 1 to 100000, shipped 20000. budget: wall-clock time after which a run stops cleanly, '
  'shipped 5 minutes. max_batches, max_rows: a run stops after these, too; none are shipped, and '
  '0 takes one away. keep: how long a policy keeps its rows. priority: critical, high, medium '
  '(shipped) or low: a run that fails is tried again 3, 2, 2 or 1 times. timeout: a run is ended '
  'after this much time; shipped is an hour beyond the budget, for statement jobs none; 0 makes '
  'it that again. depends_on: jobs that have to have succeeded for a slot before its run begins; '
  '''{}'' takes them away. grace: how long a run may wait; shipped is until its next slot, and 0 '
  'makes it that again. window_start, window_end, window_zone (shipped UTC): the time of day in '
  'which pg_cron may have it run, over midnight where it ends before it starts; equal ends take '
  'it away. Statement jobs have a timeout alone of these. A later release leaves what is set '
  'here as it is, where it is not what was shipped anyway. For the engine''s owner. Errors: '
  'PM001 no such job (also one depended on), PM002 out of range, or dependencies that come back '
  'to the job.';

-- Refuses what a job cannot depend on: what is no job, and what depends on it itself.
create function maintenance_internal.check_dependencies(p_job_name text, p_depends_on text[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_name text;
  v_path text;
begin
  if p_depends_on is null or p_depends_on = '{}' then
    return;
  end if;
  -- Two that make a cycle together come one after the other.
  perform from maintenance_internal.job as j order by j.job_id for no key update;
  foreach v_name in array p_depends_on loop
    perform maintenance_internal.find_job(v_name);
  end loop;
  with recursive way (name, path) as (
    select d.name, array[p_job_name, d.name] from unnest(p_depends_on) as d (name)
    union all
    select d.name, w.path || d.name
    from way as w
    join maintenance_internal.job as j on j.job_name = w.name
    cross join unnest(j.depends_on) as d (name)
    where w.name <> p_job_name and d.name <> all (w.path[2:])
  )
  select array_to_string(w.path, ' -> ') into v_path
  from way as w where w.name = p_job_name
  order by cardinality(w.path), w.path
  limit 1;
  if v_path is not null then
    raise exception 'the dependencies of "%" come back to it: %', p_job_name, v_path
      using errcode = 'PM002', hint = 'Leave one of them out.';
  end if;
end
$$;
