-- Lint says what will be slow, blocked or broken, and its fix mends it.
begin;
create extension pgtap;
select plan(41);

create schema shop;
create table shop.events (id bigint primary key, at timestamptz, status text);
create table shop.lines (id bigint primary key, event_id bigint references shop.events on delete cascade);
create table shop.notes (id bigint primary key, line_id bigint references shop.lines on delete cascade);
select maintenance.set_policy('purge', 'shop.events', 'delete', 'at', '1 day');

create function pg_temp.findings(job text) returns setof text
language sql as $$
  select severity || ': ' || finding from maintenance.lint(job) where severity <> 'notice' order by 1 $$;

select results_eq($$select pg_temp.findings('purge')$$, array[
  'warning: no index serves the age at of shop.events',
  'warning: the foreign key lines_event_id_fkey of shop.lines has no index: each deleted row of shop.events '
    'reads all of '
    'it',
  'warning: the foreign key notes_line_id_fkey of shop.notes has no index: each deleted row of shop.lines reads all of '
    'it'],
  'a missing index and unindexed foreign keys, through the cascade, are found');

do $$
declare v_fix text;
begin
  for v_fix in select replace(fix, ' concurrently', '') from maintenance.lint('purge') loop
    execute v_fix;
  end loop;
end
$$;
select is_empty($$select pg_temp.findings('purge')$$, 'after the fixes for missing indexes lint finds nothing');

select maintenance.set_policy('mark', 'shop.events', 'update', 'at', '1 day',
  matching => 'status = ''new''', assign => 'status = ''old''');
select results_eq($$select pg_temp.findings('mark')$$, array['warning: no index of shop.events is '
  'partial on the rule: rows once updated are read at each look'],
  'an update wants an index that is partial on its rule');
do $$
begin
  execute (select replace(fix, ' concurrently', '') from maintenance.lint('mark'));
end
$$;
select is_empty($$select pg_temp.findings('mark')$$, 'after the fix for a missing partial index lint finds nothing');

select maintenance.set_policy('late', 'shop.events', 'delete', 'coalesce(at, now())', '1 day');
select is((select count(*) from pg_temp.findings('late')), 1::bigint,
  'an index on a column does not serve an expression over it');

create table shop.published (at timestamptz);
create index on shop.published (at);
set local client_min_messages = error;
create publication shop_publication for table shop.published;
select maintenance.set_policy('published', 'shop.published', 'delete', 'at', '1 day');
select results_eq($$select pg_temp.findings('published')$$, array['critical: shop.published is '
  'published by shop_publication without a replica identity, so that Postgres refuses the delete'],
  'a published table without a replica identity is found');
alter table shop.published replica identity full;
select is_empty($$select pg_temp.findings('published')$$, 'a published table with a replica identity has no finding');

revoke update, delete on shop.published from current_user;
select results_eq($$select pg_temp.findings('published')$$, array[
  'critical: app_owner may not update, delete on shop.published'],
  'missing rights are found: locking a row needs update, for a delete too');
grant update, delete on shop.published to current_user;

alter table shop.published enable row level security;
alter table shop.published force row level security;
select ok((select bool_or(finding like 'row security of shop.published hides rows%')
  from maintenance.lint('published')), 'row security that hides rows is found');
select is(maintenance.run_now('published') #>> '{data,sqlstate}', '42501',
  'row security that hides rows fails the run');

alter table shop.published no force row level security;

-- What would swallow the change.
create function shop.returns(what text) returns text language sql as $$
  select format('create or replace function shop.guard() returns trigger language plpgsql as $b$ begin %s; end $b$',
    what) $$;
select shop.returns('return old') \gexec
create trigger guard before delete or update on shop.published for each row execute function shop.guard();
select is_empty($$select pg_temp.findings('published')$$, 'a trigger that lets rows go is no finding');
select shop.returns('if old.at is null then return null; end if; return old') \gexec
select results_eq($$select pg_temp.findings('published')$$,
  array['warning: the trigger guard of shop.published may swallow the delete: '
  'its function shop.guard returns null, or NEW, which a delete has not'],
    'a trigger that may return null is a finding');
select shop.returns('RETURN NEW') \gexec
select is((select count(*) from maintenance.lint('published')), 1::bigint,
  'a trigger that returns NEW for a delete is a finding');
