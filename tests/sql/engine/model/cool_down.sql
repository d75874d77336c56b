-- What a failed call says of the model, of its kind or of its task: the model cools, the kind is not asked there, or
-- the task pays; and what it took and cost.
begin;
create extension pgtap;
select plan(69);
\ir calls.psql

-- A limit: the model cools for a second, and one call tries.
select is(pg_temp.hold('a'), '3.5', 'the first model is asked');
select pg_temp.hold('early'), pg_temp.hold('early too') \g /dev/null
select pg_temp.pass('0.1 s') \g /dev/null
select is(pg_temp.fail(pg_temp.held('a'), 'defer', '429: too much', '0 s') ->> 'state', 'ready',
  'a limit costs no task');
select is(pg_temp.task(pg_temp.held('a')), 'ready 0 0', 'neither an attempt nor a defer');
select is(pg_temp.cools(), '3.5 limit 1 00:00:01', 'the model cools for a second');
select is(pg_temp.state(1), 'cooling', 'the state says so');
select is((select reason from maintenance.model_status where position = 1),
  format('asked too often (429, task %s)', (pg_temp.held('a')).task_id), 'and why');
select is_empty('table maintenance.active_failovers', 'what cools for a moment is waited for');
select is(pg_temp.fail(pg_temp.held('early'), 'defer', '429: too much') ->> 'state', 'ready',
  'a call that was under way when it began');
select is(pg_temp.cools(), '3.5 limit 1 00:00:01', '... does not double it');
select pg_temp.answer(pg_temp.held('early too')) \g /dev/null
select is(pg_temp.cools(), '3.5 limit 1 00:00:01', '... and its answer does not end it');
select maintenance.enqueue_task('word', 'more' || i) from generate_series(1, 5) as i \g /dev/null
insert into public.word select 'more' || i from generate_series(1, 5) as i;
update maintenance.task set available_at = maintenance_internal.moment() where state = 'ready';
create temporary table probe as select * from maintenance.claim_tasks('me', 10);
select is((select count(*) from probe), 1::bigint, 'one task is handed out to try');
create temporary table request as select p.task_id, p.lease_token, maintenance.task_request(p.task_id,
  p.lease_token) as r
from probe as p;
select is((select (r ->> 'wait_ms')::numeric from request), 1000::numeric, 'it waits until the cool-down is over');
select pg_temp.pass('1 s') \g /dev/null
select is((select count(*) from maintenance.claim_tasks('me', 10)), 0::bigint,
  'while it tries, no other is handed out');
select maintenance.fail_task(task_id, lease_token, 'defer', '429: still') from probe \g /dev/null
select is(pg_temp.cools(), '3.5 limit 2 00:00:02', 'its failure doubles the time');
update maintenance.task set available_at = maintenance_internal.moment() where state = 'ready';
create temporary table next_probe as select * from maintenance.claim_tasks('me', 10);
select is((select count(*) from next_probe), 1::bigint, 'the next one tries');
select maintenance.task_request(task_id, lease_token) from next_probe \g /dev/null
select pg_temp.pass('2 s') \g /dev/null
select maintenance.complete_task(task_id, lease_token, '{"word": "x"}') from next_probe \g /dev/null
select is(pg_temp.cools(), null, 'its answer ends it');
select is(pg_temp.state(1), 'ok', 'the model is asked as before');

-- What Gemini says is believed.
select pg_temp.hold('a') \g /dev/null
select pg_temp.fail(pg_temp.held('a'), 'defer', '429: wait', '36 s') \g /dev/null
select is(pg_temp.cools(), '3.5 limit 1 00:00:36', 'a longer wait that Gemini asks for');
select is(pg_temp.hold('b'), '3.1', 'a model that cools for longer is passed over');
select results_eq('select model, asked_instead, state from maintenance.active_failovers',
  $$values ('gemini-3.5-flash-lite', 'gemini-3.1-flash-lite', 'cooling')$$, 'that is a fail-over');
select pg_temp.fail(pg_temp.held('b'), 'defer', '429: wait', '3 days') \g /dev/null
select is((select until - since from maintenance_internal.cool_down where model ~ '3.1'), interval '1 day',
  'at most a day: a worker may be in other hands');
