-- S3-19: what a patch makes of a state, case by case, and whatever state and patch may be.
begin;
create extension pgtap;
select plan(76);
create function pg_temp.patch(part jsonb default '{}') returns jsonb language sql as $$
  select jsonb_object_agg(s.key, null) || part from public.state_sections() as s $$;
create function pg_temp.items(n integer) returns jsonb language sql as $$
  select jsonb_agg(i order by i) from generate_series(1, n) as i $$;

select is((select provolatile::text from pg_proc where proname = 'apply_patch_to_state'), 'i', 'it is immutable');
select set_eq('select key from public.state_sections()', array['focus_panel_next', 'run_state_patch',
  'plot_board_patch', 'persona_system_patch', 'ip_pack_patch', 'schedule_board_patch', 'ledger_patch', 'memory_patch',
  'style_guard_patch', 'fact_patch_add', 'moderation_flags'], 'a patch has eleven keys');

-- state, patch, what becomes of it
create temporary table patch_case (what text, state jsonb, patch jsonb, becomes jsonb);
insert into patch_case values
  ('nothing leaves all as it is', '{"a": 1, "memory": {"x": [1]}, "fact_patch": ["f"]}', '{}',
    '{"a": 1, "memory": {"x": [1]}, "fact_patch": ["f"]}'),
  ('the focus panel is replaced', '{"focus_panel": {"scene": "beach", "mood": "calm"}}',
    '{"focus_panel_next": {"scene": "forest"}}', '{"focus_panel": {"scene": "forest"}}'),
  ('a section is made', '{}', '{"style_guard_patch": {"tone": "dry"}}', '{"style_guard": {"tone": "dry"}}'),
  ('and merged', '{"style_guard": {"tone": "dry", "deep": {"a": 1}}}',
    '{"style_guard_patch": {"deep": {"b": 2}}}', '{"style_guard": {"tone": "dry", "deep": {"b": 2}}}'),
  ('a member that is null goes', '{"style_guard": {"tone": "dry", "old": 1}}',
    '{"style_guard_patch": {"old": null, "new": null}}', '{"style_guard": {"tone": "dry"}}'),
  ('a section that is none gives way', '{"ledger": 7}', '{"ledger_patch": {"a": 1}}', '{"ledger": {"a": 1}}'),
  ('a state that is none is empty', '[1]', '{"ip_pack_patch": {"a": 1}}', '{"ip_pack": {"a": 1}}'),
  ('flags are merged', '{"moderation_flags": {"a": 1}}', '{"moderation_flags": {"b": 2}}',
    '{"moderation_flags": {"a": 1, "b": 2}}'),
  ('... or replaced by a list', '{"moderation_flags": {"a": 1}}', '{"moderation_flags": ["b"]}',
    '{"moderation_flags": ["b"]}'),
  ('facts are added', '{"fact_patch": ["a"]}', '{"fact_patch_add": ["b", null, {"key": "c"}]}',
    '{"fact_patch": ["a", "b", {"key": "c"}]}'),
  ('what has the same key gives way, and comes last', '{"fact_patch": [{"key": "a", "n": 1}, "b"]}',
    '{"fact_patch_add": [{"key": "a", "n": 2}]}', '{"fact_patch": ["b", {"key": "a", "n": 2}]}'),
  ('of two the last', '{}', '{"fact_patch_add": [{"key": "a", "n": 1}, {"key": "a", "n": 2}]}',
    '{"fact_patch": [{"key": "a", "n": 2}]}'),
  ('without a key it is like no other', '{"fact_patch": [{"n": 1}, [1]]}', '{"fact_patch_add": [{"n": 1}, [1]]}',
    '{"fact_patch": [{"n": 1}, [1], {"n": 1}, [1]]}'),
  ('an id or a name is a key', '{"fact_patch": [{"id": 5, "n": 1}, {"name": "x", "n": 1}]}',
    '{"fact_patch_add": [{"id": 5, "n": 2}, {"name": "x", "n": 2}]}',
    '{"fact_patch": [{"id": 5, "n": 2}, {"name": "x", "n": 2}]}'),
  ('threads are opened and closed', '{"plot_board": {"open_threads": ["a", {"key": "b"}, "c"]}}',
    '{"plot_board_patch": {"open_threads_add": ["d"], "open_threads_close": ["a", {"key": "b", "why": 1}, "zz"]}}',
    '{"plot_board": {"open_threads": ["c", "d"]}}'),
  ('what is both added and closed is closed', '{"plot_board": {}}',
    '{"plot_board_patch": {"open_threads_add": ["d"], "open_threads_close": ["d"]}}', '{"plot_board": {}}'),
  ('what is no list adds nothing', '{"plot_board": {"open_threads": ["a"]}}',
    '{"plot_board_patch": {"open_threads_add": "b", "open_threads_close": "a", "open_threads": {"x": 1}}}',
    '{"plot_board": {"open_threads": ["a"]}}'),
  ('a whole list takes its place', '{"plot_board": {"open_threads": ["a"]}}',
    '{"plot_board_patch": {"open_threads": ["b"]}}', '{"plot_board": {"open_threads": ["b"]}}'),
  ('a list that is none is empty', '{"plot_board": {"open_threads": "a"}}',
    '{"plot_board_patch": {"open_threads_add": ["b"]}}', '{"plot_board": {"open_threads": ["b"]}}'),
  ('counts are added up', '{"ledger": {"inventory": [{"key": "coin", "count": 3, "of": "gold"}, {"key": "rope"}]}}',
    '{"ledger_patch": {"inventory_delta": [{"key": "coin", "delta": -1}, {"key": "rope", "delta": 2},
      {"name": "map", "delta": 1}, {"key": "coin", "delta": 5}]}}',
    '{"ledger": {"inventory": [{"key": "rope", "count": 2}, {"name": "map", "count": 1},
      {"key": "coin", "count": 7, "of": "gold"}]}}'),
  ('of what nothing is left goes', '{"ledger": {"inventory": [{"key": "coin", "count": 3}, "rope"]}}',
    '{"ledger_patch": {"inventory_delta": [{"key": "coin", "delta": -3}, {"key": "none", "delta": -1}]}}',
    '{"ledger": {"inventory": ["rope"]}}'),
  ('a delta that is none counts for nothing', '{"ledger": {"inventory": [{"key": "coin", "count": 3}]}}',
    '{"ledger_patch": {"inventory_delta": [{"key": "coin", "delta": "5"}, {"delta": 5}, 5, null]}}',
    '{"ledger": {"inventory": [{"key": "coin", "count": 3}]}}'),
  ('an axis moves', '{"plot_board": {"experience_axes": {"risk": 0.5, "other": "x"}}}',
    '{"plot_board_patch": {"experience_axes_delta": {"risk": 0.1, "growth": 0.05, "unknown": 1}}}',
    '{"plot_board": {"experience_axes": {"risk": 0.6, "growth": 0.05, "other": "x"}}}'),
  ('by 0.2 at most', '{"plot_board": {"experience_axes": {"risk": 0.5, "action": 0.5}}}',
    '{"plot_board_patch": {"experience_axes_delta": {"risk": 0.9, "action": -1e300}}}',
    '{"plot_board": {"experience_axes": {"risk": 0.7, "action": 0.3}}}'),
  ('within 0 and 1', '{"plot_board": {"experience_axes": {"risk": 0.95, "action": 0.05, "growth": 7, "intimacy": -3}}}',
    '{"plot_board_patch": {"experience_axes_delta": {"risk": 0.2, "action": -0.2}}}',
    '{"plot_board": {"experience_axes": {"risk": 1, "action": 0, "growth": 1, "intimacy": 0}}}'),
  ('towards where it is set to', '{"plot_board": {"experience_axes": {"risk": 0.5, "action": "high"}}}',
    '{"plot_board_patch": {"experience_axes": {"risk": 0.95, "action": 0.1}}}',
    '{"plot_board": {"experience_axes": {"risk": 0.7, "action": 0.1}}}'),
  ('a delta that is no number moves nothing', '{"plot_board": {"experience_axes": {"risk": 0.5}}}',
    '{"plot_board_patch": {"experience_axes_delta": {"risk": "0.1"}, "experience_axes": 3}}',
    '{"plot_board": {"experience_axes": {"risk": 0.5}}}'),
  ('a patch says nothing of what was applied', '{"run_state": {"applied_patch_job_ids": ["x"]}}',
    '{"run_state_patch": {"applied_patch_job_ids": [], "applied_patch_job_ids_close": ["x"], "phase": "two"}}',
    '{"run_state": {"applied_patch_job_ids": ["x"], "phase": "two"}}');
