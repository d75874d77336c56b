-- Attacks with the rights of a login that was stolen, or by whoever can connect, and what an error
-- shows. Those on an install are in tests/install/hostile_host.sql, those by rules and tables in
-- policy/trust.sql and policy/meaning.sql, those by locks and pg_cron in tests/commit.
\set QUIET on
set client_min_messages = error;
begin;
create extension if not exists pgtap;
select plan(45);
\ir queue/toy.psql
create role some_viewer in role maintenance_viewer;
create role some_operator in role maintenance_operator;
create role some_worker in role maintenance_worker;
do $$ begin execute format('grant some_viewer, some_operator, some_worker to %I', current_user); end $$;
create table public.ran (who text);
grant all on public.ran to public;

-- What a look, a run and an undo say of a row to somebody who may not read it: F7, F26.
create table public.letters (id integer primary key, created_at timestamptz, body text);
create index on public.letters (created_at);
create function pg_temp.fill() returns void language sql as $$
  delete from public.letters;
  insert into public.letters values (1, now() - interval '1 year', 'cat'),
    (2, now() - interval '1 year', 'my secret : password is (hunter2') $$;
select pg_temp.fill();
create function pg_temp.seen(job text) returns text language plpgsql as $$
declare v text := ''; v_part text; v_call text;
begin
  set local role some_operator;
  foreach v_call in array array[
    format('select maintenance.run_now(%L)::text', job),
    'select string_agg(s::text, '' '') from public.maintenance_status as s',
    'select string_agg(s::text, '' '') from maintenance.run_history as s',
    'select string_agg(s::text, '' '') from maintenance.job_status as s',
    format('select string_agg(s::text, '' '') from maintenance.lint(%L) as s', job),
    format('select string_agg(s::text, '' '') from maintenance.preview(%L) as s', job)] loop
    begin
      execute v_call into v_part;
    exception when others then
      get stacked diagnostics v_part = message_text;
    end;
    v := v || coalesce(v_part, '');
  end loop;
  reset role;
  return v;
end $$;
create function pg_temp.rule(matching text) returns void language sql as $$
  select maintenance.set_policy('letters', 'public.letters', 'delete', 'created_at', '90 days',
    matching => matching) $$;
create function public.told(text) returns boolean language plpgsql stable as $$
begin execute 'select ' || quote_ident($1); return true; end $$;
create function public.said(text) returns boolean language sql stable as $$ select $1::regclass is not null $$;
create function public.raises(text) returns boolean language plpgsql stable as $$
begin raise exception '%', $1 using errcode = 'PM999', constraint = $1, table = $1; end $$;
create function pg_temp.leaks(matching text) returns boolean language plpgsql as $$
begin perform pg_temp.fill(), pg_temp.rule(matching); return pg_temp.seen('letters') ~ 'hunter2'; end $$;
select ok(not pg_temp.leaks(m), 'F7: no text of a row is shown by ' || m)
from unnest(array[$$body::tsquery @@ to_tsvector('cat')$$, 'body::regclass is not null', 'body::regtype is not null',
  'body::jsonpath is not null', 'public.told(body)', 'public.said(body)', 'body::integer > 5',
  'pg_has_role(body, ''usage'')', 'to_regclass(body) is null', 'public.raises(body)']) as m;
select pg_temp.fill(), pg_temp.rule('body::integer > 5');
select ok(pg_temp.seen('letters') ~ 'SQLSTATE', 'F7: ... but the SQLSTATE is');
alter table public.letters rename column body to text;
select ok(pg_temp.seen('letters') ~ 'column letters.body does not exist|column "body" does not exist',
  'F7: what Postgres says of the rule itself is told');
alter table public.letters rename column text to body;
select maintenance.drop_job('letters');

create function public.private_subjects() returns setof text language sql stable as
$$ select (body::int)::text from public.letters $$;
select maintenance.set_kind('private', 'Say.', '{"type": "object", "properties": {"word": {"type": "string"}}}',
  'private_subjects', 'word_prepare',
  'word_apply', 'archive');
set local role some_operator;
create function pg_temp.raised(statement text) returns text language plpgsql as $$
begin execute statement; return 'nothing'; exception when others then return sqlerrm; end $$;
select is(maintenance.trigger_jobs('archive') #>> '{errors,0,error}',
  'the subjects cannot be told by public.private_subjects: SQLSTATE 22P02', 'F26: trigger_jobs shows no text of a row');
reset role;
delete from maintenance.kind where kind = 'private';

create function public.talks(text) returns boolean language plpgsql stable as $$
begin raise warning 'looking at %', $1; return true; end $$;
select pg_temp.rule('public.talks(body)');
select is((select c from pg_proc as p cross join unnest(p.proconfig) as c
    where p.oid = 'maintenance.preview(text)'::regprocedure and c ~ '^client_min_messages'),
  'client_min_messages=error', 'what the owner''s code says on the way is not said to the caller');
select maintenance.drop_job('letters');

-- F32: an assertion is an error like others.
create function public.asserts(text) returns boolean language plpgsql stable as $$ begin assert false,
  $1; return true; end $$;
