-- S3-06 to S3-17, S3-22: patch jobs, one attempt a step; tests/commit/companion.sql has what others see of it.
begin;
create extension pgtap;
\ir companion.psql
select plan(101);

-- S3-06: one a turn.
select pg_temp.turn(11, 1) as first \gset
select is(pg_temp.turn(11, 1), :'first', 'S3-06: a second call for the same turn returns the first id');
select is((select count(*) from public.patch_jobs), 1::bigint, '... and adds nothing');
select is((select count(public.enqueue_patch_job(pg_temp.u(1), pg_temp.u(11), pg_temp.u(21), null, '{}',
  pg_temp.patch())) from generate_series(1, 2)), 2::bigint, 'what belongs to no turn is always new');
delete from public.patch_jobs where turn_seq is null;
select is((select (user_id, character_id, status, attempts, last_error)::text from public.patch_jobs),
  '(00000000-0000-0000-0000-000000000001,00000000-0000-0000-0000-000000000021,pending,0,"")', 'it is pending');
select lives_ok(format('select public.enqueue_patch_job(%L, %L, %L, 7, %L)', pg_temp.u(1), pg_temp.u(14), pg_temp.u(24),
  '{"user": "hi"}'), 'of a new conversation');
select is((select c.version || ' ' || k.version || ' ' || c.subject from public.conversation_states as c
    join public.character_states as k using (character_id) where conversation_id = pg_temp.u(14)),
  '1 1 ' || pg_temp.u(1) || '/' || pg_temp.u(14), '... the states are made');
delete from public.character_states where character_id = pg_temp.u(24);
select is_empty($$select from public.patch_jobs where turn_seq = 7$$,
  'with a character go its conversations, and their jobs');
select throws_ok(format('select public.enqueue_patch_job(%L, %L, %L, 1, %L, %L)', a.who, a.conversation, a.character,
  a.input, a.patch), 'PM002', null, a.what)
from (values
  (pg_temp.u(2), pg_temp.u(11), pg_temp.u(22), '{}', null, 'of somebody else''s conversation'),
  (pg_temp.u(1), pg_temp.u(15), pg_temp.u(22), '{}', null, 'of somebody else''s character'),
  (pg_temp.u(1), null, pg_temp.u(21), '{}', null, 'of no conversation'),
  (null, pg_temp.u(11), pg_temp.u(22), '{}', null, 'of nobody''s'),
  (pg_temp.u(1), pg_temp.u(11), pg_temp.u(21), '[]', null, 'from what is no object'),
  (pg_temp.u(1), pg_temp.u(11), pg_temp.u(21), null, null, 'from nothing'),
  (pg_temp.u(1), pg_temp.u(11), pg_temp.u(21), jsonb_build_object('x', repeat('x', 100000))::text, null,
  'from too much'),
  (pg_temp.u(1), pg_temp.u(11), pg_temp.u(21), '{}', '{"ledger_patch": {}}', 'with what is no patch')
) as a (who, conversation, character, input, patch, what);
select is((select count(*) from public.conversation_states where conversation_id = pg_temp.u(15)), 0::bigint,
  'and nothing is left of it');

-- S3-08 to S3-10, S3-13, S3-15: applied to both states at once.
savepoint before;
select is(pg_temp.run(), '{"ok": true, "processed": 1, "ok_count": 1, "failed_count": 0}',
  'S3-15: the receipt says how many');
