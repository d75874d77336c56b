-- Why a run stops, if it does after this step: a limit of its job, though never before it has done
-- something; or, at its end, what it could not do. A run that is through has been cut nowhere.

create function maintenance_internal.decide_stop(
  p_job maintenance_internal.job,
  p_at maintenance_internal.progress,
  p_offered_again boolean,
  p_more boolean,
  p_details jsonb,
  inout p_run maintenance_internal.run)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_left bigint := p_details ->> 'left';
begin
  if p_run.stop_reason is not null then
    return;
  elsif p_more then
    p_run.stop_reason := case
      when p_run.rows_affected >= p_job.max_rows then 'max_rows'
      when p_run.batches >= p_job.max_batches then 'max_batches'
      when clock_timestamp() >= p_run.started_at + p_job.budget
        and (p_run.batches > 0 or p_offered_again) then 'budget'
    end;
    return;
  end if;
  p_run.cut_leaf := null;
  p_run.cut := null;
  p_run.stop_reason := case
    when p_run.rows_refused > 0 then 'refused_rows'
    when p_at.locked and v_left > 0 then 'rows_locked'
    when p_run.rows_affected = 0 and v_left > 0 then 'no_effect'
    else 'done'
  end;
  if p_run.stop_reason = 'no_effect' then
    p_run.sqlstate := 'PM012';
    p_run.error := format('%s due rows were offered and none changed: a trigger may suppress it',
      v_left);
  end if;
end
$$;
