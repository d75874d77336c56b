-- C-037: a person is forgotten by the engine, wherever a word of theirs was.
begin;
create extension pgtap;
\ir toy.psql
select plan(57);
\set QUIET on
select maintenance.set_kind('fact', 'Do.', '{"type": "object", "properties": {"word": {"type": "string"}}}',
  'public.word_subjects', 'public.word_prepare', 'public.word_apply', max_attempts => 1) \g /dev/null
-- Writes what it is told into the ledger, its result and the message of its errors.
create table public.person (id text primary key, deleted_at timestamptz, word text);
create trigger person_gone after delete on public.person for each row execute function maintenance.note_deleted('id');
create trigger person_marked after update of deleted_at on public.person for each row
when (new.deleted_at is not null) execute function maintenance.note_deleted('id');
create function public.tell_prepare(subject text, options jsonb)
returns table (content text, context jsonb, input_hash text, skip_reason text) language sql stable
begin atomic select 'About ZEBRA', '{"shown": "ZEBRA"}'::jsonb, 'ZEBRA', null::text; end;
create function public.tell_apply(subject text, context jsonb, answer jsonb, options jsonb) returns jsonb
language plpgsql as $$
begin
  if answer ? 'far' and not (options ->> 'approved')::boolean then
    raise exception 'far: ZEBRA' using errcode = 'PM017'; end if;
  if answer ? 'fail' then raise exception 'no ZEBRA' using errcode = 'PM018'; end if;
  return jsonb_build_object('said', answer ->> 'word', 'changes', jsonb_build_array(jsonb_build_object('op', 'tell',
    'outcome', 'applied', 'note', 'ZEBRA', 'keys', '["ZEBRA"]'::jsonb, 'rows', jsonb_build_array(jsonb_build_object(
      'table', 'public.person', 'before', jsonb_build_object('id', subject, 'word', 'ZEBRA'), 'after', null))),
    jsonb_build_object('op', 'tell', 'outcome', 'refused', 'reason', 'ZEBRA')))
    || case when answer ? 'more' then '{"continue": true, "carry": {"word": "ZEBRA"}}'::jsonb else '{}' end;
end $$;
select maintenance.set_kind(k, 'Tell.', '{"type": "object", "properties": {"word": {"type": "string"}}}',
  'public.word_subjects', 'public.tell_prepare', 'public.tell_apply', max_attempts => 1)
from unnest(array['done', 'held', 'dead', 'open', 'leased', 'goes_on', 'blocked']) as k \g /dev/null
insert into public.person values ('xan', null, 'x'), ('bob', null, 'x');

create function pg_temp.ask(kind text, who text) returns maintenance.task language plpgsql as $$
declare v_id bigint := maintenance.enqueue_task(kind, who, options => '{"word": "ZEBRA"}', force => true);
  v_token uuid;
begin
  update maintenance.task as t set available_at = case when task_id = v_id then now() else 'infinity' end
  where t.state = 'ready' and t.kind = ask.kind;
  select c.lease_token into strict v_token from maintenance.claim_tasks('me', 1, about => jsonb_build_object('kinds',
    array[kind])) as c;
  if maintenance.task_request(v_id, v_token) is null then raise exception 'not asked'; end if;
  return (select t from maintenance.task as t where t.task_id = v_id);
end $$;
create function pg_temp.answer(task maintenance.task,
  answer text default '{"word": "ZEBRA"}') returns jsonb language sql as $$
  select maintenance.complete_task(task.task_id, task.lease_token, answer) $$;
create function pg_temp.live(who text) returns maintenance.task language plpgsql as $$
declare v_task maintenance.task;
begin
  perform pg_temp.answer(pg_temp.ask('done', who)), pg_temp.answer(pg_temp.ask('held', who), '{"far": 1}'),
    pg_temp.answer(pg_temp.ask('dead', who), '{"fail": 1}'), pg_temp.answer(pg_temp.ask('goes_on', who), '{"more": 1}');
  v_task := pg_temp.ask('blocked', who);
  perform maintenance.fail_task(v_task.task_id, v_task.lease_token, 'blocked', 'ZEBRA', details => '{"word": "ZEBRA"}');
  perform maintenance.enqueue_task('open', who, options => '{"word": "ZEBRA"}');
  return pg_temp.ask('leased', who);
