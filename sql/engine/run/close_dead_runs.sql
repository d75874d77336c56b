-- Closes the receipts of runs that are dead, of one job or of all, dropped ones too: their
-- session is gone, or went on without them after a cancel or an error at commit. A run whose
-- guess was wrong finds its receipt closed at its next step, and ends there. An emergency stop
-- may have ended a run between two of its steps, where it could not say so itself.

create function maintenance_internal.close_dead_runs(p_job_id integer default null)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_run_id bigint;
  v_reason text;
  v_job maintenance_internal.job;
begin
  for v_run_id in
    select r.run_id
    from maintenance_internal.run as r
    where r.status = 'running' and r.cron_run_id is null
      and (p_job_id is null or r.job_id = p_job_id)
      -- Of this session's own runs those are alive in which it is just now (run_step).
      and case when r.backend_pid = pg_backend_pid()
        then (r.run_id::text = any(
          string_to_array(current_setting('maintenance.run_id', true), ' '))) is not true
        else not maintenance_internal.is_alive(r.job_id, r.backend_pid, r.touched_at) end
    for no key update skip locked
  loop
    select case
        when r.stop_reason in ('emergency_stop', 'timeout') then r.stop_reason
        when r.started_at <= (select c.stopped_at from maintenance_internal.control as c)
          then 'emergency_stop' end into v_reason
    from maintenance_internal.run as r
    where r.run_id = v_run_id;
    select j.* into v_job from maintenance_internal.run as r
    join maintenance_internal.job as j on j.job_id = r.job_id
    where r.run_id = v_run_id;
    update maintenance_internal.run as r
    set status = case v_reason when 'timeout' then 'timeout'
        when 'emergency_stop' then 'cancelled' else 'interrupted' end,
      finished_at = maintenance_internal.moment(),
      stop_reason = case
        when v_reason is not null then v_reason
        when exists (select from pg_stat_activity as a where a.pid = r.backend_pid)
          then 'left_open' else 'backend_gone' end,
      error = case when v_reason is not null
        then maintenance_internal.stop_text(v_reason, v_job) else r.error end,
      sqlstate = case when v_reason is not null then '57014' else r.sqlstate end,
      progress = null
    where r.run_id = v_run_id;
    delete from maintenance_internal.piece as p where p.run_id = v_run_id;
    perform maintenance_internal.settle_run(v_run_id);
  end loop;
end
$$;
