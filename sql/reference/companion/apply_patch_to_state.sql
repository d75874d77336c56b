-- What a patch makes of a state: immutable, and the only place that knows what a patch says.
-- Rule S3-19.
--
-- A patch has eleven keys, each for one section of a state (state_sections); null leaves it as it
-- is. focus_panel_next takes the place of its section, fact_patch_add is added to its list, and all
-- others are merged into theirs, member by member; a member that is null goes. In these a list
-- (state_lists) is changed by two names of its own: LIST_add, whose items come last, in place of
-- those of the same key, and LIST_close, the keys of what goes. inventory_delta is added to counts,
-- experience_axes_delta to the axes.

create function public.state_sections()
returns table (section text, key text, types text[], holder text)
language sql
immutable
set search_path = pg_catalog, pg_temp
begin atomic
  values
    ('focus_panel', 'focus_panel_next', '{object,"null"}'::text[], 'conversation'),
    ('run_state', 'run_state_patch', '{object,"null"}', 'conversation'),
    ('plot_board', 'plot_board_patch', '{object,"null"}', 'conversation'),
    ('persona_system', 'persona_system_patch', '{object,"null"}', 'character'),
    ('ip_pack', 'ip_pack_patch', '{object,"null"}', 'character'),
    ('schedule_board', 'schedule_board_patch', '{object,"null"}', 'conversation'),
    ('ledger', 'ledger_patch', '{object,"null"}', 'conversation'),
    ('memory', 'memory_patch', '{object,"null"}', 'conversation'),
    ('style_guard', 'style_guard_patch', '{object,"null"}', 'character'),
    ('fact_patch', 'fact_patch_add', '{array,"null"}', 'conversation'),
    ('moderation_flags', 'moderation_flags', '{object,array,"null"}', 'conversation');
end;

comment on function public.state_sections() is
  'The sections of a state, the key of a patch that changes each, of which types that may be, and '
  'whether it is kept with the conversation or with the character.';

create function public.state_lists()
returns table (section text, list text, most integer, is_own boolean)
language sql
immutable
set search_path = pg_catalog, pg_temp
begin atomic
  values
    ('run_state', 'applied_patch_job_ids', 240, true),
    ('plot_board', 'open_threads', 60, false),
    ('plot_board', 'pending_scenes', 40, false),
    ('plot_board', 'beat_history', 80, false),
    ('ledger', 'event_log', 200, false),
    ('ledger', 'npc_database', 200, false),
    ('ledger', 'inventory', 200, false),
    ('ledger', 'relation_ledger', 120, false),
    ('memory', 'memory_b_recent', 20, true),
    ('memory', 'memory_c0_recent', 14, true),
    ('memory', 'memory_highlights', 60, true),
    ('memory', 'memory_biweekly_recent', 10, true),
    ('fact_patch', null, 60, false);
end;

comment on function public.state_lists() is
  'The lists of a state, the section that each is in, how many items it has at most (the last ones '
  'stay), and whether it is no patch''s business: what was applied, and what is remembered '
  '(memory_lists). fact_patch is a list itself.';

create function public.item_key(item jsonb)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return case jsonb_typeof(item)
  when 'object' then coalesce(item ->> 'key', item ->> 'id', item ->> 'name')
  when 'array' then null
  else item #>> '{}' end;

comment on function public.item_key(jsonb) is
  'By what an item of a list is known: its key, else its id, else its name; a text by itself. Null '
  'where it has none: then it is like no other.';

create function public.merge_list(list jsonb, add jsonb, close jsonb, most integer)
returns jsonb
language sql
immutable
set search_path = pg_catalog, pg_temp
return case when jsonb_typeof(list) = 'array' and add is null and close is null
    and jsonb_array_length(list) <= most then list else (
  with item as (
    select i.item, 0 as part, i.nr, public.item_key(i.item) as key
    from jsonb_array_elements(case jsonb_typeof(list) when 'array' then list else '[]' end)
      with ordinality as i (item, nr)
    union all
    select i.item, 1, i.nr, public.item_key(i.item)
    from jsonb_array_elements(case jsonb_typeof(add) when 'array' then add else '[]' end)
      with ordinality as i (item, nr)
    where i.item <> 'null'
  ), standing as (
    select i.item, row_number() over (order by i.part desc, i.nr desc) as back
    from (
      select i.*, bool_or(i.part = 1) over w as is_added,
        row_number() over (w order by i.part desc, i.nr desc) as again
      from item as i
      window w as (partition by i.key)
    ) as i
    left join (
      select distinct public.item_key(c.item) as key
      from jsonb_array_elements(case jsonb_typeof(close) when 'array' then close else '[]' end)
        as c (item)
    ) as c on c.key = i.key
    where c.key is null and (i.key is null or not i.is_added or i.again = 1)
  )
  select coalesce(jsonb_agg(s.item order by s.back desc), '[]')
  from standing as s
  where s.back <= most) end;

