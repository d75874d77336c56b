-- S0-20 to S0-22: a summary takes the place of exactly the messages that it was made of.
begin;
create extension pgtap;
\ir archiving.psql
select plan(133);
create temporary table said as select to_jsonb(m) as row, m.id from public.messages as m;
create function pg_temp.meanwhile(statement text, what text) returns setof text language plpgsql as $$
declare v_task maintenance.task := pg_temp.ask(); v_messages text; v_said jsonb;
begin
  execute statement;
  v_messages := pg_temp.messages();
  v_said := pg_temp.answer(v_task);
  return next is(v_said ->> 'state' || ', ' || (v_said ->> 'error'),
    'ready, apply: the session has changed since it was '
    'shown', what || ': its answer is stale, and asked for again');
  return next is(pg_temp.messages() || coalesce(pg_temp.archive(), ''), v_messages, what || ': no message is lost');
  return next is((select t.attempts || ' ' || t.last_class from maintenance.task as t where t.task_id = v_task.task_id),
    '1 stale', what || ': it cost an attempt');
end $$;
create function pg_temp.refused(summary text, why text, what text) returns setof text language plpgsql as $$
declare v_said jsonb := pg_temp.answer(pg_temp.ask(), summary);
begin
  return next is(v_said ->> 'error' || ', ' || pg_temp.messages() || coalesce(pg_temp.archive(), ''),
    'apply: ' || why || ', 11 12 13 14 15 16 21 22', what);
end $$;
create function public.keep() returns trigger language plpgsql as $$ begin return null; end $$;
savepoint start;

-- One session after the other.
select is(pg_temp.shown(), 'I took up trail running.|At what time of day?|Mostly at dawn.',
  'the oldest session is shown');
select matches(content, E'^The messages of one session, oldest first, one JSON object a line:\n'
  '{"at": "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ", "id": "u1", "role": "user", '
  '"text": "I took up trail running."}\n',
  'as lines of JSON, with time and role') from public.prepare_archive(pg_temp.u(1)::text, '{}');
select pg_temp.ask() as task \gset
select is(pg_temp.answer(:'task'), '{"state": "ready", "result": {"archived": 1, "messages": 3}}',
  'its summary is taken, and the task goes on');
select is(pg_temp.archive(), 'Ada: Runs at dawn. (3)', 'S0-20: an archived session');
select results_eq($$select started_at, ended_at from public.archived_sessions$$,
  $$select min((row ->> 'created_at')::timestamptz), max((row ->> 'created_at')::timestamptz) from said
    where id between pg_temp.u(11) and pg_temp.u(13)$$, 'S0-20: from its first message to its last');
select is(pg_temp.messages(), '14 15 16 21 22', 'S0-21: exactly its messages are gone');
select is(maintenance.complete_task((:'task'::maintenance.task).task_id, (:'task'::maintenance.task).lease_token, '{}'),
  '{"state": "ready", "result": {"archived": 1, "messages": 3}}', 'a replay changes nothing');
select is(pg_temp.shown(), 'The marathon is on 3 May.|Noted.', 'the next one is shown');
select pg_temp.ask() as next \gset
select is((:'next'::maintenance.task).task_id, (:'task'::maintenance.task).task_id, 'by the same task');
select is(pg_temp.answer(:'next', 'Marathon on 3 May.'),
  '{"state": "succeeded", "result": {"archived": 2, "messages": 5}}',
  'after the last one it has succeeded');
select is(pg_temp.archive(), 'Ada: Runs at dawn. (3); Ada: Marathon on 3 May. (2)', 'two sessions are archived');
select is(pg_temp.messages(), '16 21 22', 'S0-19: what is not old enough stays, and so does Bob');
select is((pg_temp.ask()).last_error, 'no session is to be archived', 'and there is nothing more to ask');
select is((select count(*) from maintenance.model_call), 2::bigint, 'each of them cost one call');
select results_eq('select op, outcome, keys::timestamptz[], deletes from maintenance.change order by change_id',
  $$select 'archive', 'applied', array[min((row ->> 'created_at')::timestamptz),
    max((row ->> 'created_at')::timestamptz)],
    true from said where id between pg_temp.u(11) and pg_temp.u(15) group by id > pg_temp.u(13)
    order by id > pg_temp.u(13)$$,
  'the ledger has an operation for each, from when to when');
