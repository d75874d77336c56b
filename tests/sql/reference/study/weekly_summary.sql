-- S2-13, C-19: what was remembered of a student in a week is summed up, once.
begin;
create extension pgtap;
\ir ../companion/companion.psql
select plan(60);
-- A Sunday, just after midnight. The week is that of Nov 8 to Nov 14.
set local maintenance.fake_now = '2026-11-15 00:00:30Z';
create function pg_temp.remember(who integer, many integer, at timestamptz, importance integer default 3,
  text text default 'Fact') returns void language sql as $$
  insert into public.study_chat_memory (user_id, content, created_at, importance_score, tags, expires_at)
  select pg_temp.u($1), $5 || ' ' || g, $3 + g * interval '1 second', $4, '{maths}', '2027-06-01'
  from generate_series(1, $2) as g $$;
-- Leases the task of a user, and asks; and answers it.
create function pg_temp.ask_week(who integer, out task maintenance.task, out request text) language plpgsql as $$
declare v_id bigint := maintenance.enqueue_task('summarize_week', pg_temp.u(who)::text);
begin
  update maintenance.task set available_at = now() - interval '1 year' where task_id = v_id and state = 'ready';
  perform maintenance.claim_tasks('me', 100);
  select * into task from maintenance.task as t where t.task_id = v_id;
  request := maintenance.task_request(v_id, task.lease_token) ->> 'content';
  select * into task from maintenance.task as t where t.task_id = v_id;
end $$;
create function pg_temp.summarize(who integer, answer jsonb) returns text language plpgsql as $$
declare v_task maintenance.task := (pg_temp.ask_week(who)).task; v_said jsonb;
begin
  if v_task.state <> 'leased' then
    return v_task.state || ': ' || v_task.last_error;
  end if;
  v_said := pg_temp.answer(v_task, answer);
  return concat_ws(' ', v_said ->> 'state', v_said -> 'result', v_said ->> 'error');
end $$;
create function pg_temp.summary(text text) returns jsonb language sql as $$ select jsonb_build_object('summary',
  text) $$;
savepoint empty;

-- Five memories in the week.
select pg_temp.remember(1, 4, '2026-11-10 12:00Z'), pg_temp.remember(2, 4, '2026-11-10 12:00Z') \g /dev/null
select is_empty('select public.summary_subjects()', 'S2-13: four memories are too few');
savepoint four;
select pg_temp.remember(1, 1, t::timestamptz)
  from unnest('{2026-11-07 23:59:58Z,2026-11-14 23:59:59Z}'::text[]) as t \g /dev/null
select is_empty('select public.summary_subjects()', 'S2-13: a memory of another week counts not');
select pg_temp.remember(1, 1, '2026-11-07 23:59:59Z');
select set_eq('select public.summary_subjects()', array[pg_temp.u(1)::text], 'S2-13: five are enough, from Sunday');
rollback to four;
select pg_temp.remember(1, 1, '2026-11-14 23:59:58Z');
select set_eq('select public.summary_subjects()', array[pg_temp.u(1)::text], 'S2-13: ... up to Saturday');
savepoint five;
select results_eq('select user_id, period_start, period_end, memories from public.missing_summaries',
  $$values (pg_temp.u(1), '2026-11-08'::date, '2026-11-15'::date, 5::bigint)$$, 'S2-13: the view says which week');
set local maintenance.fake_now = '2026-11-21 23:59:59Z';
select results_eq('select period_start from public.missing_summaries', array['2026-11-08'::date],
  'S2-13: it is the same week until the next one is over');
set local maintenance.fake_now = '2026-11-22 00:00Z';
select is_empty('select * from public.missing_summaries', 'S2-13: ... which has too few');
set local maintenance.fake_now = '2026-11-14 23:59:59Z';
select is_empty('select * from public.missing_summaries', 'S2-13: a week that goes on is not summed up');
set local maintenance.fake_now = '2026-11-15 00:00:30Z';
update public.users set is_guest = true where id = pg_temp.u(1);
select is_empty('select public.summary_subjects()', 'S0-03: nor that of a guest');
rollback to five;
update public.users set deleted_at = now() where id = pg_temp.u(1);
select is_empty('select public.summary_subjects()', 'S0-03: nor that of somebody deleted');
rollback to five;
update public.study_chat_memory set is_active = false where created_at > '2026-11-14';
select is_empty('select public.summary_subjects()', 'S2-13: a memory that is not active counts not');
rollback to five;
update public.study_chat_memory set expires_at = '2026-11-15 00:00:30Z' where created_at > '2026-11-14';
select is_empty('select public.summary_subjects()', 'S2-13: nor one that has expired');
rollback to five;
update public.study_chat_memory set expires_at = null where created_at > '2026-11-14';
select isnt_empty('select public.summary_subjects()', 'S2-13: one that never expires does');

