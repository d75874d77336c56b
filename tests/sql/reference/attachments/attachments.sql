-- S0-16, S0-23, S0-24, C-06: attachments go by their user's plan, whichever way else their rows may go, and their
-- blobs after them; what an undo may bring back keeps its blob.
begin;
create extension pgtap;
\ir ../chat/archiving.psql
select plan(58);
create function pg_temp.outbox() returns text language sql as $$
  select string_agg(b.url, ', ' order by b.url) from maintenance.blob as b $$;
create function pg_temp.claim() returns text language sql as $$
  select string_agg(c.url, ', ' order by c.url) from maintenance.claim_blobs('me', 1000) as c $$;

-- Each plan: what is a second too young stays, what has just the age goes.
create temporary table person (who text, role text, is_guest boolean, plan text, status text, days integer);
insert into person values ('guest', 'user', true, null, null, 1), ('trial', 'user', false, null, null, 7),
  ('basic', 'user', false, 'basic', 'active', 30), ('basic_plus', 'user', false, 'BASIC_PLUS', 'active', 60),
  ('pro', 'user', false, 'creator-pro', 'active', 180), ('other', 'user', false, 'vt_plus', 'active', 30),
  ('canceled', 'user', false, 'pro', 'canceled', 7), ('admin', 'admin', false, 'pro', 'active', 3650),
  ('super_admin', 'super_admin', true, null, null, 3650);
create temporary table made as
with made as (
  insert into public.users (name, role, is_guest) select who, role, is_guest from person returning id, name
)
select * from made;
insert into public.user_subscriptions (user_id, plan, status)
select m.id, p.plan, p.status from person as p join made as m on m.name = p.who where p.plan <> '';
set local maintenance.fake_now = '2026-03-31 03:00Z'; -- two days after Europe's clocks went forward
insert into public.attachments (user_id, name, blob_url, created_at)
select m.id, p.who, p.who || a.suffix, '2026-03-31 03:00Z'::timestamptz - p.days * interval '24 hours' + a.age
from person as p join made as m on m.name = p.who
cross join (values ('-old', interval '0'), ('-young', interval '1 second')) as a (suffix, age);
select is((select count from maintenance_status where task = 'expired_attachments'), 9::bigint,
  'the status counts what is due by plan');
select is((select (p).due from (select maintenance.preview('cleanup_expired_attachments') as p) as p), 9::bigint,
  '... and so does the preview');
select is(public.cleanup_expired_attachments(),
  '{"processedUsers": 9, "deletedAttachments": 9, "blobsQueued": 9, "errors": []}', 'S0-23: the keys of the result');
select is_empty($$select blob_url from public.attachments where blob_url !~ 'young$'$$, 'what has the age is gone');
select is((select count(*) from public.attachments), 9::bigint, '... and what is younger stays');
select is(pg_temp.outbox(), (select string_agg(who || '-old', ', ' order by who || '-old') from person),
  'the outbox has every blob');
select is(pg_temp.claim(), pg_temp.outbox(), '... and each may go at once');
select is(public.cleanup_expired_attachments(),
  '{"processedUsers": 0, "deletedAttachments": 0, "blobsQueued": 0, "errors": []}', 'a second run finds nothing');
update public.retention_policies set days = 0 where scope = 'attachment' and plan = 'trial';
select is(public.cleanup_expired_attachments() ->> 'deletedAttachments', '2',
  'an edit of the plans is in force at once');
delete from public.retention_policies where scope = 'attachment' and plan = 'pro';
update public.attachments set created_at = '2000-01-01' where blob_url in ('pro-young', 'guest-young');
insert into public.attachments (blob_url, created_at) values ('nobody''s', '2000-01-01');
select is(public.cleanup_expired_attachments() ->> 'deletedAttachments', '1', 'whose plan has no row keeps all');
select is((select string_agg(blob_url, ', ' order by blob_url) from public.attachments where created_at = '2000-01-01'),
  'nobody''s, pro-young', '... and so does nobody');
reset maintenance.fake_now;

-- What is refused is told, and stops no other.
delete from maintenance.blob;
update public.attachments set created_at = case when blob_url ~ 'admin' then '2000-01-01' else now() end;
create table public.thumbnail (attachment_id uuid references public.attachments (id));
insert into public.thumbnail select id from public.attachments where blob_url = 'admin-young';
select matches(public.cleanup_expired_attachments()::text,
  '\{"errors": \["cleanup_expired_attachments[^"]*23503[^"]*"\], '
  '"blobsQueued": 1, "processedUsers": 2, "deletedAttachments": 1\}',
  'a row that cannot go is told, and the others go');
