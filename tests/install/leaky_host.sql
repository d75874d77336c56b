-- A migration of the host before ours and one after it have left their session's settings in
-- app.settings: ours has changed none.
begin;
create extension pgtap schema public;
set local search_path = public, pg_catalog;
select plan(3);
select is((select count(*) from app.settings), 2::bigint, 'both migrations of the host were applied');
select is((select count(distinct settings) from app.settings), 1::bigint, 'nothing has changed between them');
select ok((select bool_and(settings like '%statement_timeout=999999%') from app.settings),
  'not even what the first has set');
select * from finish();
rollback;
