-- Consolidation: what an answer may do to memories, and what it may not.
begin;
create extension pgtap;
\ir consolidation.psql
select plan(98);

savepoint start;
select * from pg_temp.ask() \gset
select pg_temp.answer(t,
  '{"op": "merge", "ids": ["m1", "m2"], "reason": "both mornings", "key": "training_time", "text": "Trains at dawn, in '
    'the morning"}',
  '{"op": "supersede", "ids": ["m3", "m4"], "reason": "longer now"}') as result from maintenance.task as t
    where task_id = :task_id \gset
select is(:'result'::jsonb, '{"state": "succeeded", "result": {"applied": 2, "refused": 0, "retired": 3, "added": 1}}',
  'a merge and a supersede are applied');
select is(pg_temp.memories(),
  '11 merged, 12 merged, 13 superseded, 14 active, 15 active, 16 active, 17 active, 18 active',
  'the sources of a merge and the older memory of a supersede are retired');
select results_eq($$select key, content, category, confidence, origin, pinned, merged_from, version, observed_at
  from public.memories where origin = 'consolidation'$$,
  $$select 'training_time', 'Trains at dawn, in the morning', category, confidence, 'consolidation', false,
    array[pg_temp.u(11), pg_temp.u(12)], 1, observed_at from public.memories where id = pg_temp.u(12)$$,
  'a merged memory is as new and as sure as the best of its sources');
savepoint applied;
select results_eq('select user_id from public.memory_prompt_cache', 'select pg_temp.u(2)',
  'an applied answer drops the cached prompt of its user, and no other');

-- What is known after an answer need not be asked again; what was edited must.
select is(pg_temp.state(), 'skipped: nothing has changed since the last answer',
  'memories are not asked about again as an answer left them');
update public.memories set content = 'Has no allergies' where id = pg_temp.u(16);
select is(pg_temp.state(), 'leased', 'memories are asked about again once one of them is edited');
rollback to applied;
insert into public.memories (user_id, key, content) values (pg_temp.u(1), 'new', 'New');
select is(pg_temp.state(), 'leased', 'memories are asked about again once one is added');
rollback to applied;

-- The undo, byte by byte.
create temporary table before_images as
select r -> 'before' as row from maintenance.change as c, jsonb_array_elements(c.rows) as r
  where r -> 'before' <> 'null';
select is(maintenance.undo_task(:task_id) - 'rows' - 'task', '{"undone": 4, "refused": 0}',
  'an undo puts back all that an answer did');
select is_empty($$select * from before_images as b join public.memories as m on m.id = (b.row ->> 'id')::uuid
  where to_jsonb(m) - array['version', 'updated_at'] <> b.row - array['version', 'updated_at']
    or m.version <= (b.row ->> 'version')::integer$$, 'an undo puts memories back byte by byte, with higher versions');
select is(pg_temp.memories() || ' ' || (select count(*) from public.memories where user_id = pg_temp.u(1)),
  '11 active, 12 active, 13 active, 14 active, 15 active, 16 active, 17 active, 18 active 8',
  'an undo leaves nothing of the answer');
select pg_temp.answer(pg_temp.ask(), '{"op": "merge", "ids": ["m1", "m2", "m6"]}',
  '{"op": "supersede", "ids": ["m3", "m4"]}', '{"op": "merge", "ids": ["m2", "m4"]}');
select is(pg_temp.ledger(),
  'merge an undo took these apart; supersede an undo took these apart; merge an id that an earlier operation has named',
  'operations that an undo took apart are refused in a later answer');
select is(pg_temp.state(), 'skipped: nothing has changed since the last answer',
  'memories are not asked about again when an answer repeats what was undone');
select is(pg_temp.try('{"op": "merge", "ids": ["m1", "m8"], "key": "other"}'), 'merge applied',
  'a memory whose merge was undone may be merged with another one');
rollback to applied;

