-- What is remembered of a conversation is in its state, too: the last of each level, in the order
-- of their time. A trigger writes it, as one more writer that goes by versions (C-24).

create function public.memory_lists(conversation_id uuid)
returns jsonb
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  with kept as (
    select jsonb_object_agg(l.list, l.most) as most
    from public.state_lists() as l where l.section = 'memory'
  ), bucket as (
    select e.bucket_start, e.summary, e.open_loops, e.tags,
      to_char(e.bucket_start at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as key
    from public.memory_b_episodes as e
    where e.conversation_id = memory_lists.conversation_id
    order by e.bucket_start desc
    limit (select (k.most ->> 'memory_b_recent')::integer from kept as k)
  ), day as (
    select e.day_start, e.c0_summary, e.c2_user_profile, e.c3_role_profile,
      to_char(e.day_start at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as key
    from public.memory_daily as e
    where e.conversation_id = memory_lists.conversation_id
    order by e.day_start desc
    limit (select (k.most ->> 'memory_c0_recent')::integer from kept as k)
  ), highlight as (
    select to_char(d.day_start at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"#') || h.nr as key,
      h.text, row_number() over (order by d.day_start desc, h.nr desc) as back
    from (
      select e.day_start, e.c1_highlights
      from public.memory_daily as e
      where e.conversation_id = memory_lists.conversation_id and e.c1_highlights <> '[]'
      order by e.day_start desc
      limit (select (k.most ->> 'memory_highlights')::integer from kept as k)
    ) as d
    cross join lateral jsonb_array_elements(
      case jsonb_typeof(d.c1_highlights) when 'array' then d.c1_highlights else '[]' end)
      with ordinality as h (text, nr)
  ), weeks as (
    select e.period_start, e.summary,
      to_char(e.period_start at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as key
    from public.memory_biweekly as e
    where e.conversation_id = memory_lists.conversation_id
    order by e.period_start desc
    limit (select (k.most ->> 'memory_biweekly_recent')::integer from kept as k)
  )
  select jsonb_build_object(
    'memory_b_recent', (
      select coalesce(jsonb_agg(jsonb_build_object('key', b.key, 'summary', b.summary,
        'open_loops', b.open_loops, 'tags', b.tags) order by b.bucket_start), '[]')
      from bucket as b),
    'memory_c0_recent', (
      select coalesce(jsonb_agg(jsonb_build_object('key', d.key, 'summary', d.c0_summary,
        'user', d.c2_user_profile, 'role', d.c3_role_profile) order by d.day_start), '[]')
      from day as d),
    'memory_highlights', (
      select coalesce(jsonb_agg(jsonb_build_object('key', h.key, 'text', h.text)
        order by h.back desc), '[]')
      from highlight as h where h.back <= (k.most ->> 'memory_highlights')::integer),
    'memory_biweekly_recent', (
      select coalesce(jsonb_agg(jsonb_build_object('key', w.key, 'summary', w.summary)
        order by w.period_start), '[]')
      from weeks as w))
  from kept as k;
end;

comment on function public.memory_lists(uuid) is
  'What a state says of what is remembered of its conversation: the last of each level.';

create function public.remember_in_state()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_ids constant uuid[] := case tg_op when 'INSERT' then array[new.conversation_id]
    when 'DELETE' then array[old.conversation_id]
    else array[new.conversation_id, old.conversation_id] end;
begin
  -- First its row, then what is remembered: of two at once the second sees both.
  perform from public.conversation_states as c
  where c.conversation_id = any (v_ids)
  order by c.conversation_id
  for no key update;
  update public.conversation_states as c
  set version = c.version + 1, state = c.state || jsonb_build_object('memory',
    case jsonb_typeof(c.state -> 'memory') when 'object' then c.state -> 'memory' else '{}' end
      || public.memory_lists(c.conversation_id))
  where c.conversation_id = any (v_ids);
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
