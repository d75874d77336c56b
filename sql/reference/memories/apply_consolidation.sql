-- What a consolidation may do to memories: retire several for one. The answer is hostile input: an
-- operation that is not beyond doubt is refused with its reason, and the others stand.

create function public.memory_hash(p_lines text[])
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return (
  select encode(sha256(string_agg(l, e'\n' order by l collate "C")::bytea), 'hex')
  from unnest(p_lines) as l);

comment on function public.memory_hash(text[]) is
  'The hash of a set of memories, given as "id version" each.';

create function public.check_consolidation(
  p_operation jsonb,
  p_context jsonb,
  p_used text[],
  out ids text[],
  out reason text)
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
  with named as (
    select
      case when jsonb_typeof(p_operation -> 'ids') = 'array' then array(
        select distinct i.id #>> '{}'
        from jsonb_array_elements(p_operation -> 'ids') as i (id)
        where jsonb_typeof(i.id) = 'string' and p_context -> 'rows' ? (i.id #>> '{}'))
      else '{}' end as ids,
      case when jsonb_typeof(p_operation -> 'ids') = 'array' then exists (
        select from jsonb_array_elements(p_operation -> 'ids') as i (id)
        where jsonb_typeof(i.id) <> 'string' or not p_context -> 'rows' ? (i.id #>> '{}'))
      end as unknown
  )
  select n.ids,
    case
      when jsonb_typeof(p_operation) <> 'object' then 'not an object'
      when p_operation ->> 'op' is null or p_operation ->> 'op' not in ('merge', 'supersede')
        then 'no such operation'
      when n.unknown is null then 'its ids are not a list'
      when n.unknown then 'an id that was not shown'
      when cardinality(n.ids) < 2 then 'it takes two memories'
      when n.ids && p_used then 'an id that an earlier operation has named'
      when jsonb_typeof(p_operation -> 'key') not in ('string', 'null')
        or jsonb_typeof(p_operation -> 'text') not in ('string', 'null')
        then 'its key or its text is not a text'
      when exists (
        select from jsonb_array_elements(p_context -> 'apart') as a (keys)
        where 2 <= (
          select count(*) from unnest(n.ids) as i (id)
          where a.keys ? (p_context #>> array['rows', i.id, 'id'])))
        then 'an undo took these apart'
    end
  from named as n
$$;

comment on function public.check_consolidation(jsonb, jsonb, text[]) is
  'What can be said of an operation without a look at the rows: the short ids in it that were '
  'shown, and the reason why it is refused, or null. p_used: the ids of the operations before it.';

create function public.apply_consolidation(
  subject text,
  context jsonb,
  answer jsonb,
  options jsonb)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_longest constant integer := 2000;
  v_longest_key constant integer := 100;
  v_operations constant jsonb := answer -> 'operations';
  v_user_id uuid;
  v_active bigint;
  v_operation jsonb;
  v_ids text[];
  v_used text[] := '{}'::text[];
  v_reason text;
  v_sources public.memories[];
  v_newest public.memories;
  v_losers uuid[];
  v_winner uuid;
  v_merged public.memories;
  v_rows jsonb;
  v_changes jsonb := '[]'::jsonb;
  v_retired uuid[] := '{}'::uuid[];
  v_added uuid[] := '{}'::uuid[];
begin
  if jsonb_typeof(v_operations) is distinct from 'array'
    or jsonb_array_length(v_operations) > (
      select count(*) from jsonb_object_keys(apply_consolidation.context -> 'rows'))
  then
    raise exception 'operations are not a list, or are more than there are memories'
      using errcode = 'PM018';
  end if;

  -- The user is held, so that nobody deletes it before the commit; the rows, in the order of ids.
  select u.id into v_user_id
  from public.users as u
  where u.id::text = apply_consolidation.subject and u.deleted_at is null
  for key share;
  perform from public.memories as m
  where m.user_id = v_user_id and m.id in (
    select (r.value ->> 'id')::uuid
    from jsonb_each(apply_consolidation.context -> 'rows') as r
    where jsonb_path_exists(v_operations, '$[*].ids[*] ? (@ == $id)',
      jsonb_build_object('id', r.key)))
  order by m.id
  for update;
  select count(*) into v_active
  from public.memories as m where m.user_id = v_user_id and m.status = 'active';

  for v_operation in select o.value from jsonb_array_elements(v_operations) as o loop
    select c.ids, c.reason into v_ids, v_reason
    from public.check_consolidation(v_operation, apply_consolidation.context, v_used) as c;
    v_used := v_used || v_ids;
    v_rows := '[]';

    v_sources := array(
      select m
      from unnest(v_ids) as i (id)
      join public.memories as m
        on m.id = (apply_consolidation.context #>> array['rows', i.id, 'id'])::uuid
      where m.user_id = v_user_id
        and m.version = (apply_consolidation.context #>> array['rows', i.id, 'version'])::integer
      order by m.pinned or m.origin = 'user' desc, m.observed_at desc, m.id);
    -- The first one is what a supersede keeps, and the newest where a merge is allowed at all.
    v_newest := v_sources[1];
    select array_agg(s.id order by s.id)
      filter (where s.id <> v_newest.id or v_operation ->> 'op' = 'merge')
    into v_losers
    from unnest(v_sources) as s;
    v_reason := coalesce(v_reason, case
      when cardinality(v_sources) < cardinality(v_ids)
        then 'a memory has changed since it was shown'
      when exists (
        select from unnest(v_sources) as s
        where s.id = any (v_losers) and (s.pinned or s.origin = 'user'))
        then 'a memory is pinned, or the user''s own word'
      when v_operation ->> 'op' = 'supersede' and not (v_newest.pinned or v_newest.origin = 'user')
        and v_newest.observed_at = v_sources[2].observed_at
        then 'no telling which one is the later'
    end);

    if v_reason is null and v_operation ->> 'op' = 'merge' then
      v_merged := null;
      v_merged.id := gen_random_uuid();
      v_merged.key := coalesce(nullif(v_operation ->> 'key', ''), v_newest.key);
      v_merged.content := coalesce(nullif(btrim(v_operation ->> 'text'), ''), v_newest.content);
      v_reason := case
        when v_merged.key <> all (array(select s.key from unnest(v_sources) as s))
          and (v_merged.key !~ '^[a-z0-9]+(_[a-z0-9]+)*$' or length(v_merged.key) > v_longest_key)
          then 'its key is not in snake_case, or too long'
        when v_merged.content <> v_newest.content
          and length(v_merged.content) > least(v_longest, 1.2 * (
            select sum(length(s.content)) from unnest(v_sources) as s))
          then 'its text is longer than what it stands for'
      end;
    end if;

    if v_reason is null then
      v_winner := case v_operation ->> 'op' when 'merge' then v_merged.id else v_newest.id end;
      begin
        with was as (
          select m.* from public.memories as m where m.id = any (v_losers)
        ), retired as (
          update public.memories as m
          set status = case v_operation ->> 'op' when 'merge' then 'merged' else 'superseded' end,
            superseded_by = v_winner
          where m.id = any (v_losers)
          returning m.*
        )
        select jsonb_agg(jsonb_build_object('table', 'public.memories', 'before', to_jsonb(was),
          'after', to_jsonb(retired)) order by was.id)
        into v_rows
        from was join retired on retired.id = was.id;
        if v_operation ->> 'op' = 'merge' then
          insert into public.memories as m (id, user_id, key, content, category, confidence, origin,
            merged_from, observed_at)
          values (v_merged.id, v_user_id, v_merged.key, v_merged.content, v_newest.category,
            (select max(s.confidence) from unnest(v_sources) as s), 'consolidation', v_losers,
            v_newest.observed_at)
          returning m.* into v_merged;
          v_rows := v_rows || jsonb_build_object(
            'table', 'public.memories', 'before', null, 'after', to_jsonb(v_merged));
          v_added := v_added || v_merged.id;
        end if;
        v_retired := v_retired || v_losers;
      exception when unique_violation then
        v_reason := 'its key is that of another memory';
        v_rows := '[]';
      end;
    end if;

    v_changes := v_changes || jsonb_build_object(
      'op', case when v_operation ->> 'op' in ('merge', 'supersede') then v_operation ->> 'op' end,
      'outcome', case when v_reason is null then 'applied' else 'refused' end,
      'reason', v_reason,
      'note', left(v_operation ->> 'reason', 120),
      'keys', (
        select coalesce(jsonb_agg(apply_consolidation.context #>> array['rows', i.id, 'id']
          order by i.id), '[]')
        from unnest(v_ids) as i (id)),
      'rows', v_rows);
  end loop;

  if cardinality(v_retired) > greatest(3, 0.3 * v_active)
    and not (apply_consolidation.options ->> 'approved')::boolean
  then
    raise exception 'it would retire % of % memories', cardinality(v_retired), v_active
      using errcode = 'PM017';
  end if;
  return jsonb_build_object(
    'applied', (select count(*) from jsonb_array_elements(v_changes) as c
      where c ->> 'outcome' = 'applied'),
    'refused', (select count(*) from jsonb_array_elements(v_changes) as c
      where c ->> 'outcome' = 'refused'),
    'retired', cardinality(v_retired),
    'added', cardinality(v_added),
    'changes', v_changes,
    -- As the next prepare will see them, if nobody else changes any: then it need not ask again.
    'input_hash', public.memory_hash(array(
      select (r.value ->> 'id') || ' ' || (r.value ->> 'version')
      from jsonb_each(apply_consolidation.context -> 'rows') as r
      where (r.value ->> 'id')::uuid <> all (v_retired)
      union all
      select a.id || ' 1' from unnest(v_added) as a (id))));
end
$$;

comment on function public.apply_consolidation(text, jsonb, jsonb, jsonb) is
  'apply of consolidate_memories (S0-09, S0-10). merge retires its memories and adds one; '
  'supersede retires all but the pinned one, else the user''s own, else the last observed. '
  'Refused, one by one: an unknown operation or id, less than two memories, an id that an '
  'earlier operation named, a memory that has changed, a pinned one or the user''s own as loser, '
  'two of the same time, what an undo took apart, a key that is taken, a text that is too long. '
  'Returns {applied, refused, retired, added}. Errors: PM017 more than 3 and more than 30 % of '
  'the memories would go, PM018 the answer has not the shape that was asked for.';
