-- Imports: a run reads an upload into raw items; a job maps them.

create table public.import_runs (
  id uuid not null default gen_random_uuid(),
  user_id uuid,
  broker_account_id uuid,
  source text not null default 'csv',
  status text not null default 'pending',
  started_at timestamptz default now(),
  finished_at timestamptz,
  summary jsonb,
  error text,
  created_at timestamptz not null default now(),
  constraint import_runs_pkey primary key (id),
  constraint import_runs_source_is_known check (source in ('csv', 'email', 'manual', 'api')),
  constraint import_runs_status_is_known
    check (status in ('pending', 'processing', 'partial', 'success', 'failed'))
);

create index import_runs_processing_idx on public.import_runs (coalesce(started_at, created_at))
where status = 'processing';
create index import_runs_unsuccessful_idx
on public.import_runs (coalesce(finished_at, started_at, created_at))
where status in ('failed', 'partial');

create table public.raw_import_items (
  id uuid not null default gen_random_uuid(),
  import_run_id uuid,
  user_id uuid,
  source_line integer,
  raw_payload jsonb,
  status text not null default 'parsed',
  error text,
  created_at timestamptz not null default now(),
  constraint raw_import_items_pkey primary key (id),
  constraint raw_import_items_import_run_id_fkey
    foreign key (import_run_id) references public.import_runs (id) on delete cascade,
  constraint raw_import_items_status_is_known check (status in ('parsed', 'error', 'duplicate'))
);

create index raw_import_items_created_at_idx on public.raw_import_items (created_at);
create index raw_import_items_import_run_id_idx
on public.raw_import_items (import_run_id, created_at);

create table public.temp_uploads (
  id uuid not null default gen_random_uuid(),
  token text not null default gen_random_uuid()::text,
  user_id uuid,
  filename text,
  file_type text,
  expires_at timestamptz not null default now() + interval '24 hours',
  created_at timestamptz not null default now(),
  constraint temp_uploads_pkey primary key (id),
  constraint temp_uploads_token_is_unique unique (token)
);

create index temp_uploads_created_at_idx on public.temp_uploads (created_at);

create table public.import_jobs (
  id uuid not null default gen_random_uuid(),
  import_run_id uuid,
  user_id uuid,
  upload_ref text,
  mapping jsonb not null default '{}',
  options jsonb,
  total_rows integer,
  processed_rows integer,
  status text not null default 'processing',
  error_message text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz,
  compacted_at timestamptz,
  constraint import_jobs_pkey primary key (id),
  constraint import_jobs_import_run_id_fkey
    foreign key (import_run_id) references public.import_runs (id) on delete cascade,
  constraint import_jobs_status_is_known
    check (status in ('processing', 'completed', 'failed', 'cancelled'))
);

create index import_jobs_import_run_id_idx on public.import_jobs (import_run_id);
create index import_jobs_upload_ref_idx on public.import_jobs (upload_ref)
where status = 'processing';
create index import_jobs_to_compact_idx on public.import_jobs (created_at)
where status in ('completed', 'failed', 'cancelled') and compacted_at is null;
create index import_jobs_processing_idx on public.import_jobs (created_at)
where status = 'processing';

create trigger import_jobs_touch_updated_at
before update on public.import_jobs
for each row execute function public.touch_updated_at();

comment on table public.import_runs is 'One reading of a source into raw items.';
comment on table public.raw_import_items is 'The lines that an import run read, as they came.';
comment on table public.temp_uploads is 'Uploaded files that wait to be imported.';
comment on table public.import_jobs is 'The mapping of an upload; upload_ref is its token.';
comment on column public.import_jobs.compacted_at is
  'when mapping and options gave way to {"compacted": true}';
