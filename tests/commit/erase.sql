-- Somebody is deleted while others are at work: the tick forgets them all the same, and waits for nobody.
-- Committing, in a database of its own. Other sessions are dblink connections.
\set QUIET on
set client_min_messages = error;
create extension pgtap;
select plan(12);
\ir connect.psql
create table public.person (id text primary key);
create trigger person_gone after delete on public.person for each row execute function maintenance.note_deleted('id');
insert into public.person select 'u' || i from generate_series(1, 9) as i;
create function public.subjects() returns setof text language sql stable
begin atomic select null::text where false; end;
create function public.prepare(subject text, options jsonb)
returns table (content text, context jsonb, input_hash text, skip_reason text)
language sql stable return ('About ' || subject, '{}'::jsonb, null::text, null::text);
create function public.apply(subject text, context jsonb, answer jsonb, options jsonb) returns jsonb
language sql return '{"changes": [{"op": "say", "outcome": "applied", "note": "ZEBRA"}]}'::jsonb;
select maintenance.set_kind(k, 'Do.', '{"type": "object", "properties": {"word": {"type": "string"}}}',
  'public.subjects',
  'public.prepare', 'public.apply') from unnest(array['one', 'two']) as k \g /dev/null
create function public.ask(who text, kind text default 'one') returns bigint language sql as $$
  select maintenance.enqueue_task(kind, who, options => '{"word": "ZEBRA"}') $$;
create function public.left_over() returns text language sql as $$
  select string_agg(f, ', ' order by f) from (
    select 'task ' || t.kind || ' ' || t.state || ' ' || t.subject from maintenance.task as t
      where t.subject <> '(erased)' or t.state not in ('succeeded', 'skipped') or t.options::text ~ 'ZEBRA'
    union all select 'change ' || subject from maintenance.change where subject <> '(erased)' or note is not null
    union all select 'subject ' || subject from maintenance_internal.subject
    union all select 'note ' || subject from maintenance_internal.erasure) as x (f) $$;
create procedure pg_temp.held(condition text) language plpgsql as $$
begin
  call pg_temp.wait_for('exists (select from pg_stat_activity where wait_event_type = ''Lock'' and ' || condition
    || ')');
end $$;
-- Until the transactions of the last tick are over, others' on this server too.
create procedure pg_temp.settle() language plpgsql as $$
begin
  call pg_temp.wait_for('not exists (select from maintenance_internal.erasure
    where erased_in >= pg_snapshot_xmin(pg_current_snapshot()))');
end $$;
\set QUIET off

-- The tick itself does it, and a second one is sure of it.
select public.ask('u1') \g /dev/null
delete from public.person where id = 'u1';
call maintenance.tick();
select is(public.left_over(), 'note u1', 'the tick forgets who was deleted');
call pg_temp.settle();
call maintenance.tick();
select is(public.left_over(), null, 'and the next one that it has');

-- Whoever deletes is still at it: nobody is forgotten who may stay.
select public.ask('u2') \g /dev/null
select dblink_exec('other', 'begin'), dblink_exec('other', 'delete from public.person where id = ''u2''') \g /dev/null
call maintenance.tick();
select is(public.left_over(), 'task one ready u2', 'a deletion counts when it is committed');
select dblink_exec('other', 'commit') \g /dev/null
call maintenance.tick();
call pg_temp.settle();
call maintenance.tick();
select is(public.left_over(), null, 'and then it does');

-- Somebody asks about them in a transaction that is open at that time.
select dblink_exec('other', 'begin'), dblink_exec('other',
  'do $$ begin perform public.ask(''u3''); end $$') \g /dev/null
delete from public.person where id = 'u3';
call maintenance.tick();
call maintenance.tick();
select is(public.left_over(), 'note u3', 'they are remembered for as long as somebody may have asked about them');
select dblink_exec('other', 'commit') \g /dev/null
call pg_temp.settle();
call maintenance.tick();
select is(public.left_over(), 'note u3', 'what he has asked for is forgotten');
call pg_temp.settle();
call maintenance.tick();
select is(public.left_over(), null, '... and they with it');

-- An answer is applied while they go, and the same is asked for again.
select public.ask('u4') as task \gset
select lease_token from maintenance.claim_tasks('me') \gset
select maintenance.task_request(:task, :'lease_token') is not null as asked \g /dev/null
select public.ask('u4') \g /dev/null
select dblink_exec('other', 'begin'), dblink_exec('other',
  format('do $$ begin perform maintenance.complete_task(%s, %L, '
  '''{"word": "x"}''); end $$', :task, :'lease_token')) \g /dev/null
select dblink_send_query('third', 'select maintenance.erase_subject(''u4'')::text') \g /dev/null
call pg_temp.held('query ~ ''erase_subject''');
select dblink_exec('other', 'commit') \g /dev/null
select is(r::jsonb - 'calls', '{"tasks": 2, "leases": 0, "changes": 1}',
  'an answer that is under way is forgotten, and what follows it')
from dblink_get_result('third') as d (r text);
select from dblink_get_result('third') as d (r text) \g /dev/null
select is(public.left_over(), null, 'nothing of either is left');

-- What somebody is at holds up nobody else.
select public.ask('u5'), public.ask('u6'), public.ask('u7') \g /dev/null
select dblink_exec('other', 'begin'), dblink_exec('other',
  'update maintenance.task set priority = 1 where subject = ''u5''')
\g /dev/null
delete from public.person where id in ('u5', 'u6', 'u7');
call maintenance.tick();
select is(public.left_over(), 'note u5, note u6, note u7, task one ready u5',
  'what somebody is at is left for the next tick');
select is((select error from maintenance_internal.erasure where subject = 'u5'),
  'canceling statement due to lock timeout (SQLSTATE 55P03)', 'which is known');
select dblink_exec('other', 'commit') \g /dev/null
call maintenance.tick();
call pg_temp.settle();
call maintenance.tick();
select is(public.left_over(), null, 'then all are forgotten');
select * from finish();
