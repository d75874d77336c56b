-- Imports: stuck runs fail, old uploads and old raw items of unsuccessful runs go, old import jobs
-- are compacted. Rules S1-01 to S1-04, in the order of S1-07.

select maintenance.set_policy(
  'mark_stuck_import_runs',
  target => 'public.import_runs',
  action => 'update',
  age => 'coalesce(started_at, created_at)',
  keep => '24 hours',
  matching => 'status = ''processing''',
  assign => $$
    status = 'failed',
    finished_at = now(),
    error = coalesce(error || '; ', '') || 'timeout: still processing after 24 hours',
    summary = case
        when jsonb_typeof(summary) = 'object' then summary
        when summary is null or summary = 'null' then '{}'
        else jsonb_build_object('summary', summary)
      end || '{"error": "timeout"}'
  $$,
  schedule => '0 3 * * *',
  description => 'Import runs processing for more than 24 hours',
  backlog_name => 'stuck_runs');

select maintenance.set_policy(
  'cleanup_temp_uploads',
  target => 'public.temp_uploads',
  action => 'delete',
  age => 'created_at',
  keep => '24 hours',
  matching => $$
    not exists (
      select from public.import_jobs as j
      where j.upload_ref = token and j.status = 'processing')
  $$,
  schedule => '0 3 * * *',
  description => 'Temporary uploads older than 24 hours that no running import job refers to',
  backlog_name => 'old_temp_uploads');

select maintenance.set_policy(
  'cleanup_old_raw_items',
  target => 'public.raw_import_items',
  action => 'delete',
  age => 'created_at',
  keep => '30 days',
  matching => $$
    exists (
      select from public.import_runs as r
      where r.id = import_run_id
        and r.status in ('failed', 'partial')
        and coalesce(r.finished_at, r.started_at, r.created_at) <= now() - interval '30 days')
  $$,
  schedule => '0 3 * * *',
  description => 'Raw items of import runs that ended failed or partial more than 30 days ago',
  backlog_name => 'old_raw_items');

select maintenance.set_policy(
  'compact_old_import_jobs',
  target => 'public.import_jobs',
  action => 'update',
  age => 'created_at',
  keep => '7 days',
  matching => $$
    status in ('completed', 'failed', 'cancelled') and not mapping @> '{"compacted": true}'
  $$,
  assign => $$
    mapping = '{"compacted": true}',
    options = '{"compacted": true}',
    compacted_at = now(),
    updated_at = now()
  $$,
  schedule => '0 3 * * *',
  description => 'Ended import jobs older than 7 days whose mapping is still kept in full',
  backlog_name => 'old_import_jobs');

create function public.mark_stuck_import_runs()
returns integer
language sql
set search_path = pg_catalog, pg_temp
return maintenance.run_or_raise('mark_stuck_import_runs');

comment on function public.mark_stuck_import_runs() is
  'Fails the import runs that have been processing for more than 24 hours (S1-01), in the '
  'caller''s transaction; rows changed. Errors: PM008 it failed, PM009 it is running or disabled.';

create function public.cleanup_temp_uploads()
returns integer
language sql
set search_path = pg_catalog, pg_temp
return maintenance.run_or_raise('cleanup_temp_uploads');

comment on function public.cleanup_temp_uploads() is
  'Deletes the uploads older than 24 hours that no processing import job refers to (S1-02, C-14), '
  'in the caller''s transaction; rows deleted. Errors: PM008 it failed, PM009 it is running or '
  'disabled.';

create function public.cleanup_old_raw_items()
returns integer
language sql
set search_path = pg_catalog, pg_temp
return maintenance.run_or_raise('cleanup_old_raw_items');

comment on function public.cleanup_old_raw_items() is
  'Deletes the raw items older than 30 days of runs that ended failed or partial more than 30 days '
  'ago (S1-04, C-12), in the caller''s transaction; rows deleted. Errors: PM008 it failed, PM009 '
  'it is running or disabled.';

create function public.compact_old_import_jobs()
returns integer
language sql
set search_path = pg_catalog, pg_temp
return maintenance.run_or_raise('compact_old_import_jobs');

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
