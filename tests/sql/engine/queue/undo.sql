-- The ledger and its undo, for a kind over a table of somebody's own: a key of two columns, a mixed
-- case, a generated column and arrays.
begin;
create extension pgtap;
\ir toy.psql
select plan(67);

create table public."Fact" (
  "Owner" text, nr integer, word text, tags text[], at timestamptz default '2026-01-02 03:04:05.678901+00',
  size integer generated always as (length(word)) stored, active boolean not null default true,
  version integer not null default 1, primary key ("Owner", nr));
create unique index fact_word on public."Fact" (word) where active;
insert into public."Fact" ("Owner", nr, word, tags) values ('ada', 1, 'one', array['x', null]), ('ada', 2, 'two', null),
  ('ada', 3, 'three', '{}');
create temporary table "was" as select * from public."Fact";
insert into public.word values ('ada'), ('bob');

-- Retires what the answer names, adds one row that takes the first one's word, and says so.
create function public.fact_apply(subject text, context jsonb, answer jsonb,
  options jsonb) returns jsonb language plpgsql
as $$
declare v_rows jsonb; v_new public."Fact";
begin
  if answer ? 'too far' and not (options ->> 'approved')::boolean then raise exception 'too far'
    using errcode = 'PM017'; end if;
  if answer ? 'errcode' then raise exception 'busy' using errcode = answer ->> 'errcode'; end if;
  with old as (select f.* from public."Fact" f
    where f.nr = any(array(select jsonb_array_elements_text(answer -> 'ids')::integer))),
  new as (update public."Fact" f set active = false, version = f.version + 1 from old where f.nr = old.nr returning f.*)
  select jsonb_agg(jsonb_build_object('table', 'public."Fact"', 'before', to_jsonb(old), 'after', to_jsonb(new)))
    into v_rows
  from old join new using (nr);
  insert into public."Fact" ("Owner", nr, word) values ('ada', 9, answer ->> 'word') returning * into v_new;
  return jsonb_build_object('n', jsonb_array_length(v_rows), 'input_hash', 'after', 'changes', jsonb_build_array(
    jsonb_build_object('op', 'merge', 'outcome', 'applied', 'note', 'alike', 'keys', answer -> 'ids',
      'rows', v_rows || jsonb_build_object('table', 'public."Fact"', 'before', null, 'after', to_jsonb(v_new))),
    jsonb_build_object('op', 'dance', 'outcome', 'refused', 'reason', 'no such operation')));
end $$;
select maintenance.set_kind('fact', 'Do.', '{"type": "object", "properties": {"word": {"type": "string"}}}',
  'public.word_subjects', 'public.word_prepare',
  'public.fact_apply', counters => '{version}');

create function pg_temp.answer(answer text) returns bigint language plpgsql
as $$
declare v_id bigint := maintenance.enqueue_task('fact', 'ada', options => '{"approved": true}', force => true);
  v_token uuid;
begin
  select lease_token into strict v_token from maintenance.claim_tasks('me', 1);
  if maintenance.task_request(v_id, v_token) is null then raise exception 'not asked'; end if;
  perform maintenance.complete_task(v_id, v_token, answer);
  return v_id;
end $$;
create function pg_temp.task(id bigint) returns maintenance.task language sql as $$ select t from maintenance.task t
  where task_id = id $$;
create function pg_temp.reasons(report jsonb) returns text language sql as $$
  select string_agg((r ->> 'key') || ' ' || coalesce(r ->> 'reason', 'ok'), '; ' order by nr)
    from jsonb_array_elements(report -> 'rows') with ordinality x (r, nr) $$;

-- The ledger.
select pg_temp.answer('{"ids": [1, 2], "word": "one"}') as task \gset
select is((pg_temp.task(:task)).result, '{"state": "succeeded", "result": {"n": 2}}'::jsonb,
  'the changes and the hash do not stay in the result of a task');
select is((pg_temp.task(:task)).input_hash, 'after', 'the hash of what the answer left is remembered');
select results_eq(format('select op, outcome, reason, note, keys::text, jsonb_array_length(rows), made_by = '
  'session_user '
  'from maintenance.change where task_id = %s order by change_id', :task),
  $$values ('merge', 'applied', null::text, 'alike', '{1,2}', 3, true),
    ('dance', 'refused', 'no such operation', null, '{}', 0, true)$$,
  'the ledger has a row for each operation, refused ones too');
savepoint applied;

