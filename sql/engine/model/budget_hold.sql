-- Why no task is handed out for the rest of the day, or null: what the calls of the day have
-- cost, compared with the setting daily_budget_usd. Calls that go on when it is reached end as
-- they would.

create function maintenance_internal.budget_hold(p_now timestamptz)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_day constant timestamptz := maintenance_internal.quota_day(p_now);
  v_budget constant numeric := (
    select s.value::numeric from maintenance.setting as s where s.name = 'daily_budget_usd');
  v_cost constant numeric := (
    select coalesce(sum(d.cost_usd), 0) from maintenance.model_day as d
    where d.day = (v_day at time zone 'America/Los_Angeles')::date);
begin
  if v_cost < v_budget or v_budget is null then
    return null;
  end if;
  return format('the budget of %s USD a day is spent (%s); until %s', v_budget, round(v_cost, 4),
    to_char(maintenance_internal.quota_day(v_day + interval '36 hours'),
      'YYYY-MM-DD HH24:MI:SSOF'));
end
$$;

-- Why no task is handed out at all, or null: a pause, or the budget.
create function maintenance_internal.asking_hold(p_now timestamptz)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return coalesce(maintenance_internal.pause_text(), maintenance_internal.budget_hold(p_now));
