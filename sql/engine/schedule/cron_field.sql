-- One field of a cron expression as the values it allows, read as pg_cron reads it: lists of
-- values, ranges and *, a step after a range or *. Null where it is not well formed.

create function maintenance.cron_field(
  p_field text,
  p_low integer,
  p_high integer,
  p_names text[] default '{}')
returns integer[]
language plpgsql
immutable
strict
set search_path = pg_catalog, pg_temp
as $$
declare
  v_item text;
  v_parts text[];
  v_ends text[];
  v_bounds integer[];
  v_values integer[] := '{}'::integer[];
begin
  foreach v_item in array string_to_array(lower(p_field), ',') loop
    v_parts := regexp_match(v_item, '^(\*|[a-z0-9]+)(?:-([a-z0-9]+))?(?:/(\d{1,4}))?$');
    if v_parts is null
      or (v_parts[1] = '*' and v_parts[2] is not null)
      or (v_parts[1] <> '*' and v_parts[2] is null and v_parts[3] is not null)
      or v_parts[3]::integer = 0 then
      return null;
    end if;
    if v_parts[1] = '*' then
      v_bounds := array[p_low, p_high];
    else
      v_ends := array[v_parts[1], coalesce(v_parts[2], v_parts[1])];
      select array_agg(coalesce(
          array_position(p_names, e.name) - 1 + p_low,
          case when e.name ~ '^\d{1,4}$' then e.name::integer end) order by e.ordinality)
      into v_bounds
      from unnest(v_ends) with ordinality as e (name, ordinality);
    end if;
    if v_bounds[1] is null or v_bounds[2] is null or v_bounds[1] < p_low
      or v_bounds[2] > p_high or v_bounds[1] > v_bounds[2] then
      return null;
    end if;
    v_values := v_values
      || array(select generate_series(v_bounds[1], v_bounds[2], coalesce(v_parts[3]::integer, 1)));
  end loop;
  return v_values;
end
$$;

comment on function maintenance.cron_field(text, integer, integer, text[]) is
  'One field of a cron expression as the values it allows, read as pg_cron reads it: lists of '
  'values, ranges and *, a step after a range or *.';