select pg_temp.rule('public.asserts(body)');
select ok((select bool_or(task = 'letters' and severity = 'critical') and count(*) > 1 from public.maintenance_status),
  'F32: a rule that asserts breaks its own row of the status, and no other');
select is(maintenance.run_now('letters') ->> 'success', 'false', 'F32: ... and its own run');
select isnt_empty($$select * from maintenance.lint()$$, 'F32: ... and lint goes on');
select maintenance.drop_job('letters');

-- A step checks what its own tables have deferred, and runs nothing that a caller has.
create table public.par (id int primary key deferrable initially deferred, at timestamptz);
create index on public.par (at);
insert into public.par values (1, now() - interval '9 days');
select maintenance.set_policy('par', 'public.par', 'delete', 'at', '7 days');
set local role some_operator;
create temporary table queued (i int);
create function pg_temp.as_whom() returns trigger language plpgsql as $$
begin insert into public.ran values (current_user); return null; end $$;
create constraint trigger as_whom after insert on queued deferrable initially deferred
  for each row execute function pg_temp.as_whom();
set constraints all deferred;
insert into queued values (1);
select maintenance_internal.start_run('par', false) as run \gset
select more from maintenance_internal.run_step(:run) \g /dev/null
select more from maintenance_internal.run_step(:run) \g /dev/null
select more from maintenance_internal.run_step(:run) \g /dev/null
select maintenance_internal.end_run(:run) \g /dev/null
reset role;
select is_empty('table public.ran', 'a trigger that a caller has deferred does not run as the owner');
select is_empty('table public.par', '... and the step did its work');
set local role some_operator;
set constraints all immediate;
reset role;
select results_eq('table public.ran', array['some_operator'], '... it runs as who has deferred it');
delete from public.ran;
drop table queued;
select ok(maintenance_internal.check_deferred_statement() ~ 'public\.par_pkey',
  'what is deferred on its own tables is checked');

-- Where a table behind a key is somebody else's, its triggers would run as the owner.
create role tenant;
do $$ begin execute format('grant tenant to %I', current_user); end $$;
grant create on schema public to tenant;
grant references on public.par to tenant;
alter table public.par drop constraint par_pkey, add primary key (id);
create table public.theirs (id int references public.par on delete cascade);
alter table public.theirs owner to tenant;
select is(maintenance.run_now('par') #>> '{data,sqlstate}', 'PM003',
  'a table that a stranger hangs on a policy''s is no good');
select ok((select bool_or(finding ~ '^public.theirs belongs to tenant') from maintenance.lint('par')),
  '... and lint says so');
drop table public.theirs;

-- A function that a stranger has left in a schema that is shut to him now.
create function public.lower(integer) returns text language sql as 'select ''x''';
alter function public.lower(integer) owner to tenant;
revoke create on schema public from tenant;
select is(maintenance_internal.owner_path(), 'pg_catalog, pg_temp',
  'a schema with functions of a stranger is on no path');
select ok((select bool_or(finding ~ 'tenant' and fix ~ 'pg_proc') from maintenance.lint('par')),
  '... and lint says whose');
drop function public.lower(integer);
select is(maintenance_internal.owner_path(), 'pg_catalog, public, pg_temp', '... until they are gone');

-- A check and a default are code as well.
create function public.checks(integer) returns boolean language sql immutable as 'select true';
alter table public.par add check (public.checks(id)), add doubled int default case when public.checks(1) then 1 end;
create schema kept;
grant create on schema kept to tenant;
alter function public.checks(integer) set schema kept;
alter function kept.checks(integer) owner to tenant;
select set_eq($$select substring(finding from '^the (check|column)') from maintenance.lint('par')
  where finding ~ 'belongs to tenant'$$, array['check', 'column'],
    'a stranger''s function in a check or a default is told');
select maintenance.drop_job('par');

-- F19: what an undo may touch.
insert into public.word values ('a', null);
create function public.apply_slip(subject text, context jsonb, answer jsonb,
  options jsonb) returns jsonb language sql as $$
  select jsonb_build_object('changes', jsonb_build_array(jsonb_build_object('op', 'x', 'outcome', 'applied', 'keys',
    '["a"]'::jsonb, 'rows', jsonb_build_array(jsonb_build_object('table', answer ->> 'table', 'before', null, 'after',
    '{"subject": "a"}'::jsonb))))) $$;
select maintenance.set_kind('slip', 'Say.', '{"type": "object", "properties": {"word": {"type": "string"}}}',
  'word_subjects', 'word_prepare', 'apply_slip');
create function pg_temp.answered(answer text) returns jsonb language plpgsql as $$
declare v record; v_request jsonb;
begin
  perform maintenance.enqueue_task('slip', 'a', force => true);
  update maintenance.task set available_at = now() where state = 'ready';
  select * into v from maintenance.claim_tasks('w', 1, '1 minute');
  v_request := maintenance.task_request(v.task_id, v.lease_token);
  return maintenance.complete_task(v.task_id, v.lease_token, answer) || jsonb_build_object('task', v.task_id);