delete from maintenance_internal.cool_down;
select pg_temp.hold('a') \g /dev/null
select pg_temp.fail(pg_temp.held('a'), 'defer', '429: quota', '9 s',
  pg_temp.quota('GenerateRequestsPerDayPerProject', '20'))
\g /dev/null
select is((select until from maintenance_internal.cool_down), '2026-11-11 08:00+00'::timestamptz,
  'a limit of the day: until the next midnight in Los Angeles');
select is((select used -> 'day' -> 1 from maintenance.model_status where position = 1), '20', 'the limit is learned');
select is((select learned_at from maintenance_internal.model_pace where learned_day = 20),
  maintenance_internal.moment(),
  'and when');
select maintenance.set_model('gemini-3.5-flash-lite') \g /dev/null
select is((select used -> 'day' -> 1 from maintenance.model_status where position = 1), 'null',
  'who sets the model has it forget');
select is(pg_temp.cools(), null, 'and asked again');
select pg_temp.hold('a') \g /dev/null
select pg_temp.fail(pg_temp.held('a'), 'defer', '429: quota', '9 s', pg_temp.quota('GenerateRequestsPerMinute', '15'))
\g /dev/null
delete from maintenance_internal.cool_down;
select is((select pace from maintenance_internal.pick_models(maintenance_internal.moment(), 'word')),
  interval '1 minute' / 14, '15 a minute are spaced so that 95 %% of them are never reached');
select maintenance.set_model('gemini-3.5-flash-lite') \g /dev/null

-- Not there
select pg_temp.hold('a') \g /dev/null
select pg_temp.fail(pg_temp.held('a'), 'gone', '404: no such model') \g /dev/null
select is(pg_temp.task(pg_temp.held('a')) || ', ' || pg_temp.cools(), 'ready 0 0, 3.5 gone 1 00:01:00',
  'a model is gone');
select is(pg_temp.state(1), 'retired', 'it is shown as retired');
select is(pg_temp.hold('a'), '3.1', 'the next model is asked');
select pg_temp.pass('61 s') \g /dev/null
select is(pg_temp.hold('b'), '3.5', 'after a minute it is tried');
select pg_temp.fail(pg_temp.held('b'), 'gone', '404: no such model') \g /dev/null
select is(pg_temp.cools(), '3.5 gone 2 00:02:00', 'and the time doubles');
select maintenance.set_model('gemini-3.5-flash-lite') \g /dev/null
select is(pg_temp.hold('b'), '3.5', 'set_model has it asked at once');

-- Refused: by what happened to others of its kind
delete from maintenance.model_day;
select pg_temp.hold('a', 'other') \g /dev/null
select pg_temp.fail(pg_temp.held('a'), 'rejected', '400: a schema that I do not take') \g /dev/null
select is(pg_temp.task(pg_temp.held('a')) || ', ' || pg_temp.cools(), 'ready 0 0, 3.5 other refused 1 00:01:00',
  'a kind that was never answered is refused as such, and costs no task');
select is(pg_temp.hold('a', 'other'), '3.1', 'another model is asked for it');
select is(pg_temp.hold('b'), '3.5', 'other kinds are asked as before');
select pg_temp.fail(pg_temp.held('a'), 'rejected', '400') \g /dev/null
select pg_temp.hold('a', 'other') \g /dev/null
select pg_temp.fail(pg_temp.held('a'), 'rejected', '400') \g /dev/null
select is((pg_temp.ask('other')).task_id, null, 'refused by all, it is not handed out');
select matches((select hold from maintenance_internal.task_holds(maintenance_internal.moment())),
  '^no model can be asked for other: gemini-3.5-flash-lite refuses this kind until 2026-11-10 12:02:\d\d\+00 '
  '\(it refuses requests of this kind \(400, task \d+\)\); ', 'and it is said why and until when');
select maintenance.set_kind('other', 'Do it.', '{"type": "OBJECT", "properties": {"word": {"type": "STRING"}}}',
  'public.word_subjects', 'public.word_prepare',
  'public.word_apply') \g /dev/null
select is(pg_temp.cools(), null, 'set_kind has it asked again');
select pg_temp.answer(pg_temp.ask('other')) \g /dev/null
update maintenance.model_day set answered_at = 'infinity';
select pg_temp.hold('a', 'other') \g /dev/null
select is(pg_temp.fail(pg_temp.held('a'), 'rejected', '400: a text that I do not take') ->> 'state', 'dead',
  'where others of its kind are answered, it is the task''s own fault');
