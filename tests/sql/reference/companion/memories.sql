-- S3-02, S3-20, C-24: ten minutes, a day and two weeks are remembered once they are over, each once, and are in the
-- state.
begin;
create extension pgtap;
\ir companion.psql
select plan(68);
set local maintenance.fake_now = '2026-03-31 12:35:00Z'; -- two days after Europe's clocks went forward
create function pg_temp.at(clock text) returns timestamptz language sql as $$
  select ('2026-03-31 ' || clock || 'Z')::timestamptz $$;
create function pg_temp.next(kind text, conversation integer default 11) returns text language sql as $$
  select to_char(n.period_start at time zone 'UTC', 'MM-DD HH24:MI')
  from public.next_memory(kind, pg_temp.u(conversation)) as n $$;
create function pg_temp.episodes() returns text language sql as $$
  select string_agg(to_char(bucket_start at time zone 'UTC', 'HH24:MI') || ' ' || summary, ', ' order by bucket_start)
  from public.memory_b_episodes $$;
create function pg_temp.bucket(summary text, more jsonb default '{}') returns jsonb language sql as $$
  select jsonb_build_object('summary', summary, 'open_loops', '[]'::jsonb, 'tags', '[]'::jsonb) || more $$;
create function pg_temp.day(summary text, more jsonb default '{}') returns jsonb language sql as $$
  select jsonb_build_object('c0_summary', summary, 'c1_highlights', '[]'::jsonb, 'c2_user_profile', '',
    'c3_role_profile', '') || more $$;
create function pg_temp.memory(path text, conversation integer default 11) returns jsonb language sql as $$
  select c.state #> ('{memory,' || path || '}')::text[] from public.conversation_states as c
  where c.conversation_id = pg_temp.u(conversation) $$;
savepoint empty;

-- Ten minutes.
select pg_temp.say(11, pg_temp.at('12:10:00'), 'user', 'Hello.'), pg_temp.say(11, pg_temp.at('12:19:59'), 'assistant',
  'Hi.'),
  pg_temp.say(11, pg_temp.at('12:20:00'), 'user', 'Alone.'),
  pg_temp.say(11, pg_temp.at('12:30:00'), 'user', 'Open.'), pg_temp.say(11, pg_temp.at('12:31:00'), 'user',
  'Still.') \g /dev/null
select is(pg_temp.next('memory_bucket'), '03-31 12:10', 'S3-20: ten minutes that are over, with two messages');
select set_eq('select public.memory_bucket_subjects()', array[pg_temp.subject(11)], 'S3-02: are asked about');
savepoint start;
select is(pg_temp.done('memory_bucket', 11, pg_temp.bucket('They met.',
  '{"open_loops": ["who is she", " "], "tags": ["a"]}')),
  'succeeded {"made": 1}', 'S3-20: the answer becomes an episode');
select results_eq('select bucket_start, summary, open_loops, tags, user_id from public.memory_b_episodes',
  $$values (pg_temp.at('12:10'), 'They met.'::text, '["who is she"]'::jsonb, '["a"]'::jsonb, pg_temp.u(1))$$,
  '... with all it has');
select is(pg_temp.memory('memory_b_recent'), '[{"key": "2026-03-31T12:10:00Z", "summary": "They met.",
  "open_loops": ["who is she"], "tags": ["a"]}]', 'C-24: and is in the state');
select is((select version from public.conversation_states where conversation_id = pg_temp.u(11)), 2,
  'C-24: as a new version');
select is(pg_temp.next('memory_bucket'), null, 'S3-20: one message is none, and what is not over neither');
select is_empty('select public.memory_bucket_subjects()', '... nor is it asked about');
select is(pg_temp.done('memory_bucket', 11, pg_temp.bucket('x')), 'skipped: no memory is to be made',
  'S3-20: a rerun makes no new row');
set local maintenance.fake_now = '2026-03-31 12:41:59Z';
select is(pg_temp.next('memory_bucket'), null, 'for two minutes a message may still be on its way');
set local maintenance.fake_now = '2026-03-31 12:42:00Z';
select is(pg_temp.next('memory_bucket'), '03-31 12:30', 'not longer');
set local maintenance.fake_now = '2026-04-02 12:52:00Z';
select is(pg_temp.next('memory_bucket'), null, 'ten minutes are made up for over two days');
rollback to start;
-- Undo takes it out of the state, too, and it is not made again.
select pg_temp.done('memory_bucket', 11, pg_temp.bucket('They met.')) \g /dev/null
update public.conversation_states set state = state || '{"x": 1}', version = version + 1;
select is(maintenance.undo_task((select task_id from maintenance.task)) - 'rows' - 'task',
  '{"undone": 1, "refused": 0}',
  'a memory can be undone, also where the state has changed since');
