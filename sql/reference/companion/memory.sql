-- Levels of memory: a model sums up ten minutes, a day and two weeks of a conversation, once they
-- are over. Rule S3-20.

-- The three levels: how long each is, from when to when one that is missing is made up for, and of
-- how many messages, or days, it is made at least. Only what is over, and for two minutes: a
-- message may be on its way.
create view public.memory_levels as
select l.kind, l.target, l.width, l.fewest, u.until - l.look_back as since, u.until
from (values
  ('memory_bucket', 'memory_b_episodes', interval '10 minutes', interval '48 hours', 2),
  ('memory_daily', 'memory_daily', interval '1 day', interval '336 hours', 2),
  ('memory_biweekly', 'memory_biweekly', interval '14 days', interval '336 hours', 1)
) as l (kind, target, width, look_back, fewest)
cross join lateral (
  select date_bin(l.width, maintenance_internal.clock() - interval '2 minutes',
    'epoch'::timestamptz) as until
) as u;

comment on view public.memory_levels is
  'The levels of memory, and from when to when one that is missing is made up for now.';
comment on column public.memory_levels.kind is 'the kind of task that makes it';
comment on column public.memory_levels.target is 'the table that it is kept in';
comment on column public.memory_levels.width is
  'how long it is, counted from the beginning of 1970';
comment on column public.memory_levels.fewest is
  'of how many messages, or days, it is made at least';
comment on column public.memory_levels.since is 'from when on it is made up for';
comment on column public.memory_levels.until is
  'up to when it is: what is after that is not over yet';

-- By conversation: from the index, and of the time that matters alone.
create view public.missing_memories as
select l.kind, c.conversation_id, c.subject, p.period_start, p.lines
from (select * from public.memory_levels offset 0) as l
cross join public.conversation_states as c
cross join lateral (
  -- What a companion has posted by itself is no conversation.
  select date_bin(l.width, m.created_at, 'epoch'::timestamptz) as period_start,
    count(*) filter (where m.input_event is null) as lines
  from public.messages as m
  where l.kind <> 'memory_biweekly' and m.conversation_id = c.conversation_id
    and m.deleted_at is null and m.created_at >= l.since and m.created_at < l.until
  group by 1
  union all
  select l.since, count(*)
  from public.memory_daily as d
  where l.kind = 'memory_biweekly' and d.conversation_id = c.conversation_id
    and d.day_start >= l.since and d.day_start < l.until
) as p
where p.lines >= l.fewest and not case l.kind
  when 'memory_bucket' then exists (
    select from public.memory_b_episodes as e
    where e.conversation_id = c.conversation_id and e.bucket_start = p.period_start)
  when 'memory_daily' then exists (
    select from public.memory_daily as e
    where e.conversation_id = c.conversation_id and e.day_start = p.period_start)
  else exists (
    select from public.memory_biweekly as e
    where e.conversation_id = c.conversation_id and e.period_start = p.period_start) end;

comment on view public.missing_memories is
  'What is to be remembered of each conversation (S3-20): ten minutes, days and two weeks that '
  'hold enough, and have no memory; also those that were given up or undone, or whose row somebody '
  'has deleted, which are not made again.';
comment on column public.missing_memories.kind is 'the kind of task that makes it';
comment on column public.missing_memories.conversation_id is 'of which conversation';
comment on column public.missing_memories.subject is 'what the task is about';
comment on column public.missing_memories.period_start is 'when it begins';
comment on column public.missing_memories.lines is 'of how many messages, or days, it is made';

-- What a level is made of, as lines.
create function public.memory_lines(
  kind text,
  conversation_id uuid,
  period_start timestamptz,
  share numeric default 1)
