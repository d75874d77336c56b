-- migrate:up

-- from sql/app/touch_updated_at.sql 30758261ab8d5749
-- Keeps updated_at true, whoever writes the row.

create function public.touch_updated_at()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  new.updated_at := now();
  return new;
end
$$;

comment on function public.touch_updated_at() is 'Trigger: sets updated_at on every update.';
revoke all on function public.touch_updated_at() from public;
-- end of sql/app/touch_updated_at.sql

-- from sql/app/accounts.sql 1c2ace20aa0b766e
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
-- end of sql/app/accounts.sql

-- from sql/app/user_subscription_summary.sql fb71e081d18ff051
-- One row a user with the subscription that counts: an active one first, then the one that runs
-- longest. The view is always right; the materialized view is quick, and as fresh as its refresh.

create view public.user_subscription_now as
select
  u.id as user_id,
  u.email,
  coalesce(s.plan, 'vt_base') as user_plan_slug,
  s.status as subscription_status,
  s.current_period_end,
  s.creem_subscription_id,
  -- Both spellings are in use.
  coalesce(s.plan in ('vt-plus', 'vt_plus') and s.status = 'active', false) as is_vt_plus,
  s.created_at as subscription_created_at,
  s.updated_at as subscription_updated_at
from public.users as u
left join lateral (
  select us.*
  from public.user_subscriptions as us
  where us.user_id = u.id
  order by us.status = 'active' desc, us.current_period_end desc nulls last,
    us.created_at desc, us.id
  limit 1
) as s on true;

create materialized view public.user_subscription_summary as
select n.* from public.user_subscription_now as n;

create unique index user_subscription_summary_user_id_idx
on public.user_subscription_summary (user_id);
create index user_subscription_summary_plus_idx
on public.user_subscription_summary (current_period_end desc) where is_vt_plus;

comment on view public.user_subscription_now is
  'A row a user with the subscription that counts, worked out anew at each look.';
comment on materialized view public.user_subscription_summary is
  'user_subscription_now as of the last refresh, for quick checks by user_id.';
-- end of sql/app/user_subscription_summary.sql

-- from sql/app/imports.sql 33c578e023691baf
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
where status in ('completed', 'failed', 'cancelled') and not mapping @> '{"compacted": true}';

create trigger import_jobs_touch_updated_at
before update on public.import_jobs
for each row execute function public.touch_updated_at();

comment on table public.import_runs is 'One reading of a source into raw items.';
comment on table public.raw_import_items is 'The lines that an import run read, as they came.';
comment on table public.temp_uploads is 'Uploaded files that wait to be imported.';
comment on table public.import_jobs is 'The mapping of an upload; upload_ref is its token.';
comment on column public.import_jobs.compacted_at is
  'when mapping and options gave way to {"compacted": true}';
-- end of sql/app/imports.sql

-- from sql/jobs/imports.sql f33eb2fe65d63d37
-- Imports: stuck runs fail, old uploads and old raw items of unsuccessful runs go, old import jobs
-- are compacted. Rules S1-01 to S1-04, in the order of S1-07.

select maintenance.set_policy(
  'mark_stuck_import_runs',
  target => 'public.import_runs',
  action => 'update',
  age => 'coalesce(started_at, created_at)',
  keep => '24 hours',
  matching => 'status = ''processing''',
  assign => $$
    status = 'failed',
    finished_at = now(),
    error = coalesce(error || '; ', '') || 'timeout: still processing after 24 hours',
    summary = case
        when jsonb_typeof(summary) = 'object' then summary
        when summary is null or summary = 'null' then '{}'
        else jsonb_build_object('summary', summary)
      end || '{"error": "timeout"}'
  $$,
  schedule => '0 3 * * *',
  description => 'Import runs processing for more than 24 hours',
  backlog_name => 'stuck_runs');

select maintenance.set_policy(
  'cleanup_temp_uploads',
  target => 'public.temp_uploads',
  action => 'delete',
  age => 'created_at',
  keep => '24 hours',
  matching => $$
    not exists (
      select from public.import_jobs as j
      where j.upload_ref = token and j.status = 'processing')
  $$,
  schedule => '0 3 * * *',
  description => 'Temporary uploads older than 24 hours that no running import job refers to',
  backlog_name => 'old_temp_uploads');

select maintenance.set_policy(
  'cleanup_old_raw_items',
  target => 'public.raw_import_items',
  action => 'delete',
  age => 'created_at',
  keep => '30 days',
  matching => $$
    exists (
      select from public.import_runs as r
      where r.id = import_run_id
        and r.status in ('failed', 'partial')
        and coalesce(r.finished_at, r.started_at, r.created_at) <= now() - interval '30 days')
  $$,
  schedule => '0 3 * * *',
  description => 'Raw items of import runs that ended failed or partial more than 30 days ago',
  backlog_name => 'old_raw_items');

