-- The scheduled door: one run of a job in committed batches, with a receipt.
-- It commits, so it can have neither a set clause nor security definer: every name is qualified.

create procedure maintenance.run_job(job_name text, inout result jsonb default null)
language plpgsql
as $$
declare
  v_wants_result boolean := result is not null;
  v_run_id bigint;
begin
  call maintenance_internal.check_outside('maintenance.run_job');
  v_run_id := maintenance_internal.start_run(job_name, true);
  commit;
  call maintenance_internal.run_steps(v_run_id);
  result := maintenance_internal.end_run(v_run_id);
  commit;
  raise notice '%', maintenance_internal.message_or_failure(result);
  if not v_wants_result then
    result := null;
  end if;
end
$$;

comment on procedure maintenance.run_job(text, jsonb) is
  'Runs a job now, in batches that are committed one by one; a second copy leaves a skipped '
  'receipt, as does a job that is disabled or paused. What pg_cron fires waits where another job '
  'has to succeed first, or outside its window: run_late begins it. Says every few seconds how '
  'far it is, and at the end what it did, as a NOTICE. result: where ''{}'' is passed, {success, '
  'message, data, executionTime (ms), timestamp}. A failed run commits its receipt and raises. '
  'Not inside a transaction: see run_now. Errors: PM001 no such job, PM008 the run failed, PM011 '
  'a statement job, 57014 cancelled, or over its time-out, 2D000 called inside a transaction.';

-- The steps of a run that has begun, each committed, in the session of whoever has begun it.
create procedure maintenance_internal.run_steps(p_run_id bigint)
language plpgsql
as $$
declare
  v_step record;
begin
  loop
    select s.more, s.notice into v_step from maintenance_internal.run_step(p_run_id) as s;
    exit when not v_step.more;
    -- Not every batch waits for the disk: after a crash its rows are due again, and its receipt, of
    -- the same transaction, says so. The run's last commit makes all of them durable.
    perform pg_catalog.set_config('synchronous_commit', 'off', true);
    commit;
    if v_step.notice is not null then
      raise notice '%', v_step.notice;
    end if;
  end loop;
end
$$;

-- Raises where the caller of a door is inside a transaction. A commit fails in any exception block,
-- and what it says tells where we are: in a function, which is inside one, it says so in the words
-- of this server's language.
create procedure maintenance_internal.check_outside(p_door text)
language plpgsql
as $$
begin
  begin
    commit;
  exception when invalid_transaction_termination then
    perform maintenance_internal.refuse_inside_transaction(sqlerrm, p_door);
  end;
  commit;
end
$$;

create function maintenance_internal.refuse_inside_transaction(p_message text, p_door text)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_inside text;
begin
  begin
    commit;
  exception when invalid_transaction_termination then
    v_inside := sqlerrm;
  end;
  if p_message = v_inside then
    raise exception '% commits, and cannot do so inside a transaction', p_door
      using errcode = 'invalid_transaction_termination',
        hint = 'Call it by itself, with autocommit'
          || case p_door when 'maintenance.run_job'
            then '; or, in one transaction: select maintenance.run_now(...);' else '.' end;
  end if;
end
$$;

-- What a run did, in a line. Raises what a failed one ended with, after its receipt is safe, so
-- that pg_cron says failed, too.
create function maintenance_internal.message_or_failure(p_result jsonb)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_result #>> '{data,status}' in ('cancelled', 'failed', 'timeout', 'interrupted') then
    raise exception '%', p_result ->> 'message'
      using errcode =
          case when p_result #>> '{data,status}' in ('cancelled', 'timeout') then '57014'
            else 'PM008' end,
        detail = format('run %s, SQLSTATE %s, %s rows changed, %s refused',
          p_result #>> '{data,runId}', p_result #>> '{data,sqlstate}',
          p_result #>> '{data,rowsAffected}', p_result #>> '{data,rowsRefused}'),
        hint = format('select error_detail from maintenance.run_history where run_id = %s; as the '
          'owner, who alone may see what a row says.', p_result #>> '{data,runId}');
  end if;
  return p_result ->> 'message';
end
$$;