update public.memories set content = content where id = pg_temp.u(11);
select is(maintenance.undo_task(:task_id) - 'rows' - 'task', '{"undone": 4, "refused": 0}',
  'an update that changes nothing is no edit');
rollback to applied;
update public.memories set content = 'Trains at noon' where origin = 'consolidation';
select is(maintenance.undo_task(:task_id) - 'rows' - 'task', '{"undone": 3, "refused": 1}',
  'an undo leaves a merged memory that was edited, and brings its sources back');
rollback to applied;
delete from public.memories where id = pg_temp.u(11);
select is(maintenance.undo_task(:task_id) - 'rows' - 'task', '{"undone": 2, "refused": 2}',
  'an undo does not make a deleted memory again');
select is((select count(*) from public.memories where origin = 'consolidation'), 1::bigint,
  'an undo leaves the merged memory that holds the words of a deleted source');
rollback to applied;
insert into public.memories (user_id, key, content) values (pg_temp.u(1), 'prefers_morning', 'Hates the morning');
select is(maintenance.undo_task(:task_id) - 'rows' - 'task', '{"undone": 2, "refused": 2}',
  'an undo leaves a key that is used again to its new memory');
select is((select string_agg(content, ', ' order by content) from public.memories where status = 'active'
  and category = 'habit' or key = 'prefers_morning' and status = 'active'),
  'Hates the morning, Trains at dawn, Trains at dawn, in the morning',
    'an undo loses no memory''s words where a key is used again');
rollback to start;

-- Refused, one by one, with a reason; the others stand.
select pg_temp.refused('an id that was not shown', '{"op": "merge", "ids": ["m1", "m99"]}',
  'a merge with a made-up id is refused');
select pg_temp.refused('an id that was not shown', format('{"op": "merge", "ids": ["m1", "%s"]}', pg_temp.u(21)),
  'a merge with the id of another user''s memory is refused');
select pg_temp.refused('an id that was not shown', format('{"op": "merge", "ids": ["m1", "%s"]}', pg_temp.u(12)),
  'a merge with a memory''s uuid, not its short id, is refused');
select pg_temp.refused('an id that was not shown', '{"op": "merge", "ids": ["m1", 2]}',
  'a merge with an id that is a number is refused');
select pg_temp.refused('its ids are not a list', '{"op": "merge", "ids": "m1, m2"}',
  'a merge whose ids are a text is refused');
select pg_temp.refused('its ids are not a list', '{"op": "merge"}', 'a merge without ids is refused');
select pg_temp.refused('it takes two memories', '{"op": "merge", "ids": ["m1", "m1"]}',
  'a merge of one id, given twice, is refused');
select pg_temp.refused('it takes two memories', '{"op": "merge", "ids": []}',
  'a merge of an empty list of ids is refused');
select pg_temp.refused('no such operation', '{"op": "delete", "ids": ["m1", "m2"]}', 'an operation delete is refused');
select pg_temp.refused('no such operation', '{"op": ["merge"], "ids": ["m1", "m2"]}',
  'an operation whose name is a list is refused');
select pg_temp.refused('no such operation', '{}', 'an operation that is an empty object is refused');
select pg_temp.refused('not an object', '"merge m1 and m2"', 'an operation that is a text is refused');
select pg_temp.refused('not an object', 'null', 'an operation that is null is refused');
select pg_temp.refused('its key or its text is not a text', '{"op": "merge", "ids": ["m1", "m2"], "text": {"a": 1}}',
  'a merge whose text is an object is refused');
select pg_temp.refused('a memory is pinned, or the user''s own word', '{"op": "merge", "ids": ["m5", "m6"]}',
  'a merge of a pinned memory is refused');
select pg_temp.refused('a memory is pinned, or the user''s own word', '{"op": "merge", "ids": ["m7", "m8"]}',
  'a merge of the user''s own word is refused');
select pg_temp.refused('a memory is pinned, or the user''s own word', '{"op": "supersede", "ids": ["m5", "m7"]}',
  'a supersede between a pinned memory and the user''s own word is refused');