select maintenance.set_policy(
  'compact_old_import_jobs',
  target => 'public.import_jobs',
  action => 'update',
  age => 'created_at',
  keep => '7 days',
  matching => $$
    status in ('completed', 'failed', 'cancelled') and not mapping @> '{"compacted": true}'
  $$,
  assign => $$
    mapping = '{"compacted": true}',
    options = '{"compacted": true}',
    compacted_at = now(),
    updated_at = now()
  $$,
  schedule => '0 3 * * *',
  description => 'Ended import jobs older than 7 days whose mapping is still kept in full',
  backlog_name => 'old_import_jobs');

create function public.mark_stuck_import_runs()
returns integer
language sql
set search_path = pg_catalog, pg_temp
return maintenance.run_or_raise('mark_stuck_import_runs');

comment on function public.mark_stuck_import_runs() is
  'Fails the import runs that have been processing for more than 24 hours (S1-01), in the '
  'caller''s transaction; rows changed. Errors: PM008 it failed, PM009 it is running or disabled.';

create function public.cleanup_temp_uploads()
returns integer
language sql
set search_path = pg_catalog, pg_temp
return maintenance.run_or_raise('cleanup_temp_uploads');

comment on function public.cleanup_temp_uploads() is
  'Deletes the uploads older than 24 hours that no processing import job refers to (S1-02, C-14), '
  'in the caller''s transaction; rows deleted. Errors: PM008 it failed, PM009 it is running or '
  'disabled.';

create function public.cleanup_old_raw_items()
returns integer
language sql
set search_path = pg_catalog, pg_temp
return maintenance.run_or_raise('cleanup_old_raw_items');

comment on function public.cleanup_old_raw_items() is
  'Deletes the raw items older than 30 days of runs that ended failed or partial more than 30 days '
  'ago (S1-04, C-12), in the caller''s transaction; rows deleted. Errors: PM008 it failed, PM009 '
  'it is running or disabled.';

create function public.compact_old_import_jobs()
returns integer
language sql
set search_path = pg_catalog, pg_temp
return maintenance.run_or_raise('compact_old_import_jobs');

comment on function public.compact_old_import_jobs() is
  'Puts {"compacted": true} in place of mapping and options of ended import jobs older than 7 days '
  '(S1-03, C-13: error_message stays), in the caller''s transaction; rows changed. Errors: PM008 '
  'it failed, PM009 it is running or disabled.';

