-- The same run in the caller's one transaction, for functions and tests.

create function maintenance.run_now(job_name text)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_deferred text := (
    select string_agg(format('%I.%I', n.nspname, k.conname), ', ')
    from pg_constraint as k
    join pg_namespace as n on n.oid = k.connamespace
    where k.condeferred);
  v_run_id bigint;
begin
  if v_deferred is not null then
    -- A run checks each batch; what the caller itself has left to check is not for a batch to hear.
    set constraints all immediate;
  end if;
  v_run_id := maintenance_internal.start_run(run_now.job_name, false);
  while (select s.more from maintenance_internal.run_step(v_run_id) as s) loop
    null;
  end loop;
  if v_deferred is not null then
    execute format('set constraints %s deferred', v_deferred);
  end if;
  return maintenance_internal.end_run(v_run_id);
end
$$;

comment on function maintenance.run_now(text) is
  'Runs a job in the caller''s transaction: for modest backlogs, functions and tests. The same '
  'result as run_job; a job that fails says success false and does not raise; a time-out or a '
  'cancel ends it and the caller. Deferred constraints of the caller are checked first. '
  'Errors: PM001 no such job, PM011 a statement job, 57014 cancelled.';
