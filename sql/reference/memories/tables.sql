-- What the application remembers of a user, one fact per row. A row is retired, never destroyed:
-- only active rows are facts, the others say what became of them. A change of a memory makes the
-- cached prompt of its user stale, so that goes in the same transaction.

create table public.memories (
  id uuid not null default gen_random_uuid(),
  user_id uuid not null,
  key text not null,
  content text not null,
  category text,
  confidence numeric,
  origin text not null default 'inferred',
  pinned boolean not null default false,
  status text not null default 'active',
  superseded_by uuid,
  merged_from uuid[],
  version integer not null default 1,
  observed_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint memories_pkey primary key (id),
  constraint memories_user_id_fkey
    foreign key (user_id) references public.users (id) on delete cascade,
  constraint memories_confidence_is_a_share check (confidence between 0 and 1),
  constraint memories_origin_is_known check (origin in ('user', 'inferred', 'consolidation')),
  constraint memories_status_is_known check (status in ('active', 'merged', 'superseded')),
  constraint memories_active_stands_alone check (status <> 'active' or superseded_by is null)
);

create unique index memories_active_key_is_unique on public.memories (user_id, key)
where status = 'active';
create index memories_user_id_idx on public.memories (user_id);

create table public.memory_prompt_cache (
  user_id uuid not null,
  prompt text not null default '',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint memory_prompt_cache_pkey primary key (user_id),
  constraint memory_prompt_cache_user_id_fkey
    foreign key (user_id) references public.users (id) on delete cascade
);

create trigger memory_prompt_cache_touch_updated_at
before update on public.memory_prompt_cache
for each row execute function public.touch_updated_at();

create function public.raise_version()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  new.version := old.version + 1;
  return new;
end
$$;

create trigger memories_raise_version
before update on public.memories
for each row execute function public.raise_version();

create trigger memories_touch_updated_at
before update on public.memories
for each row execute function public.touch_updated_at();

create function public.drop_memory_prompt()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- It works as the owner, and a trigger can be put on any table by whoever may execute it.
  if tg_relid <> 'public.memories'::regclass then
    raise exception 'drop_memory_prompt is a trigger of public.memories' using errcode = 'PM003';
  end if;
  delete from public.memory_prompt_cache as c where c.user_id in (old.user_id, new.user_id);
  -- Without the user's id: anybody who can connect may listen.
  notify memory_cache_invalidated;
  return null;
end
$$;

create trigger memories_drop_memory_prompt
after insert or update or delete on public.memories
for each row execute function public.drop_memory_prompt();

comment on table public.memories is
  'What is remembered of a user, one fact per row; only the active ones count.';
comment on column public.memories.origin is
  'who said it: the user in so many words, the application that inferred it, or a consolidation';
comment on column public.memories.pinned is 'nobody but the user retires it';
comment on column public.memories.superseded_by is 'the memory in its place, which may be gone too';
comment on column public.memories.merged_from is 'the memories that a consolidation made it of';
comment on column public.memories.version is 'goes up with every update';
comment on column public.memories.observed_at is 'when it was true to the one who said it';
comment on table public.memory_prompt_cache is
  'The prompt text made of a user''s memories, until one of them changes; then the row goes, and '
  'memory_cache_invalidated is notified.';
comment on function public.raise_version() is 'Trigger: counts the updates of a row in version.';
comment on function public.drop_memory_prompt() is
  'Trigger: drops the cached prompt of a memory''s user (S0-11) and notifies '
  'memory_cache_invalidated, both in the transaction of the change. Whose it was, is not said.';