-- The undo.
select maintenance.undo_task(:task) as report \gset
select is(pg_temp.reasons(:'report'), 'ada, 9 ok; ada, 2 ok; ada, 1 ok', 'an undo puts all changed rows back');
select results_eq('select "Owner", nr, word, tags, at, size, active from public."Fact" order by nr',
  'select "Owner", nr, word, tags, at, size, active from "was" order by nr', 'an undo puts every column of a row back');
select is(:'report'::jsonb ->> 'undone', '3', 'an undo counts the rows that it puts back');
select is(maintenance.undo_task(:task), :'report'::jsonb, 'a second undo returns the same report');
select is(count(*), 3::bigint, 'a second undo writes nothing to the ledger') from maintenance.change
  where task_id = :task;
rollback to applied;

update public."Fact" set tags = array['mine'] where nr = 2;
select maintenance.undo_task(:task) as report \gset
select is(pg_temp.reasons(:'report'),
  'ada, 9 stays: not all that it stands for could be put back; ada, 2 has been edited since; ada, 1 another '
    'row is in the way: fact_word', 'an undo leaves an edited row alone, and the row that stands for it stays');
select is(version, 1, 'an undo does not touch the row that stands for an edited one') from public."Fact" where nr = 9;
select is((:'report'::jsonb ->> 'undone') || ' ' || (:'report'::jsonb ->> 'refused'), '0 3',
  'an undo that can put nothing back reports all rows as refused');
select is((select outcome from maintenance.change where undoes is not null), 'refused',
  'a refused undo is in the ledger as refused');
rollback to applied;

update public."Fact" set version = 77 where nr in (1, 9);
select is(pg_temp.reasons(maintenance.undo_task(:task)), 'ada, 9 ok; ada, 2 ok; ada, 1 ok',
  'a changed version alone is no edit to an undo');
select is(version, 77, 'an undo does not set a version back') from public."Fact" where nr = 1;
rollback to applied;

delete from public."Fact" where nr = 2;
update public."Fact" set word = 'new words' where nr = 9;
select is(pg_temp.reasons(maintenance.undo_task(:task)), 'ada, 9 has been edited since; ada, 2 is gone; ada, 1 ok',
  'an undo does not recreate a deleted row, nor remove an edited one');
select is(active, true, 'an undo that is refused for some rows puts the others back') from public."Fact" where nr = 1;
rollback to applied;

delete from public."Fact" where nr = 9;
insert into public."Fact" ("Owner", nr, word) values ('bob', 1, 'two');
select is(pg_temp.reasons(maintenance.undo_task(:task)),
  'ada, 9 is gone; ada, 2 another row is in the way: fact_word; ada, 1 ok',
    'an undo does not put a row back whose unique key another row has taken');
rollback to applied;

alter table public."Fact" add column added text default 'x', drop column tags;
select is(pg_temp.reasons(maintenance.undo_task(:task)), 'ada, 9 ok; ada, 2 ok; ada, 1 ok',
  'columns may be added and dropped between a task and its undo');
select is(added, 'x', 'an undo leaves a column alone that was added since') from public."Fact" where nr = 1;
rollback to applied;
alter table public."Fact" rename to fact;
select is(maintenance.undo_task(:task) #>> '{rows,0,reason}',
  'public."Fact" is no table of the owner''s with a primary key (any more)', 'an undo says that a table is gone');
rollback to applied;

-- Quarantine.
select pg_temp.answer('{"ids": [3], "word": "four", "too far": 1}') as far \gset
select is((pg_temp.task(:far)).state || ': ' || (pg_temp.task(:far)).last_error, 'quarantined: too far',
  'an answer that goes too far is quarantined');
select throws_ok(format('select maintenance.undo_task(%s)', :far), 'PM016', null,
  'a quarantined task cannot be undone');
create role some_operator in role maintenance_operator;
grant some_operator to current_user;
set local role some_operator;
select results_eq($$select count, severity, advice like '%approve_task%reject_task%' from public.maintenance_status
  where task = 'tasks_quarantined'$$,
  $$values (1::bigint, 'warning', true)$$, 'the status shows quarantined tasks, and says what to do');
select results_eq('select op, outcome from maintenance.change where task_id < ' || :far || ' order by change_id',
  $$values ('merge', 'applied'), ('dance', 'refused')$$, 'an operator reads the ledger');
select throws_ok('select rows from maintenance.change', '42501', null,
  'an operator cannot read the text of rows in the ledger');
select throws_ok('select note from maintenance.change', '42501', null,
  'an operator cannot read the words of a model in the ledger');
