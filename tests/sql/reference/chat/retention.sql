-- S0-16, C-06: for how many days sessions and attachments are kept, by role and plan.
begin;
create extension pgtap;
select plan(30);

create temporary table person (who text, role text, is_guest boolean, plans text[], session integer,
  attachment integer);
insert into person values
  ('an admin', 'admin', false, '{}', 90, 3650),
  ('a SUPER_ADMIN with a plan', 'super_admin', false, '{pro active}', 90, 3650),
  ('an admin who is a guest', 'admin', true, '{}', 90, 3650),
  ('a guest', 'user', true, '{}', 7, 1),
  ('a guest with a plan', 'user', true, '{pro active}', 7, 1),
  ('nobody in particular', 'user', false, '{}', 7, 7),
  ('a trial', 'user', false, '{pro trial}', 7, 7),
  ('PRO', 'user', false, '{Creator_PRO_yearly active}', 30, 180),
  ('BASIC_PLUS', 'user', false, '{BASIC_PLUS active}', 14, 60),
  ('basic plus, otherwise written', 'user', false, '{basic-plus ACTIVE}', 14, 60),
  ('basic', 'user', false, '{basic active}', 14, 30),
  ('a plan of another name', 'user', false, '{vt_plus active}', 7, 30),
  ('a plan that was canceled', 'user', false, '{pro canceled}', 7, 7),
  ('one that expired beside one in force', 'user', false, '{pro expired,basic active}', 14, 30),
  ('two in force', 'user', false, '{basic active,pro active}', 30, 180),
  ('a payment that is late', 'user', false, '{pro past_due}', 7, 7);
with made as (
  insert into public.users (name, role, is_guest) select who, role, is_guest from person returning id, name
)
insert into public.user_subscriptions (user_id, plan, status)
select m.id, split_part(p.plan, ' ', 1), split_part(p.plan, ' ', 2)
from made as m join person on who = m.name cross join unnest(plans) as p (plan);
select results_eq(format($$select public.retention_days(id), public.retention_days(id, 'session'),
    public.retention_days(id, 'attachment') from public.users where name = %L$$, who),
  format('values (%s, %1$s, %s)', session, attachment), who) from person;

select set_eq('select scope, plan, days from public.retention_policies where plan <> ''other''', $$values
  ('session', 'guest', 7), ('session', 'trial', 7), ('session', 'basic', 14), ('session', 'pro', 30),
  ('session', 'admin', 90), ('attachment', 'guest', 1), ('attachment', 'trial', 7), ('attachment', 'basic', 30),
  ('attachment', 'basic_plus', 60), ('attachment', 'pro', 180), ('attachment', 'admin', 3650)$$, 'C-06: the rows');
update public.retention_policies set days = 3 where scope = 'session' and plan = 'pro';
select is(public.retention_days(id), 3, 'an edit is in force at once') from public.users where name = 'PRO';
delete from public.retention_policies where scope = 'session' and plan in ('pro', 'trial');
select is(public.retention_days(id), null,
  'where a plan has no row, nothing goes') from public.users where name = 'PRO';
select is(public.retention_days(id, 'attachment'), 7, '... in its scope') from public.users where name = 'a trial';
select is(public.archive_until(id), null, '... and no session is old enough') from public.users where name = 'PRO';
select is(public.retention_days(gen_random_uuid()), null, 'nobody is kept for no days');
insert into public.retention_policies values ('session', 'other', 5);
select is(public.retention_days(id), 5, 'a row for other plans counts')
from public.users where name = 'a plan of another name';
delete from public.retention_policies where scope = 'session';
select throws_ok($$select public.retention_days(gen_random_uuid())$$, 'PM002',
  'retention_policies says nothing of "session"', 'where all rows are gone, somebody has lost them');
insert into public.messages (user_id, created_at) select id, '2020-01-01' from public.users limit 1;
select matches(maintenance.run_now('trigger_archive') #>> '{message}', 'public.archive_subjects: SQLSTATE PM002$',
  'and the job says so');
select is((select count(*) from maintenance.register() where outcome <> 'there' and kind <> 'schedule')
  + (select count(*) from public.retention_policies), 7::bigint, 'register leaves alone what somebody has made of it');
delete from public.retention_policies;
select maintenance.register() \g /dev/null
select is((select count(*) from public.retention_policies), 12::bigint, 'and puts back what a restore has left out');
select throws_ok($$insert into public.retention_policies values ('session', 'gold', 5)$$, '23514', null,
  'a plan that nothing asks for is refused');
select throws_ok($$update public.retention_policies set days = -1$$, '23514', null, 'days are not negative');
select is((select count(*) from public.retention_policies where days is null), 0::bigint, 'and there are some');
select * from finish();
rollback;