alter table shop.published disable trigger guard;
select is_empty($$select pg_temp.findings('published')$$, 'a disabled trigger that may swallow a delete is no finding');
create rule stay as on delete to shop.published do instead nothing;
select results_eq($$select pg_temp.findings('published')$$,
  array['critical: the rule stay of shop.published takes the place of the delete'],
  'a rule that rewrites the delete is critical');
drop rule stay on shop.published;
create rule log as on delete to shop.published do also select 1;
create rule no_update as on update to shop.published do instead nothing;
select is_empty($$select pg_temp.findings('published')$$,
  'a rule that acts beside the delete, or on updates, is no finding');
drop rule log on shop.published;
drop rule no_update on shop.published;
create function shop.null_trigger() returns trigger language plpgsql as $$ begin return null; end $$;
create trigger after_it after delete on shop.published for each row execute function shop.null_trigger();
create trigger an_update before update on shop.published for each row execute function shop.null_trigger();
create trigger a_statement before delete on shop.published for each statement execute function shop.null_trigger();
select is_empty($$select pg_temp.findings('published')$$,
  'a trigger afterwards, of an update or of a statement swallows no delete');
create table shop.tree (id bigint, at timestamptz) partition by range (id);
create table shop.tree_1 partition of shop.tree for values from (1) to (2);
create table shop.tree_2 partition of shop.tree for values from (2) to (3);
create index on shop.tree (at);
create trigger cloned before delete on shop.tree for each row execute function shop.null_trigger();
select maintenance.set_policy('tree', 'shop.tree', 'delete', 'at', '1 day');
select is((select count(*) from maintenance.lint('tree')), 1::bigint,
  'a trigger of a partitioned table is one finding');

-- What is hardly meant.
select maintenance.set_policy('seconds', 'shop.published', 'delete', 'at', '90 seconds', matching => 'at is not null');
select results_eq($$select finding || ' / ' || fix from maintenance.lint('seconds') where finding like 'keep%'$$,
  array['keep is 00:01:30: a number alone is seconds / -- If 90 days are meant, keep => ''90 days''.'],
    'a keep in seconds that looks like days is a finding');
select is((select string_agg(k::text, ' ' order by k)
  from unnest(array['0', '1 s', '60', '180', '299', '300', '365', '730', '30 minutes', '1 hour', '7 days',
  '1 month']::interval[]) as k
    where exists (select
      from maintenance_internal.lint_keep(row(0, 'x', 'delete', 'at', 'timestamptz', k, null, null,
      null, null, null)::maintenance_internal.policy, 'shop.events'))),
  '00:00:01 00:01:00 00:03:00 00:04:59 00:06:05 00:12:10',
    'a keep in whole minutes from five on, in hours or in days is no finding');
select results_eq($$select job_name || ': ' || finding from maintenance.lint() where finding like '%same rows%'
  order by 1$$,
  array['published: seconds of the same rows by the same age keeps 00:01:30, and this one 1 day',
    'seconds: published of the same rows by the same age keeps 1 day, and this one 00:01:30'],
  'two policies that keep the same rows for another time are found, from both sides');
select maintenance.set_policy('published', 'shop.published', 'delete', 'at', '1 day', matching => 'at is null');
select is_empty($$select 1 from maintenance.lint() where finding like '%same rows%'$$,
  'two policies whose matching tells their rows apart are no finding');
select maintenance.set_policy('published', 'shop.published', 'delete', 'at', '90 seconds',
  matching => 'at is not null');
select is_empty($$select 1 from maintenance.lint() where finding like '%same rows%'$$,
  'two policies that keep the same rows for the same time are no finding');
select maintenance.set_policy('published', 'shop.published', 'delete', 'at + interval ''1 day''', '2 days');
select is_empty($$select 1 from maintenance.lint() where finding like '%same rows%'$$,
  'two policies of the same rows by different ages are no finding');
select maintenance.set_policy('published', 'shop.published', 'update', 'at', '1 day', matching => 'at is not null',
  assign => 'at = null');
select is_empty($$select 1 from maintenance.lint() where finding like '%same rows%'$$,
  'an update and a delete of the same rows are no finding');
select maintenance.drop_job('seconds');