reset role;
select is_empty('select 1 from maintenance.change where task_id = ' || :far,
  'nothing of a quarantined answer is in the ledger');
savepoint waiting;
select is(maintenance.reject_task(:far, 'no'), '{"state": "skipped"}',
  'a quarantined task that is rejected is skipped');
select is((pg_temp.task(:far)).held_answer is null and (pg_temp.task(:far)).context is null, true,
  'a rejected task keeps neither its answer nor its context');
select is((pg_temp.task(:far)).last_error, 'rejected by ' || session_user || ': no',
  'a rejected task says by whom and why it was rejected');
select throws_ok(format('select maintenance.approve_task(%s)', :far), 'PM016', null,
  'a rejected task cannot be approved any more');
rollback to waiting;
select throws_ok(format('select maintenance.approve_task(%s)', :far), 'PM016', null,
  'a quarantined answer that cannot be applied cannot be approved');
select is((pg_temp.task(:far)).state, 'quarantined',
  'a task whose answer cannot be applied at approval stays quarantined');
delete from public."Fact" where nr = 9;
select is(maintenance.approve_task(:far), jsonb_build_object('state', 'succeeded', 'result', '{"n": 1}'::jsonb,
  'approvedBy', session_user), 'a quarantined answer that is approved is applied');
select throws_ok(format('select maintenance.approve_task(%s)', :far), 'PM016', null, 'a task cannot be approved twice');
select is((maintenance.undo_task(:far) ->> 'undone')::integer, 2, 'what was approved can be undone');

-- Eyes for deciders.
delete from public."Fact" where nr = 9;
update public."Fact" set active = true, word = 'w' || nr;
select pg_temp.answer('{"ids": [1, 2], "word": "nine", "too far": 1}') as far \gset
set local role some_operator;
select results_eq('select task_id, kind, subject, reason, operations, rows, error, since is not null from '
    'maintenance.pending_answer',
  format($$values (%s::bigint, 'fact', 'ada', 'too far', '{"merge": {"applied": 1}, "dance": {"refused": 1}}'::jsonb,
    '{"public.\"Fact\"": 3}'::jsonb, null::text, true)$$, :far), 'what an approval would do is shown, without texts');
reset role;
select is_empty(format('select from maintenance.change where task_id = %s', :far), 'and was only tried');
select is((select string_agg(word, ' ' order by nr) from public."Fact" where active), 'w1 w2 w3',
  'with every row as it was');
select maintenance.approve_task(:far) \g /dev/null
select is_empty('table maintenance.pending_answer', 'decided, it is shown no more');
select is((select foreseen from maintenance.task where task_id = :far), null, 'nor kept');

-- A change that is forgotten.
update maintenance.change set created_at = now() - interval '31 days' where task_id = :far;
select maintenance.run_now('forget_changes') \g /dev/null
select results_eq(format('select op, rows, note from maintenance.change where task_id = %s order by change_id', :far),
  $$values ('merge', '[]'::jsonb, null::text), ('dance', '[]', null)$$, 'after 30 days the ledger keeps no text');
select throws_ok(format('select maintenance.undo_task(%s)', :far), 'PM016',
  format('what task %s changed is not known any '
  'more', :far), 'and an undo says that it is too late');

-- C7: which columns count updates, the kind says, and not their names.
create table public.docs (id integer primary key, version text, body text, n integer not null default 1);
insert into public.docs values (1, '1.0', 'old');
create function public.docs_apply(subject text, context jsonb, answer jsonb,
  options jsonb) returns jsonb language plpgsql
as $$
declare v_old public.docs; v_new public.docs;
begin
  select * into v_old from public.docs;
  update public.docs set version = '2.0', body = 'new', n = n + 1 returning * into v_new;
  return jsonb_build_object('changes', jsonb_build_array(jsonb_build_object('op', 'edit', 'outcome', 'applied', 'rows',
    jsonb_build_array(jsonb_build_object('table', 'public.docs', 'before', to_jsonb(v_old), 'after',
      to_jsonb(v_new))))));
end $$;
select maintenance.set_kind('fact', 'Do.', '{"type": "object", "properties": {"word": {"type": "string"}}}',
  'public.word_subjects', 'public.word_prepare', 'public.docs_apply', counters => '{n}');
select pg_temp.answer('{}') as docs \gset
savepoint docs;
select is(maintenance.undo_task(:docs) ->> 'undone', '1', 'C7: a column called version');
select results_eq('select version, body, n from public.docs', $$values ('1.0', 'old', 2)$$,
  '... is put back like any other');
