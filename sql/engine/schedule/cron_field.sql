-- One of the five fields of a cron expression (1 minute, 2 hour, 3 day of month, 4 month, 5 day of
-- week) as the values that it allows, read as pg_cron reads it: lists of values, ranges and *, a
-- step after a range or *, and $ alone for the last day of a month, which stands here as 32. Null
-- where it is not well formed.
-- A step is no larger than the field's highest value: pg_cron refuses such a one from 1.6.5 on.

create function maintenance_internal.cron_field(p_field text, p_place integer)
returns integer[]
language plpgsql
immutable
strict
set search_path = pg_catalog, pg_temp
as $$
declare
  v_low constant integer := ('{0,0,1,1,0}'::integer[])[p_place];
  v_high constant integer := ('{59,23,31,12,7}'::integer[])[p_place];
  v_names constant text[] := string_to_array(case p_place
    when 4 then 'jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec'
    when 5 then 'sun,mon,tue,wed,thu,fri,sat' end, ',');
  v_item text;
  v_parts text[];
  v_bounds integer[];
  v_values integer[] := '{}'::integer[];
begin
  if p_place = 3 and p_field = '$' then
    return array[32];
  end if;
  foreach v_item in array string_to_array(lower(p_field), ',') loop
    v_parts := regexp_match(v_item, '^(\*|[a-z0-9]+)(?:-([a-z0-9]+))?(?:/(\d{1,4}))?$');
    if v_parts is null
      or (v_parts[1] = '*' and v_parts[2] is not null)
      or (v_parts[1] <> '*' and v_parts[2] is null and v_parts[3] is not null)
      or v_parts[3]::integer not between 1 and v_high then
      return null;
    end if;
    if v_parts[1] = '*' then
      v_bounds := array[v_low, v_high];
    else
      select array_agg(coalesce(array_position(v_names, e.word) - 1 + v_low,
          case when e.word ~ '^\d{1,4}$' then e.word::integer end) order by e.n)
      into v_bounds
      from unnest(array[v_parts[1], coalesce(v_parts[2], v_parts[1])])
        with ordinality as e (word, n);
    end if;
    if v_bounds[1] is null or v_bounds[2] is null or v_bounds[1] < v_low
      or v_bounds[2] > v_high or v_bounds[1] > v_bounds[2] then
      return null;
    end if;
    v_values := v_values
      || array(select generate_series(v_bounds[1], v_bounds[2], coalesce(v_parts[3]::integer, 1)));
  end loop;
  return v_values;
end
$$;
