-- Whose table and whose functions a policy works with, and what a rule can hardly be meant to say.
\set QUIET on
set client_min_messages = error;
begin;
create extension if not exists pgtap;
select plan(41);

create role tenant;
create role colleague;
do $$ begin
  execute format('grant tenant to %I', current_user);
end $$;
create schema tenancy;
grant create, usage on schema tenancy to tenant;
create table tenancy.log (id bigint, at timestamptz, status text);
create table tenancy.split (id bigint, at timestamptz) partition by list (id);
create table tenancy.split_1 partition of tenancy.split for values in (1);
create index on tenancy.log (at);
create index on tenancy.split (at);
insert into tenancy.log values (1, now() - interval '9 days', 'old');
insert into tenancy.split values (1, now() - interval '9 days');
create function pg_temp.set(name text, target text, trusted text default null) returns void language sql as $$
  select maintenance.set_policy(name, target, 'delete', 'at', '7 days', trusted_owner => trusted) $$;
create function pg_temp.fails(name text, action text default 'preview') returns text language plpgsql as $$
begin
  execute format('select * from maintenance.preview(%L)', name);
  return 'it does not';
exception when others then return sqlstate;
end $$;

-- C20, F2: a table's triggers, index functions and casts run with the rights of the engine's owner.
select lives_ok($$select pg_temp.set('log', 'tenancy.log')$$, 'a table of the owner''s own is a target');
select ok(maintenance_internal.is_trusted(10) and maintenance_internal.is_trusted(current_user::regrole),
  'who has the owner''s rights anyway is trusted');
select ok(not maintenance_internal.is_trusted('tenant'::regrole) and not maintenance_internal.is_trusted(0),
  'nobody else is, nor PUBLIC');
alter table tenancy.log owner to tenant;
grant all on tenancy.log to current_user;
create table public.ran (id int);
create function tenancy.evil(bigint) returns bigint language plpgsql immutable as $$
begin raise exception 'evil ran'; end $$;
select throws_ok($$select pg_temp.set('other', 'tenancy.log')$$, 'PM003', null, 'a stranger''s table is no target');
select is(pg_temp.fails('log'), 'PM003', 'a table that went to a stranger is looked at no more');
select results_eq($$select severity, description ~ 'belongs to tenant, whose triggers' from public.maintenance_status
  where task = 'log'$$, $$values ('critical', true)$$, '... its row of the status is critical, and says why');
select results_eq($$select severity, finding ~ 'belongs to tenant, whose triggers' from maintenance.lint('log')$$,
  $$values ('critical', true)$$, '... so does lint');
