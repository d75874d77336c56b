-- Declares a kind of task: a row, and three SQL functions. No worker has to know it.

-- No model has more room for an answer.
create function maintenance_internal.most_tokens()
returns integer
language sql
immutable
set search_path = pg_catalog, pg_temp
return 65536;

create function maintenance.set_kind(
  kind text,
  instruction text,
  response_schema jsonb,
  subjects text,
  prepare text,
  apply text,
  trigger text default null,
  max_attempts integer default 5,
  max_output_tokens integer default 2048,
  counters text[] default '{}')
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_fault text;
begin
  if coalesce(set_kind.kind, '') !~ '^[a-z][a-z0-9_]{0,62}$' then
    raise exception 'the kind "%" is not acceptable', set_kind.kind
      using errcode = 'PM002', hint = 'Up to 63 small letters, digits and "_", a letter first.';
  end if;
  if coalesce(set_kind.trigger, 'x') !~ '^[a-z][a-z0-9_]{0,62}$' or set_kind.trigger = 'all' then
    raise exception 'the trigger "%" is not acceptable', set_kind.trigger
      using errcode = 'PM002', hint = 'consolidate, analyze or archive, which trigger_jobs() asks '
        'for; any other name of small letters, digits and "_" but all; or null for none.';
  end if;
  if set_kind.max_attempts is null or set_kind.max_attempts not between 1 and 100 then
    raise exception 'max_attempts % is out of range', set_kind.max_attempts
      using errcode = 'PM002', hint = '1 to 100.';
  end if;
  if coalesce(set_kind.max_output_tokens, 0)
    not between 1 and maintenance_internal.most_tokens()
  then
    raise exception 'max_output_tokens % is out of range', set_kind.max_output_tokens
      using errcode = 'PM002', hint = format('1 to %s.', maintenance_internal.most_tokens());
  end if;
  if coalesce(btrim(set_kind.instruction), '') = ''
    or jsonb_typeof(set_kind.response_schema) is distinct from 'object' then
    raise exception 'the kind "%" needs an instruction and a response schema', set_kind.kind
      using errcode = 'PM002', hint = 'A text, and a JSON object that says what an answer is.';
  end if;

  v_fault := maintenance_internal.schema_fault(set_kind.response_schema);
  if v_fault is not null then
    raise exception 'Gemini would refuse the response schema of "%": %', set_kind.kind, v_fault
      using errcode = 'PM002', hint = 'Its words are those of Gemini''s own Schema, a part of '
        'OpenAPI''s: {"type": "object", "properties": {"title": {"type": "string"}}}.';
  end if;

  insert into maintenance.kind as k (kind, instruction, response_schema, subjects, prepare, apply,
    trigger, max_attempts, max_output_tokens, counters)
  values (set_kind.kind, set_kind.instruction, set_kind.response_schema,
    maintenance_internal.find_function(set_kind.subjects, '', 'SETOF text')::regproc,
    maintenance_internal.find_prepare(set_kind.prepare)::regproc,
    maintenance_internal.find_function(
      set_kind.apply, 'text, jsonb, jsonb, jsonb', 'jsonb')::regproc,
    set_kind.trigger, set_kind.max_attempts, set_kind.max_output_tokens,
    coalesce(set_kind.counters, '{}'))
  on conflict on constraint kind_pkey do update
  set instruction = excluded.instruction,
    response_schema = excluded.response_schema,
    subjects = excluded.subjects,
    prepare = excluded.prepare,
    apply = excluded.apply,
    trigger = excluded.trigger,
    max_attempts = excluded.max_attempts,
    max_output_tokens = excluded.max_output_tokens,
    counters = excluded.counters;
end
$$;

comment on function maintenance.set_kind(
  text, text, jsonb, text, text, text, text, integer, integer, text[]) is
  'Declares a kind of task, or changes it. instruction: the system text. response_schema: the '
  'shape of an answer, which Gemini has to take and an answer has to have. subjects: a function '
  '() returns setof text, whom trigger_jobs asks about. prepare: a stable function (subject '
  'text, options jsonb) returns table (content text, context jsonb, input_hash text, skip_reason '
  'text). apply: a function (subject text, context jsonb, answer jsonb, options jsonb) returns '
  'jsonb. trigger: a name that trigger_jobs is called with, or null. counters: columns of the '
  'tables that apply changes which count or date each update, and which an undo does not put '
  'back. All are found by exact signature and belong to the engine''s owner, who alone may call '
  'this. Errors: PM002 argument, PM007 function.';
