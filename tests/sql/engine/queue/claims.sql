-- A claim can be sent again under its name, and be told which kinds are meant.
begin;
create extension pgtap;
select plan(18);
\ir toy.psql
insert into public.word select 'w' || i from generate_series(1, 9) as i;
select maintenance.set_kind('other', 'Answer with one word.',
  '{"type": "OBJECT", "properties": {"word": {"type": "STRING"}}}',
  subjects => 'public.word_subjects', prepare => 'public.word_prepare', apply => 'public.word_apply');
select maintenance.enqueue_task('word', 'w' || i) from generate_series(1, 6) as i;
select maintenance.enqueue_task('other', 'w' || i) from generate_series(1, 2) as i;

create function pg_temp.claim(about jsonb, most integer default 2) returns table (task_id bigint, kind text,
  lease_token uuid, attempt integer) language sql
as $$ select * from maintenance.claim_tasks('me', most, '1 minute', about) $$;

create temporary table first as
select * from pg_temp.claim('{"claim": "11111111-1111-1111-1111-111111111111", "kinds": ["word"]}');
select is((select count(*) from first where kind = 'word' and attempt = 1), 2::bigint, 'a claim with a name leases');
select set_eq($$select * from pg_temp.claim('{"repeated": true, "claim": "11111111-1111-1111-1111-111111111111"}', 9)$$,
  'select * from first', 'the same claim again gives the same tasks under the same tokens, and no more');
select results_eq($$select attempts, claims from maintenance.task where task_id in (select task_id from first)$$,
  'values (1, 1), (1, 1)', 'that costs them nothing');
select is_empty($$select task_id from pg_temp.claim('{"claim": "11111111-1111-1111-1111-111111111111"}', 1)
  intersect select task_id from first$$, 'without "repeated" it leases others');
select results_eq($$select count(*) from pg_temp.claim('{"repeated": true,
  "claim": "22222222-2222-2222-2222-222222222222"}', 1)$$, 'values (1::bigint)',
  'one that was not heard leases when it is sent again');
select is_empty($$select task_id from pg_temp.claim('{"repeated": true,
    "claim": "33333333-3333-3333-3333-333333333333"}', 1)
  intersect select task_id from first$$, 'nobody else gets at them');

-- What is over, or somebody else's since, is not given again.
select maintenance.release_task(task_id, lease_token) from first order by task_id limit 1;
select is((select count(*) from pg_temp.claim('{"repeated": true,
  "claim": "11111111-1111-1111-1111-111111111111"}', 9) as c where c.task_id = (select min(task_id) from first)),
  0::bigint, 'what was given back since is not given again');
select maintenance.claim_tasks('another', 100);
select is((select count(*) from pg_temp.claim('{"repeated": true,
  "claim": "11111111-1111-1111-1111-111111111111"}', 9) as c where c.task_id = (select min(task_id) from first)),
  0::bigint, 'nor when another one has it');
select is((select count(distinct lease_token) from maintenance.task where state = 'leased'),
  (select count(*) from maintenance.task where state = 'leased'), 'no two leases share a token');

-- Kinds.
update maintenance.task set state = 'ready', worker = null, lease_token = null, lease_expires_at = null;
select results_eq($$select distinct kind from pg_temp.claim('{"kinds": ["other"]}', 100)$$, $$values ('other')$$,
  'only the kinds that are named are handed out');
select results_eq($$select distinct kind from pg_temp.claim('{"kinds": ["word", "other"]}', 100)$$, $$values ('word')$$,
  'of several, what is there');
select is_empty($$select * from pg_temp.claim('{"kinds": []}', 100)$$, 'of none, nothing');
select throws_ok($$select pg_temp.claim('{"kinds": ["word", "wrod"]}')$$, 'PM013', 'there is no kind "wrod"');

update maintenance.task set state = 'ready', worker = null, lease_token = null, lease_expires_at = null,
  available_at = clock_timestamp() - interval '1 hour';
select results_eq($$select distinct current_setting('maintenance.due_seconds')::integer between 3600 and 3660
  from pg_temp.claim('{}')$$, 'values (true)', 'how long the oldest has been due is told to who claims it');

-- What is wrong is said.
select throws_ok($$select pg_temp.claim('[]')$$, 'PM002',
  'what the worker says about itself is not an object but array');
select throws_ok($$select pg_temp.claim('{"claim": "me"}')$$, 'PM002', 'the claim "me" is no uuid');
select throws_ok($$select pg_temp.claim('{"kinds": "word"}')$$, 'PM002', 'the kinds are not an array but string');
select lives_ok($$select pg_temp.claim('{"pid": 7}')$$, 'what else it says is let pass');
select * from finish();
rollback;