select pg_temp.refused('its key is not in snake_case, or too long',
  '{"op": "merge", "ids": ["m1", "m2"], "key": "Training Time"}',
    'a merge whose key has capitals and blanks is refused');
select pg_temp.refused('its key is not in snake_case, or too long',
  format('{"op": "merge", "ids": ["m1", "m2"], "key": "%s"}', repeat('x', 101)),
    'a merge whose key is longer than 100 characters is refused');
select pg_temp.refused('its key is that of another memory', '{"op": "merge", "ids": ["m1", "m2"], "key": "allergy"}',
  'a merge whose key is that of another memory is refused');
select pg_temp.refused('its text is longer than what it stands for',
  format('{"op": "merge", "ids": ["m1", "m2"], "text": "%s"}', repeat('x', 55)),
    'a merge whose text is more than a fifth longer than its sources is refused');

select is(pg_temp.try('{"op": "supersede", "ids": ["m5", "m6"]}'), 'supersede applied',
  'a pinned memory may supersede another one, though it is older');
select is(pg_temp.try('{"op": "supersede", "ids": ["m6", "m7"]}'), 'supersede applied',
  'the user''s own word may supersede another memory, though it is older');
select is(pg_temp.memories(),
  '11 active, 12 active, 13 active, 14 active, 15 active, 16 superseded, 17 active, 18 superseded',
  'what a pinned memory or the user''s own word supersedes is retired, and they stay');
rollback to start;
update public.memories set observed_at = '2026-01-01' where id in (pg_temp.u(13), pg_temp.u(14));
select is(pg_temp.try('{"op": "supersede", "ids": ["m1", "m2"]}'), 'supersede no telling which one is the later',
  'a supersede of two memories of the same time is refused');
update public.memories set observed_at = '2026-01-01' where id in (pg_temp.u(15), pg_temp.u(16));
select is(pg_temp.try('{"op": "supersede", "ids": ["m3", "m4"]}'), 'supersede applied',
  'a pinned memory supersedes another one of the same time');
rollback to start;

select is(pg_temp.try(format('{"op": "merge", "ids": ["m1", "m2"], "text": "%s", "reason": "%s"}', repeat('x', 54),
  repeat('y', 200))), 'merge applied', 'the text of a merge may be a fifth longer than its sources');
select is(length(note), 120, 'a long reason is cut') from maintenance.change;
rollback to start;
update public.memories set content = repeat('x', 1500) where id in (pg_temp.u(11), pg_temp.u(12));
select is(pg_temp.try(format('{"op": "merge", "ids": ["m1", "m2"], "text": "%s"}', repeat('y', 2001))),
  'merge its text is longer than what it stands for', 'a merge whose text is longer than 2,000 characters is refused');
rollback to start;

-- A merge may keep a key and the newest words.
select is(pg_temp.try('{"op": "merge", "ids": ["m2", "m1", "m1"], "key": "trains_at", "text": "  "}'), 'merge applied',
  'a merge may keep the key of a source');
select results_eq($$select key, content from public.memories where origin = 'consolidation'$$,
  $$values ('trains_at', 'Prefers to train in the morning')$$, 'a merge without a text keeps the newest words');
rollback to start;

-- What happens during the call.
select * from pg_temp.ask() \gset
update public.memories set content = 'Trains at dusk' where id = pg_temp.u(11);
delete from public.memories where id = pg_temp.u(13);
update public.memories set status = 'superseded' where id = pg_temp.u(18);
insert into public.memories (id, user_id, key, content)
  values (pg_temp.u(19), pg_temp.u(1), 'during', 'Came during the call');
select pg_temp.answer(t, '{"op": "merge", "ids": ["m1", "m2"]}', '{"op": "supersede", "ids": ["m3", "m4"]}',
  '{"op": "merge", "ids": ["m6", "m8"]}') from maintenance.task as t where task_id = :task_id;
