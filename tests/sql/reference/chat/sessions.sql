-- S0-17 to S0-19, C-07: which messages are one session, and which sessions are old enough.
begin;
create extension pgtap;
select plan(26);
select set_config('maintenance.fake_now', '2026-03-31 12:00:00+00', false) \g /dev/null

create function pg_temp.user(role text default 'user', is_guest boolean default false) returns uuid language sql as $$
  insert into public.users (role, is_guest) values (role, is_guest) returning id $$;
-- Messages at so many seconds before now.
create function pg_temp.say(who uuid, variadic ago interval[]) returns void language sql as $$
  insert into public.messages (user_id, content, created_at)
  select who, 'said', maintenance_internal.clock() - a from unnest(ago) as a $$;
create function pg_temp.sessions(who uuid) returns text language sql as $$
  select string_agg(format('%s of %s', message_count, ended_at - started_at), ', ' order by started_at)
  from public.chat_sessions where user_id = who $$;
create function pg_temp.old(who uuid) returns text language sql as $$
  select string_agg(format('%s of %s', message_count, ended_at - started_at), ', ' order by started_at)
  from public.archivable_sessions where user_id = who $$;

select pg_temp.user() as u \gset
select pg_temp.say(:'u', '30 days', '29 days 23:45:00');
select is(pg_temp.sessions(:'u'), '2 of 00:15:00', 'S0-18: after exactly 15:00 it is the same session');
delete from public.messages;
select pg_temp.say(:'u', '30 days', '29 days 23:44:59.999999');
select is(pg_temp.sessions(:'u'), '1 of 00:00:00, 1 of 00:00:00', 'S0-18: after more than 15:00 another one');
delete from public.messages;
select pg_temp.say(:'u', '30 days', '29 days 23:46:00', '29 days 23:32:00', '20 days', '20 days', '1 day', '2 seconds');
select is(pg_temp.sessions(:'u'), '3 of 00:28:00, 2 of 00:00:00, 1 of 00:00:00, 1 of 00:00:00',
  'sessions are chains, over all that was said');
insert into public.messages (user_id, conversation_id, role, created_at)
select :'u', gen_random_uuid(), r, maintenance_internal.clock() - interval '20 days' + i * interval '1 minute'
from unnest(array['assistant', 'system', 'user']) with ordinality as x (r, i);
select is(pg_temp.sessions(:'u'), '3 of 00:28:00, 5 of 00:03:00, 1 of 00:00:00, 1 of 00:00:00',
  'of all roles and conversations together');
update public.messages set deleted_at = now()
where created_at = maintenance_internal.clock() - interval '29 days 23:46:00';
select is(pg_temp.sessions(:'u'), '1 of 00:00:00, 1 of 00:00:00, 5 of 00:03:00, 1 of 00:00:00, 1 of 00:00:00',
  'what is deleted softly holds nothing together');
insert into public.messages (user_id, created_at) values (null, '2026-01-01');
select is((select count(*) from public.chat_sessions where user_id is null), 0::bigint, 'what is nobody''s is no chat');
select is(pg_temp.old(:'u'), '1 of 00:00:00, 1 of 00:00:00, 5 of 00:03:00', 'S0-19: the old ones, of which all is old');

-- The limit of the days.
delete from public.messages;
select pg_temp.say(:'u', '7 days', '7 days 00:05:00');
select is(pg_temp.old(:'u'), '2 of 00:05:00', 'S0-19: one that ended exactly seven days ago is old enough');
select pg_temp.say(:'u', '6 days 23:59:59.999999');
select is(pg_temp.old(:'u'), null, 'S0-19: with a message a microsecond younger it is kept, as a whole');
delete from public.messages;
select pg_temp.say(:'u', '7 days', '6 days 23:45:00');
select is(pg_temp.old(:'u'), null, 'one that goes on behind the limit is kept');
delete from public.messages;
select pg_temp.say(:'u', '7 days', '6 days 23:44:59');
select is(pg_temp.old(:'u'), '1 of 00:00:00', 'one that goes not is not');
select pg_temp.user('admin') as admin \gset
select pg_temp.say(:'admin', '90 days', '89 days');
select is(pg_temp.old(:'admin'), '1 of 00:00:00', 'S0-16: by the days of its user');

