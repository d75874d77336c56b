-- A model's answer as a JSON object, or the reason why it is none. Code fences are accepted.

create function maintenance.parse_answer(p_answer text, out answer jsonb, out reason text)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  answer := regexp_replace(btrim(coalesce(p_answer, ''), e' \t\r\n'),
    '^```(?:json)?\s*(.*?)\s*```$', '\1', 'i')::jsonb;
  if jsonb_typeof(answer) <> 'object' then
    reason := format('the answer is not an object but %s', jsonb_typeof(answer));
    answer := null;
  end if;
exception when others then
  answer := null;
  reason := format('the answer is not JSON: SQLSTATE %s, %s characters',
    sqlstate, coalesce(length(p_answer), 0));
end
$$;
