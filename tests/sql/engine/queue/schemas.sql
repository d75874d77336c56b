-- T22, N-015: a schema that Gemini would refuse is refused here, and an answer that its schema forbids is not applied.
begin;
create extension pgtap;
select plan(71);
\ir toy.psql
\set QUIET on
create function pg_temp.fault(schema text) returns text language plpgsql as $$
begin
  perform maintenance.set_kind('k', 'Do.', schema::jsonb, 'public.word_subjects', 'public.word_prepare',
    'public.word_apply');
  return null;
exception when sqlstate 'PM002' then
  return substring(sqlerrm from '^Gemini would refuse the response schema of "k": (.*)$');
end $$;
select is(pg_temp.fault(s), f, 'schema ' || s) from (values
  ('{"type": "object", "properties": {"a": {"type": "STRING", "description": "x", "nullable": true}}}', null),
  ('{"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer", "minimum": 1},
    "maxItems": 5}}}', null),
  ('{"type": "array", "items": {"type": "integer"}}', '$.type is not object: an answer is one'),
  ('{"anyOf": [{"type": "object", "properties": {"a": {"type": "string"}}}]}', '$.anyOf: an answer is one object'),
  ('{"type": "object", "properties": {"a": {"type": "string", "format": "enum", "enum": [1, 2]}}}',
    '$.properties.a.enum has what is no text, or an empty one'),
  ('{"type": "object", "properties": {"a": {"type": "string", "enum": ["", "x"]}}}',
    '$.properties.a.enum has what is no text, or an empty one'),
  ('{"type": "object", "properties": {"a": {"type": "integer", "enum": ["1"]}}}',
    '$.properties.a.enum does not belong to type integer'),
  ('{"type": "object", "properties": {"a": {"type": "string", "required": ["b"]}}}',
    '$.properties.a.required does not belong to type string'),
  ('{"type": "object", "properties": {"a": {"type": "string", "format": "uuid"}}}',
    '$.properties.a.format is none that Gemini knows of a string'),
  ('{"type": "object", "properties": {"a": {"type": "string", "format": "date-time"}}}', null),
  ('{"type": "object", "properties": {"a": {"type": "INTEGER", "format": "int64"}}}', null),
  ('{"type": "object", "properties": {"a": {"type": "string"}}, "propertyOrdering": ["a", "b"]}',
    '$.propertyOrdering has b, which is none of its properties'),
  ('{"type": "object", "properties": {"a": {"type": "integer", "minimum": 5, "maximum": 1}}}',
    '$.properties.a is at least more than it is at most'),
  ('{"type": "object", "properties": {"a": {"type": "string", "minLength": -1}}}',
    '$.properties.a.minLength is no whole number from 0 on'),
  ('{"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}], "required": ["b"]}}}',
    '$.properties.a.required stands beside anyOf, which stands alone'),
  ('{"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "number"}]}}}', null),
  ('{"type": "object", "properties": {"a": {"type": "string", "format": "enum", "enum": ["x"]}}, "required": ["a"]}',
    null),
  ('{}', '$.type is not one of object, array, string, number, integer, boolean'),
  ('{"type": "object"}', '$.properties are missing: an object needs some'),
  ('{"type": "object", "properties": {}}', '$.properties are missing: an object needs some'),
  ('{"type": "object", "properties": {"a": {"type": "text"}}}',
    '$.properties.a.type is not one of object, array, string, number, integer, boolean'),
  ('{"type": "object", "properties": {"a": {"$ref": "#/b"}}}', '$.properties.a.$ref: Gemini knows no such word'),
  ('{"type": "object", "properties": {"a": {"oneOf": []}}}', '$.properties.a.oneOf: Gemini knows no such word'),
  ('{"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false}',
    '$.additionalProperties: Gemini knows no such word'),
  ('{"type": "object", "properties": {"a": {"type": "string", "enum": ["x"]}}}', null),
  ('{"type": "object", "properties": {"a": {"type": "string", "enum": null}}}', '$.properties.a.enum is null'),
  ('{"type": "object", "properties": {"a": {"type": "array"}}}', '$.properties.a.items is not an object'),
  ('{"type": "object", "properties": {"a": {"type": "array", "items": {"type": "array"}}}}',
    '$.properties.a.items.items is not an object'),
  ('{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["b"]}',
    '$.required has b, which is none of its properties'),
  ('{"type": "object", "properties": {"a": {"type": "string", "maxLength": "5"}}}',
    '$.properties.a.maxLength is no number'),
  ('{"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "x"}]}}}',
    '$.properties.a.anyOf[1].type is not one of object, array, string, number, integer, boolean'),
  ('{"type": "object", "properties": {"a": 5}}', '$.properties.a is not an object')) as v (s, f);
