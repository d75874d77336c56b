-- A thousand random answers about twenty users, some undone again: no row is lost, no other user's row
-- changes, every source has one fate, and what was applied can be put back byte by byte.
begin;
create extension pgtap;
\ir consolidation.psql
select plan(12);
create temporary table bob as select m::text as row from public.memories as m where user_id = pg_temp.u(2);

create function pg_temp.pick(variadic choices text[]) returns text language sql volatile
as $$ select choices[1 + floor(random() * cardinality(choices))::integer] $$;
create function pg_temp.random_ids() returns text language sql volatile
as $$ select '[' || string_agg(case when random() < 0.97 then format('"m%s"', 1 + floor(random() * 14)::integer)
    else pg_temp.pick('"m0"', '"M1"', '1', 'null', '["m1"]', '"00000000-0000-0000-0000-000000000021"', '""') end, ',')
      || ']'
  from generate_series(1, case when random() < 0.05 then 12 else 1 + floor(random() * 4)::integer end) $$;
create function pg_temp.random_operation() returns text language plpgsql volatile
as $$
begin
  if random() < 0.1 then return pg_temp.pick('null', '[]', '1', '"merge"', '{}', '{"op": null, "ids": null}'); end if;
  return '{' || concat_ws(', ',
    '"op": ' || case when random() < 0.9 then pg_temp.pick('"merge"', '"supersede"')
      else pg_temp.pick('"delete"', '"MERGE"', '1') end,
    case when random() < 0.97 then '"ids": ' || case when random() < 0.95 then pg_temp.random_ids()
      else pg_temp.pick('"m1"', '{}', '3') end end,
    case when random() < 0.5 then '"key": ' || pg_temp.pick('"fact_1"', '"new_key"', '"A key"', 'null', '""', '7',
      '"allergy"', to_json('k' || random())::text) end,
    case when random() < 0.5 then '"text": ' || pg_temp.pick('"Fact"', '""', '"  "', 'null', '{}',
      to_json(repeat('long ', 500))::text, '"\u0001 \ud83d\ude00"') end,
    case when random() < 0.9 then '"reason": ' || pg_temp.pick('"alike"', 'null', '[1]',
      to_json(repeat('so ', 100))::text) end) || '}';
end
$$;

select setseed(0.2026);
create temporary table outcome (nr integer, task_id bigint, answer text, result jsonb, undone jsonb, lost boolean,
  foreign_change boolean, wrong_undo boolean);
do $$
declare v_answer text; v_task maintenance.task; v_result jsonb; v_undone jsonb; v_before jsonb; v_after jsonb;
  v_user uuid;
begin
  update maintenance.kind set max_attempts = 2 where kind = 'consolidate_memories';
  for nr in 1 .. 1000 loop
    if nr % 50 = 1 then
      v_user := pg_temp.u(1000 + nr);
      insert into public.users (id) values (v_user);
    end if;
    -- Now and then the user makes up new memories, so that there is something left to do.
    if (select count(*) from public.memories where user_id = v_user and status = 'active') < 10 then
      insert into public.memories (user_id, key, content, pinned, origin, observed_at)
      select v_user, 'fact_' || nr || '_' || i, repeat('Fact ' || i || ' ', 1 + i % 5), i = 1, case i when 2 then 'user'
        else 'inferred' end, '2026-02-01'::timestamptz + nr * interval '1 day' + i * interval '1 hour'
        from generate_series(1, 10) as i;
    end if;
    v_answer := '{"operations": [' || (select coalesce(string_agg(pg_temp.random_operation(), ', '), '')
      from generate_series(1, floor(random() * 5)::integer)) || ']}';
    if random() < 0.05 then v_answer := left(v_answer, floor(random() * length(v_answer))::integer); end if;
    if random() < 0.03 then v_answer := pg_temp.pick('{"operations": {}}', '{"operations": null}', '[]', '{}',
      '{"operation": []}', '{"operations": "merge"}'); end if;

    select jsonb_object_agg(id, to_jsonb(m) - array['version', 'updated_at']) into v_before from public.memories as m
      where user_id = v_user;
    v_task := pg_temp.ask(v_user);
    v_result := maintenance.complete_task(v_task.task_id, v_task.lease_token, v_answer);
    if v_result ->> 'state' = 'quarantined' and random() < 0.8 then
      v_result := case when random() < 0.5 then maintenance.approve_task(v_task.task_id)
        else maintenance.reject_task(v_task.task_id) end;
    end if;
    select jsonb_object_agg(id, to_jsonb(m) - array['version', 'updated_at']) into v_after from public.memories as m
      where user_id = v_user;
    v_undone := case when v_result ->> 'state' = 'succeeded' and random() < 0.3
      then maintenance.undo_task(v_task.task_id) end;

    insert into outcome select nr, v_task.task_id, v_answer, v_result, v_undone,
      exists (select from jsonb_each(v_before) as b where not v_after ? b.key
        or v_after -> b.key -> 'content' <> b.value -> 'content' or v_after -> b.key -> 'key' <> b.value -> 'key'),
      exists (select row from bob except select m::text from public.memories as m where user_id = pg_temp.u(2)),
      v_undone is not null and v_before <> (select jsonb_object_agg(id, to_jsonb(m) - array['version', 'updated_at'])
        from public.memories as m where user_id = v_user);
  end loop;
end
$$;

select is((select count(*) from outcome where result ->> 'state' in ('ready', 'dead', 'succeeded', 'quarantined',
  'skipped')), 1000::bigint, 'every answer leaves its task in a stated state');
select is((select array_agg(distinct result ->> 'state' order by result ->> 'state') from outcome),
  array['dead', 'quarantined', 'ready', 'skipped', 'succeeded'], 'random answers reach all five states');
select ok((select count(*) from maintenance.change where outcome = 'applied' and op = 'merge') > 50
  and (select count(*) from maintenance.change where outcome = 'applied' and op = 'supersede') > 50,
  'operations of both sorts were applied');
select ok((select count(*) from outcome where (undone ->> 'undone')::integer > 0) > 20,
  'more than 20 random answers are undone');
select is_empty('select nr, answer from outcome where lost', 'no memory is lost, and no word of one changes');
select is_empty('select nr, answer from outcome where foreign_change', 'no other user''s row changed');
select is((select count(*) from public.memories where user_id = pg_temp.u(2)), 5::bigint,
  'no memory of another user is added');
select is_empty('select nr, answer, undone from outcome where wrong_undo', 'an undo put everything back, byte by byte');
select is_empty($$select id from public.memories where (pinned or origin = 'user') and status <> 'active'$$,
  'pinned memories and the user''s own words are never retired');
select is_empty($$select id from public.memories as m where (status <> 'active') <> (superseded_by is not null)
    or status <> 'active' and not exists (select from public.memories as w where w.id = m.superseded_by
      and w.user_id = m.user_id)$$, 'whatever was retired names the memory in its place');
select is_empty($$select r -> 'before' ->> 'id' from maintenance.change as c, jsonb_array_elements(c.rows) as r
    where c.undoes is null and c.outcome = 'applied' and r -> 'before' <> 'null' group by c.task_id,
      1 having count(*) > 1$$, 'no source was retired twice by one answer');
select is_empty($$select id from public.memories where origin = 'consolidation'
  and (content = '' or length(content) > 2000 or cardinality(merged_from) < 2)$$,
  'merged memories have a text within its limits and two sources or more');
select * from finish();
rollback;
