-- What is wrong with a cron expression, and what to write instead; no row for one that is right.

create function maintenance_internal.cron_fault(p_schedule text)
returns table (fault text, fix text)
language plpgsql
immutable
rows 1
set search_path = pg_catalog, pg_temp
as $$
declare
  v_names constant text[] := '{minute,hour,"day of month",month,"day of week"}'::text[];
  v_lows constant integer[] := '{0,0,1,1,0}'::integer[];
  v_highs constant integer[] := '{59,23,31,12,7}'::integer[];
  v_step constant text := '/\d*[1-9]\d*$';
  v_fields text[] := regexp_split_to_array(btrim(p_schedule, e' \t'), '[ \t]+');
  v_ends integer[];
  v_place integer;
  v_part text;
  v_first integer;
  v_last integer;
begin
  fix := 'Minute, hour, day of month, month, day of week; ''0 3 * * *'' is 03:00 UTC each day.';
  if p_schedule ~ '^\s*([1-9]|[1-5]\d)\s+seconds?\s*$'
    or p_schedule ~ '^\s*@(yearly|annually|monthly|weekly|daily|midnight|hourly)\s*$' then
    return;
  elsif p_schedule ~ '^\s*@reboot' then
    fault := '@reboot names no time';
    return next;
    return;
  elsif cardinality(v_fields) <> 5 then
    fault := format('it has %s fields, and not five', case when p_schedule ~ '\S'
      then cardinality(v_fields) else 0 end);
    if cardinality(v_fields) > 5 then
      fix := format('pg_cron knows no seconds and no years, and ignores what stands behind the '
        'fifth field: %s', array_to_string(v_fields[1:5], ' '));
    end if;
    return next;
    return;
  end if;

  -- The first part of a list that is at fault, of the first field that has one.
  select p.place, p.part into v_place, v_part
  from (
    select f.place, f.field, coalesce(i.part, f.field) as part, i.n
    from unnest(v_fields) with ordinality as f (field, place)
    left join lateral unnest(string_to_array(f.field, ',')) with ordinality as i (part, n)
      on maintenance_internal.cron_field(i.part, f.place::integer) is null or i.part = '$'
    where maintenance_internal.cron_field(f.field, f.place::integer) is null
  ) as p
  order by p.place, p.n
  limit 1;
  if not found then
    return;
  end if;
  fault := format('its %s "%s" cannot be read', v_names[v_place], v_part);

  select array_agg((maintenance_internal.cron_field(e.word, v_place))[1] order by e.n)
  into v_ends
  from unnest(regexp_match(v_part, '^([a-zA-Z0-9]+)-([a-zA-Z0-9]+)(?:/\d+)?$'))
    with ordinality as e (word, n);
  v_last := case v_place when 5 then 6 else v_highs[v_place] end;
  if v_ends[1] > v_ends[2] then
    v_first := least(v_ends[1], v_last);
    fault := format('its %s "%s" runs backwards, so pg_cron would never fire',
      v_names[v_place], v_part);
    fix := format('Write it in two parts: %s,%s',
      concat_ws('-', v_first, nullif(v_last, v_first)),
      concat_ws('-', v_lows[v_place], nullif(v_ends[2], v_lows[v_place])));
  elsif maintenance_internal.cron_field(regexp_replace(v_part, v_step, '/1'), v_place) is not null
    and v_part ~ v_step then
    fault := format('its %s "%s" steps by more than %s, which pg_cron refuses from 1.6.5 on',
      v_names[v_place], v_part, v_highs[v_place]);
    -- Such a step leaves the first value alone. Where the other day field is no plain *, a day
    -- field has to go on beginning with *: that decides whether a day needs to match both.
    select 'Its first value is all that it means: ' || string_agg(p.field, ' ' order by p.place)
    into fix
    from (
      select f.place, string_agg(
        case
          when b.first is null
            or maintenance_internal.cron_field(i.part, f.place::integer) is not null then i.part
          when i.part like '*%' and f.place in (3, 5) and v_fields[8 - f.place] <> '*'
            then '*/' || v_highs[f.place]
          else b.first::text
        end, ',' order by i.n) as field
      from unnest(v_fields) with ordinality as f (field, place)
      cross join lateral unnest(string_to_array(f.field, ',')) with ordinality as i (part, n)
      cross join lateral (select (maintenance_internal.cron_field(
        regexp_replace(i.part, v_step, '/1'), f.place::integer))[1] as first) as b
      group by f.place
    ) as p;
  end if;
  return next;
end
$$;
