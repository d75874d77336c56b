-- S3-03: what a companion writes by itself: after an hour, at most once an hour, once a day.
begin;
create extension pgtap;
\ir companion.psql
select plan(56);
set local maintenance.fake_now = '2026-03-31 12:00:02Z';
create function pg_temp.due(conversation integer default 11) returns text language sql as $$
  select string_agg(k, ' ' order by nr) from unnest(array['schedule_tick', 'moment_post', 'diary_daily'])
    with ordinality as k (k, nr) where public.is_post_due(k, pg_temp.u(conversation)) $$;
create function pg_temp.ago(age interval) returns timestamptz language sql as
$$ select current_setting('maintenance.fake_now')::timestamptz - age $$;

select is(pg_temp.due(), null, 'where nobody has spoken nothing is posted');
select pg_temp.say(11, pg_temp.ago('61 minutes'), 'user', 'See you.') as said \gset
select is(pg_temp.due(), 'schedule_tick moment_post diary_daily', 'S3-03: idle for 61 minutes: a tick');
savepoint start;
update public.messages set created_at = pg_temp.ago('59 minutes');
select is(pg_temp.due(), 'moment_post diary_daily', 'S3-03: idle for 59: none');
update public.messages set created_at = pg_temp.ago('60 minutes');
select is(pg_temp.due(), 'schedule_tick moment_post diary_daily', 'S3-03: an hour is enough');
select pg_temp.say(11, pg_temp.ago('5 minutes'), 'assistant', 'Still there?') \g /dev/null
select is(pg_temp.due(), 'schedule_tick moment_post diary_daily', 'S3-03: what the character says is not the user');
rollback to start;
-- Each counts from its own last.
insert into public.messages (conversation_id, role, input_event, created_at) values
  (pg_temp.u(11), 'assistant', 'SCHEDULE_TICK', pg_temp.ago('59 minutes'));
select is(pg_temp.due(), 'moment_post diary_daily', 'S3-03: a tick 59 minutes ago: none');
update public.messages set created_at = pg_temp.ago('60 minutes') where role = 'assistant';
select is(pg_temp.due(), 'schedule_tick moment_post diary_daily', 'S3-03: an hour ago: one');
update public.messages set input_event = 'MOMENT_POST', created_at = pg_temp.ago('59 minutes') where role = 'assistant';
select is(pg_temp.due(), 'schedule_tick diary_daily', 'S3-03: a moment 59 minutes ago: none');
update public.messages set deleted_at = now() where role = 'assistant';
select is(pg_temp.due(), 'schedule_tick moment_post diary_daily', 'what was deleted does not count');
rollback to start;
insert into public.messages (conversation_id, role, input_event, created_at) values
  (pg_temp.u(11), 'assistant', 'DIARY_DAILY', '2026-03-31 00:00Z');
select is(pg_temp.due(), 'schedule_tick moment_post', 'S3-03: a second diary of the same day (UTC): none');
select throws_ok($$insert into public.messages (conversation_id, role, input_event, created_at) values
  (pg_temp.u(11), 'assistant', 'DIARY_DAILY', '2026-03-31 23:59Z')$$, '23505', null, 'S3-03: ... whoever writes it');
set local maintenance.fake_now = '2026-04-01 00:00:00Z';
select is(pg_temp.due(), 'schedule_tick moment_post diary_daily', 'S3-03: at midnight there may be one again');
set local timezone = 'America/Los_Angeles';
set local maintenance.fake_now = '2026-03-31 23:59:59Z';
select is(pg_temp.due(), 'schedule_tick moment_post', 'S3-03: whatever the time zone of a session');
rollback to start;
-- As many hours as the setting says.
select maintenance.configure('moment_post_probability', 0) \g /dev/null
select is(pg_temp.due(), 'schedule_tick diary_daily', 'S3-03: with a probability of 0 there are no moments');
select maintenance.configure('moment_post_probability', 0.3) \g /dev/null
create function pg_temp.hours() returns bigint language plpgsql as $$
declare v_hours bigint := 0;
begin
  for i in 1 .. 500 loop
    perform set_config('maintenance.fake_now', ('2026-05-01Z'::timestamptz + i * interval '1 hour')::text, true);
    v_hours := v_hours + public.is_post_due('moment_post', pg_temp.u(11))::integer;
  end loop;
  return v_hours;
end $$;
select is(pg_temp.hours() between 110 and 190, true, 'S3-03: with 0.3 in about that share of hours');
select is(pg_temp.hours(), pg_temp.hours(), '... the same whenever it is asked');
rollback to start;

