-- The upsert behind set_policy, set_job and set_statement: the job's own row and its schedule.

create function maintenance_internal.upsert_job(p_job maintenance_internal.job)
returns maintenance_internal.job
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_job maintenance_internal.job;
  v_before maintenance_internal.job;
  v_dropped text;
begin
  if p_job.job_name is null or p_job.job_name !~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,50}$' then
    raise exception 'the job name "%" is not acceptable', p_job.job_name
      using errcode = 'PM002',
        hint = 'Up to 51 letters, digits, ".", "_" and "-", a letter or a digit first.';
  end if;
  perform maintenance_internal.check_schedule(p_job.job_name, p_job.schedule);

  select * into v_before from maintenance_internal.job as j where j.job_name = p_job.job_name;
  if v_before.kind <> p_job.kind then
    raise exception 'the job "%" is a % job already', p_job.job_name, v_before.kind
      using errcode = 'PM002',
        hint = format('select maintenance.drop_job(%L), or take another name.', p_job.job_name);
  end if;

  select j.* into v_job
  from maintenance_internal.job as j
  where j.job_name <> p_job.job_name
    and coalesce(j.backlog_name, j.job_name) = coalesce(p_job.backlog_name, p_job.job_name);
  if found then
    raise exception 'the job "%" has the backlog name "%" already',
      v_job.job_name, coalesce(p_job.backlog_name, p_job.job_name)
      using errcode = 'PM002', hint = 'Each row of maintenance_status needs a name of its own.';
  end if;

  v_dropped := concat_ws(', ',
    case when p_job.schedule is null then 'schedule ' || v_before.schedule end,
    case when p_job.backlog_name is null then 'backlog_name ' || v_before.backlog_name end);
  if v_dropped <> '' then
    raise warning '"%" loses what this call does not name: %', p_job.job_name, v_dropped
      using hint = 'Setting a job replaces it: name again what is meant to stay.';
  end if;
  if v_before.statement <> p_job.statement then
    perform maintenance_internal.record_statements('0'); -- of what it was
  end if;
  insert into maintenance_internal.job as j
    (job_name, kind, step, statement, schedule, description, backlog_name, backlog_function)
  values
    (p_job.job_name, p_job.kind, p_job.step, p_job.statement, p_job.schedule,
      coalesce(p_job.description, ''), p_job.backlog_name, p_job.backlog_function)
  on conflict (job_name) do update
  set step = excluded.step,
    statement = excluded.statement,
    schedule = excluded.schedule,
    promised_at = case when j.schedule is distinct from excluded.schedule
      then maintenance_internal.clock()
      else j.promised_at end,
    description = excluded.description,
    backlog_name = excluded.backlog_name,
    backlog_function = excluded.backlog_function,
    updated_at = now()
  returning * into v_job;
  if (v_job.schedule, v_job.statement) is distinct from (v_before.schedule, v_before.statement)
    and (v_job.schedule is not null or v_before.schedule is not null) then
    perform maintenance_internal.tell_elsewhere(v_job, v_job.schedule);
  end if;
  return v_job;
end
$$;
