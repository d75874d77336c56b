-- The outbox: what is to be deleted from the store of blobs, an entry for each row that named one
-- and went. The worker deletes; a blob that a row names, or that an undo may bring a row back for,
-- stays.

create table maintenance.blob (
  blob_id bigint generated always as identity,
  url text not null,
  name text not null generated always as (ltrim(url, '/')) stored,
  gate integer not null
    generated always as ((hashtextextended(ltrim(url, '/'), 0) & 255)::integer) stored,
  state text not null default 'ready',
  task_id bigint,
  attempts integer not null default 0,
  defers integer not null default 0,
  available_at timestamptz not null default maintenance_internal.moment(),
  due_at timestamptz not null default maintenance_internal.moment(),
  noted_at timestamptz not null default maintenance_internal.moment(),
  noted_in xid8 not null default pg_current_xact_id(),
  worker text,
  lease_token uuid,
  lease_expires_at timestamptz,
  last_error text,
  dead_at timestamptz,
  constraint blob_pkey primary key (blob_id),
  constraint blob_state_is_known check (state in ('ready', 'leased', 'dead')),
  constraint blob_leased_has_a_lease check (
    (state = 'leased') = (lease_token is not null)
    and (state = 'leased') = (lease_expires_at is not null)
    and (state = 'leased') = (worker is not null)),
  constraint blob_dead_says_why
    check ((state = 'dead') = (dead_at is not null) and (state <> 'dead' or last_error is not null))
);

create index blob_ready_idx on maintenance.blob (available_at, blob_id) where state = 'ready';
create index blob_leased_idx on maintenance.blob (lease_expires_at) where state = 'leased';
create index blob_due_idx on maintenance.blob (due_at) where state <> 'dead';
create index blob_dead_idx on maintenance.blob (dead_at) where state = 'dead';
create index blob_name_idx on maintenance.blob using hash (name);
create index blob_task_id_idx on maintenance.blob (task_id) where task_id is not null;

comment on table maintenance.blob is
  'Blobs to be deleted from the store, noted by track_blobs when a row went that named them. ready '
  'waits for available_at; leased is with a worker; dead was given up. What is deleted is no row '
  'any more.';
comment on column maintenance.blob.url is 'what the row had: the store makes an address of it';
comment on column maintenance.blob.name is 'what all spellings of it have in common';
comment on column maintenance.blob.gate is 'the row of blob_gate that those who name it share';
comment on column maintenance.blob.task_id is
  'the task whose answer deleted the row: as long as undo_task may bring it back, the blob stays';
comment on column maintenance.blob.attempts is 'claims that were its own failure, or are under way';
comment on column maintenance.blob.defers is 'how often the store was not there, or refused all';
comment on column maintenance.blob.due_at is 'since when it may go';
comment on column maintenance.blob.noted_in is 'the transaction that noted it';

-- Who makes a row that names a blob shares the gate of its name until the transaction ends; a claim
-- closes it for a moment, and does not wait for it. Some names have one gate.
create table maintenance_internal.blob_gate (
  gate integer not null,
  closings bigint not null default 0,
  constraint blob_gate_pkey primary key (gate)
) with (fillfactor = 20);

comment on table maintenance_internal.blob_gate is
  'Keeps claims of blobs and rows that name them apart: a claim looks for rows when all are there '
  'to be seen.';

-- A restore of the structure alone has left them out.
create function maintenance_internal.put_blob_gates()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into maintenance_internal.blob_gate (gate) select generate_series(0, 255)
  on conflict do nothing;
end
$$;

select maintenance_internal.put_blob_gates();