select is(pg_temp.outbox(), 'super_admin-young', '... and its blob stays');
select maintenance.disable_job('cleanup_expired_attachments') \g /dev/null
select matches(public.cleanup_expired_attachments()::text,
  '\{"errors": \["[^"]*disabled[^"]*"\], "blobsQueued": 0, "processedUsers": 1, "deletedAttachments": 0\}',
  'a job that is disabled says so');
select maintenance.enable_job('cleanup_expired_attachments') \g /dev/null
drop table public.thumbnail;
select results_eq($$select schedule, active
  from maintenance.job_status where job_name = 'cleanup_expired_attachments'$$,
  $$select declared_schedule, active from maintenance.job_status where job_name = 'cleanup_temp_uploads'$$,
  'S0-23: daily at three, as the clean-up of uploads');
select is((select declared_schedule from maintenance.job_status where job_name = 'cleanup_expired_attachments'),
  '0 3 * * *', '... in UTC');
-- S0-24: who may.
select ok(has_function_privilege('maintenance_operator', 'public.cleanup_expired_attachments()', 'execute'),
  'S0-24: an operator may');
select ok(not has_function_privilege(r, 'public.cleanup_expired_attachments()', 'execute'), format('... %s may not', r))
from unnest(array['public', 'maintenance_viewer', 'maintenance_worker']) as r;
select ok(not has_table_privilege(r, 'maintenance.blob', 'select'), format('%s reads no outbox', r))
from unnest(array['public', 'maintenance_viewer', 'maintenance_worker', 'maintenance_operator']) as r;
select results_eq($$select a.attname from pg_attribute as a where a.attrelid = 'maintenance.blob'::regclass
  and a.attnum > 0
    and not has_column_privilege('maintenance_operator', a.attrelid, a.attnum, 'select') order by a.attnum$$,
  array['url', 'name', 'gate', 'noted_in', 'worker', 'lease_token', 'lease_expires_at']::name[],
  'an operator reads what is wrong with an entry, and no address');

-- Whose it is.
delete from maintenance.blob;
delete from public.users;
select is(pg_temp.claim(), 'admin-young, basic-young, basic_plus-young, other-young, pro-young',
  'who is deleted takes all along');
insert into public.users (id, name) values ('00000000-0000-0000-0000-00000000000a', 'Ada'),
  ('00000000-0000-0000-0000-00000000000b', 'Bob');
insert into public.messages (id, user_id, created_at) values ('00000000-0000-0000-0000-0000000000a1',
  '00000000-0000-0000-0000-00000000000a', now());
insert into public.attachments (message_id, blob_url, created_at)
values ('00000000-0000-0000-0000-0000000000a1', 'by message', now() - interval '8 days');
select is((select user_id from public.attachments where blob_url = 'by message'),
  '00000000-0000-0000-0000-00000000000a'::uuid, 'of an attachment that names a message alone that says whose it is');
select is(public.cleanup_expired_attachments() ->> 'deletedAttachments', '1', '... and by whose plan it goes');
select is((select count(*) from public.messages), 1::bigint, '... and its message stays');
delete from maintenance.blob;
insert into public.attachments (message_id, blob_url) values ('00000000-0000-0000-0000-0000000000a1', 'with it');
delete from public.messages;
select is(pg_temp.claim(), 'with it', 'a message that is deleted takes its attachments along');
delete from maintenance.blob;

-- Archiving: into the ledger with them, and out again.
create function pg_temp.chat(who text, words text default 'Hello') returns void language sql as $$
  with said as (
    insert into public.messages (user_id, content, created_at)
    select ('00000000-0000-0000-0000-00000000000' || who)::uuid, words, now() - interval '20 days'
      + i * interval '1 minute' from generate_series(1, 2) as i
    returning id, created_at
  )
  insert into public.attachments (message_id, name, blob_url, created_at)
  select id, 'ZEBRA', who || '-' || row_number() over (order by created_at), now() from said $$;
create function pg_temp.archive(who text) returns bigint language plpgsql as $$
declare
  v_id bigint := maintenance.enqueue_task('archive_session', '00000000-0000-0000-0000-00000000000' || who,
    force => true);
  v_token uuid := (select c.lease_token from maintenance.claim_tasks('me', 1) as c);
begin
  if maintenance.task_request(v_id, v_token) is null then raise exception 'not asked'; end if;
  if maintenance.complete_task(v_id, v_token, '{"summary": "They talked."}') ->> 'state' <> 'succeeded' then
    raise exception 'not archived'; end if;
  return v_id;
