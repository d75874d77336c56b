-- Sets a function job: a function that handles one batch and returns its rows.

create function maintenance.set_job(
  job_name text,
  step text,
  schedule text default null,
  description text default null,
  backlog_name text default null,
  backlog_function text default null)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_job maintenance_internal.job;
begin
  if (set_job.backlog_name is null) <> (set_job.backlog_function is null) then
    raise exception 'backlog_name and backlog_function go together'
      using errcode = 'PM002', hint = 'Give both for a row in maintenance_status, or neither.';
  end if;
  if set_job.backlog_function is not null then
    v_job.backlog_function := maintenance_internal.find_function(set_job.backlog_function,
      'integer', 'TABLE(due bigint, oldest timestamp with time zone)')::regproc;
  end if;

  v_job.job_name := set_job.job_name;
  v_job.kind := 'function';
  v_job.step := maintenance_internal.find_function(set_job.step, 'integer', 'bigint')::regproc;
  v_job.schedule := set_job.schedule;
  v_job.description := coalesce(set_job.description, 'Calls ' || v_job.step);
  v_job.backlog_name := set_job.backlog_name;
  v_job := maintenance_internal.upsert_job(v_job);
  perform maintenance_internal.sync_schedule(v_job.job_name);
end
$$;

comment on function maintenance.set_job(text, text, text, text, text, text) is
  'Sets a function job. step: a function (batch_size integer) returns bigint, found as in the '
  'owner''s own sessions, and run under their search_path, that handles one batch and returns '
  'its rows; 0 ends the run, less than 0 counts for nothing and has it go on. backlog_function, '
  'optional: a function (cap integer) returns table '
  '(due bigint, oldest timestamptz), shown in maintenance_status under backlog_name. schedule: '
  'five-field cron, UTC. For the engine''s owner. Errors: PM002 argument, PM006 schedule, PM007 '
  'no such function, or not the owner''s.';