select is(pg_temp.memory('memory_b_recent'), '[]', 'C-24: then it is not in the state any more');
select is(pg_temp.next('memory_bucket'), null, 'nor made again');
rollback to start;
select pg_temp.done('memory_bucket', 11, pg_temp.bucket('They met.')) \g /dev/null
set local maintenance.fake_now = '2026-03-31 12:42:00Z';
select pg_temp.done('memory_bucket', 11, pg_temp.bucket('They spoke.')) \g /dev/null
select maintenance.undo_task((select min(task_id) from maintenance.task)) \g /dev/null
select is(pg_temp.episodes(), '12:30 They spoke.', 'also where it was not the last');
select is(pg_temp.next('memory_bucket'), null, '... that is not made again either');
rollback to start;
select pg_temp.done('memory_bucket', 11, pg_temp.bucket('They met.')) \g /dev/null
update public.memory_b_episodes set summary = 'They met at noon.';
select is(pg_temp.memory('memory_b_recent,0,summary'), '"They met at noon."', 'an edit is in the state, too');
rollback to start;
-- In the order of their time, whoever comes late or is edited; and as many as there are rows for.
insert into public.memory_b_episodes (conversation_id, bucket_start, summary)
select pg_temp.u(11), pg_temp.at('01:00') + i * interval '10 minutes', 'b' || i from generate_series(1,
  25) as i where i <> 20;
insert into public.memory_b_episodes (conversation_id, bucket_start, summary)
values (pg_temp.u(11), pg_temp.at('01:00') + interval '200 minutes', 'b20');
update public.memory_b_episodes set summary = summary || '!' where summary in ('b1', 'b6');
select is(jsonb_path_query_array(pg_temp.memory('memory_b_recent'), '$[*].summary'),
  (select jsonb_agg('b' || i || case i when 6 then '!' else '' end order by i) from generate_series(6, 25) as i),
  'C-24: the state has the last twenty, in the order of their time');
update public.memory_b_episodes set conversation_id = pg_temp.u(12) where summary = 'b24';
select is(pg_temp.memory('memory_b_recent,0,summary') || pg_temp.memory('memory_b_recent,0,summary', 12),
  '["b5", "b24"]',
  '... also where one is moved to another conversation');
delete from public.memory_b_episodes where summary = 'b25';
select is(pg_temp.memory('memory_b_recent,0,summary') || pg_temp.memory('memory_b_recent,19,summary'), '["b4", "b23"]',
  '... and of those there are');
rollback to start;
-- What a companion has written by itself is no conversation.
update public.messages set input_event = 'MOMENT_POST' where content in ('Hi.', 'Hello.');
select is(pg_temp.next('memory_bucket'), null, 'posts alone are not remembered');
rollback to start;
-- What has changed while the model was thinking.
select task as first from pg_temp.ask('memory_bucket', 11) \gset
update public.messages set content = 'Goodbye.' where content = 'Hello.';
select is(pg_temp.answer(:'first', pg_temp.bucket('They met.')) ->> 'error',
  'apply: what was said has changed since it was shown', 'an edit makes the answer stale');
select is(pg_temp.episodes(), null, '... and nothing is remembered');
select is(pg_temp.done('memory_bucket', 11, pg_temp.bucket('They parted.')), 'succeeded {"made": 1}',
  '... until it is asked again');
rollback to start;
select task as first from pg_temp.ask('memory_bucket', 11) \gset
insert into public.memory_b_episodes (conversation_id, bucket_start, summary) values (pg_temp.u(11),
  pg_temp.at('12:10'), 'Mine.');
select is(pg_temp.answer(:'first', pg_temp.bucket('They met.')) -> 'result', '{"made": 0}',
  'who was there first stays');
select is(pg_temp.episodes(), '12:10 Mine.', '... as it is');
rollback to start;
select is(pg_temp.done('memory_bucket', 11, pg_temp.bucket(s)) ~ '^ready .*PM018|^ready apply', true,
  'an empty summary is none')
from unnest(array[' . ']) as s;
rollback to start;
select pg_temp.done('memory_bucket', 11, pg_temp.bucket(repeat('x', 2000), jsonb_build_object('tags',
  (select jsonb_agg('t' || i) from generate_series(1, 30) as i)))) \g /dev/null
select is((select length(summary) || ' ' || jsonb_array_length(tags) from public.memory_b_episodes), '900 12',
  'what is too long is cut');
