-- analyze_profile, rule by rule: S0-12 to S0-15, C-038, and answers that are not to be trusted.
begin;
create extension pgtap;
select plan(43);

insert into public.users (id, email, is_guest, deleted_at) values
  ('00000000-0000-0000-0000-000000000001', 'ada@example.org', false, null),
  ('00000000-0000-0000-0000-000000000002', 'bob@example.org', false, null),
  ('00000000-0000-0000-0000-000000000003', 'guest', true, null),
  ('00000000-0000-0000-0000-000000000004', 'gone', false, now());
create function pg_temp.ada() returns uuid language sql return '00000000-0000-0000-0000-000000000001'::uuid;

create function pg_temp.say(nr integer, role text default 'user',
  who uuid default pg_temp.ada()) returns void language sql
as $$ insert into public.messages (user_id, role, content, created_at, updated_at)
  values (who, role, role || ' ' || nr, now() - interval '1 day' + nr * interval '1 minute',
    now() - interval '1 day') $$;
select pg_temp.say(i) from generate_series(1, 9) as i;
insert into public.messages (user_id, content, deleted_at) select pg_temp.ada(), 'deleted', now()
  from generate_series(1, 5);
select pg_temp.say(i, 'assistant') from generate_series(1, 20) as i;
select is((select skip_reason from public.prepare_profile(pg_temp.ada()::text, '{}')), '9 messages, and it takes 10',
  'S0-13: a user with nine messages is skipped');
select pg_temp.say(10);
select is((select skip_reason from public.prepare_profile(pg_temp.ada()::text, '{}')), null,
  'S0-13: a user with ten messages is not skipped');
select is_empty('select * from public.profile_subjects() except select pg_temp.ada()::text',
  'S0-13: who has no ten messages is nobody to ask about');
select pg_temp.say(i, who => u.id) from public.users as u, generate_series(1, 10) as i where u.id <> pg_temp.ada();
select results_eq('select * from public.profile_subjects() order by 1',
  $$values ('00000000-0000-0000-0000-000000000001'),
  ('00000000-0000-0000-0000-000000000002')$$,
  'S0-03: profile_subjects() leaves out guests and deleted users');
delete from public.messages where user_id <> pg_temp.ada();
select pg_temp.say(i) from generate_series(11, 60) as i;
create temporary table input as select * from public.prepare_profile(pg_temp.ada()::text, '{}');
select is((select count(*) from jsonb_object_keys((select context from input))), 50::bigint,
  'S0-12: at most 50 messages are shown');
select results_eq($$select line::jsonb ->> 'id', line::jsonb ->> 'text' from input, regexp_split_to_table(content, '\n')
  with ordinality as l (line, nr) where nr in (2, 51)$$,
  $$values ('u1', 'user 11'), ('u50', 'user 60')$$,
    'S0-12: the user''s own newest messages are shown, oldest first, with short ids');
set local timezone = 'Asia/Tokyo';
select is((select input_hash from public.prepare_profile(pg_temp.ada()::text, '{}')), (select input_hash from input),
  'the input hash does not depend on the session''s time zone');
reset timezone;
select is((select skip_reason from public.prepare_profile('00000000-0000-0000-0000-000000000004', '{}')),
  'the user is gone, deleted or a guest', 'a deleted user is skipped');
select is((select skip_reason from public.prepare_profile('nobody', '{}')), 'the user is gone, deleted or a guest',
  'a subject that is no user at all is skipped');

create function pg_temp.apply(answer jsonb) returns jsonb language sql
as $$ select public.apply_profile(pg_temp.ada()::text, i.context, answer, '{}') - 'changes' from input as i $$;
create function pg_temp.f(value text, variadic evidence text[] default '{u1}') returns jsonb language sql
as $$ select jsonb_build_object('value', value, 'evidence', evidence) $$;

select is(pg_temp.apply('{"tone": null}'), '{"applied": [], "refused": {}}', 'null is a valid answer');
select is((select count(*) from public.user_profiles) + (select count(*) from public.user_preferences), 0::bigint,
  'an answer of null writes no row');
select is(pg_temp.apply(jsonb_build_object('tone', pg_temp.f('Calm'), 'sport', pg_temp.f('  trail   running '), 'notes',
  pg_temp.f('Has a dog.'))),
  '{"applied": ["notes", "sport", "tone"], "refused": {}}', 'S0-15: values with evidence are taken');
select results_eq('select tone, mode, set_by from public.user_preferences',
  $$values ('calm', null::text, '{"tone": "model"}'::jsonb)$$, 'unset fields stay null; who set a field is kept');
