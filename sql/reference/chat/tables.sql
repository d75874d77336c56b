-- What users and assistants said.

create table public.messages (
  id uuid not null default gen_random_uuid(),
  user_id uuid,
  conversation_id uuid,
  role text not null default 'user',
  input_event text,
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

create index messages_session_idx on public.messages (user_id, created_at, id)
where deleted_at is null;

create index messages_conversation_idx on public.messages (conversation_id, created_at, id)
where conversation_id is not null and deleted_at is null;

create index messages_turn_idx on public.messages (conversation_id, created_at)
where conversation_id is not null and deleted_at is null and role = 'user';

create index messages_post_idx on public.messages (conversation_id, input_event, created_at)
where input_event is not null and deleted_at is null;

-- One diary a day (UTC).
create unique index messages_diary_idx
on public.messages (conversation_id, date_trunc('day', created_at at time zone 'UTC'))
where input_event = 'DIARY_DAILY' and deleted_at is null;

create trigger messages_touch_updated_at
before update on public.messages
for each row execute function public.touch_updated_at();

create table public.archived_sessions (
  id uuid not null default gen_random_uuid(),
  user_id uuid not null,
  started_at timestamptz not null,
  ended_at timestamptz not null,
  summary text not null,
  message_count integer not null,
  created_at timestamptz not null default now(),
  constraint archived_sessions_pkey primary key (id),
  constraint archived_sessions_user_id_fkey
    foreign key (user_id) references public.users (id) on delete cascade,
  constraint archived_sessions_end_after_they_start check (ended_at >= started_at),
  constraint archived_sessions_have_a_summary check (btrim(summary) <> ''),
  constraint archived_sessions_stand_for_messages check (message_count > 0)
);

create index archived_sessions_user_id_idx on public.archived_sessions (user_id, started_at);

comment on table public.archived_sessions is
  'What is left of an old chat: a summary in place of its messages (S0-20).';
comment on table public.messages is 'Messages; deleted_at is a soft delete, updated_at sees edits.';
comment on column public.messages.input_event is
  'why a companion has written it by itself: SCHEDULE_TICK, MOMENT_POST, DIARY_DAILY; else null';
