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
  v_began := maintenance_internal.note_visit(maintenance_internal.run_late_statement());
  commit;
  loop
    -- What falls due meanwhile is for the next pass, so that this one ends.
    v_run_id := maintenance_internal.start_waiting(v_began);
    commit;
    exit when v_run_id is null;
    call maintenance_internal.run_steps(v_run_id);
    perform maintenance_internal.end_run(v_run_id);
    commit;
  end loop;
end
$$;

comment on procedure maintenance.run_late() is
  'Starts what is owed and may start now, one after the other: retries of failed runs, slots '
  'that pg_cron has missed, and runs that waited for another job or for their window (S2-18, '
  'S2-19, S4-20). The job run_late calls it every minute. What a run fails with is told on its '
  'receipt alone. Errors: 2D000 called inside a transaction.';
