-- One row per user with the subscription that counts: an active one first, then the one that runs
-- longest. The view is always right; the materialized view is quick, and as fresh as its refresh,
-- which a job does and the status watches. Rules S4-02, S4-16 and S4-18.

create view public.user_subscription_now as
select
  u.id as user_id,
  u.email,
  s.plan as user_plan_slug,
  s.status as subscription_status,
  s.current_period_end,
  s.creem_subscription_id,
  -- Both spellings are in use.
  coalesce(s.plan in ('vt-plus', 'vt_plus') and s.status = 'active', false) as is_vt_plus,
  s.created_at as subscription_created_at,
  s.updated_at as subscription_updated_at
from public.users as u
left join lateral (
  select us.plan, us.status, us.current_period_end, us.creem_subscription_id, us.created_at,
    us.updated_at
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
  'One row per user with the subscription that counts, computed at each look.';
comment on materialized view public.user_subscription_summary is
  'user_subscription_now as of the last refresh, for quick checks by user_id.';

create function public.refresh_subscription_summary_step(batch_size integer)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_rows bigint;
  v_concurrently boolean := (
    select c.relispopulated from pg_class as c
    where c.oid = 'public.user_subscription_summary'::regclass);
begin
  -- Postgres refuses CONCURRENTLY on a view that was never filled (S4-18).
  if v_concurrently then
    refresh materialized view concurrently public.user_subscription_summary;
  else
    refresh materialized view public.user_subscription_summary;
  end if;
  select count(*) into v_rows from public.user_subscription_summary;
  perform maintenance.add_details(
    jsonb_build_object('rows', v_rows, 'concurrently', v_concurrently));
  notify subscription_summary_refreshed;
  return 0;
end
$$;

comment on function public.refresh_subscription_summary_step(integer) is
  'Step of refresh_subscription_summary: one refresh, without blocking readers where the view is '
  'filled (S4-02); leaves the number of rows on the receipt and notifies '
  'subscription_summary_refreshed.';

create function public.stale_subscription_summary(cap integer)
returns table (due bigint, oldest timestamptz)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_since timestamptz :=
    coalesce(maintenance_internal.last_success('refresh_subscription_summary'), '-infinity')
    - interval '1 hour';
begin
  if not (select c.relispopulated from pg_class as c
    where c.oid = 'public.user_subscription_summary'::regclass) then
    return query
      select count(*), min(u.created_at)
      from (select p.created_at from public.users as p limit cap) as u;
    return;
  end if;

  -- Looked at is what changed since the last refresh began, and an hour before it for the
  -- transactions that were open then; stale is what differs.
  return query
    with changed as (
      select u.id, u.updated_at
      from public.users as u
      where u.updated_at >= v_since
      union all
      select s.user_id, s.updated_at
      from public.user_subscriptions as s
      where s.updated_at >= v_since and s.user_id is not null
    ), stale as (
      select max(c.updated_at) as updated_at
      from changed as c
      join public.user_subscription_now as n on n.user_id = c.id
      left join public.user_subscription_summary as m on m.user_id = c.id
      where to_jsonb(m) is distinct from to_jsonb(n)
      group by c.id
      limit cap
    )
    select count(*), min(stale.updated_at) from stale;
end
$$;

comment on function public.stale_subscription_summary(integer) is
  'How many users differ from their row in user_subscription_summary, up to cap, and since when '
  '(S4-16).';

create function public.refresh_subscription_summary()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform maintenance_internal.run_or_raise('refresh_subscription_summary');
end
$$;

comment on function public.refresh_subscription_summary() is
  'Refreshes user_subscription_summary (S4-02), concurrently where it is filled, in the caller''s '
  'transaction. Errors: PM008 it failed, PM009 it is running or disabled.';