select is(maintenance.run_now('log') #>> '{data,sqlstate}', 'PM003', '... and no run works on it');
select is((select count(*) from tenancy.log), 1::bigint, '... so its rows stay');
select throws_ok($$select pg_temp.set('log', 'tenancy.log', 'nobody_there')$$, 'PM002',
  'there is no role "nobody_there"',
  'a trusted owner that is not there is refused');
select throws_ok($$select pg_temp.set('log', 'tenancy.log', 'colleague')$$, 'PM003', null,
  'another role than the one that is trusted is a stranger');
select lives_ok($$select pg_temp.set('log', 'tenancy.log', 'tenant')$$, 'trusted_owner says that it is meant');
select is(maintenance.run_now('log') ->> 'success', 'true', '... and the policy works');
select pg_temp.set('split', 'tenancy.split');
alter table tenancy.split_1 owner to tenant;
select is(maintenance.run_now('split') #>> '{data,sqlstate}', 'PM003', 'a partition of a stranger is refused as well');
alter table tenancy.split_1 owner to current_user;

-- Functions of strangers on a table of one's own.
create table public.mine (id bigint, at timestamptz);
create index on public.mine (at);
create function public.theirs(bigint) returns bigint language sql immutable as 'select $1';
create function public.their_trigger() returns trigger language plpgsql as 'begin return old; end';
create index mine_theirs on public.mine (public.theirs(id));
create trigger theirs before delete on public.mine for each row execute function public.their_trigger();
create trigger update_theirs before update on public.mine for each row execute function public.their_trigger();
select maintenance.set_policy('mine', 'public.mine', 'delete', 'at', '7 days', matching => 'theirs(id) > 5');
select is_empty($$select * from maintenance.lint('mine') where finding ~ 'with the rights of'$$,
  'the owner''s own functions are no finding');
do $$ begin
  execute 'grant create on schema public to tenant';
  execute 'alter function public.theirs(bigint) owner to tenant';
  execute 'alter function public.their_trigger() owner to tenant';
  execute 'revoke create on schema public from tenant';
end $$;
select set_eq($$select substring(finding from '^.* calls') || severity from maintenance.lint('mine')
    where finding ~ 'belongs to tenant, with the rights of'$$,
  array['the index public.mine_theirs callscritical', 'the rule callscritical',
    'the trigger theirs of public.mine callscritical'],
  'those of strangers are, of a trigger, an index and the rule');

-- Tables and views that a rule looks into.
select throws_like(format($$select maintenance.set_policy('looks', 'public.mine', 'delete', 'at', '7 days',
  matching => %L)$$,
  'exists (select from tenancy.log as l where l.id = mine.id)'), '%reads tenancy.log, which belongs to tenant%',
  'a rule does not read a stranger''s table');
select throws_like($$select maintenance.set_policy('looks', 'public.mine', 'update', 'at', '7 days',
  matching => 'id is not null', assign => 'id = (select min(l.id) from tenancy.log as l)')$$,
  '%reads tenancy.log, which belongs to tenant%', '... nor does assign');
select lives_ok($$select maintenance.set_policy('looks', 'public.mine', 'update', 'at', '7 days',
  matching => 'id is not null', assign => 'id = (select min(l.id) from tenancy.log as l)', trusted_owner => 'tenant')$$,
  '... but where it is meant');

-- N-021: an age that reads no column.
select throws_ok(format('select maintenance.set_policy(''n'', ''public.mine'', ''delete'', %L, ''0'')', age), 'PM004',
  format('age "%s" reads no column of public.mine', age), 'an age that reads no column is refused: ' || age)
from unnest(array['now()', 'now() - interval ''90 days''', '''2020-01-01''::timestamptz',
  '(select max(at) from public.mine)']) as age;
select throws_ok($$select maintenance.set_policy('n', 'public.mine', 'delete', 'id', '7 days')$$, 'PM004',
  'age "id" is no time: its type is bigint', 'a number is no age');

-- keep.
select throws_ok($$select maintenance.set_policy('k', 'public.mine', 'delete', 'at', keep => '90')$$, 'PM002',
  'keep ''90'' is a number alone', 'a keep that is a number alone is refused');
select throws_ok($$select maintenance.set_policy('k', 'public.mine', 'delete', 'at', '60')$$, 'PM002',
  'keep ''60'' is a number alone', '... by its place, too');
select throws_ok($$select maintenance.set_policy('k', 'public.mine', 'delete', 'at', keep => interval ' +604800.0 ')$$,
  'PM002', 'keep ''604800'' is a number alone', '... in any spelling');
select lives_ok($$select maintenance.set_policy('k', 'public.mine', 'delete', 'at', keep => '90 seconds',
  matching => $m$id <> '90'$m$)$$, 'another number of the statement is no keep');
select throws_ok($$select maintenance.configure_job('mine', keep => '30')$$, 'PM002', 'keep ''30'' is a number alone',
  'so it is in configure_job');
select lives_ok(format($$select maintenance.set_policy('k', 'public.mine', 'delete', 'at', keep => %L)$$, k),
  'a keep with its unit is taken: ' || k)
from unnest(array['0', '90 seconds', '1 minute', '90 days']) as k;

-- F8: what a rule may not do, and what it should not ask.
select throws_ok($$select maintenance.set_policy('f', 'public.mine', 'delete', 'at', '7 days',
  matching => 'exists (select from public.ran for update)')$$, 'PM004', null, 'a rule that locks rows is refused');
create temporary table mine_too (id bigint);
select throws_ok($$select maintenance.set_policy('f', 'public.mine', 'delete', 'at', '7 days',
  matching => 'exists (select from pg_temp.mine_too)')$$, 'PM004', null,
    'a rule that reads a temporary table is refused');
select maintenance.set_policy('f', 'public.mine', 'delete', 'at', '7 days',
  matching => 'current_setting(''app.x'', true) = ''user'' or current_user = ''x''
    or id = pg_backend_pid() or ''current_user'' = ''x''');
select results_eq($$select finding from maintenance.lint('f') where finding ~ 'session'$$,
  array['the rule asks the session that reads it, by current_setting, current_user, pg_backend_pid: '
    'status and run can disagree'],
  'a rule that asks its session is a finding');

create table public."user" (id int, at timestamptz, "current_setting" text);
create index on public."user" (at);
select maintenance.set_policy('quoted', 'public."user"', 'delete', 'at', '7 days', matching => $$"user".id = 1
  and "current_setting" <> 'session_user' and exists (select from public."user" as u where u.id = "user".id)$$);
select is_empty($$select * from maintenance.lint('quoted') where finding ~ 'session'$$,
  'names that look like it are none, quoted or in a text');
create function public.writes() returns trigger language plpgsql as
$$ begin insert into public.ran values (1); return old; end $$;
create trigger writes after delete on public."user" for each row execute function public.writes();
select results_eq($$select severity, finding from maintenance.lint('quoted') where finding ~ 'writes'$$,
  $$values ('notice', 'the trigger writes of public."user" writes rows for what is changed: public.writes')$$,
  'a trigger that writes is told');

-- C3 and odd ages.
create table public.odd (id bigint, at timestamptz);
create index on public.odd (at);
insert into public.odd values (1, '-infinity'), (2, 'infinity'), (3, now() - interval '9 days');
select pg_temp.set('odd', 'public.odd');
select results_eq($$select count, severity from public.maintenance_status where task = 'odd'$$,
  $$values (2::bigint, 'warning')$$, 'C3: an age of -infinity is due, and breaks no row of the status');
select is_empty($$select * from maintenance.lint('odd') where finding ~ 'reach from'$$, '... and is no odd age');
delete from public.odd where not isfinite(at);
insert into public.odd values (4, to_timestamp(extract(epoch from now()) * 1000));
select is((select count(*) from maintenance.lint('odd')
  where finding ~ '^the ages of public.odd reach from .* to 5\d{4}-'),
  1::bigint,
  'milliseconds that were read as seconds are found');
select * from finish();
rollback;