-- Indexes that Postgres would refuse are never asked for.
create table shop.parts (id bigint, at timestamptz, kind text) partition by list (kind);
create table shop.parts_a partition of shop.parts for values in ('a');
select maintenance.set_policy('parts', 'shop.parts', 'delete', 'at', '1 day');
select lives_ok((select fix from maintenance.lint('parts')),
  'the fix for a partitioned table is a statement that it takes');
select is_empty($$select * from maintenance.lint('parts')$$,
  'after the fix for a partitioned table lint finds nothing');
create table shop.old (at timestamptz);
create table shop.older () inherits (shop.old);
create index on shop.old (at);
select maintenance.set_policy('old', 'shop.old', 'delete', 'at', '1 day',
  matching => 'exists (select from shop.parts as p where p.at = old.at)');
select is((select fix from maintenance.lint('old')), 'create index concurrently on shop.older (at);',
  'a child table wants an index of its own, without the rule''s subquery');

-- Foreign keys, further than the first step, and no further than the delete goes.
create table shop.base (id bigint primary key, at timestamptz);
create index on shop.base (at);
create table shop.held (id bigint primary key, base_id bigint references shop.base);
create index on shop.held (base_id);
create table shop.held_by (held_id bigint references shop.held on delete cascade);
select maintenance.set_policy('base', 'shop.base', 'delete', 'at', '1 day');
select is_empty($$select * from maintenance.lint('base') where severity <> 'notice'$$,
  'a delete does not cascade through a key that holds it back');
drop index shop.held_base_id_idx;
create index on shop.held (base_id) where base_id > 5;
select is((select fix from maintenance.lint('base') where severity <> 'notice'),
  'create index concurrently on shop.held (base_id);',
  'an index over some rows serves no foreign key');
create index on shop.held (id, base_id);
select is((select count(*) from maintenance.lint('base') where severity <> 'notice'), 1::bigint,
  'an index that has the foreign key''s column second does not serve the key');
create index on shop.held (base_id, id);
select is_empty($$select * from maintenance.lint('base') where severity <> 'notice'$$,
  'an index that has the foreign key''s column first serves the key');
create table shop.split (id bigint, base_id bigint references shop.base) partition by list (id);
create table shop.split_1 partition of shop.split for values in (1);
select is((select string_agg(fix, ' ') from maintenance.lint('base') where severity <> 'notice'),
  'create index on shop.split (base_id);',
  'a key of a partitioned table is one finding, with a statement that it takes');
select maintenance.set_policy('base', 'shop.base', 'update', 'at', '1 day', assign => 'at = now()');
select is_empty($$select * from maintenance.lint('base') where severity <> 'notice'$$,
  'a foreign key without an index is no finding for an update');

-- Publications.
create table shop.sent (id bigint primary key, at timestamptz);
create index on shop.sent (at);
create publication shop_all for table shop.sent;
select maintenance.set_policy('sent', 'shop.sent', 'delete', 'at', '1 day');
select is_empty($$select * from maintenance.lint('sent')$$, 'a primary key is a replica identity');
alter table shop.sent drop constraint sent_pkey;
alter publication shop_all set (publish = 'insert, update');
select is_empty($$select * from maintenance.lint('sent')$$,
  'a publication that does not publish deletes is no finding for a delete');

-- A delete needs no index that is partial on its rule; an update of children wants one in each.
select maintenance.set_policy('sent', 'shop.sent', 'delete', 'at', '1 day', matching => 'id > 5');
select is_empty($$select * from maintenance.lint('sent')$$, 'an index on the age serves a delete with a condition');
create index on shop.older (at);
alter table shop.old add kind integer;
create index on shop.old (at) where kind = 1;
select maintenance.set_policy('old', 'shop.old', 'update', 'at', '1 day', matching => 'kind = 1', assign => 'kind = 2');
select is((select fix from maintenance.lint('old')), 'create index concurrently on shop.older (at) where (kind = 1);',
  'an update of a table with children wants a partial index in each child');

drop table shop.published;
select is((select severity || finding from maintenance.lint('published')),
  'criticalthere is no table "shop.published"', 'a table that is gone is critical');
select throws_ok($$select maintenance.lint('nothing')$$, 'PM001', 'there is no job "nothing"',
  'an unknown job is an error');
select is_empty($$select * from maintenance.lint() where job_name in
  (select job_name from maintenance_internal.job where backlog_name is not null)$$,
  'the shipped jobs have no finding');
select * from finish();
rollback;
