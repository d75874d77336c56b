-- Lint says what will be slow, blocked or broken, and its fix mends it.
begin;
create extension pgtap;
select plan(13);

create schema shop;
create table shop.events (id bigint primary key, at timestamptz, status text);
create table shop.lines (id bigint primary key, event_id bigint references shop.events on delete cascade);
create table shop.notes (id bigint primary key, line_id bigint references shop.lines on delete cascade);
select maintenance.set_policy('purge', 'shop.events', 'delete', 'at', '1 day');

create function pg_temp.findings(job text) returns setof text
language sql as $$ select severity || ': ' || finding from maintenance.lint(job) order by 1 $$;

select results_eq($$select pg_temp.findings('purge')$$, array[
  'warning: no index serves the age at of shop.events',
  'warning: the foreign key lines_event_id_fkey of shop.lines has no index: each deleted row of shop.events reads all of it',
  'warning: the foreign key notes_line_id_fkey of shop.notes has no index: each deleted row of shop.lines reads all of it'],
  'a missing index and unindexed foreign keys, through the cascade, are found');

do $$
declare v_fix text;
begin
  for v_fix in select replace(fix, ' concurrently', '') from maintenance.lint('purge') loop
    execute v_fix;
  end loop;
end
$$;
select is_empty($$select pg_temp.findings('purge')$$, 'the fixes mend them');

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
select is_empty($$select pg_temp.findings('mark')$$, 'its fix mends it');

select maintenance.set_policy('late', 'shop.events', 'delete', 'coalesce(at, now())', '1 day');
select is((select count(*) from maintenance.lint('late')), 1::bigint,
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
select is_empty($$select pg_temp.findings('published')$$, 'and is well with one');

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
  'and fails the run, instead of seeing nothing and calling it well');

drop table shop.published;
select is((select severity || finding from maintenance.lint('published')),
  'criticalthere is no table "shop.published"', 'a table that is gone is critical');
select throws_ok($$select maintenance.lint('nothing')$$, 'PM001', 'there is no job "nothing"',
  'an unknown job is an error');
select is_empty($$select * from maintenance.lint() where job_name in
  (select job_name from maintenance.job where backlog_name is not null)$$,
  'the shipped jobs have no finding');
select * from finish();
rollback;
