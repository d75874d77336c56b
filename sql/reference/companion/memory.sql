-- Levels of memory: a model sums up ten minutes, a day and two weeks of a conversation, once they
-- are over. Rule S3-20.

-- The three levels: how long each is, how far back one is made up for, of how many lines at least.
create function public.memory_levels()
returns table (kind text, target text, seconds integer, look_back interval, fewest integer)
language sql
immutable
set search_path = pg_catalog, pg_temp
begin atomic
  values
    ('memory_bucket', 'memory_b_episodes', 600, interval '2 days', 2),
    ('memory_daily', 'memory_daily', 86400, interval '14 days', 2),
    ('memory_biweekly', 'memory_biweekly', 1209600, interval '14 days', 1);
end;

comment on function public.memory_levels() is
  'The levels of memory: how many seconds each sums up, counted from the beginning of 1970, how '
  'far back one that is missing is made up for, and of how many messages, or days, at least.';

-- What a level is made of, as lines.
create function public.memory_lines(
  kind text,
  conversation_id uuid,
  period_start timestamptz,
  share numeric default 1)
returns table (content text, digest text, count bigint)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  with line as (
    select m.created_at as at, m.id, extract(epoch from m.updated_at)::text as version,
      jsonb_build_object('role', m.role, 'text', left(m.content, 4000)) as line
    from public.memory_levels() as l
    join public.messages as m
      on m.conversation_id = memory_lines.conversation_id and m.deleted_at is null
      and m.created_at >= memory_lines.period_start
      and m.created_at < memory_lines.period_start + l.seconds * interval '1 second'
    where l.kind = memory_lines.kind and l.target <> 'memory_biweekly'
    union all
    select d.day_start, d.id, '', jsonb_build_object('summary', d.c0_summary,
      'highlights', d.c1_highlights, 'user', d.c2_user_profile, 'role', d.c3_role_profile)
    from public.memory_levels() as l
    join public.memory_daily as d
      on d.conversation_id = memory_lines.conversation_id
      and d.day_start >= memory_lines.period_start
      and d.day_start < memory_lines.period_start + l.seconds * interval '1 second'
    where l.kind = memory_lines.kind and l.target = 'memory_biweekly'
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
    md5(string_agg(s.id || ' ' || s.version, ',' order by s.back)),
    count(*)
  from shown as s;
end;

comment on function public.memory_lines(text, uuid, timestamptz, numeric) is
  'What a level of memory is made of: the last 260 messages within 60,000 characters, oldest '
  'first, or the days of two weeks; a share of that. And a digest and the number of all of them.';

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
  v_now constant timestamptz := maintenance_internal.clock();
  v_subject constant text := (
    select c.subject from public.conversation_states as c
    where c.conversation_id = next_memory.conversation_id);
  v_given_up constant text[] :=
    array(select maintenance_internal.given_up(next_memory.kind, v_subject));
  v_undone constant timestamptz[] := array(
    select u.keys[1]::timestamptz
    from maintenance_internal.undone_keys(next_memory.kind, v_subject) as u);
  v_level record;
  v_until timestamptz;
  v_lines record;
begin
  select * into strict v_level from public.memory_levels() as l where l.kind = next_memory.kind;
  -- Only what is over, and for two minutes: a message may be on its way.
  v_until := date_bin(v_level.seconds * interval '1 second', v_now - interval '2 minutes',
    'epoch'::timestamptz);
  for period_start in
    select p.start
    from (
      select distinct date_bin(v_level.seconds * interval '1 second', m.created_at,
        'epoch'::timestamptz) as start
      from public.messages as m
      where v_level.kind <> 'memory_biweekly' and m.conversation_id = next_memory.conversation_id
        and m.deleted_at is null and m.created_at < v_until
        and m.created_at >= v_until - v_level.look_back
      union
      select v_until - v_level.look_back where v_level.kind = 'memory_biweekly'
    ) as p
    where p.start <> all (v_undone)
      and not case v_level.kind
        when 'memory_bucket' then exists (
          select from public.memory_b_episodes as e
          where e.conversation_id = next_memory.conversation_id and e.bucket_start = p.start)
        when 'memory_daily' then exists (
          select from public.memory_daily as e
          where e.conversation_id = next_memory.conversation_id and e.day_start = p.start)
        else exists (
          select from public.memory_biweekly as e
          where e.conversation_id = next_memory.conversation_id and e.period_start = p.start) end
    order by p.start
  loop
    select n.digest, n.count into v_lines
    from public.memory_lines(next_memory.kind, next_memory.conversation_id, period_start) as n;
    if v_lines.count >= v_level.fewest and v_lines.digest <> all (v_given_up) then
      digest := v_lines.digest;
      return;
    end if;
  end loop;
  period_start := null;
end
$$;

comment on function public.next_memory(text, uuid) is
  'The first ten minutes, day or two weeks of a conversation that are over for two minutes, hold '
  'enough and have no memory yet, but for those that were given up or undone; null where there are '
  'none. Ten minutes are made up for over two days, days over fourteen, two weeks just after them.';

create function public.memory_subjects(kind text)
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select a.subject
  from (
    select c.subject, c.conversation_id
    from public.conversation_states as c
    left join public.users as u on u.id = c.user_id
    where u.deleted_at is null and exists (
      select from public.messages as m
      where m.conversation_id = c.conversation_id and m.deleted_at is null
        and m.created_at >= maintenance_internal.clock() - (
          select 2 * l.look_back from public.memory_levels() as l
          where l.kind = memory_subjects.kind))
    offset 0
  ) as a
  cross join lateral public.next_memory(memory_subjects.kind, a.conversation_id) as n
  where n.period_start is not null
  order by n.period_start
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
  select coalesce(jsonb_agg(left(btrim(t.text), longest) order by t.nr), '[]')
  from jsonb_array_elements_text(case jsonb_typeof(list) when 'array' then list else '[]' end)
    with ordinality as t (text, nr)
  where t.nr <= most and btrim(t.text) <> '');

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
  if coalesce(v_summary, '') !~ '[^[:space:][:punct:][:cntrl:]]' then
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
  select l.target into v_table from public.memory_levels() as l where l.kind = v_kind;
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

