-- Changes when a job runs, in pg_cron, as an operator does it.

create function maintenance.set_schedule(job_name text, schedule text)
returns maintenance.job_status
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_job maintenance_internal.job := maintenance_internal.find_job(set_schedule.job_name);
  v_state record := maintenance_internal.cron_state();
  v_status maintenance.job_status;
begin
  if set_schedule.schedule is null then
    raise exception 'a schedule is needed for %', v_job.job_name
      using errcode = 'PM006', hint = 'To stop a job: select maintenance.disable_job(...).';
  end if;
  perform maintenance_internal.check_schedule(v_job.job_name, set_schedule.schedule);
  perform from maintenance_internal.job as j where j.job_id = v_job.job_id for update;
  if v_state.gap is not null then
    raise exception '% cannot be scheduled here: %', v_job.job_name, v_state.gap
      using errcode = 'PM010', hint = 'What the owner declares here is what it owes. In pg_cron''s '
        'own database: ' || maintenance_internal.cron_statement(v_job, set_schedule.schedule);
  end if;

  perform maintenance_internal.write_cron_job(v_job, set_schedule.schedule, true);
  -- What was declared stays on record: whatever pg_cron shows beside it is the operator's.
  insert into maintenance_internal.installed_schedule as i
    (job_id, home, username, schedule, command, seen)
  values (v_job.job_id, v_state.home, v_state.username, v_job.schedule,
    maintenance_internal.cron_command(v_job), case when not v_state.readable
      then jsonb_build_object('schedule', set_schedule.schedule, 'active', true) end)
  on conflict (job_id) do update
  set home = excluded.home, username = excluded.username, command = excluded.command,
    seen = coalesce(excluded.seen, i.seen);
  perform maintenance_internal.record_schedule_edits(session_user, v_job.job_id);
  update maintenance_internal.job as j set promised_at = maintenance_internal.clock()
  where j.job_id = v_job.job_id;

  select * into v_status from maintenance.job_status as s where s.job_name = v_job.job_name;
  return v_status;
end
$$;

comment on function maintenance.set_schedule(text, text) is
  'Sets a job''s schedule in pg_cron (five-field cron, UTC) and returns its job_status row; it '
  'survives every later migration, like an edit in pg_cron itself. One that was inactive there '
  'starts again. '
  'Errors: PM001 no such job, PM006 schedule, PM010 no pg_cron here (the hint has the statement).';
