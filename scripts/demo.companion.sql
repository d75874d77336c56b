-- A conversation with a companion: of two weeks ago, of yesterday and of today, and a patch job for each turn of today.
-- :user is whose. Prints the id of the conversation.
begin;
with kit as (
  insert into public.character_states (user_id, state)
  values (:'user', '{"persona_system": {"name": "Kit"}}')
  returning character_id
)
insert into public.conversation_states (user_id, character_id)
select :'user', k.character_id from kit as k
returning conversation_id \gset

insert into public.messages (user_id, conversation_id, role, content, created_at)
select :'user', :'conversation_id', m.role, m.content, m.at
from (values
  (date_bin('14 days', now(), 'epoch') - interval '12 hours', 'user', 'Today I bought a small boat.'),
  (date_bin('14 days', now(), 'epoch') - interval '11 hours', 'assistant', 'Does it have a name?'),
  (date_trunc('day', now(), 'UTC') - interval '12 hours', 'user', 'The boat is called Ada.'),
  (date_trunc('day', now(), 'UTC') - interval '11 hours', 'assistant', 'A good name.'),
  (date_bin('10 minutes', now() - interval '80 minutes', 'epoch'), 'user', 'Shall we sail to the island?'),
  (date_bin('10 minutes', now() - interval '80 minutes', 'epoch') + interval '1 minute', 'assistant',
    'If the wind is kind to us.'),
  (date_bin('10 minutes', now() - interval '80 minutes', 'epoch') + interval '2 minutes', 'user',
    'I have packed the map.')
) as m (at, role, content);

select public.enqueue_patch_job(:'user', c.conversation_id, c.character_id, t.nr, jsonb_build_object('user', t.said))
from public.conversation_states as c, (values
  (1, 'Shall we sail to the island?'), (2, 'I have packed the map.')) as t (nr, said)
where c.conversation_id = :'conversation_id' \g /dev/null
commit;
\echo :conversation_id