rollback to docs;
update public.docs set version = '2.1';
select is(maintenance.undo_task(:docs) #>> '{rows,0,reason}', 'has been edited since', 'C7: and an edit of it is one');
rollback to docs;
update public.docs set n = 7;
select is(maintenance.undo_task(:docs) ->> 'undone', '1', 'a counter is not');
rollback to docs;
alter table public.docs alter column body type integer using 5;
select is(maintenance.undo_task(:docs) #>> '{rows,0,reason}', 'has been edited since',
  'a column of another type by now shows no text, and stops nothing');
rollback to docs;
alter table public.docs drop constraint docs_pkey, alter column id type text, add primary key (id);
update maintenance.change set rows = jsonb_set(rows, '{0,after,id}', '2') where task_id = :docs;
select is(maintenance.undo_task(:docs) #>> '{rows,0,reason}', 'its key has been changed',
  'a key that was changed is not put back');
rollback to docs;
create or replace function public.docs_apply(subject text, context jsonb, answer jsonb, options jsonb) returns jsonb
language sql return '{"changes": [{"op": "A text of the answer", "outcome": "applied", "rows": [{"table": "public.docs",
  "before": {"id": 1}}]}]}'::jsonb;
select pg_temp.answer('{}') as halves \gset
select is((pg_temp.task(:halves)).last_error, 'apply: apply names a row without what it was before and is after',
  'a change without its row is no change');
create or replace function public.docs_apply(subject text, context jsonb, answer jsonb, options jsonb) returns jsonb
language plpgsql as $$ begin
  if not (options ->> 'approved')::boolean then raise exception 'too far' using errcode = 'PM017'; end if;
  return '{"changes": [{"op": "A text of the answer", "outcome": "applied"}]}';
end $$;
delete from maintenance.task where state = 'ready';
select pg_temp.answer('{"word": "long"}') as far \gset
select is((select operations from maintenance.pending_answer where task_id = :far), '{"?": {"applied": 1}}',
  'what is no name of an operation is not shown');
select maintenance.set_kind('fact', 'Do.',
  '{"type": "object", "properties": {"word": {"type": "string", "maxLength": 3}}}',
  'public.word_subjects', 'public.word_prepare', 'public.docs_apply') \g /dev/null
select throws_ok(format('select maintenance.approve_task(%s)', :far), 'PM016', format('the answer of task %s cannot be '
  'applied: it is not as its schema says: $.word is not at most 3 characters', :far),
    'an approval asks the schema of today');

select maintenance.set_kind('fact', 'Do.', '{"type": "object", "properties": {"word": {"type": "string"}}}',
  'public.word_subjects', 'public.word_prepare', 'public.fact_apply') \g /dev/null

-- What an answer deleted: with an identity, a generated column, a counter, and what belongs to it.
create table public.parent (id integer generated always as identity primary key, name text not null unique,
  size integer generated always as (length(name)) stored, n integer not null default 1);
create table public.child (parent_id integer not null references public.parent, nr integer,
  at timestamptz default now(),
  half numeric(9, 3) default 1.5, raw bytea default '\x00ff', primary key (parent_id, nr)) partition by range (nr);
create table public.child_1 partition of public.child for values from (0) to (10);
create table public.child_2 partition of public.child for values from (10) to (20);
insert into public.parent (name, n) values ('a', 7), ('b', 7), ('kept', 1);
insert into public.child (parent_id, nr) select p, nr from generate_series(1, 2) as p, unnest(array[1, 11]) as nr;
create temporary table family as
select to_jsonb(p) as row from public.parent as p union all select to_jsonb(c) from public.child as c;
create function public.drop_family(subject text, context jsonb, answer jsonb, options jsonb) returns jsonb
language sql as $$
  with children as (delete from public.child returning to_jsonb(child) as row),
  parents as (delete from public.parent where name <> 'kept' returning to_jsonb(parent) as row),
  gone as (select 'public.child' as name, row from children union all select 'public.parent', row from parents)
  select jsonb_build_object('changes', jsonb_build_array(jsonb_build_object('op', 'drop', 'outcome', 'applied', 'rows',
    jsonb_agg(jsonb_build_object('table', name, 'before', row, 'after', null) order by name)))) from gone $$;
select maintenance.set_kind('fact', 'Do.', '{"type": "object", "properties": {"word": {"type": "string"}}}',
  'public.word_subjects', 'public.word_prepare', 'public.drop_family', counters => '{n}');