create function public.run_maintenance_cleanup()
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_key text;
  v_job_name text;
  v_run jsonb;
  v_result jsonb := jsonb_build_object(
    'timestamp', to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'));
  v_errors jsonb := '[]';
begin
  for v_key, v_job_name in values
    ('stuckRunsMarked', 'mark_stuck_import_runs'),
    ('tempUploadsPurged', 'cleanup_temp_uploads'),
    ('rawItemsCleaned', 'cleanup_old_raw_items'),
    ('importJobsCompacted', 'compact_old_import_jobs')
  loop
    begin
      v_run := maintenance.run_now(v_job_name);
    exception when others then
      v_run := jsonb_build_object('success', false, 'message', v_job_name || ': ' || sqlerrm);
    end;
    v_result := v_result
      || jsonb_build_object(v_key, coalesce((v_run #>> '{data,rowsAffected}')::integer, 0));
    if not (v_run ->> 'success')::boolean then
      v_errors := v_errors || jsonb_build_array(v_run ->> 'message');
    end if;
  end loop;
  return v_result || jsonb_build_object('errors', v_errors);
end
$$;

comment on function public.run_maintenance_cleanup() is
  'The four import jobs in one transaction, in order (S1-05 to S1-07): {timestamp, '
  'stuckRunsMarked, tempUploadsPurged, rawItemsCleaned, importJobsCompacted, errors}. A step that '
  'fails stops no other and is named in errors. For modest backlogs: call maintenance.run_job '
  'commits in batches.';
-- end of sql/jobs/imports.sql

-- from sql/jobs/accounts.sql 402548d835996f0f
-- Accounts: expired sessions go, the subscription summary is refreshed, statistics are kept fresh,
-- indexes are reported. Rules S4-01 to S4-10, S4-16 and S4-18.

select maintenance.set_policy(
  'cleanup_expired_sessions',
  target => 'public.sessions',
  action => 'delete',
  age => 'expires_at',
  keep => '0',
  schedule => '0 * * * *',
  description => 'Sessions that have expired',
  backlog_name => 'expired_sessions');

create function public.cleanup_expired_sessions()
returns integer
language sql
set search_path = pg_catalog, pg_temp
return maintenance.run_or_raise('cleanup_expired_sessions');

comment on function public.cleanup_expired_sessions() is
  'Deletes the sessions whose expires_at has come (S4-01), in the caller''s transaction; rows '
  'deleted. Errors: PM008 it failed, PM009 it is running or disabled.';

create function public.refresh_subscription_summary_step(batch_size integer)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_rows bigint;
  v_concurrently boolean := (
    select c.relispopulated from pg_class as c
    where c.oid = 'public.user_subscription_summary'::regclass);
begin
  -- Postgres refuses CONCURRENTLY on a view that was never filled (S4-18).
  if v_concurrently then
    refresh materialized view concurrently public.user_subscription_summary;
  else
    refresh materialized view public.user_subscription_summary;
  end if;
  select count(*) into v_rows from public.user_subscription_summary;
  perform maintenance.add_details(
    jsonb_build_object('rows', v_rows, 'concurrently', v_concurrently));
  notify subscription_summary_refreshed;
  return 0;
end
$$;

comment on function public.refresh_subscription_summary_step(integer) is
  'Step of refresh_subscription_summary: one refresh, without blocking readers where the view is '
  'filled (S4-02); leaves the number of rows on the receipt and notifies '
  'subscription_summary_refreshed.';

create function public.stale_subscription_summary(cap integer)
returns table (due bigint, oldest timestamptz)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_since timestamptz :=
    coalesce(maintenance.last_success('refresh_subscription_summary'), '-infinity')
    - interval '1 hour';
begin
  if not (select c.relispopulated from pg_class as c
    where c.oid = 'public.user_subscription_summary'::regclass) then
    return query
      select count(*), min(u.created_at)
      from (select p.created_at from public.users as p limit cap) as u;
    return;
  end if;

  -- Looked at is what changed since the last refresh began, and an hour before it for the
  -- transactions that were open then; stale is what differs.
  return query
    with changed as (
      select u.id, u.updated_at
      from public.users as u
      where u.updated_at >= v_since
      union all
      select s.user_id, s.updated_at
      from public.user_subscriptions as s
      where s.updated_at >= v_since and s.user_id is not null
    ), stale as (
      select max(c.updated_at) as updated_at
      from changed as c
      join public.user_subscription_now as n on n.user_id = c.id
      left join public.user_subscription_summary as m on m.user_id = c.id
      where to_jsonb(m) is distinct from to_jsonb(n)
      group by c.id
      limit cap
    )
    select count(*), min(stale.updated_at) from stale;
end
$$;

comment on function public.stale_subscription_summary(integer) is
  'How many users differ from their row in user_subscription_summary, up to cap, and since when '
  '(S4-16).';

select maintenance.set_job(
  'refresh_subscription_summary',
  step => 'public.refresh_subscription_summary_step',
  schedule => '0 * * * *',
  description => 'Users whose subscription summary is out of date',
  backlog_name => 'subscription_summary_stale',
  backlog_function => 'public.stale_subscription_summary');

create function public.refresh_subscription_summary()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform maintenance.run_or_raise('refresh_subscription_summary');
end
$$;

comment on function public.refresh_subscription_summary() is
  'Refreshes user_subscription_summary (S4-02), concurrently where it is filled, in the caller''s '
  'transaction. Errors: PM008 it failed, PM009 it is running or disabled.';

create function public.analyze_account_tables_step(batch_size integer)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  analyze public.users, public.user_subscriptions, public.sessions;
  return 0;
end
$$;

comment on function public.analyze_account_tables_step(integer) is
  'Step of analyze_account_tables: ANALYZE of users, user_subscriptions and sessions (S4-04).';

select maintenance.set_job(
  'analyze_account_tables',
  step => 'public.analyze_account_tables_step',
  schedule => '0 * * * *',
  description => 'Fresh planner statistics for users, user_subscriptions and sessions');

select maintenance.set_statement(
  'vacuum_account_tables',
  statement => 'vacuum (analyze) public.users, public.user_subscriptions, public.sessions',
  schedule => '0 2 * * 0',
  description => 'VACUUM of users, user_subscriptions and sessions');

create function public.weekly_index_report_step(batch_size integer)
returns bigint
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  select maintenance.add_details(jsonb_build_object(
    'indexes', (select count(*) from maintenance.index_health),
    'bytes', (select coalesce(sum(h.bytes), 0) from maintenance.index_health as h),
    'unused', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'index', format('%I.%I', h.schema_name, h.index_name), 'bytes', h.bytes)
        order by h.bytes desc), '[]')
      from maintenance.index_health as h where h.is_unused),
    'invalid', (
      select coalesce(jsonb_agg(format('%I.%I', h.schema_name, h.index_name)), '[]')
      from maintenance.index_health as h where not h.is_valid),
    'bloated', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'table', format('%I.%I', b.schema_name, b.table_name), 'deadPercent', b.dead_percent)
        order by b.dead_rows desc), '[]')
      from maintenance.table_bloat as b where b.is_bloated)));
  select 0::bigint;