rollback to empty;
-- Up to four in a task, the oldest first.
select pg_temp.say(11, pg_temp.at('10:00') + h * interval '10 minutes' + m * interval '1 minute', 'user', 'At ' || h)
from generate_series(0, 5) as h, generate_series(1, 2) as m \g /dev/null
savepoint six;
select is(pg_temp.done('memory_bucket', 11, pg_temp.bucket('m' || i)), case i when 4 then 'succeeded' else 'ready' end
  || format(' {"made": %s}', i), format('memory %s of a task', i)) from generate_series(1, 4) as i;
select is(pg_temp.episodes(), '10:00 m1, 10:10 m2, 10:20 m3, 10:30 m4', 'S3-20: four in a run of a conversation');
select set_eq('select public.memory_bucket_subjects()', array[pg_temp.subject(11)], 'and the others in the next');
rollback to six;
-- What fails is passed over, and holds up no other conversation.
update maintenance.kind set max_attempts = 1 where kind = 'memory_bucket';
select pg_temp.say(13, pg_temp.at('11:00'), 'user', 'b'), pg_temp.say(13, pg_temp.at('11:01'), 'user', 'b') \g /dev/null
select is(pg_temp.done('memory_bucket', 11, '{}'), 'dead the answer is not as its schema says: $.summary is missing',
  'what no model can sum up');
select is(pg_temp.next('memory_bucket'), '03-31 10:10', '... is passed over');
select is(pg_temp.done('memory_bucket', 13, pg_temp.bucket('of Bob')), 'succeeded {"made": 1}',
  '... and holds up nobody');
rollback to six;
-- 200 conversations in a run.
insert into public.conversation_states (conversation_id, user_id) select pg_temp.u(1000 + i), pg_temp.u(2)
from generate_series(1, 250) as i;
select pg_temp.say(1000 + i, pg_temp.at('11:00') + m * interval '1 second', 'user', 'x')
from generate_series(1, 250) as i, generate_series(1, 2) as m \g /dev/null
select is((select count(*) from public.memory_bucket_subjects()), 200::bigint, '200 conversations in a run');
select pg_temp.say(1250, pg_temp.at('09:00') + m * interval '1 second', 'user', 'x') from generate_series(1, 2) as m
\g /dev/null
select is((select count(*) from public.memory_bucket_subjects() as s where s = pg_temp.subject(1250)), 1::bigint,
  'of which the longest due is one');
rollback to six;
-- Deleted users and messages.
update public.users set deleted_at = now() where id = pg_temp.u(1);
select is_empty('select public.memory_bucket_subjects()', 'who was deleted is not remembered');
select is(skip_reason, 'the conversation is gone, or its user deleted', '... whoever asks for it')
from public.prepare_memory(pg_temp.subject(11), '{"kind": "memory_bucket"}');
rollback to six;
update public.messages set deleted_at = now();
select is_empty('select public.memory_bucket_subjects()', 'nor what was deleted');
rollback to six;

-- A day.
select is(pg_temp.next('memory_daily'), null, 'S3-20: a day that is not over is not remembered');
set local maintenance.fake_now = '2026-04-01 00:01:59Z';
select is(pg_temp.next('memory_daily'), null, '... for two minutes');
set local maintenance.fake_now = '2026-04-01 00:02:00Z';
select is(pg_temp.next('memory_daily'), '03-31 00:00', 'S3-20: then it is, from midnight to midnight UTC');
select is(pg_temp.done('memory_daily', 11, pg_temp.day(repeat('d', 1000), jsonb_build_object('c1_highlights',
    (select jsonb_agg('h' || i) from generate_series(1, 20) as i), 'c2_user_profile', 'Runs.', 'c3_role_profile',
  'Kind.'))),
  'succeeded {"made": 1}', 'S3-20: the answer becomes a day');
select is((select concat_ws(' ', length(c0_summary), jsonb_array_length(c1_highlights), c2_user_profile,
  c3_role_profile)
  from public.memory_daily), '900 12 Runs. Kind.', 'with at most 900 characters and twelve highlights');
select is(concat_ws(' ', jsonb_array_length(pg_temp.memory('memory_c0_recent')),
  jsonb_array_length(pg_temp.memory('memory_highlights')), pg_temp.memory('memory_highlights,11')),
  '1 12 {"key": "2026-03-31T00:00:00Z#12", "text": "h12"}', 'C-24: and is in the state');
select is(pg_temp.done('memory_daily', 11, pg_temp.day('x')), 'skipped: no memory is to be made',
  'S3-20: a rerun makes no new row');
