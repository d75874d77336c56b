-- What is backed up, and which backups there are. Rules S2-11, S2-27, C-20.

create schema maintenance_backup;

create table public.backup_tables (
  name text not null,
  constraint backup_tables_pkey primary key (name)
);

-- Where there is none: what somebody has edited stays.
create function maintenance_internal.put_backup_tables()
returns void
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  insert into public.backup_tables (name)
  select unnest(array['chat_conversations', 'messages', 'study_chat_memory', 'memory_summaries',
    'api_usage_logs', 'student_ai_profile', 'user_profiles', 'subjects', 'topics',
    'activity_logs', 'users'])
  where not exists (select from public.backup_tables);
end;

select maintenance_internal.put_backup_tables();

-- A backup is registered as one that has failed, and what makes and verifies it says else.
create table public.backups (
  backup_id bigint generated always as identity,
  backup_type text not null default 'snapshot',
  status text not null default 'failed',
  started_at timestamptz not null,
  finished_at timestamptz,
  file_location text,
  size_bytes bigint,
  tables jsonb not null default '{}',
  error_message text,
  checksum text,
  constraint backups_pkey primary key (backup_id),
  constraint backups_status_is_known check (status in ('verified', 'failed'))
);

create view public.backup_statistics as
select s.job_name, s.last_status as status, s.last_run_at, s.last_success_at, s.last_ms,
  s.runs as run_count, s.succeeded as success_count, s.failed as failure_count,
  b.backups, b.verified, b.last_backup_at, b.oldest_backup_at, b.total_bytes, b.average_bytes,
  b.last_dump_at
from maintenance.job_statistics('30 days') as s
cross join (
  select count(*) filter (where k.backup_type = 'snapshot') as backups,
    count(*) filter (where v.type = 'snapshot') as verified,
    max(k.started_at) filter (where v.type = 'snapshot') as last_backup_at,
    min(k.started_at) filter (where v.type = 'snapshot') as oldest_backup_at,
    coalesce(sum(k.size_bytes) filter (where v.type = 'snapshot'), 0) as total_bytes,
    round(avg(k.size_bytes) filter (where v.type = 'snapshot')) as average_bytes,
    max(k.started_at) filter (where v.type = 'dump') as last_dump_at
  from public.backups as k
  cross join lateral (select case k.status when 'verified' then k.backup_type end) as v (type)
) as b
where s.job_name = 'automated_backup';

comment on schema maintenance_backup is
  'Copies of tables, made by the job automated_backup: public.backups says which. For the owner.';
comment on table public.backup_tables is
  'The tables of public that automated_backup copies (S2-11), for the owner to edit. One that is '
  'not there fails the backup.';
comment on table public.backups is
  'Backups (S2-11, C-20). Snapshots, inside of this database, by automated_backup: they protect '
  'from a bad delete or update, a bad release, a dropped table; not from the loss of the server '
  'or its disk, nor from who drops the database. Dumps, files outside of it, by scripts/backup. '
  'What they hold of people stays until the backup goes, after the setting backup_days (30), also '
  'of those who were deleted since.';
comment on column public.backups.backup_type is
  'snapshot: copies of tables in maintenance_backup; dump: a file of pg_dump';
comment on column public.backups.status is
  'verified: it was restored once, and was like its source; failed: it is not there';
comment on column public.backups.started_at is
  'as of when all of its tables are; of a failed one, when it began';
comment on column public.backups.finished_at is 'when it was verified';
comment on column public.backups.file_location is
  'what its copies are named; of a dump, the host and the path of the file';
comment on column public.backups.size_bytes is 'what the copies take, or the file';
comment on column public.backups.tables is
  '{table: {rows, checksum (as of backup_sums)}}, and of a snapshot also copy: its name in '
  'maintenance_backup, bytes, keys. The tables of a dump are named with their schemas.';
comment on column public.backups.error_message is 'why it failed, or where to read that';
comment on column public.backups.checksum is 'of a dump, the SHA-256 of the file';
comment on view public.backup_statistics is
  'How the snapshots of 30 days went, and which there are, and as of when the last dump is: one '
  'row (S2-27).';
comment on column public.backup_statistics.job_name is 'automated_backup';
comment on column public.backup_statistics.status is 'how its last run ended, or running';
comment on column public.backup_statistics.last_run_at is 'when that began';
comment on column public.backup_statistics.last_success_at is
  'when the last run that succeeded began';
comment on column public.backup_statistics.last_ms is 'how long the last run took';
comment on column public.backup_statistics.run_count is
  'runs; not those that were skipped or cancelled';
comment on column public.backup_statistics.success_count is 'how many of them succeeded';
comment on column public.backup_statistics.failure_count is
  'how many failed, timed out or were interrupted';
comment on column public.backup_statistics.backups is 'snapshots in the registry, failed ones too';
comment on column public.backup_statistics.verified is 'how many of them are there, and verified';
comment on column public.backup_statistics.last_backup_at is 'as of when the last verified one is';
comment on column public.backup_statistics.oldest_backup_at is 'as of when the oldest of them is';
comment on column public.backup_statistics.total_bytes is 'what they take in all';
comment on column public.backup_statistics.average_bytes is 'what one of them takes on average';
comment on column public.backup_statistics.last_dump_at is
  'as of when the last verified dump (scripts/backup) is';