comment on function public.merge_list(jsonb, jsonb, jsonb, integer) is
  'A list, with what is added at its end in place of what has the same key, and without the keys '
  'that are closed: the last most items of it. What is no list is an empty one.';

create function public.merge_inventory(list jsonb, deltas jsonb, most integer)
returns jsonb
language sql
immutable
set search_path = pg_catalog, pg_temp
return (
  with delta as (
    select public.item_key(d.item) as key, max(d.nr) as nr,
      (array_agg(d.item - 'delta' order by d.nr))[1] as item,
      sum(greatest(-1e9, least(1e9, (d.item ->> 'delta')::numeric))) as delta
    from jsonb_array_elements(case jsonb_typeof(deltas) when 'array' then deltas else '[]' end)
      with ordinality as d (item, nr)
    where jsonb_typeof(d.item) = 'object' and jsonb_typeof(d.item -> 'delta') = 'number'
    group by 1
  ), had as (
    select distinct on (public.item_key(i.item)) public.item_key(i.item) as key, i.item
    from jsonb_array_elements(case jsonb_typeof(list) when 'array' then list else '[]' end)
      as i (item)
    where jsonb_typeof(i.item) = 'object'
  ), has as (
    select d.key, d.nr, coalesce(h.item, d.item) as item, greatest(0, least(1e9, d.delta
      + case jsonb_typeof(h.item -> 'count') when 'number' then (h.item ->> 'count')::numeric
        else 0 end)) as count
    from delta as d
    left join had as h on h.key = d.key
    where d.key is not null
  )
  select public.merge_list(list,
    jsonb_agg(h.item || jsonb_build_object('count', trim_scale(h.count)) order by h.nr)
      filter (where h.count > 0),
    jsonb_agg(h.key) filter (where h.count = 0), most)
  from has as h);

comment on function public.merge_inventory(jsonb, jsonb, integer) is
  'An inventory, each of whose counts is changed by the deltas of the same key; what is not there '
  'yet begins at 0, and of what nothing is left goes. The last most items of it.';

create function public.move_axes(axes jsonb, deltas jsonb, targets jsonb)
returns jsonb
language sql
immutable
set search_path = pg_catalog, pg_temp
return (
  with axis as (
    select a.axis,
      case jsonb_typeof(axes -> a.axis) when 'number'
        then greatest(0, least(1, (axes ->> a.axis)::numeric)) end as place,
      case jsonb_typeof(deltas -> a.axis) when 'number' then (deltas ->> a.axis)::numeric end
        as delta,
      case jsonb_typeof(targets -> a.axis) when 'number' then (targets ->> a.axis)::numeric end
        as target
    from unnest(array['intimacy', 'risk', 'information', 'action', 'relationship', 'growth'])
      as a (axis)
  )
  select nullif(
    case jsonb_typeof(axes) when 'object' then axes else '{}' end - array_agg(m.axis)
      || coalesce(jsonb_object_agg(m.axis, trim_scale(round(m.place, 6)))
        filter (where m.place is not null), '{}'), '{}')
  from (
    select a.axis, case when coalesce(a.delta, a.target) is null then a.place
      else greatest(0, least(1, coalesce(a.place, 0) + greatest(-0.2, least(0.2,
        coalesce(a.delta, a.target - coalesce(a.place, 0)))))) end as place
    from axis as a
  ) as m);

comment on function public.move_axes(jsonb, jsonb, jsonb) is
  'The six axes of experience, each moved by its delta, or towards its target, by 0.2 at most, and '
  'within 0 and 1; one that is no number is none, and begins at 0. Null where there is none.';

create function public.patch_fault(patch jsonb)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return case
  when patch is null or jsonb_typeof(patch) <> 'object' then 'it is no object'
  when length(patch::text) > 100000
    then format('it has %s characters, more than 100000', length(patch::text))
  else (
    select coalesce(
      'without ' || string_agg(s.key, ', ') filter (where not patch ? s.key),
      string_agg(format('%s is of type %s', s.key, jsonb_typeof(patch -> s.key)), ', ')
        filter (where jsonb_typeof(patch -> s.key) <> all (s.types)))
    from public.state_sections() as s)
  end;

comment on function public.patch_fault(jsonb) is
  'Why something is no patch: no object, without one of the eleven keys, one of another type, or '
  'more than 100,000 characters. Null where it is one.';

