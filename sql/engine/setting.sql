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
    '(undo_task). null: for ever')
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
