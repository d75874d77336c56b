-- A number of a usage object from outside, or 0 where it is none that makes sense: no call takes
-- more than four million tokens, or milliseconds.

create function maintenance_internal.usage_number(p_usage jsonb, p_key text)
returns bigint
language sql
immutable
set search_path = pg_catalog, pg_temp
return case
  when jsonb_typeof(p_usage -> p_key) = 'number'
    and (p_usage -> p_key)::numeric between 0 and 4000000
    then trunc((p_usage -> p_key)::numeric)::bigint
  else 0
end;