select is(pg_temp.ledger(),
  'merge a memory has changed since it was shown; supersede a memory has changed since it was shown; merge a '
    'memory has '
    'changed since it was shown', 'an operation on a memory edited, deleted or retired during the call is refused');
select is(pg_temp.memories(),
  '11 active, 12 active, 14 active, 15 active, 16 active, 17 active, 18 superseded, 19 active',
    'operations that are refused for a change during the call change nothing');
select is(pg_temp.state(), 'leased', 'what changes during the call is asked about next time');
rollback to start;
select * from pg_temp.ask() \gset
update public.users set deleted_at = now() where id = pg_temp.u(1);
delete from maintenance_internal.erasure; -- the kind sees for itself
select is(pg_temp.answer(t, '{"op": "merge", "ids": ["m1", "m2"]}') -> 'result',
  '{"applied": 0, "refused": 1, "retired": 0, "added": 0}', 'a user who is gone is left alone')
from maintenance.task as t where task_id = :task_id;
rollback to start;

-- An undo goes backwards: a key that the first operation freed and the second one took.
select pg_temp.ask() as asked \gset
select pg_temp.answer(:'asked'::maintenance.task, '{"op": "merge", "ids": ["m1", "m2"], "key": "morning"}',
  '{"op": "merge", "ids": ["m3", "m4"], "key": "trains_at"}');
select maintenance.approve_task((:'asked'::maintenance.task).task_id);
select is(maintenance.undo_task((:'asked'::maintenance.task).task_id) - 'rows' - 'task', '{"undone": 6, "refused": 0}',
  'an undo takes the last operation back first');
rollback to start;

-- How much one answer may do.
update public.memories set pinned = false, origin = 'inferred';
select is(pg_temp.try('{"op": "merge", "ids": ["m1", "m2", "m3"]}'), 'merge applied',
  'an answer may retire three of eight memories');
rollback to start;
update public.memories set pinned = false, origin = 'inferred';
select * from pg_temp.ask() \gset
select is(pg_temp.answer(t, '{"op": "merge", "ids": ["m1", "m2", "m3", "m4"]}') ->> 'state', 'quarantined',
  'an answer that would retire four of eight memories is quarantined') from maintenance.task as t
    where task_id = :task_id;
select is(last_error, 'it would retire 4 of 8 memories',
  'a quarantined task says how many memories its answer would retire') from maintenance.task
  where task_id = :task_id;
select is(pg_temp.memories(), '11 active, 12 active, 13 active, 14 active, 15 active, 16 active, 17 active, 18 active',
  'a quarantined answer changes no memory');
select is(pg_temp.state(), 'skipped: nothing has changed since the last answer',
  'memories are not asked about again while an answer is quarantined');
savepoint waiting;
select maintenance.reject_task(:task_id);
select is(pg_temp.state(), 'skipped: nothing has changed since the last answer',
  'memories are not asked about again after an answer is rejected');
rollback to waiting;
update public.memories set content = 'edited' where id = pg_temp.u(14);
select is(maintenance.approve_task(:task_id) -> 'result', '{"applied": 0, "refused": 1, "retired": 0, "added": 0}',
  'an approved answer goes through the same checks as any other');
rollback to start;
insert into public.memories (user_id, key, content, observed_at) select pg_temp.u(1), 'k' || i, 'Fact ' || i,
  '2026-02-01'::timestamptz + i * interval '1 s' from generate_series(1, 12) as i;
select is(pg_temp.try('{"op": "merge", "ids": ["m15", "m16", "m17", "m18", "m19", "m20"]}'), 'merge applied',
  'an answer may retire six of twenty memories');
rollback to start;
insert into public.memories (user_id, key, content, observed_at) select pg_temp.u(1), 'k' || i, 'Fact ' || i,
  '2026-02-01'::timestamptz + i * interval '1 s' from generate_series(1, 11) as i;
