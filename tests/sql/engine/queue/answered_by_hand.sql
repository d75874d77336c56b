-- A task is enqueued, claimed, turned into a request, answered by hand and applied.
begin;
create extension pgtap;
select plan(16);
\ir toy.psql

insert into public.word values ('a', null), ('b', null);
select is(maintenance.enqueue_task('word', 'a'), maintenance.enqueue_task('word', 'a'),
  'a second enqueue returns the first task');
select is((select count(*) from maintenance.task), 1::bigint, 'there is one');
select maintenance.enqueue_task('word', 'b', priority => -1);
create temporary table claimed as select * from maintenance.claim_tasks('me', 1, '1 minute');
select results_eq('select kind, attempt, t.subject from claimed join maintenance.task as t using (task_id, kind)',
  $$values ('word', 1, 'b')$$, 'the lower priority is claimed first');
select is((select count(*) from maintenance.claim_tasks('you', 10, '1 minute')), 1::bigint,
  'another worker gets the other task');
select is((select count(*) from maintenance.claim_tasks('you', 10, '1 minute')), 0::bigint, 'and there is no third');
select is((select maintenance.task_request(task_id, lease_token) from claimed), jsonb_build_object(
  'model', 'gemini-3.5-flash-lite', 'system', 'Answer with one word.', 'content', 'Say b',
  'response_schema', '{"type": "OBJECT"}'::jsonb, 'max_output_tokens', 2048, 'generation', '{}'::jsonb),
  'the request has what a worker needs and no more');
select is((select maintenance.complete_task(task_id, lease_token, e'```json\n{"word": "yes"}\n```',
    '{"promptTokenCount": 1000000, "candidatesTokenCount": 400000, "thoughtsTokenCount": 100000, "durationMs": 1500}')
      from claimed),
  '{"state": "succeeded", "result": {"changed": true}}', 'the answer is applied, code fences and all');
select is((select word from public.word where subject = 'b'), 'yes', 'as the kind says');
select results_eq($$select state, attempts, cost_usd, finished_at is not null, context, t.lease_token
  from maintenance.task as t
    join claimed using (task_id)$$,
  $$values ('succeeded', 1, 0.3, true, null::jsonb, null::uuid)$$, 'the task is over, and knows its cost');
select results_eq('select model, outcome, input_tokens, output_tokens, cost_usd, duration from maintenance.model_call',
  $$values ('gemini-3.5-flash-lite', 'succeeded', 1000000::bigint, 500000::bigint, 0.3, interval '1.5 seconds')$$,
  'the call is on record, thoughts counted as output');
select is((select maintenance.complete_task(task_id, lease_token, 'something else') from claimed),
  '{"state": "succeeded", "result": {"changed": true}}', 'a replay returns the stored result');
select is((select count(*) from maintenance.model_call), 1::bigint, 'and costs nothing');
select throws_ok(format('select maintenance.task_request(%s, %L)', task_id, lease_token), 'PM014', null,
  'a settled token opens nothing else') from claimed;
select throws_ok(format('select maintenance.complete_task(%s, null, %L)', task_id, '{}'), 'PM014', null,
  'a null token is refused')
from claimed;
select throws_ok(format('select maintenance.complete_task(%s, %L, %L)', task_id, gen_random_uuid(), '{}'), 'PM014',
  null,
  'so is somebody else''s') from claimed;
select throws_ok($$select maintenance.enqueue_task('verse', 'a')$$, 'PM013', 'there is no kind "verse"',
  'an unknown kind is refused');
select * from finish();
rollback;
