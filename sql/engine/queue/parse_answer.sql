-- A model's answer as one JSON object, or the reason why it is none. The rule: the whole text
-- counts, up to 200,000 characters, with or without a code fence around it; nothing before it,
-- nothing behind it, and no key twice, at any depth.

create function maintenance_internal.parse_answer(p_answer text, out answer jsonb, out reason text)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_longest constant integer := 200000;
  v_text text;
begin
  if length(p_answer) > v_longest then
    reason := format('the answer has %s characters, more than %s', length(p_answer), v_longest);
    return;
  end if;
  v_text := regexp_replace(btrim(coalesce(p_answer, ''), e' \t\r\n'),
    '^```(?:json)?\s*(.*?)\s*```$', '\1', 'i');
  answer := v_text::jsonb;
  if jsonb_typeof(answer) <> 'object' then
    reason := format('the answer is not an object but %s', jsonb_typeof(answer));
  elsif (
    -- jsonb keeps the last of two equal keys without a word; json keeps both.
    with recursive part (value) as (
      select v_text::json
      union all
      select c.value
      from part as p
      cross join lateral (
        select e.value
        from json_each(case json_typeof(p.value) when 'object' then p.value else '{}' end) as e
        union all
        select a.value
        from json_array_elements(
          case json_typeof(p.value) when 'array' then p.value else '[]' end) as a
      ) as c
      where json_typeof(p.value) in ('object', 'array')
    )
    select bool_or((
      select count(*) <> count(distinct k)
      from json_object_keys(
        case json_typeof(p.value) when 'object' then p.value else '{}' end) as k))
    from part as p) then
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