create function public.apply_patch_to_state(
  state jsonb,
  patch jsonb,
  patch_id uuid default null,
  holder text default null)
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_longest constant integer := 1000000;
  v_fault constant text := public.patch_fault(patch);
  v_state jsonb := case jsonb_typeof(state) when 'object' then state else '{}' end;
  v_section record;
  v_old jsonb;
  v_patch jsonb;
  v_new jsonb;
  v_list record;
  v_items jsonb;
  v_axes jsonb;
  v_length integer;
begin
  if v_fault is not null then
    raise exception 'this is no patch: %', v_fault using errcode = 'PM018';
  end if;
  if patch_id is not null
    and v_state #> '{run_state,applied_patch_job_ids}' @> jsonb_build_array(patch_id)
  then
    return state;
  end if;

  for v_section in
    select s.section, s.key from public.state_sections() as s
    where s.holder = coalesce(apply_patch_to_state.holder, s.holder)
  loop
    v_old := v_state -> v_section.section;
    v_patch := nullif(patch -> v_section.key, 'null');
    continue when v_old is null and v_patch is null;
    if v_section.section = 'fact_patch' then
      v_new := public.merge_list(v_old, v_patch, null, (
        select l.most from public.state_lists() as l where l.section = v_section.section));
    elsif v_section.section = 'focus_panel' or jsonb_typeof(v_patch) = 'array' then
      v_new := coalesce(v_patch, v_old);
    elsif v_patch is null and jsonb_typeof(v_old) <> 'object' then
      v_new := v_old;
    else
      v_old := case jsonb_typeof(v_old) when 'object' then v_old else '{}' end;
      v_new := (v_old || coalesce(v_patch, '{}')) - array(
        select m.key from jsonb_each(v_patch) as m where m.value = 'null');
      for v_list in
        select l.list, l.most, l.is_own
        from public.state_lists() as l where l.section = v_section.section
      loop
        if v_list.is_own then
          v_patch := v_patch - array[v_list.list, v_list.list || '_add', v_list.list || '_close'];
        end if;
        v_items := case jsonb_typeof(v_patch -> v_list.list) when 'array'
          then v_patch -> v_list.list else v_old -> v_list.list end;
        if v_list.list = 'inventory' then
          v_items := public.merge_inventory(v_items, v_patch -> 'inventory_delta', v_list.most);
        end if;
        v_items := public.merge_list(v_items, v_patch -> (v_list.list || '_add'),
          v_patch -> (v_list.list || '_close'), v_list.most);
        v_new := v_new - array[v_list.list, v_list.list || '_add', v_list.list || '_close']
          || case when v_items <> '[]' or v_old ? v_list.list
            then jsonb_build_object(v_list.list, v_items) else '{}' end;
      end loop;
      if v_section.section = 'plot_board' then
        v_axes := public.move_axes(v_old -> 'experience_axes',
          v_patch -> 'experience_axes_delta', v_patch -> 'experience_axes');
        v_new := v_new - array['experience_axes', 'experience_axes_delta']
          || case when v_axes is null then '{}'
            else jsonb_build_object('experience_axes', v_axes) end;
      elsif v_section.section = 'ledger' then
        v_new := v_new - 'inventory_delta';
      end if;
    end if;
    v_state := v_state || jsonb_build_object(v_section.section, v_new);
  end loop;

  -- What makes it no larger is taken all the same: how else could it become smaller. What was
  -- applied does not count.
  v_length := length(v_state::text);
  if v_length > v_longest
    and (jsonb_typeof(state) is distinct from 'object' or v_length > length(state::text))
  then
    raise exception 'the state would have % characters, more than %', v_length, v_longest
      using errcode = 'PM018';
  end if;
  if patch_id is not null then
    v_old := case jsonb_typeof(v_state -> 'run_state')
      when 'object' then v_state -> 'run_state' else '{}' end;
    v_state := v_state || jsonb_build_object('run_state', v_old || jsonb_build_object(
      'applied_patch_job_ids', public.merge_list(v_old -> 'applied_patch_job_ids',
        jsonb_build_array(patch_id), null, (
          select l.most from public.state_lists() as l where l.list = 'applied_patch_job_ids'))));
  end if;
  return v_state;
end
$$;

comment on function public.apply_patch_to_state(jsonb, jsonb, uuid, text) is
  'The state after a patch (S3-19). Lists keep their last items (state_lists), the axes move by '
  '0.2 at most and stay within 0 and 1, whatever state and patch say. patch_id: is remembered in '
  'run_state.applied_patch_job_ids, and a state that has it is returned as it is. holder: only the '
  'sections of a conversation, or of a character; all where it is left out. Errors: PM018 this is '
  'no patch, or the state would have more than 1,000,000 characters.';
