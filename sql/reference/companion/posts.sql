-- Posts: what a companion writes by itself, when its user has been away, now and then, and once a
-- day. Rule S3-03. The kinds are schedule_tick, moment_post and diary_daily; in capitals they are
-- the input_event of their messages.

-- By conversation: each last time is one look into an index.
create view public.companion_posts as
select c.conversation_id, c.subject, k.kind, s.spoke_at, p.posted_at,
  case k.kind
    when 'schedule_tick' then s.spoke_at <= t.now - interval '60 minutes'
      and (p.posted_at is null or p.posted_at <= t.now - interval '60 minutes')
    -- Whether it is an hour for a moment does not change within it.
    when 'moment_post' then
      (p.posted_at is null or p.posted_at <= t.now - interval '60 minutes')
      and abs(hashtextextended(c.conversation_id::text,
        floor(extract(epoch from t.now) / 3600)::bigint) % 10000) < t.probability * 10000
    else p.posted_at is null
      or p.posted_at < date_bin('1 day', t.now, 'epoch'::timestamptz)
  end as is_due
from (
  select maintenance_internal.clock() as now, (
    select s.value::numeric from maintenance.setting as s
    where s.name = 'moment_post_probability') as probability
  offset 0
) as t
cross join public.conversation_states as c
left join public.users as u on u.id = c.user_id
cross join lateral (
  select m.created_at as spoke_at from public.messages as m
  where m.conversation_id = c.conversation_id and m.role = 'user' and m.deleted_at is null
  order by m.created_at desc
  limit 1
) as s
cross join (values ('schedule_tick'), ('moment_post'), ('diary_daily')) as k (kind)
left join lateral (
  select m.created_at as posted_at from public.messages as m
  where m.conversation_id = c.conversation_id and m.input_event = upper(k.kind)
    and m.deleted_at is null
  order by m.created_at desc
  limit 1
) as p on true
where u.deleted_at is null;

comment on view public.companion_posts is
  'When a companion last posted in each conversation in which its user has spoken, and whether it '
  'may now (S3-03): schedule_tick, when the user has said nothing for 60 minutes and the last tick '
  'is 60 minutes old; moment_post, when the last one is 60 minutes old, in as many hours as the '
  'setting moment_post_probability says; diary_daily, once a day (UTC).';
comment on column public.companion_posts.conversation_id is 'in which conversation';
comment on column public.companion_posts.subject is 'what the task is about';
comment on column public.companion_posts.kind is 'the kind of task that writes it';
comment on column public.companion_posts.spoke_at is 'when the user said something last';
comment on column public.companion_posts.posted_at is 'when the last one of this kind was posted';
comment on column public.companion_posts.is_due is 'whether one may be posted now';

create function public.is_post_due(kind text, conversation_id uuid)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select coalesce((
    select p.is_due from public.companion_posts as p
    where p.kind = is_post_due.kind and p.conversation_id = is_post_due.conversation_id), false);
end;

comment on function public.is_post_due(text, uuid) is
  'Whether a companion may post in a conversation now (companion_posts).';

create function public.post_subjects(kind text)
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select p.subject
  from public.companion_posts as p
  where p.kind = post_subjects.kind and p.is_due
  order by p.spoke_at desc, p.subject
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
  v_hour constant timestamptz := date_bin('1 hour', v_now, 'epoch'::timestamptz);
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
  -- Of the full hour where it is not long ago, so that what is asked for then is due at the next.
  context := jsonb_build_object('at', case
    when v_now < v_hour + interval '10 minutes' then v_hour else date_trunc('minute', v_now) end);
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
  -- What is no letter and no number of ASCII may be an emoji.
  if coalesce(v_text, '') !~ '[[:alnum:]]'
    and octet_length(v_text) is not distinct from length(v_text)
  then
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
  -- Two changes: the message can be taken back also when its patch is applied.
  return jsonb_build_object('posted', 1, 'changes', jsonb_build_array(
    jsonb_build_object('op', 'post', 'outcome', 'applied',
      'keys', jsonb_build_array(v_message.id), 'rows', jsonb_build_array(jsonb_build_object(
        'table', 'public.messages', 'before', null, 'after', to_jsonb(v_message)))),
    jsonb_build_object('op', 'enqueue', 'outcome', 'applied',
      'keys', jsonb_build_array(v_job.id), 'rows', jsonb_build_array(jsonb_build_object(
        'table', 'public.patch_jobs', 'before', null, 'after', to_jsonb(v_job))))));
end
$$;

comment on function public.apply_post(text, jsonb, jsonb, jsonb) is
  'apply of schedule_tick, moment_post and diary_daily (S3-03): the answer becomes a message of '
  'the companion, as of the minute or the full hour at which it was asked, with a patch job of '
  'what was said, where it still may be. Returns {posted}. Errors: PM018 the text is empty, or '
  'longer than 4,000 characters.';

create function public.trigger_posts_step(batch_size integer)
returns bigint
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  select maintenance_internal.trigger_step('post', spread => '0');
end;

comment on function public.trigger_posts_step(integer) is
  'Step of trigger_posts: trigger_jobs(''post''); the counts are on the receipt.';
