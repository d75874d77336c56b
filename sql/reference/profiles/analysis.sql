-- Profiles: a model reads a user's last messages and nominates what they say of themselves; SQL
-- decides (apply_profile). Rules S0-12 to S0-15.

create function public.profile_subjects()
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select u.id::text
  from public.users as u
  left join maintenance.last_looks('analyze_profile') as l on l.subject = u.id::text
  cross join lateral (
    select count(*) as messages, max(w.updated_at) as changed_at
    from (
      select p.updated_at from public.messages as p
      where p.user_id = u.id and p.role = 'user' and p.deleted_at is null
      order by p.created_at desc, p.id
      limit 50
    ) as w
  ) as m
  where not u.is_guest and u.deleted_at is null and m.messages >= 10
    and (l.looked_at is null or m.changed_at >= l.looked_at);
end;

comment on function public.profile_subjects() is
  'Subjects of analyze_profile: users who are no guests, not deleted (S0-03), and have ten '
  'messages (S0-13), one of them new or edited since the last look.';

create function public.prepare_profile(subject text, options jsonb)
returns table (content text, context jsonb, input_hash text, skip_reason text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_least constant integer := 10;
  v_share constant numeric := coalesce((prepare_profile.options ->> 'share')::numeric, 1);
  v_most integer := 50;
  v_longest constant integer := 2000;
  v_user_id uuid;
  v_count integer;
begin
  select u.id into v_user_id
  from public.users as u
  where u.id::text = prepare_profile.subject and not u.is_guest and u.deleted_at is null;
  if not found then
    skip_reason := 'the user is gone, deleted or a guest';
    return next;
    return;
  end if;

  -- Where an answer about all of them was cut, a part of them.
  if v_share < 1 then
    select greatest(v_least, ceil(least(count(*), v_most) * v_share)) into v_most
    from public.messages as p
    where p.user_id = v_user_id and p.role = 'user' and p.deleted_at is null;
  end if;

  -- The hash is over ids and moments, never over rendered rows: these depend on the session.
  select count(*),
    string_agg(jsonb_build_object('id', l.short_id, 'at', l.at, 'text', l.text)::text,
      e'\n' order by l.nr),
    jsonb_object_agg(l.short_id, jsonb_build_object('id', l.id, 'version', l.version)),
    encode(sha256(string_agg(l.id || ' ' || l.version, e'\n' order by l.nr)::bytea), 'hex')
  into v_count, content, context, input_hash
  from (
    select m.id, m.nr, 'u' || m.nr as short_id,
      extract(epoch from m.updated_at)::text as version,
      to_char(m.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as at,
      left(m.content, v_longest) as text
    from (
      select n.*, row_number() over (order by n.created_at, n.id) as nr
      from (
        select p.id, p.content, p.created_at, p.updated_at
        from public.messages as p
        where p.user_id = v_user_id and p.role = 'user' and p.deleted_at is null
        order by p.created_at desc, p.id
        limit v_most
      ) as n
    ) as m
  ) as l;
  if v_count < v_least then
    content := null;
    context := null;
    input_hash := null;
    skip_reason := format('%s messages, and it takes %s', v_count, v_least);
  else
    content := e'The user''s messages, oldest first, one JSON object a line:\n' || content;
  end if;
  return next;
end
$$;

comment on function public.prepare_profile(text, jsonb) is
  'prepare of analyze_profile: the user''s last 50 messages that are not deleted, oldest first, at '
  'least 10 (S0-12, S0-13), each cut at 2,000 characters. options.share: of these the last part.';

create function public.trigger_analysis_step(batch_size integer)
returns bigint
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  select maintenance_internal.trigger_step('analyze', spread => '2 hours');
end;

comment on function public.trigger_analysis_step(integer) is
  'Step of trigger_analysis: trigger_jobs(''analyze''), spread over two hours; the counts are on '
  'the receipt.';
