-- Consolidation: what an answer may do to memories, and what it may not.
begin;
create extension pgtap;
\ir consolidation.psql
select plan(97);

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
  'the older ones are retired');
select results_eq($$select key, content, category, confidence, origin, pinned, merged_from, version, observed_at
  from public.memories where origin = 'consolidation'$$,
  $$select 'training_time', 'Trains at dawn, in the morning', category, confidence, 'consolidation', false,
    array[pg_temp.u(11), pg_temp.u(12)], 1, observed_at from public.memories where id = pg_temp.u(12)$$,
  'the merged one is as new and as sure as the best of them');
savepoint applied;
select results_eq('select user_id from public.memory_prompt_cache', 'select pg_temp.u(2)',
  'the cached prompt is gone, and no other');

-- What is known after an answer need not be asked again; what was edited must.
select is(pg_temp.state(), 'skipped: nothing has changed since the last answer',
  'what the answer left behind is not asked about again');
update public.memories set content = 'Has no allergies' where id = pg_temp.u(16);
select is(pg_temp.state(), 'leased', 'an edit is');
rollback to applied;
insert into public.memories (user_id, key, content) values (pg_temp.u(1), 'new', 'New');
select is(pg_temp.state(), 'leased', 'a new memory is');
rollback to applied;

-- The undo, byte by byte.
create temporary table before_images as
select r -> 'before' as row from maintenance.change as c, jsonb_array_elements(c.rows) as r
  where r -> 'before' <> 'null';
select is(maintenance.undo_task(:task_id) - 'rows' - 'task', '{"undone": 4, "refused": 0}', 'all can be put back');
select is_empty($$select * from before_images as b join public.memories as m on m.id = (b.row ->> 'id')::uuid
  where to_jsonb(m) - array['version', 'updated_at'] <> b.row - array['version', 'updated_at']
    or m.version <= (b.row ->> 'version')::integer$$, 'byte by byte, with higher versions');
select is(pg_temp.memories() || ' ' || (select count(*) from public.memories where user_id = pg_temp.u(1)),
  '11 active, 12 active, 13 active, 14 active, 15 active, 16 active, 17 active, 18 active 8',
  'and nothing is left of the answer');
select pg_temp.answer(pg_temp.ask(), '{"op": "merge", "ids": ["m1", "m2", "m6"]}',
  '{"op": "supersede", "ids": ["m3", "m4"]}', '{"op": "merge", "ids": ["m2", "m4"]}');
select is(pg_temp.ledger(),
  'merge an undo took these apart; supersede an undo took these apart; merge an id that an earlier operation has named',
  'what was undone is not done again');
select is(pg_temp.state(), 'skipped: nothing has changed since the last answer', 'nor asked again');
select is(pg_temp.try('{"op": "merge", "ids": ["m1", "m8"], "key": "other"}'), 'merge applied',
  'one of them alone is free');
rollback to applied;

update public.memories set content = content where id = pg_temp.u(11);
select is(maintenance.undo_task(:task_id) - 'rows' - 'task', '{"undone": 4, "refused": 0}',
  'an update that changes nothing is no edit');
rollback to applied;
update public.memories set content = 'Trains at noon' where origin = 'consolidation';
select is(maintenance.undo_task(:task_id) - 'rows' - 'task', '{"undone": 3, "refused": 1}',
  'an edited memory stays, its sources come back');
rollback to applied;
delete from public.memories where id = pg_temp.u(11);
select is(maintenance.undo_task(:task_id) - 'rows' - 'task', '{"undone": 2, "refused": 2}',
  'one that was deleted is not made again');
select is((select count(*) from public.memories where origin = 'consolidation'), 1::bigint,
  'and what holds its words stays');
rollback to applied;
insert into public.memories (user_id, key, content) values (pg_temp.u(1), 'prefers_morning', 'Hates the morning');
select is(maintenance.undo_task(:task_id) - 'rows' - 'task', '{"undone": 2, "refused": 2}',
  'a key that is used again stays with its new memory');
select is((select string_agg(content, ', ' order by content) from public.memories where status = 'active'
  and category = 'habit' or key = 'prefers_morning' and status = 'active'),
  'Hates the morning, Trains at dawn, Trains at dawn, in the morning', 'and nothing is lost');
rollback to start;

-- Refused, one by one, with a reason; the others stand.
select pg_temp.refused('an id that was not shown', '{"op": "merge", "ids": ["m1", "m99"]}', 'an id that is made up');
select pg_temp.refused('an id that was not shown', format('{"op": "merge", "ids": ["m1", "%s"]}', pg_temp.u(21)),
  'somebody else''s id');
select pg_temp.refused('an id that was not shown', format('{"op": "merge", "ids": ["m1", "%s"]}', pg_temp.u(12)),
  'a real id');
