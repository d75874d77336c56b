-- Whom the worker asks now, for each kind of task: the first model in order below 95 % of its
-- limits, else the first below 100 %; where its next call may begin; and how many may before ten
-- seconds are over.
--
-- A model that cools is waited for where that is a moment: a limit for ten seconds, a fault at
-- its first time. So a refusal now and then does not send the rest to and fro. Else it is passed
-- over, but for one call that tries when its time is over; and nobody is asked before, unless
-- there is nobody else.
--
-- Within a minute calls are spaced, never bursts: the place of each is reserved ahead, and the
-- worker sleeps until then. At that pace 95 % of a minute are never reached, whether the limit
-- counts by the clock, by a sliding minute or by tokens in a bucket, and nobody has to poll.

create function maintenance_internal.pick_models(p_now timestamptz, p_kind text default null)
returns table (kind text, model text, asks_at timestamptz, pace interval, calls integer,
  is_probe boolean)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_patience constant interval := '10 seconds';
begin
  return query
    select p.kind, p.model, p.asks_at, p.pace,
      case
        when p.asks_at > p_now + greatest(v_patience, p.pace) then 0
        when p.is_waited_for then 1
        when p.pace = interval '0' then 1000
        else greatest(1, 1 + floor(extract(epoch from p_now + v_patience - p.asks_at)
          / extract(epoch from p.pace)))
      end::integer,
      p.is_probe
    from (
      select distinct on (k.kind) k.kind, m.model,
        greatest(p_now, c.until, c.probing_until,
          -- A place that a clock running ahead has left behind is none.
          case when o.next_at <= p_now + interval '3 minutes' then o.next_at end) as asks_at,
        case
          when l.per_minute is null then interval '0'
          else interval '1 minute' / greatest(ceil(l.per_minute * 0.95) - 1, 1)
        end as pace,
        c.until is not null as is_probe,
        coalesce(c.is_short, false) as is_waited_for
      from maintenance.kind as k
      cross join maintenance_internal.model_states(p_now) as s
      join maintenance.model as m on m.model = s.model
      left join maintenance_internal.model_pace as o on o.model = m.model
      cross join lateral (
        select least(m.per_minute, case when o.learned_at > p_now - interval '1 day'
          then o.learned_minute end) as per_minute
      ) as l
      cross join lateral (
        select max(d.until) as until, max(d.probing_until) as probing_until,
          bool_and(d.until - d.since <= v_patience
            and (d.class = 'limit' or d.class = 'fault' and d.times = 1)) as is_short
        from maintenance_internal.cool_down as d
        where d.model = m.model and d.kind in ('*', k.kind)
          and d.since <= p_now + interval '1 minute'
      ) as c
      where m.carrier = 'worker' and m.enabled and coalesce(s.percent, 0) < 100
        and k.kind = coalesce(p_kind, k.kind)
        and (c.until is null
          or c.until <= p_now + v_patience
            -- A call that tries is waited for as well, and no longer.
            and (coalesce(c.probing_until <= p_now, true)
              or c.is_short and c.until > p_now - v_patience))
      order by k.kind, coalesce(c.until > p_now and not c.is_short, false),
        coalesce(s.percent, 0) >= 95, m.position
    ) as p;
end
$$;

-- Why a kind is asked of no model now: each of them, with what is in the way and until when.
create function maintenance_internal.kind_hold(p_kind text, p_now timestamptz)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select format('no model can be asked for %s: %s', p_kind,
      coalesce(string_agg(format('%s %s', s.model, w.words), '; ' order by s.position),
        'none is enabled'))
    from maintenance_internal.model_states(p_now) as s
    left join maintenance_internal.model_pace as o on o.model = s.model
    left join maintenance_internal.cool_down as c on c.model = s.model and c.kind = '*'
    left join maintenance_internal.cool_down as n on n.model = s.model and n.kind = p_kind
    cross join lateral (
      select to_char(coalesce(greatest(c.until, n.until), s.until, o.next_at),
        'YYYY-MM-DD HH24:MI:SSOF') as until
    ) as u
    cross join lateral (
      select case
        when c.probing_until > p_now or n.probing_until > p_now
          then format('is being tried (%s)', coalesce(n.reason, c.reason))
        when n.model is not null then format('refuses this kind until %s (%s)', u.until, n.reason)
        when s.state in ('ok', 'warning', 'failing_over')
          then 'has its next place at ' || u.until
        else format('is %s until %s (%s)', s.state, u.until, s.reason)
      end as words
    ) as w
    where s.carrier = 'worker' and s.state <> 'disabled');
end
$$;
