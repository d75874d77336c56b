-- A kind is a row and three functions: what is refused, what prepare may do, when nothing is asked.
begin;
create extension pgtap;
select plan(35);
\ir toy.psql
insert into public.word select 'w' || i, case i when 2 then 'skip' when 3 then 'raise' end
  from generate_series(1, 9) as i;
create function pg_temp.ask(subject text, options jsonb default '{}',
  force boolean default false) returns jsonb language plpgsql
as $$
declare v_id bigint := maintenance.enqueue_task('word', subject, options => options, force => force);
  v_task maintenance.task;
begin
  update maintenance.task set available_at = '2000-01-01' where task_id = v_id;
  perform maintenance.claim_tasks('me', 1);
  select * into v_task from maintenance.task where task_id = v_id;
  return maintenance.task_request(v_id, v_task.lease_token);
end $$;
create function pg_temp.last(subject text) returns maintenance.task language sql
as $$ select t from maintenance.task as t where t.subject = $1 order by task_id desc limit 1 $$;
create function pg_temp.answer(subject text, answer text default '{"word": "x"}') returns jsonb language sql
as $$ select maintenance.complete_task(t.task_id, t.lease_token, answer) from pg_temp.last(subject) as t $$;
create function pg_temp.set(kind text default 'k', instruction text default 'Do.',
  schema jsonb default '{"type": "object", "properties": {"word": {"type": "string"}}}',
  subjects text default 'public.word_subjects',
  prepare text default 'public.word_prepare', apply text default 'public.word_apply', trigger text default null,
    max_attempts int default 3) returns void
language sql as $$ select maintenance.set_kind($1, $2, $3, $4, $5, $6, $7, $8) $$;

-- set_kind
select lives_ok('select pg_temp.set()', 'a kind is set');
select lives_ok('select pg_temp.set(max_attempts => 7)', 'a kind can be set again');
select is((select max_attempts from maintenance.kind where kind = 'k'), 7, 'setting a kind again changes it');
select throws_ok($$select pg_temp.set(kind => 'No Name')$$, 'PM002', 'the kind "No Name" is not acceptable',
  'a kind with a bad name is refused');
select throws_ok($$select pg_temp.set(instruction => ' ')$$, 'PM002', null, 'a kind without an instruction is refused');
select throws_ok($$select pg_temp.set(schema => '[]')$$, 'PM002', null,
  'a kind with a schema that is no object is refused');
select throws_ok(format('select pg_temp.set(trigger => %L)', v), 'PM002',
  format('the trigger "%s" is not acceptable', v),
  'the trigger is no name: ' || v) from unnest(array['Sometimes!', 'all']) as v;
select throws_ok($$select pg_temp.set(max_attempts => 0)$$, 'PM002', null, 'a kind with no attempts is refused');
select throws_ok($$select pg_temp.set(subjects => 'public.nobody')$$, 'PM007',
  'there is no function public.nobody() returns SETOF text', 'a kind with a function that does not exist is refused');
select throws_ok($$select pg_temp.set(prepare => 'public.word_apply')$$, 'PM007', null,
  'a kind with a function of another signature is refused');
create function public.hasty(subject text, options jsonb) returns table (content text, context jsonb, input_hash text,
  skip_reason text)
language plpgsql as $$ begin update public.word as w set word = 'written' where w.subject = hasty.subject;
  return query select 'x', '{}'::jsonb, 'h', null::text; end $$;
select throws_ok($$select pg_temp.set(prepare => 'public.hasty')$$, 'PM007',
  'the function public.hasty(text,jsonb) is volatile', 'a kind with a volatile prepare function is refused');
create role stranger;
grant stranger to current_user;
grant create on schema public to stranger;
create function public.foreign_apply(subject text, context jsonb, answer jsonb,
  options jsonb) returns jsonb language sql return '{}'::jsonb;
alter function public.foreign_apply(text, jsonb, jsonb, jsonb) owner to stranger;
select throws_ok($$select pg_temp.set(apply => 'public.foreign_apply')$$, 'PM007', null,
  'a kind with a function of another owner is refused');