select pg_temp.refused('an id that was not shown', '{"op": "merge", "ids": ["m1", 2]}', 'an id that is a number');
select pg_temp.refused('its ids are not a list', '{"op": "merge", "ids": "m1, m2"}', 'ids as a text');
select pg_temp.refused('its ids are not a list', '{"op": "merge"}', 'no ids');
select pg_temp.refused('it takes two memories', '{"op": "merge", "ids": ["m1", "m1"]}', 'one id twice');
select pg_temp.refused('it takes two memories', '{"op": "merge", "ids": []}', 'an empty list');
select pg_temp.refused('no such operation', '{"op": "delete", "ids": ["m1", "m2"]}', 'a deletion');
select pg_temp.refused('no such operation', '{"op": ["merge"], "ids": ["m1", "m2"]}', 'an operation that is a list');
select pg_temp.refused('no such operation', '{}', 'an empty object');
select pg_temp.refused('not an object', '"merge m1 and m2"', 'a text');
select pg_temp.refused('not an object', 'null', 'null');
select pg_temp.refused('its key or its text is not a text', '{"op": "merge", "ids": ["m1", "m2"], "text": {"a": 1}}',
  'a text that is an object');
select pg_temp.refused('a memory is pinned, or the user''s own word', '{"op": "merge", "ids": ["m5", "m6"]}',
  'a merge of a pinned memory');
select pg_temp.refused('a memory is pinned, or the user''s own word', '{"op": "merge", "ids": ["m7", "m8"]}',
  'a merge of the user''s own word');
select pg_temp.refused('a memory is pinned, or the user''s own word', '{"op": "supersede", "ids": ["m5", "m7"]}',
  'a supersede among pinned and own words');
select pg_temp.refused('its key is not in snake_case, or too long',
  '{"op": "merge", "ids": ["m1", "m2"], "key": "Training Time"}', 'a key with blanks');
select pg_temp.refused('its key is not in snake_case, or too long',
  format('{"op": "merge", "ids": ["m1", "m2"], "key": "%s"}', repeat('x', 101)), 'a key without an end');
select pg_temp.refused('its key is that of another memory', '{"op": "merge", "ids": ["m1", "m2"], "key": "allergy"}',
  'a key that is taken');
select pg_temp.refused('its text is longer than what it stands for',
  format('{"op": "merge", "ids": ["m1", "m2"], "text": "%s"}', repeat('x', 55)), 'a text that says more');

select is(pg_temp.try('{"op": "supersede", "ids": ["m5", "m6"]}'), 'supersede applied',
  'the pinned one stays, though it is older');
select is(pg_temp.try('{"op": "supersede", "ids": ["m6", "m7"]}'), 'supersede applied',
  'the user''s own word stays, though it is older');
select is(pg_temp.memories(),
  '11 active, 12 active, 13 active, 14 active, 15 active, 16 superseded, 17 active, 18 superseded',
  'and the others give way');
rollback to start;
update public.memories set observed_at = '2026-01-01' where id in (pg_temp.u(13), pg_temp.u(14));
select is(pg_temp.try('{"op": "supersede", "ids": ["m1", "m2"]}'), 'supersede no telling which one is the later',
  'two of the same time stay');
update public.memories set observed_at = '2026-01-01' where id in (pg_temp.u(15), pg_temp.u(16));
select is(pg_temp.try('{"op": "supersede", "ids": ["m3", "m4"]}'), 'supersede applied',
  'but a pinned one wins all the same');
rollback to start;

select is(pg_temp.try(format('{"op": "merge", "ids": ["m1", "m2"], "text": "%s", "reason": "%s"}', repeat('x', 54),
  repeat('y', 200))), 'merge applied', 'a text may be a fifth longer than what it stands for');
select is(length(note), 120, 'a long reason is cut') from maintenance.change;
rollback to start;
update public.memories set content = repeat('x', 1500) where id in (pg_temp.u(11), pg_temp.u(12));
select is(pg_temp.try(format('{"op": "merge", "ids": ["m1", "m2"], "text": "%s"}', repeat('y', 2001))),
  'merge its text is longer than what it stands for', 'but not longer than 2,000 characters');
rollback to start;

-- A merge may keep a key and the newest words.
select is(pg_temp.try('{"op": "merge", "ids": ["m2", "m1", "m1"], "key": "trains_at", "text": "  "}'), 'merge applied',
  'a source''s key may be kept');
select results_eq($$select key, content from public.memories where origin = 'consolidation'$$,
  $$values ('trains_at', 'Prefers to train in the morning')$$, 'without a text the newest words stay');
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
    'changed since it was shown', 'edited, deleted, retired: refused');
select is(pg_temp.memories(),
  '11 active, 12 active, 14 active, 15 active, 16 active, 17 active, 18 superseded, 19 active', 'and nothing changes');
select is(pg_temp.state(), 'leased', 'what came in between is asked about next time');
rollback to start;
select * from pg_temp.ask() \gset
update public.users set deleted_at = now() where id = pg_temp.u(1);
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
select is(pg_temp.try('{"op": "merge", "ids": ["m1", "m2", "m3"]}'), 'merge applied', 'three may go');
rollback to start;
update public.memories set pinned = false, origin = 'inferred';
select * from pg_temp.ask() \gset
select is(pg_temp.answer(t, '{"op": "merge", "ids": ["m1", "m2", "m3", "m4"]}') ->> 'state', 'quarantined',
  'four of eight may not') from maintenance.task as t where task_id = :task_id;