savepoint archived;

-- The undo.
select maintenance.undo_task((:'task'::maintenance.task).task_id) as report \gset
select is((:'report'::jsonb ->> 'undone') || ' ' || (:'report'::jsonb ->> 'refused'), '7 0', 'an undo brings all back');
select set_eq('select to_jsonb(m) from public.messages as m', 'select row from said',
  'with every column, and their ids');
select is(pg_temp.archive(), null, 'and takes the summaries away');
select is(maintenance.undo_task((:'task'::maintenance.task).task_id), :'report'::jsonb, 'a second one changes nothing');
select is((pg_temp.ask()).last_error, 'no session is to be archived', 'what was brought back is not archived again');
select is_empty(format('select s from public.archive_subjects() as s where s = %L', pg_temp.u(1)), 'nor asked about');
select set_config('maintenance.fake_now', (now() + interval '8 days')::text, true) \g /dev/null
select is(pg_temp.shown(), 'I took up trail running.|At what time of day?|Mostly at dawn.',
  'but when as many days have passed as sessions are kept');
select pg_temp.ask() as anew \gset
select is((:'anew'::maintenance.task).state, 'leased', 'it is asked about anew');
select is(pg_temp.answer(:'anew') ->> 'state', 'ready', 'and archived');
select pg_temp.answer(pg_temp.ask()) \g /dev/null
select is(pg_temp.answer(pg_temp.ask()) #>> '{result,archived}', '3', '... as is the one that was archived last');
select set_config('maintenance.fake_now', '', true) \g /dev/null
rollback to archived;
select maintenance.undo_task((:'task'::maintenance.task).task_id) \g /dev/null
insert into public.messages (id, user_id, created_at) select pg_temp.u(17), user_id, created_at - interval '5 minutes'
from public.messages where id = pg_temp.u(11);
select is(pg_temp.shown(), null, 'also where a message has come before it meanwhile');
rollback to archived;
insert into public.messages (id, user_id, content) values (pg_temp.u(12), pg_temp.u(1), 'Another one');
update public.archived_sessions set summary = 'Edited' where message_count = 2;
select maintenance.undo_task((:'task'::maintenance.task).task_id) as report \gset
select is((select string_agg(r ->> 'reason', '; ') from jsonb_array_elements(:'report'::jsonb -> 'rows') as r),
  'has been edited since; stays: not all that it stands for could be put back; is there again',
  'an undo leaves alone what was edited or is there again, and brings the rest');
select is(pg_temp.messages(), '11 12 13 14 15 16 21 22', 'no message is left out');
select is((select content from public.messages where id = pg_temp.u(12)), 'Another one', 'none is overwritten');
select is(pg_temp.archive(), 'Ada: Runs at dawn. (3); Ada: Edited (2)', 'and the summaries of those stay');
rollback to archived;
delete from public.users where id = pg_temp.u(1);
select throws_ok(format('select maintenance.undo_task(%s)', (:'task'::maintenance.task).task_id), 'PM016',
  format('task %s is about a subject that was deleted', (:'task'::maintenance.task).task_id),
  'of a user who is gone nothing comes back');
rollback to archived;

-- For how long.
select is((select count from public.maintenance_status where task = 'forget_deletions'), 0::bigint,
  'what was deleted is kept at first');
update maintenance.change set created_at = now() - interval '6 days 23 hours';
select maintenance.run_now('forget_deletions') \g /dev/null
select is((select count(*) from maintenance.change where forgotten_at is not null), 0::bigint, 'for seven days');
update maintenance.change set created_at = now() - interval '7 days 1 second';
select is((select count from public.maintenance_status where task = 'forget_deletions'), 2::bigint, 'then it is due');
select maintenance.configure('recovery_days', 8);
select maintenance.run_now('forget_deletions') \g /dev/null
select is((select count(*) from maintenance.change where forgotten_at is not null), 0::bigint,
  'or for as long as was set');
select maintenance.configure('recovery_days', null::text);
select is((select count from public.maintenance_status where task = 'forget_deletions'), 0::bigint, 'or for ever');
select maintenance.configure('recovery_days', 7);
select maintenance.run_now('forget_deletions') \g /dev/null
select is_empty($$select from maintenance.change where change::text ~ 'dawn|marathon'$$,
  'then archiving keeps nothing of what it deletes');
select throws_ok(format('select maintenance.undo_task(%s)', (:'task'::maintenance.task).task_id), 'PM016',
  format('what task %s changed is not known any more', (:'task'::maintenance.task).task_id),
    'and an undo comes too late');
rollback to start;

-- Meanwhile.
select pg_temp.meanwhile('update public.messages set content = ''Edited'' where id = pg_temp.u(12)',
  'a message is edited');
select is(pg_temp.shown(), 'I took up trail running.|Edited|Mostly at dawn.', 'what was edited is shown as it is');
rollback to start;
select pg_temp.meanwhile('insert into public.messages (user_id, created_at)
  select user_id, created_at + interval ''1 second''
  from public.messages where id = pg_temp.u(12)', 'one comes within');
rollback to start;
select pg_temp.meanwhile('insert into public.messages (user_id, created_at)
  select user_id, created_at + interval ''15 minutes''
  from public.messages where id = pg_temp.u(13)', 'one comes behind');
rollback to start;
select pg_temp.meanwhile('insert into public.messages (user_id, created_at)
  select user_id, created_at - interval ''15 minutes''
  from public.messages where id = pg_temp.u(11)', 'one comes before');
rollback to start;
select pg_temp.meanwhile('update public.messages set deleted_at = now() where id = pg_temp.u(13)',
  'one is deleted softly');
rollback to start;
select pg_temp.meanwhile('delete from public.messages where id = pg_temp.u(13)', 'one is deleted');
rollback to start;
select pg_temp.meanwhile($$insert into public.user_subscriptions (user_id, plan) values (pg_temp.u(1), 'pro');
  update public.retention_policies set days = 60 where plan = 'pro'$$, 'its user pays for more days');
rollback to start;
select pg_temp.ask() as task \gset
insert into public.messages (user_id, created_at) select user_id, created_at + interval '16 minutes'
from public.messages where id = pg_temp.u(13);
select is(pg_temp.answer(:'task') #>> '{result,messages}', '3', 'what comes behind a pause is another session');
rollback to start;

-- A long session, in parts; 2,000 characters each, of which a request takes 28.
insert into public.messages (user_id, content, created_at)
select pg_temp.u(1), 'm' || i || ' ' || repeat('x', 1996), date_trunc('second',
  now()) - interval '60 days' + i * interval '1 minute'
from generate_series(10, 79) as i;
create function pg_temp.part() returns text language sql as $$
  select coalesce(substring(s from '^(Part[^|]*)\|') || ', ', '') || substring(s from 'm\d+') || ' to '
    || substring(s from '.*(m\d+)') from (select pg_temp.shown(options =>
      coalesce((select jsonb_build_object('carry', carry) from maintenance.task where carry is not null),
        '{}'))) as x (s) $$;
savepoint long;
select is(pg_temp.part(), 'm10 to m37', 'of a long session the first part is shown');
select is(pg_temp.answer(pg_temp.ask(), 'Part one.'), '{"state": "ready", "result": {"archived": 0, "messages": 0}}',
  'and its summary handed on');
select is((select count(*) from public.messages) || coalesce(pg_temp.archive(), ''), '78', 'with nothing deleted');
select is(pg_temp.part(), 'Part one., m38 to m65', 'to the second, which begins with it');
savepoint second;
select is(pg_temp.answer(pg_temp.ask(), 'Part two.') ->> 'state', 'ready', 'which hands on another');
select is(pg_temp.part(), 'Part two., m66 to m79', 'to the last');
select is(pg_temp.answer(pg_temp.ask(), 'All of it.'), '{"state": "ready", "result": {"archived": 1, "messages": 70}}',
  'which archives all of it');
select is(pg_temp.archive(), 'Ada: All of it. (70)', 'S0-20: as one session');
select is(pg_temp.messages(), '11 12 13 14 15 16 21 22', 'S0-21: with all of its messages');
select is(pg_temp.part(), null, 'and goes on with the next');
select is(pg_temp.shown(), 'I took up trail running.|At what time of day?|Mostly at dawn.', '... session of its user');
select is((select carry from maintenance.task), '{"archived": 1, "messages": 70}', 'handing on no text');
rollback to second;
update public.messages set content = 'Edited' where content ~ '^m20 ';
select is(pg_temp.part(), 'm10 to m38', 'where a part has changed that was summed up already, it begins anew');
select is(pg_temp.answer(pg_temp.ask(), 'Part one again.') ->> 'state', 'ready', 'with nothing deleted');
rollback to second;
select pg_temp.ask() as task \gset
update public.messages set content = 'Edited' where content ~ '^m20 ';
select is(pg_temp.answer(:'task') ->> 'error', 'apply: the session has changed since it was shown',
  'an edit of what was summed up before makes an answer stale');
rollback to long;
select pg_temp.ask() as task \gset
select is(maintenance.fail_task((:'task'::maintenance.task).task_id, (:'task'::maintenance.task).lease_token,
  'too_large')
  ->> 'state', 'ready', 'a part that is too large');
select is((select halvings from maintenance.task), 1, '... is halved');
select is(pg_temp.shown(options => '{"share": 0.5}') ~ '^m10 .*m23 [^m]*$', true, '... to the half of what it was');
select is(regexp_replace(pg_temp.shown(options => '{"share": 0.01}'), 'x+', 'x'), 'm10 x ... (1000 more characters)',
  'and at last to the beginning of one message, which the model is told');
select is(pg_temp.shown(pg_temp.u(2), '{"share": 0.5}'), 'Bob speaks.', 'of a short session half is shown, too');
select pg_temp.ask() as half \gset
select maintenance.release_task((:'half'::maintenance.task).task_id,
  (:'half'::maintenance.task).lease_token) \g /dev/null
select is((pg_temp.ask()).state, 'leased', 'a half that was not answered is asked for again');
rollback to long;
-- What was too large of one part is known of the next, and not of the next session.
create function pg_temp.too_large() returns void language sql as $$
  select maintenance.fail_task(t.task_id, t.lease_token, 'too_large') from pg_temp.ask() as t $$;
select pg_temp.too_large() \g /dev/null
select pg_temp.answer(pg_temp.ask(), 'Part one.') \g /dev/null
select is(pg_temp.part(), 'Part one., m24 to m37', 'the next part is no larger than what was taken');
update maintenance.task set carry = jsonb_set(carry, '{session,room}', '60000');
select pg_temp.too_large() \g /dev/null
select is((select maintenance.task_request(task_id, lease_token) ->> 'content' ~ 'm24.*m38.*m52' from
  (select (maintenance.claim_tasks('me', 1)).*) as c), false, 'a part that is too large is halved, and not the whole');
select maintenance.release_task(task_id, lease_token) from maintenance.task where state = 'leased' \g /dev/null
update public.retention_policies set days = 100;
select is((pg_temp.ask()).state, 'succeeded', 'one that goes on and finds its session in force again is over');
update public.retention_policies set days = 7;
select is(pg_temp.part(), 'm10 to m37', '... and the session is asked about from its beginning, later');
select set_eq('select public.archive_subjects()', array[pg_temp.u(1), pg_temp.u(2)]::text[],
  'who went on without an end is asked about again');
select is((select substring(s from 'm\d+') || ' to ' || substring(s from '.*(m\d+)') from pg_temp.shown(options =>
    jsonb_build_object('share', 0.5, 'carry', jsonb_build_object('session', jsonb_build_object('digest', n.digest,
      'shown', 65,
    'summary', 'So far.')))) as s), 'm75 to m76', 'of the last part half is shown where it is too large')
from public.next_session(pg_temp.u(1)) as n;
rollback to start;
-- A session that is larger than what one transaction should take: ten thousand messages at a time.
insert into public.messages (user_id, content, created_at)
select pg_temp.u(2), 'x', date_trunc('second', now()) - interval '60 days' + i * interval '1 second'
from generate_series(1, 10002) as i;
select is((select cardinality(ids) from public.next_session(pg_temp.u(2))), 10000, 'a huge session goes in pieces');
update public.messages set content = repeat('x', 3 * 1024 * 1024) where user_id = pg_temp.u(2)
  and id in (select id from public.messages where user_id = pg_temp.u(2) order by created_at limit 4);
select is((select cardinality(ids) from public.next_session(pg_temp.u(2))), 2, '... or by its bytes');
rollback to start;

create trigger keep before delete on public.messages for each row when (old.content = 'At what time of day?')
execute function public.keep();
select is(pg_temp.answer(pg_temp.ask()) ->> 'error', 'apply: not all messages of the session could be deleted',
  'where a trigger keeps a message, all stay');
select is(pg_temp.messages() || coalesce(pg_temp.archive(), ''), '11 12 13 14 15 16 21 22', '... without a summary');
rollback to start;
select pg_temp.answer(pg_temp.ask()), pg_temp.answer(pg_temp.ask()) \g /dev/null
create trigger keep before insert on public.messages for each row when (new.content = 'At what time of day?')
execute function public.keep();
select max(task_id) as task from maintenance.task \gset
select is(maintenance.undo_task(:task) - 'rows' - 'task', '{"undone": 5, "refused": 2}',
  'what a trigger keeps from coming back is told, and its summary stays');
select is(pg_temp.archive(), 'Ada: Runs at dawn. (3)', '... with the word of it');
drop trigger keep on public.messages;
select is(maintenance.undo_task(:task) - 'rows' - 'task', '{"undone": 7, "refused": 0}', 'a second try brings it');
select set_eq('select to_jsonb(m) from public.messages as m', 'select row from said', '... as it was');
rollback to start;
select pg_temp.answer(pg_temp.ask()), pg_temp.answer(pg_temp.ask()) \g /dev/null
insert into public.messages (id, user_id) select pg_temp.u(nr), pg_temp.u(1) from generate_series(11, 15) as nr;
select max(task_id) as task from maintenance.task \gset
select is(maintenance.undo_task(:task) - 'rows' - 'task', '{"undone": 0, "refused": 7}', 'where nothing can come back');
select is_empty(format('select from maintenance_internal.undone_keys(%L, %L)', 'archive_session', pg_temp.u(1)),
  '... nothing counts as brought back');
rollback to start;
alter table public.messages add column reply_to uuid references public.messages;
update public.messages set reply_to = pg_temp.u(11) where id = pg_temp.u(12);
update public.messages set reply_to = pg_temp.u(12) where id = pg_temp.u(13);
update public.messages set reply_to = pg_temp.u(15) where id = pg_temp.u(14); -- a younger one
select pg_temp.answer(pg_temp.ask()), pg_temp.answer(pg_temp.ask()) \g /dev/null
select max(task_id) as task from maintenance.task \gset
savepoint replies;
select is(maintenance.undo_task(:task) - 'rows' - 'task', '{"undone": 7, "refused": 0}',
  'messages that belong to each other come back in whatever order');
rollback to replies;
alter table public.messages rename column content to body;
select is(maintenance.undo_task(:task) #>> '{rows,1,reason}', 'its column content is gone',
  'a text that has no column any more is not dropped without a word');
rollback to replies;
update maintenance.change set rows = '[]',
  forgotten_at = now() where change_id = (select min(change_id) from maintenance.change);
select is(maintenance.undo_task(:task) - 'rows' - 'task', '{"undone": 3, "refused": 0, "forgotten": 1}',
  'what is known of a task is brought back, and the rest is told');
rollback to start;
insert into public.messages (user_id, created_at) values (pg_temp.u(1), 'infinity'), (pg_temp.u(1), '-infinity');
select is(pg_temp.shown(), 'I took up trail running.|At what time of day?|Mostly at dawn.',
  'a time that is none is in no session');
rollback to start;

-- Answers that are none (S0-22).
select pg_temp.refused(s, 'the summary is empty', format('%s is no summary', quote_literal(to_json(s))))
from unnest(array['', E' \n\t ', '...']) as s;
rollback to start;
select pg_temp.refused(s, 'the summary is empty', format('%s is no summary', quote_literal(to_json(s))))
from unnest(array['null', 'N/A', '"None".', E'\x01']) as s;
rollback to start;
select pg_temp.refused(s, 'the summary is empty', format('%s is no summary', quote_literal(to_json(s))))
from unnest(array[U&'\3164', '(none)', 'Empty']) as s;
rollback to start;
select pg_temp.refused(s, 'the summary is empty', format('%s is no summary', quote_literal(to_json(s))))
from unnest(array['null null', '<summary></summary>', 'No summary.']) as s;
rollback to start;
select pg_temp.refused(repeat('x', 4001), 'the summary has 4001 characters, more than 4000', 'one too long is refused');
rollback to start;
select is(pg_temp.answer(pg_temp.ask(), repeat('x', 4000)) ->> 'state', 'ready', 'one of 4,000 characters is not');
rollback to start;
select pg_temp.ask() as task \gset
select maintenance.fail_task((:'task'::maintenance.task).task_id, (:'task'::maintenance.task).lease_token,
  'blocked') \g /dev/null
select is(pg_temp.messages(), '11 12 13 14 15 16 21 22', 'S0-22, C-09: without an answer nothing is deleted');
select is(pg_temp.shown(), 'The marathon is on 3 May.|Noted.', 'a session that is blocked holds up no other');
select pg_temp.ask() as next \gset
select is(pg_temp.answer(:'next') ->> 'state', 'succeeded', '... which is archived');
select is((pg_temp.ask()).last_error, 'no session is to be archived', 'and it costs no second call');
select maintenance.retry_task((:'task'::maintenance.task).task_id) \g /dev/null
select is(pg_temp.shown(), 'I took up trail running.|At what time of day?|Mostly at dawn.',
  'but where somebody asks for it');
rollback to start;

-- Guests and deleted users.
update public.users set is_guest = true where id = pg_temp.u(1);
select is((pg_temp.ask()).state, 'leased', 'a guest''s session is archived where somebody asks for it');
rollback to start;
select pg_temp.ask() as task \gset
update public.users set deleted_at = now() where id = pg_temp.u(1);
select is(pg_temp.answer(:'task') ->> 'error', 'its subject is to be erased', 'that of a user who is deleted is not');
delete from maintenance_internal.erasure;
select is((pg_temp.ask()).last_error, 'the user is gone or deleted', 'nor asked about');
select is(pg_temp.messages(), '11 12 13 14 15 16 21 22', 'and no message is lost');
rollback to start;
select pg_temp.ask() as task \gset
delete from public.users where id = pg_temp.u(1);
select is(pg_temp.answer(:'task') ->> 'error', 'its subject is to be erased', 'nor that of one who is gone');
select is((select count(*) from public.archived_sessions), 0::bigint, 'of whom nothing is archived');
rollback to start;
-- Doors.
select is(maintenance.trigger_jobs('all') - 'usersProcessed', '{"success": true, "jobsPublished": 2}',
  'C-08: archiving is one of all');
grant maintenance_viewer to current_user;
set local role maintenance_viewer;
select results_eq('select kind, state, attempts, leased_at, finished_at from maintenance.task_events',
  $$values ('archive_session', 'ready', 0, null::timestamptz, null::timestamptz), ('archive_session', 'ready', 0,
    null, null)$$,
  'S0-25: a viewer sees what is asked and what became of it');
select throws_ok('select subject from maintenance.task', '42501', null, '... and not about whom');
reset role;
select is((select count(*) from pg_attribute where attrelid = 'maintenance.task_events'::regclass
  and atttypid in ('text'::regtype, 'jsonb'::regtype) and attname not in ('kind', 'state')), 0::bigint,
    '... and no text');
select is(maintenance.run_now('trigger_archive') #>> '{success}', 'true', 'the daily job trigger_archive runs');
select * from finish();
rollback;
