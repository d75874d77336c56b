-- What is known of a user, and how they want to be spoken to. set_by says field by field who set
-- it, 'user' or 'model'. What the user set, no model changes.

create table public.user_profiles (
  user_id uuid not null,
  name text,
  sport text,
  goal text,
  experience text,
  notes text,
  set_by jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint user_profiles_pkey primary key (user_id),
  constraint user_profiles_user_id_fkey
    foreign key (user_id) references public.users (id) on delete cascade,
  constraint user_profiles_set_by_is_an_object check (jsonb_typeof(set_by) = 'object')
);

create trigger user_profiles_touch_updated_at
before update on public.user_profiles
for each row execute function public.touch_updated_at();

create table public.user_preferences (
  user_id uuid not null,
  tone text,
  mode text,
  language text,
  set_by jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint user_preferences_pkey primary key (user_id),
  constraint user_preferences_user_id_fkey
    foreign key (user_id) references public.users (id) on delete cascade,
  constraint user_preferences_tone_is_known
    check (tone in ('calm', 'energetic', 'professional', 'friendly', 'direct')),
  constraint user_preferences_mode_is_known check (mode in ('coaching', 'friendly', 'direct')),
  constraint user_preferences_set_by_is_an_object check (jsonb_typeof(set_by) = 'object')
);

create trigger user_preferences_touch_updated_at
before update on public.user_preferences
for each row execute function public.touch_updated_at();

comment on table public.user_profiles is 'What is known of a user, one row per user.';
comment on table public.user_preferences is 'How a user wants to be spoken to, one row per user.';
comment on column public.user_profiles.set_by is 'field -> "user" or "model"';
comment on column public.user_preferences.set_by is 'field -> "user" or "model"';
