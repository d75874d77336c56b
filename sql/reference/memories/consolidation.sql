-- Consolidation: a model reads a user's memories and nominates duplicates and contradictions; SQL
-- decides (apply_consolidation). Rules S0-07 to S0-11.

create function public.consolidation_subjects()
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select u.id::text
  from (
    select m.user_id, max(m.updated_at) as changed_at
    from public.memories as m
    where m.status = 'active'
    group by m.user_id
    having count(*) >= 5
  ) as a
  join public.users as u on u.id = a.user_id
  left join maintenance.last_looks('consolidate_memories') as l on l.subject = u.id::text
  where not u.is_guest and u.deleted_at is null
    and (l.looked_at is null or a.changed_at >= l.looked_at);
end;

comment on function public.consolidation_subjects() is
  'Subjects of consolidate_memories: users who are no guests, not deleted, and have five active '
  'memories (S0-07), one of them new or edited since the last look.';

create function public.prepare_consolidation(subject text, options jsonb)
returns table (content text, context jsonb, input_hash text, skip_reason text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_least constant integer := 5;
  v_share constant numeric := coalesce((prepare_consolidation.options ->> 'share')::numeric, 1);
  v_most integer := 200;
  v_longest constant integer := 2000;
  v_user_id uuid;
  v_count integer;
  v_rows jsonb;
begin
  select u.id into v_user_id
  from public.users as u
  where u.id::text = prepare_consolidation.subject and not u.is_guest and u.deleted_at is null;
  if not found then
    skip_reason := 'the user is gone, deleted or a guest';
    return next;
    return;
  end if;

  -- Where an answer about all of them was cut, a part of them.
  if v_share < 1 then
    select greatest(v_least, ceil(least(count(*), v_most) * v_share)) into v_most
    from public.memories as a
    where a.user_id = v_user_id and a.status = 'active';
  end if;
  select count(*),
    string_agg(jsonb_build_object('id', s.short_id, 'key', s.key,
      'text', left(s.content, v_longest), 'category', s.category, 'pinned', s.pinned,
      'observed_at', to_char(s.observed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
      )::text, e'\n' order by s.nr),
    jsonb_object_agg(s.short_id, jsonb_build_object('id', s.id, 'version', s.version)),
    public.memory_hash(array_agg(s.id || ' ' || s.version))
  into v_count, content, v_rows, input_hash
  from (
    select l.*, 'm' || l.nr as short_id
    from (
      select m.*, row_number() over (order by m.observed_at, m.id) as nr
      from (
        select a.*
        from public.memories as a
        where a.user_id = v_user_id and a.status = 'active'
        order by a.observed_at desc, a.id
        limit v_most
      ) as m
    ) as l
  ) as s;
  if v_count < v_least then
    content := null;
    input_hash := null;
    skip_reason := format('%s memories, and it takes %s', v_count, v_least);
  else
    content := e'The memories, oldest first, one JSON object a line:\n' || content;
    context := jsonb_build_object('rows', v_rows, 'apart', (
      select coalesce(jsonb_agg(u.keys), '[]')
      from maintenance_internal.undone_keys(
        'consolidate_memories', prepare_consolidation.subject) as u));
  end if;
  return next;
end
$$;

comment on function public.prepare_consolidation(text, jsonb) is
  'prepare of consolidate_memories: the user''s active memories, the 200 last observed, oldest '
  'first, at least 5 (S0-07, S0-08), each cut at 2,000 characters; and the sets of memories that '
  'an undo has taken apart.';

create function public.trigger_consolidation_step(batch_size integer)
returns bigint
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  select maintenance_internal.trigger_step('consolidate', spread => '2 hours');
end;

comment on function public.trigger_consolidation_step(integer) is
  'Step of trigger_consolidation: trigger_jobs(''consolidate''), spread over two hours; the counts '
  'are on the receipt.';
