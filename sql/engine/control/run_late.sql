-- Starts what is owed, one after the other: retries, missed slots, what waited for another job or
-- for its window. pg_cron fires it each minute; two at once do not harm each other.
-- It commits, so it can have neither a set clause nor security definer: every name is qualified.

create procedure maintenance.run_late()
language plpgsql
as $$
declare
  v_began timestamptz;
  v_run_id bigint;
begin
  call maintenance_internal.check_outside('maintenance.run_late');
  v_began := maintenance_internal.note_visit(
    maintenance_internal.run_late_statement(), null, '[]', false);
  commit;
  loop
    perform maintenance_internal.clean_session();
    commit;
    -- What falls due meanwhile is for the next pass, so that this one ends.
    v_run_id := maintenance_internal.start_waiting(v_began);
    commit;
    exit when v_run_id is null;
    call maintenance_internal.run_steps(v_run_id);
    perform maintenance_internal.end_run(v_run_id);
    commit;
  end loop;
  perform maintenance_internal.note_visit(maintenance_internal.run_late_statement(), v_began);
end
$$;

comment on procedure maintenance.run_late() is
  'Starts what is owed and may start now, one after the other: retries of failed runs, slots '
  'that pg_cron has missed, and runs that waited for another job or for their window (S2-18, '
  'S2-19, S4-20). The job run_late calls it every minute. What a run fails with is told on its '
  'receipt alone. Errors: 2D000 called inside a transaction.';

-- A job leaves nothing to the next in the session that pg_cron has opened for both: what discard
-- all does, which no transaction may.
create function maintenance_internal.clean_session()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if maintenance_internal.fired_by_cron() then
    execute 'close all';
    execute 'unlisten *';
    execute 'deallocate all';
    execute 'reset all';
    execute 'discard sequences';
    execute 'discard temporary';
    perform pg_advisory_unlock_all();
  end if;
end
$$;

-- Whether run_late is at one of the runs that have waited.
create function maintenance_internal.is_late_at_work()
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select exists (
    select from maintenance_internal.run as r
    where r.status = 'running' and r.cron_run_id is null and r.due_at is not null
      and maintenance_internal.is_alive(r.job_id, r.backend_pid, r.touched_at));
end;
