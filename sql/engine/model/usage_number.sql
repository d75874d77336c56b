-- A number of a usage object from outside, or 0 where it is none that makes sense. No call takes
-- more than 100 million tokens, or milliseconds: a day.

create function maintenance_internal.usage_number(p_usage jsonb, p_key text)
returns bigint
language sql
immutable
set search_path = pg_catalog, pg_temp
return case
  when jsonb_typeof(p_usage -> p_key) = 'number'
    then least(greatest(trunc((p_usage -> p_key)::numeric), 0), 1e8)::bigint
  else 0
end;
