-- What is attached to messages: a row here, and a blob in a store, which goes with the last row.

create table public.attachments (
  id uuid not null default gen_random_uuid(),
  user_id uuid,
  message_id uuid,
  name text,
  content_type text,
  size_bytes bigint,
  blob_url text,
  created_at timestamptz not null default now(),
  constraint attachments_pkey primary key (id),
  constraint attachments_user_id_fkey
    foreign key (user_id) references public.users (id) on delete cascade,
  constraint attachments_message_id_fkey
    foreign key (message_id) references public.messages (id) on delete cascade
);

create index attachments_created_at_idx on public.attachments (created_at);
create index attachments_user_id_idx on public.attachments (user_id, created_at);
create index attachments_message_id_idx on public.attachments (message_id);
-- A hash: an address may be longer than what a tree takes.
create index attachments_blob_url_idx on public.attachments using hash (blob_url);

-- Whose it is, where only its message says so.
create function public.attachment_user()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  new.user_id := (select m.user_id from public.messages as m where m.id = new.message_id);
  return new;
end
$$;

create trigger attachments_have_a_user
before insert or update on public.attachments
for each row when (new.user_id is null and new.message_id is not null)
execute function public.attachment_user();

create trigger attachments_name_blobs
after insert or update of blob_url on public.attachments
for each row execute function maintenance.track_blobs('blob_url');

create trigger attachments_let_go_of_blobs
after delete on public.attachments
referencing old table as gone
for each statement execute function maintenance.track_blobs('blob_url');

create trigger attachments_let_go_of_all
before truncate on public.attachments
for each statement execute function maintenance.track_blobs('blob_url');

comment on function public.attachment_user() is
  'Trigger: of an attachment that names its message alone, the user of that message.';
comment on table public.attachments is
  'Attachments of messages, and of users without one. blob_url names the blob in the store.';
