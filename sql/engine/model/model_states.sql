-- Whether each model can be asked now, and what follows from that for those who ask.
--
--   ok, warning     below 80 % of each of its limits, and from there on
--   failing_over    from 95 %: asked only where no other one is below
--   blocked         at 100 %, until the span that is used up is over
--   cooling         it refused or failed; one call tries when until is over
--   retired         it was not there (404): the same, for longer
--   disabled        by its owner
--
-- A share is compared in whole numbers, so that 949 of 1000 is not 95 %.

create function maintenance_internal.model_states(p_now timestamptz)
returns table (
  model text,
  carrier text,
  "position" integer,
  state text,
  percent numeric,
  span text,
  until timestamptz,
  reason text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select m.model, m.carrier, m.position,
      case
        when not m.enabled then 'disabled'
        when c.class = 'gone' then 'retired'
        when c.model is not null then 'cooling'
        when l.percent >= 100 then 'blocked'
        when l.percent >= 95 then 'failing_over'
        when l.percent >= 80 then 'warning'
        else 'ok'
      end,
      l.percent, l.span,
      case when c.model is not null then c.until when l.percent >= 95 then l.resets_at end,
      coalesce(c.reason, case when l.percent >= 80 then
        format('%s of %s requests this %s', l.used, l.allowed, l.span) end)
    from maintenance.model as m
    left join maintenance_internal.cool_down as c on c.model = m.model and c.kind = '*'
      and c.since <= p_now + interval '1 minute' -- of a clock that ran ahead
    left join (
      select distinct on (x.model) x.*, p.percent
      from maintenance_internal.model_limits(p_now) as x
      cross join lateral (
        select case when x.allowed = 0 then 100 else trunc(x.used * 100.0 / x.allowed, 3) end
      ) as p (percent)
      where x.allowed is not null
      order by x.model, p.percent desc, x.resets_at desc
    ) as l on l.model = m.model;
end
$$;

create function maintenance.effective_model(model text)
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  v_asked constant maintenance.model := maintenance_internal.find_model(effective_model.model);
begin
  return (
    select s.model
    from maintenance_internal.model_states(maintenance_internal.moment()) as s
    where s.carrier = v_asked.carrier and (s.state in ('ok', 'warning', 'failing_over')
      or s.state in ('cooling', 'retired') and s.until <= maintenance_internal.moment())
    order by s.state = 'failing_over', s.model <> v_asked.model, s.position
    limit 1);
end
$$;

comment on function maintenance.effective_model(text) is
  'The model to ask now instead of this one (S2-05 to S2-07): itself while it is below 95 % of its '
  'limits, else the first of its carrier that is, else the first that can be asked at all; null '
  'where none can. Errors: PM024 no such model.';

-- As model_status shows it: with all that is used.
create function maintenance_internal.model_status()
returns table (
  model text,
  carrier text,
  "position" integer,
  state text,
  percent numeric,
  span text,
  until timestamptz,
  reason text,
  used jsonb)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
begin atomic
  select s.model, s.carrier, s.position, s.state, s.percent, s.span, s.until, s.reason, l.used
  from maintenance_internal.moment() as n (now)
  cross join lateral maintenance_internal.model_states(n.now) as s
  join (
    select x.model, jsonb_object_agg(x.span, jsonb_build_array(x.used, x.allowed)) as used
    from maintenance_internal.moment() as n (now)
    cross join lateral maintenance_internal.model_limits(n.now, true) as x
    group by x.model
  ) as l on l.model = s.model;
end;

create view maintenance.model_status as
select s.model, s.carrier, s.position, s.state, s.percent, s.span, s.until, s.reason, s.used
from maintenance_internal.model_status() as s
order by s.carrier desc, s.position;

comment on view maintenance.model_status is
  'The models in their order, and whether each can be asked now (S2-03 to S2-06, S2-31).';
comment on column maintenance.model_status.model is 'its name';
comment on column maintenance.model_status.carrier is
  'worker: asked for tasks; application: by the application itself';
comment on column maintenance.model_status.position is 'in which order they are asked';
comment on column maintenance.model_status.state is
  'ok; warning: 80 % of a limit are used; failing_over, 95 %: the next one is asked; blocked: all '
  'is used; cooling: it refused or failed, and is tried again; retired: it is not there; disabled';
comment on column maintenance.model_status.percent is
  'how much of the limit that is used most; null where no limit is known';
comment on column maintenance.model_status.span is 'which limit that is: minute, hour, day, month';
comment on column maintenance.model_status.until is
  'when it is asked, or tried, again; null where it is asked now';
comment on column maintenance.model_status.reason is
  'why, in words; of a refusal, the task whose last_error has those of Gemini';
comment on column maintenance.model_status.used is
  '[requests, limit] of each span, a limit of null being unknown';

create view maintenance.active_failovers as
select s.model, maintenance.effective_model(s.model) as asked_instead, s.state, s.until, s.reason
from maintenance_internal.model_status() as s
where s.state in ('failing_over', 'blocked', 'retired')
  -- One that cools for a moment is waited for.
  or s.state = 'cooling' and s.until > maintenance_internal.clock() + interval '10 seconds'
order by s.carrier desc, s.position;

comment on view maintenance.active_failovers is
  'Instead of which model another one is asked now, and why (S2-05, S2-31).';
comment on column maintenance.active_failovers.model is 'the model that would be asked';
comment on column maintenance.active_failovers.asked_instead is
  'the one that is; null where none can be asked';
comment on column maintenance.active_failovers.state is 'as in model_status';
comment on column maintenance.active_failovers.until is 'when the model is asked, or tried, again';
comment on column maintenance.active_failovers.reason is 'why, in words';
