-- Weekly summaries: a model sums up what was remembered of a student in the week that ended last,
-- from Sunday to Sunday in UTC, where that is enough. Rules S2-13, C-19.

create function public.week_end(at timestamptz)
returns date
language sql
immutable
set search_path = pg_catalog, pg_temp
return (date_trunc('week', at at time zone 'UTC' + interval '1 day') - interval '1 day')::date;

comment on function public.week_end(timestamptz) is
  'The last Sunday up to a moment (UTC), with which the week ended that is summed up.';

create view public.missing_summaries as
select m.user_id, w.period_end - 7 as period_start, w.period_end, count(*) as memories
from (select public.week_end(maintenance_internal.clock()) as period_end offset 0) as w
join public.study_chat_memory as m
  on m.created_at >= (w.period_end - 7)::timestamp at time zone 'UTC'
  and m.created_at < w.period_end::timestamp at time zone 'UTC'
join public.users as u on u.id = m.user_id
where m.is_active and (m.expires_at is null or m.expires_at > maintenance_internal.clock())
  and not u.is_guest and u.deleted_at is null
  and not exists (
    select from public.memory_summaries as s
    where s.user_id = m.user_id and s.summary_type = 'weekly'
      and s.period_start = w.period_end - 7)
group by m.user_id, w.period_end
having count(*) >= 5;

comment on view public.missing_summaries is
  'Students of whom five or more was remembered in the week that ended last, and who have no '
  'summary of it (S2-13); also those whose summary was given up or undone, which is not made '
  'again.';
comment on column public.missing_summaries.user_id is 'whose';
comment on column public.missing_summaries.period_start is 'the first day of the week, a Sunday';
comment on column public.missing_summaries.period_end is 'the day after its last';
comment on column public.missing_summaries.memories is 'how many memories it has';

