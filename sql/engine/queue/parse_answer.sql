-- A model's answer as one JSON object, or the reason why it is none. The rule: the whole text
-- counts, up to 200,000 characters, with or without a code fence around it; nothing before it,
-- nothing behind it; at most 10,000 values, nested 50 deep, and no key twice, at any depth. Each
-- step is linear in the text, so that a hostile answer costs no more than a long one.

create function maintenance_internal.parse_answer(p_answer text, out answer jsonb, out reason text)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_longest constant integer := 200000;
  v_most constant integer := 10000;
  v_deepest constant integer := 50;
  v_text text;
  v_bare text;
begin
  if length(p_answer) > v_longest then
    reason := format('the answer has %s characters, more than %s', length(p_answer), v_longest);
    return;
  end if;
  v_text := regexp_replace(btrim(coalesce(p_answer, ''), e' \t\r\n'),
    '^```(?:json)?\s*(.*?)\s*```$', '\1', 'i');
  answer := v_text::jsonb;
  -- What is not in a string: each ":" of it is a member of an object, and jsonb keeps the last of
  -- two equal keys without a word.
  v_bare := regexp_replace(v_text, '"(?:[^"\\]|\\.)*"', '', 'g');
  if jsonb_typeof(answer) <> 'object' then
    reason := format('the answer is not an object but %s', jsonb_typeof(answer));
  elsif jsonb_path_exists(answer, format('strict $.**{%s}', v_deepest + 1)::jsonpath) then
    reason := format('the answer is nested deeper than %s', v_deepest);
  elsif v_bare ~ '[eE]\+?0*[1-9]\d{2}' then
    reason := 'the answer has a number out of range';
  elsif length(v_bare) - length(translate(v_bare, ':,', '')) >= v_most then
    reason := format('the answer has more than %s values', v_most);
  elsif length(v_bare) - length(replace(v_bare, ':', '')) <> (
    select count(*)
    from jsonb_path_query(answer, 'strict $.** ? (@.type() == "object")') as o (value)
    cross join lateral jsonb_object_keys(o.value) as k)
  then
    reason := 'the answer has a key twice';
  end if;
  if reason is not null then
    answer := null;
  end if;
exception when others then
  answer := null;
  reason := format('the answer is not JSON: SQLSTATE %s, %s characters',
    sqlstate, coalesce(length(p_answer), 0));
end
$$;
