-- Closes a run's receipt. What was noted on it decides how it ended.

create function maintenance_internal.finish_run(p_run_id bigint)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
set timezone = 'UTC'
set lock_timeout = '5s'
as $$
declare
  v_run maintenance_internal.run := maintenance_internal.find_running(p_run_id);
begin
  update maintenance_internal.run as r
  set status = case
      when r.stop_reason = 'cancelled' then 'cancelled'
      when r.error is not null then 'failed'
      else 'succeeded'
    end,
    stop_reason = coalesce(r.stop_reason,
      case when r.rows_refused > 0 then 'refused_rows' else 'done' end),
    finished_at = clock_timestamp()
  where r.run_id = v_run.run_id;
end
$$;
