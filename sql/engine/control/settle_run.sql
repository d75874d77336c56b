-- What follows from the end of a run, in the transaction that closes it: a run that succeeded
-- needs no other; one that its window has cut goes on in the next; one that went wrong by itself
-- is tried again, where it has an attempt left. Nobody tries again what a person has started.

create function maintenance_internal.further_attempts(p_priority text)
returns integer
language sql
immutable
set search_path = pg_catalog, pg_temp
return case p_priority when 'critical' then 3 when 'low' then 1 else 2 end;

-- 1, 2, 4 minutes and so on, at most 15, give or take a tenth.
create function maintenance_internal.retry_delay(p_attempt integer)
returns interval
language sql
set search_path = pg_catalog, pg_temp
return least(interval '1 minute' * 2 ^ (p_attempt - 1), interval '15 minutes')
  * (0.9 + 0.2 * random());

create function maintenance_internal.settle_run(p_run_id bigint)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_run maintenance_internal.run;
  v_job maintenance_internal.job;
begin
  select * into v_run from maintenance_internal.run as r where r.run_id = p_run_id;
  select * into v_job from maintenance_internal.job as j
  where j.job_id = v_run.job_id and j.kind <> 'statement';
  if not found then
    return;
  elsif v_run.status = 'succeeded' then
    perform maintenance_internal.give_up(v_run.job_id, 'superseded');
    if v_run.stop_reason = 'window' then
      perform maintenance_internal.put_off(v_job, v_run.trigger, 1, v_run.slot,
        maintenance_internal.window_opens(v_job, maintenance_internal.moment()), 'window');
    end if;
  elsif v_run.status in ('failed', 'timeout', 'interrupted') and v_run.trigger <> 'manual'
    and v_job.enabled
    and v_run.attempt <= maintenance_internal.further_attempts(v_job.priority)
    and not exists (
      select from maintenance_internal.run as r
      where r.job_id = v_run.job_id and r.status = 'waiting')
  then
    perform maintenance_internal.put_off(v_job, 'retry', v_run.attempt + 1, v_run.slot,
      maintenance_internal.moment() + maintenance_internal.retry_delay(v_run.attempt), 'retry');
  end if;
end
$$;
