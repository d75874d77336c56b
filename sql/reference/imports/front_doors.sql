-- The import jobs as functions, each in its caller's one transaction.

create function public.mark_stuck_import_runs()
returns integer
language sql
set search_path = pg_catalog, pg_temp
return (maintenance_internal.run_or_raise('mark_stuck_import_runs') ->> 'rowsAffected')::integer;

comment on function public.mark_stuck_import_runs() is
  'Fails the import runs that have been processing for more than 24 hours (S1-01), in the '
  'caller''s transaction; rows changed. Errors: PM008 it failed, PM009 it is running or disabled.';

create function public.cleanup_temp_uploads()
returns integer
language sql
set search_path = pg_catalog, pg_temp
return (maintenance_internal.run_or_raise('cleanup_temp_uploads') ->> 'rowsAffected')::integer;

comment on function public.cleanup_temp_uploads() is
  'Deletes the uploads older than 24 hours that no processing import job refers to (S1-02, C-14), '
  'in the caller''s transaction; rows deleted. Errors: PM008 it failed, PM009 it is running or '
  'disabled.';

create function public.cleanup_old_raw_items()
returns integer
language sql
set search_path = pg_catalog, pg_temp
return (maintenance_internal.run_or_raise('cleanup_old_raw_items') ->> 'rowsAffected')::integer;

comment on function public.cleanup_old_raw_items() is
  'Deletes the raw items older than 30 days of runs that ended failed or partial more than 30 days '
  'ago (S1-04, C-12), in the caller''s transaction; rows deleted. Errors: PM008 it failed, PM009 '
  'it is running or disabled.';

create function public.compact_old_import_jobs()
returns integer
language sql
set search_path = pg_catalog, pg_temp
return (maintenance_internal.run_or_raise('compact_old_import_jobs') ->> 'rowsAffected')::integer;

comment on function public.compact_old_import_jobs() is
  'Puts {"compacted": true} in place of mapping and options of ended import jobs older than 7 days '
  '(S1-03, C-13: error_message stays), in the caller''s transaction; rows changed. Errors: PM008 '
  'it failed, PM009 it is running or disabled.';

create function public.run_maintenance_cleanup()
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_key text;
  v_job_name text;
  v_run jsonb;
  v_result jsonb := jsonb_build_object(
    'timestamp', to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'));
  v_errors jsonb := '[]'::jsonb;
begin
  for v_key, v_job_name in values
    ('stuckRunsMarked', 'mark_stuck_import_runs'),
    ('tempUploadsPurged', 'cleanup_temp_uploads'),
    ('rawItemsCleaned', 'cleanup_old_raw_items'),
    ('importJobsCompacted', 'compact_old_import_jobs')
  loop
    begin
      v_run := maintenance.run_now(v_job_name);
    exception when others then
      v_run := jsonb_build_object('success', false, 'message', v_job_name || ': ' || sqlerrm);
    end;
    v_result := v_result
      || jsonb_build_object(v_key, coalesce((v_run #>> '{data,rowsAffected}')::integer, 0));
    if not (v_run ->> 'success')::boolean then
      v_errors := v_errors || jsonb_build_array(v_run ->> 'message');
    end if;
  end loop;
  return v_result || jsonb_build_object('errors', v_errors);
end
$$;

comment on function public.run_maintenance_cleanup() is
  'The four import jobs in one transaction, in order (S1-05 to S1-07): {timestamp, '
  'stuckRunsMarked, tempUploadsPurged, rawItemsCleaned, importJobsCompacted, errors}. A step that '
  'fails stops no other and is named in errors. For modest backlogs: call maintenance.run_job '
  'commits in batches.';
