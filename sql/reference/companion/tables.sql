-- What a companion knows: the states of its conversations and characters, with their versions, the
-- patches to them, and three levels of memory.

create table public.character_states (
  character_id uuid not null default gen_random_uuid(),
  user_id uuid,
  state jsonb not null default '{}',
  version integer not null default 1,
  updated_at timestamptz not null default now(),
  constraint character_states_pkey primary key (character_id),
  constraint character_states_user_id_fkey
    foreign key (user_id) references public.users (id) on delete cascade,
  constraint character_states_state_is_an_object check (jsonb_typeof(state) = 'object')
);

create index character_states_user_id_idx on public.character_states (user_id);

create trigger character_states_raise_version
before update on public.character_states
for each row when (old.state is distinct from new.state)
execute function public.raise_version();

create trigger character_states_touch_updated_at
before update on public.character_states
for each row execute function public.touch_updated_at();

create table public.conversation_states (
  conversation_id uuid not null default gen_random_uuid(),
  user_id uuid,
  character_id uuid,
  state jsonb not null default '{}',
  version integer not null default 1,
  updated_at timestamptz not null default now(),
  subject text not null
    generated always as (coalesce(user_id::text || '/', '') || conversation_id::text) stored,
  constraint conversation_states_pkey primary key (conversation_id),
  constraint conversation_states_subject_is_unique unique (subject),
  constraint conversation_states_user_id_fkey
    foreign key (user_id) references public.users (id) on delete cascade,
  constraint conversation_states_character_id_fkey
    foreign key (character_id) references public.character_states (character_id)
    on delete cascade,
  constraint conversation_states_state_is_an_object check (jsonb_typeof(state) = 'object')
);

create index conversation_states_user_id_idx on public.conversation_states (user_id);
create index conversation_states_character_id_idx on public.conversation_states (character_id);

create trigger conversation_states_raise_version
before update on public.conversation_states
for each row when (old.state is distinct from new.state)
execute function public.raise_version();

create trigger conversation_states_touch_updated_at
before update on public.conversation_states
for each row execute function public.touch_updated_at();

-- A conversation that goes is forgotten by the engine, too; with its user it is anyway.
create trigger conversation_states_are_erased
after delete on public.conversation_states
for each row execute function maintenance.note_deleted('subject');

create table public.patch_jobs (
  id uuid not null default gen_random_uuid(),
  user_id uuid,
  conversation_id uuid not null,
  character_id uuid,
  turn_seq integer default 0,
  patch_input jsonb not null default '{}',
  patch jsonb,
  status text not null default 'pending',
  attempts integer not null default 0,
  conflicts integer not null default 0,
  last_error text not null default '',
  run_id bigint,
  locked_at timestamptz,
  parked_at timestamptz,
  patched_at timestamptz,
  created_at timestamptz not null default now(),
  constraint patch_jobs_pkey primary key (id),
  constraint patch_jobs_one_a_turn unique (conversation_id, turn_seq),
  constraint patch_jobs_conversation_id_fkey
    foreign key (conversation_id) references public.conversation_states (conversation_id)
    on delete cascade,
  constraint patch_jobs_character_id_fkey
    foreign key (character_id) references public.character_states (character_id)
    on delete cascade,
  constraint patch_jobs_status_is_known
    check (status in ('pending', 'processing', 'done', 'failed')),
  constraint patch_jobs_counts_are_not_negative check (attempts >= 0 and conflicts >= 0)
);

create index patch_jobs_character_id_idx on public.patch_jobs (character_id);
create index patch_jobs_open_idx on public.patch_jobs ((status = 'failed'), created_at, id)
where status <> 'done' and parked_at is null;
create index patch_jobs_open_turn_idx on public.patch_jobs (conversation_id, turn_seq)
where status <> 'done' and parked_at is null;
create index patch_jobs_processing_idx on public.patch_jobs (run_id) where status = 'processing';
create index patch_jobs_parked_idx on public.patch_jobs (parked_at) where parked_at is not null;

-- What a companion remembers of ten minutes, of a day, and of two weeks.
create table public.memory_b_episodes (
  id uuid not null default gen_random_uuid(),
  conversation_id uuid not null,
  user_id uuid,
  bucket_start timestamptz not null,
  summary text not null default '',
  open_loops jsonb not null default '[]',
  tags jsonb not null default '[]',
  created_at timestamptz not null default now(),
  constraint memory_b_episodes_pkey primary key (id),
  constraint memory_b_episodes_one_a_bucket unique (conversation_id, bucket_start),
  constraint memory_b_episodes_conversation_id_fkey
    foreign key (conversation_id) references public.conversation_states (conversation_id)
    on delete cascade
);

create table public.memory_daily (
  id uuid not null default gen_random_uuid(),
  conversation_id uuid not null,
  user_id uuid,
  day_start timestamptz not null,
  c0_summary text not null default '',
  c1_highlights jsonb not null default '[]',
  c2_user_profile text not null default '',
  c3_role_profile text not null default '',
  created_at timestamptz not null default now(),
  constraint memory_daily_pkey primary key (id),
  constraint memory_daily_one_a_day unique (conversation_id, day_start),
  constraint memory_daily_conversation_id_fkey
    foreign key (conversation_id) references public.conversation_states (conversation_id)
    on delete cascade
);

create table public.memory_biweekly (
  id uuid not null default gen_random_uuid(),
  conversation_id uuid not null,
  user_id uuid,
  period_start timestamptz not null,
  summary text not null default '',
  created_at timestamptz not null default now(),
  constraint memory_biweekly_pkey primary key (id),
  constraint memory_biweekly_one_a_period unique (conversation_id, period_start),
  constraint memory_biweekly_conversation_id_fkey
    foreign key (conversation_id) references public.conversation_states (conversation_id)
    on delete cascade
);

comment on table public.character_states is 'What a character is by now, in all its conversations.';
comment on table public.conversation_states is 'What a conversation is about by now.';
comment on column public.character_states.version is
  'goes up with every change of the state: who writes it writes where it is still what he has read';
comment on column public.conversation_states.version is
  'goes up with every change of the state: who writes it writes where it is still what he has read';
comment on column public.conversation_states.subject is
  'what tasks about it are about: USER/CONVERSATION';
comment on table public.patch_jobs is
  'Changes to the states of a conversation and its character, one a turn (apply_patch_jobs).';
comment on column public.patch_jobs.turn_seq is
  'the turn, whose changes come after those of the turns before it; null: it belongs to none';
comment on column public.patch_jobs.patch_input is
  'what a model makes a patch of, where there is none';
comment on column public.patch_jobs.patch is 'what changes: see apply_patch_to_state';
comment on column public.patch_jobs.attempts is 'how often it failed or met another writer, in all';
comment on column public.patch_jobs.conflicts is
  'how often it has met another writer since it was taken up';
comment on column public.patch_jobs.run_id is 'the last run that took it up';
comment on column public.patch_jobs.locked_at is 'when that was';
comment on column public.patch_jobs.parked_at is
  'since when it is not tried any more: retry_patch_job takes it up again';
comment on table public.memory_b_episodes is 'What was said in ten minutes of a conversation.';
comment on table public.memory_daily is 'What a day of a conversation was like (UTC).';
comment on table public.memory_biweekly is
  'What two weeks of a conversation were like, counted from the beginning of 1970 (UTC).';