select is(pg_temp.cools(), null, 'and nothing cools');

-- Transient: by what happened to others since
delete from maintenance.model_day;
select pg_temp.hold('a', subject => 'w399') \g /dev/null
select pg_temp.fail(pg_temp.held('a'), 'transient', '500') \g /dev/null
select is(pg_temp.cools(), '3.5 fault 1 00:00:01', 'a model that fails cools');
select is((select available_at from maintenance.task where task_id = (pg_temp.held('a')).task_id),
  maintenance_internal.moment() + interval '1 s', 'the task waits for a second by itself');
select pg_temp.pass('1 s'), pg_temp.hold('a', subject => 'w399') \g /dev/null
select pg_temp.fail(pg_temp.held('a'), 'transient', '500') \g /dev/null
select is(pg_temp.task(pg_temp.held('a')), 'ready 0 2', 'twice with nobody else answered costs no attempt');
select pg_temp.pass('2 s') \g /dev/null
select pg_temp.answer(pg_temp.ask()) \g /dev/null
select pg_temp.pass('1 s'), pg_temp.hold('a', subject => 'w399') \g /dev/null
select pg_temp.fail(pg_temp.held('a'), 'transient', '500') \g /dev/null
select is(pg_temp.task(pg_temp.held('a')), 'ready 1 2', 'where another one was answered meanwhile, it costs one');
delete from maintenance_internal.cool_down;
delete from maintenance.model_day;
do $$ begin for i in 1 .. 51 loop
  delete from maintenance_internal.cool_down;
  perform pg_temp.fail(pg_temp.ask(subject => 'w398'), 'transient', 'no answer');
end loop; end $$;
select is((select state || ' ' || defers from maintenance.task where subject = 'w398'), 'dead 51',
  'after 50 failures that nobody else has met, a task is dead');
delete from maintenance_internal.cool_down;
select pg_temp.hold('a') \g /dev/null
select pg_temp.fail(pg_temp.held('a'), 'configuration', '401: the key') \g /dev/null
select is(pg_temp.cools(), null, 'a refused key cools no model');

-- A clock that ran ahead
insert into maintenance_internal.cool_down (model, class, reason, since, until) values
  ('gemini-3.5-flash-lite', 'limit', 'x', maintenance_internal.moment() + interval '2 days', 'infinity');
insert into maintenance_internal.model_pace (model, next_at) values ('gemini-3.5-flash-lite', 'infinity')
on conflict (model) do update set next_at = 'infinity';
select is(pg_temp.hold('a'), '3.5', 'what a clock running ahead has left behind keeps nobody');
select maintenance.set_model('gemini-3.5-flash-lite') \g /dev/null

-- 120 tasks with a limit of 100 a day
delete from maintenance.model_call;
delete from maintenance_internal.model_usage;
select maintenance.set_model('gemini-3.5-flash-lite', per_day => 100) \g /dev/null
do $$ begin for i in 1 .. 120 loop perform pg_temp.answer(pg_temp.ask()); end loop; end $$;
select results_eq($$select model, count(*), max(call_id) - min(call_id) + 1 from maintenance.model_call group by 1
  order by min(call_id)$$, $$values ('gemini-3.5-flash-lite', 95::bigint, 95::bigint),
  ('gemini-3.1-flash-lite', 25, 25)$$, 'calls 1 to 95 go to the first model, 96 to 120 to the second: one switch');
delete from maintenance.task where state = 'leased';
select pg_temp.at('2026-11-11 08:00+00') \g /dev/null
select is(pg_temp.hold('a'), '3.5', 'the next day the first one is asked');

-- What a call takes and costs
select maintenance.set_model('gemini-3.5-flash-lite', per_day => -1) \g /dev/null
delete from maintenance.model_call;
delete from maintenance.model_day;
select pg_temp.hold('a') \g /dev/null
select is(maintenance.task_request((pg_temp.held('a')).task_id, (pg_temp.held('a')).lease_token) ->> 'model',
  'gemini-3.5-flash-lite', 'asked twice under one token');