select results_eq('select sport, notes, set_by from public.user_profiles',
  $$values ('trail running', '- Has a dog.', '{"sport": "model", "notes": "model"}'::jsonb)$$,
    'blanks in a value are tidied');

-- C-038
update public.user_profiles set sport = 'running', set_by = set_by || '{"sport": "user"}';
select is(pg_temp.apply('{
    "tone": {"value": "null", "evidence": ["u1"]},
    "mode": {"value": "coaching", "evidence": ["u1"]},
    "sport": {"value": "N/A", "evidence": ["u1"]},
    "goal": {"value": "   ", "evidence": ["u1"]},
    "experience": {"value": "unknown", "evidence": ["u1"]},
    "notes": {"value": "", "evidence": ["u1"]}}'),
  (select jsonb_build_object('applied', '["mode"]'::jsonb, 'refused',
    jsonb_object_agg(f, 'the value says that there is none'))
    from unnest(array['tone', 'sport', 'goal', 'experience', 'notes']) as f),
      'C-038: the words null and N/A are no values, field by field');
select results_eq('select sport, goal, notes from public.user_profiles',
  $$values ('running', null::text, '- Has a dog.')$$, 'C-038: the words null and N/A make no field blank');
select is(pg_temp.apply(jsonb_build_object('tone', 3, 'mode', '{"value": 7, "evidence": ["u1"]}'::jsonb, 'sport',
  pg_temp.f(repeat('x', 10000)), 'goal', '[]'::jsonb)) -> 'refused',
  '{"tone": "not an object with value and evidence", "mode": "the value is not a text", "sport": "longer than 200 '
    'characters", "goal": "not an object with value and evidence"}',
  'C-038: numbers, objects and 10,000 characters are refused');
select is(pg_temp.apply(jsonb_build_object('notes', pg_temp.f('has a DOG.'))) #>> '{refused,notes}', 'noted already',
  'S0-15: a note is added once');
select is(pg_temp.apply(jsonb_build_object('notes', pg_temp.f('Runs at dawn.'))) -> 'applied', '["notes"]',
  'another note is appended');
select is((select notes from public.user_profiles), e'- Has a dog.\n- Runs at dawn.',
  'an appended note is on a line of its own');
update public.user_profiles set notes = repeat('x', 3990);
select is(pg_temp.apply(jsonb_build_object('notes', pg_temp.f('One too many.'))) #>> '{refused,notes}',
  'the notes would be longer than 4000 characters',
    'a note that would make the notes longer than 4,000 characters is refused');

select is(pg_temp.apply(jsonb_build_object('sport', pg_temp.f('swimming'))),
  '{"applied": [], "refused": {"sport": "the user set it"}}', 'what the user set is never overwritten');
select is(pg_temp.apply('{"tone": null, "sport": null}') -> 'applied', '[]', 'null overwrites nothing');
select is((select tone from public.user_preferences), 'calm', 'null does not overwrite the tone');
select is(pg_temp.apply(jsonb_build_object('tone', pg_temp.f('angry'))) #>> '{refused,tone}',
  'not one of calm, energetic, professional, friendly, direct', 'S0-14: a tone that is not among the five is refused');

-- evidence
select is(pg_temp.apply(jsonb_build_object('goal',
  pg_temp.f('a marathon', variadic array['u99', 'x']))) #>> '{refused,goal}', 'no evidence that still stands',
  'unknown ids are no evidence');
select is(pg_temp.apply(jsonb_build_object('goal', pg_temp.f('a marathon', variadic array['u99', 'u2']))) -> 'applied',
  '["goal"]', 'one known id is evidence enough');
select is(pg_temp.apply('{"goal": {"value": "x", "evidence": "u1"}}') #>> '{refused,goal}',
  'no evidence that still stands', 'evidence that is not a list is refused');
update public.messages set content = 'I take it back' where content = 'user 11';
update public.messages set deleted_at = now() where content = 'user 12';
delete from public.messages where content = 'user 13';
select pg_temp.say(61);
select is(pg_temp.apply(jsonb_build_object('goal', pg_temp.f('a', 'u1'), 'sport', pg_temp.f('b', 'u2'), 'experience',
  pg_temp.f('c', 'u3'), 'mode', pg_temp.f('direct', 'u4'))),
  '{"applied": ["mode"], "refused": {"goal": "no evidence that still stands", "sport": "no evidence that still '
    'stands", '
    '"experience": "no evidence that still stands"}}',
  'evidence edited or deleted during the call is refused, and an insertion refuses nothing');
