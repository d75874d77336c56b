-- An answer is hostile input: whatever it is, complete_task returns, and the task is in a stated state.
begin;
create extension pgtap;
select plan(42);
\ir toy.psql
select maintenance.set_kind('word', 'Answer with one word.',
  '{"type": "OBJECT", "properties": {"word": {"type": "STRING"}}}', 'public.word_subjects',
  'public.word_prepare', 'public.word_apply', max_attempts => 100);

create function pg_temp.answer(answer text, usage jsonb default null) returns jsonb language plpgsql
as $$
declare v_id bigint; v_task maintenance.task;
begin
  insert into public.word values ('a') on conflict (subject) do update set word = null, version = word.version + 1;
  v_id := maintenance.enqueue_task('word', 'a');
  update maintenance.task set available_at = '2000-01-01' where task_id = v_id;
  perform maintenance.claim_tasks('me', 1);
  select * into strict v_task from maintenance.task where task_id = v_id and state = 'leased';
  if maintenance.task_request(v_id, v_task.lease_token) is null then raise exception 'not asked'; end if;
  return maintenance.complete_task(v_id, v_task.lease_token, answer, usage);
end $$;
create function pg_temp.state(answer text) returns text language sql as $$ select pg_temp.answer(answer) ->> 'state' $$;
create function pg_temp.word() returns text language sql as $$ select word from public.word where subject = 'a' $$;

-- Good ones, as models dress them
select is(pg_temp.state(a), 'succeeded', n) from (values
  ('{"word": "x"}', 'plain JSON is taken'), (e'  \n{"word": "x"}\n', 'JSON with blanks around it is taken'),
  (e'```json\n{"word": "x"}\n```', 'JSON in a code fence with a language is taken'),
    (e'```\n{"word": "x"}```', 'JSON in a code fence without a language is taken'),
  ('{"word": "x", "more": [1, {"deep": null}, {"deep": {"deep": "}{"}}]}',
    'JSON with fields that nobody asked for is taken'),
  ('{"word": "x", "more": ' || repeat('{"a":[', 20) || repeat(']}', 20) || '}',
    'JSON with deeply nested fields that nobody asked for is taken')) as v (a, n);
-- Bad ones
select is(pg_temp.state(a), 'ready', n || ' is bad output') from (values
  (null, 'a null answer'), ('', 'an empty answer'), ('   ', 'a blank answer'), ('I cannot answer that.', 'prose'),
  ('{"word": "x"', 'a truncated object'), ('{"word": "x"} and more', 'an object and something behind it'),
    ('{"word": "x"}{"word": "y"}', 'two objects'),
  ('[{"word": "x"}]', 'an array'), ('"x"', 'a string'), ('null', 'the word null'), ('12', 'a number'),
  ('{"word": "\u0000"}', 'a zero character'), ('{"word": "\ud800"}', 'a lone surrogate'),
    ('{"word": 1e400000}', 'a number out of range'),
  ('{"word": NaN}', 'NaN'), (repeat('[', 200000), '200,000 brackets'), (repeat('`', 200000), '200,000 backticks'),
  ('{"word": "' || repeat('x', 200000) || '"}', 'more than 200,000 characters'),
  ('{"word": "x", "word": "y"}', 'a key twice'), ('{"word": "x", "list": [{"a": 1}, {"b": {"c": 1, "c": 1}}]}',
    'a key twice deep inside'),
  (e'\ufeff{"word": "x"}', 'a byte-order mark'), ('Here: ```json {"word": "x"} ```', 'a fence with words before it'),
  (repeat('{"a":[', 1500) || repeat(']}', 1500) || ',', 'a deep nest with a comma behind it'),
  (e'```json\n{"word": "x"', 'a fence that never ends'),
    ('{"word": "x", "fail": true}', 'an answer that apply raises on')) as v (a, n);

select is(pg_temp.word(), null, 'what apply did before it raised is undone');
select is(pg_temp.answer('{"fail": 1}') ->> 'error', 'apply: SQLSTATE P0001',
  'the message of an error that apply raises is not kept');
select is(pg_temp.answer('{"word": "secret"') ->> 'error', 'the answer is not JSON: SQLSTATE 22P02, 17 characters',
  'the text of an answer that is not JSON is not kept');
select is((select count(*) from maintenance.model_call where outcome = 'bad_output'), 27::bigint,
  'each bad answer is on record as a model call');
select is((select attempts from maintenance.task where state = 'ready'), 27, 'each bad answer costs an attempt');
select is(pg_temp.answer('{"word": "Robert''); drop table public.word; --"}') #>> '{result,changed}', 'true',
  'an answer with SQL in a word is applied');
select is(pg_temp.word(), 'Robert''); drop table public.word; --', 'SQL in a word is stored as text');

-- usage is hostile too
select maintenance.configure('daily_budget_usd', null) \g /dev/null
select is(pg_temp.answer('{"word": "x"}', u) ->> 'state', 'succeeded', 'usage ' || left(u::text, 40) || ' does no harm')
  from (values
  ('[1, 2]'::jsonb), ('{"promptTokenCount": "many", "candidatesTokenCount": -5, "thoughtsTokenCount": 1e300, '
    '"durationMs": {"a": 1}, "model": ["x"]}'), ('"x"')) as v (u);
select is((select max(output_tokens) from maintenance.model_call), 0::bigint,
  'token counts that no call can have are none');
select * from finish();
rollback;
