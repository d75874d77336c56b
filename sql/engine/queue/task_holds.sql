-- Why due tasks are not handed out: the budget, or that no model can be asked for a kind. No row
-- where nothing keeps them, or none is due.

create function maintenance_internal.task_holds(p_now timestamptz)
returns table (kind text, hold text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_budget constant text := maintenance_internal.budget_hold(p_now);
begin
  return query
    select k.kind, h.hold
    from maintenance.kind as k
    cross join lateral (
      select coalesce(v_budget, maintenance_internal.kind_hold(k.kind, p_now)) as hold
      where v_budget is not null or not exists (
        select from maintenance_internal.pick_models(p_now, k.kind) as m
        where m.calls > 0)
    ) as h
    where exists (
      select from generate_series(-5, 5) as p (priority)
      cross join lateral (
        select from maintenance.task as t
        where t.state = 'ready' and t.kind = k.kind and t.priority = p.priority
          and t.available_at <= p_now
        limit 1
      ) as t)
    order by k.kind;
end
$$;
