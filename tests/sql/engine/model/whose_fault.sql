-- What fresh eyes found: whose fault a failure is told to be, who tries when a model cools, and that each call ends.
begin;
create extension pgtap;
select plan(38);
\ir calls.psql
select maintenance.configure('daily_budget_usd', null) \g /dev/null
create function pg_temp.forget() returns void language sql as $$
  delete from maintenance_internal.cool_down; delete from maintenance.model_day; delete from maintenance.task;
  delete from maintenance.model_call; delete from maintenance_internal.model_usage;
  delete from maintenance_internal.model_pace; $$;

-- A later failure of a call that was under way shortens no cool-down, and doubles none.
select pg_temp.hold('a'), pg_temp.hold('b'), pg_temp.hold('c') \g /dev/null
update maintenance.model_call set asks_at = maintenance_internal.moment() + interval '5 s' where task_id =
  (pg_temp.held('b')).task_id;
select pg_temp.fail(pg_temp.held('a'), 'defer', '429', '1 hour') \g /dev/null
select pg_temp.pass('5 s'), pg_temp.fail(pg_temp.held('b'), 'defer', '503') \g /dev/null
select is(pg_temp.cools(), '3.5 fault 1 01:00:00', 'a call that was reserved before says nothing new');
select pg_temp.fail(pg_temp.held('c'), 'defer', '429', null, pg_temp.quota('RequestsPerDay', '20')) \g /dev/null
select is((select until from maintenance_internal.cool_down), '2026-11-11 08:00+00'::timestamptz,
  'but what Gemini says of the time counts');

-- Ten that are always refused, of the first priority: the others get their turn.
select pg_temp.forget() \g /dev/null
insert into public.word select 'good' || i from generate_series(1, 20) as i on conflict do nothing;
insert into public.word select 'bad' || i from generate_series(1, 10) as i on conflict do nothing;
select maintenance.enqueue_task('word', 'bad' || i, -1) from generate_series(1, 10) as i \g /dev/null
select maintenance.enqueue_task('word', 'good' || i) from generate_series(1, 20) as i \g /dev/null
do $$ declare v_claim record; begin
  for i in 1 .. 200 loop
    for v_claim in select c.*, t.subject from maintenance.claim_tasks('me',
      4) as c join maintenance.task as t using (task_id)
    loop
      if maintenance.task_request(v_claim.task_id, v_claim.lease_token) is null then
        continue;
      elsif v_claim.subject ~ 'bad' then
        perform maintenance.fail_task(v_claim.task_id, v_claim.lease_token, 'defer', '429');
      else
        perform maintenance.complete_task(v_claim.task_id, v_claim.lease_token, '{"word": "x"}');
      end if;
    end loop;
    perform pg_temp.pass('2 s');
  end loop;
end $$;
select is((select count(*) from maintenance.task where state = 'succeeded'), 20::bigint,
  'ten of them keep nobody from his turn');

-- A model that begins to refuse a kind that it has answered: one task pays for it, and no more.
select pg_temp.forget() \g /dev/null
update maintenance.kind set instruction = instruction;
update maintenance.model set position = position;
do $$ begin
  perform pg_temp.pass('1 s');
  perform pg_temp.answer(pg_temp.ask());
  perform pg_temp.pass('30 days');
  for i in 1 .. 4 loop perform pg_temp.fail(pg_temp.ask(), 'rejected', '400'); end loop;
end $$;
select is((select string_agg(state, ' ' order by task_id) from maintenance.task where state <> 'succeeded'),
  'dead ready ready ready', 'after the first the model is not asked for the kind, nor after it the others');

-- Outages hours apart: not the task's own fault.
select pg_temp.forget() \g /dev/null
do $$ begin for i in 1 .. 6 loop
  perform pg_temp.pass('3 hours');
  delete from maintenance_internal.cool_down;
  perform pg_temp.fail(pg_temp.ask(subject => 'w399'), 'transient', '500');
  perform pg_temp.pass('5 minutes');
  delete from maintenance_internal.cool_down;
  perform pg_temp.answer(pg_temp.ask());
end loop; end $$;
select is((select concat_ws(' ', state, attempts, defers) from maintenance.task where subject = 'w399'), 'ready 0 6',
  'a task that has met six outages, with answers between them, has paid for none');

-- What is the task's own cools nobody.
select pg_temp.forget(), pg_temp.hold('a', subject => 'w398') \g /dev/null
select pg_temp.fail(pg_temp.held('a'), 'transient', '500') \g /dev/null
delete from maintenance_internal.cool_down;
select pg_temp.pass('1 s'), pg_temp.answer(pg_temp.ask()), pg_temp.pass('1 s'), pg_temp.hold('a',
  subject => 'w398') \g /dev/null
select pg_temp.fail(pg_temp.held('a'), 'transient', '500') \g /dev/null
select is(pg_temp.task(pg_temp.held('a')) || coalesce(pg_temp.cools(), ''), 'ready 1 1',
  'a failure of its own cools no model');