select is((select count(*) from maintenance.model_call), 1::bigint, '... it has one place');
select pg_temp.answer(pg_temp.held('a'), '{"promptTokenCount": 1000000, "cachedContentTokenCount": 900000,
  "candidatesTokenCount": 500000, "modelVersion": "v7"}') \g /dev/null
select results_eq('select cost_usd, is_estimate, model_version, settled_at is not null from maintenance.model_call',
  $$values (1.307, false, 'v7', true)$$, 'what is in the cache costs less: 0.03 + 0.027 + 1.25 USD');
select results_eq('select day, calls, answered, input_tokens, cached_tokens, output_tokens, cost_usd, unknown_cost from
  maintenance.model_day', $$values ('2026-11-11'::date, 1::bigint, 1::bigint, 1000000::bigint, 900000::bigint,
  500000::bigint, 1.307, 0::bigint)$$, 'and is kept by day');
select is((pg_temp.ask()).task_id, null, 'the budget of a dollar, which ships, is spent');
select maintenance.configure('daily_budget_usd', 1.5) \g /dev/null
create function pg_temp.last() returns text language sql as $$
  select concat_ws(' ', outcome, input_tokens, is_estimate, cost_usd > 0, settled_at is not null)
  from maintenance.model_call order by call_id desc limit 1 $$;
select pg_temp.fail(pg_temp.ask(), 'defer', '503') \g /dev/null
select is(pg_temp.last(), 'defer 0 f f t', 'a refused call costs nothing');
delete from maintenance_internal.cool_down;
select maintenance.release_task(t.task_id, t.lease_token) from pg_temp.ask() as t \g /dev/null
select is(pg_temp.last(), 'released 10 t t t', 'a call that was given back keeps its estimate');
select pg_temp.hold('a') \g /dev/null
update maintenance.task set lease_expires_at = '-infinity' where state = 'leased';
select maintenance_internal.sweep_leases() \g /dev/null
select is(pg_temp.last(), 'lost 10 t t t', 'a lost one too');
select pg_temp.fail(pg_temp.ask(), 'transient', 'no answer within 60 seconds') \g /dev/null
select is(pg_temp.last(), 'transient 10 t t t', 'and one that ran into its time-out');
select is((select array[calls, answered, unknown_cost] from maintenance.model_day), '{5,1,3}', 'the day counts them');

-- What goes away while it is asked
delete from maintenance_internal.cool_down;
select pg_temp.hold('a') \g /dev/null
delete from maintenance.task where state = 'leased';
update maintenance.model_call set asks_at = maintenance_internal.moment() - interval '8 hours' where settled_at is null;
select maintenance_internal.sweep_leases() \g /dev/null
select is(pg_temp.last(), 'lost 10 t t t', 'the call of a task that was deleted is settled, too');
select pg_temp.hold('a') \g /dev/null
delete from maintenance.model where model = 'gemini-3.5-flash-lite';
select is(pg_temp.fail(pg_temp.held('a'), 'defer', '503') ->> 'state', 'ready', 'a model that was taken away');

-- The budget
select maintenance.configure('daily_budget_usd', 0) \g /dev/null
select is((pg_temp.ask()).task_id, null, 'without a budget nothing is handed out');
select matches((select hold from maintenance_internal.task_holds(maintenance_internal.moment()) limit 1),
  '^the budget of 0 USD a day is spent \(1\.3070\); until 2026-11-12 08:00:00\+00$', 'and it is said until when');
select maintenance.configure('daily_budget_usd', null) \g /dev/null
delete from maintenance_internal.cool_down;
select isnt((pg_temp.ask()).task_id, null, 'null is no limit');
select is((select concat(value, '|', shipped, '|', set_by) from maintenance.setting
  where name = 'daily_budget_usd'), '|1|' || session_user,
  'a setting says what ships, and who set it');
select throws_ok($$select maintenance.configure('daily_budget_usd', '-1')$$, 'PM002',
  'daily_budget_usd cannot be "-1"', 'a budget below zero');
select throws_ok($$select maintenance.configure('daily_budget_usd', 'much')$$, 'PM002', null,
  'a budget that is no number');
select throws_ok($$select maintenance.configure('weekly', 1)$$, 'PM002', 'there is no setting "weekly"',
  'no such setting');
select * from finish();
rollback;
