-- The nearest minute that a schedule names: the first after a time, or the last up to that time.
--
-- As pg_cron reads it: a day has to match day-of-month and day-of-week where one of the two starts
-- with *, and either of them where neither does. Times are those of the schedule's own time zone.

create function maintenance_internal.nearest_minute(
  p_schedule text,
  p_at timestamp,
  p_forward boolean)
returns timestamp
language plpgsql
immutable
strict
set search_path = pg_catalog, pg_temp
as $$
declare
  v_fault text;
  v_fix text;
  v_fields text[];
  v_minute integer[];
  v_hour integer[];
  v_dom integer[];
  v_month integer[];
  v_dow integer[];
  v_both boolean;
  v_way constant integer := case when p_forward then 1 else -1 end;
  v_from constant timestamp := date_trunc('minute', p_at) + case when p_forward
    then interval '1 minute' else interval '0' end;
  v_day date := v_from::date;
  v_slot timestamp;
begin
  if p_schedule ~ '^\s*([1-9]|[1-5]\d)\s+seconds?\s*$' then
    return p_at + v_way * (substring(p_schedule from '\d+') || ' seconds')::interval;
  end if;

  select f.fault, f.fix into v_fault, v_fix from maintenance_internal.cron_fault(p_schedule) as f;
  if found then
    raise exception 'the schedule "%" is not a cron expression: %', p_schedule, v_fault
      using errcode = 'PM006', hint = v_fix;
  end if;
  v_fields := regexp_split_to_array(btrim(case btrim(p_schedule)
    when '@yearly' then '0 0 1 1 *' when '@annually' then '0 0 1 1 *'
    when '@monthly' then '0 0 1 * *' when '@weekly' then '0 0 * * 0'
    when '@daily' then '0 0 * * *' when '@midnight' then '0 0 * * *'
    when '@hourly' then '0 * * * *' else p_schedule end), '\s+');
  v_minute := maintenance_internal.cron_field(v_fields[1], 1);
  v_hour := maintenance_internal.cron_field(v_fields[2], 2);
  v_dom := maintenance_internal.cron_field(v_fields[3], 3);
  v_month := maintenance_internal.cron_field(v_fields[4], 4);
  v_dow := maintenance_internal.cron_field(v_fields[5], 5);

  v_both := v_fields[3] like '*%' or v_fields[5] like '*%';

  -- Twelve years see every day of the calendar that a schedule can name.
  while abs(v_day - v_from::date) < 12 * 366 loop
    if not extract(month from v_day)::integer = any(v_month) then
      v_day := case when p_forward
        then (date_trunc('month', v_day::timestamp) + interval '1 month')::date
        else date_trunc('month', v_day::timestamp)::date - 1 end;
      continue;
    end if;
    if (select case when v_both then d.by_month and d.by_week else d.by_month or d.by_week end
      from (select
        extract(day from v_day)::integer = any(v_dom)
          or 32 = any(v_dom) and extract(day from v_day + 1) = 1 as by_month,
        extract(dow from v_day)::integer = any(v_dow)
          or extract(dow from v_day) = 0 and 7 = any(v_dow) as by_week) as d)
    then
      select case when p_forward then min(s.slot) else max(s.slot) end into v_slot
      from (
        select v_day + make_time(h, m, 0) as slot
        from unnest(v_hour) as h, unnest(v_minute) as m
      ) as s
      where case when p_forward then s.slot >= v_from else s.slot <= v_from end;
      if v_slot is not null then
        return v_slot;
      end if;
    end if;
    v_day := v_day + v_way;
  end loop;
  return null;
end
$$;