alter table public.child drop constraint child_parent_id_fkey, add foreign key (parent_id) references public.parent
  deferrable initially immediate;
set constraints all deferred;
select pg_temp.answer('{}') as gone \gset
set constraints all immediate;
select is((select count(*) from public.parent) + (select count(*) from public.child), 1::bigint,
  'an answer may delete');
select is((select deletes from maintenance.change where task_id = :gone), true, 'which the ledger knows');
savepoint gone;
select is(maintenance.undo_task(:gone) - 'rows' - 'task', '{"undone": 6, "refused": 0}',
  'an undo brings all of it back');
select set_eq('select to_jsonb(p) from public.parent as p union all select to_jsonb(c) from public.child as c',
  'select row from family', '... with keys, counters and every column, parents first');
select is(maintenance.undo_task(:gone) - 'rows' - 'task', '{"undone": 6, "refused": 0}', 'once');
rollback to gone;
insert into public.parent (name) values ('a');
select is(pg_temp.reasons(maintenance.undo_task(:gone)), '2 ok; 1 another row is in the way: '
  'parent_name_key; 2, 11 ok; '
  '1, 11 what it belongs to is gone: child_parent_id_fkey; 2, 1 ok; 1, 1 what it belongs to is gone: '
  'child_parent_id_fkey',
  'what cannot come back is named, and the rest comes');
rollback to gone;
insert into public.parent (id, name) overriding system value values (1, 'another');
select is((select r ->> 'reason' from jsonb_array_elements(maintenance.undo_task(:gone) -> 'rows') as r
  where r ->> 'key' = '1'), 'is there again', 'what is there again is left alone');
select is((select name from public.parent where id = 1), 'another', '... as it is');
rollback to gone;
drop table public.child_2;
select matches(pg_temp.reasons(maintenance.undo_task(:gone)),
  '2, 11 its table does not take it; 1, 11 its table does not take it; 2, 1 ok',
  'what has no place any more is refused alone');
rollback to gone;
update maintenance.change set created_at = now() - interval '31 days' where task_id = :gone;
select maintenance.configure('recovery_days', 40);
select maintenance.run_now('forget_changes') \g /dev/null
select maintenance.run_now('forget_deletions') \g /dev/null
select is((select forgotten_at from maintenance.change where task_id = :gone), null,
  'what was deleted is kept for as long as was set');
select maintenance.configure('recovery_days', 30);
select maintenance.run_now('forget_deletions') \g /dev/null
select is((select rows from maintenance.change where task_id = :gone), '[]', '... and no longer');
rollback to gone;
select maintenance.configure('recovery_days', 40);
insert into public.parent (name) values ('a');
select maintenance.undo_task(:gone) \g /dev/null
update maintenance.change set created_at = now() - interval '31 days';
update maintenance.task set finished_at = now() - interval '31 days' where task_id = :gone;
select maintenance.run_now('forget_changes'), maintenance.run_now('purge_tasks') \g /dev/null
delete from public.parent where name = 'a';
savepoint tried;
select is(maintenance.undo_task(:gone) - 'rows' - 'task', '{"undone": 6, "refused": 0}',
  '... with its task, and what became of a first try');
rollback to tried;
select maintenance.configure('recovery_days', 7);
select maintenance.run_now('forget_deletions') \g /dev/null
select is(maintenance.undo_task(:gone) ->> 'forgotten', '1', 'a second try that comes too late says so');
rollback to gone;
create or replace function public.drop_family(subject text, context jsonb, answer jsonb, options jsonb) returns jsonb
language sql return '{"changes": [{"op": "x", "outcome": "applied", "rows": [{"table": "public.parent", "before": null,
  "after": null}]}]}'::jsonb;
select pg_temp.answer('{}') as nothing \gset
select is((pg_temp.task(:nothing)).last_error, 'apply: apply names a row without what it was before and is after',
  'a row that neither was nor is, is none');
delete from maintenance.task where state = 'ready';
select maintenance.set_kind('fact', 'Do.', '{"type": "object", "properties": {"word": {"type": "string"}}}',
  'public.word_subjects', 'public.word_prepare', 'public.fact_apply') \g /dev/null

-- What passes by itself: a lock, a deadlock.
select throws_ok($$select pg_temp.answer('{"ids": [1], "word": "five", "errcode": "55P03"}')$$, '55P03', null,
  'a lock error while an answer is applied is raised to the caller');
select * from finish();
rollback;