select throws_ok($$select maintenance.set_kind('k', 'Do.',
  '{"type": "object", "properties": {"a": {"type": "string"}}}',
  'public.word_subjects', 'public.word_prepare', 'public.word_apply', max_output_tokens => 2000000000)$$, 'PM002',
  'max_output_tokens 2000000000 is out of range', 'no model has that much room');
select is_empty('select kind from maintenance.kind where maintenance_internal.schema_fault(response_schema) <> $$$$',
  'the kinds that ship have schemas that Gemini takes');

create function pg_temp.answer_fault(answer text, schema text) returns text language sql as
  $$ select maintenance_internal.answer_fault(answer::jsonb, schema::jsonb) $$;
select is(pg_temp.answer_fault(a, s), f, format('%s as %s', a, s)) from (values
  ('{"a": "x"}', '{"type": "object", "properties": {"a": {"type": "STRING"}}, "required": ["a"]}', null),
  ('{"b": "x"}', '{"type": "object", "properties": {"a": {"type": "string"}}}', null),
  ('{"b": "x"}', '{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}', '$.a is missing'),
  ('{"a": 5}', '{"type": "object", "properties": {"a": {"type": "string"}}}', '$.a is not a string'),
  ('{"a": null}', '{"type": "object", "properties": {"a": {"type": "string"}}}', '$.a is not a string'),
  ('{"a": null}', '{"type": "object", "properties": {"a": {"type": "string", "nullable": true}}}', null),
  ('5', '{"type": "integer"}', null), ('5.0', '{"type": "integer"}', null), ('5.5', '{"type": "number"}', null),
  ('5.5', '{"type": "integer"}', '$ is not an integer'), ('"5"', '{"type": "integer"}', '$ is not an integer'),
  ('true', '{"type": "boolean"}', null), ('"true"', '{"type": "boolean"}', '$ is not a boolean'),
  ('[]', '{"type": "object"}', '$ is not an object'), ('{}', '{"type": "array"}', '$ is not an array'),
  ('"x"', '{"type": "string", "format": "enum", "enum": ["x", "y"]}', null),
  ('"z"', '{"type": "string", "format": "enum", "enum": ["x", "y"]}', '$ is not one of ["x", "y"]'),
  ('["a", "b"]', '{"type": "array", "items": {"type": "string"}, "maxItems": 2, "minItems": 1}', null),
  ('["a", "b", "c"]', '{"type": "array", "items": {"type": "string"}, "maxItems": 2, "minItems": 1}',
    '$ is not at least 1 and at most 2 items'),
  ('["a", 5]', '{"type": "array", "items": {"type": "string"}}', '$[1] is not a string'),
  ('{"l": [{"n": 1}, {"n": "x"}]}',
    '{"type": "object", "properties": {"l": {"type": "array", "items": {"type": "object",
    "properties": {"n": {"type": "integer"}}}}}}', '$.l[1].n is not an integer'),
  ('"abcd"', '{"type": "string", "maxLength": 3}', '$ is not at most 3 characters'),
  ('7', '{"type": "integer", "minimum": 8}', '$ is not at least 8'),
  ('5', '{"anyOf": [{"type": "string"}, {"type": "integer"}]}', null),
  ('true', '{"anyOf": [{"type": "string"}, {"type": "integer"}]}', '$ is none of what it may be')) as v (a, s, f);