-- The ten of most importance.
rollback to five;
select pg_temp.remember(1, 8, '2026-11-09 12:00Z', 5, 'Goal'), pg_temp.remember(1, 3, '2026-11-08 12:00Z', 1,
  'Small') \g /dev/null
update public.study_chat_memory set content = repeat('x', 3000) where content = 'Goal 3';
-- The most important of all, and expired.
select pg_temp.remember(1, 1, '2026-11-13 12:00Z', 5, 'Gone') \g /dev/null
update public.study_chat_memory set expires_at = '2026-11-15 00:00:30Z' where content = 'Gone 1';
create temporary table lines as
select l::jsonb as line, nr from (select (pg_temp.ask_week(1)).request as request) as r,
  regexp_split_to_table(r.request, '\n') with ordinality as l (l, nr) where nr > 1;
select is((select string_agg(left(line ->> 'text', 6), ', ' order by nr) from lines),
  'Goal 1, Goal 2, xxxxxx, Goal 4, Goal 5, Goal 6, Goal 7, Goal 8, Fact 4, Fact 1',
  'S2-13: the ten memories of most importance, the newest of equal ones, oldest first');
select is((select line from lines where nr = 2), '{"id": "m1", "at": "2026-11-09T12:00:01Z", "importance": 5,
  "tags": ["maths"], "text": "Goal 1"}', 'S2-13: each is a line');
select is((select length(line ->> 'text') from lines where nr = 4), 2000, 'S2-13: a long one is cut');
rollback to five;

-- The answer.
select is(pg_temp.summarize(1, pg_temp.summary(e' She worked\n on  maths. ')), 'succeeded {"summarized": 1}',
  'S2-13: the answer becomes a summary');
select results_eq('select user_id, summary_type, period_start, period_end, summary_text, token_count, expires_at
    from public.memory_summaries', $$values (pg_temp.u(1), 'weekly', '2026-11-08'::date, '2026-11-15'::date,
  'She worked on maths.', 5, '2026-12-15 00:00:30Z'::timestamptz)$$, 'S2-13, C-19: of the week, kept for a month');
select is_empty('select public.summary_subjects()', 'S2-13: a week that has a summary is not asked about');
select is(pg_temp.summarize(1, pg_temp.summary('Again.')), 'skipped: no week is to be summed up',
  'S2-13: a rerun makes no second one');
insert into public.study_chat_memory (user_id, content, created_at) values (pg_temp.u(1), 'Late', '2026-11-12');
select is_empty('select public.summary_subjects()', 'S2-13: ... also where something was added');
select is(maintenance.undo_task((select max(task_id)
  from maintenance.task where state = 'succeeded')) - 'rows' - 'task',
  '{"undone": 1, "refused": 0}', 'a summary can be undone');
select is_empty('select * from public.memory_summaries', '... and is gone');
select is_empty('select public.summary_subjects()', '... and not made again');
set local maintenance.fake_now = '2026-11-22 00:00Z';
select pg_temp.remember(1, 5, '2026-11-17 12:00Z');
select isnt_empty('select public.summary_subjects()', '... but for the next week');
rollback to five;
select maintenance.configure('summary_days', 7);
select pg_temp.summarize(1, pg_temp.summary('Short.')) \g /dev/null
select is((select expires_at from public.memory_summaries), '2026-11-22 00:00:30Z',
  'C-19: how long it is kept is a setting');
rollback to five;
select maintenance.configure('summary_days', null::text);
select pg_temp.summarize(1, pg_temp.summary('Long.')) \g /dev/null
select is((select expires_at from public.memory_summaries), null, 'C-19: null is for ever');
rollback to five;

-- At most 500 characters.
create function pg_temp.kept(text text) returns text language sql as $$
  select pg_temp.summarize(1, pg_temp.summary(text)); select summary_text from public.memory_summaries $$;
savepoint kept;
select is(pg_temp.kept(repeat('x', 500)), repeat('x', 500), 'S2-13: 500 characters are kept');
rollback to kept;
select is(pg_temp.kept(repeat('Nine car. ', 60)), rtrim(repeat('Nine car. ', 50)),
  'S2-13: of 600 characters as many sentences as fit');
