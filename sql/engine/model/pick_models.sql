-- Whom the worker asks now, for each kind of task: the first model in order below 95 % of its
-- limits, else the first below 100 %. One that cools is waited for as long as that takes ten
-- seconds at most, and then passed over: that is what keeps the asking from going to and fro.
--
-- Within a minute calls are spaced, never bursts: the place of each is reserved ahead, and the
-- worker sleeps until then. At that pace 95 % of a minute are never reached, whether the limit
-- counts by the clock, by a sliding minute or by tokens in a bucket, and nobody has to poll.

create function maintenance_internal.pick_models(p_now timestamptz, p_kind text default null)
returns table (kind text, model text, asks_at timestamptz, pace interval, is_probe boolean)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_patience constant interval := '10 seconds';
begin
  return query
    select distinct on (k.kind) k.kind, m.model,
      greatest(p_now, c.until, n.until, c.probing_until, n.probing_until,
        -- A place that a clock running ahead has left behind is none.
        case when p.next_at <= p_now + interval '3 minutes' then p.next_at end),
      case
        when least(m.per_minute, p.learned_minute) is null then interval '0'
        else interval '1 minute'
          / greatest(ceil(least(m.per_minute, p.learned_minute) * 0.95) - 1, 1)
      end,
      c.model is not null or n.model is not null
    from maintenance.kind as k
    cross join maintenance_internal.model_states(p_now) as s
    join maintenance.model as m on m.model = s.model
    left join maintenance_internal.model_pace as p on p.model = m.model
    left join maintenance_internal.cool_down as c on c.model = m.model and c.kind = '*'
      and c.since <= p_now + interval '1 minute'
    left join maintenance_internal.cool_down as n on n.model = m.model and n.kind = k.kind
      and n.since <= p_now + interval '1 minute'
    where m.carrier = 'worker' and m.enabled and coalesce(s.percent, 0) < 100
      and k.kind = coalesce(p_kind, k.kind)
      and coalesce(greatest(c.until, n.until), p_now) <= p_now + v_patience
      -- A call that tries is waited for as well, and no longer.
      and coalesce(greatest(c.probing_until, n.probing_until) <= p_now
        or greatest(c.until, n.until) > p_now - v_patience, true)
    order by k.kind, coalesce(s.percent, 0) >= 95, m.position;
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
    select format('no model can be asked for %s: %s', p_kind, coalesce(string_agg(format(
        '%s %s%s (%s)', s.model,
        case
          when c.probing_until > p_now or n.probing_until > p_now then 'is being tried'
          when n.model is not null then 'refuses this kind'
          when s.state = 'ok' or s.state = 'warning' then 'could'
          else 'is ' || s.state
        end,
        to_char(coalesce(greatest(c.until, n.until), s.until), '" until" YYYY-MM-DD HH24:MI:SSOF'),
        coalesce(n.reason, s.reason)), '; ' order by s.position), 'none is enabled'))
    from maintenance_internal.model_states(p_now) as s
    left join maintenance_internal.cool_down as c on c.model = s.model and c.kind = '*'
    left join maintenance_internal.cool_down as n on n.model = s.model and n.kind = p_kind
    where s.carrier = 'worker' and s.state <> 'disabled');
end
$$;