update public.messages set user_id = '00000000-0000-0000-0000-000000000002' where content = 'user 14';
select is(pg_temp.apply(jsonb_build_object('goal', pg_temp.f('a', 'u4'))) #>> '{refused,goal}',
  'no evidence that still stands', 'another user''s message is no evidence');
insert into public.messages (id, user_id, content)
  values ('00000000-0000-0000-0000-0000000000bb', '00000000-0000-0000-0000-000000000002', 'I am Bob');
select is(public.apply_profile(pg_temp.ada()::text,
  jsonb_build_object('u1', jsonb_build_object('id', m.id, 'version', extract(epoch from m.updated_at)::text)),
    jsonb_build_object('goal', pg_temp.f('a')), '{}') #>> '{refused,goal}', 'no evidence that still stands',
      'a message that was never the user''s is no evidence, whatever the context says')
from public.messages as m where m.content = 'I am Bob';
select is((select count(*) from public.user_profiles) + (select count(*) from public.user_preferences), 2::bigint,
  'repeated answers leave one row of profile and one of preferences');
update public.users set deleted_at = now() where id = pg_temp.ada();
select is(pg_temp.apply(jsonb_build_object('goal', pg_temp.f('late', 'u5'))) ->> 'note', 'the user is gone',
  'a user who is gone is left alone');
select is((select goal from public.user_profiles), 'a marathon', 'the profile of a user who is gone is left alone');

-- The schema that Gemini is given
select is((select response_schema -> 'required' from maintenance.kind where kind = 'analyze_profile'),
  '["tone", "mode", "sport", "goal", "experience", "notes"]', 'the response schema requires every field');
select is((select response_schema #> '{properties,mode,properties,value,enum}' from maintenance.kind
  where kind = 'analyze_profile'), '["coaching", "friendly", "direct"]',
    'the response schema lists the values of mode');

-- The ledger and its undo. What an answer may do is asked here, not whether it has the shape of the schema.
update maintenance.kind set response_schema = '{"type": "object"}' where kind = 'analyze_profile';
update public.users set deleted_at = null where id = pg_temp.ada();
delete from maintenance_internal.erasure;
update public.user_profiles set goal = null, notes = '- Has a dog.';
delete from public.user_preferences;
create temporary table was as select to_jsonb(p) - 'updated_at' as row from public.user_profiles as p;
create function pg_temp.answer(answer jsonb) returns bigint language plpgsql
as $$
declare v_id bigint := maintenance.enqueue_task('analyze_profile', pg_temp.ada()::text, force => true); v_token uuid;
begin
  select lease_token into strict v_token from maintenance.claim_tasks('me', 1);
  if maintenance.task_request(v_id, v_token) is null then raise exception 'not asked'; end if;
  perform maintenance.complete_task(v_id, v_token, answer::text);
  return v_id;
end $$;
select pg_temp.answer(jsonb_build_object('tone', pg_temp.f('calm'), 'goal', pg_temp.f('a marathon'), 'mode',
  pg_temp.f('rude'), 'notes', pg_temp.f('Swims.'))) as task \gset
select results_eq('select op, outcome, keys, reason, jsonb_array_length(rows) from maintenance.change where task_id = '
  || :task || ' order by change_id',
  $$values ('set', 'refused', '{mode}'::text[], 'not one of coaching, friendly, direct', 0),
    ('set', 'applied', '{goal,notes,tone}', null, 2)$$, 'what was set and what was refused is in the ledger');
select is((select result -> 'result' from maintenance.task where task_id = :task),
  '{"applied": ["goal", "notes", "tone"], "refused": {"mode": "not one of coaching, friendly, direct"}}',
  'the result of a task names what was applied and refused, without the changes');
savepoint set;
select is(maintenance.undo_task(:task) - 'rows' - 'task', '{"undone": 2, "refused": 0}',
  'an applied answer can be undone');
select results_eq($$select to_jsonb(p) - 'updated_at' from public.user_profiles as p$$, 'select row from was',
  'an undo puts the profile back as it was');
select is_empty('select 1 from public.user_preferences', 'an undo removes a row that the answer made');
rollback to set;
update public.user_profiles set goal = 'a half marathon', set_by = set_by || '{"goal": "user"}';
select is(maintenance.undo_task(:task) #>> '{rows,1,reason}', 'has been edited since',
  'an undo is refused over what the user has set since');
select is((select goal from public.user_profiles), 'a half marathon',
  'a goal that the user has set since stays after an undo');
select * from finish();
rollback;