rollback to kept;
select is(pg_temp.kept(repeat('word ', 120)), rtrim(repeat('word ', 99)) || '...', 'S2-13: or words');
rollback to kept;
select is(pg_temp.kept('One. ' || repeat('word ', 119)), 'One. ' || rtrim(repeat('word ', 98)) || '...',
  'S2-13: words, where a sentence alone would leave too little');
rollback to kept;
select is(pg_temp.kept(repeat('x', 600)), repeat('x', 497) || '...', 'S2-13: or letters');
rollback to kept;
select is(length(pg_temp.kept(repeat('長い文。', 150))), 500, 'S2-13: in any script');
rollback to kept;
select is(pg_temp.kept(repeat('word ', 60) || 'They ran 3.5 km' || repeat(' word', 60)),
  repeat('word ', 60) || 'They ran 3.5 km' || repeat(' word', 36) || '...', 'S2-13: a point within a number is no end');
rollback to kept;
select is(pg_temp.kept(repeat('x', 248) || '. ' || repeat('word ', 60)), repeat('x',
  248) || '. ' || rtrim(repeat('word ', 49))
  || '...', 'S2-13: a sentence counts from half of the room');
rollback to kept;
select is(pg_temp.kept(repeat('x', 249) || '. ' || repeat('word ', 60)), repeat('x', 249) || '.', 'S2-13: ... on');
rollback to kept;

-- Hostile answers.
select matches(pg_temp.summarize(1, pg_temp.summary(' ')), '^ready .*the summary is empty',
  'S2-13: an empty summary is asked for again');
select throws_ok(format('select public.apply_summary(%L, ''{}'', %L, ''{}'')', pg_temp.u(1), answer), 'PM018',
  'the summary is empty', 'S2-13: no summary is ' || answer::text)
from unnest(array['{"summary": ""}', '{"summary": "...!"}', '{"summary": "\u200b"}', '{"summary": "N/A"}',
  '{"summary": null}',
  '{"summary": 7}', '{"summary": {"a": "b"}}', '{"summary": ["a"]}', '{}', '[]', '"a"', 'null']::jsonb[]) as answer;
select is_empty('select * from public.memory_summaries', 'S2-13: none of them is kept');
select is(pg_temp.kept('''); drop table users; --'), '''); drop table users; --', 'S2-13: words are words');
rollback to kept;
-- What happens meanwhile.
create temporary table asked as select * from pg_temp.ask_week(1);
savepoint asked;
update public.study_chat_memory set content = 'Edited' where content = 'Fact 1' and user_id = pg_temp.u(1);
select matches(pg_temp.answer((select task from asked), pg_temp.summary('Old.'))::text, 'changed since',
  'S2-13: memories that were edited meanwhile are asked about again');
rollback to asked;
delete from public.users where id = pg_temp.u(1);
select isnt(pg_temp.answer((select task from asked), pg_temp.summary('Old.')) ->> 'state', 'succeeded',
  'S2-13: of a student who has gone meanwhile nothing is kept');
select is_empty('select * from public.memory_summaries', '... nothing at all');
rollback to asked;
insert into public.memory_summaries (user_id, period_start, period_end, summary_text)
values (pg_temp.u(1), '2026-11-08', '2026-11-15', 'Mine');
select is(pg_temp.answer((select task from asked), pg_temp.summary('Theirs.')) -> 'result', '{"summarized": 0}',
  'S2-13: a summary that somebody else has written meanwhile stays');
select is((select summary_text from public.memory_summaries), 'Mine', '... as it is');
rollback to kept;

-- The job.
select pg_temp.remember(2, 1, '2026-11-10 13:00Z');
select is(maintenance.run_now('weekly_summary_generation') #> '{data,details}', '{"success": true, "usersProcessed": 2,
  "jobsPublished": 2}', 'S2-13: the job asks for each of them');
select is(maintenance.run_now('weekly_summary_generation') #>> '{data,details,jobsPublished}', '0', 'S2-13: once');
select is(maintenance.trigger_jobs('all', dry_run => true) -> 'usersProcessed', '0',
  'S0-02: all are the three of the original, and weeks are none of them');
select throws_ok($$insert into public.memory_summaries (user_id, period_start, period_end, summary_text)
  values (pg_temp.u(1), '2026-11-08', '2026-11-15', repeat('x', 501))$$, '23514', null,
  'S2-13: the table has no room for more');
select * from finish();
rollback;