end $$;
create temporary table notes (subject text primary key);
select results_eq(format('select r ->> ''state'', r ->> ''error'' from pg_temp.answered(%L) as r',
  jsonb_build_object('table', t)),
  format($$values ('ready', 'apply: apply changes "%s", which is no table of the owner''s, named with its schema')$$,
    t),
  'F19: the ledger does not take ' || t)
from unnest(array['word', 'notes', 'pg_temp.notes', 'public.nothing']) as t;
delete from maintenance.task where kind = 'slip';
create temporary table undone as select pg_temp.answered('{"table": "public.word"}') as r;
select is(r ->> 'state', 'succeeded', 'F19: it takes a table with its schema') from undone;
update maintenance.change set rows = '[{"table": "notes", "before": null, "after": {"subject": "a"}}]';
set local role some_operator;
create temporary table notes_too (subject text primary key);
create function pg_temp.robs() returns trigger language plpgsql as $$
begin insert into public.ran values (current_user); return old; end $$;
reset role;
grant all on notes to some_operator;
insert into notes values ('a');
create trigger robs before delete on notes for each row execute function pg_temp.robs();
select is(maintenance.undo_task((r ->> 'task')::bigint) #>> '{rows,0,reason}',
  'notes is no table of the owner''s with a primary key (any more)',
    'F19: an undo does not look for a table') from undone;
select is_empty('table public.ran', 'F19: no trigger of a temporary table runs');
delete from maintenance.change where undoes is not null;
update maintenance.change set rows = '[{"table": "public.word", "before": null, "after": {"subject": "a"}}]';
create function public.shouts() returns trigger language plpgsql as $$ begin raise exception 'secret %',
  old.subject; end $$;
create trigger shouts before delete on public.word for each row execute function public.shouts();
select is(maintenance.undo_task((r ->> 'task')::bigint) #>> '{rows,0,reason}', 'it cannot be put back: SQLSTATE P0001',
  'F26: an undo shows nothing of what a trigger says') from undone;
drop trigger shouts on public.word;

-- F11, F20: a worker's login that was stolen.
delete from maintenance.task;
insert into public.word values ('b', null);
select maintenance.enqueue_task('word', s) from unnest(array['a', 'b']) as s \g /dev/null
set local role some_worker;
select throws_ok($$select * from maintenance.claim_tasks('w', 2, '1 day')$$, 'PM002', null, 'F20: a lease is bounded');
create temporary table held as select * from maintenance.claim_tasks('w', 2, '6 hours');
reset role;
update maintenance.task set leased_at = now() - interval '5 hours', lease_expires_at = now() + interval '1 hour';
select ok(maintenance.extend_lease(task_id, lease_token, '6 hours'), 'F20: an extended one') from held limit 1;
select cmp_ok(max(lease_expires_at), '<=', now() + interval '1 hour', 'F20: ... ends six hours after the claim')
from maintenance.task;
update maintenance.task set leased_at = now() - interval '7 hours';
select ok(not maintenance.extend_lease(task_id, lease_token, '6 hours'),
  'F20: ... and is extended no more') from held limit 1;
set local role some_worker;
select maintenance.task_request(task_id, lease_token) from held order by task_id limit 1 \g /dev/null
select maintenance.release_task(task_id, lease_token) from held order by task_id limit 1 \g /dev/null
reset role;
select is((select claims || ' ' || asks || ' ' || claimed_by from maintenance.task order by task_id limit 1),
  '1 1 ' || session_user,
  'F20: a prompt that was handed out leaves a trace, also where the task was given back');
set local role some_worker;
do $$ begin perform maintenance.task_request(task_id, lease_token) from held order by task_id desc limit 1; end $$;
select is((maintenance.fail_task(task_id, lease_token, 'configuration', 'x', '0', null, jsonb_build_object('x',
    repeat('y', 100000))) ->> 'available_at')::timestamptz > now() + interval '50 seconds', true,
  'F11: a fault of the configuration is waited for') from held order by task_id desc limit 1;
reset role;
select ok((select max(length(details::text)) from maintenance.model_call) between 3900 and 5000,
  'F11: details are bounded');

-- F17, F18: roles and rights that were there before.
do $$ begin execute 'alter role maintenance_operator login'; end $$;
select results_eq($$select outcome,
  fix ~ 'nologin' from maintenance.grant_roles() where role_name = 'maintenance_operator'$$,
  $$values ('there, and may log in', true)$$, 'F17: a role of ours that may log in is told');
alter role maintenance_operator nologin;
grant execute on function maintenance.run_now(text) to public;
select results_eq($$select severity, fix from maintenance.lint() where finding ~ '^PUBLIC'$$,
  $$values ('critical', 'select * from maintenance.grant_roles();')$$, 'F18: rights that a restore left out are told');
select count(*) from maintenance.grant_roles() \g /dev/null
select is_empty($$select * from maintenance.lint() where finding ~ '^PUBLIC'$$, 'F18: ... and the fix mends it');
select * from finish();
rollback;
