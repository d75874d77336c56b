-- Ends a lease on a blob: the one place that decides what becomes of an entry.
--
--   outcome    attempt    then
--   deleted    -          the entry goes
--   gone       -          the same: there was no such blob
--   released   refunded   ready at once
--   unknown    refunded   leased until the lease ends: the store may still do it; then as defer
--   defer      refunded   ready after a minute at first and an hour at last: it is the store
--   transient  burned     ready after a back-off, or dead after the last attempt
--   rejected   burned     dead: this blob can never be deleted so

create function maintenance_internal.end_blob_lease(
  p_blob maintenance.blob,
  p_outcome text,
  p_message text,
  out state text,
  out available_at timestamptz)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_most_attempts constant integer := 20;
  v_now constant timestamptz := maintenance_internal.moment();
  v_attempts constant integer :=
    p_blob.attempts - (p_outcome in ('released', 'defer'))::integer;
  v_defers constant integer := p_blob.defers + (p_outcome = 'defer')::integer;
begin
  if p_outcome = 'unknown' then
    update maintenance.blob as b
    set last_error = left(coalesce(p_message, p_outcome), 1000)
    where b.blob_id = p_blob.blob_id;
    state := p_blob.state;
    available_at := p_blob.lease_expires_at;
    return;
  elsif p_outcome in ('deleted', 'gone') then
    delete from maintenance.blob as b where b.blob_id = p_blob.blob_id;
    state := p_outcome;
    return;
  end if;
  state := case
    when p_outcome = 'rejected' or p_outcome = 'transient' and v_attempts >= v_most_attempts
      then 'dead'
    else 'ready'
  end;
  if state = 'ready' then
    available_at := v_now + case p_outcome
      when 'released' then interval '0'
      when 'defer' then least(interval '1 minute' * 2 ^ least(v_defers - 1, 6), interval '1 hour')
      else maintenance_internal.back_off(v_attempts)
    end;
  end if;
  update maintenance.blob as b
  set state = end_blob_lease.state,
    attempts = v_attempts,
    defers = v_defers,
    available_at = coalesce(end_blob_lease.available_at, b.available_at),
    worker = null,
    lease_token = null,
    lease_expires_at = null,
    last_error = case when p_outcome = 'released' then b.last_error
      else left(coalesce(p_message, p_outcome), 1000) end,
    dead_at = case when end_blob_lease.state = 'dead' then v_now end
  where b.blob_id = p_blob.blob_id;
end
$$;

create function maintenance.settle_blob(
  blob_id bigint,
  lease_token uuid,
  outcome text,
  message text default null)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_blob maintenance.blob;
  v_end record;
begin
  if settle_blob.outcome is null or settle_blob.outcome <> all (
    array['deleted', 'gone', 'released', 'unknown', 'defer', 'transient', 'rejected']) then
    raise exception 'the outcome "%" is not known', settle_blob.outcome
      using errcode = 'PM002', hint = 'deleted, gone, released, unknown, defer, transient or '
        'rejected.';
  end if;
  select b.* into v_blob from maintenance.blob as b
  where b.blob_id = settle_blob.blob_id and b.lease_token = settle_blob.lease_token
  for update;
  if not found then
    raise exception 'blob % is not leased under this token (any more)', settle_blob.blob_id
      using errcode = 'PM014', hint = 'Drop it: it is settled, or its lease ended and '
        'somebody else has it or had it.';
  end if;
  select * into v_end
  from maintenance_internal.end_blob_lease(v_blob, settle_blob.outcome, settle_blob.message);
  return to_jsonb(v_end);
end
$$;

comment on function maintenance.settle_blob(bigint, uuid, text, text) is
  'Ends the lease on a blob and returns {state, available_at}. outcome: deleted, or gone where '
  'there was none: its entry goes; released: not tried; defer: the store cannot be reached, or '
  'refuses all, which costs nothing: tried again after a minute at first and an hour at last; '
  'unknown: asked for, and nobody knows: the same when the lease has ended, and no row can name '
  'the blob before; transient: costs an attempt: tried again after a back-off, dead after 20; '
  'rejected: dead at once. message: for people, no secret in it. Errors: PM002 outcome, PM014 not '
  'leased under this token.';
