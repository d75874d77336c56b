-- Revives blobs that were given up, and hurries those that wait for another try.

create function maintenance.retry_blobs()
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_now constant timestamptz := maintenance_internal.moment();
  v_dead bigint;
  v_waiting bigint;
begin
  update maintenance.blob as b
  set state = 'ready', attempts = 0, defers = 0, available_at = v_now, due_at = v_now,
    dead_at = null
  where b.blob_id = any (array(
    select d.blob_id from maintenance.blob as d where d.state = 'dead' for update skip locked));
  get diagnostics v_dead = row_count;
  update maintenance.blob as b
  set available_at = v_now, defers = 0
  where b.blob_id = any (array(
    select w.blob_id from maintenance.blob as w
    where w.state = 'ready' and w.due_at <= v_now and w.available_at > v_now
    for update skip locked));
  get diagnostics v_waiting = row_count;
  return jsonb_build_object('revived', v_dead, 'hurried', v_waiting);
end
$$;

comment on function maintenance.retry_blobs() is
  'Makes every dead entry of maintenance.blob ready again, with all its attempts, and what waits '
  'for another try due at once. Returns {revived, hurried}.';
