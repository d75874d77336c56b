-- S3-18: a patch that came with its turn is applied; where none came, a model makes it.
begin;
create extension pgtap;
\ir companion.psql
select plan(43);
create function pg_temp.input(conversation integer, turn integer, said text) returns uuid language sql as $$
  select public.enqueue_patch_job(c.user_id, c.conversation_id, c.character_id, turn, jsonb_build_object('user', said))
  from public.conversation_states as c where c.conversation_id = pg_temp.u(conversation) $$;
create function pg_temp.patches() returns text language sql as $$
  select string_agg(concat_ws(' ', j.turn_seq, j.status, coalesce(j.patch #>> '{ledger_patch,event_log_add,0,key}',
    j.patch #>> '{ledger_patch,event_log_add,0}')), ', '
    order by j.conversation_id, j.turn_seq) from public.patch_jobs as j $$;
create function pg_temp.event(what text) returns jsonb language sql as $$
  select pg_temp.patch(jsonb_build_object('ledger_patch',
    jsonb_build_object('event_log_add', jsonb_build_array(jsonb_build_object('key', what, 'text', what))))) $$;

select pg_temp.turn(13, 1), pg_temp.input(11, 1, 'We found a map.'), pg_temp.input(11, 2, 'And a key.') \g /dev/null
select set_eq('select public.patch_subjects()', array[pg_temp.subject(11)], 'S3-18: only where there is no patch');
savepoint start;
select task as first, request from pg_temp.ask('patch_generate', 11) \gset
select matches(:'request'::text, '^The state before the turn, .*\n.*"scene": "beach".*\n.*"user": "We found a map."',
  'the model is shown the state, and what was said');
select is(:'request'::text ~ '"name": "Kit"', true, '... with the character''s');
select is(pg_temp.answer(:'first', pg_temp.event('map')) - 'available_at', '{"state": "ready", "result": {"made": 1}}',
  'S3-18: the answer becomes the patch, and the task goes on');
select is(pg_temp.done('patch_generate', 11, pg_temp.event('key')), 'succeeded {"made": 2}', '... to the next turn');
select is(jsonb_path_query_array(jsonb_agg(patch), '$[*].keyvalue().key ? (@ == "memory_patch")'),
  '["memory_patch", "memory_patch"]', 'with all of its keys')
  from public.patch_jobs where conversation_id = pg_temp.u(11);
select is_empty('select public.patch_subjects()', 'then there is nothing to ask');
select is(pg_temp.run() - 'ok', '{"processed": 3, "ok_count": 3, "failed_count": 0}', 'S3-18: and all are applied');
select is((select jsonb_path_query_array(state, '$.ledger.event_log[*].key') from public.conversation_states
  where conversation_id = pg_temp.u(11)), '["map", "key"]', '... in the order of turns');
select is(maintenance.undo_task((:'first'::maintenance.task).task_id) ->> 'refused', '2',
  'what was applied is not undone: the job has changed since');
select is(pg_temp.done('patch_generate', 11, '{}'), 'skipped: no turn is without a patch', 'a rerun asks for nothing');
rollback to start;
select pg_temp.done('patch_generate', 11, pg_temp.event('map')) \g /dev/null
select is(maintenance.undo_task((select task_id from maintenance.task)) ->> 'undone', '1',
  'before it is applied a patch can be undone');
select is((select count(*) from public.patch_jobs where patch is null), 2::bigint, '... then there is none again');
rollback to start;

-- What is no patch, and what has changed meanwhile.
select is(pg_temp.done('patch_generate', 11, pg_temp.event('map') - 'memory_patch'),
  'ready the answer is not as its schema says: $.memory_patch is missing',
  'S3-18: without one of the eleven keys it is no answer');
select is((select count(*) from public.patch_jobs where patch is null), 2::bigint, '... and changes nothing');
rollback to start;
select is(pg_temp.done('patch_generate', 11, pg_temp.event('map') || '{"moderation_flags": 5}'),
  'ready the answer is not as its schema says: $.moderation_flags is none of what it may be',
  'nor with one of another type');
rollback to start;
select is(pg_temp.done('patch_generate', 11, pg_temp.event('map') || '{"status": "done", "id": 7}'),
  'ready {"made": 1}', 'what is no key of a patch');
select is((select patch ? 'status' from public.patch_jobs where patch is not null and conversation_id = pg_temp.u(11)),
  false, '... is left out');
rollback to start;
select task as first from pg_temp.ask('patch_generate', 11) \gset
update public.patch_jobs set patch = pg_temp.event('mine') where turn_seq = 1 and conversation_id = pg_temp.u(11);
select is(pg_temp.answer(:'first', pg_temp.event('map')) ->> 'result', '{"made": 0}',
  'a patch that has come meanwhile');
select is(pg_temp.patches(), '1 pending mine, 2 pending, 1 pending 1', '... stands');
rollback to start;
select task as first from pg_temp.ask('patch_generate', 11) \gset
update public.patch_jobs set patch_input = '{"user": "We lost it."}' where turn_seq = 1 and patch is null;
select is(pg_temp.answer(:'first', pg_temp.event('map')) ->> 'error',
  'apply: what was said has changed since it was shown', 'what was said otherwise meanwhile makes the answer stale');
rollback to start;
select task as first from pg_temp.ask('patch_generate', 11) \gset
delete from public.patch_jobs where conversation_id = pg_temp.u(11);
select is(pg_temp.answer(:'first', pg_temp.event('map')), '{"state": "succeeded", "result": {"made": 0}}',
  'of a job that is gone nothing is made');
rollback to start;
update public.patch_jobs set patch_input = jsonb_build_object('user', repeat('x', 90000)) where patch is null;
select is(length(request) between 60000 and 61000, true, 'of a long turn 60,000 characters are shown')
from pg_temp.ask('patch_generate', 11);
update maintenance.task set lease_expires_at = now() - interval '1 day';
select is(length(content) between 30000 and 31000, true, '... and half of that where that is too much')
from public.prepare_patch(pg_temp.subject(11), '{"share": 0.5}');
rollback to start;

-- S3-17: where no model makes one, its turn is for nobody to wait for.
update maintenance.kind set max_attempts = 1 where kind = 'patch_generate';
select pg_temp.turn(11, 3), pg_temp.done('patch_generate', 11, '{}') \g /dev/null
select is((select state from maintenance.task where kind = 'patch_generate'), 'dead', 'a task may die');
select pg_temp.run() \g /dev/null
select is(pg_temp.told(11, 1) || ': ' || (select last_error from public.patch_jobs where turn_seq = 1
  and conversation_id = pg_temp.u(11)), 'failed 0 parked: it has no patch, and no model is asked for it any more',
  'then its turn is parked');
select is((select count(*) from maintenance.task where state = 'ready'), 1::bigint, '... the next is asked about');
select is(pg_temp.told(11, 3), 'pending 0', '... which the third waits for');
select is(pg_temp.done('patch_generate', 11, pg_temp.event('key')), 'succeeded {"made": 1}', 'that one has an answer');
select pg_temp.run() \g /dev/null
select is(concat_ws(', ', pg_temp.told(11, 1), pg_temp.told(11, 2), pg_temp.told(11, 3)),
  'failed 0 parked, done 0, done 0', 'S3-17: and those after it are applied');
select public.retry_patch_job(id) from public.patch_jobs where parked_at is not null \g /dev/null
select is(pg_temp.told(11, 1), 'pending 0', 'S3-17: retry_patch_job takes it up again');
select pg_temp.run() \g /dev/null
select is(pg_temp.told(11, 1), 'pending 0', '... not to park it once more');
select is(pg_temp.done('patch_generate', 11, pg_temp.event('map')), 'succeeded {"made": 1}',
  '... a model is asked again');
select pg_temp.run() \g /dev/null
select is(pg_temp.told(11, 1), 'done 0', '... and it is applied');
rollback to start;
update maintenance.kind set max_attempts = 1 where kind = 'patch_generate';
delete from public.patch_jobs where conversation_id = pg_temp.u(11) and turn_seq = 2;
select pg_temp.done('patch_generate', 11, '{}') \g /dev/null
select pg_temp.run() \g /dev/null
select maintenance.retry_task(task_id) from maintenance.task where state = 'dead' \g /dev/null
select is(pg_temp.done('patch_generate', 11, pg_temp.event('map')), 'succeeded {"made": 1}',
  'a task that is revived by hand comes to it, too');
select is(pg_temp.patches(), '1 pending map, 1 done 1', '... and it is parked no longer');
rollback to start;

-- Whoever is erased takes along what is asked of their conversations.
select pg_temp.input(13, 2, 'of Bob') \g /dev/null
select task as first from pg_temp.ask('patch_generate', 11) \gset
select task as bobs from pg_temp.ask('patch_generate', 13) \gset
update public.users set deleted_at = now() where id = pg_temp.u(1);
select is(pg_temp.answer(:'first', pg_temp.event('CANARY')) ->> 'state', 'skipped',
  'of who was deleted no answer is taken');
select is((select count(*) from public.patch_jobs where patch is null), 3::bigint, '... or kept');
select maintenance_internal.erase_subjects() \g /dev/null
select is((select string_agg(subject, ', ' order by subject) from maintenance.task),
  '(erased), ' || pg_temp.subject(13),
  'with a user are erased the tasks about their conversations, and of nobody else');
select is(pg_temp.answer(:'bobs', pg_temp.event('bob')) ->> 'state', 'succeeded', '... whose answers are taken');
select is_empty(format('select public.patch_subjects() intersect select %L', pg_temp.subject(11)),
  'nor are they asked about');
rollback to start;
select task as first from pg_temp.ask('patch_generate', 11) \gset
delete from public.conversation_states where conversation_id = pg_temp.u(11);
select maintenance_internal.erase_subjects() \g /dev/null
select is((select subject || ' ' || state from maintenance.task), '(erased) skipped', 'so it is with one conversation');
rollback to start;
select task as first from pg_temp.ask('patch_generate', 11) \gset
select is(maintenance.erase_subject(pg_temp.u(1)::text) ->> 'tasks', '1', 'and by hand');
select * from finish();
rollback;
