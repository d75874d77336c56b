-- Who writes a message waits for nobody who holds its conversation.
\set QUIET on
set client_min_messages = error;
create extension pgtap;
select plan(3);
\ir connect.psql
insert into public.chat_conversations (id, title, updated_at)
values ('00000000-0000-0000-0000-000000000001', 'held', '2020-01-01Z'),
  ('00000000-0000-0000-0000-000000000002', 'free', '2020-01-01Z');
select dblink_exec('other', 'begin') \g /dev/null
select dblink_exec('other',
  $$update public.chat_conversations set title = 'renamed' where title = 'held'$$) \g /dev/null
set lock_timeout = '1s';
select lives_ok($$insert into public.messages (conversation_id, content)
  select id, 'Hello.' from public.chat_conversations$$,
  'messages are written while another session holds a conversation');
select dblink_exec('other', 'commit') \g /dev/null
select is((select string_agg(title, ', ' order by title) from public.chat_conversations
  where updated_at > '2020-01-02'), 'free', '... which is as old as it was, and the others are new');
insert into public.messages (conversation_id, content) values ('00000000-0000-0000-0000-000000000001', 'Again.');
select ok((select updated_at > '2020-01-02' from public.chat_conversations where title = 'renamed'),
  '... until its next message');
select * from finish();
