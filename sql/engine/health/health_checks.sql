-- What is measured of the server, the database and the workers, against the settings. What cannot
-- be seen from here is unknown, which is no ok.

-- By how much a value has gone too far: with p_least, the less is the worse.
create function maintenance_internal.judge(
  p_value numeric,
  p_warning numeric,
  p_critical numeric,
  p_least boolean default false)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return case
  when p_value is null then 'unknown'
  when case when p_least then p_value <= p_critical else p_value >= p_critical end then 'critical'
  when case when p_least then p_value <= p_warning else p_value >= p_warning end then 'warning'
  else 'ok'
end;

create function maintenance_internal.health_checks()
returns table (check_name text, status text, value numeric, unit text, detail text, fix text)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
#variable_conflict use_column
declare
  v_now constant timestamptz := maintenance_internal.clock();
  v_setting constant jsonb := (
    select jsonb_object_agg(s.name, s.value::numeric) from maintenance.setting as s);
  v_row record;
begin
  -- connections
  select count(*) as used,
    current_setting('max_connections')::integer
      - current_setting('superuser_reserved_connections')::integer as most
  into v_row
  from pg_stat_activity as a
  -- What is no client takes no place of one; whose kind is not shown may be one.
  where coalesce(a.backend_type, 'client backend') in ('client backend', 'pg_cron')
    and a.datid is not null;
  check_name := 'connections';
  value := round(100.0 * v_row.used / v_row.most, 1);
  unit := 'percent';
  status := maintenance_internal.judge(value,
    (v_setting ->> 'connections_warning_percent')::numeric,
    (v_setting ->> 'connections_critical_percent')::numeric);
  detail := format('%s of %s connections are in use', v_row.used, v_row.most);
  fix := case when status in ('warning', 'critical') then 'select usename, application_name, '
    'state, count(*) from pg_stat_activity group by 1, 2, 3 order by 4 desc;' end;
  return next;

  -- disk
  select d.used, d.capacity into v_row from maintenance_internal.disk_use() as d;
  check_name := 'disk';
  value := round(100 - 100 * v_row.used / v_row.capacity, 1);
  status := maintenance_internal.judge(value, (v_setting ->> 'disk_warning_percent')::numeric,
    (v_setting ->> 'disk_critical_percent')::numeric, true);
  detail := format('the databases take %s', pg_size_pretty(v_row.used)) || case
    when value is null then ', of a disk of unknown size'
    else format(' of %s GB: %s %% are left', (v_setting ->> 'disk_capacity_gb')::numeric,
      value) end;
  fix := case status
    when 'unknown' then 'select maintenance.configure(''disk_capacity_gb'', 100); -- what it holds'
    when 'ok' then null
    else 'select schemaname, relname, pg_size_pretty(pg_total_relation_size(relid)) from '
      'pg_stat_user_tables order by pg_total_relation_size(relid) desc limit 10;' end;
  return next;

  -- transaction_ids
  select round(100.0 * max(age(d.datfrozenxid)) / 2146483647, 1) as used,
    (array_agg(d.datname order by age(d.datfrozenxid) desc))[1] as name
  into v_row from pg_database as d where d.datallowconn;
  check_name := 'transaction_ids';
  value := v_row.used;
  status := maintenance_internal.judge(value, 40, 75);
  detail := format('%s %% of the transaction ids are used up since the oldest row of %s was '
    'frozen', value, v_row.name);
  fix := case when status <> 'ok' then format('-- in the database %s: vacuum (freeze); and see '
    'who holds it back: select * from maintenance.vacuum_holders;', v_row.name) end;
  return next;

  -- vacuum
  select h.*, extract(epoch from v_now - h.since) / 60 as minutes into v_row
  from maintenance_internal.vacuum_holders() as h
  where h.since is not null
  order by h.since limit 1;
  check_name := 'vacuum';
  value := coalesce(round(greatest(v_row.minutes, 0), 1), 0);
  unit := 'minutes';
  status := case when v_row.kind is null then 'ok'
    else maintenance_internal.judge(value, (v_setting ->> 'held_warning_minutes')::numeric,
    24 * (v_setting ->> 'held_warning_minutes')::numeric) end;
  detail := case when v_row.kind is null then 'nobody holds VACUUM back'
    else format('%s %s has held VACUUM back for %s minutes: %s', v_row.kind, v_row.name, value,
      v_row.detail) end;
  fix := case when status <> 'ok' then v_row.fix end;
  -- Slots have no time, and sessions of others may show none: an age that large is one, too.
  select h.* into v_row from maintenance_internal.vacuum_holders() as h
  where h.since is null and h.xmin_age > 10000000
  order by h.xmin_age desc limit 1;
  if not found and status = 'ok' then
    select count(*) as sessions into v_row from maintenance_internal.vacuum_holders() as h
    where h.since is null and h.kind = 'session' and h.xmin_age > 10000; -- and not for a moment
    if v_row.sessions > 0 then
      status := 'unknown';
      value := null;
      detail := format('%s sessions of other roles hold VACUUM back, since when may not be seen',
        v_row.sessions);
      fix := format('grant pg_read_all_stats to %s; -- as a superuser',
        maintenance_internal.owner()::regrole);
    end if;
  elsif status = 'ok' then
    status := 'warning';
    detail := format('%s %s has held VACUUM back for %s transactions: %s', v_row.kind, v_row.name,
      v_row.xmin_age, v_row.detail);
    fix := v_row.fix;
  end if;
  return next;

  -- worker_memory
  select w.* into v_row from maintenance.worker as w
  where w.seen_at > v_now - interval '5 minutes' and w.heap_bytes is not null
  order by w.heap_bytes desc limit 1;
  check_name := 'worker_memory';
  value := round(v_row.heap_bytes / 1048576.0, 1);
  unit := 'MB';
  status := maintenance_internal.judge(value,
    (v_setting ->> 'worker_memory_warning_mb')::numeric,
    (v_setting ->> 'worker_memory_critical_mb')::numeric);
  detail := case when value is null then 'no worker has claimed anything for five minutes'
    else format('worker %s uses %s MB of heap%s', v_row.worker, value,
      ', ' || round(v_row.rss_bytes / 1048576.0, 1) || ' MB in all') end;
  fix := case when status in ('warning', 'critical')
    then '-- start the worker anew; it loses nothing: npm start' end;
  return next;

  -- models: what is used up in a minute is no news
  select count(*) as all_models, count(*) filter (where m.down) as down,
    string_agg(format('%s is %s: %s', m.model, m.state, m.reason), '; ' order by m.position)
      filter (where m.down) as told
  into v_row
  from (
    select s.*, s.state in ('retired', 'cooling') and s.until > v_now + interval '10 seconds'
      or s.state = 'blocked' and s.span is distinct from 'minute' as down
    from maintenance_internal.model_states(maintenance_internal.moment()) as s
    where s.state <> 'disabled'
  ) as m;
  check_name := 'models';
  value := v_row.down;
  unit := 'models';
  status := case when v_row.all_models = 0 then 'unknown' when v_row.down = 0 then 'ok'
    when 2 * v_row.down >= v_row.all_models then 'critical' else 'warning' end;
  detail := coalesce(v_row.told, case when v_row.all_models = 0 then 'no model is known'
    else 'every model can be asked' end);
  fix := case when v_row.down > 0 then 'select * from maintenance.model_status;' end;
  return next;
end
$$;
