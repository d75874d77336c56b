-- Archiving: a model sums up a session that is old enough, and its summary takes the place of its
-- messages (apply_archive). Rules S0-16 to S0-22.

create function public.archive_subjects()
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
-- Of each user it reads one session: by the index, and not by all that it finds there.
set enable_bitmapscan = off
set enable_sort = off
set jit = off
begin atomic
  select u.id::text
  from public.users as u
  cross join lateral (
    select s.ended_at from public.chat_sessions as s
    where s.user_id = u.id
    order by s.ended_at
    limit 1
  ) as f
  where not u.is_guest and u.deleted_at is null
    -- In this order: of most users nothing is old enough.
    and case when f.ended_at <= public.archive_until(u.id)
      then (select n.digest from public.next_session(u.id) as n) is not null end;
end;

comment on function public.archive_subjects() is
  'Subjects of archive_session: users who are no guests, not deleted (S0-03), and whose oldest '
  'session is old enough (S0-19), and who have one that was neither given up nor brought back of '
  'late. Who has been quiet for long is among them.';

create function public.prepare_archive(subject text, options jsonb)
returns table (content text, context jsonb, input_hash text, skip_reason text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_share constant numeric := coalesce((prepare_archive.options ->> 'share')::numeric, 1);
  -- Characters of a request, and what is shown of one message at least.
  v_room integer := 60000;
  v_least constant integer := 1000;
  v_carry jsonb := prepare_archive.options -> 'carry' -> 'session';
  v_user_id uuid;
  v_session record;
  v_shown integer;
begin
  select u.id into v_user_id
  from public.users as u
  where u.id::text = prepare_archive.subject and u.deleted_at is null;
  if not found then
    skip_reason := 'the user is gone or deleted';
    return next;
    return;
  end if;
  select * into v_session from public.next_session(v_user_id);
  if v_session.digest is null then
    skip_reason := 'no session is to be archived';
    return next;
    return;
  end if;
  if v_carry ->> 'digest' is distinct from v_session.digest then
    v_carry := null; -- it is another one by now: from its beginning
  end if;

  v_shown := coalesce((v_carry ->> 'shown')::integer, 0);
  -- Where that was too much, a part of what there is; and so the next part, too.
  v_room := coalesce((v_carry ->> 'room')::integer, v_room);
  if v_share < 1 then
    select v_share * least(v_room, sum(length(m.content) + 100)) into v_room
    from public.messages as m
    where m.id = any (v_session.ids[v_shown + 1:]);
  end if;
  select string_agg(jsonb_build_object('id', 'u' || p.nr, 'role', p.role, 'text', p.text,
      'at', to_char(p.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))::text,
      e'\n' order by p.nr),
    v_shown + count(*)
  into content, v_shown
  from (
    select i.nr, m.role, m.created_at,
      case when length(m.content) <= greatest(v_least, v_room) then m.content
        else format('%s ... (%s more characters)', left(m.content, greatest(v_least, v_room)),
          length(m.content) - greatest(v_least, v_room)) end as text,
      sum(length(m.content) + 100) over (order by i.nr) as length
    from unnest(v_session.ids[v_shown + 1:]) with ordinality as i (id, nr)
    join public.messages as m on m.id = i.id
  ) as p
  where p.nr = 1 or p.length <= v_room;
  content := concat_ws(e'\n',
    'The messages of one session, oldest first, one JSON object a line:',
    case when v_carry is not null then 'first the summary of those before them' end,
    case when v_carry is not null then
      jsonb_build_object('id', 's0', 'summary', v_carry ->> 'summary')::text end,
    content);
  context := jsonb_build_object('digest', v_session.digest, 'shown', v_shown, 'room', v_room);
  input_hash := v_session.digest;
  return next;
end
$$;

comment on function public.prepare_archive(text, jsonb) is
  'prepare of archive_session: the user''s oldest session that is to be archived (next_session), '
  'oldest message first, as many as are 60,000 characters; of a longer session the next part, '
  'with the summary of those before it (options.carry). A message that is longer than a request '
  'by itself is cut, which the model is told. options.share: a part of that length, and of a '
  'message 1,000 characters at least.';

create function public.trigger_archive_step(batch_size integer)
returns bigint
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  select maintenance_internal.trigger_step('archive', spread => '2 hours');
end;

comment on function public.trigger_archive_step(integer) is
  'Step of trigger_archive: trigger_jobs(''archive''), spread over two hours; the counts are on '
  'the receipt.';
