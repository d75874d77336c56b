-- 200,000 users with a subscription each, and a few with more.
insert into public.users (email) select g || '@example.org' from generate_series(1, 200000) as g;
insert into public.user_subscriptions (user_id, plan, current_period_end)
select id, 'vt_plus', now() + interval '30 days' from public.users;
insert into public.user_subscriptions (user_id, plan, current_period_end)
select id, 'vt_base', now() from public.users limit 20000;
select public.refresh_subscription_summary();
vacuum analyze public.users, public.user_subscriptions, public.user_subscription_summary;
create table public.asked as select user_id, row_number() over () as n from public.user_subscription_summary;
create unique index on public.asked (n) include (user_id);
