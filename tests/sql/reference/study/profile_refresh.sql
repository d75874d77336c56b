-- S2-12: a student in 200 characters, computed from topics and from what the student did.
begin;
create extension pgtap;
\ir ../companion/companion.psql
select plan(24);
set local maintenance.fake_now = '2026-11-12 04:00Z';
insert into public.users (id, name) select pg_temp.u(g), 'student ' || g from generate_series(3, 9) as g;
insert into public.subjects (id, user_id, name) values (pg_temp.u(31), pg_temp.u(1), 'Maths'),
  (pg_temp.u(32), pg_temp.u(1), 'Physics'), (pg_temp.u(33), pg_temp.u(1), 'Art, old | new'), (pg_temp.u(34),
  pg_temp.u(2), 'Law');
create function pg_temp.topic(subject integer, many integer, status text, difficulty text, revisions integer)
returns void language sql as $$
  insert into public.topics (subject_id, status, difficulty, revision_count)
  select pg_temp.u($1), $3, $4, $5 from generate_series(1, $2) $$;
create function pg_temp.did(who integer, type text, at timestamptz default '2026-11-12 03:00Z',
  details jsonb default '{}')
returns void language sql as $$
  insert into public.activity_logs (user_id, activity_type, details, created_at) values (pg_temp.u($1), $2, $4, $3) $$;
create function pg_temp.text(who integer) returns text language sql as $$
  select profile_text from public.student_profile(pg_temp.u($1)) $$;
savepoint empty;

select is(pg_temp.text(3), '', 'S2-12: of whom nothing is known nothing is said');
select is(pg_temp.text(1), 'Subjects:Art old new,Maths,Physics', 'S2-12: subjects, by their names');
select pg_temp.topic(31, 2, 'completed', 'Easy', 3), pg_temp.topic(31, 1, 'pending', 'Hard', 0),
  pg_temp.topic(31, 9, 'completed', 'Hard', 2), pg_temp.topic(31, 9, 'pending', 'Medium', 5),
  pg_temp.topic(32, 1, 'pending', 'Hard', 7), pg_temp.topic(34, 5, 'pending', 'Hard', 0) \g /dev/null
select results_eq('select profile_text, strong_subjects, weak_subjects from public.student_profile(pg_temp.u(1))',
  $$values ('Strong:Maths | Weak:Physics | Level:Medium | Subjects:Art old new,Maths,Physics', '{Maths}'::text[],
    '{Physics}'::text[])$$, 'S2-12: strong is completed and revised three times, weak is pending and hard');
select pg_temp.topic(32, 1, 'completed', 'Hard', 3);
select results_eq('select strong_subjects, weak_subjects from public.student_profile(pg_temp.u(1))',
  $$values ('{Maths}'::text[], '{Physics}'::text[])$$,
  'S2-12: a subject with as many weak topics as strong ones is weak');
select matches(pg_temp.text(1), 'Level:Hard', 'S2-12: more strong topics than weak ones ask for hard ones');
select pg_temp.topic(33, 4, 'pending', 'Hard', 0);
select matches(pg_temp.text(1), 'Weak:Art old new,Physics \| Level:Easy',
  'S2-12: fewer ask for easy ones, the weakest first');
select pg_temp.did(1, 'block_completed', t::timestamptz)
  from unnest('{2026-11-12 03:00Z,2026-10-13 04:00:01Z,2026-10-13 04:00Z,
  2026-11-12 04:00:01Z}'::text[]) as t \g /dev/null
select pg_temp.did(1, 'block_missed'), pg_temp.did(2, 'block_missed'), pg_temp.did(1, 'login') \g /dev/null
select matches(pg_temp.text(1), '^Blocks:67% \| Strong', 'S2-12: blocks of thirty days, in percent');
select pg_temp.did(1, 'quiz', details => d::jsonb) from unnest(array['{"correct": 7, "total": 10}',
  '{"correct": "1", "total": 2}',
  '{"correct": 99, "total": 1}', '{"correct": -1, "total": 5}', '{"correct": 5}', '{"correct": "x", "total": "y"}',
  '{"correct": 1e30, "total": 1e30}', '{"correct": 0, "total": 0}', '[]', '"a"', 'null']) as d \g /dev/null
