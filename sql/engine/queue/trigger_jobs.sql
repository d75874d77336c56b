-- Asks for the tasks of every kind with a trigger, one for each of its subjects.

create function maintenance.trigger_jobs(
  job text default 'all',
  spread interval default '0',
  force boolean default false,
  dry_run boolean default false)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_now constant timestamptz := maintenance_internal.moment();
  v_originals constant text[] := array['consolidate', 'analyze', 'archive'];
  v_triggers constant text[] := v_originals || array(
    select distinct k.trigger from maintenance.kind as k where k.trigger <> all (v_originals));
  v_kind maintenance.kind;
  v_subjects text[];
  v_users text[] := '{}'::text[];
  v_published bigint := 0;
  v_tokens numeric := 0;
  v_cost numeric := 0;
  v_errors jsonb := '[]';
  v_new bigint;
  v_past record;
begin
  if trigger_jobs.job is null or trigger_jobs.job <> all (array['all'] || v_triggers) then
    raise exception 'there is no trigger "%"', trigger_jobs.job
      using errcode = 'PM015', hint = 'all, or one of ' || array_to_string(v_triggers, ', ') || '.';
  end if;
  if trigger_jobs.spread is null
    or trigger_jobs.spread not between interval '0' and interval '7 days' then
    raise exception 'the spread "%" is out of range', trigger_jobs.spread
      using errcode = 'PM002', hint = 'An interval from zero to seven days.';
  end if;
  -- Whoever is deleted from here on is forgotten a second time when this is over.
  perform pg_current_xact_id();
  perform set_config('maintenance.force', coalesce(trigger_jobs.force, false)::text, true);

  for v_kind in
    select k.* from maintenance.kind as k
    where k.trigger = trigger_jobs.job
      or trigger_jobs.job = 'all' and k.trigger = any (v_originals)
    order by k.kind
  loop
    -- A broken kind stops no other.
    begin
      v_subjects := maintenance_internal.call_subjects(v_kind.subjects);
      v_users := array(select unnest(v_users) union select unnest(v_subjects));

      if trigger_jobs.dry_run then
        select count(*) into v_new
        from unnest(v_subjects) as s (subject)
        where not exists (
          select from maintenance.task as t
          where t.kind = v_kind.kind and t.subject = s.subject and t.state in ('ready', 'leased'));
        -- What an answer has taken of late; null before the first one.
        select sum(d.input_tokens + d.output_tokens) / sum(d.answered) as tokens,
          sum(d.cost_usd) / sum(d.answered) as cost into v_past
        from maintenance.model_day as d
        where d.kind = v_kind.kind and d.answered > 0
          and d.day > (v_now at time zone 'America/Los_Angeles')::date - 31;
        v_tokens := v_tokens + v_past.tokens * v_new;
        v_cost := v_cost + v_past.cost * v_new;
      else
        insert into maintenance.task as t (kind, subject, available_at, due_at, force)
        select v_kind.kind, s.subject, s.due_at, s.due_at, coalesce(trigger_jobs.force, false)
        from (
          select u.subject, v_now + random() * trigger_jobs.spread as due_at
          from unnest(v_subjects) as u (subject)
        ) as s
        on conflict (kind, subject) where state in ('ready', 'leased') do nothing;
        get diagnostics v_new = row_count;
      end if;
    exception when others or assert_failure then
      v_errors := v_errors || jsonb_build_object('kind', v_kind.kind, 'error', sqlerrm);
      continue;
    end;
    v_published := v_published + v_new;
  end loop;

  return jsonb_build_object('success', v_errors = '[]',
      'usersProcessed', cardinality(v_users), 'jobsPublished', v_published)
    || case when v_errors = '[]' then '{}' else jsonb_build_object('errors', v_errors) end
    || case when trigger_jobs.dry_run then jsonb_build_object(
        'dryRun', true, 'expectedTokens', round(v_tokens), 'expectedCostUsd', round(v_cost, 6))
      else '{}' end;
end
$$;

comment on function maintenance.trigger_jobs(text, interval, boolean, boolean) is
  'Asks for the tasks of a trigger (S0-02), one for each subject of its kinds that has none open: '
  'consolidate, analyze, archive, all of these three (all), or any other that a kind names. '
  'Returns {success, usersProcessed, jobsPublished}; where a kind''s subjects cannot be told, '
  'success is false, errors has {kind, error}, and the others are asked for. '
  'spread: due at random within this time. force: ask even where nothing has changed. dry_run: '
  'publish nothing, and add expectedTokens and expectedCostUsd by the answers of 31 days (null '
  'before the first). Errors: PM002 spread, PM015 no such trigger.';

-- For the steps that ask by schedule: tasks are published first, and then, in a batch of its own,
-- the run fails for what could not be asked.
create function maintenance_internal.trigger_step(job text, spread interval)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_result constant jsonb := maintenance.trigger_jobs(trigger_step.job, trigger_step.spread);
  v_published constant bigint := (v_result ->> 'jobsPublished')::bigint;
begin
  if not v_result ? 'errors' or v_published > 0 then
    perform maintenance.add_details(v_result);
    return case when v_result ? 'errors' then v_published else 0 end;
  end if;
  raise exception 'not asked for: %', (
      select string_agg(format('%s: %s', e ->> 'kind', e ->> 'error'), '; ')
      from jsonb_array_elements(v_result -> 'errors') as e)
    using errcode = 'PM013';
end
$$;