select is(pg_temp.answer(pg_temp.ask(),
  '{"op": "merge", "ids": ["m14", "m15", "m16", "m17", "m18", "m19"]}') ->> 'state', 'quarantined',
  'an answer that would retire six of nineteen memories is quarantined');
rollback to start;
select * from pg_temp.ask() \gset
select is(maintenance.complete_task(task_id, lease_token, '{"operations": {}}') ->> 'error',
  'apply: operations are not a list, or are more than there are memories', 'operations that are no list are bad output')
from maintenance.task where task_id = :task_id;
select is(pg_temp.answer(pg_temp.ask(), variadic array(select 'null' from generate_series(1, 9))) ->> 'state', 'ready',
  'an answer with more operations than memories is bad output and puts its task back');
select is(pg_temp.answer(pg_temp.ask(), '') -> 'result', '{"applied": 0, "refused": 0, "retired": 0, "added": 0}',
  'an empty list of operations is an answer');
rollback to start;

-- Who is asked about, and with what.
delete from public.memories where id = pg_temp.u(21);
select is(pg_temp.state(pg_temp.u(2)), 'skipped: 4 memories, and it takes 5',
  'a user with four memories is not asked about');
insert into public.memories (user_id, key, content) values (pg_temp.u(2), 'fifth', 'Fifth');
select is(pg_temp.state(pg_temp.u(2)), 'leased', 'a user with five memories is asked about');
insert into public.users (id, is_guest, deleted_at) values (pg_temp.u(3), true, null), (pg_temp.u(4), false, now()),
  (pg_temp.u(5), false, null);
insert into public.memories (user_id, key, content) select pg_temp.u(nr), 'k', 'x' from generate_series(3, 4) as nr;
select is(pg_temp.state(pg_temp.u(3)), 'skipped: the user is gone, deleted or a guest', 'a guest is not asked about');
update maintenance_internal.subject set looked_at = looked_at + interval '1 hour';
select is(maintenance.trigger_jobs('consolidate'), '{"success": true, "usersProcessed": 1, "jobsPublished": 1}',
  'trigger_jobs leaves out guests, deleted users, those with less than five memories, and who was looked at since');
select is(maintenance.trigger_jobs('consolidate', force => true),
  '{"success": true, "usersProcessed": 2, "jobsPublished": 0}', 'forced, it asks about those too');
insert into public.memories (user_id, key, content, observed_at) select pg_temp.u(5), 'k' || i, 'Fact ' || i,
  now() - i * interval '1 hour' from generate_series(1, 203) as i;
select context -> 'rows' as shown from pg_temp.ask(pg_temp.u(5)) \gset
select is((select count(*) from jsonb_object_keys(:'shown')), 200::bigint, 'two hundred memories are shown at most');
select is((select string_agg(key, ' ') from public.memories where user_id = pg_temp.u(5)
  and not :'shown'::jsonb @? format('$.* ? (@.id == "%s")', id)::jsonpath), 'k201 k202 k203',
    'the memories that are shown are those observed last');
select matches(maintenance.task_request(task_id, lease_token) ->> 'content',
  E'^The memories, oldest first, one JSON object a line:\n{"id": "m1", "key": "trains_at", "text": "Trains at dawn", '
    '"pinned": false, "category": "habit", "observed_at": "2026-01-12T07:08:09Z"}\n',
      'the memories are shown as lines of JSON, oldest first')
from pg_temp.ask();
update public.memories set content = repeat('x', 3000) where user_id = pg_temp.u(2);
select is(sum(length(content)), 5 * 2000::bigint, 'memories are shown with at most 2,000 characters each') from (
  select line::jsonb ->> 'text' as content from public.prepare_consolidation(pg_temp.u(2)::text, '{}'),
    regexp_split_to_table(content, '\n') as line where line like '{%') as l;
select is(maintenance.run_now('trigger_consolidation') #>> '{success}', 'true',
  'the daily job trigger_consolidation runs');
select * from finish();
rollback;