end $$;
-- Every row of every table of ours, as text: where a word is found.
create function pg_temp.found(word text) returns setof text language plpgsql as $$
declare v_table regclass; v_row text;
begin
  for v_table in select c.oid from pg_class as c where c.relkind = 'r' and c.relnamespace in
    ('maintenance'::regnamespace, 'maintenance_internal'::regnamespace) order by 1
  loop
    for v_row in execute format('select t::text from %s as t where t::text ~ %L', v_table, word) loop
      return next v_table || ': ' || v_row;
    end loop;
  end loop;
end $$;
create function pg_temp.counts() returns text language sql as $$
  select concat_ws(' ', (select count(*) from maintenance.task), (select count(*) from maintenance.model_call),
    (select sum(input_tokens + output_tokens) from maintenance.model_call),
    (select count(*) from maintenance.change)) $$;
create function pg_temp.of(who text) returns setof text language sql as $$
  select t::text from maintenance.task as t where subject = who
  union all select c::text from maintenance.change as c where subject = who
  union all select s::text from maintenance_internal.subject as s where subject = who $$;
select pg_temp.live('bob') as bob \gset
select pg_temp.live('xan') as leased \gset
insert into maintenance_internal.run (job_id, job_name, trigger, status, started_at, finished_at, stop_reason, error,
  sqlstate,
  error_detail)
select 1, 'a_policy', 'manual', 'failed', now(), now(), 'error', 'x', '23503',
  jsonb_build_object('message', 'ZEBRA ' || w, 'rows', jsonb_build_array(jsonb_build_object('id', w, 'table',
    'public.person')))
from unnest(array['xan', 'bob']) as w;
update maintenance_internal.run set error_detail = null where error_detail #>> '{rows,0,id}' = 'bob';
create temporary table bobs as select pg_temp.of('bob') as row;
select pg_temp.counts() as before \gset
\set QUIET off
savepoint before;

select cmp_ok((select count(*) from pg_temp.found('xan')), '>', 15::bigint, 'there is much to be forgotten');
select maintenance.erase_subject('xan') as report \gset
select is(:'report'::jsonb - 'calls', '{"tasks": 7, "leases": 1, "changes": 4}', 'what was forgotten is told');
select is_empty($$select pg_temp.found('xan')$$, 'the subject is named nowhere');
select bag_eq('select pg_temp.of(''bob'')', 'table bobs', 'nobody else has lost a word');
select is((select count(*) from pg_temp.found('ZEBRA') as f
  where f !~ 'bob' and f !~ '^maintenance.(kind|model_call)'), 0::bigint,
  'nor is a word of theirs anywhere');
select is((select count(*) from maintenance.model_call where details is not null), 1::bigint,
  'details of calls are gone');
select is(pg_temp.counts(), :'before', 'tasks, calls, tokens and operations are counted as before');
select results_eq($$select kind, state, last_error from maintenance.task where subject = '(erased)' order by kind$$,
  $$values
  ('blocked', 'skipped', 'its subject was erased'), ('dead', 'skipped', 'its subject was erased'),
  ('done', 'succeeded', 'its subject was erased'), ('goes_on', 'skipped', 'its subject was erased'),
  ('held', 'skipped', 'its subject was erased'), ('leased', 'skipped', 'its subject was erased'),
  ('open', 'skipped', 'its subject was erased')$$, 'nothing of them is open any more');
select is((select outcome from maintenance.model_call where task_id = (:'leased'::maintenance.task).task_id), 'lost',
  'a call that goes on is kept as one that may be billed');
select throws_ok(format($$select maintenance.complete_task(%s, %L, '{"word": "ZEBRA"}')$$,
  (:'leased'::maintenance.task).task_id, (:'leased'::maintenance.task).lease_token), 'PM014', null,
    'a late answer is refused');
select is(maintenance.extend_lease((:'leased'::maintenance.task).task_id, (:'leased'::maintenance.task).lease_token),
  false,
  'its lease is over');
select throws_ok(format('select maintenance.%s(%s)', f, t.task_id), 'PM016',
  format('task %s is about a subject that was erased', t.task_id), format('%s says so', f))
from maintenance.task as t, (values ('done', 'undo_task'), ('dead', 'retry_task'), ('held', 'approve_task'),
  ('held', 'reject_task')) as v (kind, f) where t.kind = v.kind and t.subject = '(erased)';
select is(maintenance.retry_tasks('dead') ->> 'revived', '1', 'whoever revives all of a kind revives those of others');
select is(maintenance.erase_subject('xan'), '{"tasks": 0, "leases": 0, "changes": 0, "calls": 0}',
  'a second time there is nothing to do');
select is((maintenance.enqueue_task('open', 'xan')) is not null, true, 'and who comes back is asked about as anybody');
select throws_ok($$select maintenance.enqueue_task('open', '(erased)')$$, 'PM002', null,
  'but for what is nobody''s name');