-- What is remembered is in the state, too: its last items, known by their time. An undo takes them
-- out again.
create function public.memory_items(target text, memory jsonb)
returns jsonb
language sql
stable
set search_path = pg_catalog, pg_temp
return (
  select case memory_items.target
    when 'memory_b_episodes' then jsonb_build_object('memory_b_recent', jsonb_build_array(
      jsonb_build_object('key', k.key, 'summary', memory -> 'summary',
        'open_loops', memory -> 'open_loops', 'tags', memory -> 'tags')))
    when 'memory_daily' then jsonb_build_object(
      'memory_c0_recent', jsonb_build_array(jsonb_build_object('key', k.key,
        'summary', memory -> 'c0_summary', 'user', memory -> 'c2_user_profile',
        'role', memory -> 'c3_role_profile')),
      'memory_highlights', (
        select coalesce(jsonb_agg(jsonb_build_object('key', k.key || '#' || h.nr,
          'text', h.highlight) order by h.nr), '[]')
        from jsonb_array_elements(case jsonb_typeof(memory -> 'c1_highlights')
          when 'array' then memory -> 'c1_highlights' else '[]' end)
          with ordinality as h (highlight, nr)))
    else jsonb_build_object('memory_biweekly_recent', jsonb_build_array(
      jsonb_build_object('key', k.key, 'summary', memory -> 'summary')))
    end
  from (
    select to_char(coalesce(memory ->> 'bucket_start', memory ->> 'day_start',
      memory ->> 'period_start')::timestamptz at time zone 'UTC',
      'YYYY-MM-DD"T"HH24:MI:SS"Z"') as key) as k);

comment on function public.memory_items(text, jsonb) is
  'What a row of a level of memory is in a state: the items of each list that it belongs to.';

create function public.remember_in_state()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_old constant jsonb := case tg_op when 'INSERT' then '{}'
    else public.memory_items(tg_table_name, to_jsonb(old)) end;
  v_new constant jsonb := case tg_op when 'DELETE' then '{}'
    else public.memory_items(tg_table_name, to_jsonb(new)) end;
  v_conversation public.conversation_states;
  v_memory jsonb;
  v_list record;
begin
  select * into v_conversation
  from public.conversation_states as c
  where c.conversation_id = coalesce(new.conversation_id, old.conversation_id)
  for no key update;
  if not found then
    return null;
  end if;
  v_memory := case jsonb_typeof(v_conversation.state -> 'memory')
    when 'object' then v_conversation.state -> 'memory' else '{}' end;
  for v_list in
    select l.list, l.most from public.state_lists() as l
    where l.section = 'memory' and (v_old ? l.list or v_new ? l.list)
  loop
    v_memory := v_memory || jsonb_build_object(v_list.list, public.merge_list(
      public.merge_list(v_memory -> v_list.list, null, v_old -> v_list.list, v_list.most),
      v_new -> v_list.list, null, v_list.most));
  end loop;
  update public.conversation_states as c
  set state = c.state || jsonb_build_object('memory', v_memory), version = c.version + 1
  where c.conversation_id = v_conversation.conversation_id;
  return null;
end
$$;

comment on function public.remember_in_state() is
  'Trigger: puts what is remembered of a conversation into its state, as a new version (C-24), and '
  'takes out what is not remembered any more.';

create trigger memory_b_episodes_are_in_the_state
after insert or update or delete on public.memory_b_episodes
for each row execute function public.remember_in_state();

create trigger memory_daily_is_in_the_state
after insert or update or delete on public.memory_daily
for each row execute function public.remember_in_state();

create trigger memory_biweekly_is_in_the_state
after insert or update or delete on public.memory_biweekly
for each row execute function public.remember_in_state();