-- The ten that matter most, oldest first, as lines; and a digest of them.
create function public.week_memories(user_id uuid, period_end date, share numeric default 1)
returns table (content text, digest text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  with shown as (
    select m.*, row_number() over (order by m.created_at, m.id) as nr
    from (
      select a.id, a.created_at, a.importance_score, a.tags, a.content
      from public.study_chat_memory as a
      where a.user_id = week_memories.user_id and a.is_active
        and a.created_at >= (week_memories.period_end - 7)::timestamp at time zone 'UTC'
        and a.created_at < week_memories.period_end::timestamp at time zone 'UTC'
        and (a.expires_at is null or a.expires_at > maintenance_internal.clock())
      order by a.importance_score desc, a.created_at desc, a.id
      limit 10
    ) as m
  )
  select string_agg(jsonb_build_object('id', 'm' || s.nr,
      'at', to_char(s.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
      'importance', s.importance_score, 'tags', to_jsonb(s.tags[:10]),
      'text', left(s.content, (2000 * week_memories.share)::integer))::text,
      chr(10) order by s.nr),
    md5(week_memories.period_end::text
      || string_agg(s.id || ' ' || md5(s.content), ',' order by s.nr))
  from shown as s;
end;

comment on function public.week_memories(uuid, date, numeric) is
  'What a summary of a week is made of: the ten memories of most importance, the newest of equal '
  'ones, oldest first, each cut at 2,000 characters, or at that share of it; and a digest.';

create function public.next_summary(
  user_id uuid,
  out period_end date,
  out digest text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  select m.period_end into period_end
  from public.missing_summaries as m
  where m.user_id = next_summary.user_id and not exists (
    select from maintenance_internal.undone_keys('summarize_week', m.user_id::text) as u
    where u.keys[1]::date = m.period_start);
  select w.digest into digest
  from public.week_memories(next_summary.user_id, period_end) as w;
  if digest in (
    select maintenance_internal.given_up('summarize_week', next_summary.user_id::text))
  then
    period_end := null;
    digest := null;
  end if;
end
$$;

comment on function public.next_summary(uuid) is
  'The week of a student that is to be summed up, by its end, and a digest of what it is made of; '
  'null where there is none, or it was given up or undone.';

create function public.summary_subjects()
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select m.user_id::text
  from (select * from public.missing_summaries offset 0) as m
  cross join lateral public.next_summary(m.user_id) as n
  where n.period_end is not null;
end;

comment on function public.summary_subjects() is
  'Subjects of summarize_week: students who are no guests, not deleted, and of whom five or more '
  'was remembered in the week that ended last (S2-13).';

create function public.prepare_summary(subject text, options jsonb)
returns table (content text, context jsonb, input_hash text, skip_reason text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_user_id uuid;
  v_next record;
begin
  select u.id into v_user_id
  from public.users as u
  where u.id::text = prepare_summary.subject and not u.is_guest and u.deleted_at is null;
  if not found then
    skip_reason := 'the student is gone, deleted or a guest';
    return next;
    return;
  end if;
  select * into v_next from public.next_summary(v_user_id);
  if v_next.period_end is null then
    skip_reason := 'no week is to be summed up';
    return next;
    return;
  end if;
  select e'The memories of a week, oldest first, one JSON object a line:\n' || w.content
  into content
  from public.week_memories(v_user_id, v_next.period_end,
    coalesce((prepare_summary.options ->> 'share')::numeric, 1)) as w;
  context := jsonb_build_object('until', v_next.period_end, 'digest', v_next.digest);
  input_hash := v_next.digest;
  return next;
end
$$;

comment on function public.prepare_summary(text, jsonb) is
  'prepare of summarize_week: the memories of the student''s last week (week_memories); '
  'options.share: of each that part.';

create function public.apply_summary(subject text, context jsonb, answer jsonb, options jsonb)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_longest constant integer := 500;
  v_until constant date := (apply_summary.context ->> 'until')::date;
  v_summary text := btrim(regexp_replace(apply_summary.answer ->> 'summary', '\s+', ' ', 'g'));
  v_user_id uuid;
  v_row jsonb;
begin
  if jsonb_typeof(apply_summary.answer -> 'summary') is distinct from 'string'
    or public.says_nothing(v_summary) then
    raise exception 'the summary is empty' using errcode = 'PM018';
  end if;
  if length(v_summary) > v_longest then
    -- At the end of a sentence, where that leaves half of it; else of a word.
    select c.text into v_summary
    from (values
      (1, substring(left(v_summary, v_longest + 1) from '^(.*[.!?])(?=\s)')),
      (1, substring(left(v_summary, v_longest) from '^(.*[\u3002\uff01\uff1f])')),
      (2, substring(left(v_summary, v_longest - 2) from '^(.*)\s') || '...'),
      (3, left(v_summary, v_longest - 3) || '...')
    ) as c (nr, text)
    where length(c.text) >= v_longest / 2
    order by c.nr, length(c.text) desc
    limit 1;
  end if;

  -- Held, so that nobody deletes it before the commit.
  select u.id into v_user_id
  from public.users as u
  where u.id::text = apply_summary.subject and u.deleted_at is null
  for key share;
  if not found then
    return '{"summarized": 0, "note": "the student is gone"}';
  end if;
  if apply_summary.context ->> 'digest' is distinct from (
    select w.digest from public.week_memories(v_user_id, v_until) as w)
  then
    raise exception 'the memories have changed since they were shown' using errcode = 'PM027';
  end if;
  insert into public.memory_summaries as s
    (user_id, summary_type, period_start, period_end, summary_text, token_count, expires_at)
  values (v_user_id, 'weekly', v_until - 7, v_until, v_summary, ceil(length(v_summary) / 4.0),
    -- Null, and more than an interval can take, is for ever.
    case when maintenance_internal.setting('summary_days') <= 100000 then
      maintenance_internal.clock()
        + maintenance_internal.setting('summary_days') * interval '1 day' end)
  on conflict do nothing
  returning to_jsonb(s) into v_row;
  return jsonb_build_object('summarized', (v_row is not null)::integer)
    || case when v_row is null then '{}' else jsonb_build_object('changes',
      jsonb_build_array(jsonb_build_object('op', 'summarize', 'outcome', 'applied',
        'keys', jsonb_build_array(v_until - 7),
        'rows', jsonb_build_array(jsonb_build_object('table', 'public.memory_summaries',
          'before', null, 'after', v_row))))) end;
end
$$;

comment on function public.apply_summary(text, jsonb, jsonb, jsonb) is
  'apply of summarize_week (S2-13): the answer becomes the summary of a week, once, cut at the end '
  'of a sentence or a word where it has more than 500 characters, and is kept for the setting '
  'summary_days (C-19). Returns {summarized}. Errors: PM018 the summary is empty, PM027 the '
  'memories have changed since they were shown: it is asked for again.';

create function public.weekly_summary_generation_step(batch_size integer)
returns bigint
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  select maintenance_internal.trigger_step('summarize', spread => '0');
end;

comment on function public.weekly_summary_generation_step(integer) is
  'Step of weekly_summary_generation: trigger_jobs(''summarize''); the counts are on the '
  'receipt.';
