-- What an application leaves behind in two months: rows of all ages, most to be kept, many due.
-- Added to whatever is there, in one transaction.
begin;

with person as (
  insert into public.users (name, created_at)
  select 'Demo user ' || i, now() - random() * interval '60 days'
  from generate_series(1, 4000) as i
  returning id, created_at
), subscription as (
  insert into public.user_subscriptions (user_id, plan, status, current_period_end, created_at)
  select e.id, e.plan, case when e.ends_at > now() then 'active' else 'expired' end, e.ends_at,
    e.created_at
  from (
    select p.*, plan, now() + (random() * 80 - 40) * interval '1 day' as ends_at
    from person as p, unnest(array['vt_base', 'vt_plus']) as plan
  ) as e
)
insert into public.sessions (user_id, token, expires_at, created_at)
select e.id, gen_random_uuid(), e.expires_at, e.expires_at - interval '30 days'
from (
  select p.id, now() + (random() * 60 - 40) * interval '1 day' as expires_at
  from person as p, generate_series(1, 8)
) as e;

with run as (
  insert into public.import_runs (user_id, status, started_at, finished_at, created_at)
  select s.id, s.status, s.started_at,
    case when s.status <> 'processing' then s.started_at + random() * interval '10 minutes' end,
    s.started_at
  from (
    select u.id, now() - random() * interval '60 days' as started_at,
      (array['processing', 'failed', 'failed', 'partial', 'success', 'success', 'success'])
        [1 + floor(random() * 7)::integer] as status
    from public.users as u
    where u.name like 'Demo user %'
    order by u.created_at desc
    limit 1500
  ) as s
  returning id, user_id, status, created_at
), item as (
  insert into public.raw_import_items (import_run_id, user_id, source_line, raw_payload, created_at)
  select r.id, r.user_id, line, jsonb_build_object('date', r.created_at::date, 'amount', line * 7),
    r.created_at
  from run as r, generate_series(1, 20) as line
), job as (
  insert into public.import_jobs
    (import_run_id, user_id, upload_ref, mapping, options, total_rows, status, created_at)
  select r.id, r.user_id, 'demo-' || r.id, '{"columns": {"A": "date", "B": "amount"}}',
    '{"skip": 1}', 20,
    case r.status when 'processing' then 'processing' when 'failed' then 'failed'
      else 'completed' end,
    r.created_at
  from run as r
  returning user_id, upload_ref, created_at
)
insert into public.temp_uploads (token, user_id, filename, created_at)
select j.upload_ref, j.user_id, 'statement.csv', j.created_at
from job as j
union all
select gen_random_uuid()::text, null, 'abandoned.csv', now() - random() * interval '60 days'
from generate_series(1, 2000);

commit;

analyze public.users, public.user_subscriptions, public.sessions, public.import_runs,
  public.raw_import_items, public.import_jobs, public.temp_uploads;
