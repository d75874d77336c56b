-- A migration of the host before ours and one after it have left their session's settings in
-- app.settings: ours has changed none.
begin;
create extension pgtap schema public;
set local search_path = public, pg_catalog;
select plan(3);
select is((select count(*) from app.settings), 2::bigint, 'both migrations of the host were applied');
select is((select count(distinct settings) from app.settings), 1::bigint,
  'the session''s settings are the same before and after our migrations');
select ok((select bool_and(settings like '%statement_timeout=999999%') from app.settings),
  'a statement_timeout that the host''s first migration has set is still set');
select * from finish();
rollback;