-- prepare
select is(pg_temp.ask('w1') ->> 'content', 'Say w1', 'the request of a task has the content that prepare returns');
select is(pg_temp.answer('w1') ->> 'state', 'succeeded', 'a task that is answered succeeds');
select is(pg_temp.ask('w2'), null, 'a task that prepare skips makes no request');
select results_eq($$select state, last_error, attempts from pg_temp.last('w2')$$,
  $$values ('skipped', 'told to skip', 0)$$,
    'a task with nothing to ask is skipped, with the reason that prepare gives');
select is(pg_temp.ask('w3', '{"errcode": "P0001"}'), null, 'a prepare that raises asks nothing');
select results_eq($$select state, last_class, last_error, attempts from pg_temp.last('w3')$$,
  $$values ('ready', 'transient', 'prepare: SQLSTATE P0001', 0)$$,
    'a prepare that raises costs its task nothing at first, and its message is not kept');
select is(pg_temp.ask('w4') ->> 'content', 'Say w4', 'a prepare that raises for one task does not stop another');
select pg_temp.ask('w8'), pg_temp.answer('w8');
select pg_temp.ask('w3', '{"errcode": "P0001"}');
select is((pg_temp.last('w3')).attempts, 1, 'where others of its kind were answered meanwhile, it costs an attempt');
update public.word set word = 'raise' where subject = 'w9';
select pg_temp.ask('w9', '{"errcode": "22012"}');
select is((pg_temp.last('w9')).last_error, 'prepare: SQLSTATE 22012',
  'the message of a data error in prepare is not kept');
alter function public.hasty(text, jsonb) stable;
select pg_temp.set('word', prepare => 'public.hasty');
select pg_temp.ask('w5');
select is((pg_temp.last('w5')).last_error, 'prepare: SQLSTATE 0A000', 'Postgres itself keeps a prepare from writing');
alter function public.hasty(text, jsonb) volatile;
select pg_temp.ask('w6');
select is((pg_temp.last('w6')).last_error, 'prepare: the function public.hasty(text,jsonb) is volatile',
  'what set_kind checked is checked again at use');
select pg_temp.set('word', prepare => 'public.word_prepare');

-- an overload in the same schema is not taken for it
set local role stranger;
create function public.word_apply(subject varchar, context jsonb, answer jsonb,
  options jsonb) returns jsonb language plpgsql as $$ begin raise exception 'hijacked'; end $$;
reset role;
select is(pg_temp.answer('w4') #>> '{result,changed}', 'true', 'an overload made by somebody else is never called');

-- unchanged input
update public.word set version = 1 where subject = 'w1';
select is(pg_temp.ask('w1'), null, 'unchanged input costs no call');
select results_eq($$select state, last_error from pg_temp.last('w1')$$,
  $$values ('skipped', 'nothing has changed since the last answer')$$,
    'a task with unchanged input is skipped, and says so');
select is(pg_temp.ask('w1', force => true) ->> 'content', 'Say w1', 'a forced task with unchanged input is asked');
select pg_temp.answer('w1');
select is(pg_temp.ask('w1') ->> 'content', 'Say w1', 'a task with changed input is asked');
select is(maintenance.fail_task(task_id, lease_token, 'blocked', 'SAFETY') ->> 'state', 'skipped',
  'a task that fails as blocked is skipped')
  from pg_temp.last('w1');
select is(pg_temp.ask('w1'), null, 'a blocked task with unchanged input is not asked again');
update public.word set version = 9 where subject = 'w1';
select is(pg_temp.ask('w1') ->> 'content', 'Say w1', 'a blocked task is asked again when its input changes');

-- models
update maintenance.model set enabled = model = 'gemini-2.5-flash-lite';
select is(pg_temp.ask('w7') ->> 'model', 'gemini-2.5-flash-lite', 'the first enabled model is asked');
update maintenance.model set enabled = false;
select maintenance.enqueue_task('word', 'w8');
select is_empty($$select * from maintenance.claim_tasks('me', 9)$$, 'without an enabled model no task is handed out');
select is((select hold from maintenance_internal.task_holds(clock_timestamp())),
  'no model can be asked for word: none is enabled', 'without an enabled model it is said why');
select * from finish();
rollback;