select throws_ok($$select maintenance.erase_subject('')$$, 'PM002', null, 'nobody is not forgotten');
select throws_ok($$select maintenance.erase_subject('(erased)')$$, 'PM002', null, 'nor who was');
rollback to before;

-- A deletion notes it.
delete from public.person where id = 'xan';
select is(pg_temp.answer(:'leased'), '{"state": "skipped", "error": "its subject is to be erased"}',
  'from then on no answer is taken');
select is((select count(*) from maintenance.change where task_id = (:'leased'::maintenance.task).task_id), 0::bigint,
  'and nothing of it is written');
select is(pg_temp.answer(:'leased'), '{"state": "skipped", "error": "its subject is to be erased"}',
  'nor said otherwise later');
rollback to before;
select (pg_temp.ask('goes_on', 'xan')) as goes_on \gset
delete from public.person where id = 'xan';
select is(pg_temp.answer(:'goes_on') ->> 'state', 'skipped', 'nor where a task goes on');
rollback to before;
update public.person set word = 'y' where id = 'xan';
select is_empty('table maintenance_internal.erasure', 'an edit is no deletion');
update public.person set deleted_at = now() where id = 'xan';
select maintenance.enqueue_task('word', 'xan') \g /dev/null
insert into public.word values ('xan');
select task_id, lease_token from maintenance.claim_tasks('other', 1, about => '{"kinds": ["word"]}') \gset
select is(maintenance.task_request(:task_id, :'lease_token'), null, 'nor is anything asked');
select is((select last_error from maintenance.task where task_id = :task_id), 'its subject is to be erased',
  '... which is told');
select throws_ok(format('select maintenance.%s(%s)', f, t.task_id), 'PM016', null, format('%s is refused', f))
from maintenance.task as t, (values ('done', 'undo_task'), ('dead', 'retry_task'), ('held', 'approve_task'))
  as v (kind, f) where t.kind = v.kind and t.subject = 'xan';
select results_eq($$select count, severity, advice from public.maintenance_status where task = 'subjects_to_erase'$$,
  $$values (1::bigint, 'notice', null::text)$$, 'the status shows who waits for it');
select maintenance_internal.erase_subjects();
select is_empty($$select f from pg_temp.found('xan') as f where f !~ '^maintenance_internal.erasure'$$,
  'the tick forgets them');
select is_empty($$select from public.maintenance_status where task = 'subjects_to_erase'$$,
  'and nobody waits for it any more');
select bag_eq('select pg_temp.of(''bob'')', 'table bobs', 'of nobody else');
-- Who has asked about them at that moment may not have committed yet.
select maintenance_internal.erase_subjects();
select is((select count(*) from maintenance_internal.erasure), 1::bigint, 'they are remembered while that may be');
insert into maintenance.task (kind, subject, options) values ('open', 'xan', '{"word": "ZEBRA"}');
update maintenance_internal.erasure set erased_in = '3';
select maintenance_internal.erase_subjects();
select is_empty($$select f from pg_temp.found('xan') as f where f !~ '^maintenance_internal.erasure'$$,
  'and forgotten a second time');
select isnt((select erased_in from maintenance_internal.erasure), '3', '... and a third, where there was something');
update maintenance_internal.erasure set erased_in = '3';
select maintenance_internal.erase_subjects();
select is_empty($$select pg_temp.found('xan')$$, '... then their name, too');
rollback to before;
delete from public.person where id = 'xan';
select maintenance.erase_subject('xan') \g /dev/null
insert into maintenance.task (kind, subject, options) values ('open', 'xan', '{"word": "ZEBRA"}');
update maintenance_internal.erasure set erased_in = '3' where erased_in is not null;
select maintenance_internal.erase_subjects();
select is_empty($$select f from pg_temp.found('xan') as f where f !~ '^maintenance_internal.erasure'$$,
  'so it is where somebody erases them by hand before the tick does');
rollback to before;
-- For some kinds alone.
create trigger person_of_kinds after delete on public.person for each row
execute function maintenance.note_deleted('id', 'open', 'held');
drop trigger person_gone on public.person;
delete from public.person where id = 'xan';
select maintenance_internal.erase_subjects();
select set_eq($$select kind from maintenance.task where subject = '(erased)'$$, array['open', 'held'],
  'where the trigger names kinds, those are meant');
select is((select count(*) from maintenance.task where subject = 'xan'), 5::bigint, 'and no other');
select is(maintenance.erase_subject('xan', 'done') - 'calls', '{"tasks": 1, "leases": 0, "changes": 2}',
  'by hand, too');