end;

comment on function public.weekly_index_report_step(integer) is
  'Step of weekly_index_report: leaves unused and invalid indexes and bloated tables on the '
  'receipt (S4-05 to S4-07).';

select maintenance.set_job(
  'weekly_index_report',
  step => 'public.weekly_index_report_step',
  schedule => '10 2 * * 0',
  description => 'Unused and invalid indexes and bloated tables, kept in details of the receipt');

create function public.get_database_health_stats()
returns jsonb
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
set timezone = 'UTC'
set lock_timeout = '1s'
as $$
declare
  v_bloated jsonb;
  v_unused jsonb;
  v_expired bigint;
  v_sessions bigint;
  v_issues jsonb := '[]';
begin
  select coalesce(jsonb_agg(jsonb_build_object(
      'table', format('%I.%I', b.schema_name, b.table_name),
      'deadRows', b.dead_rows, 'deadPercent', b.dead_percent) order by b.dead_rows desc), '[]')
  into v_bloated
  from maintenance.table_bloat as b
  where b.is_bloated;
  select coalesce(
    jsonb_agg(format('%I.%I', h.schema_name, h.index_name) order by h.bytes desc), '[]')
  into v_unused
  from maintenance.index_health as h
  where h.is_unused;
  select count(*) into v_expired
  from (
    select from public.sessions as s where s.expires_at <= maintenance.clock() limit 10000
  ) as s;
  select greatest(c.reltuples, 0)::bigint into v_sessions
  from pg_class as c where c.oid = 'public.sessions'::regclass;

  select coalesce(
    jsonb_agg(format('%s has %s %% dead rows', b ->> 'table', b ->> 'deadPercent')), '[]')
  into v_issues
  from jsonb_array_elements(v_bloated) as b;
  if v_expired > 1000 then
    v_issues := v_issues || to_jsonb(format('%s%s expired sessions',
      case when v_expired = 10000 then 'at least ' else '' end, v_expired));
  end if;

  return jsonb_build_object(
    'healthy', v_issues = '[]',
    'issues', v_issues,
    'stats', jsonb_build_object(
      'bloatedTables', v_bloated,
      'unusedIndexes', v_unused,
      'expiredSessions', v_expired,
      'totalSessions', v_sessions,
      'databaseBytes', pg_database_size(current_database())),
    'timestamp', to_char(now(), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'));
end
$$;

comment on function public.get_database_health_stats() is
  '{healthy, issues, stats: {bloatedTables, unusedIndexes, expiredSessions (counted up to 10,000), '
  'totalSessions (the planner''s estimate), databaseBytes}, timestamp} (S4-03). Unused indexes are '
  'told and are no issue (C-31).';
-- end of sql/jobs/accounts.sql

-- from sql/jobs/grant_front_doors.sql 66dd867b7eb270db
-- Who may call the front doors of the application. Called by maintenance.grant_roles().

create function maintenance.grant_front_doors()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_door text;
begin
  foreach v_door in array array[
    'public.mark_stuck_import_runs()',
    'public.cleanup_temp_uploads()',
    'public.cleanup_old_raw_items()',
    'public.compact_old_import_jobs()',
    'public.run_maintenance_cleanup()',
    'public.cleanup_expired_sessions()',
    'public.refresh_subscription_summary()',
    'public.refresh_subscription_summary_step(integer)',
    'public.stale_subscription_summary(integer)',
    'public.analyze_account_tables_step(integer)',
    'public.weekly_index_report_step(integer)',
    'public.get_database_health_stats()']
  loop
    execute format('revoke all on function %s from public', v_door);
    if to_regrole('maintenance_operator') is not null and v_door not like '%(integer)' then
      execute format('grant execute on function %s to maintenance_operator', v_door);
    end if;
  end loop;
  if to_regrole('maintenance_viewer') is not null then
    grant execute on function public.get_database_health_stats() to maintenance_viewer;
  end if;
end
$$;

comment on function maintenance.grant_front_doors() is
  'Takes the front doors of the application from PUBLIC and grants them to operator and viewer.';

select from maintenance.grant_roles();
-- end of sql/jobs/grant_front_doors.sql

-- migrate:down