-- A task that is always refused, of the first priority: others get their turn, and it is put off by itself.
select pg_temp.forget() \g /dev/null
insert into public.word select 'good' || i from generate_series(1, 20) as i on conflict do nothing;
select maintenance.enqueue_task('word', 'w397', priority => -1) as poison \gset
select maintenance.enqueue_task('word', 'good' || i) from generate_series(1, 20) as i \g /dev/null
update maintenance.model set enabled = position = 1;
create temporary table asked (nr serial, task_id bigint);
do $$ declare v_claim record; begin
  for i in 1 .. 60 loop
    for v_claim in select * from maintenance.claim_tasks('me', 1) loop
      if maintenance.task_request(v_claim.task_id, v_claim.lease_token) is not null then
        insert into asked (task_id) values (v_claim.task_id);
        if (select subject from maintenance.task as t where t.task_id = v_claim.task_id) = 'w397' then
          perform maintenance.fail_task(v_claim.task_id, v_claim.lease_token, 'defer', '429', details =>
            pg_temp.quota('InputTokensPerModelPerMinute', '250000'));
        else
          perform maintenance.complete_task(v_claim.task_id, v_claim.lease_token, '{"word": "x"}');
        end if;
      end if;
    end loop;
    perform pg_temp.pass('1 s');
  end loop;
end $$;
select is((select count(*) from maintenance.task where state = 'succeeded'), 20::bigint,
  'all others are done in a minute');
select cmp_ok((select count(*) from asked where task_id = :poison), '<', 12::bigint, 'it is asked less and less');
select cmp_ok((select defers from maintenance.task where task_id = :poison), '>', 0, 'and will be given up');
select is((select priority from maintenance.task where task_id = :poison), 5, 'it has lost its priority');
update maintenance.model set enabled = true;

-- A cool-down that is long keeps nobody from the next model: one call tries, the others go on.
select pg_temp.forget(), pg_temp.hold('a') \g /dev/null
select pg_temp.fail(pg_temp.held('a'), 'defer', '503', '20 s'), pg_temp.pass('15 s') \g /dev/null
select is(pg_temp.hold('a'), '3.1', 'five seconds before it is over the next model is asked');
select pg_temp.pass('5 s') \g /dev/null
select is(pg_temp.hold('b') || ' ' || pg_temp.hold('c'), '3.5 3.1',
  'when it is over one call tries, and the others go on');
select pg_temp.answer(pg_temp.held('b')) \g /dev/null
select is(pg_temp.hold('b') || ' ' || pg_temp.hold('c'), '3.5 3.5', 'its answer brings all back');
select pg_temp.forget() \g /dev/null
update maintenance.model set enabled = position = 1;
select pg_temp.hold('a') \g /dev/null
select pg_temp.fail(pg_temp.held('a'), 'defer', '503', '20 s'), pg_temp.pass('15 s') \g /dev/null
select is(pg_temp.hold('a'), '3.5', 'where there is no other, one waits for it');
update maintenance.model set enabled = true;

-- Each call ends.
select pg_temp.forget(), pg_temp.hold('a', subject => 'w396') \g /dev/null
update public.word set word = 'skip' where subject = 'w396';
select is(maintenance.task_request((pg_temp.held('a')).task_id, (pg_temp.held('a')).lease_token), null,
  'a second request finds nothing to ask');
select is(pg_temp.task(pg_temp.held('a')), 'skipped 0 0', 'the task is skipped');
select is((select count(*) from maintenance.model_call where settled_at is null), 0::bigint, 'and its call is settled');
create function public.no_context(subject text, options jsonb)
returns table (content text, context jsonb, input_hash text, skip_reason text) language sql stable
return ('Say'::text, null::jsonb, null::text, null::text);
select maintenance.set_kind('other', 'Do.', '{"type": "object", "properties": {"word": {"type": "string"}}}',
  'public.word_subjects', 'public.no_context', 'public.word_apply') \g /dev/null
select is(pg_temp.answer(pg_temp.ask('other')), 'succeeded', 'a prepare without a context is asked like any other');

-- A place that was not used is given back.
select pg_temp.forget(), maintenance.set_model('gemini-3.5-flash-lite', per_minute => 3, per_day => 3) \g /dev/null
insert into maintenance_internal.model_pace (model, next_at) values ('gemini-3.5-flash-lite',
  maintenance_internal.moment()
  + interval '9 s');
do $$ begin for i in 1 .. 4 loop
  perform maintenance.release_task(t.task_id, t.lease_token) from pg_temp.ask() as t;
end loop; end $$;
select is((select string_agg(distinct outcome, ' ') from maintenance.model_call), 'unasked',
  'given back before it was asked');
