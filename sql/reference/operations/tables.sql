-- What keeps the application going: its cache of searches.

create table public.search_cache (
  id uuid not null default gen_random_uuid(),
  query_hash text not null,
  results jsonb not null default '[]',
  hit_count integer not null default 0,
  last_accessed timestamptz,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  constraint search_cache_pkey primary key (id),
  constraint search_cache_query_is_unique unique (query_hash)
);

create index search_cache_expires_at_idx on public.search_cache (expires_at);

comment on table public.search_cache is 'Results of searches, until expires_at; null: for ever.';
