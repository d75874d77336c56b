-- The clean-up of attachments as a function.

create function public.cleanup_expired_attachments()
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_job constant text := 'cleanup_expired_attachments';
  v_policy constant maintenance_internal.policy := maintenance_internal.find_policy(v_job);
  v_last constant bigint := (select max(b.blob_id) from maintenance.blob as b);
  v_users bigint;
  v_run jsonb;
begin
  execute format('select count(distinct attachments.user_id) from public.attachments where %s',
      maintenance_internal.due_condition(v_policy))
    into v_users using maintenance_internal.clock() - v_policy.keep;
  v_run := maintenance.run_now(v_job);
  return jsonb_build_object(
    'processedUsers', v_users,
    'deletedAttachments', coalesce((v_run #>> '{data,rowsAffected}')::bigint, 0),
    'blobsQueued', (
      select count(*) from maintenance.blob as b
      where b.blob_id > coalesce(v_last, 0) and b.noted_in = pg_current_xact_id()),
    'errors', case when (v_run ->> 'success')::boolean then '[]'
      else jsonb_build_array(v_run ->> 'message') end);
end
$$;

comment on function public.cleanup_expired_attachments() is
  'Deletes the attachments that are older than their user''s plan keeps them (S0-23), in the '
  'caller''s transaction; their blobs follow by the worker, when it commits. Returns '
  '{processedUsers: users who had such, deletedAttachments, blobsQueued, errors: []}; a run that '
  'fails or is skipped is named in errors.';