select throws_ok($$select maintenance.erase_subject('xan', 'doen')$$, 'PM013', null, 'a kind that is none is refused');
rollback to before;

-- What stands in the way of one holds up no other.
delete from public.person;
create function public.stand_in_the_way() returns trigger language plpgsql as $$ begin
  if old.subject = 'xan' then raise exception 'no, ZEBRA'; end if; return new; end $$;
create trigger stand_in_the_way before update on maintenance.change for each row
execute function public.stand_in_the_way();
select maintenance_internal.erase_subjects();
select is_empty($$select pg_temp.of('bob')$$, 'who can be forgotten, is');
select results_eq('select subject, error from maintenance_internal.erasure where erased_in is null',
  $$values ('xan', 'SQLSTATE P0001')$$, 'who cannot, waits, and it is known why');
update maintenance_internal.erasure set noted_at = now() - interval '11 minutes';
select results_eq($$select severity, advice from public.maintenance_status where task = 'subjects_to_erase'$$,
  $$values ('warning',
    'SQLSTATE P0001. The tick forgets them, thousands a minute: is it at work? By hand, as the owner: '
  'call maintenance.tick();')$$, 'and told');
drop trigger stand_in_the_way on maintenance.change;
select maintenance_internal.erase_subjects();
select is_empty('select from maintenance_internal.erasure where erased_in is null or error is not null',
  'until it can be');
rollback to before;

-- What is below a subject goes with it, and nothing that only begins alike.
insert into maintenance.task (kind, subject, options) select 'open', w, '{"word": "ZEBRA"}'
from unnest(array['xan/1', 'xan/1/2', 'xan.', 'xan0', 'xander', 'xa', 'bob/xan']) as w;
insert into maintenance.change (task_id, kind, subject, outcome) values (1, 'open', 'xan/1', 'applied');
insert into maintenance_internal.subject (kind, subject, looked_at) values ('open', 'xan/1', now());
savepoint below;
delete from public.person where id = 'xan';
create temporary table claimed as select * from maintenance.claim_tasks('other', 100, about => '{"kinds": ["open"]}');
select c.task_id, c.lease_token from claimed as c join maintenance.task as t using (task_id) where subject = 'xan/1/2'
\gset
select is(maintenance.complete_task(:task_id, :'lease_token', '{"word": "ZEBRA"}') ->> 'state', 'skipped',
  'of what is below a subject no answer is taken');
select maintenance_internal.erase_subjects() \g /dev/null
select set_eq($$select subject from maintenance.task where kind = 'open' and subject <> '(erased)'$$,
  array['bob', 'xan.', 'xan0', 'xander', 'xa', 'bob/xan'], 'it is forgotten with it, and nothing that begins alike');
select is_empty($$select subject from maintenance.change where subject ~ '^xan/' union all
  select subject from maintenance_internal.subject where subject ~ '^xan/'$$, '... everywhere');
rollback to below;
select maintenance.erase_subject('xan/1') \g /dev/null
select set_eq($$select subject from maintenance.task where subject ~ '^xan(/|$)'$$, array['xan'],
  'and what is above it stays');
select is((select count(*) from maintenance_internal.run where error_detail #>> '{rows,0,id}' = 'xan'), 1::bigint,
  '... on receipts, too');
rollback to before;

-- The trigger is for the owner's tables.
create table public.keyless (name text);
create trigger keyless_gone after delete on public.keyless for each row execute function maintenance.note_deleted('id');
insert into public.keyless values ('x');
select throws_ok('delete from public.keyless', 'PM003',
  'public.keyless has no column id, which its trigger keyless_gone names', 'a trigger that names no column says so');
drop trigger keyless_gone on public.keyless;
create trigger keyless_going before delete on public.keyless for each row
execute function maintenance.note_deleted('name');
select throws_ok('delete from public.keyless', 'PM003', null,
  'one that is put before the row would keep it, and says so');
drop trigger keyless_going on public.keyless;
alter table public.keyless alter column name type char(300);
create trigger keyless_gone after delete on public.keyless for each row
execute function maintenance.note_deleted('name');
insert into public.keyless values (null), (''), ('(erased)'), (repeat('x', 201)), ('padded'), ('padded');
delete from public.keyless;
select set_eq('select subject from maintenance_internal.erasure', array['x', 'padded'],
  'what can be no subject is no matter, and one is noted as it reads');
select is(has_function_privilege('public', 'maintenance.note_deleted()', 'execute'), false,
  'nobody else can put it anywhere');
select * from finish();
rollback;
