-- How long what belongs to a user is kept, by role and plan: rows, and the one view that every rule
-- asks (S0-16); of one user by function.

create table public.retention_policies (
  scope text not null,
  plan text not null,
  days integer not null,
  constraint retention_policies_pkey primary key (scope, plan),
  constraint retention_policies_scope_is_known check (scope in ('session', 'attachment')),
  constraint retention_policies_plan_is_known
    check (plan in ('admin', 'guest', 'pro', 'basic_plus', 'basic', 'other', 'trial')),
  constraint retention_policies_days_are_sane check (days between 0 and 100000)
);

-- Where a scope has none: what somebody has edited stays.
create function maintenance_internal.put_retention()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into public.retention_policies (scope, plan, days)
  select r.scope, r.plan, r.days
  from (values
    ('session', 'guest', 7),
    ('session', 'trial', 7),
    ('session', 'basic', 14),
    ('session', 'pro', 30),
    ('session', 'admin', 90),
    ('attachment', 'guest', 1),
    ('attachment', 'trial', 7),
    ('attachment', 'basic', 30),
    ('attachment', 'other', 30),
    ('attachment', 'basic_plus', 60),
    ('attachment', 'pro', 180),
    ('attachment', 'admin', 3650)
  ) as r (scope, plan, days)
  where not exists (select from public.retention_policies as p where p.scope = r.scope);
end
$$;

select maintenance_internal.put_retention();

-- Of a user the plans that count, the first that has a row in a scope decides. Fenced in, so that
-- it is found out once a user.
create view public.user_retention as
select u.id as user_id, r.scope, r.days
from public.users as u
cross join lateral (
  select distinct on (p.scope) p.scope, p.days
  from (
    select case
        when lower(u.role) in ('admin', 'super_admin') then array['admin']
        when u.is_guest then array['guest']
        else (
          select case
              when bool_or(lower(s.plan) like '%pro%') then array['pro']
              when bool_or(lower(s.plan) ~ 'basic[_ -]?plus') then array['basic_plus', 'basic']
              when bool_or(lower(s.plan) like '%basic%') then array['basic']
              when count(s.plan) > 0 then array['other', 'trial']
              else array['trial']
            end
          from public.user_subscriptions as s
          where s.user_id = u.id and lower(s.status) = 'active')
      end as plans
    offset 0
  ) as w
  join public.retention_policies as p on p.plan = any (w.plans)
  order by p.scope, array_position(w.plans, p.plan)
) as r;

create function public.retention_days(user_id uuid, scope text default 'session')
returns integer
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (
    select from public.retention_policies as p where p.scope = retention_days.scope)
  then
    raise exception 'retention_policies says nothing of "%"', retention_days.scope
      using errcode = 'PM002', hint = 'session or attachment. Where a restore has left out its '
        'rows: select * from maintenance.register();';
  end if;
  return (
    select r.days from public.user_retention as r
    where r.user_id = retention_days.user_id and r.scope = retention_days.scope);
end
$$;

comment on table public.retention_policies is
  'For how many days what belongs to a user is kept (S0-16): chat sessions, attachments. An edit '
  'is in force at once; whose plan has no row, of them nothing goes.';
comment on column public.retention_policies.plan is
  'admin: by role, super_admin too; guest; of those with an active subscription pro, basic_plus, '
  'basic by what its plan has in its name, other where it has none of these; trial: all others. '
  'Without a row basic_plus is basic, and other is trial';
comment on view public.user_retention is
  'For how many days sessions and attachments of each user are kept (S0-16). First the role, then '
  'whether it is a guest, then the best active subscription, else trial. No row where '
  'retention_policies has none for that: then nothing goes.';
comment on column public.user_retention.user_id is 'whose';
comment on column public.user_retention.scope is 'session or attachment';
comment on column public.user_retention.days is 'for how many days';
comment on function public.retention_days(uuid, text) is
  'For how many days sessions or attachments of a user are kept (S0-16, user_retention); null '
  'where retention_policies has no row for that, or there is no such user: then nothing goes. '
  'scope: session or attachment. Errors: PM002 there is no row of that scope at all.';
