-- What is wrong with a cron expression, and what to write instead; no row for one that is right.

create function maintenance_internal.cron_fault(p_schedule text)
returns table (fault text, fix text)
language plpgsql
immutable
rows 1
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_names constant text[] := '{minute,hour,"day of month",month,"day of week"}'::text[];
  v_lows constant integer[] := '{0,0,1,1,0}'::integer[];
  v_highs constant integer[] := '{59,23,31,12,7}'::integer[];
  v_step constant text := '/\d*[1-9]\d*$';
  v_fields text[] := regexp_split_to_array(btrim(p_schedule, e' \t'), '[ \t]+');
  v_place integer;
  v_part text;
  v_steps_too_far boolean;
  v_ends integer[];
  v_low integer;
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
      fix := 'pg_cron knows no seconds and no years, and ignores what stands behind the fifth '
        'field: ' || coalesce(
          (select f.fix
            from maintenance_internal.cron_fault(array_to_string(v_fields[1:5], ' ')) as f),
          array_to_string(v_fields[1:5], ' '));
    end if;
    return next;
    return;
  end if;

  -- The first part of a list that is at fault; what only steps too far comes last, so that its
  -- plain form is right when it is told.
  select p.place, p.part, p.steps_too_far into v_place, v_part, v_steps_too_far
  from (
    select f.place, coalesce(i.part, f.field) as part, i.n,
      coalesce(i.part ~ v_step and maintenance_internal.cron_field(
        regexp_replace(i.part, v_step, '/1'), f.place::integer) is not null, false) as steps_too_far
    from unnest(v_fields) with ordinality as f (field, place)
    left join lateral unnest(string_to_array(f.field, ',')) with ordinality as i (part, n)
      on maintenance_internal.cron_field(i.part, f.place::integer) is null or i.part = '$'
    where maintenance_internal.cron_field(f.field, f.place::integer) is null
  ) as p
  order by p.steps_too_far, p.place, p.n
  limit 1;
  if not found then
    return;
  end if;
  fault := format('its %s "%s" cannot be read', v_names[v_place], v_part);

  if v_steps_too_far then
    fault := format('its %s "%s" steps by more than %s, which pg_cron refuses from 1.6.5 on',
      v_names[v_place], v_part, v_highs[v_place]);
    -- Such a step leaves the first value alone. Where the other day field is no plain *, a day
    -- field has to go on beginning with *: that decides whether a day needs to match both.
    select 'Its first value is all that it means: ' || string_agg(p.field, ' ' order by p.place)
    into fix
    from (
      select f.place, string_agg(
        case
          when maintenance_internal.cron_field(i.part, f.place::integer) is not null then i.part
          when i.part like '*%' and f.place in (3, 5) and v_fields[8 - f.place] <> '*'
            then '*/' || v_highs[f.place]
          else (maintenance_internal.cron_field(
            regexp_replace(i.part, v_step, '/1'), f.place::integer))[1]::text
        end, ',' order by i.n) as field
      from unnest(v_fields) with ordinality as f (field, place)
      cross join lateral unnest(string_to_array(f.field, ',')) with ordinality as i (part, n)
      group by f.place
    ) as p;
    return next;
    return;
  end if;

  v_last := case v_place when 5 then 6 else v_highs[v_place] end;
  if v_part ~ '/' and maintenance_internal.cron_field(
    regexp_replace(v_part, '^([a-zA-Z0-9]+)/', format('\1-%s/', v_last)), v_place) is not null then
    fix := 'Write it as: ' || regexp_replace(v_part, '/', format('-%s/', v_last));
  end if;
  select array_agg((maintenance_internal.cron_field(e.word, v_place))[1] order by e.n)
  into v_ends
  from unnest(regexp_match(v_part, '^([a-zA-Z0-9]+)-([a-zA-Z0-9]+)(?:/\d+)?$'))
    with ordinality as e (word, n);
  if v_ends[1] > v_ends[2] then
    fault := format('its %s "%s" runs backwards, and pg_cron never fires for it',
      v_names[v_place], v_part);
    v_low := v_lows[v_place];
    v_first := case when v_ends[1] > v_last then v_low else v_ends[1] end; -- Sunday is 0 and 7
    fix := 'Write it as: ' || case
      when v_part ~ v_step then (
        select string_agg((v_low + (v_first - v_low + k) % (v_last - v_low + 1))::text, ','
          order by k)
        from generate_series(0,
          (v_ends[2] - v_first + v_last - v_low + 1) % (v_last - v_low + 1),
          substring(v_part from '\d+$')::integer) as k)
      when v_first <= v_ends[2] then concat_ws('-', v_first, nullif(v_ends[2], v_first))
      else concat_ws('-', v_first, nullif(v_last, v_first)) || ','
        || concat_ws('-', v_low, nullif(v_ends[2], v_low))
      end;
  end if;
  return next;
end
$$;