end $$;
select pg_temp.chat('a'), pg_temp.chat('b') \g /dev/null
create temporary table attached as select * from public.attachments;
select pg_temp.archive('a') as task \gset
select is((select count(*) from public.attachments where user_id = '00000000-0000-0000-0000-00000000000a'), 0::bigint,
  'S0-21: the attachments of an archived session go with its messages');
select is(pg_temp.outbox(), 'a-1, a-2', '... and their blobs are noted');
select is(pg_temp.claim(), null, '... but wait for the undo');
select is((select count(*) from maintenance_status where task = 'blobs_due' and count = 0 and severity = 'ok'),
  1::bigint,
  '... and are not due');
savepoint held;
update maintenance.blob set available_at = '-infinity', due_at = '-infinity';
select is(pg_temp.claim(), null, 'whenever they are looked at');
select ok(bool_and(available_at > maintenance_internal.moment() + interval '6 days'), 'and then not for a while')
from maintenance.blob;
select is((select count from maintenance_status where task = 'blobs_due'), 0::bigint, '... and are not due');
select is(maintenance.retry_blobs(), '{"revived": 0, "hurried": 0}', 'nor can they be hurried');
update maintenance.blob set available_at = '-infinity', due_at = '-infinity';
select maintenance.configure('recovery_days', '0') \g /dev/null
select is(pg_temp.claim(), null, 'also when the setting says that nothing can be brought back');
select ok(bool_and(available_at between maintenance_internal.moment() + interval '59 minutes'
  and maintenance_internal.moment() + interval '1 hour'), '... until the ledger has been emptied')
  from maintenance.blob;
select set_config('maintenance.fake_now', (now() + interval '1 minute')::text, true) \g /dev/null
select is(maintenance.run_now('forget_deletions') #>> '{data,rowsAffected}', '1', 'when the ledger forgets them');
select is(pg_temp.claim(), 'a-1, a-2', '... they go at once');
rollback to held;
select is(maintenance.undo_task(:task) -> 'refused', '0', 'the undo refuses nothing');
select results_eq($$select * from public.attachments order by blob_url$$, $$select * from attached order by blob_url$$,
  '... and brings the attachments back as they were');
select is(pg_temp.outbox(), null, '... and their blobs out of the outbox again');
rollback to held;

-- A blob that another row had, too.
insert into public.attachments (user_id, blob_url) values ('00000000-0000-0000-0000-00000000000b', 'a-1');
select is(pg_temp.outbox(), 'a-1, a-2', 'who names the same blob does not let go of what an undo needs');
delete from public.attachments where blob_url = 'a-1';
select is(pg_temp.claim(), null, 'and when that one goes the blob still waits');
select is(maintenance.undo_task(:task) -> 'refused', '0', '... for an undo');
select is(pg_temp.outbox(), null, '... that takes all of its entries out');
rollback to held;

-- Two rows with one blob, of which an undo can bring back one at first.
update maintenance.change set rows = replace(rows::text, '"a-2"', '"a-1"')::jsonb where task_id = :task;
update maintenance.blob set url = 'a-1';
insert into public.attachments (id, blob_url) select id, 'in the way' from attached where blob_url = 'a-2';
select is(maintenance.undo_task(:task) -> 'refused', '2', 'of two rows with one blob one cannot come back, and the '
  'summary stays');
select is(pg_temp.outbox(), 'a-1', '... and keeps an entry for it');
delete from public.attachments where blob_url in ('a-1', 'in the way');
select is(pg_temp.claim(), 'in the way', '... which waits when the other one has gone again');
select is(maintenance.undo_task(:task) -> 'refused', '0', '... for the second try');
select is(pg_temp.outbox(), 'in the way', '... that takes out all that are left');
rollback to held;

-- Two tasks that have deleted a row with the same blob each: the last that can be undone holds it.
update public.attachments set blob_url = 'a-1' where blob_url = 'b-1';
select pg_temp.archive('b') as second \gset
update maintenance.change set rows = '[]', forgotten_at = now() where task_id = :second;
select is(pg_temp.claim(), 'b-2', 'a blob that one task has let go, and another has not, stays');
update maintenance.change set rows = '[]', forgotten_at = now() where task_id = :task;
select is(pg_temp.claim(), 'a-1, a-2', '... until the ledger has forgotten both');
rollback to held;

-- Somebody who is to be forgotten takes the undo along, and so the blobs.
select maintenance.erase_subject('00000000-0000-0000-0000-00000000000a') \g /dev/null
select is(pg_temp.claim(), 'a-1, a-2', 'blobs of somebody who is erased go at once');
rollback to held;
select is((select count(*) from public.attachments where blob_url like 'b-%'), 2::bigint,
  'another''s stay in any case');
select * from finish();
rollback;