select is((select used #>> '{day,0}' from maintenance.model_status where position = 1), '0',
  'a call counts for nothing');
select is((select next_at - maintenance_internal.moment() from maintenance_internal.model_pace), interval '9 s',
  'and its place is free');
select is((select count(*) from maintenance.model_day), 0::bigint, 'no call was made');
select maintenance.set_model('gemini-3.5-flash-lite', output_usd => 2.5) \g /dev/null
select is((select next_at - maintenance_internal.moment() from maintenance_internal.model_pace), interval '9 s',
  'set_model forgets no place that is reserved');
select maintenance.set_model('gemini-3.5-flash-lite', per_minute => -1, per_day => -1) \g /dev/null

-- What was told in a refusal counts for a day.
select pg_temp.forget(), pg_temp.hold('a') \g /dev/null
select pg_temp.fail(pg_temp.held('a'), 'defer', '429', null, pg_temp.quota('RequestsPerMinute', '1')) \g /dev/null
select is((select used #>> '{minute,1}' from maintenance.model_status where position = 1), '1',
  'a limit that was told');
select pg_temp.pass('24 hours') \g /dev/null
select is((select used #>> '{minute,1}' from maintenance.model_status where position = 1), null,
  'is asked about anew after a day');

-- A clock that ran ahead
select pg_temp.forget(), pg_temp.at('2027-03-01'), pg_temp.hold('a') \g /dev/null
select pg_temp.fail(pg_temp.held('a'), 'defer', '503'), pg_temp.at('2026-11-10 12:00+00') \g /dev/null
delete from maintenance.task;
delete from maintenance_internal.model_pace;
select pg_temp.hold('a') \g /dev/null
select pg_temp.fail(pg_temp.held('a'), 'defer', '503') \g /dev/null
select is((select since from maintenance_internal.cool_down), maintenance_internal.moment(),
  'what a clock running ahead has left behind is written anew');

-- Others than the worker
select pg_temp.forget(), pg_temp.hold('a') \g /dev/null
select pg_temp.fail(pg_temp.held('a'), 'defer', '503') \g /dev/null
select is(maintenance.effective_model('gemini-3.5-flash-lite'), 'gemini-3.1-flash-lite', 'one that cools is not asked');
select pg_temp.pass('1 s') \g /dev/null
select is(maintenance.effective_model('gemini-3.5-flash-lite'), 'gemini-3.5-flash-lite', 'when that is over, it is');

-- Too large for one model, or for all
select pg_temp.forget(), pg_temp.fail(pg_temp.ask('word', 'w399'), 'too_large', '413: ') \g /dev/null
create function pg_temp.large() returns text language sql as $$
  select concat_ws(' ', t.state, t.attempts, pg_temp.cools()) from maintenance.task as t where t.subject = 'w399' $$;
select is(pg_temp.large(), 'ready 1', 'what is too large is asked for less at first');
select is((pg_temp.ask('word', 'w399')).model, null, 'where that cannot be, it is not asked the same again');
select is(pg_temp.large(), 'ready 1 3.5 word refused 1 00:01:00', 'what the first model finds too large kills no task');
select is((pg_temp.ask('word', 'w399')).model, 'gemini-3.1-flash-lite', 'and goes to the next');

-- What people see
select pg_temp.forget() \g /dev/null
create function pg_temp.row(task text) returns text language sql as $$
  select concat_ws('|', count, severity, advice) from public.maintenance_status as s where s.task = row.task $$;
select is(pg_temp.row('models'), '0|ok', 'all is well with the models');
select maintenance.set_model('gemini-3.5-flash-lite', per_day => 100),
  maintenance.record_usage('gemini-3.5-flash-lite', 80)
\g /dev/null
select is(pg_temp.row('models'),
  '1|notice|gemini-3.5-flash-lite: warning, 80 of 100 requests this day. select * from '
  'maintenance.model_status;', 'S2-04: 80 % are told');
select maintenance.record_usage('gemini-3.5-flash-lite', 20) \g /dev/null
select is(pg_temp.row('models'), '1|warning|gemini-3.5-flash-lite: blocked, 100 of 100 requests this day, until '
  '2026-11-11 08:00:00+00. select * from maintenance.model_status;', 'S2-06: a blocked model is told');
update maintenance.model set enabled = position = 1;
select is(split_part(pg_temp.row('models'), '|', 2), 'critical', 'S2-07: where none can be asked, it is critical');
select maintenance.enqueue_task('word', 'w395') \g /dev/null
select pg_temp.pass('20 minutes') \g /dev/null
select matches(pg_temp.row('tasks_due'),
  '^1\|warning\|No model can be asked for word: gemini-3\.5-flash-lite is blocked '
  'until 2026-11-11 08:00:00\+00 \(100 of 100 requests this day\)\.',
    'what has waited for a quarter of an hour is a warning');
select maintenance.set_model('gemini-3.5-flash-lite', per_minute => 2, per_day => -1) \g /dev/null
insert into maintenance_internal.model_pace (model, next_at) values ('gemini-3.5-flash-lite',
  maintenance_internal.moment()
  + interval '2 minutes') on conflict (model) do update set next_at = excluded.next_at;
select matches((select hold from maintenance_internal.task_holds(maintenance_internal.moment())),
  '^no model can be asked for word: gemini-3\.5-flash-lite has its next place at 2026-11-10 1\d:\d\d:\d\d\+00$',
  'a pace is told as what it is');
select * from finish();
rollback;