select is(pg_temp.told(11, 1), 'done 0', 'S3-14: it is done');
select is(pg_temp.states(11), '2 [1] 2 1', 'S3-10: both states have changed, by a version each');
select is((select (patched_at is not null, last_error, c.state #>> '{run_state,applied_patch_job_ids,0}' = j.id::text,
    k.state #>> '{run_state,applied_patch_job_ids,0}' = j.id::text)::text
  from public.patch_jobs as j join public.conversation_states as c using (conversation_id)
  join public.character_states as k on k.character_id = j.character_id), '(t,"",t,t)', 'S3-09: and remember it');
select is((select k.state -> 'ledger' is null and c.state -> 'persona_system' is null and
    k.state #>> '{persona_system,name}' = 'Kit' and c.state #>> '{focus_panel,scene}' = 'beach'
  from public.conversation_states as c join public.character_states as k using (character_id)
  where conversation_id = pg_temp.u(11)), true, '... each with what is its own, and with what it was before');
select is(pg_temp.run(), '{"ok": true, "processed": 0, "ok_count": 0, "failed_count": 0}',
  'a second run finds nothing');
select is((select max(rows_affected) from maintenance.run_history where job_name = 'apply_patch_jobs'), 1::bigint,
  'a job is a row of the run');
select throws_ok($$update public.patch_jobs set status = 'pending'$$, 'PM016', null, 'S3-14: what is done stays done');
select throws_ok($$update public.patch_jobs set status = 'fresh' where false or status = 'done'$$, 'PM016', null,
  'S3-14: ... whatever it should become');
select throws_ok($$insert into public.patch_jobs (conversation_id, status) values (pg_temp.u(11), 'fresh')$$, '23514',
  null,
  'S3-14: there is no other status');
-- The same id once more, as the owner, past the trigger.
alter table public.patch_jobs disable trigger patch_jobs_stay_done;
update public.patch_jobs set status = 'pending', run_id = null;
alter table public.patch_jobs enable trigger patch_jobs_stay_done;
select is(pg_temp.run() - 'ok', '{"processed": 1, "ok_count": 1, "failed_count": 0}',
  'S3-09: what is known counts as ok');
select is(pg_temp.states(11), '2 [1] 2 1', '... and changes nothing');
alter table public.patch_jobs disable trigger patch_jobs_stay_done;
update public.patch_jobs set status = 'pending', run_id = null;
alter table public.patch_jobs enable trigger patch_jobs_stay_done;
update public.character_states set state = '{"persona_system": {"name": "Kit"}}' where character_id = pg_temp.u(21);
select pg_temp.run() \g /dev/null
select is(pg_temp.states(11), '2 [1] 4 1',
  'S3-09: a half that has lost it gets it, and the other does not get it twice');
rollback to before;

-- S3-07: oldest first, in the order of turns.
delete from public.patch_jobs;
select pg_temp.turn(11, 3, age => '3 hours'), pg_temp.turn(11, 2, age => '1 hour'), pg_temp.turn(13, 9,
  age => '2 hours'),
  public.enqueue_patch_job(pg_temp.u(1), pg_temp.u(12), pg_temp.u(21), 1, '{"user": "no patch yet"}'),
  pg_temp.turn(12, 2, age => '5 hours') \g /dev/null
create table public.took (nr serial, turn text);
create function public.take() returns trigger language plpgsql as
$$ begin insert into public.took (turn) values (new.turn_seq || ' ' || new.status); return null; end $$;
create trigger take after update of status on public.patch_jobs for each row when (new.status = 'done')
execute function public.take();
select is(pg_temp.run() - 'ok', '{"processed": 3, "ok_count": 3, "failed_count": 0}', 'S3-07: all whose turn it is');
select is((select string_agg(turn, ', ' order by nr) from public.took), '9 done, 2 done, 3 done',
  'S3-07: the oldest first, and none before the turn before it');
select is(pg_temp.states(11), '3 [2, 3] 3 3', '... whatever its age');
select is(pg_temp.told(12, 2), 'pending 0', 'S3-18: a turn whose patch is still to be made holds up those after it');
select is((select kind || ' ' || subject from maintenance.task),
  'patch_generate ' || pg_temp.u(1) || '/' || pg_temp.u(12),
  'S3-18: and a model is asked for it');
select is((select (count, oldest < now() - interval '4 hours', job_name)::text from maintenance_status
  where task = 'patch_jobs_due'), '(2,t,apply_patch_jobs)', 'the status has what is still to be done');
rollback to before;

-- S3-22: a batch.
select pg_temp.turn(11, i) from generate_series(2, 70) as i \g /dev/null
select is(pg_temp.run() ->> 'processed', '10', 'S3-22: a run takes ten');
select maintenance.configure_job('apply_patch_jobs', batch_size => 200) \g /dev/null
select is(pg_temp.run() ->> 'processed', '50', 'S3-22: at most 50, whatever is set');
select is(pg_temp.states(11), '61 ' || (select jsonb_agg(i) from generate_series(1, 60) as i)::text || ' 61 60',
  'in order');
rollback to before;

-- S3-11, S3-12: other writers.
select pg_temp.meet('conversation', 3) \g /dev/null
select clock_timestamp() as began \gset
select is(pg_temp.run() - 'ok', '{"processed": 1, "ok_count": 1, "failed_count": 0}', 'S3-11: it is tried again');
select is(pg_temp.told(11, 1), 'done 3', 'S3-11: attempts grow by one for each writer that it meets');
select cmp_ok(clock_timestamp() - :'began', '>=', interval '560 milliseconds', 'S3-11: after 80, 160 and 320 ms');
select is(pg_temp.states(11), '2 [1] 2 1', 'S3-13: nothing of an attempt that failed is left');
rollback to before;
select pg_temp.meet('conversation', 5) \g /dev/null
select is(pg_temp.run() - 'ok', '{"processed": 1, "ok_count": 0, "failed_count": 1}',
  'S3-12: after five it has failed');
select is(pg_temp.told(11, 1), 'failed 5', 'S3-12: with five attempts');
select is((select last_error from public.patch_jobs), 'the state of conversation ' || pg_temp.u(11)
  || ' has changed meanwhile', 'S3-12: and says why');
select is(pg_temp.states(11), '1 1', 'S3-12, S3-13: the states are untouched, the one that came first, too');
select pg_temp.meet('conversation', 2) \g /dev/null
select is(pg_temp.run() - 'ok', '{"processed": 1, "ok_count": 1, "failed_count": 0}',
  'C-23: the next run takes it again');
select is(pg_temp.told(11, 1), 'done 7', '... with five attempts more');
rollback to before;
select pg_temp.meet('character', 1) \g /dev/null
select pg_temp.run() \g /dev/null
select is(pg_temp.told(11, 1) || ', ' || pg_temp.states(11), 'done 1, 2 [1] 2 1', 'so it is with the character');
rollback to before;
select pg_temp.turn(11, 2) \g /dev/null
select pg_temp.meet('conversation', 5) \g /dev/null
select is(pg_temp.run() - 'ok', '{"processed": 1, "ok_count": 0, "failed_count": 1}', 'what has failed');
select is(pg_temp.told(11, 2), 'pending 0', '... holds up the turns after it');
rollback to before;

-- S3-17, C-23: what fails every time.
update public.patch_jobs set patch = '{"bad": true}';
select pg_temp.turn(11, 2) \g /dev/null
select is(pg_temp.run() - 'ok', '{"processed": 1, "ok_count": 0, "failed_count": 1}',
  'S3-17: what is no patch fails at once');
select is(pg_temp.told(11, 1) || ': ' || (select last_error from public.patch_jobs where turn_seq = 1),
  'failed 1: this is no patch: without focus_panel_next, run_state_patch, plot_board_patch, persona_system_patch, '
  'ip_pack_patch, schedule_board_patch, ledger_patch, memory_patch, style_guard_patch, fact_patch_add, '
  'moderation_flags',
  'S3-17: and says why');
select pg_temp.run() from generate_series(1, 23) \g /dev/null
select is(pg_temp.told(11, 1), 'failed 24', 'S3-17: each run tries it once');
select is(pg_temp.run() - 'ok', '{"processed": 2, "ok_count": 1, "failed_count": 1}', 'S3-17: at the 25th time');
select is(pg_temp.told(11, 1), 'failed 25 parked', '... it is parked');
select is(pg_temp.told(11, 2) || ', ' || pg_temp.states(11), 'done 0, 2 [2] 2 2', '... and holds up nobody any more');
select is(pg_temp.run() ->> 'processed', '0', 'S3-17: nor is it tried again');
select is_empty($$select from maintenance_status where task = 'patch_jobs_due' and count > 0$$, '... or due');
update public.patch_jobs set patch = pg_temp.patch('{"ledger_patch": {"event_log_add": [1]}}') where turn_seq = 1;
select public.retry_patch_job(:'first') \g /dev/null
select is(pg_temp.told(11, 1), 'pending 0', 'S3-17: retry_patch_job takes it up again, with all its attempts');
select pg_temp.run() \g /dev/null
select is(pg_temp.told(11, 1) || ', ' || pg_temp.states(11), 'done 0, 3 [2, 1] 3 2',
  '... and where it was mended it succeeds');
select throws_ok(format('select public.retry_patch_job(%L)', :'first'), 'PM016',
  'the patch job ' || :'first' || ' is done',
  'what has not failed is not tried again');
select throws_ok(format('select public.retry_patch_job(%L)', pg_temp.u(99)), 'PM014', null, 'nor what is not there');
rollback to before;
select maintenance.configure('patch_attempts', 2) \g /dev/null
update public.patch_jobs set patch = '{}';
select pg_temp.run() from generate_series(1, 3) \g /dev/null
select is(pg_temp.told(11, 1), 'failed 2 parked', 'S3-17: how often is a setting');
select is((select string_agg(name || ' ' || shipped, ', ' order by name) from maintenance.setting
  where name ~ 'patch|post'), 'moment_post_probability 1, patch_attempts 25', 'which is shown with the others');
rollback to before;
select maintenance.configure('patch_attempts', 7), pg_temp.meet('conversation', 30) \g /dev/null
select pg_temp.run() from generate_series(1, 3) \g /dev/null
select is(pg_temp.told(11, 1), 'failed 7 parked',
  'C-23: conflicts count, too: five in a run, and the rest in the next');
rollback to before;

-- S3-16: what a run has left behind.
update public.patch_jobs set status = 'processing', run_id = 77, locked_at = now() - interval '9 minutes', attempts = 2,
  conflicts = 2;
select is(pg_temp.run() ->> 'processed', '0', 'S3-16: what another run is at is left to it');
update public.patch_jobs set locked_at = now() - interval '11 minutes';
select is(pg_temp.run() ->> 'ok_count', '1', 'S3-16: for ten minutes');
select is(pg_temp.told(11, 1), 'done 3', '... then it is taken back, which counts as an attempt');
rollback to before;
update public.patch_jobs set status = 'processing', run_id = 77, locked_at = null, attempts = 24;
select is(pg_temp.run() ->> 'processed', '0', 'S3-16: also where it is not known since when');
select is(pg_temp.told(11, 1) || ': ' || (select last_error from public.patch_jobs),
  'failed 25 parked: runs have ended while they were at it', 'S3-17: what ends one run after the other is parked');
rollback to before;
update public.patch_jobs set status = 'processing', run_id = 77, locked_at = 'infinity';
select is(pg_temp.run() ->> 'ok_count', '1', 'S3-16: or was locked in the future');
rollback to before;

-- A state that is too large is no state.
update public.conversation_states set state = jsonb_build_object('x', repeat('x', 1000000));
select is(pg_temp.run() - 'ok', '{"processed": 1, "ok_count": 0, "failed_count": 1}',
  'a state that has grown too large');
select is(pg_temp.states(11), '2 1', '... stays as it is, and so does the character');
rollback to before;

select is((select schedule from maintenance.job_status where job_name = 'apply_patch_jobs'), '*/2 * * * *',
  'S3-01: it runs every two minutes');

-- Ten that fail every time hold up nobody.
select pg_temp.turn(13, 1, age => '1 minute') \g /dev/null
insert into public.patch_jobs (conversation_id, turn_seq, patch, status) select pg_temp.u(12), null, '{}', 'failed'
from generate_series(1, 10) as i;
update public.patch_jobs set created_at = now() - interval '2 days' where status = 'failed';
select is(pg_temp.run() - 'ok', '{"processed": 10, "ok_count": 2, "failed_count": 8}',
  'what has failed before comes after what has not');
rollback to before;

-- What is parked is told, and how to take it up again.
select maintenance.configure('patch_attempts', 1) \g /dev/null
update public.patch_jobs set patch = '{}';
select pg_temp.run() \g /dev/null
select results_eq($$select count, severity, job_name, advice from maintenance_status where task = 'patch_jobs_parked'$$,
  $$values (1::bigint, 'warning', 'retry_patch_jobs',
    'Not fired: no schedule. call maintenance.run_job(''retry_patch_jobs'');')$$,
  'S3-17: the status says what is parked, and what to call');
update public.patch_jobs set patch = pg_temp.patch();
select is(maintenance.run_now('retry_patch_jobs') #>> '{data,rowsAffected}', '1', 'S3-17: which takes it up again');
select is(pg_temp.run() ->> 'ok_count', '1', '... with success');
select is((select count from maintenance_status where task = 'patch_jobs_parked'), 0::bigint, '... and tells no more');
rollback to before;

-- A limit of the run between taking up and trying is no attempt.
select maintenance.configure_job('apply_patch_jobs', max_batches => 1) \g /dev/null
select pg_temp.run() \g /dev/null
select is(pg_temp.told(11, 1), 'processing 0', 'a run that comes to its limit');
select is(pg_temp.run() ->> 'ok_count', '1', '... leaves it to the next');
select is(pg_temp.told(11, 1), 'done 0', '... at once, and no attempt is lost');
rollback to before;
select pg_temp.turn(11, i) from generate_series(2, 4) as i \g /dev/null
select maintenance.configure_job('apply_patch_jobs', max_rows => 3) \g /dev/null
select is(pg_temp.run() ->> 'ok_count', '3', 'max_rows counts jobs');
select is(pg_temp.told(11, 4), 'pending 0', '... and leaves the rest');
rollback to before;
-- What has failed has a share, however much else there is.
update public.patch_jobs set status = 'failed', attempts = 1;
select pg_temp.turn(12, i) from generate_series(1, 30) as i \g /dev/null
select is(pg_temp.run() ->> 'ok_count', '10', 'under load');
select is(pg_temp.told(11, 1), 'done 1', '... one in five is of those that have failed');
rollback to before;
-- Without its kind nothing is asked, and the rest goes on.
delete from maintenance.kind where kind = 'patch_generate';
select is(pg_temp.run() - 'ok', '{"errors": "there is no trigger \"patch\"", "processed": 1, "ok_count": 1,
  "failed_count": 0}', 'without the kind what has a patch is applied');
rollback to before;

-- Who was deleted.
update public.users set deleted_at = now() where id = pg_temp.u(1);
select is(pg_temp.run() ->> 'processed', '0', 'of who was deleted no patch is applied');
select is((select count from maintenance_status where task = 'patch_jobs_due'), 0::bigint, '... or due');
rollback to before;

-- Who forgets the version.
update public.conversation_states set state = state || '{"by": "hand"}' where conversation_id = pg_temp.u(11);
select is(pg_temp.states(11), '2 1', 'C-24: a state that is changed has another version, whoever changes it');
update public.conversation_states set state = state || '{"by": "app"}', version = version + 1
where conversation_id = pg_temp.u(11);
select is(pg_temp.states(11), '3 1', '... by one');
rollback to before;

-- S3-04, S3-05: who may do what.
select is(has_function_privilege(r, f, 'execute'), r = 'maintenance_operator' and f ~ 'retry', format('S3-04: %s, %s',
  r, f))
from unnest(array['public', 'maintenance_viewer', 'maintenance_worker', 'maintenance_operator']) as r,
  unnest(array['public.retry_patch_job(uuid)',
  'public.enqueue_patch_job(uuid, uuid, uuid, integer, jsonb, jsonb)']) as f;
select is_empty(format($$select from pg_class as c where c.relnamespace = 'public'::regnamespace
    and c.relname in (%L, %L, %L, %L, %L, %L) and has_table_privilege('maintenance_worker', c.oid,
      'select, insert, update, delete')$$, 'patch_jobs', 'conversation_states', 'character_states', 'memory_b_episodes',
    'memory_daily', 'memory_biweekly'), 'S3-05: a worker has no right on any of its tables');
select * from finish();
rollback;
