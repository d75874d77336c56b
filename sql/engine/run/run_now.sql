-- The same run in the caller's one transaction, for functions and tests.

create function maintenance.run_now(job_name text)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_run_id bigint;
begin
  -- A run checks each batch; what the caller itself has left to check is the caller's own error.
  set constraints all immediate;
  v_run_id := maintenance_internal.start_run(run_now.job_name, false);
  while (select s.more from maintenance_internal.run_step(v_run_id) as s) loop
    null;
  end loop;
  perform maintenance_internal.defer_again();
  return maintenance_internal.end_run(v_run_id);
end
$$;

comment on function maintenance.run_now(text) is
  'Runs a job in the caller''s transaction: for modest backlogs, functions and tests. The same '
  'result as run_job; a job that fails, or is over its time-out, says success false and does not '
  'raise; a statement_timeout or a cancel ends it and the caller. Deferred constraints of the '
  'caller are checked first, and are afterwards as they were declared. Errors: PM001 no such '
  'job, PM011 a statement job, 57014 cancelled.';

-- Constraints that are declared deferred are so again. Postgres knows them by name alone: where
-- another one of that name cannot be deferred, they stay immediate until the transaction ends.
create function maintenance_internal.defer_again()
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_name text;
begin
  for v_name in
    select distinct format('%I.%I', n.nspname, k.conname)
    from pg_constraint as k
    join pg_namespace as n on n.oid = k.connamespace
    where k.condeferred and not pg_is_other_temp_schema(n.oid)
      and has_schema_privilege(n.oid, 'usage')
  loop
    begin
      execute format('set constraints %s deferred', v_name);
    exception when wrong_object_type then
      null;
    end;
  end loop;
end
$$;
