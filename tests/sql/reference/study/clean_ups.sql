-- S2-08, S2-09, S2-15, S2-42, C-18: what has expired in the cache, old memories and quiet conversations.
begin;
create extension pgtap;
select plan(35);
create function pg_temp.kept(tab text, col text) returns text language plpgsql as $$
declare v_kept text;
begin
  execute format('select string_agg(%I, '', '' order by %1$I) from public.%I', col, tab) into v_kept;
  return v_kept;
end $$;
create function pg_temp.run(job text) returns jsonb language sql as $$ select maintenance.run_now($1) -> 'data' $$;

-- C-18: eight months after Oct 31 is the last of June; before Feb 29 there is the end of June, too.
set local maintenance.fake_now = '2026-06-30 12:00Z';
insert into public.study_chat_memory (content, created_at, expires_at) values
  ('8 months and a day', '2025-10-29 12:00Z', null),
  ('8 months', '2025-10-30 12:00Z', null),
  ('8 months, by the last day of June', '2025-10-31 12:00Z', null),
  ('8 months but for a second', '2025-10-31 12:00:01Z', null),
  ('7 months', '2025-11-30 12:00Z', null),
  ('new, with no date', '2026-06-30 11:00Z', null),
  ('new, expired', '2026-06-30 11:00Z', '2026-06-30 12:00Z'),
  ('old, but kept for longer', '2024-01-01 00:00Z', '2026-06-30 12:00:01Z'),
  ('for ever', '2020-01-01 00:00Z', 'infinity');
select is((select count from maintenance_status where task = 'expired_memories'), 4::bigint,
  'S2-09: the status counts the memories that have expired');
create temporary table due as
select sum(pg_column_size(id) + pg_column_size(content) + pg_column_size(importance_score) + pg_column_size(tags)
  + pg_column_size(created_at) + coalesce(pg_column_size(expires_at), 0) + pg_column_size(is_active)) as bytes
from public.study_chat_memory
where content in ('8 months and a day', '8 months', '8 months, by the last day of June', 'new, expired');
savepoint due;
select is(pg_temp.run('daily_memory_cleanup') ->> 'rowsAffected', '4', 'S2-09: ... and they go');
select is(pg_temp.kept('study_chat_memory', 'content'),
  '7 months, 8 months but for a second, for ever, new, with no date, old, but kept for longer',
  'S2-09, C-18: expires_at counts, else created_at plus eight months of UTC; nothing else goes');
select is((select details -> 'bytesFreed' from maintenance.run_history where job_name = 'daily_memory_cleanup'),
  (select to_jsonb(bytes) from due), 'S2-09: the receipt says how many bytes that were');
rollback to due;
select maintenance.configure_job('daily_memory_cleanup', batch_size => 1);
select is(public.cleanup_expired_memories(), jsonb_build_object('deletedCount', 4, 'bytesFreed', (select bytes
  from due),
  'cutoffDate', '2026-06-30T12:00:00.000Z'), 'S2-09: by function, with the bytes of all batches');
select is(public.cleanup_expired_memories(),
  '{"deletedCount": 0, "bytesFreed": 0, "cutoffDate": "2026-06-30T12:00:00.000Z"}',
  'S2-09: a second time nothing goes');
select is((select details -> 'bytesFreed' from maintenance.run_history where job_name = 'daily_memory_cleanup'
  order by run_id desc limit 1), null, '... and no bytes are named');
delete from public.study_chat_memory where content = '7 months';
select is((select count(*) from maintenance.run_history where details ? 'bytesFreed'), 1::bigint,
  'S2-09: outside of a run the bytes of a deletion are noted nowhere');
alter table public.study_chat_memory drop column is_active cascade;
insert into public.study_chat_memory (content, expires_at) values ('gone', '2026-06-01');
select is((public.cleanup_expired_memories() ->> 'bytesFreed')::integer > 50, true,
  'S2-09: also of a table that has lost a column');
select maintenance.disable_job('daily_memory_cleanup');
select throws_ok('select public.cleanup_expired_memories()', 'PM009', null, 'a clean-up that is disabled says so');
select set_config('timezone', 'America/New_York', true);
select maintenance.enable_job('daily_memory_cleanup');
insert into public.study_chat_memory (content, created_at, expires_at) values ('by UTC', '2025-10-31 03:00Z', null);
set local maintenance.fake_now = '2026-06-30 02:59:59Z';
select is(pg_temp.run('daily_memory_cleanup') ->> 'rowsAffected', '0', 'C-18: whatever the zone of the session,');
set local maintenance.fake_now = '2026-06-30 03:00Z';
select is(pg_temp.run('daily_memory_cleanup') ->> 'rowsAffected', '1', 'C-18: ... months are those of UTC');
select set_config('timezone', 'UTC', true);

