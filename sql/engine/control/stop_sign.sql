-- Why a run has to end before it is through: what is asked after each batch, and when somebody
-- has cancelled one.

-- A run is ended after so much time. Where nobody has said when: an hour beyond its budget, so
-- that no run can hold up the others for ever; a statement, which is pg_cron's, never.
create function maintenance_internal.time_out_of(p_job maintenance_internal.job)
returns interval
language sql
immutable
set search_path = pg_catalog, pg_temp
return coalesce((p_job).timeout,
  case when (p_job).kind <> 'statement' then (p_job).budget + interval '1 hour' end);

create function maintenance_internal.stop_sign(
  p_run maintenance_internal.run,
  p_job maintenance_internal.job,
  p_is_cancelled boolean)
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_is_cancelled then
    -- An emergency stop cancels before it has committed what it says here.
    begin
      perform from maintenance_internal.control as c for share;
    exception when lock_not_available then
      null;
    end;
  end if;
  return case
    -- Also where all goes on again already.
    when exists (
      select from maintenance_internal.control as c
      where c.stopped_at >= least(p_run.started_at, c.paused_at)) then 'emergency_stop'
    when maintenance_internal.moment() >= p_run.started_at
      + maintenance_internal.time_out_of(p_job) then 'timeout'
    when p_is_cancelled then 'cancelled'
    when p_run.trigger <> 'manual'
      and not maintenance_internal.in_window(p_job, maintenance_internal.moment()) then 'window'
  end;
end
$$;

-- What the receipt says of a run that somebody has ended.
create function maintenance_internal.stop_text(
  p_reason text,
  p_job maintenance_internal.job)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return case p_reason
  when 'timeout' then format('it was not over after its time-out of %s',
    maintenance_internal.time_out_of(p_job))
  when 'emergency_stop' then 'ended by an emergency stop'
end;