returns table (content text, digest text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  with line as (
    select m.created_at as at, m.id, extract(epoch from m.updated_at)::text as version,
      jsonb_build_object('role', m.role, 'text', left(m.content, 4000)) as line
    from public.memory_levels as l
    join public.messages as m
      on m.conversation_id = memory_lines.conversation_id and m.deleted_at is null
      and m.created_at >= memory_lines.period_start
      and m.created_at < memory_lines.period_start + l.width
    where l.kind = memory_lines.kind and l.kind <> 'memory_biweekly'
    union all
    select d.day_start, d.id, md5(d.c0_summary || d.c1_highlights || d.c2_user_profile
        || d.c3_role_profile), jsonb_build_object('summary', d.c0_summary,
      'highlights', d.c1_highlights, 'user', d.c2_user_profile, 'role', d.c3_role_profile)
    from public.memory_levels as l
    join public.memory_daily as d
      on d.conversation_id = memory_lines.conversation_id
      and d.day_start >= memory_lines.period_start
      and d.day_start < memory_lines.period_start + l.width
    where l.kind = memory_lines.kind and l.kind = 'memory_biweekly'
  ), shown as (
    select n.*, count(*) over () as lines,
      sum(length(n.line::text) + 60) over (order by n.at desc, n.id desc) as room,
      row_number() over (order by n.at desc, n.id desc) as back
    from line as n
  )
  select string_agg((jsonb_build_object('id', 'u' || (s.lines - s.back + 1),
      'at', to_char(s.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) || s.line)::text,
      chr(10) order by s.back desc)
      filter (where s.back = 1 or s.back <= 260 * memory_lines.share
        and s.room <= 60000 * memory_lines.share),
    md5(string_agg(s.id || ' ' || s.version, ',' order by s.back))
  from shown as s;
end;

comment on function public.memory_lines(text, uuid, timestamptz, numeric) is
  'What a level of memory is made of: the last 260 messages within 60,000 characters, oldest '
  'first, or the days of two weeks; a share of that. And a digest of all of them.';

create function public.next_memory(
  kind text,
  conversation_id uuid,
  out period_start timestamptz,
  out digest text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_subject constant text := (
    select c.subject from public.conversation_states as c
    where c.conversation_id = next_memory.conversation_id);
  v_given_up constant text[] :=
    array(select maintenance_internal.given_up(next_memory.kind, v_subject));
  v_undone constant timestamptz[] := array(
    select u.keys[1]::timestamptz
    from maintenance_internal.undone_keys(next_memory.kind, v_subject) as u);
begin
  for period_start in
    select p.period_start
    from public.missing_memories as p
    where p.kind = next_memory.kind and p.conversation_id = next_memory.conversation_id
      and p.period_start <> all (v_undone)
    order by p.period_start
  loop
    -- Of two weeks each day first.
    exit when next_memory.kind = 'memory_biweekly' and (
      select d.period_start
      from public.next_memory('memory_daily', next_memory.conversation_id) as d)
        < (select l.until from public.memory_levels as l where l.kind = next_memory.kind);
    select n.digest into digest
    from public.memory_lines(next_memory.kind, next_memory.conversation_id, period_start) as n;
    if digest <> all (v_given_up) then
      return;
    end if;
  end loop;
  period_start := null;
  digest := null;
end
$$;

comment on function public.next_memory(text, uuid) is
  'The first of missing_memories of a level and a conversation, but for those that were given up '
  'or undone, and of two weeks only when no day of them is missing; and a digest of what it is '
  'made of. Null where there is none.';

create function public.memory_subjects(kind text)
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select a.subject
  from (
    select p.subject, p.conversation_id, min(p.period_start) as first
    from public.missing_memories as p
    join public.conversation_states as c on c.conversation_id = p.conversation_id
    left join public.users as u on u.id = c.user_id
    where p.kind = memory_subjects.kind and u.deleted_at is null
    group by p.subject, p.conversation_id
    order by first
    offset 0
  ) as a
  cross join lateral public.next_memory(memory_subjects.kind, a.conversation_id) as n
  where n.period_start is not null
  order by a.first
  limit 200;
end;

comment on function public.memory_subjects(text) is
  'Conversations of which a memory of a level is to be made, the oldest first, 200 at most.';

create function public.memory_bucket_subjects()
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select public.memory_subjects('memory_bucket');
end;

create function public.memory_daily_subjects()
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select public.memory_subjects('memory_daily');
end;

create function public.memory_biweekly_subjects()
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select public.memory_subjects('memory_biweekly');
end;

comment on function public.memory_bucket_subjects() is 'Subjects of memory_bucket.';
comment on function public.memory_daily_subjects() is 'Subjects of memory_daily.';
comment on function public.memory_biweekly_subjects() is 'Subjects of memory_biweekly.';

create function public.prepare_memory(subject text, options jsonb)
returns table (content text, context jsonb, input_hash text, skip_reason text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_kind constant text := prepare_memory.options ->> 'kind';
  v_conversation_id uuid;
  v_next record;
begin
  select c.conversation_id into v_conversation_id
  from public.conversation_states as c
  left join public.users as u on u.id = c.user_id
  where c.subject = prepare_memory.subject and u.deleted_at is null;
  if not found then
    skip_reason := 'the conversation is gone, or its user deleted';
    return next;
    return;
  end if;
  select * into v_next from public.next_memory(v_kind, v_conversation_id);
  if v_next.period_start is null then
    skip_reason := 'no memory is to be made';
    return next;
    return;
  end if;
  select format(e'%s, oldest first, one JSON object a line:\n%s',
    case v_kind when 'memory_biweekly' then 'The days of two weeks' else 'The messages' end,
    l.content)
  into content
  from public.memory_lines(v_kind, v_conversation_id, v_next.period_start,
    coalesce((prepare_memory.options ->> 'share')::numeric, 1)) as l;
  context := jsonb_build_object('start', v_next.period_start, 'digest', v_next.digest);
  input_hash := v_next.digest;
  return next;
end
$$;

comment on function public.prepare_memory(text, jsonb) is
  'prepare of memory_bucket, memory_daily and memory_biweekly (options.kind): the first memory of '
  'the conversation that is to be made (next_memory), and what it is made of; options.share: the '
  'last part of it.';

-- Texts of an answer, cut to what there is room for.
create function public.short_texts(list jsonb, most integer, longest integer)
returns jsonb
language sql
immutable
set search_path = pg_catalog, pg_temp
return (
  select coalesce(jsonb_agg(left(btrim(t.text, e' \t\r\n'), longest) order by t.nr), '[]')
  from jsonb_array_elements_text(case jsonb_typeof(list) when 'array' then list else '[]' end)
    with ordinality as t (text, nr)
  where t.nr <= most and btrim(t.text, e' \t\r\n') <> '');

comment on function public.short_texts(jsonb, integer, integer) is
  'The first texts of a list, each cut to so many characters.';

create function public.apply_memory(subject text, context jsonb, answer jsonb, options jsonb)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_kind constant text := apply_memory.options ->> 'kind';
  v_start constant timestamptz := (apply_memory.context ->> 'start')::timestamptz;
  v_summary constant text := btrim(coalesce(apply_memory.answer ->> 'summary',
    apply_memory.answer ->> 'c0_summary'), e' \t\r\n');
  v_longest constant integer := 900;
  v_most_buckets constant integer := 4;
  v_made integer := coalesce((apply_memory.options #>> '{carry,made}')::integer, 0);
  v_conversation public.conversation_states;
  v_table text;
  v_row jsonb;
begin
  if public.says_nothing(v_summary) then
    raise exception 'the summary is empty' using errcode = 'PM018';
  end if;
  -- Held, so that nobody deletes it before the commit, and two of its memories come one by one.
  select * into v_conversation
  from public.conversation_states as c where c.subject = apply_memory.subject
  for no key update;
  if not found then
    return jsonb_build_object('made', v_made, 'note', 'the conversation is gone');
  end if;
  if apply_memory.context ->> 'digest' is distinct from (
    select l.digest
    from public.memory_lines(v_kind, v_conversation.conversation_id, v_start) as l)
  then
    raise exception 'what was said has changed since it was shown' using errcode = 'PM027';
  end if;

  if v_kind = 'memory_bucket' then
    insert into public.memory_b_episodes as e
      (conversation_id, user_id, bucket_start, summary, open_loops, tags)
    values (v_conversation.conversation_id, v_conversation.user_id, v_start,
      left(v_summary, v_longest), public.short_texts(apply_memory.answer -> 'open_loops', 12, 200),
      public.short_texts(apply_memory.answer -> 'tags', 12, 50))
    on conflict do nothing
    returning to_jsonb(e) into v_row;
  elsif v_kind = 'memory_daily' then
    insert into public.memory_daily as e
      (conversation_id, user_id, day_start, c0_summary, c1_highlights, c2_user_profile,
       c3_role_profile)
    values (v_conversation.conversation_id, v_conversation.user_id, v_start,
      left(v_summary, v_longest),
      public.short_texts(apply_memory.answer -> 'c1_highlights', 12, 200),
      left(coalesce(apply_memory.answer ->> 'c2_user_profile', ''), v_longest),
      left(coalesce(apply_memory.answer ->> 'c3_role_profile', ''), v_longest))
    on conflict do nothing
    returning to_jsonb(e) into v_row;
  else
    insert into public.memory_biweekly as e (conversation_id, user_id, period_start, summary)
    values (v_conversation.conversation_id, v_conversation.user_id, v_start,
      left(v_summary, v_longest))
    on conflict do nothing
    returning to_jsonb(e) into v_row;
  end if;
  select l.target into v_table from public.memory_levels as l where l.kind = v_kind;
  v_made := v_made + (v_row is not null)::integer;

  return jsonb_build_object('made', v_made)
    || case when v_row is null then '{}' else jsonb_build_object('changes',
      jsonb_build_array(jsonb_build_object('op', 'remember', 'outcome', 'applied',
        'keys', jsonb_build_array(
          to_char(v_start at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')),
        'rows', jsonb_build_array(jsonb_build_object('table', 'public.' || v_table,
          'before', null, 'after', v_row))))) end
    || case when v_kind = 'memory_bucket' and v_made < v_most_buckets and (
        select n.period_start
        from public.next_memory(v_kind, v_conversation.conversation_id) as n) is not null
      then jsonb_build_object('continue', true, 'carry', jsonb_build_object('made', v_made))
      else '{}' end;
end
$$;

comment on function public.apply_memory(text, jsonb, jsonb, jsonb) is
  'apply of memory_bucket, memory_daily and memory_biweekly (S3-20): the answer becomes a row, '
  'once for its time, a summary cut at 900 characters, of highlights the first twelve; of a '
  'conversation''s ten minutes up to four in a task. Returns {made}. Errors: PM018 the summary is '
  'empty, PM027 what was said has changed since it was shown: it is asked for again.';

create function public.trigger_memories_step(batch_size integer)
returns bigint
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  select maintenance_internal.trigger_step('remember', spread => '0');
end;

comment on function public.trigger_memories_step(integer) is
  'Step of trigger_memories: trigger_jobs(''remember''); the counts are on the receipt.';
