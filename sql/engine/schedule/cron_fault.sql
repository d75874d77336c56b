-- What is wrong with a cron expression, and what to write instead; no row for one that is right.

create function maintenance.cron_fault(p_schedule text)
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
  v_words constant text[] := array[null, null, null,
    'jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec', 'sun,mon,tue,wed,thu,fri,sat'];
  v_fields text[] := regexp_split_to_array(btrim(p_schedule, e' \t'), '[ \t]+');
  v_ends integer[];
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
  elsif cardinality(v_fields) <> 5 then
    fault := format('it has %s fields, and not five', case when p_schedule ~ '\S'
      then cardinality(v_fields) else 0 end);
    if cardinality(v_fields) > 5 then
      fix := format('pg_cron knows no seconds and no years, and ignores what stands behind the '
        'fifth field: %s', array_to_string(v_fields[1:5], ' '));
    end if;
  else
    for i in 1 .. 5 loop
      continue when maintenance.cron_field(v_fields[i], v_lows[i], v_highs[i],
        coalesce(string_to_array(v_words[i], ','), '{}')) is not null;
      -- The last day of the month, alone or in a list.
      continue when i = 3 and v_fields[i] ~ '(^|,)\$(,|$)'
        and (v_fields[i] = '$' or maintenance.cron_field(
          regexp_replace(v_fields[i], ',\$(?=,|$)|^\$,', '', 'g'), 1, 31) is not null);

      -- The first part of a list that is at fault, and whether it is a range that runs backwards.
      select p.part into v_part
      from unnest(string_to_array(v_fields[i], ',')) with ordinality as p (part, n)
      where maintenance.cron_field(p.part, v_lows[i], v_highs[i],
        coalesce(string_to_array(v_words[i], ','), '{}')) is null
      order by p.n
      limit 1;
      fault := format('its %s "%s" cannot be read', v_names[i], coalesce(v_part, v_fields[i]));
      select array_agg((maintenance.cron_field(e.word, v_lows[i], v_highs[i],
          coalesce(string_to_array(v_words[i], ','), '{}')))[1] order by e.n)
      into v_ends
      from unnest(regexp_match(v_part, '^([a-zA-Z0-9]+)-([a-zA-Z0-9]+)(?:/\d+)?$'))
        with ordinality as e (word, n);
      if v_ends[1] > v_ends[2] then
        v_last := case i when 5 then 6 else v_highs[i] end;
        v_first := least(v_ends[1], v_last);
        fault := format('its %s "%s" runs backwards, so pg_cron would never fire',
          v_names[i], v_part);
        fix := format('Write it in two parts: %s,%s',
          concat_ws('-', v_first, nullif(v_last, v_first)),
          concat_ws('-', v_lows[i], nullif(v_ends[2], v_lows[i])));
      end if;
      exit;
    end loop;
    if fault is null then
      return;
    end if;
  end if;
  return next;
end
$$;

comment on function maintenance.cron_fault(text) is
  'What is wrong with a cron expression, and what to write instead; no row for one that is right.';
