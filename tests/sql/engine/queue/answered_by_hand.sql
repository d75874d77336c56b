-- A task is enqueued, claimed, turned into a request, answered by hand and applied.
begin;
create extension pgtap;
select plan(16);
\ir toy.psql

insert into public.word values ('a', null), ('b', null);
select is(maintenance.enqueue_task('word', 'a'), maintenance.enqueue_task('word', 'a'),
  'a second enqueue returns the first task');
select is((select count(*) from maintenance.task), 1::bigint, 'a subject that is enqueued twice has one task');
select maintenance.enqueue_task('word', 'b', priority => -1);
create temporary table claimed as select * from maintenance.claim_tasks('me', 1, '1 minute');
select results_eq('select kind, attempt, t.subject from claimed join maintenance.task as t using (task_id, kind)',
  $$values ('word', 1, 'b')$$, 'the lower priority is claimed first');
select is((select count(*) from maintenance.claim_tasks('you', 10, '1 minute')), 1::bigint,
  'a second worker gets the task that the first has not claimed');
select is((select count(*) from maintenance.claim_tasks('you', 10, '1 minute')), 0::bigint,
  'a claim gets nothing when all tasks are leased');
select is((select maintenance.task_request(task_id, lease_token) from claimed), jsonb_build_object(
  'model', 'gemini-3.5-flash-lite', 'system', 'Answer with one word.', 'content', 'Say b',
  'response_schema', '{"type": "OBJECT", "properties": {"word": {"type": "STRING"}}}'::jsonb, 'max_output_tokens',
    2048, 'generation', '{}'::jsonb,
  'request', '{}'::jsonb, 'timeout_ms', 60000, 'wait_ms', 0),
  'the request has what a worker needs and no more');
select is((select maintenance.complete_task(task_id, lease_token, e'```json\n{"word": "yes"}\n```',
    '{"promptTokenCount": 1000000, "candidatesTokenCount": 400000, "thoughtsTokenCount": 100000, "durationMs": 1500}')
      from claimed),
  '{"state": "succeeded", "result": {"changed": true}}', 'an answer in code fences is applied');
select is((select word from public.word where subject = 'b'), 'yes',
  'the apply function of the kind writes the answer');
select results_eq($$select state, attempts, cost_usd, finished_at is not null, context, t.lease_token
  from maintenance.task as t
    join claimed using (task_id)$$,
  $$values ('succeeded', 1, 1.55, true, null::jsonb, null::uuid)$$, 'a completed task is finished and has its cost');
select results_eq('select model, outcome, input_tokens, output_tokens, cost_usd, duration from maintenance.model_call',
  $$values ('gemini-3.5-flash-lite', 'succeeded', 1000000::bigint, 500000::bigint, 1.55, interval '1.5 seconds')$$,
  'a model call is on record, with thoughts counted as output');
select is((select maintenance.complete_task(task_id, lease_token, 'something else') from claimed),
  '{"state": "succeeded", "result": {"changed": true}}', 'a replay returns the stored result');
select is((select count(*) from maintenance.model_call), 1::bigint, 'a replay records no further call');
select throws_ok(format('select maintenance.task_request(%s, %L)', task_id, lease_token), 'PM014', null,
  'the token of a completed task gets no request') from claimed;
select throws_ok(format('select maintenance.complete_task(%s, null, %L)', task_id, '{}'), 'PM014', null,
  'a null token is refused')
from claimed;
select throws_ok(format('select maintenance.complete_task(%s, %L, %L)', task_id, gen_random_uuid(), '{}'), 'PM014',
  null,
  'a token of somebody else is refused') from claimed;
select throws_ok($$select maintenance.enqueue_task('verse', 'a')$$, 'PM013', 'there is no kind "verse"',
  'an unknown kind is refused');
select * from finish();
rollback;