select matches(pg_temp.text(1), '^Blocks:67% \| Acc:69% \| Strong',
  'S2-12: answers of thirty days, whatever else is logged');

-- At most 200 characters.
update public.subjects set name = 'Maths ' || repeat('x', 100) where name = 'Maths';
insert into public.subjects (user_id, name) select pg_temp.u(1), 'Subject number ' || g from generate_series(10,
  40) as g;
select cmp_ok(length(pg_temp.text(1)), '<=', 200, 'S2-12: at most 200 characters');
select matches(pg_temp.text(1), '\| Subjects:Art old new,Maths x{24},Physics(,Subject number \d\d)+$',
  'S2-12: of whole names');
update public.subjects set name = repeat('長', 100) || name where user_id = pg_temp.u(1);
select cmp_ok(length(pg_temp.text(1)), '<=', 200, 'S2-12: in any script');
update public.subjects set name = ' ,|' || e'\n' where user_id = pg_temp.u(1);
select is(pg_temp.text(1), 'Blocks:67% | Acc:69%', 'S2-12: a name of nothing is none');
select throws_ok($$insert into public.student_ai_profile (user_id, profile_text) values (pg_temp.u(1), repeat('x',
  201))$$,
  '23514', null, 'S2-12: the table has no room for more');
rollback to empty;

-- Who was active in 24 hours.
select pg_temp.did(1, 'login', '2026-11-11 04:00:01Z'), pg_temp.did(2, 'login', '2026-11-11 04:00Z'),
  pg_temp.did(3, 'login', '2026-11-12 04:00Z'), pg_temp.did(4, 'login', '2026-11-12 04:00:01Z'),
  pg_temp.did(5, 'login'), pg_temp.did(5, 'login'), pg_temp.did(6, 'login') \g /dev/null
update public.users set deleted_at = now() where id = pg_temp.u(6);
insert into public.student_ai_profile (user_id, profile_text, learning_style, exam_target, last_updated)
select pg_temp.u(g), 'old', 'by ear', 'bar', '2026-11-11 04:00Z' from unnest('{1,2}'::integer[]) as g;
savepoint due;
select is(public.refresh_student_profiles(), 3, 'S2-12: those who did something in 24 hours are refreshed');
select results_eq($$select right(user_id::text, 1), profile_text, last_updated from public.student_ai_profile
  order by 1$$, $$values ('1', 'Subjects:Art old new,Maths,Physics', '2026-11-12 04:00Z'::timestamptz), ('2', 'old',
  '2026-11-11 04:00Z'),
    ('3', '', '2026-11-12 04:00Z'), ('5', '', '2026-11-12 04:00Z')$$, 'S2-12: ... and nobody else');
select is((select learning_style || ' ' || exam_target from public.student_ai_profile where user_id = pg_temp.u(1)),
  'by ear bar',
  'S2-12: what the application has set stays');
set local maintenance.fake_now = '2026-11-12 04:00:01Z';
select is(public.refresh_student_profiles(), 3, 'S2-12: the next run computes them anew, as of its own 24 hours');
rollback to due;
select maintenance.configure_job('profile_refresh', batch_size => 1);
select is((r #>> '{data,rowsAffected}') || ' ' || (r #>> '{data,stopReason}'), '3 done',
  'S2-12: in batches, each once a run')
from maintenance.run_now('profile_refresh') as r;
rollback to due;
select is((select batch_size from maintenance_internal.job where job_name = 'profile_refresh'), 500,
  'S2-12: batches of 500');
select maintenance.disable_job('profile_refresh');
select throws_ok('select public.refresh_student_profiles()', 'PM009', null, 'S2-12: what is disabled says so');
rollback to empty;
-- Nobody asks a model.
select is_empty('select * from maintenance.task', 'S2-12: no model is asked');

-- Rows of others are none of it.
insert into public.topics (user_id, subject_id, status, revision_count) values (pg_temp.u(1), pg_temp.u(34),
  'completed', 3);
select is(pg_temp.text(1), 'Subjects:Art old new,Maths,Physics', 'S2-12: topics count by their subject''s student');
select is(pg_temp.text(2), 'Strong:Law | Level:Hard | Subjects:Law', '... who is that');
delete from public.users where id = pg_temp.u(2);
select is(pg_temp.text(2), '', 'S2-12: with a student goes all that is known');
select * from finish();
rollback;