-- The kind of the README, which guards itself against nothing.
create table public.notes (id integer primary key, title text, body text);
insert into public.notes values (1, null, 'A body'), (2, null, 'Another');
create function public.note_subjects() returns setof text language sql stable
begin atomic select id::text from notes where title is null; end;
create function public.note_prepare(subject text, options jsonb)
returns table (content text, context jsonb, input_hash text, skip_reason text) language sql stable
begin atomic
  select n.body, jsonb_build_object('version', md5(n.body)), md5(n.body), null::text
  from notes as n where n.id::text = subject;
end;
create function public.note_apply(subject text, context jsonb, answer jsonb, options jsonb) returns jsonb language sql
begin atomic
  update notes set title = left(answer ->> 'title', 80)
  where id::text = subject and md5(body) = context ->> 'version'
  returning jsonb_build_object('titled', true);
end;
select maintenance.set_kind('title_note', 'Answer with a title for this note, as JSON: {"title": …}.',
  '{"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}',
  subjects => 'public.note_subjects', prepare => 'public.note_prepare', apply => 'public.note_apply');
create function pg_temp.answer(id integer, answer text) returns text language plpgsql as $$
declare v_id bigint := maintenance.enqueue_task('title_note', id::text); v_claim record; v_result jsonb;
begin
  update maintenance.task set available_at = now() - interval '1 hour' where task_id = v_id;
  select * into strict v_claim from maintenance.claim_tasks('me');
  perform maintenance.task_request(v_claim.task_id, v_claim.lease_token);
  v_result := maintenance.complete_task(v_claim.task_id, v_claim.lease_token, answer);
  return concat_ws(': ', v_result ->> 'state', v_result ->> 'error', v_result ->> 'result');
end $$;
select is(pg_temp.answer(1, '{"name": 5}'), 'ready: the answer is not as its schema says: $.title is missing',
  'T22, N-015: an answer without what is required');
select is(pg_temp.answer(1, '{"title": 5}'), 'ready: the answer is not as its schema says: $.title is not a string',
  'N-015: an answer of another type');
select is((select title from public.notes where id = 1), null, '... is not applied');
select is((select attempts || ' ' || last_class from maintenance.task where subject = '1'), '2 bad_output',
  '... costs an attempt each, and is asked for again');
select is(pg_temp.answer(1, '{"title": "A title"}'), 'succeeded: {"titled": true}', 'a right one is applied');

-- F9: deep, huge, double.
create function pg_temp.reason(answer text) returns text language sql as
  $$ select reason from maintenance_internal.parse_answer(answer) $$;
select is(pg_temp.reason(a), r, n) from (values
  (repeat('{"a":', 6000) || '"' || repeat('x', 160000) || '"' || repeat('}', 6000),
    'the answer is nested deeper than 50',
    'F9: 6,000 objects around a long text'),
  ('{"a":' || repeat('[', 5000) || repeat(']', 5000) || '}', 'the answer is nested deeper than 50', 'F9: 5,000 lists'),
  ('{"a":' || repeat('[', 49) || repeat(']', 49) || '}', null, 'fifty levels are let pass'),
  ('{"a":[' || repeat('1,', 98000) || '1]}', 'the answer has more than 10000 values', 'F9: 98,000 numbers'),
  ('{"a:,{": ":,{\":", "b": {"c": [{"d": 1}, {"d": 2}]}}', null, 'what stands in a text does not count'),
  ('{"a":[' || repeat('1e131071,', 9000) || '1]}', 'the answer has a number out of range', 'numbers of 131,072 digits'),
  ('{"a": {"x": 1, "b": [{"c": 1, "c": 2}]}}', 'the answer has a key twice', 'a key twice, deep inside')) as v (a, r,
    n);
select * from finish();
rollback;
