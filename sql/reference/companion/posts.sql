-- Posts: what a companion writes by itself, when its user has been away, now and then, and once a
-- day. Rule S3-03. The kinds are schedule_tick, moment_post and diary_daily; in capitals they are
-- the input_event of their messages.

create function public.is_post_due(kind text, conversation_id uuid)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now constant timestamptz := maintenance_internal.clock();
  v_probability constant numeric := (
    select s.value::numeric from maintenance.setting as s
    where s.name = 'moment_post_probability');
  v_spoke_at constant timestamptz := (
    select max(m.created_at) from public.messages as m
    where m.conversation_id = is_post_due.conversation_id and m.role = 'user'
      and m.deleted_at is null);
  v_posted_at constant timestamptz := (
    select max(m.created_at) from public.messages as m
    where m.conversation_id = is_post_due.conversation_id
      and m.input_event = upper(is_post_due.kind) and m.deleted_at is null);
begin
  return v_spoke_at is not null and case is_post_due.kind
    when 'schedule_tick' then v_spoke_at <= v_now - interval '60 minutes'
      and (v_posted_at is null or v_posted_at <= v_now - interval '60 minutes')
    -- Whether it is an hour for a moment does not change within it.
    when 'moment_post' then
      (v_posted_at is null or v_posted_at <= v_now - interval '60 minutes')
      and abs(hashtextextended(is_post_due.conversation_id::text,
        floor(extract(epoch from v_now) / 3600)::bigint) % 10000) < v_probability * 10000
    else v_posted_at is null
      or v_posted_at < date_bin('1 day', v_now, 'epoch'::timestamptz) end;
end
$$;

comment on function public.is_post_due(text, uuid) is
  'Whether a companion may post now (S3-03): schedule_tick, when its user has said nothing for 60 '
  'minutes and the last tick is 60 minutes old; moment_post, when the last one is 60 minutes old, '
  'in as many hours as the setting moment_post_probability says; diary_daily, once a day (UTC). '
  'Only where its user has spoken at all.';

create function public.post_subjects(kind text)
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select c.subject
  from public.conversation_states as c
  left join public.users as u on u.id = c.user_id
  cross join lateral (
    select m.created_at from public.messages as m
    where m.conversation_id = c.conversation_id and m.role = 'user' and m.deleted_at is null
    order by m.created_at desc
    limit 1
  ) as l
  where u.deleted_at is null and public.is_post_due(post_subjects.kind, c.conversation_id)
  order by l.created_at desc, c.subject
  limit least(80, coalesce((
    select j.batch_size from maintenance_internal.job as j where j.job_name = 'trigger_posts'),
    20));
end;

comment on function public.post_subjects(text) is
  'Conversations in which a companion may post now, those in which the user spoke last first: as '
  'many as the batch_size of trigger_posts, 80 at most.';

create function public.schedule_tick_subjects()
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select public.post_subjects('schedule_tick');
end;

create function public.moment_post_subjects()
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select public.post_subjects('moment_post');
end;

create function public.diary_daily_subjects()
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select public.post_subjects('diary_daily');
end;

comment on function public.schedule_tick_subjects() is 'Subjects of schedule_tick.';
comment on function public.moment_post_subjects() is 'Subjects of moment_post.';
comment on function public.diary_daily_subjects() is 'Subjects of diary_daily.';

