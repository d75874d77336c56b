-- Why a run stops, if it does after this step: somebody or something ends it (stop_sign); a limit
-- of its job, though never before it has done something; or, at its end, what it could not do. A
-- run that is through has been cut nowhere; one that is cut leaves what it set aside to the next.

create function maintenance_internal.decide_stop(
  p_job maintenance_internal.job,
  p_policy maintenance_internal.policy,
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
  v_sign text;
begin
  if p_run.stop_reason is not null then
    return;
  elsif p_more then
    v_sign := maintenance_internal.stop_sign(p_run, p_job, false);
    if v_sign in ('emergency_stop', 'timeout') then
      p_run.stop_reason := v_sign;
      p_run.sqlstate := '57014';
      p_run.error := maintenance_internal.stop_text(v_sign, p_job);
      return;
    end if;
    p_run.stop_reason := case
      when v_sign is not null then v_sign
      when p_run.rows_affected >= p_job.max_rows then 'max_rows'
      when p_run.batches >= p_job.max_batches then 'max_batches'
      when maintenance_internal.moment() >= p_run.started_at + p_job.budget
        and (p_run.batches > 0 or p_offered_again
          or maintenance_internal.moment()
            >= p_run.started_at + 2 * p_job.budget + interval '1 second')
        then 'budget'
    end;
    if p_run.stop_reason is not null and p_run.rows_refused = 0 and p_run.rows_affected > 0 then
      p_run.error := null;
      p_run.sqlstate := null;
      p_run.error_detail := null;
    end if;
    return;
  end if;
  p_run.cut_leaf := null;
  p_run.cut := null;
  p_run.stop_reason := case
    when p_run.rows_refused > 0 then 'refused_rows'
    when p_run.sqlstate = '55P03' then 'lock_timeout'
    when p_run.error is not null then 'error'
    when v_left > 0 and p_at.timeouts > 0 and p_run.rows_affected = 0 then 'lock_timeout'
    when v_left > 0 and p_at.locked then 'rows_locked'
    when v_left > 0 and (p_run.rows_affected = 0 or maintenance_internal.has_silencing_trigger(
      p_policy, maintenance_internal.leaf_tables(p_at.target))) then 'no_effect'
    else 'done'
  end;
  if p_run.stop_reason = 'no_effect' then
    p_run.sqlstate := 'PM012';
    p_run.error := format('%s due rows were offered and stay: a trigger may suppress it', v_left);
  elsif p_run.stop_reason = 'lock_timeout' and p_run.error is null then
    p_run.sqlstate := '55P03';
    p_run.error := format('%s due rows wait for a lock of somebody else', v_left);
  end if;
end
$$;
