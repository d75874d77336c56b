-- Whose fault is a failed call? The model's (a limit, an outage, gone), the kind's on this model
-- (it was never answered like this), or the task's own: what happened to others decides, not
-- words. What is not the task's own makes the model cool down; true: it is the task's own.
--
--   limit    asked too often: 1 second, doubled with each failure up to a minute, and at least what
--            Gemini says (a day at most); a limit of the day: until midnight in Los Angeles
--   fault    the same, for an outage
--   gone     a model that is not there: 1 minute, doubled up to 6 hours
--   refused  a request of this kind: 1 minute, doubled up to an hour
--
-- Only the call that tried doubles it: those that were under way when it began say nothing new.

create function maintenance_internal.cool_model(
  p_call maintenance.model_call,
  p_outcome text,
  p_details jsonb,
  p_message text,
  p_retry_after interval)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now constant timestamptz := maintenance_internal.moment();
  -- Not least(), which would make a day of null.
  v_retry_after constant interval :=
    case when p_retry_after > interval '1 day' then interval '1 day' else p_retry_after end;
  v_said constant text := concat(p_details::text, ' ', p_message);
  v_class text := case
    when p_outcome = 'gone' then 'gone'
    when p_outcome in ('rejected', 'too_large') then 'refused'
    when p_outcome in ('defer', 'transient')
      and (v_said ~ 'QuotaFailure' or p_message ~ '^429') then 'limit'
    when p_outcome in ('defer', 'transient') then 'fault'
  end;
  -- For whoever reads the status: never the words of an error, which may hold an answer's.
  v_reason constant text := format('%s (%stask %s)',
    case v_class
      when 'limit' then 'asked too often'
      when 'gone' then 'it is not there'
      when 'refused' then 'it refuses requests of this kind'
      else 'it fails, or cannot be reached'
    end, substring(p_message from '^\d{3}\M') || ', ', p_call.task_id);
  v_kind constant text := case v_class when 'refused' then p_call.kind else '*' end;
  v_is_own boolean;
  v_until timestamptz;
begin
  v_is_own := case
    when v_class is null then true
    -- It fails again and again, while others are answered.
    when p_outcome = 'transient' then (
      select maintenance_internal.answered_since(
        greatest(t.failed_at, v_now - interval '2 minutes'), p_call.model)
      from maintenance.task as t
      where t.task_id = p_call.task_id and t.failed_at is not null)
    -- Others of its kind are answered by this model, as both are set now, and the last was.
    when v_class = 'refused' then coalesce((
      select max(d.answered_at) > greatest(k.changed_at, m.changed_at, max(d.refused_at))
      from maintenance.model_day as d
      join maintenance.kind as k on k.kind = d.kind
      join maintenance.model as m on m.model = d.model
      where d.model = p_call.model and d.kind = p_call.kind
      group by k.changed_at, m.changed_at), false)
    else false
  end;
  if v_is_own then
    return true;
  end if;

  perform from maintenance.model as m where m.model = p_call.model for key share;
  if not found then
    return false; -- it was taken away meanwhile
  end if;
  if v_class = 'limit' then
    perform maintenance_internal.learn_limit(p_call.model, p_details, v_now);
    if v_said ~ 'PerDay|limit: 0\M' then
      v_until := maintenance_internal.quota_day(
        maintenance_internal.quota_day(v_now) + interval '36 hours');
    end if;
  end if;
  -- What a clock running ahead has left behind.
  delete from maintenance_internal.cool_down as c
  where c.model = p_call.model and c.kind = v_kind and c.since > v_now + interval '1 minute';
  insert into maintenance_internal.cool_down as c (model, kind, class, reason, since, until)
  values (p_call.model, v_kind, v_class, v_reason, v_now, coalesce(v_until,
    v_now + greatest(v_retry_after, maintenance_internal.cool_time(v_class, 1))))
  on conflict on constraint cool_down_pkey do update
  set class = excluded.class,
    reason = excluded.reason,
    times = c.times + p_call.is_probe::integer,
    since = case when p_call.is_probe then v_now else c.since end,
    probing_until = case when not p_call.is_probe then c.probing_until end,
    until = greatest(c.until, v_until, v_now + v_retry_after, case when p_call.is_probe
      then v_now + maintenance_internal.cool_time(excluded.class, c.times + 1) end);
  return false;
end
$$;

-- How long nobody asks after so many failures in a row.
create function maintenance_internal.cool_time(p_class text, p_times integer)
returns interval
language sql
immutable
set search_path = pg_catalog, pg_temp
return case p_class
  when 'gone' then least(interval '1 minute' * 2 ^ least(p_times - 1, 20), interval '6 hours')
  when 'refused' then least(interval '1 minute' * 2 ^ least(p_times - 1, 20), interval '1 hour')
  else least(interval '1 second' * 2 ^ least(p_times - 1, 20), interval '1 minute')
end;

-- A limit that Gemini tells outright is believed where it is lower than what is known, for a day.
-- Nothing else is guessed.
create function maintenance_internal.learn_limit(p_model text, p_details jsonb, p_now timestamptz)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_minute integer;
  v_day integer;
begin
  select min((v.said ->> 'quotaValue')::integer)
      filter (where v.said ->> 'quotaId' ~ 'RequestsPerMinute'),
    min((v.said ->> 'quotaValue')::integer)
      filter (where v.said ->> 'quotaId' ~ 'RequestsPerDay')
  into v_minute, v_day
  from jsonb_path_query(p_details, 'lax $[*].violations[*]') as v (said)
  where v.said ->> 'quotaValue' ~ '^[1-9][0-9]{0,8}$';
  if v_minute is null and v_day is null then
    return;
  end if;
  insert into maintenance_internal.model_pace as p
    (model, learned_minute, learned_day, learned_at)
  values (p_model, v_minute, v_day, p_now)
  on conflict on constraint model_pace_pkey do update
  set learned_minute = least(
      case when p.learned_at > p_now - interval '1 day' then p.learned_minute end, v_minute),
    learned_day = least(
      case when p.learned_at > p_now - interval '1 day' then p.learned_day end, v_day),
    learned_at = p_now;
end
$$;