create function public.prepare_post(subject text, options jsonb)
returns table (content text, context jsonb, input_hash text, skip_reason text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_kind constant text := prepare_post.options ->> 'kind';
  v_share constant numeric := coalesce((prepare_post.options ->> 'share')::numeric, 1);
  v_most constant integer := ceil(v_share * case v_kind when 'diary_daily' then 260 else 20 end);
  v_now constant timestamptz := maintenance_internal.clock();
  v_conversation_id uuid;
  v_messages text;
begin
  select c.conversation_id into v_conversation_id
  from public.conversation_states as c
  left join public.users as u on u.id = c.user_id
  where c.subject = prepare_post.subject and u.deleted_at is null;
  if not found or not public.is_post_due(v_kind, v_conversation_id) then
    skip_reason := 'no post is due';
    return next;
    return;
  end if;
  select string_agg(jsonb_build_object('id', 'u' || (s.lines - s.back + 1), 'role', s.role,
      'at', to_char(s.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
      'text', left(s.content, 1000))::text, e'\n' order by s.back desc)
  into v_messages
  from (
    select m.role, m.created_at, m.content, count(*) over () as lines,
      row_number() over (order by m.created_at desc, m.id desc) as back
    from (
      select m.* from public.messages as m
      where m.conversation_id = v_conversation_id and m.deleted_at is null
        and (v_kind <> 'diary_daily' or m.created_at > v_now - interval '24 hours')
      order by m.created_at desc, m.id desc
      limit v_most
    ) as m
  ) as s;
  content := concat_ws(e'\n',
    'What you are by now, and the last messages, oldest first, one JSON object a line:',
    jsonb_build_object('id', 's0',
      'state', public.shown_state(v_conversation_id, (20000 * v_share)::integer)),
    v_messages,
    jsonb_build_object('id', 'now',
      'at', to_char(v_now at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')));
  -- To the minute, so that what is asked for at each full hour is due at the next.
  context := jsonb_build_object('at', date_trunc('minute', v_now));
  input_hash := md5(content);
  return next;
end
$$;

comment on function public.prepare_post(text, jsonb) is
  'prepare of schedule_tick, moment_post and diary_daily (options.kind): the state of the '
  'conversation and its character, and the last 20 messages, for a diary the last 260 of 24 hours. '
  'options.share: a part of that.';

create function public.apply_post(subject text, context jsonb, answer jsonb, options jsonb)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_kind constant text := apply_post.options ->> 'kind';
  v_text constant text := btrim(apply_post.answer ->> 'text', e' \t\r\n');
  v_longest constant integer := 4000;
  v_conversation public.conversation_states;
  v_message public.messages;
  v_job_id uuid;
  v_job public.patch_jobs;
begin
  if coalesce(v_text, '') !~ '[^[:space:][:punct:][:cntrl:]]' then
    raise exception 'the text is empty' using errcode = 'PM018';
  elsif length(v_text) > v_longest then
    raise exception 'the text has % characters, more than %', length(v_text), v_longest
      using errcode = 'PM018';
  end if;
  -- Held, so that nobody deletes it before the commit, and two posts come one by one.
  select c.* into v_conversation
  from public.conversation_states as c where c.subject = apply_post.subject
  for no key update;
  if not found or not public.is_post_due(v_kind, v_conversation.conversation_id) then
    return '{"posted": 0, "note": "no post is due any more"}';
  end if;

  insert into public.messages as m
    (user_id, conversation_id, role, input_event, content, created_at)
  values (v_conversation.user_id, v_conversation.conversation_id, 'assistant', upper(v_kind),
    v_text, (apply_post.context ->> 'at')::timestamptz)
  returning m.* into v_message;
  v_job_id := public.enqueue_patch_job(v_conversation.user_id, v_conversation.conversation_id,
    v_conversation.character_id, null,
    jsonb_build_object('input_event', v_message.input_event, 'assistant', v_text));
  select j.* into v_job from public.patch_jobs as j where j.id = v_job_id;
  return jsonb_build_object('posted', 1, 'changes', jsonb_build_array(jsonb_build_object(
    'op', 'post', 'outcome', 'applied', 'keys', jsonb_build_array(v_message.id),
    'rows', jsonb_build_array(
      jsonb_build_object('table', 'public.messages', 'before', null,
        'after', to_jsonb(v_message)),
      jsonb_build_object('table', 'public.patch_jobs', 'before', null,
        'after', to_jsonb(v_job))))));
end
$$;

comment on function public.apply_post(text, jsonb, jsonb, jsonb) is
  'apply of schedule_tick, moment_post and diary_daily (S3-03): the answer becomes a message of '
  'the companion, as of the minute in which it was asked, with a patch job of what was said, where '
  'it still may be. Returns {posted}. Errors: PM018 the text is empty, or longer than 4,000 '
  'characters.';

create function public.trigger_memories_step(batch_size integer)
returns bigint
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  select maintenance_internal.trigger_step('remember', spread => '0');
end;

create function public.trigger_posts_step(batch_size integer)
returns bigint
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  select maintenance_internal.trigger_step('post', spread => '0');
end;

comment on function public.trigger_memories_step(integer) is
  'Step of trigger_memories: trigger_jobs(''remember''); the counts are on the receipt.';
comment on function public.trigger_posts_step(integer) is
  'Step of trigger_posts: trigger_jobs(''post''); the counts are on the receipt.';
