-- The memories' own rules: versions, keys, and the prompt that goes with every change.
begin;
create extension pgtap;
select plan(11);

insert into public.users (id) values ('00000000-0000-0000-0000-000000000001'), ('00000000-0000-0000-0000-000000000002');
insert into public.memories (id, user_id, key, content) values
  ('00000000-0000-0000-0000-0000000000a1', '00000000-0000-0000-0000-000000000001', 'diet', 'eats no meat'),
  ('00000000-0000-0000-0000-0000000000b1', '00000000-0000-0000-0000-000000000002', 'diet', 'eats all');
create function pg_temp.cached() returns text language plpgsql as $$
declare v text;
begin
  select string_agg(right(user_id::text, 1), ',' order by user_id) into v from public.memory_prompt_cache;
  insert into public.memory_prompt_cache (user_id) select id from public.users on conflict do nothing;
  return v;
end $$;
select pg_temp.cached();

select is(pg_temp.cached(), '1,2', 'a prompt is cached for both users at first');
update public.memories set content = 'eats fish' where id::text like '%a1';
select is(pg_temp.cached(), '2', 'an update of a memory drops the cached prompt of its user, and no other');
select is(version, 2, 'an update of a memory raises its version') from public.memories where id::text like '%a1';
insert into public.memories (user_id, key, content) values ('00000000-0000-0000-0000-000000000002', 'sport', 'rows');
select is(pg_temp.cached(), '1', 'an insert of a memory drops the cached prompt of its user, and no other');
delete from public.memories where key = 'sport';
select is(pg_temp.cached(), '1', 'a deletion of a memory drops the cached prompt of its user, and no other');
update public.memories set user_id = '00000000-0000-0000-0000-000000000001', key = 'food' where id::text like '%b1';
select is(pg_temp.cached(), null, 'a memory that changes its user drops the cached prompts of both');
select throws_ok($$insert into public.memories (user_id, key, content)
  values ('00000000-0000-0000-0000-000000000001', 'diet', 'again')$$, '23505', null,
  'two active memories of a user cannot have the same key');
update public.memories set status = 'superseded' where key = 'diet';
select lives_ok($$insert into public.memories (user_id, key, content)
  values ('00000000-0000-0000-0000-000000000001', 'diet', 'again')$$, 'a retired row frees its key');
select throws_ok($$update public.memories set status = 'active', superseded_by = id where content = 'eats fish'$$,
  '23514', null, 'an active memory cannot be superseded');
-- F18, F22: what works as the owner, and who hears of it.
create temporary table mine (user_id uuid);
create trigger mine after delete on mine for each row execute function public.drop_memory_prompt();
insert into mine values (gen_random_uuid());
select throws_ok('delete from mine', 'PM003', null, 'F18: the trigger of memories works on no other table');
select ok((select prosrc !~ 'pg_notify' and prosrc ~ 'notify memory_cache_invalidated;' from pg_proc
  where proname = 'drop_memory_prompt'), 'F22: whose memories changed is told to nobody');
select * from finish();
rollback;
