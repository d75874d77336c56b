-- Users, their sign-in sessions and their subscriptions.

create table public.users (
  id uuid not null default gen_random_uuid(),
  email text,
  name text,
  role text not null default 'user',
  is_guest boolean not null default false,
  deleted_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint users_pkey primary key (id),
  constraint users_email_is_unique unique (email),
  constraint users_role_is_known check (role in ('user', 'admin', 'super_admin'))
);

create index users_updated_at_idx on public.users (updated_at);

create trigger users_touch_updated_at
before update on public.users
for each row execute function public.touch_updated_at();

-- What is known of somebody elsewhere goes with them.
create trigger users_are_erased
after delete on public.users
for each row execute function maintenance.note_deleted('id');

create trigger users_are_erased_when_marked
after update on public.users
for each row when (old.deleted_at is null and new.deleted_at is not null)
execute function maintenance.note_deleted('id');

create table public.sessions (
  id uuid not null default gen_random_uuid(),
  user_id uuid,
  token text,
  expires_at timestamptz not null default now() + interval '30 days',
  ip_address text,
  user_agent text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint sessions_pkey primary key (id),
  constraint sessions_user_id_fkey
    foreign key (user_id) references public.users (id) on delete cascade
);

create index sessions_expires_at_idx on public.sessions (expires_at);
create index sessions_user_id_expires_at_idx on public.sessions (user_id, expires_at);
create index idx_sessions_token_hash on public.sessions using hash (token);

create table public.user_subscriptions (
  id uuid not null default gen_random_uuid(),
  user_id uuid,
  plan text not null default 'vt_base',
  status text not null default 'active',
  current_period_start timestamptz,
  current_period_end timestamptz,
  creem_subscription_id text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint user_subscriptions_pkey primary key (id),
  constraint user_subscriptions_user_id_fkey
    foreign key (user_id) references public.users (id) on delete cascade
);

create index user_subscriptions_user_id_idx on public.user_subscriptions (user_id);
create index user_subscriptions_updated_at_idx on public.user_subscriptions (updated_at);
create index idx_user_subscriptions_plan_status on public.user_subscriptions (plan, status)
where status = 'active';

create trigger user_subscriptions_touch_updated_at
before update on public.user_subscriptions
for each row execute function public.touch_updated_at();

comment on table public.users is 'The people of the application; deleted_at is a soft delete.';
comment on table public.sessions is 'Sign-in sessions: worth nothing from expires_at on.';
comment on table public.user_subscriptions is
  'Subscriptions, past ones too: a user may have several.';