insert into public.memory_daily (conversation_id, day_start, c0_summary, c1_highlights)
select pg_temp.u(11), '2026-03-01Z'::timestamptz + i * interval '1 day', 'd' || i, '["a", "b", "c"]'
from generate_series(0, 24) as i;
select is(jsonb_array_length(pg_temp.memory('memory_c0_recent')) || ' '
  || jsonb_array_length(pg_temp.memory('memory_highlights')),
  '14 60', 'of days the state has the last 14, of highlights 60');
delete from public.memory_daily where c0_summary = 'd24';
select is(jsonb_path_exists(pg_temp.memory('memory_highlights'), '$[*].key ? (@ starts with "2026-03-25")'), false,
  'with a day go its highlights');
rollback to six;
-- Of a long day the last 260 messages.
select pg_temp.say(11, pg_temp.at('01:00') + i * interval '1 second', 'user', 'line ' || i) from generate_series(1,
  300) as i \g /dev/null
set local maintenance.fake_now = '2026-04-01 01:00:00Z';
select is((select count(*) from regexp_matches((pg_temp.ask('memory_daily', 11)).request, '\n', 'g')), 260::bigint,
  'S3-20: of a long day the last 260 messages are shown');
rollback to six;

-- Two weeks, counted from 1970-01-01: from 2026-03-26 on, the ones before from 2026-03-12 on.
select is(date_bin('14 days', pg_temp.at('12:00'), 'epoch'), '2026-03-26Z'::timestamptz, 'two weeks began on March 26');
select is(pg_temp.next('memory_biweekly'), null, 'S3-20: two weeks without a day are not remembered');
insert into public.memory_daily (conversation_id, day_start, c0_summary) values (pg_temp.u(11), '2026-03-25Z',
  'The 25th.'),
  (pg_temp.u(11), '2026-03-26Z', 'The 26th.'), (pg_temp.u(11), '2026-03-11Z', 'The 11th.');
select is(pg_temp.next('memory_biweekly'), '03-12 00:00', 'S3-20: with one they are, when they are over');
savepoint weeks;
select pg_temp.say(11, '2026-03-24 10:00Z', 'user', 'Late.'), pg_temp.say(11, '2026-03-24 10:05Z', 'user',
  'Night.') \g /dev/null
select is(pg_temp.next('memory_biweekly'), null, '... but not before each of their days');
select is(pg_temp.done('memory_daily', 11, pg_temp.day('The 24th.')), 'succeeded {"made": 1}', '... which comes first');
select is(pg_temp.next('memory_biweekly'), '03-12 00:00', '... then they follow');
rollback to weeks;
select task as first from pg_temp.ask('memory_biweekly', 11) \gset
update public.memory_daily set c0_summary = 'Another day.' where c0_summary = 'The 25th.';
select is(pg_temp.answer(:'first', '{"summary": "Two weeks."}') ->> 'error',
  'apply: what was said has changed since it was shown', 'a day that is edited makes the answer stale');
rollback to weeks;
set local timezone = 'Europe/Paris';
select is(date_bin('14 days', since, 'epoch'), since, format('%s begins in UTC, whatever the session', kind))
from public.memory_levels where kind = 'memory_biweekly';
rollback to weeks;
select matches((pg_temp.ask('memory_biweekly', 11)).request, '^The days of two weeks, .*\n[^\n]*The 25th.[^\n]*$',
  '... from their days alone');
update maintenance.task set lease_expires_at = '-infinity' where kind = 'memory_biweekly';
select maintenance.retry_task(task_id) from maintenance.task where kind = 'memory_biweekly' \g /dev/null
select is(pg_temp.done('memory_biweekly', 11, '{"summary": "Two weeks."}'), 'succeeded {"made": 1}',
  'the answer is kept');
select is(pg_temp.memory('memory_biweekly_recent'), '[{"key": "2026-03-12T00:00:00Z", "summary": "Two weeks."}]',
  'C-24: in the state, too');
select is(pg_temp.next('memory_biweekly'), null, 'S3-20: a rerun makes no new row');
rollback to six;

-- The job, and what goes with a conversation.
select is(maintenance.run_now('trigger_memories') #> '{data,details}',
  '{"success": true, "jobsPublished": 1, "usersProcessed": 1}',
  'S3-02: the job asks for what is to be remembered');
select is((select schedule from maintenance.job_status where job_name = 'trigger_memories'), '*/10 * * * *',
  'S3-02: every ten minutes');
select pg_temp.done('memory_bucket', 11, pg_temp.bucket('m1')) \g /dev/null
delete from public.users where id = pg_temp.u(1);
select is((select count(*) from public.memory_b_episodes), 0::bigint, 'with their user go all memories');
select * from finish();
rollback;
