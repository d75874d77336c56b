-- What a study assistant remembers of a student, what it has summed up of that, and what the
-- student's profile is computed from. A memory says by itself until when it is kept.

create table public.study_chat_memory (
  id uuid not null default gen_random_uuid(),
  user_id uuid,
  content text not null default '',
  embedding real[],
  importance_score integer not null default 3,
  tags text[] not null default '{}',
  source_conversation_id uuid,
  created_at timestamptz not null default now(),
  expires_at timestamptz default now() + interval '8 months',
  is_active boolean not null default true,
  constraint study_chat_memory_pkey primary key (id),
  constraint study_chat_memory_user_id_fkey
    foreign key (user_id) references public.users (id) on delete cascade,
  constraint study_chat_memory_importance_is_known check (importance_score between 1 and 5)
);

create index study_chat_memory_user_id_idx on public.study_chat_memory (user_id, created_at);
create index study_chat_memory_created_at_idx on public.study_chat_memory (created_at)
where is_active;
-- Until when it is kept. In UTC, since months of another zone are no constant.
create index study_chat_memory_until_idx on public.study_chat_memory ((coalesce(expires_at,
  (created_at at time zone 'UTC' + interval '8 months') at time zone 'UTC')));

-- How many bytes a clean-up frees, on the receipt of its run.
create function public.note_bytes_freed()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_run_id constant bigint := maintenance_internal.this_run();
  v_bytes bigint;
begin
  -- It works as the owner, and a trigger can be put on any table by whoever may execute it.
  if tg_relid <> 'public.study_chat_memory'::regclass then
    raise exception 'note_bytes_freed is a trigger of public.study_chat_memory'
      using errcode = 'PM003';
  elsif v_run_id is null then
    return null;
  end if;
  -- Value by value: the size of a row as a whole depends on the way it was read.
  execute (
    select format('select sum(%s) from gone as g',
      string_agg(format('coalesce(pg_column_size(g.%I), 0)', a.attname), ' + '))
    from pg_attribute as a
    where a.attrelid = tg_relid and a.attnum > 0 and not a.attisdropped)
  into v_bytes;
  perform maintenance.add_details(jsonb_build_object('bytesFreed', v_bytes + coalesce((
    select (r.details ->> 'bytesFreed')::bigint
    from maintenance_internal.run as r where r.run_id = v_run_id), 0)))
  where v_bytes > 0;
  return null;
end
$$;

create trigger study_chat_memory_notes_bytes_freed
after delete on public.study_chat_memory
referencing old table as gone
for each statement execute function public.note_bytes_freed();

create table public.memory_summaries (
  id uuid not null default gen_random_uuid(),
  user_id uuid not null,
  summary_type text not null default 'weekly',
  period_start date not null default current_date - 7,
  period_end date not null default current_date,
  summary_text text not null default '',
  token_count integer,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  constraint memory_summaries_pkey primary key (id),
  constraint memory_summaries_one_a_period unique (user_id, summary_type, period_start),
  constraint memory_summaries_user_id_fkey
    foreign key (user_id) references public.users (id) on delete cascade,
  constraint memory_summaries_type_is_known check (summary_type in ('weekly', 'monthly')),
  constraint memory_summaries_text_is_short check (length(summary_text) <= 500),
  constraint memory_summaries_end_after_they_start check (period_end > period_start)
);

create index memory_summaries_expires_at_idx on public.memory_summaries (expires_at);

-- What is learned, and how far it has come.
create table public.subjects (
  id uuid not null default gen_random_uuid(),
  user_id uuid,
  name text not null default '',
  created_at timestamptz not null default now(),
  constraint subjects_pkey primary key (id),
  constraint subjects_user_id_fkey
    foreign key (user_id) references public.users (id) on delete cascade
);

create index subjects_user_id_idx on public.subjects (user_id);

create table public.topics (
  id uuid not null default gen_random_uuid(),
  user_id uuid,
  subject_id uuid,
  name text not null default '',
  status text not null default 'pending',
  difficulty text not null default 'Medium',
  revision_count integer not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint topics_pkey primary key (id),
  constraint topics_user_id_fkey
    foreign key (user_id) references public.users (id) on delete cascade,
  constraint topics_subject_id_fkey
    foreign key (subject_id) references public.subjects (id) on delete cascade,
  constraint topics_status_is_known check (status in ('pending', 'in_progress', 'completed')),
  constraint topics_difficulty_is_known check (difficulty in ('Easy', 'Medium', 'Hard')),
  constraint topics_revision_count_is_not_negative check (revision_count >= 0)
);

create index topics_user_id_idx on public.topics (user_id);
create index topics_subject_id_idx on public.topics (subject_id);

create trigger topics_touch_updated_at
before update on public.topics
for each row execute function public.touch_updated_at();

create table public.activity_logs (
  id uuid not null default gen_random_uuid(),
  user_id uuid,
  activity_type text not null default '',
  summary text,
  details jsonb not null default '{}',
  created_at timestamptz not null default now(),
  constraint activity_logs_pkey primary key (id),
  constraint activity_logs_user_id_fkey
    foreign key (user_id) references public.users (id) on delete cascade
);

create index activity_logs_created_at_idx on public.activity_logs (created_at);
create index activity_logs_user_id_idx on public.activity_logs (user_id, created_at);

create table public.student_ai_profile (
  user_id uuid not null,
  profile_text text not null default '',
  strong_subjects text[] not null default '{}',
  weak_subjects text[] not null default '{}',
  learning_style text,
  exam_target text,
  last_updated timestamptz not null default now(),
  constraint student_ai_profile_pkey primary key (user_id),
  constraint student_ai_profile_user_id_fkey
    foreign key (user_id) references public.users (id) on delete cascade,
  constraint student_ai_profile_text_is_short check (length(profile_text) <= 200)
);

comment on table public.study_chat_memory is
  'What was remembered of a student, until expires_at, or for eight months where that is null.';
comment on column public.study_chat_memory.embedding is
  'a plain array, since not every server has a type for vectors';
comment on column public.study_chat_memory.is_active is 'false: kept, and no part of a summary';
comment on function public.note_bytes_freed() is
  'Trigger: adds the size of the values that are deleted to bytesFreed on the receipt of the run '
  'that deletes them (S2-09).';
comment on table public.memory_summaries is
  'What a week, or a month, of a student''s memories was about: one row each (S2-13).';
comment on column public.memory_summaries.period_start is 'its first day (UTC)';
comment on column public.memory_summaries.period_end is 'the day after its last (UTC)';
comment on column public.memory_summaries.token_count is 'about how many tokens that is';
comment on column public.memory_summaries.expires_at is 'when it goes; null: never';
comment on table public.subjects is 'The subjects that a student learns.';
comment on table public.topics is 'The topics of a subject, and how far the student has come.';
comment on table public.activity_logs is
  'What a student did: activity_type, with what belongs to it in details.';
comment on table public.student_ai_profile is
  'A student in 200 characters, computed by profile_refresh (S2-12); learning_style and '
  'exam_target are the application''s.';
