-- :users users with 100 messages each, ten at a time in the course of a hundred days.
insert into public.users (email, created_at)
select g || '@example.org', now() - interval '100 days' from generate_series(1, :users) as g;
insert into public.user_subscriptions (user_id, plan)
select u.id, (array['basic', 'pro'])[1 + n % 2] from (select id, row_number() over () as n from public.users) as u
where n % 3 > 0;
insert into public.messages (user_id, role, content, created_at)
select u.id, (array['user', 'assistant'])[1 + i % 2], repeat('word ', 40),
  now() - (i / 10) * interval '10 days' - u.n % 86400 * interval '1 second' - i % 10 * interval '1 minute'
from (select id, row_number() over () as n from public.users) as u, generate_series(0, 99) as i
order by 4;
vacuum analyze public.users, public.user_subscriptions, public.messages, public.retention_policies;
