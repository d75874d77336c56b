-- Brings pg_cron and what was declared together for one job, and says what it did.
-- Schedule, active flag and absence belong to the operator; the command belongs to us. Where
-- pg_cron was made anew, the database restored or the owner renamed, they are as they were last
-- seen; what was inactive is left out, since only a superuser may put it there inactive.

create function maintenance_internal.sync_schedule(
  p_job_name text,
  p_removed_too boolean default false)
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_job maintenance_internal.job;
  v_state record := maintenance_internal.cron_state();
  v_installed maintenance_internal.installed_schedule;
  v_is_installed boolean;
  v_cron record;
  v_is_there boolean;
  v_is_edited boolean;
  v_wanted text;
begin
  select * into v_job from maintenance_internal.job as j where j.job_name = p_job_name for update;
  if v_state.gap is not null then
    return case when v_job.schedule is null then 'no schedule'
      else 'not scheduled here: ' || v_state.gap end;
  end if;

  select * into v_installed
  from maintenance_internal.installed_schedule as i
  where i.job_id = v_job.job_id;
  v_is_installed := (v_installed.home, v_installed.username) = (v_state.home, v_state.username);
  v_is_installed := coalesce(v_is_installed, false);
  select * into v_cron from maintenance_internal.cron_jobs() as c where c.job_name = v_job.job_name;
  v_is_there := found;
  if not v_state.readable and v_is_installed then -- then what we wrote there is what is there
    v_is_there := true;
    v_cron.schedule := v_installed.seen ->> 'schedule';
    v_cron.command := v_installed.command;
  end if;
  v_is_edited := v_is_there and v_cron.schedule is distinct from v_installed.schedule;

  if v_job.schedule is null then
    if v_is_installed and v_is_there and not v_is_edited then
      perform maintenance_internal.remove_schedule(v_job);
      return 'removed: no schedule is declared any more';
    end if;
    v_wanted := coalesce(v_cron.schedule,
      case when p_removed_too or not v_is_installed then v_installed.seen ->> 'schedule' end);
  elsif v_is_there and (v_is_edited or not v_is_installed) then
    v_wanted := v_cron.schedule;
  elsif v_is_there then
    v_wanted := v_job.schedule;
  elsif v_installed.seen -> 'active' = 'false'
    or not p_removed_too and (v_is_installed or v_installed.seen @> '{"schedule": null}') then
    update maintenance_internal.installed_schedule as i
    set home = v_state.home, username = v_state.username
    where i.job_id = v_job.job_id;
    return case when v_installed.seen -> 'active' = 'false'
      then 'left out: an operator had made it inactive' else 'removed by an operator' end;
  else
    v_wanted := coalesce(v_installed.seen ->> 'schedule', v_job.schedule);
  end if;

  if v_wanted is null then
    return 'no schedule';
  end if;
  if v_is_there and v_cron.command = maintenance_internal.cron_command(v_job)
    and v_cron.schedule = v_wanted then
    if v_is_installed then
      return case when v_is_edited then 'edited by an operator' else 'kept' end;
    end if;
  else
    perform maintenance_internal.write_cron_job(v_job, v_wanted);
  end if;

  insert into maintenance_internal.installed_schedule as i
    (job_id, home, username, schedule, command, seen)
  values (v_job.job_id, v_state.home, v_state.username, v_job.schedule,
    maintenance_internal.cron_command(v_job), case when not v_state.readable
      then jsonb_build_object('schedule', v_wanted, 'active', true) end)
  on conflict (job_id) do update
  set home = excluded.home,
    username = excluded.username,
    command = excluded.command,
    schedule = case when v_is_edited and v_is_installed then i.schedule else excluded.schedule end,
    seen = case when v_state.readable then i.seen
      else jsonb_build_object('schedule', v_wanted, 'active', true) end;
  perform maintenance_internal.record_schedule_edits(session_user, v_job.job_id);
  if not v_is_there or not v_is_installed then
    update maintenance_internal.job as j set promised_at = maintenance_internal.clock()
    where j.job_id = v_job.job_id;
  end if;

  return case
    when not v_is_there and v_installed.username <> v_state.username
      then format('created; that of "%s" stays until a superuser says: select '
        'cron.unschedule(jobid) from cron.job where jobname = %L and username = %L;',
        v_installed.username, 'maintenance:' || v_job.job_name, v_installed.username)
    when not v_is_there and (not v_is_installed or p_removed_too) then 'created'
    when not v_is_installed then 'found and kept'
    when v_is_there and v_cron.command <> maintenance_internal.cron_command(v_job)
      then 'command repaired'
    else 'updated'
  end;
end
$$;
