-- What users and assistants said.

create table public.messages (
  id uuid not null default gen_random_uuid(),
  user_id uuid,
  conversation_id uuid,
  role text not null default 'user',
  content text not null default '',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,
  constraint messages_pkey primary key (id),
  constraint messages_user_id_fkey
    foreign key (user_id) references public.users (id) on delete cascade,
  constraint messages_role_is_known check (role in ('user', 'assistant', 'system'))
);

create index messages_user_id_idx on public.messages (user_id, created_at desc, id)
where role = 'user' and deleted_at is null;

create trigger messages_touch_updated_at
before update on public.messages
for each row execute function public.touch_updated_at();

comment on table public.messages is 'Messages; deleted_at is a soft delete, updated_at sees edits.';
