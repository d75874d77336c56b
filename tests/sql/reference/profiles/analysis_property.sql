-- A thousand random answers about one user: each ends its lease in a stated state, no other user's
-- row changes, and whatever is stored keeps the rules of the tables.
begin;
create extension pgtap;
select plan(6);

update maintenance.kind set response_schema = '{"type": "object"}' where kind = 'analyze_profile';
insert into public.users (id, email) values ('00000000-0000-0000-0000-000000000001', 'ada'),
  ('00000000-0000-0000-0000-000000000002', 'bob');
insert into public.messages (user_id, content, created_at)
select u.id, 'message ' || i, now() - i * interval '1 hour' from public.users as u, generate_series(1, 15) as i;
insert into public.user_profiles (user_id, sport, notes, set_by)
select id, 'running', '- mine', '{"sport": "user"}' from public.users;
insert into public.user_preferences (user_id, tone, set_by) select id, 'calm', '{"tone": "user"}' from public.users;
create temporary table bob as
select p.*::text as profile, f.*::text as preference,
  (select string_agg(m::text, ',' order by m.id) from public.messages as m) as messages
from public.user_profiles as p join public.user_preferences as f using (user_id) where user_id::text like '%2';

-- Random JSON out of what a model knows: the fields, ids real and made up, values good and bad.
create function pg_temp.pick(variadic choices text[]) returns text language sql volatile
as $$ select choices[1 + floor(random() * cardinality(choices))::integer] $$;
create function pg_temp.random_json(depth integer) returns text language plpgsql volatile
as $$
declare result text;
begin
  case floor(random() * case when depth > 3 then 3 else 6 end)::integer
    when 0 then return pg_temp.pick('null', 'true', '0', '-1.5', '1e400', '""', '"u1"', '"u7"', '"u99"', '"calm"',
      '"coaching"', '"running"', '"null"', '"N/A"');
    when 1 then return to_json(pg_temp.pick('a long story ' || repeat('x', floor(random() * 900)::integer), 'calm',
      'direct', 'swims', 'swims.', ' ', e'a\nb'))::text;
    when 2 then return pg_temp.pick('{"value": "direct", "evidence": ["u1"]}',
      '{"value": "swims", "evidence": ["u2", "u99"]}', '{"value": "cycling"}', '{"value": "x", "evidence": "u1"}');
    when 3 then
      select '[' || string_agg(pg_temp.random_json(depth + 1), ',') || ']' into result
        from generate_series(1, 1 + floor(random() * 3)::integer);
      return result;
    else
      select '{' || string_agg(to_json(k) || ':' || pg_temp.random_json(depth + 1), ',') || '}' into result
      from (select distinct pg_temp.pick('tone', 'mode', 'sport', 'goal', 'experience', 'notes', 'value', 'evidence',
        'user_id') as k from generate_series(1, 5)) as keys;
      return result;
  end case;
end
$$;

select setseed(0.4711);
create temporary table outcome (nr integer, answer text, result jsonb, state text);
do $$
declare v_answer text; v_task maintenance.task; v_id bigint; v_result jsonb;
begin
  update maintenance.kind set max_attempts = 3 where kind = 'analyze_profile';
  for nr in 1 .. 1000 loop
    v_answer := pg_temp.random_json(case when random() < 0.9 then 0 else 2 end);
    if random() < 0.1 then v_answer := left(v_answer, floor(random() * length(v_answer))::integer); end if;
    v_id := maintenance.enqueue_task('analyze_profile', '00000000-0000-0000-0000-000000000001', force => true);
    update maintenance.task set available_at = '2000-01-01' where task_id = v_id;
    perform maintenance.claim_tasks('me', 1);
    select * into strict v_task from maintenance.task where task_id = v_id and state = 'leased';
    if maintenance.task_request(v_id, v_task.lease_token) is null then raise exception 'not asked'; end if;
    v_result := maintenance.complete_task(v_id, v_task.lease_token, v_answer);
    insert into outcome select nr, v_answer, v_result, t.state from maintenance.task as t where task_id = v_id;
  end loop;
end
$$;

select is((select count(*) from outcome where state in ('ready', 'succeeded', 'dead') and result ->> 'state' = state),
  1000::bigint, 'every answer leaves its task in the state that was returned');
select ok((select count(distinct state) from outcome) = 3
  and (select count(*) from outcome where result #>> '{result,applied}' not in ('[]')) > 15,
  'all three states were reached, and some answers were good enough to apply');
select results_eq($$select p.*::text, f.*::text, (select string_agg(m::text, ',' order by m.id)
  from public.messages as m)
    from public.user_profiles as p join public.user_preferences as f using (user_id) where user_id::text like '%2'$$,
  'select * from bob', 'no row of the other user, and no message, has changed');
select results_eq($$select sport, tone from public.user_profiles join public.user_preferences using (user_id)$$,
  $$values ('running', 'calm'), ('running', 'calm')$$, 'what the users set stands');
select ok(bool_and(coalesce(length(goal), 0) <= 200 and coalesce(length(experience), 0) <= 200 and length(notes) <= 4000
  and goal is distinct from '' and lower(coalesce(goal, '') || coalesce(experience, '')) !~ '^(null|n/a)'),
    'stored profiles keep the limits of length, and hold no empty text, null or N/A')
from public.user_profiles;
select is((select count(*) from public.user_profiles), 2::bigint, 'no row was made for anybody else');
select * from finish();
rollback;
