-- What the owner sets once for the whole kit. What ships is a constant here, or in the function
-- reference_settings of the reference application, so that a release can change it; what somebody
-- has set is a row.

create function maintenance_internal.other_settings()
returns table (name text, value text, description text)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if to_regprocedure('maintenance_internal.reference_settings()') is not null then
    return query execute 'select s.* from maintenance_internal.reference_settings() as s';
  end if;
end
$$;

create view maintenance_internal.shipped_setting as
select s.name, s.value, s.description
from (values
  ('daily_budget_usd', '1', 'what calls of models may cost a day, midnight to midnight in Los '
    'Angeles as the quotas of Gemini, in USD; then no task is handed out until the next. null: no '
    'limit'),
  ('recovery_days', '7', 'how many days rows that an answer deleted can be brought back '
    '(undo_task). null: for ever'),
  ('alert_failures', '3', 'so many failures of a job in a row open an alert. null: none ever do'),
  ('run_warning_seconds', '60', 'a run of a job that takes so long opens an alert, a warning'),
  ('run_critical_seconds', '300', 'and one of so long makes it critical'),
  ('backlog_warning_rows', '1000', 'a backlog that has grown from run to run, three times, opens '
    'an alert from so many rows on'),
  ('alert_quiet_minutes', '5', 'an alert is closed when its cause has been away for so long'),
  ('disk_capacity_gb', null, 'what the disk of the server holds, in GB of 1024 MB, which SQL '
    'cannot see. null: unknown'),
  ('disk_warning_percent', '10', 'with no more than so much of it free it is a warning'),
  ('disk_critical_percent', '5', 'and with no more than so much it is critical'),
  ('connections_warning_percent', '80', 'so many of max_connections in use are a warning'),
  ('connections_critical_percent', '95', 'and so many are critical'),
  ('held_warning_minutes', '60', 'a transaction that keeps VACUUM from its work for so long is a '
    'warning'),
  ('upkeep_dead_percent', '10', 'a table of which so much is dead or has changed is vacuumed or '
    'analyzed (maintenance.upkeep). null: none is'),
  ('upkeep_air_percent', '50', 'an index of which so much is empty is rebuilt. null: none is'),
  ('upkeep_air_mb', '1', 'and of which so much, in MB'),
  ('upkeep_minutes', '120', 'for so long after a run of upkeep_step statements are begun. null: '
    'until nothing is left'),
  ('upkeep_blind_mb', '1024', 'where disk_capacity_gb is not known, no larger index is rebuilt'),
  ('worker_memory_warning_mb', '100', 'a heap of a worker of so much is a warning'),
  ('worker_memory_critical_mb', '500', 'and one of so much is critical')
) as s (name, value, description)
union all
select o.name, o.value, o.description from maintenance_internal.other_settings() as o;

comment on view maintenance_internal.shipped_setting is 'Every setting, with the value that ships.';

create table maintenance_internal.changed_setting (
  name text not null,
  value text,
  set_by text not null default session_user,
  set_at timestamptz not null default now(),
  constraint changed_setting_pkey primary key (name)
);

comment on table maintenance_internal.changed_setting is 'The settings that somebody has changed.';

create view maintenance.setting as
select
  s.name,
  case when c.name is null then s.value else c.value end as value,
  s.value as shipped,
  c.set_by,
  c.set_at,
  s.description
from maintenance_internal.shipped_setting as s
left join maintenance_internal.changed_setting as c on c.name = s.name;

comment on view maintenance.setting is
  'What the owner may set once for the whole kit, with maintenance.configure(name, value).';
comment on column maintenance.setting.name is 'the name, for configure';
comment on column maintenance.setting.value is 'the value in force';
comment on column maintenance.setting.shipped is 'the value that ships';
comment on column maintenance.setting.set_by is 'who set it; null where it is as it ships';
comment on column maintenance.setting.set_at is 'when it was set';
comment on column maintenance.setting.description is 'what it means, and in which unit';

-- A setting as a number; null where that is its value.
create function maintenance_internal.setting(p_name text)
returns numeric
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select s.value::numeric from maintenance.setting as s where s.name = p_name;
end;

create function maintenance.configure(name text, value text)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  v_shipped text;
  v_number numeric;
begin
  select s.value into v_shipped
  from maintenance_internal.shipped_setting as s where s.name = configure.name;
  if not found then
    raise exception 'there is no setting "%"', configure.name
      using errcode = 'PM002', hint = (
        select 'There are: ' || string_agg(s.name, ', ' order by s.name)
        from maintenance_internal.shipped_setting as s);
  end if;
  begin
    v_number := configure.value::numeric;
  exception when invalid_text_representation or numeric_value_out_of_range then
    v_number := -1;
  end;
  if v_number < 0 or v_number in ('NaN', 'Infinity') or v_number > 1e9 then
    raise exception '% cannot be "%"', configure.name, left(configure.value, 50)
      using errcode = 'PM002', hint = format('A number from 0 to a billion, or null. As it ships: '
        'select maintenance.configure(%L, %L);', configure.name, v_shipped);
  end if;
  insert into maintenance_internal.changed_setting (name, value)
  values (configure.name, v_number::text)
  on conflict on constraint changed_setting_pkey do update
  set value = excluded.value, set_by = excluded.set_by, set_at = excluded.set_at;
end
$$;

comment on function maintenance.configure(text, text) is
  'Sets a setting of the whole kit: maintenance.setting has them all, with their meaning. For the '
  'engine''s owner. Errors: PM002 no such setting, or a value that it cannot have.';

create function maintenance.configure(name text, value numeric)
returns void
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  select maintenance.configure(configure.name, configure.value::text);
end;

comment on function maintenance.configure(text, numeric) is
  'The same for a value that is written as a number.';
