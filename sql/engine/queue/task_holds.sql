-- Why due tasks are not handed out, and since when they could be: a pause, the budget, or that no
-- model can be asked for a kind. No row where nothing keeps them, or none is due.

create function maintenance_internal.task_holds(p_now timestamptz)
returns table (kind text, hold text, due_since timestamptz)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_hold constant text := maintenance_internal.asking_hold(p_now);
begin
  for kind in select k.kind from maintenance.kind as k order by k.kind loop
    continue when v_hold is null and exists (
      select from maintenance_internal.pick_models(p_now, task_holds.kind) as m where m.calls > 0);
    select min(d.available_at) into due_since from generate_series(-5, 5) as p (priority)
    cross join lateral (
      select t.available_at from maintenance.task as t
      where t.state = 'ready' and t.kind = task_holds.kind and t.priority = p.priority
        and t.available_at <= p_now
      order by t.available_at
      limit 1
    ) as d;
    if due_since is not null then
      hold := coalesce(v_hold, maintenance_internal.kind_hold(kind, p_now));
      return next;
    end if;
  end loop;
end
$$;