-- A tick, from the job to the patch of what was said.
select is((maintenance.run_now('trigger_posts') #>> '{data,details,jobsPublished}')::integer, 3,
  'S3-03: the job asks for each');
select is((select schedule from maintenance.job_status where job_name = 'trigger_posts'), '0 * * * *', 'S3-03: hourly');
select is(maintenance.run_now('trigger_posts') #>> '{data,details,jobsPublished}', '0', '... once');
select matches((pg_temp.ask('schedule_tick', 11)).request,
  '^What you are by now.*\n.*"name": "Kit".*\n.*"See you."[^\n]*\n'
  '{"at": "2026-03-31T12:00:02Z", "id": "now"}$', 'a model is shown the state, the last messages and the time');
select (select t from maintenance.task as t where kind = 'schedule_tick') as task \gset
savepoint asked;
set local maintenance.fake_now = '2026-03-31 12:00:40Z';
select is(pg_temp.answer(:'task', '{"text": " I went for a swim.\n"}'),
  '{"state": "succeeded", "result": {"posted": 1}}',
  'S3-03: its answer');
select results_eq($$select user_id, role, input_event, content, created_at
  from public.messages where role = 'assistant'$$,
  $$values (pg_temp.u(1), 'assistant', 'SCHEDULE_TICK', 'I went for a swim.', '2026-03-31 12:00Z'::timestamptz)$$,
  'S3-03: ... is a message, as of the minute in which it was asked');
select is((select concat_ws(' ', status, turn_seq, patch_input, patch) from public.patch_jobs),
  'pending {"assistant": "I went for a swim.", "input_event": "SCHEDULE_TICK"}', 'S3-03: with a patch job, of no turn');
select is(pg_temp.due(), 'moment_post diary_daily', 'S3-03: then none is due');
select is(pg_temp.done('schedule_tick', 11, '{"text": "x"}'), 'skipped: no post is due', '... nor asked for');
savepoint posted;
set local maintenance.fake_now = '2026-03-31 13:00:01Z';
select is(pg_temp.due(), 'schedule_tick moment_post diary_daily', 'S3-03: at the next full hour one is');
rollback to posted;
update public.patch_jobs set patch = pg_temp.patch();
select pg_temp.run() \g /dev/null
select is(maintenance.undo_task((:'task'::maintenance.task).task_id) - 'rows' - 'task', '{"undone": 1, "refused": 1}',
  'a message can be taken back also when its patch is applied');
select is((select count(*) from public.messages), 1::bigint, '... which stays');
rollback to posted;
select is(maintenance.undo_task((:'task'::maintenance.task).task_id) - 'rows' - 'task', '{"undone": 2, "refused": 0}',
  'an undo takes back the message and its patch job');
select is((select count(*) from public.messages) || ' ' || (select count(*) from public.patch_jobs), '1 0', '... both');
rollback to posted;
select pg_temp.done('patch_generate', 11,
  pg_temp.patch('{"ledger_patch": {"event_log_add": [{"key": "swim", "text": "x"}]}}'))
\g /dev/null
select pg_temp.run() \g /dev/null
select is((select state #>> '{ledger,event_log,0,key}'
  from public.conversation_states where conversation_id = pg_temp.u(11)),
  'swim', 'S3-03: what was posted comes into the state');
rollback to asked;
-- Meanwhile.
select pg_temp.say(11, pg_temp.ago('0'), 'user', 'I am back.') \g /dev/null
select is(pg_temp.answer(:'task', '{"text": "Where are you?"}') -> 'result',
  '{"posted": 0, "note": "no post is due any more"}',
  'whose user is back is not written to');
rollback to asked;
delete from public.conversation_states where conversation_id = pg_temp.u(11);
select is(pg_temp.answer(:'task', '{"text": "x"}') ->> 'state', 'skipped', 'nor who is gone');
rollback to asked;
select is(pg_temp.answer(:'task', jsonb_build_object('text', t)) ->> 'state', 'ready', 'what is no text is no post')
from unnest(array[' ... ', repeat('x', 4001)]) as t where t ~ 'x';
rollback to asked;
select is(pg_temp.answer(:'task', jsonb_build_object('text', ' ... ')) ->> 'state', 'ready',
  'nor is what says nothing');
select is((select count(*) from public.messages), 1::bigint, '... neither is posted');
rollback to start;
-- A diary.
select pg_temp.say(11, pg_temp.ago('25 hours'), 'user', 'Long ago.') \g /dev/null
select request, task as diary from pg_temp.ask('diary_daily', 11) \gset
select is(:'request'::text ~ 'See you' and :'request'::text !~ 'Long ago', true, 'a diary is made of 24 hours');
select is(pg_temp.answer(:'diary', '{"text": "Dear diary."}') -> 'result', '{"posted": 1}', 'S3-03: and posted');
select is(pg_temp.done('diary_daily', 11, '{"text": "x"}'), 'skipped: no post is due',
  'S3-03: a second one of that day is not');
select is(pg_temp.done('moment_post', 11, '{"text": "A wave."}'), 'succeeded {"posted": 1}', 'S3-03: a moment is');
select is(pg_temp.done('moment_post', 11, '{"text": "x"}'), 'skipped: no post is due', 'S3-03: ... once an hour');
select is((select string_agg(input_event, ' ' order by input_event) from public.messages where input_event <> ''),
  'DIARY_DAILY MOMENT_POST', 'each is known by its event');
rollback to start;

-- A worker that is late keeps the hour, if it is not too late.
set local maintenance.fake_now = '2026-03-31 12:09:59Z';
select is(pg_temp.done('moment_post', 11, '{"text": "\ud83c\udf0a"}'), 'succeeded {"posted": 1}',
  'a wave is a text, too');
select is((select created_at from public.messages where role = 'assistant'), '2026-03-31 12:00Z',
  'S3-03: asked within ten minutes a post is of the full hour');
rollback to start;
set local maintenance.fake_now = '2026-03-31 12:10:30Z';
select pg_temp.done('moment_post', 11, '{"text": "A wave."}') \g /dev/null
select is((select created_at from public.messages where role = 'assistant'), '2026-03-31 12:10Z',
  '... later of its own minute');
rollback to start;

-- How many: those in which the user spoke last.
insert into public.conversation_states (conversation_id, user_id) select pg_temp.u(1000 + i), pg_temp.u(2)
from generate_series(1, 100) as i;
select pg_temp.say(1000 + i, pg_temp.ago('2 hours') - i * interval '1 minute', 'user', 'x') from generate_series(1,
  100) as i
\g /dev/null
select is((select count(*) from public.schedule_tick_subjects()), 20::bigint,
  'S3-03: at most 20 conversations an hour');
select is((select array_agg(s order by s) from public.schedule_tick_subjects() as s), array(
  select pg_temp.subject(c) from unnest(array[11] || array(select 1000 + i from generate_series(1,
  19) as i)) as c order by 1),
  '... in which the user spoke last');
select maintenance.configure_job('trigger_posts', batch_size => 200) \g /dev/null
select is((select count(*) from public.schedule_tick_subjects()), 80::bigint, 'S3-03: or as many as are set, up to 80');
select set_eq('select public.moment_post_subjects()', 'select public.schedule_tick_subjects()', 'of moments, too');
select set_eq('select public.diary_daily_subjects()', 'select public.schedule_tick_subjects()', 'and of diaries');
update public.users set deleted_at = now() where id = pg_temp.u(1);
select is_empty(format('select s from public.schedule_tick_subjects() as s where s = %L', pg_temp.subject(11)),
  'who was deleted is not written to');
rollback to start;

-- C-25, C-26: nothing but the worker asks a model, and Gemini for all kinds.
select is_empty($$select kind from maintenance.kind where trigger in ('patch', 'remember', 'post') and kind not in (
  'patch_generate', 'memory_bucket', 'memory_daily', 'memory_biweekly', 'schedule_tick', 'moment_post',
  'diary_daily')$$,
  'C-25: what needs a model is a kind of task');
select is((select count(*) from maintenance.kind where trigger in ('patch', 'remember', 'post')), 7::bigint,
  '... of which there are seven');
select is_empty($$select model from maintenance.model where model !~ 'gemini'$$, 'C-26: asked of Gemini');
-- With a person goes everything that the engine holds of their conversations.
select pg_temp.done('moment_post', 11, '{"text": "CANARY in a post"}'),
  pg_temp.done('schedule_tick', 11, '{"text": "CANARY in a tick"}') \g /dev/null
select (pg_temp.ask('diary_daily', 11)).task is not null as asked \gset
update public.users set deleted_at = now() where id = pg_temp.u(1);
select maintenance_internal.erase_subjects() \g /dev/null
select is_empty($$select t::text from maintenance.task as t where t::text ~ (pg_temp.u(1)::text || '|CANARY') union all
  select c::text from maintenance.change as c where c::text ~ (pg_temp.u(1)::text || '|CANARY') union all
  select s::text from maintenance_internal.subject as s where s::text ~ pg_temp.u(1)::text union all
  select m::text from maintenance.model_call as m where m::text ~ 'CANARY'$$,
  'a person who is erased takes it all along');
select is((select string_agg(state || ' ' || subject, ', ' order by task_id) from maintenance.task),
  'succeeded (erased), succeeded (erased), skipped (erased)', '... the tasks are counted still');
select * from finish();
rollback;