select is(last_error, 'it would retire 4 of 8 memories', 'which is said') from maintenance.task
  where task_id = :task_id;
select is(pg_temp.memories(), '11 active, 12 active, 13 active, 14 active, 15 active, 16 active, 17 active, 18 active',
  'and nothing has changed');
select is(pg_temp.state(), 'skipped: nothing has changed since the last answer',
  'it is not asked again while that waits');
savepoint waiting;
select maintenance.reject_task(:task_id);
select is(pg_temp.state(), 'skipped: nothing has changed since the last answer', 'nor when it was rejected');
rollback to waiting;
update public.memories set content = 'edited' where id = pg_temp.u(14);
select is(maintenance.approve_task(:task_id) -> 'result', '{"applied": 0, "refused": 1, "retired": 0, "added": 0}',
  'approved, it goes through the same checks');
rollback to start;
insert into public.memories (user_id, key, content, observed_at) select pg_temp.u(1), 'k' || i, 'Fact ' || i,
  '2026-02-01'::timestamptz + i * interval '1 s' from generate_series(1, 12) as i;
select is(pg_temp.try('{"op": "merge", "ids": ["m15", "m16", "m17", "m18", "m19", "m20"]}'), 'merge applied',
  'of twenty, six may go');
rollback to start;
insert into public.memories (user_id, key, content, observed_at) select pg_temp.u(1), 'k' || i, 'Fact ' || i,
  '2026-02-01'::timestamptz + i * interval '1 s' from generate_series(1, 11) as i;
select is(pg_temp.answer(pg_temp.ask(),
  '{"op": "merge", "ids": ["m14", "m15", "m16", "m17", "m18", "m19"]}') ->> 'state', 'quarantined',
  'of nineteen they may not');
rollback to start;
select * from pg_temp.ask() \gset
select is(maintenance.complete_task(task_id, lease_token, '{"operations": {}}') ->> 'error',
  'apply: operations are not a list, or are more than there are memories', 'no list: bad output')
from maintenance.task where task_id = :task_id;
select is(pg_temp.answer(pg_temp.ask(), variadic array(select 'null' from generate_series(1, 9))) ->> 'state', 'ready',
  'as are more operations than memories');
select is(pg_temp.answer(pg_temp.ask(), '') -> 'result', '{"applied": 0, "refused": 0, "retired": 0, "added": 0}',
  'an empty list is an answer');
rollback to start;

-- Who is asked about, and with what.
delete from public.memories where id = pg_temp.u(21);
select is(pg_temp.state(pg_temp.u(2)), 'skipped: 4 memories, and it takes 5', 'four are too few');
insert into public.memories (user_id, key, content) values (pg_temp.u(2), 'fifth', 'Fifth');
select is(pg_temp.state(pg_temp.u(2)), 'leased', 'five will do');
insert into public.users (id, is_guest, deleted_at) values (pg_temp.u(3), true, null), (pg_temp.u(4), false, now()),
  (pg_temp.u(5), false, null);
insert into public.memories (user_id, key, content) select pg_temp.u(nr), 'k', 'x' from generate_series(3, 4) as nr;
select is(pg_temp.state(pg_temp.u(3)), 'skipped: the user is gone, deleted or a guest', 'a guest is not asked about');
select is(maintenance.trigger_jobs('consolidate'), '{"success": true, "usersProcessed": 2, "jobsPublished": 1}',
  'guests, deleted users and those without a memory are left out');
insert into public.memories (user_id, key, content, observed_at) select pg_temp.u(5), 'k' || i, 'Fact ' || i,
  now() - i * interval '1 hour' from generate_series(1, 203) as i;
select context -> 'rows' as shown from pg_temp.ask(pg_temp.u(5)) \gset
select is((select count(*) from jsonb_object_keys(:'shown')), 200::bigint, 'two hundred are shown at most');
select is((select string_agg(key, ' ') from public.memories where user_id = pg_temp.u(5)
  and not :'shown'::jsonb @? format('$.* ? (@.id == "%s")', id)::jsonpath), 'k201 k202 k203', 'the last observed ones');
select matches(maintenance.task_request(task_id, lease_token) ->> 'content',
  E'^The memories, oldest first, one JSON object a line:\n{"id": "m1", "key": "trains_at", "text": "Trains at dawn", '
    '"pinned": false, "category": "habit", "observed_at": "2026-01-12T07:08:09Z"}\n', 'as lines')
from pg_temp.ask();
update public.memories set content = repeat('x', 3000) where user_id = pg_temp.u(2);
select is(sum(length(content)), 5 * 2000::bigint, 'long texts are cut') from (
  select line::jsonb ->> 'text' as content from public.prepare_consolidation(pg_temp.u(2)::text, '{}'),
    regexp_split_to_table(content, '\n') as line where line like '{%') as l;
select is(maintenance.run_now('trigger_consolidation') #>> '{success}', 'true', 'the daily job asks');
select * from finish();
rollback;
