-- What of an answer its kind's schema does not allow, with the path to it and without a word of
-- the answer; or null. A schema is a wish to a model and no guarantee. Checked are type,
-- nullable, enum, required, items and bounds; what the schema does not name is let pass, a
-- pattern too.

create function maintenance_internal.answer_fault(
  p_answer jsonb,
  p_schema jsonb,
  p_path text default '$')
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_type constant text := lower(p_schema ->> 'type');
  v_is constant text := jsonb_typeof(p_answer);
  v_size constant numeric := case v_is
    when 'string' then length(p_answer #>> '{}')
    when 'array' then jsonb_array_length(p_answer)
    when 'number' then p_answer::numeric
    when 'object' then (select count(*) from jsonb_object_keys(p_answer)) end;
  v_least constant numeric := (p_schema ->> case v_is when 'string' then 'minLength'
    when 'array' then 'minItems' when 'number' then 'minimum' else 'minProperties' end)::numeric;
  v_most constant numeric := (p_schema ->> case v_is when 'string' then 'maxLength'
    when 'array' then 'maxItems' when 'number' then 'maximum' else 'maxProperties' end)::numeric;
  v_part record;
  v_fault text;
begin
  if v_is = 'null' and p_schema -> 'nullable' = 'true' then
    return null;
  elsif p_schema ? 'anyOf' then
    for v_part in select a.value from jsonb_array_elements(p_schema -> 'anyOf') as a loop
      v_fault := maintenance_internal.answer_fault(p_answer, v_part.value, p_path);
      exit when v_fault is null;
    end loop;
    return case when v_fault is not null then p_path || ' is none of what it may be' end;
  elsif v_is <> v_type and not (v_type = 'integer' and v_is = 'number' and v_size = trunc(v_size))
  then
    return format('%s is not %s %s', p_path,
      case when v_type ~ '^[aoi]' then 'an' else 'a' end, v_type);
  elsif p_schema ? 'enum' and not p_schema -> 'enum' @> p_answer then
    return format('%s is not one of %s', p_path, p_schema -> 'enum');
  elsif v_size < v_least or v_size > v_most then
    return format('%s is not %s', p_path,
      concat_ws(' and ', 'at least ' || v_least, 'at most ' || v_most)
        || case v_is when 'string' then ' characters' when 'array' then ' items'
          when 'object' then ' properties' else '' end);
  elsif v_is = 'array' then
    for v_part in
      select a.value, a.nr - 1 as nr
      from jsonb_array_elements(p_answer) with ordinality as a (value, nr)
      where p_schema ? 'items'
    loop
      v_fault := maintenance_internal.answer_fault(v_part.value, p_schema -> 'items',
        format('%s[%s]', p_path, v_part.nr));
      exit when v_fault is not null;
    end loop;
    return v_fault;
  elsif v_is = 'object' then
    select format('%s.%s is missing', p_path, r.name) into v_fault
    from jsonb_array_elements_text(coalesce(p_schema -> 'required', '[]')) as r (name)
    where not p_answer ? r.name
    limit 1;
    for v_part in
      select e.key, e.value from jsonb_each(coalesce(p_schema -> 'properties', '{}')) as e
      where p_answer ? e.key
    loop
      exit when v_fault is not null;
      v_fault := maintenance_internal.answer_fault(p_answer -> v_part.key, v_part.value,
        format('%s.%s', p_path, v_part.key));
    end loop;
    return v_fault;
  end if;
  return null;
end
$$;
