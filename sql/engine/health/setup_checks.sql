-- Whether the kit stands as it should: what was installed, as whom, with which rights, and whether
-- pg_cron can fire. Cheap, since it is looked at every minute; what the rules are like says lint.

create function maintenance_internal.setup_checks()
returns table (check_name text, status text, detail text, fix text)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
#variable_conflict use_column
declare
  v_owner constant text := maintenance_internal.owner()::regrole::text;
  v_row record;
begin
  check_name := 'engine';
  select count(*) as jobs into v_row from maintenance_internal.job;
  status := case when v_row.jobs = 0 then 'failed' else 'ok' end;
  detail := format('pg-maintenance %s, %s jobs, on PostgreSQL %s',
    (select v.release from maintenance.version() as v where v.part = 'engine'),
    v_row.jobs, split_part(current_setting('server_version'), ' ', 1));
  fix := case when status = 'failed' then 'select * from maintenance.register();' end;
  return next;

  check_name := 'owner';
  select r.* into v_row from pg_roles as r where r.oid = maintenance_internal.owner();
  status := case
    when not v_row.rolcanlogin and (maintenance_internal.cron_state()).gap is null then 'failed'
    when v_row.rolsuper or v_row.rolbypassrls then 'warning' else 'ok' end;
  detail := 'the engine belongs to ' || v_owner || case
    when status = 'failed' then ', who may not log in, and so pg_cron may not for it'
    when v_row.rolsuper then ', a superuser, and with its rights runs what is in tables and rules'
    when v_row.rolbypassrls then ', which passes row security, and so does what is in rules'
    else '' end;
  fix := case when status = 'failed' then format('alter role %s login;', v_owner)
    when v_row.rolsuper then format('alter role %s nosuperuser nobypassrls;', v_owner)
    when v_row.rolbypassrls then format('alter role %s nobypassrls;', v_owner) end;
  return next;

  check_name := 'roles';
  select case when bool_or(r.fault = 'missing' or not r.granted) then 'failed'
      when bool_or(r.fault is not null) then 'warning' else 'ok' end as status,
    coalesce(string_agg(format('%s %s', r.name, coalesce(r.fault, 'lacks its rights')), ', '
      order by r.name) filter (where r.fault is not null or not r.granted),
      'viewer, operator and worker are there') as detail,
    concat_ws(' ', string_agg(case r.fault when 'missing'
        then format('create role %I nologin;', r.name)
        else r.fix end, ' ' order by r.name) filter (where r.fault is not null),
      case when bool_or(r.fault = 'missing' or not r.granted)
        then 'select * from maintenance.grant_roles();' end) as fix
  into v_row
  from (
    select n.name,
      case when o.oid is null then 'missing' else f.fault end as fault, f.fix,
      coalesce(has_function_privilege(o.oid, n.door::regprocedure, 'execute'), false)
        and coalesce(has_schema_privilege(o.oid, 'maintenance', 'usage'), false) as granted
    from (values
      ('maintenance_viewer', 'maintenance.doctor()'),
      ('maintenance_operator', 'maintenance.resume()'),
      ('maintenance_worker', 'maintenance.release_task(bigint, uuid)')
    ) as n (name, door)
    left join pg_roles as o on o.rolname = n.name
    left join maintenance_internal.role_fault(n.name) as f on true
  ) as r;
  status := v_row.status;
  detail := v_row.detail;
  fix := nullif(v_row.fix, '');
  return next;

  check_name := 'rights';
  select f.finding, f.fix into v_row from maintenance_internal.lint_public() as f;
  status := case when found then 'failed' else 'ok' end;
  detail := coalesce(v_row.finding, 'PUBLIC may execute nothing of the kit');
  fix := v_row.fix;
  return next;

  check_name := 'path';
  status := 'warning';
  for detail, fix in
    select f.finding, f.fix from maintenance_internal.lint_path() as f
  loop
    return next;
  end loop;
  if not found then
    status := 'ok';
    detail := 'nobody else may create where the owner''s code looks: '
      || maintenance_internal.owner_path();
    fix := null;
    return next;
  end if;

  check_name := 'paused';
  if maintenance_internal.is_paused() then
    status := 'warning';
    detail := 'all jobs are ' || maintenance_internal.pause_text();
    fix := 'select maintenance.resume();';
    return next;
  end if;

  -- What every session of the owner's begins with, those of pg_cron among them.
  check_name := 'time_outs';
  select string_agg(format('%s of %s is %s', e.name, e.whose, e.value), ', ') as detail,
    string_agg(e.fix, ' ') as fix,
    case bool_or(e.name = 'default_transaction_read_only') when true then 'failed'
      when false then 'warning' end as status
  into v_row
  from (
    select s.name, coalesce(o.value, nullif(concat(g.setting, g.unit), '')) as value,
      coalesce(o.whose, 'the server') as whose,
      coalesce(o.fix, format('alter role %s set %s = %s;', v_owner, s.name,
        case when s.name ~ 'only$' then 'off' else '0' end)) as fix
    from unnest(array['statement_timeout', 'transaction_timeout', 'default_transaction_read_only'])
      as s (name)
    left join lateral maintenance_internal.owner_setting(s.name) as o on true
    left join pg_settings as g
      on g.name = s.name and g.source in ('configuration file', 'command line')
  ) as e
  where case when e.name ~ 'only$' then e.value ~ '^(on|true|yes|1)$'
    else (e.value || case when e.value ~ '^[0-9]+$' then 'ms' else '' end)::interval
      between interval '1 microsecond' and (
        select max(j.budget) from maintenance_internal.job as j where j.kind <> 'statement') end;
  status := coalesce(v_row.status, 'ok');
  detail := coalesce(v_row.detail || case v_row.status
    when 'warning' then ', and a run is one statement' else ', and a run writes' end,
    'nothing ends a run before its budget does');
  fix := v_row.fix;
  return next;

  return query select c.* from maintenance_internal.cron_checks() as c;
end
$$;
