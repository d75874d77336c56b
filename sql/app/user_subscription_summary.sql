-- One row a user with the subscription that counts: an active one first, then the one that runs
-- longest. The view is always right; the materialized view is quick, and as fresh as its refresh.

create view public.user_subscription_now as
select
  u.id as user_id,
  u.email,
  coalesce(s.plan, 'vt_base') as user_plan_slug,
  s.status as subscription_status,
  s.current_period_end,
  s.creem_subscription_id,
  -- Both spellings are in use.
  coalesce(s.plan in ('vt-plus', 'vt_plus') and s.status = 'active', false) as is_vt_plus,
  s.created_at as subscription_created_at,
  s.updated_at as subscription_updated_at
from public.users as u
left join lateral (
  select us.*
  from public.user_subscriptions as us
  where us.user_id = u.id
  order by us.status = 'active' desc, us.current_period_end desc nulls last,
    us.created_at desc, us.id
  limit 1
) as s on true;

create materialized view public.user_subscription_summary as
select n.* from public.user_subscription_now as n;

create unique index user_subscription_summary_user_id_idx
on public.user_subscription_summary (user_id);
create index user_subscription_summary_plus_idx
on public.user_subscription_summary (current_period_end desc) where is_vt_plus;

comment on view public.user_subscription_now is
  'A row a user with the subscription that counts, worked out anew at each look.';
comment on materialized view public.user_subscription_summary is
  'user_subscription_now as of the last refresh, for quick checks by user_id.';
