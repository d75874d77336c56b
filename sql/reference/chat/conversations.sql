-- Conversations by name: old ones are put away (archive_conversations), and updated_at, by which
-- that goes, is when the last message came.

create table public.chat_conversations (
  id uuid not null default gen_random_uuid(),
  user_id uuid,
  title text not null default '',
  chat_type text not null default 'general',
  is_archived boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint chat_conversations_pkey primary key (id),
  constraint chat_conversations_user_id_fkey
    foreign key (user_id) references public.users (id) on delete cascade
);

create index chat_conversations_user_id_idx on public.chat_conversations (user_id, updated_at);
create index chat_conversations_open_idx on public.chat_conversations (updated_at)
where not is_archived;

create function public.bump_conversations()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- It works as the owner, and a trigger can be put on any table by whoever may execute it.
  if tg_relid <> 'public.messages'::regclass then
    raise exception 'bump_conversations is a trigger of public.messages' using errcode = 'PM003';
  end if;
  -- Who writes a message waits for nobody: whoever holds a conversation is most often at the same.
  -- And a message that an undo brings back is as old as it was.
  update public.chat_conversations as c
  set updated_at = n.last_at
  from (
    select o.id, m.last_at
    from (
      select i.conversation_id, least(max(i.created_at), now()) as last_at
      from new_messages as i
      where i.conversation_id is not null
      group by i.conversation_id
    ) as m
    join public.chat_conversations as o
      on o.id = m.conversation_id and o.updated_at < m.last_at
    for no key update of o skip locked
  ) as n
  where c.id = n.id and c.updated_at < n.last_at;
  return null;
end
$$;

create trigger messages_bump_conversations
after insert on public.messages
referencing new table as new_messages
for each statement execute function public.bump_conversations();

comment on table public.chat_conversations is
  'Conversations of users; their messages name them as conversation_id.';
comment on column public.chat_conversations.is_archived is
  'put away, by a person or by archive_conversations; whether a new message fetches it back is the '
  'application''s to say';
comment on column public.chat_conversations.updated_at is
  'when its last message came; to archive it is no change';
comment on function public.bump_conversations() is
  'Trigger: updated_at of a conversation is that of its last message.';