select is(public.apply_patch_to_state(state, pg_temp.patch(patch)), becomes, what) from patch_case;

-- Each list, one longer than it may be, however it has become so.
select is(
  public.apply_patch_to_state(case when list is null then jsonb_build_object(section, pg_temp.items(most))
    else jsonb_build_object(section, jsonb_build_object(list, pg_temp.items(most))) end,
    pg_temp.patch(jsonb_build_object(section || coalesce('_patch', ''), null)
      || case when list is null then jsonb_build_object(section || '_add', '["new"]'::jsonb)
        else jsonb_build_object(section || '_patch', jsonb_build_object(list || '_add', '["new"]'::jsonb)) end))
    #> case when list is null then array[section] else array[section, list] end,
  (pg_temp.items(most) - 0) || '["new"]', format('%s keeps %s', coalesce(list, section), most))
from public.state_lists() where not is_own order by section, list;
select is(jsonb_array_length(public.apply_patch_to_state(jsonb_build_object(section,
    jsonb_build_object(list, pg_temp.items(300))), pg_temp.patch()) #> array[section, list]), most,
  format('%s is cut to %s where it was longer before', list, most))
from public.state_lists() where list is not null order by section, list;

select is(public.apply_patch_to_state(jsonb_build_object(section, jsonb_build_object(list, '["a"]'::jsonb)),
    pg_temp.patch(jsonb_build_object(section || '_patch', jsonb_build_object(list, '[]'::jsonb, list || '_add',
      '["b"]'::jsonb, list || '_close', '["a"]'::jsonb)))),
  jsonb_build_object(section, jsonb_build_object(list, '["a"]'::jsonb)), list || ' is no patch''s business')
from public.state_lists() where is_own order by section, list;
-- Many deltas are one pass.
set local statement_timeout = '20s';
select is(jsonb_array_length(public.apply_patch_to_state('{}', pg_temp.patch(jsonb_build_object('ledger_patch',
    jsonb_build_object('inventory_delta', (select jsonb_agg(jsonb_build_object('key', 'k' || i, 'delta', i))
      from generate_series(1, 3000) as i))))) #> '{ledger,inventory}'), 200, 'of 3,000 things the last 200 are kept');
select is(jsonb_array_length(public.apply_patch_to_state(jsonb_build_object('ledger', jsonb_build_object('event_log',
    (select jsonb_agg('e' || i) from generate_series(1, 5000) as i))), pg_temp.patch(jsonb_build_object('ledger_patch',
    jsonb_build_object('event_log_close', (select jsonb_agg('e' || i) from generate_series(1, 4900) as i)))))
  #> '{ledger,event_log}'), 100, 'and of 5,000 events 4,900 are closed at once');
set local statement_timeout = 0;

-- The id of a patch.
select is(public.apply_patch_to_state('{}', pg_temp.patch('{"ip_pack_patch": {"a": 1}}'), pg_temp.u),
  '{"ip_pack": {"a": 1}, "run_state": {"applied_patch_job_ids": ["00000000-0000-0000-0000-000000000001"]}}',
  'S3-09: the id of a patch is remembered')
from (select '00000000-0000-0000-0000-000000000001'::uuid as u) as pg_temp;
select is(jsonb_path_query_array(public.apply_patch_to_state(jsonb_build_object('run_state', jsonb_build_object(
    'applied_patch_job_ids', (select jsonb_agg(lpad(i::text, 32, '0')::uuid order by i)
      from generate_series(1, 240) as i))), pg_temp.patch(), lpad('241', 32, '0')::uuid),
    '$.run_state.applied_patch_job_ids[0, last]'),
  jsonb_build_array(lpad('2', 32, '0')::uuid, lpad('241', 32, '0')::uuid), 'S3-09: the last 240 are');
select is(public.apply_patch_to_state('{"b": 1}',
    pg_temp.patch('{"ip_pack_patch": {"a": 1}, "memory_patch": {"a": 1}}'),
  null, h.holder), h.becomes, format('to a %s only what is its own', h.holder))
from (values ('character', '{"b": 1, "ip_pack": {"a": 1}}'::jsonb), ('conversation', '{"b": 1, "memory": {"a": 1}}'))
  as h (holder, becomes);

-- What is no patch.
select throws_ok(format('select public.apply_patch_to_state(%L, %L)', '{}', p.patch), 'PM018', p.said, p.said)
from (values
  (null, 'this is no patch: it is no object'),
  ('[]', 'this is no patch: it is no object'),
  ((pg_temp.patch() - '{memory_patch,fact_patch_add}'::text[])::text,
    'this is no patch: without memory_patch, fact_patch_add'),
  (pg_temp.patch('{"ledger_patch": [], "fact_patch_add": {}}')::text,
    'this is no patch: ledger_patch is of type array, fact_patch_add is of type object'),
  (pg_temp.patch(jsonb_build_object('ledger_patch', jsonb_build_object('x', repeat('x', 100000))))::text,
    'this is no patch: it has 100286 characters, more than 100000')
) as p (patch, said);
select throws_ok(format('select public.apply_patch_to_state(%L, %L)', jsonb_build_object('x', repeat('x', 1000000)),
  pg_temp.patch('{"ip_pack_patch": {"a": 1}}')), 'PM018', 'the state would have 1000030 characters, more than 1000000',
  'a state has an end');
select is(length(public.apply_patch_to_state(jsonb_build_object('x', repeat('x', 1000000)), pg_temp.patch(),
    gen_random_uuid())::text) > 1000000, true, '... but what adds nothing is taken');
select is(public.apply_patch_to_state(jsonb_build_object('memory', jsonb_build_object('x', repeat('x', 1000000), 'y',
  1)),
    pg_temp.patch('{"memory_patch": {"x": null}}')), '{"memory": {"y": 1}}', '... and what makes it smaller');

-- Any patch, on any state: made of what is right and what is not.
select setseed(0.34);
create function pg_temp.pick(variadic choices jsonb[]) returns jsonb language sql volatile
as $$ select choices[1 + floor(random() * cardinality(choices))::integer] $$;
create function pg_temp.value() returns jsonb language sql volatile
as $$ select pg_temp.pick('null', '{}', '[]', '1', '"a"', '-1e300', '0.3', '{"key": "a"}', '{"a": [1]}', 'true') $$;
create function pg_temp.list() returns jsonb language sql volatile as $$
  select case when random() < 0.1 then pg_temp.value() else coalesce((
    select jsonb_agg(case when random() < 0.2 then pg_temp.value()
      when random() < 0.5 then to_jsonb('k' || floor(random() * 400)::text)
      else jsonb_build_object(pg_temp.pick('"key"', '"id"', '"name"', '"n"') #>> '{}', floor(random() * 400),
        'delta', pg_temp.value(), 'count', pg_temp.value()) end)
    from generate_series(1, (random() ^ 4 * 300)::integer)), '[]') end $$;
create function pg_temp.axes() returns jsonb language sql volatile as $$
  select case when random() < 0.1 then pg_temp.value() else jsonb_object_agg(a, case when random() < 0.2
    then pg_temp.value() else to_jsonb(random() * 3 - 1) end) end from unnest(array['risk', 'growth', 'other']) as a $$;
create function pg_temp.section(name text, suffixes text[]) returns jsonb language plpgsql volatile as $$
begin
  if random() < 0.1 then return pg_temp.value(); end if;
  if name like 'fact_patch%' then return pg_temp.list(); end if;
  return '{"x": 1}'::jsonb || coalesce((select jsonb_object_agg(l.list || s, pg_temp.list())
      from public.state_lists() as l, unnest(suffixes) as s where l.section = name and random() < 0.5), '{}')
    || case when name = 'plot_board' and random() < 0.7 then jsonb_build_object('experience_axes', pg_temp.axes())
      else '{}' end
    || case when name = 'plot_board' and random() < 0.7 and '_add' = any (suffixes)
      then jsonb_build_object('experience_axes_delta', pg_temp.axes()) else '{}' end;
end $$;
create function pg_temp.number(value jsonb) returns numeric language sql as $$
  select case jsonb_typeof(value) when 'number' then greatest(0, least(1, value::numeric)) else 0 end $$;
create temporary table outcome (state jsonb, patch jsonb, becomes jsonb, again jsonb, said text);
do $$
declare v_state jsonb; v_patch jsonb; v_becomes jsonb; v_again jsonb;
begin
  for i in 1 .. 300 loop
    select case when random() < 0.1 then pg_temp.value()
      else jsonb_object_agg(s.section, pg_temp.section(s.section, '{""}')) filter (where random() < 0.7) end,
      jsonb_object_agg(s.key, pg_temp.section(s.section, array['', '_add', '_close', '_delta']))
        filter (where random() < 0.99)
    into v_state, v_patch from public.state_sections() as s;
    begin
      v_becomes := public.apply_patch_to_state(v_state, v_patch, lpad(i::text, 32, '0')::uuid);
      v_again := public.apply_patch_to_state(v_becomes, v_patch, lpad(i::text, 32, '0')::uuid);
      insert into outcome values (v_state, v_patch, v_becomes, v_again);
    exception when sqlstate 'PM018' then
      insert into outcome values (v_state, v_patch, null, null, sqlerrm);
    end;
  end loop;
end $$;
select cmp_ok((select count(*) from outcome where said is null), '>', 100::bigint,
  'of 300 random patches many are applied');
select cmp_ok((select count(*) from outcome where said ~ '^this is no patch'), '>', 30::bigint, '... others are none');
select is_empty($$select said from outcome where said !~ '^this is no patch'$$, 'and nothing else is wrong with any');
select is_empty($$select 1 from outcome where again <> becomes$$, 'S3-09: twice with the same id changes nothing more');
select is_empty($$select l.list, becomes from outcome, public.state_lists() as l
  where jsonb_array_length(case jsonb_typeof(becomes #> array_remove(array[l.section, l.list], null))
    when 'array' then becomes #> array_remove(array[l.section, l.list], null) else '[]' end) > l.most$$,
  'no list is longer than it may be');
select is_empty($$select a, state, patch, becomes from outcome, unnest(array['risk', 'growth']) as a
  where becomes #> array['plot_board', 'experience_axes', a] is not null and (
    (becomes #>> array['plot_board', 'experience_axes', a])::numeric not between 0 and 1
    or abs((becomes #>> array['plot_board', 'experience_axes', a])::numeric
      - pg_temp.number(state #> array['plot_board', 'experience_axes', a])) > 0.200001)$$,
  'no axis leaves its range, or moves by more than 0.2');
select is_empty($$select becomes from outcome, jsonb_array_elements(case
    jsonb_typeof(becomes #> '{ledger,inventory}') when 'array' then becomes #> '{ledger,inventory}' else '[]' end) as i
  where i ? 'count' and patch #> '{ledger_patch,inventory_delta}' is not null
    and not state::text || patch::text ~ '"count": (-|0|"|\{|\[|n|t)' and (i ->> 'count')::numeric <= 0$$,
  'no count is below what there can be');
select * from finish();
rollback;
