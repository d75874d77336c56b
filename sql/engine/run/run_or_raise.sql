-- What the front doors in public do: run a job in the caller's transaction and return the data of
-- its result.
-- Errors: PM001 no such job, PM008 the run failed, PM009 it was skipped, PM011 a statement job.

create function maintenance_internal.run_or_raise(job_name text)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_result jsonb := maintenance.run_now(run_or_raise.job_name);
begin
  if not (v_result ->> 'success')::boolean then
    raise exception '%', v_result ->> 'message'
      using errcode =
          case v_result #>> '{data,status}' when 'skipped' then 'PM009' else 'PM008' end,
        detail = coalesce('SQLSTATE ' || (v_result #>> '{data,sqlstate}'),
          v_result #>> '{data,stopReason}'),
        hint = case v_result #>> '{data,stopReason}'
          when 'already_running' then 'Wait for it, or read maintenance.run_history.'
          when 'paused' then 'select maintenance.resume();'
          when 'disabled' then format('select maintenance.enable_job(%L);', run_or_raise.job_name)
          else 'select * from maintenance.lint() names what is wrong with a rule.'
        end;
  end if;
  return v_result -> 'data';
end
$$;