set local timezone = 'Europe/Berlin'; -- where the clocks have changed two days before
select is(public.archive_until(:'admin'), '2025-12-31 12:00:00+00', 'a day has 24 hours, whose session it ever is');
set local timezone = 'UTC';

-- The buffer of 24 hours (S0-17), and what it may not cut in two (C-07).
update public.retention_policies set days = 0;
select pg_temp.user() as v \gset
select pg_temp.say(:'v', '24:05:00', '24:00:00.000001');
select is(pg_temp.old(:'v'), '2 of 00:04:59.999999', 'S0-17: with no days at all, what ended more than 24 hours ago');
select pg_temp.say(:'v', '24 hours');
select is(pg_temp.old(:'v'), null, 'S0-17: 24 hours are not more than 24 hours');
delete from public.messages where user_id = :'v';
select pg_temp.say(:'v', '24:10:00', '24:01:00', '23:55:00');
select is(pg_temp.old(:'v'), null, 'C-07: a session that crosses the line is kept as a whole');
update public.retention_policies set days = 1;
select is(pg_temp.old(:'v'), null, 'C-07: with a day of retention, too');

-- Where the old sessions of one user are asked for, no other's are read, nor more of one's own than it takes.
insert into public.users (id) select gen_random_uuid() from generate_series(1, 500);
insert into public.messages (user_id, created_at)
select u.id, '2026-02-01'::timestamptz + i * interval '10 minutes' + (i / 10) * interval '1 hour'
from public.users as u, generate_series(1, 40) as i where u.id not in (:'u', :'v', :'admin');
analyze public.users, public.messages;
set local enable_seqscan = off;
set local enable_bitmapscan = off;
set local enable_sort = off;
set local jit = off;
create function pg_temp.rows_read(query text) returns bigint language plpgsql as $$
declare v_plan json; begin
  execute 'explain (analyze, format json, timing off) ' || query into v_plan;
  return (select max((n ->> 'Actual Rows')::numeric * (n ->> 'Actual Loops')::numeric)
    from jsonb_path_query(v_plan::jsonb, 'strict $.**') as n where n ->> 'Relation Name' = 'messages');
end $$;
select ok(pg_temp.rows_read(format('select from public.chat_sessions where user_id = %L order by ended_at limit 1', id))
  between 10 and 11, 'of one user''s sessions the first is found without the rest') from public.users
  where id not in (:'u', :'v', :'admin') limit 1;
select is((select count(*) from public.archive_subjects()), 502::bigint, 'and that of each user (S0-03)');
select cmp_ok(pg_temp.rows_read($$select from public.users as u cross join lateral (select s.ended_at from
  public.chat_sessions as s where s.user_id = u.id order by s.ended_at limit 1) as f$$), '<', 12 * 510::bigint,
  'each user''s first session costs what it has, and not what there is');
update public.users set is_guest = true where id = :'u';
select is((select count(*) from public.archive_subjects()), 501::bigint, 'S0-03: guests are not asked about');
update public.users set deleted_at = now() where id = :'admin';
select is((select count(*) from public.archive_subjects()), 500::bigint, 'S0-03: nor who was deleted');
select is((select count(*) from public.archivable_sessions where user_id = :'admin'), 0::bigint,
  'whose sessions are nobody''s any more');

-- C-041: time alone makes a session due, and whoever is quiet is not forgotten.
update public.retention_policies set days = 7;
delete from public.messages;
select pg_temp.user() as quiet \gset
select pg_temp.user() as soon \gset
select pg_temp.say(:'quiet', '200 days'), pg_temp.say(:'soon', '6 days 12:00:00') \g /dev/null
select set_eq('select public.archive_subjects()', array[:'quiet'], 'C-041: who has been quiet for 200 days is there');
select maintenance.trigger_jobs('archive') \g /dev/null
select set_config('maintenance.fake_now', '2026-04-01 12:00:00+00', false) \g /dev/null
select set_eq('select public.archive_subjects()', array[:'quiet', :'soon'], 'C-041: and a day later the other one');
select is(maintenance.trigger_jobs('archive'), '{"success": true, "usersProcessed": 2, "jobsPublished": 1}',
  'S0-25: trigger_jobs(archive) asks for those who are not asked about yet');
select * from finish();
rollback;
