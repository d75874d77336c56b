-- A task that goes on: apply asks to continue, and hands on a carry.
begin;
create extension pgtap;
\ir toy.psql
select plan(27);

-- Counts to the number in the subject, one answer a step; what it is given and does, it notes.
create table public.step (n integer, carry jsonb, word text);
create function public.count_prepare(subject text, options jsonb)
returns table (content text, context jsonb, input_hash text, skip_reason text) language sql stable
begin atomic
  select 'Count on from ' || (coalesce(options -> 'carry' ->> 'n', '0')), options -> 'carry',
    'h' || (coalesce(options -> 'carry' ->> 'n', '0')),
    case when (options -> 'carry' ->> 'n')::integer >= subject::integer then 'there is no more' end;
end;
create function public.count_apply(subject text, context jsonb, answer jsonb, options jsonb) returns jsonb
language plpgsql as $$
declare v_n integer := coalesce((options -> 'carry' ->> 'n')::integer, 0) + 1;
begin
  if answer ? 'stale' then raise exception 'it has changed' using errcode = 'PM027'; end if;
  if answer ? 'far' and not (options ->> 'approved')::boolean then
    raise exception 'far' using errcode = 'PM017'; end if;
  if answer ? 'long' then return jsonb_build_object('continue', true, 'carry', jsonb_build_object('x', repeat('x',
    100000))); end if;
  if answer ? 'list' then return '{"continue": true, "carry": [1]}'; end if;
  insert into public.step values (v_n, options -> 'carry', answer ->> 'word');
  return jsonb_build_object('n', v_n, 'changes', jsonb_build_array(jsonb_build_object('op', 'count', 'outcome',
    'applied')))
    || case when v_n < subject::integer or answer ? 'more'
      then jsonb_build_object('continue', true, 'carry', jsonb_build_object('n', v_n)) else '{}' end;
end $$;
select maintenance.set_kind('count', 'Count.', '{"type": "object", "properties": {"word": {"type": "string"}}}',
  'public.word_subjects', 'public.count_prepare', 'public.count_apply', max_attempts => 3);
create function pg_temp.step(answer text) returns jsonb language plpgsql as $$
declare v_task record; v_result jsonb;
begin
  update maintenance.task set available_at = now() where state = 'ready' and available_at > now();
  select * into strict v_task from maintenance.claim_tasks('me', 1);
  if maintenance.task_request(v_task.task_id, v_task.lease_token) is null then
    return (select jsonb_build_object('state', t.state) from maintenance.task as t where t.task_id = v_task.task_id);
  end if;
  return maintenance.complete_task(v_task.task_id, v_task.lease_token, answer);
end $$;
create function pg_temp.task() returns maintenance.task language sql as $$
  select t from maintenance.task as t order by task_id desc limit 1 $$;

select maintenance.enqueue_task('count', '3', options => '{"carry": {"n": 2}}') as id \gset
select is(pg_temp.step('{"word": "one"}'), '{"state": "ready", "result": {"n": 1}}',
  'a task that goes on is ready, and told as not put off');
select is((pg_temp.task()).carry, '{"n": 1}', 'what it hands on is kept');
select is((pg_temp.task()).available_at <= clock_timestamp(), true, 'it is due at once');
select is((select count(*) from maintenance.change), 1::bigint, 'and what it did is in the ledger');
select is((select outcome from maintenance.model_call), 'succeeded', 'the call has succeeded');
savepoint one;
select is(maintenance.enqueue_task('count', '3'), :id::bigint, 'whoever asks meanwhile gets the same task');
select is(pg_temp.step('{"stale": 1}') ->> 'state', 'ready', 'an answer that is stale is asked for again');
select results_eq('select attempts, last_class, last_error, carry from pg_temp.task()',
  $$values (1, 'stale', 'apply: it has changed', '{"n": 1}'::jsonb)$$,
    'which costs an attempt, and keeps what was handed on');
update maintenance.task set defers = 3, recoveries = 3, failed_at = now(), halvings = 1, more_room = true;
select pg_temp.step('{"word": "two"}') \g /dev/null
select results_eq('select attempts, defers, recoveries, failed_at, halvings, more_room from pg_temp.task()',
  $$values (0, 0, 0, null::timestamptz, 0, false)$$, 'whoever goes on has all attempts again');
select is(pg_temp.step('{"word": "three"}'), '{"state": "succeeded", "result": {"n": 3}}', 'the last answer ends it');
select results_eq('select n, carry, word from public.step order by n', $$values (1, null::jsonb, 'one'),
  (2, '{"n": 1}', 'two'), (3, '{"n": 2}', 'three')$$, 'each answer was applied once, with what was handed on to it');
select is((pg_temp.task()).carry, null, 'and nothing of it is kept');
select is((select count(*) from maintenance.change where task_id = :id), 3::bigint,
  'the ledger has all of it, of one task');
select is((select input_hash from maintenance_internal.subject where kind = 'count'), 'h2',
  'and what was asked last is known');
rollback to one;

-- How it may end otherwise.
select pg_temp.step('{"word": "two"}'), pg_temp.step('{"word": "three", "more": 1}') \g /dev/null
select is(pg_temp.step('{}'), '{"state": "succeeded"}', 'one that went on and finds nothing more has succeeded');
select results_eq('select result, last_class, carry from pg_temp.task()',
  $$values ('{"state": "succeeded", "result": {"n": 3}}'::jsonb, null::text, null::jsonb)$$, 'with what it has done');
rollback to one;
select pg_temp.step('{"stale": 1}'), pg_temp.step('{"stale": 1}'), pg_temp.step('{"stale": 1}') \g /dev/null
select results_eq('select state, carry from pg_temp.task()', $$values ('dead', null::jsonb)$$,
  'one that is stale again and again is given up');
select lives_ok(format('select maintenance.undo_task(%s)', :id), 'and what it did before can be undone');
select is(maintenance.retry_task(:id) ->> 'state', 'ready', 'or it begins anew');
select is(pg_temp.step('{"word": "one"}') -> 'result', '{"n": 1}', '... from the beginning');
rollback to one;
select is(pg_temp.step('{"far": 1}') ->> 'state', 'quarantined', 'one whose next answer goes too far waits');
select is(maintenance.approve_task(:id) - 'approvedBy', '{"state": "ready", "result": {"n": 2}}',
  'and goes on when it is approved');
select is((pg_temp.task()).carry, '{"n": 2}', '... from there');
rollback to one;
select is(pg_temp.step('{"list": 1}') ->> 'error',
  'apply: what apply hands on is no object, or longer than 100000 characters', 'what is handed on is an object');
select is(pg_temp.step('{"long": 1}') ->> 'error',
  'apply: what apply hands on is no object, or longer than 100000 characters', 'of a bounded length');
rollback to one;
-- Less to look at, by whoever goes on.
select maintenance.claim_tasks('me', 1) \g /dev/null
select maintenance.task_request(:id, lease_token), maintenance.fail_task(:id, lease_token, 'too_large')
from pg_temp.task() \g /dev/null
select is((pg_temp.task()).state, 'ready', 'one that was too large is asked for less');
select maintenance.claim_tasks('me', 1) \g /dev/null
select maintenance.task_request(:id, lease_token) from pg_temp.task() \g /dev/null
select is((pg_temp.task()).state || ': ' || (pg_temp.task()).last_error,
  'dead: it is too large, and prepare shows no less for options.share 0.5', 'and given up where prepare shows no less');
select * from finish();
rollback;