-- S2-08: the cache.
set local maintenance.fake_now = '2026-06-30 12:00Z';
insert into public.search_cache (query_hash, expires_at) values ('expired', '2026-06-30 12:00Z'),
  ('fresh', '2026-06-30 12:00:01Z'), ('for ever', null);
select is((select count from maintenance_status where task = 'expired_cache'), 1::bigint,
  'S2-08: the status counts what has expired in the cache');
select is(public.cleanup_expired_search_cache(), 1, 'S2-08: it goes');
select is(pg_temp.kept('search_cache', 'query_hash'), 'for ever, fresh', 'S2-08: without expires_at it stays for ever');
select is(public.cleanup_expired_search_cache(), 0, 'S2-08: a second time nothing goes');

-- S2-15: conversations.
insert into public.chat_conversations (title, updated_at, is_archived) values ('61 days', '2026-04-30 12:00Z', false),
  ('60 days', '2026-05-01 12:00Z', false), ('60 days but for a second', '2026-05-01 12:00:01Z', false),
  ('59 days', '2026-05-02 12:00Z', false), ('away', '2026-01-01 00:00Z', true);
create temporary table before as select * from public.chat_conversations;
select is((select count from maintenance_status where task = 'old_conversations'), 2::bigint,
  'S2-15: the status counts the conversations that are old');
select is(pg_temp.run('archive_conversations') ->> 'rowsAffected', '2', 'S2-15: they are archived');
select results_eq('select title from public.chat_conversations where is_archived order by title',
  array['60 days', '61 days', 'away'], 'S2-15: ... from 60 days on');
select is_empty('select id, updated_at from public.chat_conversations except select id, updated_at from before',
  'S2-15: updated_at stays');
select is(pg_temp.run('archive_conversations') ->> 'rowsAffected', '0', 'S2-15: a second time nothing changes');

-- updated_at is when the last message came.
create function pg_temp.updated(title text) returns timestamptz language sql as $$
  select updated_at from public.chat_conversations as c where c.title = $1 $$;
insert into public.messages (conversation_id, content, created_at)
select id, 'new', '2026-06-30 11:00Z' from public.chat_conversations where title in ('59 days', '61 days');
select is(pg_temp.updated('59 days'), '2026-06-30 11:00Z', 'a message makes its conversation as new as it is');
select is(pg_temp.updated('60 days'), '2026-05-01 12:00Z', '... and no other');
insert into public.messages (conversation_id, content, created_at)
select id, 'old', '2026-06-01 11:00Z' from public.chat_conversations where title = '59 days';
select is(pg_temp.updated('59 days'), '2026-06-30 11:00Z', 'a message that is older makes it no older');
insert into public.messages (conversation_id, content, created_at)
select id, 'to come', now() + interval '1 year' from public.chat_conversations where title = '59 days';
select is(pg_temp.updated('59 days'), now(), 'a message of the future makes it as new as now');
insert into public.messages (conversation_id, content) values (gen_random_uuid(), 'of a companion');
select is((select count(*) from public.chat_conversations where updated_at = now()), 1::bigint,
  'a message of another conversation is none of it');
create table public.mine (conversation_id uuid, created_at timestamptz);
create trigger mine after insert on public.mine referencing new table as new_messages
for each statement execute function public.bump_conversations();
select throws_ok('insert into public.mine values (null, now())', 'PM003', null,
  'a trigger that works as the owner works on no other table');

-- S2-42: what else is kept for a time.
insert into public.users (name) values ('one');
insert into public.memory_summaries (user_id, period_start, period_end, summary_text, expires_at)
select u.id, d, d + 7, d::text, e from public.users as u, (values ('2026-05-24'::date,
  '2026-06-30 12:00Z'::timestamptz),
  ('2026-05-31', '2026-07-01 00:00Z'), ('2026-06-07', null)) as d (d, e);
insert into public.activity_logs (activity_type, created_at) values ('old', '2025-06-30 12:00Z'),
  ('young', '2025-06-30 12:00:01Z');
insert into public.api_usage_logs (feature_name, timestamp) values ('old', '2026-04-01 12:00Z'),
  ('young', '2026-04-01 12:00:01Z');
insert into public.daily_usage_reports (report_date)
select unnest('{2024-06-29,2024-07-01}'::date[]);
select is(pg_temp.run(j) ->> 'rowsAffected', '1', 'S2-42: one row goes by ' || j)
from unnest('{purge_memory_summaries,purge_activity_logs,purge_usage_logs,purge_usage_reports}'::text[]) as j;
select is(pg_temp.kept('memory_summaries', 'summary_text'), '2026-05-31, 2026-06-07',
  'S2-42: summaries stay until they expire');
select is(pg_temp.kept('activity_logs', 'activity_type'), 'young', 'S2-42: what students did stays for a year');
select is(pg_temp.kept('api_usage_logs', 'feature_name'), 'young', 'S2-42: calls stay for 90 days');
select is_empty('select * from maintenance.lint() where severity <> ''notice''', 'an index serves each of these rules');
select * from finish();
rollback;
