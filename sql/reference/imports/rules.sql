-- Imports: stuck runs fail, and the import jobs of failed runs with them; old uploads and old raw
-- items of unsuccessful runs go; old import jobs are compacted. Rules S1-01 to S1-04, each of them
-- right in any order: run_maintenance_cleanup has that of S1-07.
-- Over tables of your own of these names:
--   psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -1 -f sql/reference/imports/rules.sql
-- A subquery names the columns of the target with its name: the other table may have one like it.

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
  'fail_import_jobs',
  target => 'public.import_jobs',
  action => 'update',
  age => 'created_at',
  keep => '0',
  matching => $$
    status = 'processing' and (
      exists (
        select from public.import_runs as r
        where r.id = import_jobs.import_run_id and r.status = 'failed')
      or import_run_id is null and created_at <= cutoff - interval '24 hours')
  $$,
  assign => $$
    status = 'failed',
    error_message = coalesce(error_message || '; ', '') || 'its import run failed',
    finished_at = now(),
    updated_at = now()
  $$,
  schedule => '0 3 * * *',
  description => 'Import jobs processing whose run has failed, or that have none for 24 hours',
  backlog_name => 'stuck_import_jobs');

select maintenance.set_policy(
  'cleanup_temp_uploads',
  target => 'public.temp_uploads',
  action => 'delete',
  age => 'created_at',
  keep => '24 hours',
  matching => $$
    not exists (
      select from public.import_jobs as j
      left join public.import_runs as r on r.id = j.import_run_id
      where j.upload_ref = temp_uploads.token and j.status = 'processing'
        and (r.status in ('pending', 'processing')
          or j.import_run_id is null and j.created_at > temp_uploads.cutoff))
  $$,
  schedule => '0 3 * * *',
  description => 'Temporary uploads older than 24 hours that no import going on refers to',
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
      where r.id = raw_import_items.import_run_id
        and r.status in ('failed', 'partial')
        and coalesce(r.finished_at, r.started_at, r.created_at) <= raw_import_items.cutoff)
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
    status in ('completed', 'failed', 'cancelled') and compacted_at is null
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
