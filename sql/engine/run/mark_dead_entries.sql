-- After a very large run: counts once more what is due. The index still leads to every row that the
-- run took, and the first scan to find them dead marks their entries, so that later ones skip them.
-- The run pays for that scan, not the next reader of maintenance_status. It comes after the receipt
-- is closed and the lock released, and not after so many rows that it would hold a snapshot for
-- minutes.

create function maintenance_internal.mark_dead_entries(p_run_id bigint)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
set timezone = 'UTC'
set lock_timeout = '1s'
as $$
declare
  v_most_rows constant bigint := 5000000; -- a minute at most
  v_run maintenance_internal.run := maintenance_internal.find_run(p_run_id);
  v_policy maintenance_internal.policy;
begin
  select * into v_policy from maintenance_internal.policy as p where p.job_id = v_run.job_id;
  if found and v_run.status = 'succeeded' and not v_run.details ? 'left'
    and v_run.rows_affected between 1 and v_most_rows then
    update maintenance_internal.run as r
    set details = r.details || jsonb_build_object('left', c.due)
    from maintenance_internal.count_due(v_policy, v_run.cutoff, 10000) as c
    where r.run_id = v_run.run_id;
  end if;
exception when lock_not_available then
  null; -- somebody alters the table: it was not needed, and the next reader is told of the lock
end
$$;
