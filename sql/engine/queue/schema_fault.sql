-- What Gemini would not take of a response schema, with the path to it; or null. It knows a part
-- of OpenAPI's schemas, and refuses a request as a whole for one word that it does not know.

create function maintenance_internal.schema_fault(p_schema jsonb, p_path text default '$')
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_known constant text[] := array['type', 'format', 'title', 'description', 'nullable', 'enum',
    'items', 'minItems', 'maxItems', 'properties', 'required', 'minProperties', 'maxProperties',
    'propertyOrdering', 'minLength', 'maxLength', 'pattern', 'minimum', 'maximum', 'anyOf',
    'example', 'default'];
  v_bounds constant text[] := array['minItems', 'maxItems', 'minProperties', 'maxProperties',
    'minLength', 'maxLength', 'minimum', 'maximum'];
  v_belongs constant jsonb := '{"enum": ["string"], "minLength": ["string"],
    "maxLength": ["string"], "pattern": ["string"], "minimum": ["number", "integer"],
    "maximum": ["number", "integer"], "items": ["array"], "minItems": ["array"],
    "maxItems": ["array"], "properties": ["object"], "required": ["object"],
    "propertyOrdering": ["object"], "minProperties": ["object"], "maxProperties": ["object"]}';
  v_formats constant jsonb := '{"string": ["enum", "date-time"], "number": ["float", "double"],
    "integer": ["int32", "int64"]}';
  v_type constant text := lower(p_schema ->> 'type');
  v_fault text;
begin
  if jsonb_typeof(p_schema) is distinct from 'object' then
    return p_path || ' is not an object';
  elsif regexp_count(p_path, '\.(items|properties|anyOf)') > 45 then
    return 'it is nested too deep';
  end if;
  select case
      when e.key <> all (v_known) then format('%s.%s: Gemini knows no such word', p_path, e.key)
      when e.value = 'null' then format('%s.%s is null', p_path, e.key)
      when e.key = any (v_bounds) and jsonb_typeof(e.value) <> 'number'
        then format('%s.%s is no number', p_path, e.key)
      when e.key ~ '^(min|max)[ILP]' and e.value::text !~ '^\d+$'
        then format('%s.%s is no whole number from 0 on', p_path, e.key)
      when e.key in ('type', 'format', 'title', 'description', 'pattern')
        and jsonb_typeof(e.value) <> 'string' then format('%s.%s is no text', p_path, e.key)
      when p_schema ? 'anyOf' and e.key not in ('anyOf', 'nullable', 'title', 'description')
        then format('%s.%s stands beside anyOf, which stands alone', p_path, e.key)
      when p_path = '$' and e.key = 'anyOf' then '$.anyOf: an answer is one object'
      when e.key in ('enum', 'required', 'propertyOrdering', 'anyOf')
        and (jsonb_typeof(e.value) <> 'array' or e.value = '[]')
        then format('%s.%s is no list, or an empty one', p_path, e.key)
      when e.key in ('enum', 'required', 'propertyOrdering')
        and jsonb_path_exists(e.value, 'strict $[*] ? (@.type() <> "string" || @ == "")')
        then format('%s.%s has what is no text, or an empty one', p_path, e.key)
      when v_type is not null and v_belongs -> e.key is not null
        and not v_belongs -> e.key ? v_type
        then format('%s.%s does not belong to type %s', p_path, e.key, v_type)
      when e.key = 'format' and v_formats ? v_type and not v_formats -> v_type ? (e.value #>> '{}')
        then format('%s.format is none that Gemini knows of a %s', p_path, v_type)
      when e.key = 'nullable' and jsonb_typeof(e.value) <> 'boolean'
        then format('%s.%s is neither true nor false', p_path, e.key)
    end
  into v_fault
  from jsonb_each(p_schema) as e
  order by 1
  limit 1;
  if v_fault is not null then
    return v_fault;
  end if;

  if p_schema ? 'anyOf' then
    return (
      select maintenance_internal.schema_fault(a.value, format('%s.anyOf[%s]', p_path, a.nr - 1))
        as fault
      from jsonb_array_elements(p_schema -> 'anyOf') with ordinality as a (value, nr)
      order by fault
      limit 1);
  elsif v_type is null
    or v_type not in ('object', 'array', 'string', 'number', 'integer', 'boolean') then
    return format('%s.type is not one of object, array, string, number, integer, boolean', p_path);
  elsif p_path = '$' and v_type <> 'object' then
    return '$.type is not object: an answer is one';
  elsif (p_schema ->> 'minItems')::numeric > (p_schema ->> 'maxItems')::numeric
    or (p_schema ->> 'minLength')::numeric > (p_schema ->> 'maxLength')::numeric
    or (p_schema ->> 'minProperties')::numeric > (p_schema ->> 'maxProperties')::numeric
    or (p_schema ->> 'minimum')::numeric > (p_schema ->> 'maximum')::numeric then
    return p_path || ' is at least more than it is at most';
  elsif v_type = 'array' then
    return maintenance_internal.schema_fault(p_schema -> 'items', p_path || '.items');
  elsif v_type <> 'object' then
    return null;
  elsif coalesce(p_schema -> 'properties', '{}') = '{}'
    or jsonb_typeof(p_schema -> 'properties') <> 'object' then
    return format('%s.properties are missing: an object needs some', p_path);
  end if;
  select format('%s.%s has %s, which is none of its properties', p_path, l.list, r.name)
  into v_fault
  from unnest(array['required', 'propertyOrdering']) as l (list)
  cross join lateral jsonb_array_elements_text(coalesce(p_schema -> l.list, '[]')) as r (name)
  where not p_schema -> 'properties' ? r.name
  limit 1;
  return coalesce(v_fault, (
    select maintenance_internal.schema_fault(e.value, p_path || '.properties.' || e.key) as fault
    from jsonb_each(p_schema -> 'properties') as e
    order by fault
    limit 1));
end
$$;
