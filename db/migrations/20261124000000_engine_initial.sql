-- migrate:up

select pg_catalog.set_config('maintenance.path', pg_catalog.current_setting('search_path'), true);
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- from sql/engine/schema.sql 462bdd4a6286e13f
-- The two schemas of the engine, and the guard in front of it: where a name of ours is taken,
-- nothing is installed.
--
-- Errors that a caller may want to tell apart have an SQLSTATE of ours:
--   PM001  no such job
--   PM002  an argument is out of range (name, keep, batch size, budget ...)
--   PM003  the target is not a table that a policy can work on
--   PM004  an expression of a rule is not acceptable
--   PM005  an update leaves its rows due, so that the rule would match them again for ever
--   PM006  a schedule that is no cron expression
--   PM007  a step function or a statement is not acceptable
--   PM008  a run failed (run_job, after its receipt is committed; the front doors in public)
--   PM009  the run that a call wanted was skipped: another one is going on, or the job is disabled,
--          or all are paused
--   PM010  scheduling is not possible here
--   PM011  a statement job cannot be called from inside a transaction: pg_cron or psql runs it
--   PM012  due rows were offered and none of them changed (on receipts; never raised)
--   PM013  no such kind of task
--   PM014  no such task, or the lease token is not the one that holds it (any more)
--   PM015  no such trigger
--   PM016  the task is not in a state for that
--   PM017  an answer goes too far to be applied before somebody approves it (raised by an apply)
--   PM018  an answer has not the shape that was asked for (raised by an apply)
--   PM019  a statement job failed, or skipped a table that it names (on receipts; never raised)
--   PM020  a name that an installation needs is taken, or what it stands on is not there
--   PM021  foreign keys are switched off, so that a delete would leave orphans
--   PM022  the rule of a run, or its table, was changed meanwhile (on receipts; never raised)
--   PM023  this session, of somebody else than the owner, has temporary tables
--   PM024  no such model
--   PM025  a run waited in vain (on receipts; never raised)
--   PM026  an answer of a model comes during an emergency stop
--   PM027  a kind's apply says that what it was asked about has changed
--   PM028  a row names a blob that a worker is deleting from the store
--   PM029  a backup cannot be made, or is not like what it was made of
--   PM099  undoes what was only tried (never raised to a caller)

do $$
declare
  v_needs text;
begin
  -- Of two installs at the same moment the second one waits, and then is told.
  perform pg_advisory_xact_lock(1886216560, -2);

  if obj_description(to_regnamespace('maintenance'), 'pg_namespace') like 'pg-maintenance%' then
    raise exception 'pg-maintenance is in this database already, and dbmate does not know of it '
      '(another dbmate has just installed it, or it was not dbmate, or its table of migrations is '
      'another one): nothing was changed.' using errcode = 'PM020';
  elsif to_regnamespace('maintenance') is not null
    or to_regnamespace('maintenance_internal') is not null then
    raise exception 'pg-maintenance is not installed, and nothing was changed, since this '
      'database has a schema "maintenance" or "maintenance_internal" of its own: rename it (alter '
      'schema ... rename to ...), or install into another database.' using errcode = 'PM020';
  elsif to_regclass('public.maintenance_status') is not null
    or to_regtype('public.maintenance_status') is not null then
    raise exception 'pg-maintenance is not installed, and nothing was changed, since this '
      'database has a public.maintenance_status of its own: rename it, or install into another '
      'database.' using errcode = 'PM020';
  end if;

  -- dbmate writes to it in the same transaction, and its triggers would run with our rights.
  select format('pg-maintenance is not installed, and nothing was changed: the table '
    'public.schema_migrations belongs to %I, who could run anything with the rights of %I. Let it '
    'be made anew, or give it away: alter table public.schema_migrations owner to %2$I;',
    r.rolname, current_user) into v_needs
  from pg_class as c
  join pg_roles as r on r.oid = c.relowner
  where c.oid = to_regclass('public.schema_migrations')
    and not r.rolsuper and not pg_has_role(r.oid, current_user, 'member');
  if found then
    raise exception '%', v_needs using errcode = 'PM020';
  end if;

  v_needs := case
    when not has_database_privilege(current_database(), 'create')
      then format('grant create on database %I to %I;', current_database(), current_user)
    when not has_database_privilege(current_database(), 'temporary')
      then format('grant temporary on database %I to %I;', current_database(), current_user)
    when not has_schema_privilege('public', 'create')
      then format('grant create on schema public to %I;', current_user)
    when current_setting('standard_conforming_strings') = 'off'
      then format('alter database %I set standard_conforming_strings = on;', current_database())
  end;
  if v_needs is not null then
    raise exception 'pg-maintenance is not installed, and nothing was changed: it needs %', v_needs
      using errcode = 'PM020';
  end if;
end
$$;

create schema maintenance;
create schema maintenance_internal;

comment on schema maintenance_internal is
  'What the doors in schema maintenance are made of. Nothing here is a promise.';
-- end of sql/engine/schema.sql

-- from sql/engine/owner.sql e9f7054529ae51a5
-- The engine's owner, whom it trusts, and what the owner's own sessions are like. Code of the
-- owner's (triggers, steps, functions in rules, functions of kinds) was written for those sessions,
-- and hardly any of it names its schemas: it runs under their path (owner_path), but for schemas in
-- which somebody else may put things.

create function maintenance_internal.owner()
returns oid
language sql
stable
set search_path = pg_catalog, pg_temp
return (select n.nspowner from pg_namespace as n where n.nspname = 'maintenance');

-- Whether a role has the owner's rights anyway: the owner, its members, superusers.
create function maintenance_internal.is_trusted(p_role oid)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (
    select from pg_roles as r
    where r.oid = case p_role when to_regrole('pg_database_owner')
        then (select d.datdba from pg_database as d where d.datname = current_database())
        else p_role end
      and (r.rolsuper or pg_has_role(r.oid, maintenance_internal.owner(), 'member')));
end
$$;

-- What one of the kit's own roles can that nobody meant it to: a role of that name may have been
-- there before. The fix takes away that alone: who is no superuser may not even say nosuperuser.
create function maintenance_internal.role_fault(p_role text, out fault text, out fix text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select nullif(concat_ws(', ', case when r.rolsuper then 'is a superuser' end,
      case when r.rolcanlogin then 'may log in' end,
      case when r.rolcreaterole then 'may create roles' end,
      case when r.rolbypassrls then 'passes row security' end), ''),
    case when r.rolsuper or r.rolcanlogin or r.rolcreaterole or r.rolbypassrls then
      format('alter role %I %s;', r.rolname, concat_ws(' ',
        case when r.rolsuper then 'nosuperuser' end, case when r.rolcanlogin then 'nologin' end,
        case when r.rolcreaterole then 'nocreaterole' end,
        case when r.rolbypassrls then 'nobypassrls' end)) end
  from pg_roles as r
  where r.rolname = p_role;
end;

-- A setting that every session of the engine's owner in this database begins with, as pg_cron's do:
-- its value, whose it is, and the statement that takes it away. No row where none is given.
create function maintenance_internal.owner_setting(p_name text)
returns table (value text, whose text, fix text)
language plpgsql -- which keeps its plan
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
  select substr(c.setting, length(p_name) + 2),
    concat_ws(' in ', case when s.setrole <> 0 then 'the role ' || o.owner end,
      case when s.setdatabase <> 0 then 'the database ' || current_database() end),
    format('alter %s reset %s;', case
      when s.setrole = 0 then format('database %I', current_database())
      when s.setdatabase = 0 then format('role %I', o.owner)
      else format('role %I in database %I', o.owner, current_database()) end, p_name)
  from pg_db_role_setting as s
  cross join lateral unnest(s.setconfig) as c (setting)
  cross join (select pg_get_userbyid(maintenance_internal.owner()) as owner) as o
  where s.setrole in (0, maintenance_internal.owner())
    and s.setdatabase in (0, (
      select d.oid from pg_database as d where d.datname = current_database()))
    and c.setting like p_name || '=%'
  order by s.setdatabase <> 0 and s.setrole <> 0 desc, s.setrole <> 0 desc
  limit 1;
end
$$;

-- The schemas of the path of the owner's sessions, in order, each with the roles that may create in
-- it and are not trusted, and what would shut them out; null where there are none.
create function maintenance_internal.owner_schemas()
returns table (schema_name text, place bigint, strangers text, fix text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
  select n.nspname::text, e.place, c.strangers, c.fix
  from regexp_matches(
    coalesce((select s.value from maintenance_internal.owner_setting('search_path') as s),
      '"$user", public'),
    '"((?:[^"]|"")*)"|([^",\s]+)', 'g') with ordinality as e (name, place)
  join pg_namespace as n on n.nspname = coalesce(
    case when coalesce(e.name[1], e.name[2]) = '$user'
      then pg_get_userbyid(maintenance_internal.owner()) end,
    replace(e.name[1], '""', '"'), lower(e.name[2]))
  cross join lateral (
    select string_agg(distinct r.name, ', ') as strangers,
      string_agg(case
        when r.is_owner then format('alter schema %I owner to %I;', n.nspname,
          pg_get_userbyid(maintenance_internal.owner()))
        when r.is_owner is null then format('-- and drop, or take over, what %s has left there: '
          'select oid::regprocedure from pg_proc where pronamespace = %L::regnamespace and '
          'proowner = %L::regrole;', r.name, n.nspname, r.name)
        else format('revoke create on schema %I from %s;', n.nspname, r.name) end, ' '
        order by r.is_owner, r.name) as fix
    from (
      select n.nspowner::regrole::text as name, n.nspowner as role, true as is_owner
      union
      select case a.grantee when 0 then 'public' else a.grantee::regrole::text end, a.grantee, false
      from aclexplode(n.nspacl) as a
      where a.privilege_type = 'CREATE' and a.grantee <> n.nspowner
      union
      -- What somebody has left there, who may not create any more, is found as well.
      select o.owner::regrole::text, o.owner, null
      from (
        select p.proowner as owner from pg_proc as p where p.pronamespace = n.oid
        union select p.oprowner from pg_operator as p where p.oprnamespace = n.oid
        union select p.typowner from pg_type as p where p.typnamespace = n.oid and p.typrelid = 0
        offset 0 -- each owner is asked about once
      ) as o
    ) as r
    where not maintenance_internal.is_trusted(r.role)
  ) as c
  where n.nspname !~ '^pg_';
end
$$;

-- The path that the owner's code runs under; with p_all, as it would be if all could be trusted.
create function maintenance_internal.owner_path(p_all boolean default false)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select 'pg_catalog, ' || coalesce(
      string_agg(quote_ident(s.schema_name) || ', ', '' order by s.place), '') || 'pg_temp'
    from maintenance_internal.owner_schemas() as s
    where s.strangers is null or p_all);
end
$$;

-- The statement that has deferred keys and triggers of trusted tables checked now; null where there
-- are none. Not "all": before PostgreSQL 18 what a caller has deferred on a table of its own would
-- then run with our rights. Postgres knows constraints by schema and name alone, so a name that a
-- stranger uses as well is left out.
create function maintenance_internal.check_deferred_statement()
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return (
  select 'set constraints ' || string_agg(d.name, ', ' order by d.name) || ' immediate'
  from (
    select format('%I.%I', n.nspname, k.conname) as name
    from pg_constraint as k
    join pg_namespace as n on n.oid = k.connamespace
    join pg_class as c on c.oid = k.conrelid
    where k.condeferrable and k.conparentid = 0
      and has_schema_privilege(n.oid, 'usage')
    group by n.nspname, k.conname
    having bool_and(c.relpersistence <> 't' and maintenance_internal.is_trusted(c.relowner))
  ) as d);

-- Where the session is a stranger's, its temporary tables and types could be taken for what the
-- owner's code names without a schema: Postgres looks for them on every path. And what it has set
-- of an extension's settings (how alike is alike) goes back until its transaction ends.
create function maintenance_internal.check_session()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if maintenance_internal.is_trusted(
    (select r.oid from pg_roles as r where r.rolname = session_user)) then
    return;
  end if;
  perform set_config(s.name, coalesce(s.reset_val, ''), true)
  from pg_settings as s
  where s.name like '%.%' and s.name not like 'maintenance.%' and s.source = 'session'
    and s.context = 'user' and s.setting is distinct from s.reset_val;
  if pg_my_temp_schema() <> 0
    and exists (select from pg_type as t where t.typnamespace = pg_my_temp_schema())
  then
    raise exception 'this session has temporary tables, and the owner''s code could take them for '
        'others' using errcode = 'PM023', hint = 'discard temp; or open another session.';
  end if;
end
$$;

-- Executes a statement under a path, and nothing besides: of what stands on a path that is not to
-- be trusted, not even an operator of ours may be taken. Then only what runs nothing may be
-- executed.
create function maintenance_internal.execute_under(p_path text, p_statement text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform set_config('search_path', p_path, true);
  execute p_statement;
end
$$;
-- end of sql/engine/owner.sql

-- from sql/engine/clock.sql d0686f185327132d
-- The one clock that every rule and schedule is read at: the transaction's start or, for tests, the
-- setting maintenance.fake_now.
-- Only the engine's owner may move it: a cut-off in the future would make every row due.

create function maintenance_internal.clock()
returns timestamptz
language sql
stable
set search_path = pg_catalog, pg_temp
return case
  when coalesce(current_setting('maintenance.fake_now', true), '') <> ''
    and pg_has_role(session_user,
      (select n.nspowner from pg_namespace as n where n.nspname = 'maintenance'), 'usage')
  then current_setting('maintenance.fake_now', true)::timestamptz
  else now()
end;

-- The same for what passes within a transaction: leases, places and cool-downs of models. The
-- moment itself, and never the transaction's start.
create function maintenance_internal.moment()
returns timestamptz
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if coalesce(current_setting('maintenance.fake_now', true), '') = '' then
    return clock_timestamp();
  end if;
  return case when maintenance_internal.clock() = now() then clock_timestamp()
    else maintenance_internal.clock() end;
end
$$;
-- end of sql/engine/clock.sql

-- from sql/engine/find_function.sql f28b2afd7c461a34
-- A function that a job or a kind names, by exact signature, or a clear error. p_arguments: types.
-- It is found as in the owner's own sessions, and runs with the owner's rights, so it has to belong
-- to the owner or to a superuser.

create function maintenance_internal.find_function(p_name text, p_arguments text, p_result text)
returns regprocedure
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_oid oid;
  v_proc record;
begin
  begin
    if cardinality(parse_ident(p_name)) = 1 then
      perform set_config('search_path', maintenance_internal.owner_path(), true);
    end if;
    v_oid := to_regprocedure(format('%s(%s)', p_name, p_arguments));
  exception when syntax_error or invalid_name or feature_not_supported
    or invalid_parameter_value then
    null;
  end;
  perform set_config('search_path', 'pg_catalog, pg_temp', true);
  select p.prokind, p.proretset, p.proowner, pg_get_function_result(p.oid) as result,
    r.rolsuper as owned_by_superuser
  into v_proc
  from pg_proc as p
  join pg_roles as r on r.oid = p.proowner
  where p.oid = v_oid;

  if not found or v_proc.prokind <> 'f' or v_proc.result <> p_result then
    raise exception 'there is no function %(%) returns %', p_name, p_arguments, p_result
      using errcode = 'PM007', hint = 'Name it with its schema, and without arguments.';
  end if;
  if v_proc.proowner <> maintenance_internal.owner() and not v_proc.owned_by_superuser then
    raise exception 'the function % belongs to %', p_name, v_proc.proowner::regrole
      using errcode = 'PM007',
        hint = 'It runs with the rights of the engine''s owner, who has to own it.';
  end if;
  return v_oid;
end
$$;
-- end of sql/engine/find_function.sql

-- from sql/engine/error_text.sql 8108298d03865eda
-- What may be told of an error to people who may not read the tables: its SQLSTATE, the constraint
-- and the table, and the message only where it cannot hold a row's text. Messages about values
-- (class 22), and whatever somebody's function or trigger raises, are left to the owner.

create function maintenance_internal.error_text(
  p_sqlstate text,
  p_message text,
  p_context text,
  p_constraint text default null,
  p_table text default null)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return case
  -- Ours, and the two that an apply raises for the worker's eyes.
  when p_sqlstate like 'PM%' and (p_sqlstate in ('PM017', 'PM018')
    or p_context is null or p_context ~ '^PL/pgSQL function maintenance(_internal)?\.')
    then p_message
  -- What a RAISE says of constraints and tables may be anything.
  when coalesce(p_constraint, '') <> '' and p_context !~ '^[^\n]* at RAISE(\n|$)'
    then format('SQLSTATE %s, constraint %I of table %I', p_sqlstate, p_constraint, p_table)
  -- What Postgres says of the engine's own statements when it reads them, or looks at rights, and
  -- not when it works on a value (as in a cast to regclass: then the context begins with the
  -- statement), nor of statements that somebody's trigger may have put together.
  when p_sqlstate ~ '^(0A|3F|42)'
    and case when p_sqlstate = '42501'
      then substring(p_context from '(?n)^(?:PL/\S+|SQL) function .*$') else p_context end
      ~ '^PL/pgSQL function maintenance(_internal)?\.'
    then format('%s (SQLSTATE %s)', p_message, p_sqlstate)
  -- What Postgres, and nobody's RAISE, says of locks, resources and cancellations.
  when p_sqlstate ~ '^(25|2B|40|53|54|55|57)' and p_context !~ '^[^\n]* at RAISE(\n|$)'
    then format('%s (SQLSTATE %s)', p_message, p_sqlstate)
  else format('SQLSTATE %s', p_sqlstate)
end;
-- end of sql/engine/error_text.sql

-- from sql/engine/turn.sql 6f0f4deb839cdb45
-- What one session at a time does, and not more often than it is worth. Taking a turn is a row lock
-- until the transaction ends: an advisory lock could be held by anybody who can connect.

create table maintenance_internal.turn (
  name text not null,
  taken_at timestamptz not null,
  noted bigint,
  noted_in text,
  constraint turn_pkey primary key (name)
) with (fillfactor = 50);

comment on table maintenance_internal.turn is
  'statements: writing the receipts of what pg_cron ran. missed: looking for slots that left no '
  'trace. upkeep: giving the next statement of a plan.';
comment on column maintenance_internal.turn.noted is
  'statements: up to which number of pg_cron''s history receipts are written; missed: a hash of '
  'how schedules were read; upkeep: the run whose plan is not over';
comment on column maintenance_internal.turn.noted_in is
  'where that was (home of cron_state): another history counts anew, and a restored database owes '
  'nothing';

create function maintenance_internal.put_turns()
returns void
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  insert into maintenance_internal.turn (name, taken_at)
  values ('statements', '-infinity'), ('missed', '-infinity'), ('upkeep', '-infinity')
  on conflict do nothing;
end;
select maintenance_internal.put_turns();

-- Whether it is this session's turn; never waits.
create function maintenance_internal.take_turn(p_name text, p_every interval default '0')
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform from maintenance_internal.turn as t
  where t.name = p_name and t.taken_at <= clock_timestamp() - p_every
  for update skip locked;
  if found then
    update maintenance_internal.turn as t set taken_at = clock_timestamp() where t.name = p_name;
    return true;
  end if;
  return false;
end
$$;
-- end of sql/engine/turn.sql

-- from sql/engine/setting.sql 6a25e0d19dd29e67
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
-- end of sql/engine/setting.sql

-- from sql/engine/version.sql 0e5cfe135cce4fc1
-- Which version is installed here, so that a program of another one can say so (state.sql).

create function maintenance.version()
returns table (part text, release text, state text)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
begin atomic
  select v.part, m.found[1], m.found[2]
  from (values
    ('engine', obj_description(to_regnamespace('maintenance'), 'pg_namespace')),
    ('reference', obj_description(
      to_regprocedure('maintenance_internal.reference_objects()'), 'pg_proc'))
  ) as v (part, words)
  cross join lateral regexp_match(v.words, '^pg-maintenance (\S+), state (\w+)') as m (found)
  where m.found is not null;
end;

comment on function maintenance.version() is
  'What is installed in this database: one row for the engine, and one for the reference '
  'application where it is here. release: of pg-maintenance; state: a hash of the files of sql/ '
  'that it was made of.';
-- end of sql/engine/version.sql

-- from sql/engine/state.sql 908b65d6a2e20912
-- The release, and a hash of the files of sql/engine/. Written by make migration.

comment on schema maintenance is
  'pg-maintenance 0.0.0, state 9db87846fa179151: '
  'what people call and read; \df maintenance.* is the manual.';
-- end of sql/engine/state.sql

-- from sql/engine/job/tables.sql 9a6832eee409ee56
-- What should be done, one row per job, and who changed it. Rows are written by set_policy, set_job
-- and set_statement, and by nobody else.

create table maintenance_internal.job (
  job_id integer generated always as identity,
  job_name text not null,
  kind text not null,
  step text,
  statement text,
  schedule text,
  description text not null,
  backlog_name text,
  backlog_function text,
  enabled boolean not null default true,
  batch_size integer not null default 20000,
  budget interval not null default interval '5 minutes',
  max_batches integer,
  max_rows bigint,
  priority text not null default 'medium',
  timeout interval,
  depends_on text[] not null default '{}',
  grace interval,
  window_start time,
  window_end time,
  window_zone text,
  promised_at timestamptz not null default now(),
  look_at timestamptz not null default '-infinity',
  look_since timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint job_pkey primary key (job_id),
  constraint job_name_is_unique unique (job_name),
  constraint job_backlog_name_is_unique unique (backlog_name),
  constraint job_name_fits_pg_cron check (job_name ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,50}$'),
  constraint job_kind_is_known check (kind in ('policy', 'function', 'statement')),
  constraint job_step_belongs_to_functions check ((kind = 'function') = (step is not null)),
  constraint job_statement_belongs_to_statements
    check ((kind = 'statement') = (statement is not null)),
  constraint job_backlog_function_has_a_name
    check (backlog_function is null or (kind = 'function' and backlog_name is not null)),
  constraint job_batch_size_is_sane check (batch_size between 1 and 100000),
  constraint job_budget_is_positive check (budget > interval '0'),
  constraint job_limits_are_positive check (max_batches > 0 and max_rows > 0),
  constraint job_priority_is_known check (priority in ('critical', 'high', 'medium', 'low')),
  constraint job_times_are_positive check (timeout > interval '0' and grace > interval '0'),
  constraint job_window_is_whole check (num_nulls(window_start, window_end, window_zone) in (0, 3)),
  constraint job_window_has_a_length check (window_start <> window_end)
);

comment on table maintenance_internal.job is
  'One row per job: what set_policy, set_job and set_statement declared, and the options of '
  'configure_job. schedule is the declared one; job_status shows the one in force.';
comment on column maintenance_internal.job.step is
  'function jobs: qualified name of a function (batch_size integer) returns bigint';
comment on column maintenance_internal.job.backlog_name is
  'the name of the job''s row in maintenance_status; the job''s own name where null';
comment on column maintenance_internal.job.backlog_function is
  'function jobs: qualified name of a function (cap integer) that counts what is due';
comment on column maintenance_internal.job.budget is
  'a run stops cleanly after this much wall-clock time';
comment on column maintenance_internal.job.priority is
  'how often a failed run is tried again, and who goes first of those that wait';
comment on column maintenance_internal.job.timeout is
  'a run is ended after this much time; where null, time_out_of says when';
comment on column maintenance_internal.job.depends_on is
  'jobs that have to have succeeded for a slot before its run begins';
comment on column maintenance_internal.job.grace is
  'how long a run may wait; where null, until the next slot';
comment on column maintenance_internal.job.window_start is
  'the only time of day, in window_zone, in which pg_cron and the tick may have it run; over '
  'midnight where it ends before it starts';
comment on column maintenance_internal.job.promised_at is
  'when its schedule in force began to count, or it was enabled: no slot before it was ever owed';
comment on column maintenance_internal.job.look_at is
  'no slot of its can be missed before this moment, so that the tick need not read its schedule; '
  'holds for the promise of look_since alone';

create table maintenance.edit (
  edit_id bigint generated always as identity,
  job_name text not null,
  changed_at timestamptz not null default clock_timestamp(),
  changed_by text not null default session_user,
  what jsonb not null,
  constraint edit_pkey primary key (edit_id)
);

create index edit_changed_at_idx on maintenance.edit (changed_at);

comment on table maintenance.edit is
  'Who changed what of a job, its rule or its schedule, and when: one row per change, kept when '
  'the job is dropped.';
comment on column maintenance.edit.changed_by is
  'the login; pg_cron where the change was found there, which does not say whose it was';
comment on column maintenance.edit.what is
  'what changed: {"keep": [before, after], ...}; schedule and active are those in pg_cron, where '
  'the change was made or found there';
-- end of sql/engine/job/tables.sql

-- from sql/engine/job/record_edit.sql cf12e97c82be6dd5
-- Trigger: keeps who changed what of a job or its rule, and when.

create function maintenance_internal.record_edit()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_job_name text := (
    select j.job_name from maintenance_internal.job as j where j.job_id = old.job_id);
  v_what jsonb;
begin
  if tg_op = 'DELETE' then
    v_job_name := old.job_name;
    v_what := jsonb_build_object('dropped', jsonb_build_array(false, true));
  else
    select jsonb_object_agg(o.key, jsonb_build_array(o.value, n.value)) into v_what
    from jsonb_each(to_jsonb(old)) as o
    join jsonb_each(to_jsonb(new)) as n on n.key = o.key
    where o.value is distinct from n.value
      and o.key not in ('updated_at', 'promised_at', 'look_at', 'look_since', 'description');
  end if;
  if v_what is not null then
    insert into maintenance.edit (job_name, what) values (v_job_name, v_what);
  end if;
  return null;
end
$$;

create trigger record_edit after update or delete on maintenance_internal.job
for each row execute function maintenance_internal.record_edit();
-- end of sql/engine/job/record_edit.sql

-- from sql/engine/job/find_job.sql b7f08a353cf59fc6
-- A job by its name, or a clear error.

create function maintenance_internal.find_job(p_job_name text)
returns maintenance_internal.job
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_job maintenance_internal.job;
begin
  select * into v_job from maintenance_internal.job as j where j.job_name = p_job_name;
  if not found then
    raise exception 'there is no job "%"', p_job_name
      using errcode = 'PM001',
        hint = case when exists (select from maintenance_internal.job)
          then 'select job_name from maintenance.job_status lists them.'
          else 'None is registered here: select * from maintenance.register();' end;
  end if;
  return v_job;
end
$$;
-- end of sql/engine/job/find_job.sql

-- from sql/engine/job/upsert_job.sql a32298674b8ceaa1
-- The upsert behind set_policy, set_job and set_statement: the job's own row and its schedule.

create function maintenance_internal.upsert_job(p_job maintenance_internal.job)
returns maintenance_internal.job
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_job maintenance_internal.job;
  v_before maintenance_internal.job;
  v_dropped text;
begin
  if p_job.job_name is null or p_job.job_name !~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,50}$' then
    raise exception 'the job name "%" is not acceptable', p_job.job_name
      using errcode = 'PM002',
        hint = 'Up to 51 letters, digits, ".", "_" and "-", a letter or a digit first.';
  end if;
  perform maintenance_internal.check_schedule(p_job.job_name, p_job.schedule);

  select * into v_before from maintenance_internal.job as j where j.job_name = p_job.job_name;
  if v_before.kind <> p_job.kind then
    raise exception 'the job "%" is a % job already', p_job.job_name, v_before.kind
      using errcode = 'PM002',
        hint = format('select maintenance.drop_job(%L), or take another name.', p_job.job_name);
  end if;

  select j.* into v_job
  from maintenance_internal.job as j
  where j.job_name <> p_job.job_name
    and coalesce(j.backlog_name, j.job_name) = coalesce(p_job.backlog_name, p_job.job_name);
  if found then
    raise exception 'the job "%" has the backlog name "%" already',
      v_job.job_name, coalesce(p_job.backlog_name, p_job.job_name)
      using errcode = 'PM002', hint = 'Each row of maintenance_status needs a name of its own.';
  end if;

  v_dropped := concat_ws(', ',
    case when p_job.schedule is null then 'schedule ' || v_before.schedule end,
    case when p_job.backlog_name is null then 'backlog_name ' || v_before.backlog_name end);
  if v_dropped <> '' then
    raise warning '"%" loses what this call does not name: %', p_job.job_name, v_dropped
      using hint = 'Setting a job replaces it: name again what is meant to stay.';
  end if;
  if v_before.statement <> p_job.statement then
    perform maintenance_internal.record_statements('0'); -- of what it was
  end if;
  insert into maintenance_internal.job as j
    (job_name, kind, step, statement, schedule, description, backlog_name, backlog_function)
  values
    (p_job.job_name, p_job.kind, p_job.step, p_job.statement, p_job.schedule,
      coalesce(p_job.description, ''), p_job.backlog_name, p_job.backlog_function)
  on conflict (job_name) do update
  set step = excluded.step,
    statement = excluded.statement,
    schedule = excluded.schedule,
    promised_at = case when j.schedule is distinct from excluded.schedule
      then maintenance_internal.clock()
      else j.promised_at end,
    description = excluded.description,
    backlog_name = excluded.backlog_name,
    backlog_function = excluded.backlog_function,
    updated_at = now()
  returning * into v_job;
  if (v_job.schedule, v_job.statement) is distinct from (v_before.schedule, v_before.statement)
    and (v_job.schedule is not null or v_before.schedule is not null) then
    perform maintenance_internal.tell_elsewhere(v_job, v_job.schedule);
  end if;
  return v_job;
end
$$;
-- end of sql/engine/job/upsert_job.sql

-- from sql/engine/job/set_job.sql 06c2f2d725a9d17f
-- Sets a function job: a function that handles one batch and returns its rows.

create function maintenance.set_job(
  job_name text,
  step text,
  schedule text default null,
  description text default null,
  backlog_name text default null,
  backlog_function text default null)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_job maintenance_internal.job;
begin
  if (set_job.backlog_name is null) <> (set_job.backlog_function is null) then
    raise exception 'backlog_name and backlog_function go together'
      using errcode = 'PM002', hint = 'Give both for a row in maintenance_status, or neither.';
  end if;
  if set_job.backlog_function is not null then
    v_job.backlog_function := maintenance_internal.find_function(set_job.backlog_function,
      'integer', 'TABLE(due bigint, oldest timestamp with time zone)')::regproc;
  end if;

  v_job.job_name := set_job.job_name;
  v_job.kind := 'function';
  v_job.step := maintenance_internal.find_function(set_job.step, 'integer', 'bigint')::regproc;
  v_job.schedule := set_job.schedule;
  v_job.description := coalesce(set_job.description, 'Calls ' || v_job.step);
  v_job.backlog_name := set_job.backlog_name;
  v_job := maintenance_internal.upsert_job(v_job);
  perform maintenance_internal.sync_schedule(v_job.job_name);
end
$$;

comment on function maintenance.set_job(text, text, text, text, text, text) is
  'Sets a function job. step: a function (batch_size integer) returns bigint, found as in the '
  'owner''s own sessions, and run under their search_path, that handles one batch and returns '
  'its rows; 0 ends the run, less than 0 counts for nothing and has it go on. backlog_function, '
  'optional: a function (cap integer) returns table '
  '(due bigint, oldest timestamptz), shown in maintenance_status under backlog_name. schedule: '
  'five-field cron, UTC. For the engine''s owner. Errors: PM002 argument, PM006 schedule, PM007 '
  'no such function, or not the owner''s.';
-- end of sql/engine/job/set_job.sql

-- from sql/engine/job/configure_job.sql 6996ba37755df0ac
-- Changes the options of a job of any kind; what is not given stays.

create function maintenance.configure_job(
  job_name text,
  batch_size integer default null,
  budget interval default null,
  max_batches integer default null,
  max_rows bigint default null,
  keep interval default null,
  priority text default null,
  timeout interval default null,
  depends_on text[] default null,
  grace interval default null,
  window_start time default null,
  window_end time default null,
  window_zone text default null)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_job maintenance_internal.job := maintenance_internal.find_job(configure_job.job_name);
  v_start time := coalesce(configure_job.window_start, v_job.window_start);
  v_end time := coalesce(configure_job.window_end, v_job.window_end);
  v_zone text := coalesce(configure_job.window_zone, v_job.window_zone, 'UTC');
  v_depends_on text[] := case when configure_job.depends_on is not null then array(
    select distinct d.name from unnest(configure_job.depends_on) as d (name) order by 1) end;
  v_most constant interval := interval '1 year';
begin
  if configure_job.batch_size not between 1 and 100000 then
    raise exception 'the batch size % is out of range', configure_job.batch_size
      using errcode = 'PM002', hint = 'Rows per batch: 1 to 100000.';
  end if;
  if configure_job.budget <= interval '0' or configure_job.budget > v_most then
    raise exception 'the budget % is out of range', configure_job.budget
      using errcode = 'PM002', hint = 'An interval above zero, up to a year: ''5 minutes''.';
  end if;
  if configure_job.max_batches < 0 or configure_job.max_rows < 0 then
    raise exception 'max_batches % or max_rows % is out of range',
      configure_job.max_batches, configure_job.max_rows
      using errcode = 'PM002', hint = 'One or more; 0 takes the limit away.';
  end if;
  if configure_job.keep is not null and v_job.kind <> 'policy' then
    raise exception 'the job "%" is a % job and keeps nothing', v_job.job_name, v_job.kind
      using errcode = 'PM002', hint = 'keep is an option of policies alone.';
  end if;
  perform maintenance_internal.check_keep(configure_job.keep);
  if configure_job.priority not in ('critical', 'high', 'medium', 'low') then
    raise exception 'there is no priority "%"', configure_job.priority
      using errcode = 'PM002', hint = 'critical, high, medium or low.';
  end if;
  if least(configure_job.timeout, configure_job.grace) < interval '0'
    or greatest(configure_job.timeout, configure_job.grace) > v_most then
    raise exception 'the timeout % or the grace % is out of range',
      configure_job.timeout, configure_job.grace
      using errcode = 'PM002', hint = 'An interval above zero, up to a year: ''30 minutes''; ''0'' '
        'makes it what ships.';
  end if;
  if v_job.kind = 'statement' and (configure_job.priority is not null
    or configure_job.depends_on <> '{}' or configure_job.grace is not null
    or num_nonnulls(configure_job.window_start, configure_job.window_end) > 0) then
    raise exception 'pg_cron runs the statement of "%" as it stands, at its time', v_job.job_name
      using errcode = 'PM002', hint = 'It can have a timeout; a priority, dependencies, a grace '
        'and a window are for policies and function jobs.';
  end if;
  if num_nulls(v_start, v_end) = 1 or configure_job.window_zone is not null and v_start is null then
    raise exception 'the window of "%" has no %', v_job.job_name,
        case when v_start is null then 'start' else 'end' end
      using errcode = 'PM002', hint = 'window_start => ''22:00'', window_end => ''06:00'', '
        'window_zone => ''Europe/Berlin''; a start that is the end takes the window away.';
  end if;
  if extract(second from v_start) > 0 or extract(second from v_end) > 0 or v_start = '24:00' then
    raise exception 'the window from % to % is not of whole minutes of a day',
        v_start, v_end
      using errcode = 'PM002', hint = 'window_start => ''22:00'', window_end => ''06:00''.';
  end if;
  if configure_job.window_zone is not null and not exists (
    select from pg_timezone_names as z where lower(z.name) = lower(configure_job.window_zone))
  then
    raise exception 'there is no time zone "%"', v_zone
      using errcode = 'PM002', hint = 'A name of pg_timezone_names: ''Europe/Berlin''.';
  end if;
  perform maintenance_internal.check_dependencies(v_job.job_name, v_depends_on);

  update maintenance_internal.policy as p
  set keep = configure_job.keep
  where p.job_id = v_job.job_id and configure_job.keep is not null;
  update maintenance_internal.job as j
  set batch_size = coalesce(configure_job.batch_size, j.batch_size),
    budget = coalesce(configure_job.budget, j.budget),
    max_batches = nullif(coalesce(configure_job.max_batches, j.max_batches), 0),
    max_rows = nullif(coalesce(configure_job.max_rows, j.max_rows), 0),
    priority = coalesce(configure_job.priority, j.priority),
    timeout = nullif(coalesce(configure_job.timeout, j.timeout), interval '0'),
    depends_on = coalesce(v_depends_on, j.depends_on),
    grace = nullif(coalesce(configure_job.grace, j.grace), interval '0'),
    window_start = case when v_start <> v_end then v_start end,
    window_end = case when v_start <> v_end then v_end end,
    window_zone = case when v_start <> v_end then v_zone end,
    updated_at = now()
  where j.job_id = v_job.job_id;
end
$$;

comment on function maintenance.configure_job(text, integer, interval, integer, bigint, interval,
  text, interval, text[], interval, time, time, text) is
  'Options of every kind of job; only those given change (S2-18 to S2-20). batch_size: rows per '
  'batch, 1 to 100000, shipped 20000. budget: wall-clock time after which a run stops cleanly, '
  'shipped 5 minutes. max_batches, max_rows: a run stops after these, too; none are shipped, and '
  '0 takes one away. keep: how long a policy keeps its rows. priority: critical, high, medium '
  '(shipped) or low: a run that fails is tried again 3, 2, 2 or 1 times. timeout: a run is ended '
  'after this much time; shipped is an hour beyond the budget, for statement jobs none; 0 makes '
  'it that again. depends_on: jobs that have to have succeeded for a slot before its run begins; '
  '''{}'' takes them away. grace: how long a run may wait; shipped is until its next slot, and 0 '
  'makes it that again. window_start, window_end, window_zone (shipped UTC): the time of day in '
  'which pg_cron may have it run, over midnight where it ends before it starts; equal ends take '
  'it away. Statement jobs have a timeout alone of these. A later release leaves what is set '
  'here as it is, where it is not what was shipped anyway. For the engine''s owner. Errors: '
  'PM001 no such job (also one depended on), PM002 out of range, or dependencies that come back '
  'to the job.';

-- Refuses what a job cannot depend on: what is no job, and what depends on it itself.
create function maintenance_internal.check_dependencies(p_job_name text, p_depends_on text[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_name text;
  v_path text;
begin
  if p_depends_on is null or p_depends_on = '{}' then
    return;
  end if;
  -- Two that make a cycle together come one after the other.
  perform from maintenance_internal.job as j order by j.job_id for no key update;
  foreach v_name in array p_depends_on loop
    perform maintenance_internal.find_job(v_name);
  end loop;
  with recursive way (name, path) as (
    select d.name, array[p_job_name, d.name] from unnest(p_depends_on) as d (name)
    union all
    select d.name, w.path || d.name
    from way as w
    join maintenance_internal.job as j on j.job_name = w.name
    cross join unnest(j.depends_on) as d (name)
    where w.name <> p_job_name and d.name <> all (w.path[2:])
  )
  select array_to_string(w.path, ' -> ') into v_path
  from way as w where w.name = p_job_name
  order by cardinality(w.path), w.path
  limit 1;
  if v_path is not null then
    raise exception 'the dependencies of "%" come back to it: %', p_job_name, v_path
      using errcode = 'PM002', hint = 'Leave one of them out.';
  end if;
end
$$;
-- end of sql/engine/job/configure_job.sql

-- from sql/engine/job/drop_job.sql 960e4898c9a47565
-- Removes a job and its schedule; its receipts stay.

create function maintenance.drop_job(job_name text)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_job maintenance_internal.job := maintenance_internal.find_job(drop_job.job_name);
  v_others text[];
begin
  perform from maintenance_internal.job as j where j.job_id = v_job.job_id for update;
  v_others := array(
    select j.job_name from maintenance_internal.job as j
    where drop_job.job_name = any (j.depends_on) order by j.job_name);
  if cardinality(v_others) > 0 then
    raise exception 'other jobs wait for "%": %', v_job.job_name, array_to_string(v_others, ', ')
      using errcode = 'PM002', hint = (
        select string_agg(format('select maintenance.configure_job(%L, depends_on => %L);',
          j.job_name, array_remove(j.depends_on, drop_job.job_name)), ' ' order by j.job_name)
        from maintenance_internal.job as j where j.job_name = any (v_others));
  end if;
  perform maintenance_internal.remove_schedule(v_job);
  delete from maintenance_internal.job as j where j.job_id = v_job.job_id;
end
$$;

comment on function maintenance.drop_job(text) is
  'Removes a job of any kind and its schedule in pg_cron; its receipts stay in run_history. '
  'For the engine''s owner. Errors: PM001 no such job, PM002 other jobs depend on it.';
-- end of sql/engine/job/drop_job.sql

-- from sql/engine/policy/tables.sql 06f17e8937b88756
-- The rules: one row per job that is a rule over a table.

create table maintenance_internal.policy (
  job_id integer not null,
  target text not null,
  action text not null,
  age text not null,
  age_type text not null,
  keep interval not null,
  matching text,
  assign text,
  index_on text,
  calls text[] not null default '{}',
  trusted_owner text,
  constraint policy_pkey primary key (job_id),
  constraint policy_job_id_fkey foreign key (job_id)
    references maintenance_internal.job (job_id) on delete cascade,
  constraint policy_action_is_known check (action in ('delete', 'update')),
  constraint policy_age_type_is_a_time check (age_type in ('timestamptz', 'timestamp', 'date')),
  constraint policy_keep_is_not_negative check (keep >= interval '0'),
  constraint policy_assign_belongs_to_updates check ((action = 'update') = (assign is not null))
);

comment on table maintenance_internal.policy is
  'The rule of a policy job, in the canonical form that Postgres printed when it was set: '
  'age, matching and assign are never the text that somebody typed.';
comment on column maintenance_internal.policy.target is
  'qualified name of the table, resolved again by every run';
comment on column maintenance_internal.policy.index_on is
  'the expression to index for this rule, as CREATE INDEX takes it; null where it takes none';

comment on column maintenance_internal.policy.matching is 'in it, $1 is the cut-off';
comment on column maintenance_internal.policy.calls is
  'the functions outside of pg_catalog that the rule calls, by its operators and casts, too';
comment on column maintenance_internal.policy.trusted_owner is
  'whose table it may be besides the engine''s owner''s';

create trigger record_edit after update on maintenance_internal.policy
for each row execute function maintenance_internal.record_edit();
-- end of sql/engine/policy/tables.sql

-- from sql/engine/policy/leaf_tables.sql 2cdc37bccff0c9e0
-- The tables that really hold a target's rows: itself, its partitions, its children.
-- Batches go leaf by leaf with ONLY, since a ctid is unique in one table alone.

create function maintenance_internal.leaf_tables(p_table regclass)
returns oid[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_leaves oid[];
  v_foreign regclass;
begin
  with recursive tree as (
    select p_table::oid as relid
    union
    select i.inhrelid from pg_inherits as i join tree as t on i.inhparent = t.relid
  )
  select
    array_agg(c.oid order by c.oid) filter (where c.relkind = 'r'),
    min(c.oid) filter (where c.relkind = 'f')
  into v_leaves, v_foreign
  from tree as t
  join pg_class as c on c.oid = t.relid;

  if v_foreign is not null then
    raise exception 'part of % is the foreign table %', p_table, v_foreign
      using errcode = 'PM003', hint = 'Set the policy on the local partitions, one by one.';
  end if;
  return coalesce(v_leaves, '{}');
end
$$;
-- end of sql/engine/policy/leaf_tables.sql

-- from sql/engine/policy/find_target.sql d23a3e415a4ebb66
-- The table that a policy's target names, or a clear error where no policy can work on it. Asked
-- again at each look and each run: a table's triggers, and the functions of its indexes and casts,
-- run with the rights of the engine's owner, so it must be in hands that have those rights anyway,
-- or that the policy names as meant.

create function maintenance_internal.find_target(p_target text, p_trusted_owner text default null)
returns regclass
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_table regclass;
  v_class record;
  v_tables oid[];
begin
  begin
    v_table := to_regclass(p_target);
  exception when syntax_error or invalid_name or feature_not_supported then
    null; -- not a name at all: falls through to the same error as an unknown one
  end;

  select c.oid, c.relkind, c.relpersistence, n.nspname into v_class
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  where c.oid = v_table;

  if not found then
    raise exception 'there is no table "%"', p_target
      using errcode = 'PM003', hint = 'Name it with its schema: public.audit, "My Schema"."Log".';
  elsif v_class.relkind not in ('r', 'p') then
    raise exception '"%" is a %, and a policy works on tables', p_target,
      case v_class.relkind
        when 'v' then 'view' when 'm' then 'materialized view' when 'f' then 'foreign table'
        when 'i' then 'index' when 'I' then 'index' when 'S' then 'sequence' else 'composite type'
      end
      using errcode = 'PM003', hint = 'Set the policy on the table that holds the rows.';
  elsif v_class.relpersistence = 't' then
    raise exception '"%" is a temporary table', p_target
      using errcode = 'PM003', hint = 'A policy outlives the session; set it on a permanent table.';
  elsif v_class.nspname in ('pg_catalog', 'information_schema', 'pg_toast') then
    raise exception '"%" belongs to the system catalogue', p_target
      using errcode = 'PM003', hint = 'Set the policy on a table of your own.';
  end if;

  v_tables := maintenance_internal.leaf_tables(v_table) || v_table::oid;
  select bool_or(c.relhastriggers) as has_triggers, bool_or(c.relowner <> n.nspowner) as is_foreign
  into v_class
  from pg_namespace as n
  cross join pg_class as c
  where n.nspname = 'maintenance' and c.oid = any (v_tables);
  if not v_class.has_triggers and not v_class.is_foreign then
    return v_table;
  end if;
  if v_class.has_triggers then
    -- Also what a key cascades to: the triggers there, after the change, run as we do.
    with recursive reached as (
      select unnest(v_tables) as relid
      union
      select t.tgconstrrelid
      from reached as r
      join pg_trigger as t on t.tgrelid = r.relid and t.tgisinternal and t.tgconstrrelid <> 0
      join pg_constraint as k on k.oid = t.tgconstraint and k.contype = 'f'
        and k.confrelid = r.relid
        and (k.confdeltype in ('c', 'n', 'd') or k.confupdtype in ('c', 'n', 'd'))
    )
    select array_agg(r.relid) into v_tables from reached as r;
  end if;
  select c.oid::regclass as name, pg_get_userbyid(c.relowner) as owner
  into v_class
  from pg_class as c
  where c.oid = any (v_tables)
    and c.relowner is distinct from to_regrole(quote_ident(p_trusted_owner))
    and not maintenance_internal.is_trusted(c.relowner)
  limit 1;
  if found then
    raise exception '% belongs to %, whose triggers, index functions and casts would run with the '
        'rights of %', v_class.name, v_class.owner, maintenance_internal.owner()::regrole
      using errcode = 'PM003',
        hint = format('alter table %s owner to %s; or, where it is meant so, set the policy with '
          'trusted_owner => %L.', v_class.name, maintenance_internal.owner()::regrole,
          v_class.owner);
  end if;
  return v_table;
end
$$;
-- end of sql/engine/policy/find_target.sql

-- from sql/engine/policy/target_alias.sql fc712e13922fa0af
-- The alias that a rule's expressions know their table by: its name without the schema, quoted.

create function maintenance_internal.target_alias(p_table regclass)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return (select quote_ident(c.relname) from pg_class as c where c.oid = p_table);
-- end of sql/engine/policy/target_alias.sql

-- from sql/engine/policy/find_policy.sql 7c486c06dfd8bad3
-- The policy of a job by its name, or a clear error.

create function maintenance_internal.find_policy(p_job_name text)
returns maintenance_internal.policy
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_job maintenance_internal.job := maintenance_internal.find_job(p_job_name);
  v_policy maintenance_internal.policy;
begin
  select * into v_policy from maintenance_internal.policy as p where p.job_id = v_job.job_id;
  if not found then
    raise exception 'the job "%" is a % job and has no rule', p_job_name, v_job.kind
      using errcode = 'PM001', hint = 'Policies are the jobs that set_policy made.';
  end if;
  return v_policy;
end
$$;
-- end of sql/engine/policy/find_policy.sql

-- from sql/engine/policy/parse_expression.sql c565ff5da3870d05
-- One expression of a rule, as somebody typed it, in the form that Postgres prints.
--
-- Postgres itself is the parser. The table is an empty temporary copy of the target, so nothing
-- that is parsed here can touch a row, and the order of the steps matters:
--   1. a cursor is opened on it: several statements in one text are refused before any runs;
--   2. CREATE POLICY takes exactly one expression in brackets: a bracket cannot be smuggled out;
--   3. what is stored is pg_get_expr of the result, never the text.
-- CREATE POLICY wants a boolean. Another type is refused by datatype_mismatch after the text has
-- passed as one expression, which is what makes the wrapped form of step 3 safe.
--
-- The text is read as in the owner's own sessions (owner_path), its dates and times as in the
-- caller's, and printed so that neither matters any more.
--   p_cutoff  whether the copy's column cutoff stands for the cut-off, which is stored as $1
--   type      of the expression
--   columns   of the target that it reads, by number
--   calls     the functions outside of pg_catalog that it calls, by operators and casts, too

create function maintenance_internal.parse_expression(
  p_copy regclass,
  p_argument text,
  p_text text,
  p_cutoff boolean,
  p_trusted_owner text,
  out printed text,
  out type text,
  out columns smallint[],
  out calls text[])
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_alias text := maintenance_internal.target_alias(p_copy);
  v_path text := maintenance_internal.owner_path();
  v_all text := maintenance_internal.owner_path(true);
  v_cursor refcursor;
  v_tree text;
  v_again text;
  v_other text;
  v_volatile text;
  v_message text;
  v_state text;
begin
  begin
    perform set_config('search_path', v_path, true);
    open v_cursor for execute format(e'select (%s\n) from pg_temp.%s', p_text, v_alias);
    close v_cursor;
    perform set_config('search_path', 'pg_catalog, pg_temp', true);
    select o.printed, o.tree, o.columns into printed, v_tree, columns
    from maintenance_internal.parse_once(p_copy, p_text, v_path, p_cutoff) as o;
    -- It has to mean the same where it is read again, and where no schema is left out.
    select o.printed, o.tree into v_again, v_other
    from maintenance_internal.parse_once(p_copy, replace(printed, '"the cut-off"', 'cutoff'),
      v_path, p_cutoff) as o;
    if maintenance_internal.routines_of(v_other) = maintenance_internal.routines_of(v_tree)
      and v_all <> v_path then
      select o.printed, o.tree into v_again, v_other
      from maintenance_internal.parse_once(p_copy, p_text, v_all, p_cutoff) as o;
    end if;
    -- Asks for the type without evaluating the expression: a CASE has the type of a branch that is
    -- never taken, too.
    execute format(
      'select pg_typeof(case when false then (%s) end) from (select) as maintenance_one '
      'left join pg_temp.%s on true', replace(printed, '"the cut-off"', 'cutoff'), v_alias)
    into type;
  exception when others then
    get stacked diagnostics v_message = message_text, v_state = returned_sqlstate;
    raise exception '% "%" is not acceptable: %', p_argument, p_text, v_message
      using errcode = 'PM004', detail = 'SQLSTATE ' || v_state,
        hint = 'One expression over the target''s columns. ' || maintenance_internal.path_hint();
  end;
  if maintenance_internal.routines_of(v_other) <> maintenance_internal.routines_of(v_tree) then
    raise exception '% "%" means something else in another session: % here, and % there',
        p_argument, p_text, printed, v_again
      using errcode = 'PM004', hint = 'Name operators, types and functions with their schemas, '
        'as operator(public.=). ' || maintenance_internal.path_hint();
  end if;

  perform maintenance_internal.check_relations(p_argument, p_text, v_tree, p_trusted_owner);
  if v_tree ~ 'ROWMARKCLAUSE' then
    raise exception '% "%" locks rows', p_argument, p_text
      using errcode = 'PM004', hint = 'A rule only reads: leave out "for update".';
  end if;

  select c.calls, c.volatile into calls, v_volatile
  from maintenance_internal.calls_of(v_tree) as c;
  if v_volatile is not null then
    raise exception '% "%" calls %, which is volatile', p_argument, p_text, v_volatile
      using errcode = 'PM004',
        hint = 'A rule gives the same answer all through a run: use stored columns and now().';
  end if;
  printed := replace(replace(printed, v_alias || '."the cut-off"', '$1'), '"the cut-off"', '$1');
end
$$;

-- Reads an expression under a path, and prints it under ours.
create function maintenance_internal.parse_once(
  p_copy regclass,
  p_text text,
  p_path text,
  p_cutoff boolean,
  out printed text,
  out tree text,
  out columns smallint[])
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_table text := 'pg_temp.' || maintenance_internal.target_alias(p_copy);
  v_is_boolean boolean := true;
  v_policy oid;
begin
  begin
    perform maintenance_internal.execute_under(p_path, format(
      e'create policy parsed on %s for delete using (%s\n)', v_table, p_text));
  exception when datatype_mismatch then
    perform maintenance_internal.execute_under(p_path, format(
      e'create policy parsed on %s for delete using ((%s\n) is not null)', v_table, p_text));
    v_is_boolean := false;
  end;

  -- No text can be taken for this name by mistake, as it could for cutoff.
  if p_cutoff then
    execute format('alter table %s rename column cutoff to "the cut-off"', v_table);
  end if;
  select p.oid, p.polqual::text into v_policy, tree
  from pg_policy as p
  where p.polrelid = p_copy and p.polname = 'parsed';
  printed := maintenance_internal.print_policy(v_policy);
  if not v_is_boolean then
    printed := substr(printed, 2, length(printed) - length('( IS NOT NULL)'));
  end if;
  columns := maintenance_internal.columns_of('pg_policy'::regclass, v_policy, p_copy, tree);
  if p_cutoff then
    execute format('alter table %s rename column "the cut-off" to cutoff', v_table);
  end if;
  execute format('drop policy parsed on %s', v_table);
end
$$;

create function maintenance_internal.print_policy(p_policy oid)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
set datestyle = 'ISO, YMD'
set intervalstyle = 'postgres'
set timezone = 'UTC'
return (select pg_get_expr(p.polqual, p.polrelid) from pg_policy as p where p.oid = p_policy);

-- Refuses what a rule may not read: temporary tables, and tables and views of strangers, since
-- their functions (also those of an index, when a query is planned) would run with the owner's
-- rights.
create function maintenance_internal.check_relations(
  p_argument text,
  p_text text,
  p_tree text,
  p_trusted_owner text)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_read record;
begin
  for v_read in
    select c.oid::regclass as name, c.relpersistence = 't' as is_temporary,
      pg_get_userbyid(c.relowner) as owner
    from regexp_matches(p_tree, ':relid (\d+)', 'g') as m
    join pg_class as c on c.oid = m[1]::oid
    where c.relpersistence = 't'
      or not maintenance_internal.is_trusted(c.relowner)
        and pg_get_userbyid(c.relowner) is distinct from p_trusted_owner
    order by 2 desc
  loop
    if v_read.is_temporary then
      raise exception '% "%" reads a temporary table, or its own without a schema', p_argument,
          p_text
        using errcode = 'PM004', hint = 'In a subquery, name the table with its schema.';
    end if;
    raise exception '% "%" reads %, which belongs to %, whose functions would run with the rights '
        'of %', p_argument, p_text, v_read.name, v_read.owner, maintenance_internal.owner()::regrole
      using errcode = 'PM004', hint = format(
        'Where it is meant so, set the policy with trusted_owner => %L.', v_read.owner);
  end loop;
end
$$;

-- The columns of the copy that a parsed expression or statement names; all where it takes whole
-- rows.
create function maintenance_internal.columns_of(
  p_class oid,
  p_object oid,
  p_copy regclass,
  p_tree text)
returns smallint[]
language sql
stable
set search_path = pg_catalog, pg_temp
return array(
  select a.attnum
  from pg_attribute as a
  where a.attrelid = p_copy and a.attnum > 0 and not a.attisdropped
    and a.attname <> 'the cut-off'
    and (p_tree ~ '\{VAR :varno 1 :varattno 0 ' or exists (
      select from pg_depend as d
      where d.classid = p_class and d.objid = p_object and d.refclassid = 'pg_class'::regclass
        and d.refobjid = p_copy and d.refobjsubid = a.attnum)));

-- What a parse tree was resolved to: its functions, also those of operators and casts. Postgres
-- does not always print again what it has read of its own print, as of arrays of varchar: this
-- tells.
create function maintenance_internal.routines_of(p_tree text)
returns oid[]
language sql
immutable
set search_path = pg_catalog, pg_temp
return array(
  select distinct m[1]::oid
  from regexp_matches(p_tree,
    ':(?:funcid|opfuncid|hashfuncid|aggfnoid|winfnoid|opno) (\d+)', 'g') as m
  where m[1] <> '0'
  order by 1);

-- The functions outside of pg_catalog that a parse tree calls, and one that is volatile.
create function maintenance_internal.calls_of(p_tree text, out calls text[], out volatile text)
language sql
stable
set search_path = pg_catalog, pg_temp
return (
  select row(
    coalesce(array_agg(distinct p.oid::regprocedure::text)
      filter (where p.pronamespace <> 'pg_catalog'::regnamespace), '{}'),
    min(p.oid::regprocedure::text) filter (where p.provolatile = 'v'))
  from regexp_matches(p_tree,
    ':(?:funcid|opfuncid|hashfuncid|aggfnoid|winfnoid) (\d+)', 'g') as m
  join pg_proc as p on p.oid = m[1]::oid);

-- Where names without a schema are looked up, for the hint of an error.
create function maintenance_internal.path_hint()
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return 'Names without a schema are looked up in ' || maintenance_internal.owner_path() || '.'
  || coalesce((
    select string_agg(format(' The schema %I is left out, since %s may create in it, or has left '
      'something there: %s',
      s.schema_name, s.strangers, s.fix), '')
    from maintenance_internal.owner_schemas() as s where s.strangers is not null), '');
-- end of sql/engine/policy/parse_expression.sql

-- from sql/engine/policy/parse_assign.sql fe731c1c7376337a
-- The SET list of an update, in the form that Postgres prints.
--
-- The guard in FROM and the WHERE behind it are ours: a list that brings a FROM, a WHERE or a
-- RETURNING of its own, or a second statement, is a syntax error or refused by the cursor, which
-- is opened and never fetched from. A function over the empty copy, never called, then prints the
-- list (a rewrite rule would too, but not for a table that is named old or new). It is read and
-- printed as an expression of the rule is: see parse_expression.

create function maintenance_internal.parse_assign(
  p_table regclass,
  p_copy regclass,
  p_text text,
  p_trusted_owner text,
  out printed text,
  out columns smallint[],
  out calls text[])
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_path text := maintenance_internal.owner_path();
  v_all text := maintenance_internal.owner_path(true);
  v_tree text;
  v_again text;
  v_other text;
  v_key text;
  v_message text;
  v_state text;
begin
  begin
    select o.* into printed, v_tree, columns
    from maintenance_internal.parse_assign_once(p_copy, p_text, v_path) as o;
    select o.printed, o.tree into v_again, v_other
    from maintenance_internal.parse_assign_once(p_copy, printed, v_path) as o;
    if maintenance_internal.routines_of(v_other) = maintenance_internal.routines_of(v_tree)
      and v_all <> v_path then
      select o.printed, o.tree into v_again, v_other
      from maintenance_internal.parse_assign_once(p_copy, p_text, v_all) as o;
    end if;
  exception when others then
    get stacked diagnostics v_message = message_text, v_state = returned_sqlstate;
    raise exception 'assign "%" is not acceptable: %', p_text, v_message
      using errcode = 'PM004', detail = 'SQLSTATE ' || v_state,
        hint = 'The SET list of an update: status = ''failed'', finished_at = now(). '
          || maintenance_internal.path_hint();
  end;
  if maintenance_internal.routines_of(v_other) <> maintenance_internal.routines_of(v_tree) then
    raise exception 'assign "%" means something else in another session: % here, and % there',
        p_text, printed, v_again
      using errcode = 'PM004', hint = 'Name operators, types and functions with their schemas, '
        'as operator(public.=). ' || maintenance_internal.path_hint();
  end if;
  calls := (maintenance_internal.calls_of(v_tree)).calls;
  -- The copy itself is named once, as what is updated.
  perform maintenance_internal.check_relations('assign', p_text,
    replace(v_tree, ':relid ' || p_copy::oid || ' ', ''), p_trusted_owner);

  select a.attname into v_key
  from pg_partitioned_table as p
  join pg_attribute as k on k.attrelid = p.partrelid and k.attnum = any(p.partattrs)
  -- The copy has other numbers where a column was dropped.
  join pg_attribute as a on a.attrelid = p_copy and a.attname = k.attname
  where p.partrelid = p_table
    and v_tree ~ format(':resno %s :resname \S+ ', a.attnum)
    and v_tree ~ format(':updatedCols \(b[^)]*\y%s\y', a.attnum + 7);
  if found then
    raise exception 'assign "%" changes %, which % is partitioned by', p_text, v_key, p_table
      using errcode = 'PM004', hint = 'Moving rows between partitions is no work for a policy.';
  end if;
end
$$;

create function maintenance_internal.parse_assign_once(
  p_copy regclass,
  p_text text,
  p_path text,
  out printed text,
  out tree text,
  out columns smallint[])
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_cursor refcursor;
  v_update text := format(
    e'update pg_temp.%s set %s\n from (select 1 as one) as maintenance_guard where false',
    maintenance_internal.target_alias(p_copy), p_text);
  v_function oid;
  v_head text;
begin
  if p_path = maintenance_internal.owner_path() then -- planning runs functions
    perform set_config('search_path', p_path, true);
    open v_cursor for execute v_update || ' returning 1';
    close v_cursor;
    perform set_config('search_path', 'pg_catalog, pg_temp', true);
  end if;
  perform maintenance_internal.execute_under(p_path, format(
    'create function pg_temp.parsed() returns void begin atomic %s; end', v_update));

  v_function := to_regprocedure('pg_temp.parsed()');
  printed := maintenance_internal.print_function(v_function);
  tree := (select p.prosqlbody::text from pg_proc as p where p.oid = v_function);
  columns := maintenance_internal.columns_of('pg_proc'::regclass, v_function, p_copy, tree);
  drop function pg_temp.parsed();
  v_head := format('UPDATE %s SET ', p_copy);
  printed := substr(printed, strpos(printed, v_head) + length(v_head));
  printed := left(printed, -length(
    substring(printed
      from '\s+FROM \( SELECT 1 AS one\) maintenance_guard\s+WHERE false;\s+END$')));
end
$$;

create function maintenance_internal.print_function(p_function oid)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
set datestyle = 'ISO, YMD'
set intervalstyle = 'postgres'
set timezone = 'UTC'
return pg_get_function_sqlbody(p_function);
-- end of sql/engine/policy/parse_assign.sql

-- from sql/engine/policy/due_condition.sql 21b738336900f22d
-- The rule of a policy as SQL: which rows are due at a cut-off, given as $1 (timestamptz).
-- The batch, the backlog count, the preview and the lint all read it from here.
-- The cut-off is converted to the type of the age, never the age, so that an index serves it.
-- It stands over the target's own name as alias, as the stored expressions do.

-- A parameter (timestamptz) as the age is compared with it.
create function maintenance_internal.age_bound(
  p_policy maintenance_internal.policy,
  p_parameter text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return case p_policy.age_type
  when 'timestamptz' then p_parameter
  when 'timestamp' then format('(%s at time zone ''UTC'')', p_parameter)
  when 'date' then format('(%s at time zone ''UTC'')::date', p_parameter)
end;

create function maintenance_internal.due_condition(p_policy maintenance_internal.policy)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return format('(%s) <= %s', p_policy.age, maintenance_internal.age_bound(p_policy, '$1'))
  || coalesce(' and (' || p_policy.matching || ')', '');
-- end of sql/engine/policy/due_condition.sql

-- from sql/engine/policy/count_statement.sql 394e044c66cfc5a9
-- The statement behind count_due, which lint asks the planner about: $1 cut-off, $2 cap.

create function maintenance_internal.count_statement(p_policy maintenance_internal.policy)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_table regclass := maintenance_internal.find_target(
    p_policy.target, p_policy.trusted_owner);
begin
  return format(
    'select count(*), min(d.age)::timestamptz '
    'from (select %1$s as age from %2$s as %3$s where %4$s order by %1$s limit $2) as d',
    p_policy.age, v_table, maintenance_internal.target_alias(v_table),
    maintenance_internal.due_condition(p_policy));
end
$$;
-- end of sql/engine/policy/count_statement.sql

-- from sql/engine/policy/piece_statement.sql 88d6a68c4871b5e0
-- The statements of a run over one leaf, with the rule in them: $1 is the cut-off.
-- Which rows they are about: list, the addresses $2; window, the pages from $3 up to $4; range, the
-- ages from $5 up to $6.
-- The change itself checks the rule again, on the newest version of each row, so an address that
-- went stale since it was listed does no harm. unnest keeps the planner from taking thousands of
-- addresses for a reason to read the whole table.

create function maintenance_internal.piece_rows(
  p_policy maintenance_internal.policy,
  p_form text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return format(case p_form
    when 'list' then '%1$s.ctid = any(array(select unnest($2)))'
    when 'window' then '%1$s.ctid >= $3 and %1$s.ctid < $4'
    when 'range' then '(%2$s) >= %3$s and (%2$s) < %4$s'
    when 'behind' then '%1$s.ctid > $3'
    when 'all' then 'true'
  end,
  maintenance_internal.target_alias(p_policy.target::regclass), p_policy.age,
  maintenance_internal.age_bound(p_policy, '$5'), maintenance_internal.age_bound(p_policy, '$6'));

-- Changes them, all or but for those that somebody else holds. An update counts what it changed,
-- and what of it would be due again.
create function maintenance_internal.piece_statement(
  p_policy maintenance_internal.policy,
  p_leaf regclass,
  p_form text,
  p_skip_locked boolean)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_alias text := maintenance_internal.target_alias(p_policy.target::regclass);
  v_due text := maintenance_internal.due_condition(p_policy);
  v_rows text := maintenance_internal.piece_rows(p_policy, p_form);
begin
  if p_skip_locked then
    v_rows := format(
      e'%1$s.ctid = any(array(\n'
      '    select %1$s.ctid from only %2$s as %1$s\n'
      '    where %3$s and %4$s\n'
      '    for update of %1$s skip locked))', v_alias, p_leaf, v_rows, v_due);
  end if;
  if p_policy.action = 'delete' then
    return format(e'delete from only %s as %s\nwhere %s and %s', p_leaf, v_alias, v_rows, v_due);
  end if;
  return format(
    e'with changed as (\n'
    '  update only %s as %s set %s\n'
    '  where %s and %s\n'
    '  returning (%5$s) as again\n'
    ')\n'
    'select count(*), count(*) filter (where again) from changed',
    p_leaf, v_alias, p_policy.assign, v_rows, v_due);
end
$$;

-- Lists their addresses, in heap order, $2 at most; of all due rows, of those behind the address
-- $3, of a window or a range. Listed once, they outlive commits: no batch pays for the dead rows of
-- those before it.
create function maintenance_internal.list_statement(
  p_policy maintenance_internal.policy,
  p_leaf regclass,
  p_form text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return format(
  e'select array(\n'
  '  select %2$s.ctid from only %1$s as %2$s where %3$s and %4$s\n'
  '  order by %2$s.ctid limit $2)', p_leaf,
  maintenance_internal.target_alias(p_policy.target::regclass),
  maintenance_internal.piece_rows(p_policy, p_form),
  maintenance_internal.due_condition(p_policy));
-- end of sql/engine/policy/piece_statement.sql

-- from sql/engine/policy/count_due.sql db1e87f2f3856a26
-- How many rows are due at a cut-off, counted up to a cap, and how old the oldest is.
-- Pinned to index order: after a purge, a bitmap or sequential scan would step over every dead
-- row again at each look, while an index scan marks their entries and is fast the second time.

create function maintenance_internal.count_due(
  p_policy maintenance_internal.policy,
  p_cutoff timestamptz,
  p_cap integer,
  p_path text,
  out due bigint,
  out oldest timestamptz)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
  v_statement text := maintenance_internal.count_statement(p_policy);
begin
  if session_user <> current_user then
    perform maintenance_internal.check_session();
  end if;
  perform set_config('search_path', p_path, true);
  execute v_statement into due, oldest using p_cutoff, p_cap;
end
$$;
-- end of sql/engine/policy/count_due.sql

-- from sql/engine/policy/check_keep.sql d5c0879bae114013
-- Refuses a keep that is below zero, that reaches back before all time that Postgres knows, or that
-- was written as a number alone, which is an interval of seconds: how it was written, the interval
-- does not tell, so the caller's statement is asked. (Where it came as a parameter, lint warns.)

create function maintenance_internal.check_keep(p_keep interval)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_keep < interval '0' or p_keep > interval '6000 years' then
    raise exception 'keep "%" is not acceptable', p_keep
      using errcode = 'PM002',
        hint = 'An interval from zero to 6000 years: ''90 days'', ''8 months''.';
  elsif p_keep > interval '0' and current_query() ~* format(
    -- By name, or behind the action and the age.
    '(\mkeep\s*(=>|:=)|''(delete|update)''\s*,\s*(''([^'']|'''')*''|\$\$.*?\$\$)\s*,)\s*'
    '(interval\s*)?(''|\$\$)\s*\+?0*%s(\.0*)?\s*(''|\$\$)', extract(epoch from p_keep)::bigint)
  then
    raise exception 'keep ''%'' is a number alone', extract(epoch from p_keep)::bigint
      using errcode = 'PM002',
        hint = format('Of days: ''%1$s days''; of seconds: ''%1$s seconds''.',
          extract(epoch from p_keep)::bigint);
  end if;
end
$$;
-- end of sql/engine/policy/check_keep.sql

-- from sql/engine/policy/put_policy.sql a73c1ecd588a28f8
-- The second half of set_policy: tries the rule, writes it, and says what follows from it.

create function maintenance_internal.put_policy(
  p_job maintenance_internal.job,
  p_policy maintenance_internal.policy,
  p_copy regclass,
  p_columns smallint[])
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_job maintenance_internal.job;
  v_before maintenance_internal.policy;
  v_finding record;
begin
  if p_policy.action = 'update' then
    perform maintenance_internal.try_update(p_policy, p_copy, p_columns);
  end if;
  p_policy.index_on := maintenance_internal.find_index(p_policy, p_copy);
  execute format('drop table pg_temp.%s', maintenance_internal.target_alias(p_copy));

  v_job := maintenance_internal.upsert_job(p_job);
  select * into v_before from maintenance_internal.policy as p where p.job_id = v_job.job_id;
  if v_before.matching is not null and p_policy.matching is null then
    raise warning '"%" loses what this call does not name: matching %', v_job.job_name,
        v_before.matching
      using hint = 'Setting a job replaces it: name again what is meant to stay.';
  end if;
  if v_before.keep <> p_policy.keep then
    raise warning 'the keep of "%" was %, and is %', v_job.job_name, v_before.keep, p_policy.keep
      using hint = format('If it was meant to stay: '
        'select maintenance.configure_job(%L, keep => %L);', v_job.job_name, v_before.keep);
  end if;
  p_policy.job_id := v_job.job_id;
  if v_before.job_id is null then
    insert into maintenance_internal.policy select p_policy.*;
  else
    update maintenance_internal.policy as p
    set (target, action, age, age_type, keep, matching, assign, index_on, calls, trusted_owner) =
      (p_policy.target, p_policy.action, p_policy.age, p_policy.age_type, p_policy.keep,
        p_policy.matching, p_policy.assign, p_policy.index_on, p_policy.calls,
        p_policy.trusted_owner)
    where p.job_id = v_job.job_id;
  end if;

  perform maintenance_internal.sync_schedule(v_job.job_name);
  for v_finding in select * from maintenance.lint(v_job.job_name) loop
    if v_finding.severity = 'notice' then
      raise notice '%', v_finding.finding using hint = v_finding.fix;
    else
      raise warning '%', v_finding.finding using hint = v_finding.fix;
    end if;
  end loop;
  if current_setting('client_min_messages') ~ '^(debug|log|notice)' then
    perform maintenance_internal.tell_due(v_job.job_name, p_policy);
  end if;
end
$$;

-- Whether an update leaves its rows due, by a sample; every batch checks the same again. Only what
-- the rule names is copied: rows can be large.
create function maintenance_internal.try_update(
  p_policy maintenance_internal.policy,
  p_copy regclass,
  p_columns smallint[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_alias text := maintenance_internal.target_alias(p_copy);
  v_table regclass := p_policy.target::regclass;
  v_due text := maintenance_internal.due_condition(p_policy);
  v_cutoff timestamptz := maintenance_internal.clock() - p_policy.keep;
  v_columns text;
  v_nullable text;
  v_again bigint;
begin
  select string_agg(quote_ident(a.attname), ', ' order by a.attnum) filter (where a.is_read
      and a.attgenerated = ''),
    string_agg(format('alter %I drop not null', a.attname), ', ') filter (where a.attnotnull)
  into v_columns, v_nullable
  from (
    select a.*, a.attnum = any (p_columns)
      -- What a generated column is made of, and a type that takes no null.
      or exists (
        select from pg_attrdef as f
        join pg_depend as d on d.classid = 'pg_attrdef'::regclass and d.objid = f.oid
        where f.adrelid = p_copy and f.adnum = any (p_columns)
          and d.refclassid = 'pg_class'::regclass and d.refobjid = p_copy
          and d.refobjsubid = a.attnum)
      or exists (select from pg_type as t where t.oid = a.atttypid and t.typtype = 'd') as is_read
    from pg_attribute as a
    where a.attrelid = p_copy and a.attnum > 0 and not a.attisdropped
  ) as a;
  if v_nullable is not null then
    execute format('alter table pg_temp.%s %s', v_alias, v_nullable);
  end if;

  perform set_config('search_path', maintenance_internal.owner_path(), true);
  execute format(
    'insert into pg_temp.%1$s (%2$s) '
    'select %2$s from (select * from %3$s limit 10000) as %1$s where %4$s limit 300',
    v_alias, v_columns, v_table, v_due) using v_cutoff;
  execute format(
    'with changed as (update pg_temp.%1$s set %2$s returning (%3$s) as again) '
    'select count(*) from changed where again',
    v_alias, p_policy.assign, v_due) into v_again using v_cutoff;
  if v_again > 0 then
    raise exception 'after assign "%" the rows would be due again, for ever', p_policy.assign
      using errcode = 'PM005', hint = 'Let matching exclude what assign has set.';
  end if;
exception when data_exception then
  raise exception 'assign "%" does not fit: %', p_policy.assign, sqlerrm
    using errcode = 'PM004', detail = 'SQLSTATE ' || sqlstate,
      hint = 'A column is too short, or of another type, for what the rule sets.';
end
$$;

-- The best index that Postgres takes for a rule: partial on it, else on the age alone, else none.
create function maintenance_internal.find_index(
  p_policy maintenance_internal.policy,
  p_copy regclass)
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_table text := 'pg_temp.' || maintenance_internal.target_alias(p_copy);
  v_on text := format(case when p_policy.age ~ '^("[^"]+"|[a-z_][a-z0-9_]*)$' then '(%s)'
    else '((%s))' end, p_policy.age);
begin
  perform set_config('search_path', maintenance_internal.owner_path(), true);
  foreach v_on in array array_remove(array[v_on || ' where ' || p_policy.matching, v_on], null)
  loop
    begin
      execute format('create index on %s %s', v_table, v_on);
      return v_on;
    exception when invalid_object_definition or feature_not_supported or undefined_parameter then
      null; -- not immutable, a subquery, or the cut-off
    end;
  end loop;
  return null;
end
$$;

-- Says how many rows are due now, and which share of the table that is: the last chance to see that
-- a rule means more than was meant.
create function maintenance_internal.tell_due(
  p_job_name text,
  p_policy maintenance_internal.policy)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_cap constant integer := 10000;
  v_due bigint;
  v_rows double precision;
begin
  select c.due into v_due from maintenance_internal.count_due(
    p_policy, maintenance_internal.clock() - p_policy.keep, v_cap,
    maintenance_internal.owner_path()) as c;
  -- Of how many is not known before the first ANALYZE; nor is the share of what was counted in
  -- part.
  select case when min(c.reltuples) >= 0 and v_due < v_cap
    then greatest(sum(c.reltuples), v_due) end into v_rows
  from pg_class as c
  where c.oid = any (maintenance_internal.leaf_tables(p_policy.target::regclass));
  raise notice '%: % row% of % due now%', p_job_name,
    case when v_due = v_cap then 'at least ' else '' end || v_due,
    case when v_due <> 1 then 's' else '' end,
    p_policy.target || case when v_due = 1 then ' is' else ' are' end,
    case when v_due > 0 and v_rows > 0 then format(', %s %% of it', round(100 * v_due / v_rows))
      else '' end;
exception when others or assert_failure then
  raise warning '%: what is due cannot be counted: %', p_job_name, sqlerrm
    using hint = format('select * from maintenance.lint(%L);', p_job_name);
end
$$;
-- end of sql/engine/policy/put_policy.sql

-- from sql/engine/policy/set_policy.sql 8ed509bf3be18368
-- Sets one rule over one table: which rows are due, and what becomes of them. The texts are read
-- here, as in the caller's session; what is done with them is done in put_policy, as anywhere else.

create function maintenance.set_policy(
  job_name text,
  target regclass,
  action text,
  age text,
  keep interval,
  matching text default null,
  assign text default null,
  trusted_owner name default null,
  schedule text default null,
  description text default null,
  backlog_name text default null)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_table regclass;
  v_alias text;
  v_copy regclass;
  v_has_cutoff boolean;
  v_parsed record;
  v_columns smallint[];
  v_policy maintenance_internal.policy;
  v_job maintenance_internal.job;
begin
  if to_regrole(quote_ident(set_policy.trusted_owner)) is null
    and set_policy.trusted_owner is not null then
    raise exception 'there is no role "%"', set_policy.trusted_owner
      using errcode = 'PM002', hint = 'trusted_owner is the role that owns the target.';
  end if;
  v_table := maintenance_internal.find_target(set_policy.target::text, set_policy.trusted_owner);
  v_alias := maintenance_internal.target_alias(v_table);
  if set_policy.action is null or set_policy.action not in ('delete', 'update') then
    raise exception 'the action "%" is not known', set_policy.action
      using errcode = 'PM002', hint = 'A policy deletes or updates: ''delete'' or ''update''.';
  end if;
  if set_policy.keep is null then
    raise exception 'a policy needs a keep'
      using errcode = 'PM002', hint = 'An interval of zero or more: ''90 days'', ''8 months''.';
  end if;
  perform maintenance_internal.check_keep(set_policy.keep);
  if (set_policy.action = 'update') <> (set_policy.assign is not null) then
    raise exception 'the action "%" %', set_policy.action,
      case when set_policy.assign is null then 'needs assign' else 'takes no assign' end
      using errcode = 'PM002',
        hint = 'assign is the SET list of an update, and of nothing else.';
  end if;
  if set_policy.age is null then
    raise exception 'a policy needs an age'
      using errcode = 'PM002', hint = 'A column or an expression that gives a time: created_at.';
  end if;
  if to_regclass('pg_temp.' || v_alias) is not null then
    raise exception 'this session has a temporary table %', v_alias
      using errcode = 'PM003',
        hint = 'Drop it: the rule is parsed over a temporary copy of that name.';
  end if;

  execute format('create temporary table %s (like %s including generated) on commit drop',
    v_alias, v_table);
  v_copy := ('pg_temp.' || v_alias)::regclass;
  v_policy.target := v_table::text;
  v_policy.action := set_policy.action;
  v_policy.keep := set_policy.keep;
  v_policy.trusted_owner := set_policy.trusted_owner;

  select * into v_parsed
  from maintenance_internal.parse_expression(
    v_copy, 'age', set_policy.age, false, set_policy.trusted_owner);
  v_policy.age := v_parsed.printed;
  v_policy.calls := v_parsed.calls;
  v_columns := v_parsed.columns;
  v_policy.age_type := case v_parsed.type
    when 'timestamp with time zone' then 'timestamptz'
    when 'timestamp without time zone' then 'timestamp'
    when 'date' then 'date'
  end;
  if v_policy.age_type is null then
    raise exception 'age "%" is no time: its type is %', set_policy.age, v_parsed.type
      using errcode = 'PM004', hint = case
        when v_parsed.type in ('integer', 'bigint', 'numeric', 'double precision')
          then format('Of seconds: to_timestamp(%1$s); of milliseconds: to_timestamp(%1$s / '
            '1000.0). Such an age needs an index of its own.', set_policy.age)
        else 'Give a timestamptz, a timestamp (read as UTC) or a date.' end;
  elsif v_columns = '{}' then
    raise exception 'age "%" reads no column of %', set_policy.age, v_table
      using errcode = 'PM004',
        hint = 'It is the age of a row: created_at. How long rows are kept is what keep says.';
  end if;

  if set_policy.matching is not null then
    v_has_cutoff := exists (
      select from pg_attribute as a
      where a.attrelid = v_copy and a.attname = 'cutoff' and not a.attisdropped);
    if not v_has_cutoff then
      execute format('alter table pg_temp.%s add column cutoff timestamptz', v_alias);
    end if;
    select * into v_parsed from maintenance_internal.parse_expression(
      v_copy, 'matching', set_policy.matching, not v_has_cutoff, set_policy.trusted_owner);
    if not v_has_cutoff then
      execute format('alter table pg_temp.%s drop column cutoff', v_alias);
    end if;
    v_policy.matching := v_parsed.printed;
    v_policy.calls := v_policy.calls || v_parsed.calls;
    v_columns := v_columns || v_parsed.columns;
    if v_parsed.type <> 'boolean' then
      raise exception 'matching "%" is no condition: its type is %', set_policy.matching,
          v_parsed.type
        using errcode = 'PM004', hint = 'Give an expression that is true for the rows that may go.';
    end if;
  end if;

  if set_policy.assign is not null then
    select * into v_parsed
    from maintenance_internal.parse_assign(
      v_table, v_copy, set_policy.assign, set_policy.trusted_owner);
    v_policy.assign := v_parsed.printed;
    v_policy.calls := v_policy.calls || v_parsed.calls;
    v_columns := v_columns || v_parsed.columns;
  end if;
  v_policy.calls := array(select distinct c from unnest(v_policy.calls) as c order by c);

  v_job.job_name := set_policy.job_name;
  v_job.kind := 'policy';
  v_job.schedule := set_policy.schedule;
  v_job.description := coalesce(set_policy.description, format('%s rows of %s whose %s is %s',
    initcap(v_policy.action || 's'), v_policy.target, v_policy.age,
    case when v_policy.keep = interval '0' then 'past' else 'older than ' || v_policy.keep end));
  v_job.backlog_name := set_policy.backlog_name;
  perform maintenance_internal.put_policy(v_job, v_policy, v_copy, v_columns);
end
$$;

comment on function maintenance.set_policy(
  text, regclass, text, text, interval, text, text, name, text, text, text) is
  'Sets a rule over a table: rows are due when age <= cutoff, which is now() - keep, and '
  'matching holds; the action ''delete'' removes them, ''update'' sets assign. target: a table, '
  'kept with its schema. age: a column or expression of type timestamptz, timestamp (read as '
  'UTC) or date. matching: a condition; it may name cutoff. Expressions are read as in the '
  'owner''s own sessions, their dates and times as in the caller''s, and kept in full. '
  'trusted_owner: the role that owns the table, where that is not the engine''s owner, and it is '
  'meant that its triggers and functions run with the engine owner''s rights. schedule: '
  'five-field cron, UTC; put into pg_cron at once where that is here. backlog_name: the row''s '
  'name in maintenance_status. Setting it again replaces it, and says what that dropped; an '
  'operator''s edits in pg_cron survive. Says how many rows are due now, and what lint finds, as '
  'notice and warnings. For the engine''s owner. Errors: PM002 argument, PM003 target, PM004 '
  'expression, PM005 the update would match its own result, PM006 schedule.';
-- end of sql/engine/policy/set_policy.sql

-- from sql/engine/policy/preview.sql 4111a7fae9fb64cc
-- What a run of a policy would do, read with the very rule that it would use.

create function maintenance.preview(job_name text)
returns table (
  due bigint,
  capped boolean,
  oldest timestamptz,
  bytes bigint,
  batches bigint,
  cascades bigint)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_path constant text := maintenance_internal.owner_path();
  v_cap constant integer := 1000000;
  v_most_to_look_up constant integer := 10000;
  v_job maintenance_internal.job := maintenance_internal.find_job(preview.job_name);
  v_policy maintenance_internal.policy := maintenance_internal.find_policy(preview.job_name);
  v_table regclass := maintenance_internal.find_target(
    v_policy.target, v_policy.trusted_owner);
  v_alias text := maintenance_internal.target_alias(v_table);
  v_cutoff timestamptz := maintenance_internal.clock() - v_policy.keep;
  v_width numeric;
  v_key record;
  v_state text;
  v_message text;
  v_context text;
begin
  select c.due, c.oldest into due, oldest
  from maintenance_internal.count_due(v_policy, v_cutoff, v_cap, v_path) as c;
  capped := due = v_cap;
  batches := ceil(due::numeric / v_job.batch_size);

  perform set_config('search_path', v_path, true);
  execute format(
    'select avg(pg_column_size(d)) '
    'from (select %1$s.* from %2$s as %1$s where %3$s limit 1000) as d',
    v_alias, v_table, maintenance_internal.due_condition(v_policy)) into v_width using v_cutoff;
  bytes := round(coalesce(v_width, 0) * due);

  -- Rows behind keys that cascade: where an index finds them, and few enough are due.
  if v_policy.action = 'delete' and due <= v_most_to_look_up then
    cascades := 0;
    for v_key in
      select f.conrelid::regclass as child, k.columns, k.referenced,
        exists (
          select from pg_index as i
          where i.indrelid = f.conrelid and i.indisvalid and i.indpred is null
            and (i.indkey::smallint[])[0 : cardinality(f.conkey) - 1] @> f.conkey) as is_indexed
      from pg_constraint as f
      cross join lateral (
        select string_agg(quote_ident(a.attname), ', ' order by k.n) as columns,
          string_agg(quote_ident(r.attname), ', ' order by k.n) as referenced
        from unnest(f.conkey, f.confkey) with ordinality as k (from_column, to_column, n)
        join pg_attribute as a on a.attrelid = f.conrelid and a.attnum = k.from_column
        join pg_attribute as r on r.attrelid = f.confrelid and r.attnum = k.to_column
      ) as k
      where f.confrelid = v_table and f.contype = 'f' and f.confdeltype = 'c'
        and not exists (select from pg_constraint as u
          where u.oid = f.conparentid and u.confrelid = f.confrelid)
    loop
      if not v_key.is_indexed then
        cascades := null;
        exit;
      end if;
      execute format(
        'select count(*) from %s where (%s) in (select %s from %s as %s where %s)',
        v_key.child, v_key.columns, v_key.referenced, v_table, v_alias,
        maintenance_internal.due_condition(v_policy))
      into v_width using v_cutoff;
      cascades := cascades + v_width;
    end loop;
  end if;
  return next;
exception when others or assert_failure then
  get stacked diagnostics v_state = returned_sqlstate, v_message = message_text,
    v_context = pg_exception_context;
  raise exception 'the rule of "%" cannot be read: %', preview.job_name,
      maintenance_internal.error_text(v_state, v_message, v_context)
    using errcode = v_state, hint = format('select * from maintenance.lint(%L);', preview.job_name);
end
$$;

comment on function maintenance.preview(text) is
  'What a run of a policy would do now: rows due (counted up to 1,000,000: then capped), the time '
  'of the oldest, their bytes (from a sample), the batches they make, and the rows of other tables '
  'that go with them by keys that cascade (directly; null where counting them would be dear). '
  'Errors: PM001 no such policy, PM003 its table is gone.';
-- end of sql/engine/policy/preview.sql

-- from sql/engine/policy/explain_policy.sql 132a065220966d97
-- Shows the SQL that a policy runs.

create function maintenance.explain_policy(job_name text)
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_policy maintenance_internal.policy := maintenance_internal.find_policy(explain_policy.job_name);
  v_leaves oid[] := maintenance_internal.leaf_tables(
    maintenance_internal.find_target(
    v_policy.target, v_policy.trusted_owner));
begin
  return format(
    e'-- $1, the cut-off, fixed once a run: now() - %L::interval, now %L\n'
    '-- leaf by leaf, %s of them; first a list of rows in heap order, $2 at most:\n%s;\n'
    '-- then piece by piece of that list, $2, with a commit after each:\n%s;\n'
    '-- or, where much of a leaf is due, window by window of its pages, from $3 up to $4:\n%s;\n'
    '-- or, where an index follows the heap, range by range of the age, from $5 up to $6:\n%s;\n',
    v_policy.keep, maintenance_internal.clock() - v_policy.keep, cardinality(v_leaves),
    replace(maintenance_internal.list_statement(v_policy, v_leaves[1], 'all'), 'true and ', ''),
    maintenance_internal.piece_statement(v_policy, v_leaves[1], 'list', false),
    maintenance_internal.piece_statement(v_policy, v_leaves[1], 'window', false),
    maintenance_internal.piece_statement(v_policy, v_leaves[1], 'range', false));
end
$$;

comment on function maintenance.explain_policy(text) is
  'The exact SQL of a policy: how its rows are collected, and what one batch does. '
  'Errors: PM001 no such policy, PM003 its table is gone.';
-- end of sql/engine/policy/explain_policy.sql

-- from sql/engine/policy/lint_rights.sql 6c5c1bc2cbf67c4c
-- What would stop a policy's batches: rights, row security, replica identity.

create function maintenance_internal.lint_rights(
  p_policy maintenance_internal.policy,
  p_table regclass)
returns table (severity text, finding text, fix text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_leaf regclass;
  v_missing text;
begin
  for v_leaf in
    select distinct t from unnest(p_table::oid || maintenance_internal.leaf_tables(p_table)) as t
  loop
    -- FOR UPDATE needs UPDATE, for a delete too.
    select string_agg(r.name, ', ') into v_missing
    from unnest(array['select', 'update', p_policy.action]) with ordinality as r (name, number)
    where not has_table_privilege(v_leaf, r.name) and (r.number < 3 or r.name <> 'update');
    if v_missing is not null then
      return query select 'critical',
        format('%s may not %s on %s', current_user, v_missing, v_leaf),
        format('grant %s on %s to %I;', v_missing, v_leaf, current_user);
    end if;

    if row_security_active(v_leaf) then
      return query select 'critical',
        format('row security of %s hides rows from %s', v_leaf, current_user),
        format('alter table %s no force row level security; or make %I its owner', v_leaf,
          current_user);
    end if;

    return query
      select 'critical', format('%s is published by %s without a replica identity, so that '
        'Postgres refuses the %s', v_leaf, min(p.pubname), p_policy.action),
        format('alter table %s replica identity full; -- or give it a primary key', v_leaf)
      from pg_publication as p
      join pg_publication_tables as t on t.pubname = p.pubname
      join pg_class as c on c.oid = v_leaf and c.relname = t.tablename
      join pg_namespace as n on n.oid = c.relnamespace and n.nspname = t.schemaname
      where case p_policy.action when 'delete' then p.pubdelete else p.pubupdate end
        and (c.relreplident = 'n' or c.relreplident = 'd' and not exists (
          select from pg_index as i where i.indrelid = c.oid and i.indisprimary))
      having count(*) > 0;
  end loop;
end
$$;
-- end of sql/engine/policy/lint_rights.sql

-- from sql/engine/policy/lint_indexes.sql d1635b29bbbfceeb
-- Whether an index serves a rule. The planner is asked, not the catalogue: could it read the due
-- rows in the order of their age, without sorting and without reading the rest of the table? The
-- fix is an index that Postgres took when the policy was set.

create function maintenance_internal.lint_indexes(
  p_policy maintenance_internal.policy,
  p_table regclass)
returns table (severity text, finding text, fix text)
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
declare
  v_leaves oid[] := maintenance_internal.leaf_tables(p_table);
  v_partitioned boolean := (select c.relkind = 'p' from pg_class as c where c.oid = p_table);
  v_statement text := 'explain (format json) ' || maintenance_internal.count_statement(p_policy);
  v_plan jsonb;
  v_names jsonb;
  v_scans jsonb;
  v_unserved oid[];
begin
  perform set_config('search_path', maintenance_internal.owner_path(), true);
  execute v_statement into v_plan using maintenance_internal.clock() - p_policy.keep, 10000;
  perform set_config('search_path', 'pg_catalog, pg_temp', true);
  v_names := jsonb_build_object('names', (
    select jsonb_agg(c.relname)
    from unnest(p_table::oid || v_leaves) as t
    join pg_class as c on c.oid = t));
  v_scans := jsonb_path_query_array(v_plan, '$.** ? (@."Relation Name" == $names[*])', v_names);

  -- What the rule looks up elsewhere may be sorted.
  if jsonb_path_exists(v_plan, '$.** ? (@."Node Type" == "Sort" '
      '&& exists (@.** ? (@."Relation Name" == $names[*])))', v_names)
    or v_scans @? '$[*] ? (@."Node Type" == "Seq Scan")' then
    severity := 'warning';
    finding := format('no index serves the age %s of %s', p_policy.age, p_table);
  elsif p_policy.action = 'update' and p_policy.index_on like '%) where %'
    and v_scans @? '$[*] ? (exists (@."Filter"))' then
    severity := 'warning';
    finding := format('no index of %s is partial on the rule: rows once updated are read at each '
      'look', p_table);
  else
    return;
  end if;

  -- Partitions share one index of their parent, which cannot be made concurrently; children of an
  -- inheritance parent each need their own.
  if p_policy.index_on is null then
    fix := '-- Postgres takes no index on this age, which is not immutable: '
      'keep the time in a column, and set the policy on that.';
  elsif v_partitioned then
    fix := format('create index on %s %s; -- it locks writes: in a busy table first concurrently '
      'on each partition', p_table, p_policy.index_on);
  else
    select array_agg(c.oid) into v_unserved
    from pg_class as c
    where c.oid = any (v_leaves)
      and (cardinality(v_leaves) = 1 or v_scans @? format(
        '$[*] ? (@."Relation Name" == %s && (@."Node Type" == "Seq Scan" || exists (@."Filter")))',
        to_json(c.relname))::jsonpath);
    select string_agg(format('create index concurrently on %s %s;', t.relid::regclass,
      p_policy.index_on), ' ' order by t.relid)
    into fix
    from unnest(coalesce(v_unserved, v_leaves)) as t (relid);
  end if;
  return next;
end
$$;
-- end of sql/engine/policy/lint_indexes.sql

-- from sql/engine/policy/lint_references.sql 6a23135827819ec3
-- Foreign keys to a policy's table: rows of other tables that a delete takes or changes by them,
-- and that no rule protects; rows that it keeps; and those that no index serves.

create function maintenance_internal.lint_references(
  p_policy maintenance_internal.policy,
  p_table regclass)
returns table (severity text, finding text, fix text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  with recursive hit as (
    select p_table::oid as relid
    where p_policy.action = 'delete'
    union
    select f.conrelid
    from pg_constraint as f
    join hit as h on h.relid = f.confrelid
    where f.contype = 'f' and f.confdeltype = 'c'
  )
  select 'warning',
    format('the foreign key %s of %s has no index: each deleted row of %s reads all of it',
      f.conname, f.conrelid::regclass, h.relid::regclass),
    format('create index%s on %s (%s);',
      case when c.relkind <> 'p' then ' concurrently' end, f.conrelid::regclass, (
      select string_agg(quote_ident(a.attname), ', ' order by k.number)
      from unnest(f.conkey) with ordinality as k (attnum, number)
      join pg_attribute as a on a.attrelid = f.conrelid and a.attnum = k.attnum))
  from hit as h
  join pg_constraint as f on f.confrelid = h.relid and f.contype = 'f'
    and not exists (select from pg_constraint as u
      where u.oid = f.conparentid and u.confrelid = f.confrelid)
  join pg_class as c on c.oid = f.conrelid
  where not exists (
    select from pg_index as i
    where i.indrelid = f.conrelid
      and i.indisvalid
      and i.indpred is null
      and (i.indkey::smallint[])[0 : cardinality(f.conkey) - 1] @> f.conkey
  )
  union all
  select 'notice',
    case
      when f.confdeltype = 'c' then format('each deleted row of %s takes its rows of %s with it, '
        'however young they are%s', h.relid::regclass, f.conrelid::regclass, (
        select format('; the policy "%s" keeps them for %s', j.job_name, p.keep)
        from maintenance_internal.policy as p
        join maintenance_internal.job as j on j.job_id = p.job_id
        where to_regclass(p.target) = f.conrelid and p.action = 'delete'
          and f.conrelid <> p_table
        order by p.keep desc
        limit 1))
      when f.confdeltype in ('n', 'd') then format('each deleted row of %s changes its rows of %s',
        h.relid::regclass, f.conrelid::regclass)
      else format('rows of %s that rows of %s refer to do not go', h.relid::regclass,
        f.conrelid::regclass)
    end,
    case when f.confdeltype in ('c', 'n', 'd')
      then format('-- The key %I says so. Where that is not meant, let matching leave them out.',
        f.conname)
      else format('-- The key %I has no action: set a policy on %s, or let matching leave them '
        'out.', f.conname, f.conrelid::regclass) end
  from hit as h
  join pg_constraint as f on f.confrelid = h.relid and f.contype = 'f'
    and not exists (select from pg_constraint as u
      where u.oid = f.conparentid and u.confrelid = f.confrelid);
end;
-- end of sql/engine/policy/lint_references.sql

-- from sql/engine/policy/lint_triggers.sql 118a267fc9442d0e
-- Triggers and rules of a policy's table that could swallow what a run does, so that the statement
-- would succeed and change nothing; and triggers that write rows of their own.

create function maintenance_internal.lint_triggers(
  p_policy maintenance_internal.policy,
  p_table regclass)
returns table (severity text, finding text, fix text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  -- A row trigger before the change keeps the row by returning null, and in a delete NEW is null.
  select distinct 'warning',
    format('the trigger %I of %s may swallow the %s: its function %s returns null%s', t.tgname,
      t.tgrelid::regclass, p_policy.action, t.tgfoid::regproc,
      case p_policy.action when 'delete' then ', or NEW, which a delete has not' else '' end),
    format('-- Let it return %s for a row that may be changed.',
      case p_policy.action when 'delete' then 'OLD' else 'NEW' end)
  from unnest(p_table::oid || maintenance_internal.leaf_tables(p_table)) as l (relid)
  join pg_trigger as t on t.tgrelid = l.relid
  join pg_proc as p on p.oid = t.tgfoid
  where not t.tgisinternal
    and t.tgparentid = 0
    and t.tgenabled in ('O', 'A')
    and t.tgtype & 3 = 3 -- a row trigger, before
    and t.tgtype & case p_policy.action when 'delete' then 8 else 16 end <> 0
    and p.prosrc ~* case p_policy.action
      when 'delete' then '\yreturn\s+(null|new)\y' else '\yreturn\s+null\y' end
  union all
  select distinct 'notice',
    format('the trigger %I of %s writes rows for what is changed: %s', t.tgname,
      t.tgrelid::regclass, t.tgfoid::regproc),
    '-- They are in no count; a policy on where it writes keeps them in bounds.'
  from unnest(p_table::oid || maintenance_internal.leaf_tables(p_table)) as l (relid)
  join pg_trigger as t on t.tgrelid = l.relid
  join pg_proc as p on p.oid = t.tgfoid
  where not t.tgisinternal
    and t.tgparentid = 0
    and t.tgenabled in ('O', 'A')
    and t.tgtype & case p_policy.action when 'delete' then 8 else 16 end <> 0
    and regexp_replace(p.prosrc, '--[^\n]*', '', 'g')
      ~* '\y(insert\s+into|delete\s+from|merge\s+into|update\s+[^;]*\yset)\y'
    and p.pronamespace not in (
      'maintenance'::regnamespace, 'maintenance_internal'::regnamespace)
  union all
  select distinct 'critical',
    format('the rule %I of %s takes the place of the %s', r.rulename, r.ev_class::regclass,
      p_policy.action),
    format('drop rule %I on %s; -- or set the policy where the rows are', r.rulename,
      r.ev_class::regclass)
  from unnest(p_table::oid || maintenance_internal.leaf_tables(p_table)) as l (relid)
  join pg_rewrite as r on r.ev_class = l.relid
  where r.is_instead and r.ev_enabled in ('O', 'A')
    and r.ev_type = case p_policy.action when 'delete' then '4' else '2' end;
end;
-- end of sql/engine/policy/lint_triggers.sql

-- from sql/engine/policy/lint_keep.sql b5d3a6dbb280472a
-- A keep that nobody meant: seconds that look like days, or another policy that makes it moot.

create function maintenance_internal.lint_keep(
  p_policy maintenance_internal.policy,
  p_table regclass)
returns table (severity text, finding text, fix text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  -- '30' is an interval of 30 seconds.
  select 'warning',
    format('keep is %s: a number alone is seconds', p_policy.keep),
    format('-- If %1$s days are meant, keep => ''%1$s days''.',
      extract(epoch from p_policy.keep)::integer)
  where p_policy.keep > interval '0'
    and p_policy.keep < interval '1 hour'
    and (p_policy.keep < interval '5 minutes' or extract(second from p_policy.keep) > 0)
  union all
  select 'warning',
    format('%s of the same rows by the same age keeps %s, and this one %s', j.job_name, o.keep,
      p_policy.keep),
    format('select maintenance.drop_job(%L); -- or tell their rows apart by matching', j.job_name)
  from maintenance_internal.policy as o
  join maintenance_internal.job as j on j.job_id = o.job_id
  where o.job_id <> p_policy.job_id
    and o.target = p_policy.target
    and o.action = p_policy.action
    and o.age = p_policy.age
    and o.keep <> p_policy.keep
    and (o.matching is not distinct from p_policy.matching
      or o.matching is null or p_policy.matching is null);
end;
-- end of sql/engine/policy/lint_keep.sql

-- from sql/engine/policy/lint_meaning.sql abbc60f3e1ed6ae1
-- What a rule can hardly be meant to say: it asks the session that reads it, or the ages of its
-- rows lie where no time lies.

create function maintenance_internal.lint_meaning(
  p_policy maintenance_internal.policy,
  p_table regclass)
returns table (severity text, finding text, fix text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_dear constant double precision := 10000; -- as the planner counts it: some tenths of a second
  v_session text;
  v_statement text := format(
    'select min(%1$s)::timestamptz, max(%1$s)::timestamptz from %2$s as %3$s', p_policy.age,
    p_table, maintenance_internal.target_alias(p_table));
  v_plan jsonb;
  v_oldest timestamptz;
  v_newest timestamptz;
begin
  -- As Postgres prints them: functions with a bracket, keywords in capitals.
  select string_agg(distinct lower(coalesce(m[1], m[2])), ', ') into v_session
  from regexp_matches(
    regexp_replace(concat_ws(' ', p_policy.age, p_policy.matching, p_policy.assign),
      '''([^'']|'''')*''|"([^"]|"")*"', '', 'g'),
    '\y(?:(current_(?:setting|schemas?|query)|inet_\w+_(?:addr|port)|pg_backend_pid|'
    'pg_my_temp_schema|has_\w+_privilege|pg_has_role|row_security_active)\(|'
    '(CURRENT_USER|SESSION_USER|CURRENT_ROLE|USER|CURRENT_SCHEMA)\y)', 'g') as m;
  if v_session is not null then
    severity := 'warning';
    finding := format('the rule asks the session that reads it, by %s: status and run can disagree',
      v_session);
    fix := '-- Keep what it should depend on in a table.';
    return next;
  end if;

  perform set_config('search_path', maintenance_internal.owner_path(), true);
  execute 'explain (format json) ' || v_statement into v_plan;
  if (v_plan #>> '{0,Plan,Total Cost}')::double precision < v_dear then
    execute v_statement into v_oldest, v_newest;
  end if;
  perform set_config('search_path', 'pg_catalog, pg_temp', true);
  -- The year 9999 says never.
  if isfinite(v_newest) and v_newest > maintenance_internal.clock() + interval '20 years'
    and extract(year from v_newest) <> 9999
    or isfinite(v_oldest) and v_oldest < '1980-01-01' then
    severity := 'warning';
    finding := format('the ages of %s reach from %s to %s', p_table, v_oldest, v_newest);
    fix := '-- Milliseconds read as seconds lie far ahead, seconds read as milliseconds in 1970: '
      'correct the column, or the age.';
    return next;
  end if;
end
$$;
-- end of sql/engine/policy/lint_meaning.sql

-- from sql/engine/policy/lint_trust.sql e34839d0d1314459
-- Whose code a job runs with the rights of the engine's owner, and what it cannot find.

create function maintenance_internal.lint_trust(
  p_policy maintenance_internal.policy,
  p_table regclass)
returns table (severity text, finding text, fix text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  with called as (
    select format('the trigger %I of %s', t.tgname, t.tgrelid::regclass) as caller,
      t.tgfoid as function
    from pg_trigger as t
    where t.tgrelid = any (p_table::oid || maintenance_internal.leaf_tables(p_table))
      and not t.tgisinternal and t.tgparentid = 0 and t.tgenabled <> 'D'
      and t.tgtype & case p_policy.action when 'delete' then 8 else 16 end <> 0
    union
    -- Planning a query over the table may run it.
    select format('the index %s', i.indexrelid::regclass), d.refobjid
    from pg_index as i
    join pg_depend as d on d.classid = 'pg_class'::regclass and d.objid = i.indexrelid
      and d.refclassid = 'pg_proc'::regclass
    where i.indrelid = any (p_table::oid || maintenance_internal.leaf_tables(p_table))
    union
    select format('the check %I of %s', k.conname, k.conrelid::regclass), d.refobjid
    from pg_constraint as k
    join pg_depend as d on d.classid = 'pg_constraint'::regclass and d.objid = k.oid
      and d.refclassid = 'pg_proc'::regclass
    where k.conrelid = any (p_table::oid || maintenance_internal.leaf_tables(p_table))
    union
    select format('the column %I of %s', a.attname, a.attrelid::regclass), d.refobjid
    from pg_attrdef as f
    join pg_attribute as a on a.attrelid = f.adrelid and a.attnum = f.adnum
    join pg_depend as d on d.classid = 'pg_attrdef'::regclass and d.objid = f.oid
      and d.refclassid = 'pg_proc'::regclass
    where f.adrelid = any (p_table::oid || maintenance_internal.leaf_tables(p_table))
    union
    select 'the rule', to_regprocedure(c)
    from unnest(p_policy.calls) as c
  )
  select 'critical',
    format('%s calls %s, which belongs to %I, with the rights of %s', c.caller,
      c.function::regprocedure, pg_get_userbyid(p.proowner), maintenance_internal.owner()::regrole),
    format('alter function %s owner to %s; -- where its text is to be trusted',
      c.function::regprocedure, maintenance_internal.owner()::regrole)
  from called as c
  join pg_proc as p on p.oid = c.function
  where not maintenance_internal.is_trusted(p.proowner)
    and pg_get_userbyid(p.proowner) is distinct from p_policy.trusted_owner
  order by 2;
end;

-- The schemas that are left out of the path of the owner's code, since it would then be anybody's.
create function maintenance_internal.lint_path()
returns table (severity text, finding text, fix text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select 'warning',
    format('the schema %I is left out of the path that the owner''s code runs under, since %s may '
      'create in it, or has left something there', s.schema_name, s.strangers),
    s.fix
  from maintenance_internal.owner_schemas() as s
  where s.strangers is not null;
end;

-- What PUBLIC may run of the kit, as after a restore without rights.
create function maintenance_internal.lint_public()
returns table (severity text, finding text, fix text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select 'critical', format('PUBLIC may execute %s functions of the kit, as %s: they were '
    'restored without their rights', count(*), min(p.oid::regprocedure::text)),
    'select * from maintenance.grant_roles();'
  from pg_proc as p
  where p.pronamespace in ('maintenance'::regnamespace, 'maintenance_internal'::regnamespace)
    and exists (
      select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as a
      where a.grantee = 0)
  having count(*) > 0;
end;
-- end of sql/engine/policy/lint_trust.sql

-- from sql/engine/policy/check_keys.sql 271611f545fd05ee
-- Foreign keys that are switched off: a delete would then leave orphans, without a word. For the
-- session (session_replication_role), or for a table or one that a delete cascades to (disable
-- trigger all).

create function maintenance_internal.keys_off(p_leaves oid[])
returns table (finding text, fix text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  with recursive reached as (
    select t as relid from unnest(p_leaves) as t
    union
    select k.conrelid from pg_constraint as k join reached as r on k.confrelid = r.relid
    where k.contype = 'f' and k.confdeltype <> 'a' and k.confdeltype <> 'r'
  )
  select format('foreign keys are switched off for %s: session_replication_role is replica',
      coalesce(s.whose, 'this session')),
    coalesce(s.fix, 'reset session_replication_role;')
  from (select) as once
  left join maintenance_internal.owner_setting('session_replication_role') as s on true
  where 'replica' in (s.value, current_setting('session_replication_role'))
  union all
  select format('foreign keys of %s are switched off: its triggers are disabled',
      t.tgrelid::regclass),
    format('alter table %s enable trigger all;', t.tgrelid::regclass)
  from pg_trigger as t
  join reached as r on r.relid = t.tgrelid
  where t.tgisinternal and t.tgconstraint <> 0 and t.tgenabled in ('D', 'R')
  group by t.tgrelid;
end;

-- A run that would leave orphans does not begin.
create function maintenance_internal.check_keys(p_leaves oid[])
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_off record;
begin
  select * into v_off from maintenance_internal.keys_off(p_leaves) limit 1;
  if found then
    raise exception '%', v_off.finding using errcode = 'PM021', hint = v_off.fix;
  end if;
end
$$;
-- end of sql/engine/policy/check_keys.sql

-- from sql/engine/policy/lint_session.sql 24ac8d8f4a45f2e2
-- What the sessions that pg_cron opens for the owner would do to a run: foreign keys that are
-- switched off, and a time-out that ends it before its budget does.

create function maintenance_internal.lint_session(p_job maintenance_internal.job)
returns table (severity text, finding text, fix text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select 'critical', k.finding, k.fix
  from maintenance_internal.policy as p
  cross join lateral maintenance_internal.keys_off(
    maintenance_internal.leaf_tables(to_regclass(p.target))) as k
  where p.job_id = p_job.job_id
  union all
  select 'warning',
    format('statement_timeout of %s is %s, and a run is one statement with a budget of %s',
      s.whose, s.value, p_job.budget), s.fix
  from maintenance_internal.owner_setting('statement_timeout') as s
  where (s.value || case when s.value ~ '^[0-9]+$' then 'ms' else '' end)::interval
    between interval '1 microsecond' and p_job.budget;
end;
-- end of sql/engine/policy/lint_session.sql

-- from sql/engine/policy/lint.sql 61920477f1061437
-- What will be slow, blocked or broken about the rules, and the statement that mends it.

create type maintenance.finding as (job_name text, severity text, finding text, fix text);

comment on type maintenance.finding is
  'What lint found: about which job, critical (a run would fail, or do what strangers say), '
  'warning (slow, or surprising) or notice (to be known), in words, and the statement that mends '
  'it.';

create function maintenance.lint(job_name text default null)
returns setof maintenance.finding
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_job maintenance_internal.job;
  v_policy maintenance_internal.policy;
  v_table regclass;
  v_message text;
  v_state text;
  v_context text;
  v_hint text;
begin
  if lint.job_name is not null then
    perform maintenance_internal.find_job(lint.job_name);
  end if;
  for v_job in
    select j.* from maintenance_internal.job as j
    where lint.job_name is null or j.job_name = lint.job_name
    order by j.job_name
  loop
    begin
      perform maintenance_internal.check_session();
      if v_job.kind = 'function' then
        perform maintenance_internal.find_function(v_job.step, 'integer', 'bigint');
      elsif v_job.kind = 'policy' then
        v_policy := maintenance_internal.find_policy(v_job.job_name);
        v_table := maintenance_internal.find_target(
    v_policy.target, v_policy.trusted_owner);
        return query
          select v_job.job_name, f.severity, f.finding, f.fix
          from (
            select * from maintenance_internal.lint_rights(v_policy, v_table)
            union all select * from maintenance_internal.lint_indexes(v_policy, v_table)
            union all select * from maintenance_internal.lint_references(v_policy, v_table)
            union all select * from maintenance_internal.lint_triggers(v_policy, v_table)
            union all select * from maintenance_internal.lint_keep(v_policy, v_table)
            union all select * from maintenance_internal.lint_meaning(v_policy, v_table)
            union all select * from maintenance_internal.lint_trust(v_policy, v_table)
          ) as f;
      end if;
      if v_job.kind <> 'statement' then
        return query
          select v_job.job_name, s.severity, s.finding, s.fix
          from (
            select * from maintenance_internal.lint_session(v_job)
            union all select * from maintenance_internal.lint_path() where lint.job_name is not null
          ) as s;
      end if;
      if v_job.kind = 'policy' then -- as the status does, so that it says the same
        perform maintenance_internal.count_due(v_policy, maintenance_internal.clock()
          - v_policy.keep, 10000, maintenance_internal.owner_path());
      end if;
    exception when others or assert_failure then
      get stacked diagnostics v_state = returned_sqlstate, v_message = message_text,
        v_context = pg_exception_context, v_hint = pg_exception_hint;
      return query select v_job.job_name, 'critical',
        maintenance_internal.error_text(v_state, v_message, v_context),
        case when v_state = '55P03' then maintenance_internal.lock_advice(v_policy.target)
          else case when v_state in ('PM003', 'PM023') then v_hint || ' Or: ' else '' end
            || format('Set the job again, or: select maintenance.drop_job(%L);', v_job.job_name)
        end;
    end;
  end loop;
  return query select * from maintenance_internal.lint_schedule(lint.job_name);
  return query
    select null, p.severity, p.finding, p.fix
    from (
      select * from maintenance_internal.lint_path()
      union all select * from maintenance_internal.lint_public()
      union all select * from maintenance_internal.lint_models()
    ) as p
    where lint.job_name is null;
  return query
    select s.name, 'warning', format('the %s of this release, %s', s.kind, s.outcome),
      'Rename what is in its way; then: select * from maintenance.register();'
    from maintenance_internal.shipped as s
    where s.outcome ~ '^(failed|not shipped)' and s.name = coalesce(lint.job_name, s.name);
end
$$;

comment on function maintenance.lint(text) is
  'Findings over one job or all: rows (job_name, severity, finding, fix). critical: a run would '
  'fail (the rule is broken, a right is missing, a published table has no replica identity, a '
  'rewrite rule takes its place), or run what a stranger wrote (the function of a trigger, an '
  'index or the rule). warning: a run or the status would be slow (no index for the rule, an '
  'unindexed foreign key), or do what nobody meant (a trigger that may silence the change, '
  'seconds that look like days, another policy that keeps the same rows for another time, ages '
  'of another millennium, a rule that asks its session, a schedule that fires nothing or is too '
  'narrow, a schema that is left out of the '
  'owner''s path, a model without a price). notice: rows of other tables that go too, or keep '
  'rows, by foreign keys; triggers that write; a model that is asked too often. No row is good '
  'news. Errors: PM001 no such job.';
-- end of sql/engine/policy/lint.sql

-- from sql/engine/control/tables.sql 0f0c7cf10100d66a
-- What is in the way of all jobs at once: a pause, or an emergency stop.

create table maintenance_internal.control (
  only_row boolean not null default true,
  paused_at timestamptz,
  paused_by text,
  paused_for text,
  stopped_at timestamptz,
  promised_at timestamptz not null default '-infinity',
  constraint control_pkey primary key (only_row),
  constraint control_is_one_row check (only_row)
) with (fillfactor = 10);

comment on table maintenance_internal.control is
  'One row: whether anything may start, since when not, by whom and why. stopped_at: the last '
  'emergency stop, which has ended what had begun until then; of this pause it is one that came '
  'with it or after it, and then answers of models are refused, too. promised_at: no slot of any '
  'job before it was ever owed, since all were paused, or the database was somewhere else.';

create function maintenance_internal.put_control()
returns void
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  insert into maintenance_internal.control (only_row) values (true) on conflict do nothing;
end;
select maintenance_internal.put_control();

create function maintenance_internal.is_paused()
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
return exists (select from maintenance_internal.control as c where c.paused_at is not null);

create function maintenance_internal.is_stopped()
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
return exists (
  select from maintenance_internal.control as c where c.stopped_at >= c.paused_at);

-- Why nothing starts, in words; null where it does.
create function maintenance_internal.pause_text()
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return (
  select format('%s since %s by %s: %s', case when c.stopped_at >= c.paused_at then 'stopped'
      else 'paused' end,
    to_char(c.paused_at, 'YYYY-MM-DD HH24:MI'), c.paused_by, c.paused_for)
  from maintenance_internal.control as c
  where c.paused_at is not null
);
-- end of sql/engine/control/tables.sql

-- from sql/engine/control/own_statements.sql a1091b5357c0c78b
-- The three jobs of the kit's own are known by their statements: what they call leaves its receipt
-- itself, and goes on while all others are paused.

create function maintenance_internal.tick_statement()
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return 'call maintenance.tick()';

create function maintenance_internal.run_late_statement()
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return 'call maintenance.run_late()';

create function maintenance_internal.alert_statement()
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return 'call maintenance.alert_monitor()';

create function maintenance_internal.is_own(p_statement text)
returns boolean
language sql
immutable
set search_path = pg_catalog, pg_temp
return coalesce(p_statement in (maintenance_internal.tick_statement(),
  maintenance_internal.run_late_statement(), maintenance_internal.alert_statement()), false);

create function maintenance_internal.own_jobs()
returns integer[]
language sql
stable
set search_path = pg_catalog, pg_temp
return array(
  select j.job_id from maintenance_internal.job as j
  where maintenance_internal.is_own(j.statement));
-- end of sql/engine/control/own_statements.sql

-- from sql/engine/run/tables.sql 498c7beed9d5edba
-- The receipts: one row per run, written when it starts, after every step, and when it ends. A
-- run that goes on has its whole state there, and what it is still to offer in the table beside
-- it.

-- Where a run stands between two steps; null on the receipt of one that is over.
create type maintenance_internal.progress as (
  commits boolean,
  rule bigint,
  path text,
  check_deferred text,
  target oid,
  leaf oid,
  filenode oid,
  way text,
  listed_to tid,
  page bigint,
  pages integer,
  end_page bigint,
  from_age timestamptz,
  collected boolean,
  missed boolean,
  round_from bigint,
  size integer,
  at integer,
  pieces bigint,
  aside_since bigint,
  expected bigint,
  locked boolean,
  timeouts integer,
  conflicts integer,
  behind_leaf oid,
  behind tid,
  said_at timestamptz
);

comment on type maintenance_internal.progress is
  'commits: run_job, and not run_now. rule: hash of the policy as it was. path: owner_path, as '
  'it was; check_deferred: check_deferred_statement, as it was. leaf, filenode: the table at '
  'work, way: new, then as choose_way says; listed_to, swept up to page (pages at a time, to '
  'end_page), or through up to from_age; collected: no leaf is left; missed: rows may have been '
  'stepped over in this round, which began at round_from rows_affected. size: rows of the next '
  'batch; at: how far the first list is worked; pieces: numbers them. aside_since: rows_affected '
  'when the first row was set aside; expected: rows by list or estimate. locked: somebody holds '
  'rows, which are left out; timeouts, conflicts: in a row. behind_leaf, behind: where the run '
  'before was cut';

create table maintenance_internal.run (
  run_id bigint generated always as identity,
  job_id integer not null,
  job_name text not null,
  trigger text not null,
  slot timestamptz,
  attempt integer not null default 1,
  status text not null,
  due_at timestamptz,
  started_at timestamptz,
  touched_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  cutoff timestamptz,
  rows_affected bigint not null default 0,
  rows_refused bigint not null default 0,
  batches integer not null default 0,
  backend_pid integer not null default pg_backend_pid(),
  cron_run_id bigint,
  stop_reason text,
  error text,
  sqlstate text,
  error_detail jsonb,
  details jsonb not null default '{}',
  cut_leaf oid,
  cut tid,
  progress maintenance_internal.progress,
  traced_at timestamptz generated always as (greatest(slot, started_at, case
    when status in ('succeeded', 'failed', 'timeout', 'cancelled') then finished_at end)) stored,
  constraint run_pkey primary key (run_id),
  constraint run_trigger_is_known
    check (trigger in ('schedule', 'manual', 'retry', 'catch_up')),
  constraint run_status_is_known check (status in ('waiting', 'running', 'succeeded', 'failed',
    'skipped', 'timeout', 'cancelled', 'interrupted')),
  constraint run_begins_when_it_has_waited
    check (started_at is not null or status = 'waiting'
      or status = 'skipped' and due_at is not null),
  constraint run_waits_until_it_is_due
    check (status <> 'waiting' or due_at is not null and started_at is null),
  constraint run_ends_when_it_is_over
    check ((status in ('waiting', 'running')) = (finished_at is null)),
  constraint run_over_has_a_stop_reason check (status = 'running' or stop_reason is not null),
  constraint run_failed_has_an_error check (status <> 'failed' or error is not null),
  constraint run_error_has_an_sqlstate check ((error is null) = (sqlstate is null))
) with (fillfactor = 50);

create index run_error_rows_idx on maintenance_internal.run (run_id) where error_detail ? 'rows';
create index run_job_name_idx on maintenance_internal.run (job_name, run_id);
-- Of each job the last run that says how it is, the last trace of any, and the last that
-- succeeded. By the time: an order that the primary key has, too, would have it walked backwards
-- for a job without any.
create index run_last_idx on maintenance_internal.run (job_id, (coalesce(started_at, finished_at)))
where status not in ('waiting', 'skipped') or status = 'skipped' and error is not null;
create index run_traced_idx on maintenance_internal.run (job_id, traced_at);
create index run_succeeded_idx on maintenance_internal.run (job_id, started_at)
where status = 'succeeded';
-- Statements that go on.
create index run_statement_idx on maintenance_internal.run (cron_run_id)
where status = 'running' and cron_run_id is not null;
create index run_finished_at_idx on maintenance_internal.run (finished_at);
-- One run of a job at a time, and one that waits; what pg_cron runs itself is not ours to keep
-- apart.
create unique index run_running_idx on maintenance_internal.run (job_id)
where status = 'running' and cron_run_id is null;
create unique index run_waiting_idx on maintenance_internal.run (job_id)
where status = 'waiting';

comment on table maintenance_internal.run is
  'Receipts, one row per run. Kept when the job is dropped. Read them as maintenance.run_history.';
comment on column maintenance_internal.run.slot is
  'the scheduled minute that the run stands for; null for a run started by hand';
comment on column maintenance_internal.run.due_at is
  'of a run that waits or has waited: not before; only a window and a resume move it';
comment on column maintenance_internal.run.traced_at is
  'up to when the job has left a trace: no slot until then was missed. When a run was given up, or '
  'was found to be dead, says nothing';
comment on column maintenance_internal.run.touched_at is 'the end of its last step';
comment on column maintenance_internal.run.cutoff is 'policies: rows as old as this were due';
comment on column maintenance_internal.run.backend_pid is
  'the backend that runs it; whether it is at work says is_alive';
comment on column maintenance_internal.run.cron_run_id is
  'statement jobs: the run in pg_cron''s history that this receipt was written from';
comment on column maintenance_internal.run.error is
  'the first error, without any row''s text: SQLSTATE, constraint and table';
comment on column maintenance_internal.run.error_detail is
  'the first error in full, with the keys of the first hundred rows that were refused: for the '
  'owner alone';
comment on column maintenance_internal.run.stop_reason is
  'done, budget, max_rows, max_batches, rows_locked, no_effect, refused_rows, rule_changed, '
  'lock_timeout, error, window, timeout, cancelled, emergency_stop, backend_gone, left_open, '
  'history_gone, job_dropped; of skipped ones disabled, paused, already_running, slot_done, '
  'superseded, restored, dropped, dependency, too_late; of what waits window, dependency, missed, '
  'retry';
comment on column maintenance_internal.run.cut is
  'where in cut_leaf a run ended that was at what had failed: the next one begins behind it';

-- What a run is still to offer: rows of one leaf by their addresses, a window of its pages, or a
-- range of the age. First the lists (pass 1), in heap order; then what failed, last first,
-- beginning behind the place where the run before was cut (pass 2, then 3); then the rows that
-- failed alone (pass 4). Lost in a crash, as the run is.
create unlogged table maintenance_internal.piece (
  run_id bigint not null,
  pass integer not null,
  place bigint not null,
  leaf oid not null,
  page bigint,
  end_page bigint,
  from_age timestamptz,
  to_age timestamptz,
  tids tid[],
  failed_at bigint,
  constraint piece_pkey primary key (run_id, pass, place)
);

alter table maintenance_internal.piece alter tids set storage external;

comment on table maintenance_internal.piece is
  'What runs that go on are still to offer: tids, or the pages from page up to end_page, or the '
  'rows whose age is from from_age up to to_age. failed_at: rows_affected when it failed.';
-- end of sql/engine/run/tables.sql

-- from sql/engine/run/lock_class.sql 4f73aec0df118b9d
-- The first key of our advisory locks; the second is the job's id. A step of a run holds it until
-- its transaction ends, so that others see that it is at work. It keeps nobody out: anybody can
-- take an advisory lock.

create function maintenance_internal.lock_class()
returns integer
language sql
immutable
set search_path = pg_catalog, pg_temp
return 1886216560;
-- end of sql/engine/run/lock_class.sql

-- from sql/engine/run/is_alive.sql 6812d7bb889ef9f5
-- Whether a run that its receipt calls running is at work: its backend is there, and is in one of
-- its steps, or ended one within the last ten seconds. A step holds its job's lock, however long it
-- takes.

create function maintenance_internal.is_alive(
  p_job_id integer,
  p_backend_pid integer,
  p_touched_at timestamptz)
returns boolean
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
return exists (select from pg_stat_activity as a where a.pid = p_backend_pid)
  and (p_touched_at > clock_timestamp() - interval '10 seconds' or exists (
    select from pg_locks as l
    where l.locktype = 'advisory' and l.pid = p_backend_pid and l.objsubid = 2
      and l.classid = maintenance_internal.lock_class()::oid and l.objid = p_job_id::oid
      and l.database = (select d.oid from pg_database as d where d.datname = current_database())));
-- end of sql/engine/run/is_alive.sql

-- from sql/engine/run/close_dead_runs.sql d2ee30c9fff97917
-- Closes the receipts of runs that are dead, of one job or of all, dropped ones too: their
-- session is gone, or went on without them after a cancel or an error at commit. A run whose
-- guess was wrong finds its receipt closed at its next step, and ends there. An emergency stop
-- may have ended a run between two of its steps, where it could not say so itself.

create function maintenance_internal.close_dead_runs(p_job_id integer default null)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_run_id bigint;
  v_reason text;
  v_job maintenance_internal.job;
begin
  for v_run_id in
    select r.run_id
    from maintenance_internal.run as r
    where r.status = 'running' and r.cron_run_id is null
      and (p_job_id is null or r.job_id = p_job_id)
      -- Of this session's own runs those are alive in which it is just now (run_step).
      and case when r.backend_pid = pg_backend_pid()
        then (r.run_id::text = any(
          string_to_array(current_setting('maintenance.run_id', true), ' '))) is not true
        else not maintenance_internal.is_alive(r.job_id, r.backend_pid, r.touched_at) end
    for no key update skip locked
  loop
    select case
        when r.stop_reason in ('emergency_stop', 'timeout') then r.stop_reason
        when r.started_at <= (select c.stopped_at from maintenance_internal.control as c)
          then 'emergency_stop' end into v_reason
    from maintenance_internal.run as r
    where r.run_id = v_run_id;
    select j.* into v_job from maintenance_internal.run as r
    join maintenance_internal.job as j on j.job_id = r.job_id
    where r.run_id = v_run_id;
    update maintenance_internal.run as r
    set status = case v_reason when 'timeout' then 'timeout'
        when 'emergency_stop' then 'cancelled' else 'interrupted' end,
      finished_at = maintenance_internal.moment(),
      stop_reason = case
        when v_reason is not null then v_reason
        when exists (select from pg_stat_activity as a where a.pid = r.backend_pid)
          then 'left_open' else 'backend_gone' end,
      error = case when v_reason is not null
        then maintenance_internal.stop_text(v_reason, v_job) else r.error end,
      sqlstate = case when v_reason is not null then '57014' else r.sqlstate end,
      progress = null
    where r.run_id = v_run_id;
    delete from maintenance_internal.piece as p where p.run_id = v_run_id;
    perform maintenance_internal.settle_run(v_run_id);
  end loop;
end
$$;
-- end of sql/engine/run/close_dead_runs.sql

-- from sql/engine/run/table_bytes.sql 32ebad0f79dcb0e0
-- What tables take on disk, with their indexes and TOAST, in bytes.

create function maintenance_internal.table_bytes(p_tables oid[])
returns bigint
language sql
stable
set search_path = pg_catalog, pg_temp
return (select sum(pg_total_relation_size(t)) from unnest(p_tables) as t);

-- The same for a receipt; nothing where one of them is locked just now.
create function maintenance_internal.size_of(p_tables oid[], p_key text)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set lock_timeout = '100ms'
as $$
begin
  return jsonb_build_object(p_key, maintenance_internal.table_bytes(p_tables));
exception when lock_not_available then
  return '{}';
end
$$;
-- end of sql/engine/run/table_bytes.sql

-- from sql/engine/run/row_keys.sql bb7161779fa98ba9
-- What rows are known by: their primary keys, or their addresses where there is none, or where the
-- table cannot be read just now.

create function maintenance_internal.row_keys(p_table regclass, p_tids tid[])
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_pairs text;
  v_keys jsonb;
begin
  select string_agg(format('%L, t.%I', a.attname, a.attname), ', ') into v_pairs
  from pg_index as i
  join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
  where i.indrelid = p_table and i.indisprimary;
  begin
    execute format(
      'select jsonb_agg(jsonb_build_object(''table'', $2, %s) order by t.ctid) from only %s as t '
      'where t.ctid = any($1)', coalesce(v_pairs, '''ctid'', t.ctid::text'), p_table)
    into v_keys using p_tids, p_table::text;
  exception when lock_not_available then
    select jsonb_agg(jsonb_build_object('table', p_table::text, 'ctid', t::text)) into v_keys
    from unnest(p_tids) as t;
  end;
  return coalesce(v_keys, '[]');
end
$$;
-- end of sql/engine/run/row_keys.sql

-- from sql/engine/run/start_run.sql 66e4cfed62aa58ec
-- Opens a run: closes the receipts of the dead, and writes one. What is in the way now and not
-- for ever has pg_cron's run wait; else the receipt says skipped. Where the run cannot begin, it
-- says why.

create function maintenance_internal.start_run(p_job_name text, p_commits boolean)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
declare
  v_job maintenance_internal.job := maintenance_internal.find_job(p_job_name);
  v_run maintenance_internal.run;
  v_now timestamptz := maintenance_internal.moment();
begin
  if v_job.kind = 'statement' and v_job.enabled and not maintenance_internal.is_paused() then
    raise exception 'the job "%" is one statement that cannot run inside a transaction', p_job_name
      using errcode = 'PM011',
        hint = format('pg_cron runs it as it stands; so can psql: %s', v_job.statement);
  end if;
  perform maintenance_internal.close_dead_runs(v_job.job_id);

  v_run.trigger := 'manual';
  v_run.attempt := 1;
  if maintenance_internal.fired_by_cron() then
    v_run.trigger := 'schedule';
    v_run.slot := maintenance_internal.slot_near(v_job, v_now, false);
  end if;
  v_run.stop_reason := maintenance_internal.start_bar(v_job, v_run.slot);
  if v_run.stop_reason is null and v_run.trigger = 'schedule' then
    if not maintenance_internal.in_window(v_job, v_now) then
      return maintenance_internal.put_off(v_job, 'schedule', 1, v_run.slot,
        maintenance_internal.window_opens(v_job, v_now), 'window');
    elsif maintenance_internal.waits_for(v_job, coalesce(v_run.slot, v_now)) is not null then
      return maintenance_internal.put_off(v_job, 'schedule', 1, v_run.slot,
        coalesce(v_run.slot, v_now), 'dependency');
    end if;
    perform maintenance_internal.supersede(v_job);
  end if;
  if v_run.stop_reason is null then
    v_run.run_id := maintenance_internal.begin_run(v_job, v_run, p_commits);
    if v_run.run_id is not null then
      return v_run.run_id;
    end if;
    v_run.stop_reason := 'already_running'; -- somebody was faster
  end if;
  insert into maintenance_internal.run as r
    (job_id, job_name, trigger, slot, status, started_at, finished_at, stop_reason)
  values (v_job.job_id, v_job.job_name, v_run.trigger, v_run.slot, 'skipped', v_now, v_now,
    v_run.stop_reason)
  returning r.run_id into v_run.run_id;
  return v_run.run_id;
end
$$;

-- What keeps a job from starting at all just now; null where nothing does.
create function maintenance_internal.start_bar(
  p_job maintenance_internal.job,
  p_slot timestamptz default null)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return case
  when not (p_job).enabled then 'disabled'
  when maintenance_internal.is_paused() then 'paused'
  when exists (
      select from maintenance_internal.run as r
      where r.job_id = (p_job).job_id and r.status = 'running' and r.cron_run_id is null)
    or exists (
      -- At work in a transaction that nobody else can see into: run_now in somebody's own.
      select from pg_locks as l
      join pg_stat_activity as a on a.pid = l.pid
      where l.locktype = 'advisory' and l.pid <> pg_backend_pid() and l.objsubid = 2
        -- Of somebody who may run jobs: anybody can take an advisory lock.
        and (pg_has_role(a.usesysid, maintenance_internal.owner(), 'member')
          or pg_has_role(a.usesysid, to_regrole('maintenance_operator'), 'member'))
        and l.classid = maintenance_internal.lock_class()::oid and l.objid = (p_job).job_id::oid
        and l.database = (
          select d.oid from pg_database as d where d.datname = current_database()))
    then 'already_running'
  -- One slot, one run: pg_cron fires it after the catch-up, or from its queue.
  when exists (
      select from maintenance_internal.run as r
      where r.job_id = (p_job).job_id and r.slot = p_slot and r.traced_at >= p_slot
        and r.status not in ('waiting', 'skipped'))
    then 'slot_done'
end;

-- Writes the receipt of a run that begins, a new one or the one that waited. The unique index on
-- running receipts is the lock: of two who begin one does, and null tells the other.
create function maintenance_internal.begin_run(
  p_job maintenance_internal.job,
  p_run maintenance_internal.run,
  p_commits boolean)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_policy maintenance_internal.policy;
  v_leaves oid[];
  v_at maintenance_internal.progress;
  v_message text;
  v_context text;
begin
  p_run.details := coalesce(p_run.details, '{}') - 'waitsFor'
    || case when p_run.run_id is null then '{}'
      else jsonb_build_object('waited', p_run.stop_reason) end;
  p_run.status := 'running';
  p_run.stop_reason := null;
  p_run.started_at := maintenance_internal.moment();
  v_at.commits := p_commits;
  v_at.path := maintenance_internal.owner_path();
  v_at.check_deferred := maintenance_internal.check_deferred_statement();
  v_at.size := least(50, p_job.batch_size);
  v_at.at := 0;
  v_at.pieces := 0;
  v_at.expected := 0;
  v_at.round_from := 0;
  v_at.timeouts := 0;
  v_at.conflicts := 0;
  v_at.said_at := clock_timestamp();
  if p_job.kind = 'policy' then
    begin
      select * into v_policy from maintenance_internal.policy as p where p.job_id = p_job.job_id;
      v_at.rule := hashtextextended(v_policy::text, 0);
      v_at.target := maintenance_internal.find_target(v_policy.target, v_policy.trusted_owner);
      p_run.cutoff := maintenance_internal.clock() - v_policy.keep;
      v_leaves := maintenance_internal.leaf_tables(v_at.target);
      p_run.details := p_run.details || maintenance_internal.size_of(v_leaves, 'bytes_before');
      perform maintenance_internal.check_keys(v_leaves);
      select r.cut_leaf, r.cut into v_at.behind_leaf, v_at.behind
      from maintenance_internal.run as r
      where r.job_id = p_job.job_id and r.status not in ('waiting', 'skipped')
      order by coalesce(r.started_at, r.finished_at) desc
      limit 1;
    exception when others then
      get stacked diagnostics p_run.sqlstate = returned_sqlstate, v_message = message_text,
        v_context = pg_exception_context;
      p_run.status := 'failed';
      p_run.stop_reason := case p_run.sqlstate when '55P03' then 'lock_timeout' else 'error' end;
      p_run.error := maintenance_internal.error_text(p_run.sqlstate, v_message, v_context);
      p_run.error_detail := jsonb_build_object('message', v_message, 'context', v_context);
      p_run.finished_at := maintenance_internal.moment();
      v_at := null;
    end;
  end if;

  begin
    if p_run.run_id is null then
      insert into maintenance_internal.run as r
        (job_id, job_name, trigger, slot, status, started_at, finished_at, cutoff, stop_reason,
          error, sqlstate, error_detail, details, progress)
      values
        (p_job.job_id, p_job.job_name, p_run.trigger, p_run.slot, p_run.status, p_run.started_at,
          p_run.finished_at, p_run.cutoff, p_run.stop_reason, p_run.error, p_run.sqlstate,
          p_run.error_detail, p_run.details, v_at)
      returning r.run_id into p_run.run_id;
    else
      update maintenance_internal.run as r
      set status = p_run.status, started_at = p_run.started_at, finished_at = p_run.finished_at,
        touched_at = clock_timestamp(), backend_pid = pg_backend_pid(), cutoff = p_run.cutoff,
        stop_reason = p_run.stop_reason, error = p_run.error, sqlstate = p_run.sqlstate,
        error_detail = p_run.error_detail, details = p_run.details, progress = v_at
      where r.run_id = p_run.run_id and r.status = 'waiting';
    end if;
  exception when unique_violation or lock_not_available or serialization_failure then
    return null;
  end;
  if p_run.status = 'failed' then
    perform maintenance_internal.settle_run(p_run.run_id);
  end if;
  return p_run.run_id;
end
$$;
-- end of sql/engine/run/start_run.sql

-- from sql/engine/run/fault.sql 38623849d64dd8ea
-- What went wrong in a step, and whose fault it is.

create type maintenance_internal.fault as (
  sqlstate text,
  message text,
  detail text,
  context text,
  on_constraint text,
  on_table text
);

comment on type maintenance_internal.fault is 'an error as get stacked diagnostics tells it';

-- What follows from a fault: again (a deadlock, a table that is locked: a few times), row (a row
-- may be at fault, so the others go without it), or the reason why the run stops: a resource, the
-- server, a statement of ours that Postgres refuses, or whatever there is no row for.
create function maintenance_internal.judge_fault(
  p_fault maintenance_internal.fault,
  p_at maintenance_internal.progress,
  p_has_rows boolean)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return case
  when p_has_rows and (p_fault.sqlstate = 'PM005'
    or (p_fault.sqlstate = '57014' or p_fault.sqlstate !~ '^(08|25|40|53|57|58)')
      and p_fault.context ~ '^PL/\S+ function [^\n]* at RAISE(\n|$)'
      and p_fault.context !~ '^PL/\S+ function maintenance(_internal)?\.') then 'row'
  when p_fault.sqlstate = '57014' then 'cancelled'
  when p_fault.sqlstate = 'PM022' then 'rule_changed'
  when p_fault.sqlstate ~ '^40' and p_at.commits and p_at.conflicts <= 5 then 'again'
  when p_fault.sqlstate = '55P03' and p_has_rows and p_at.timeouts < 1000 then 'row'
  when p_fault.sqlstate = '55P03' and p_at.timeouts < 20 then 'again'
  when p_fault.sqlstate = '55P03' then 'lock_timeout'
  when not p_has_rows or p_fault.sqlstate ~ '^(PM|08|25|40|53|57|58)' then 'error'
  when p_fault.sqlstate ~ '^(3F|42)' and p_fault.context
    ~ '^(PL/pgSQL function maintenance_internal\.|SQL statement "(delete from only|with changed))'
    then 'error'
  else 'row'
end;

-- Counts the faults in a row that are tried again.
create function maintenance_internal.count_fault(
  p_fault maintenance_internal.fault,
  inout p_at maintenance_internal.progress)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  p_at.timeouts := p_at.timeouts + (p_fault.sqlstate = '55P03')::integer;
  p_at.conflicts := p_at.conflicts + (p_fault.sqlstate like '40%')::integer;
  p_at.locked := p_at.locked is true or p_fault.sqlstate = '55P03';
end
$$;

-- Notes a fault on the receipt: the first one, or the one that stops the run.
create function maintenance_internal.note_fault(
  p_fault maintenance_internal.fault,
  p_verdict text,
  inout p_run maintenance_internal.run)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  p_run.stop_reason := nullif(p_verdict, 'row');
  if p_run.error is null or p_verdict <> 'row' then
    p_run.sqlstate := p_fault.sqlstate;
    p_run.error := maintenance_internal.error_text(p_fault.sqlstate, p_fault.message,
      p_fault.context, p_fault.on_constraint, p_fault.on_table);
    p_run.error_detail := jsonb_build_object('message', p_fault.message,
      'detail', p_fault.detail, 'context', p_fault.context);
  end if;
end
$$;
-- end of sql/engine/run/fault.sql

-- from sql/engine/run/rows_per_page.sql 7d422d37d770ab08
-- How many rows a page of a table holds, by the statistics; a hundred where there are none.

create function maintenance_internal.rows_per_page(p_leaf regclass)
returns double precision
language sql
stable
set search_path = pg_catalog, pg_temp
return (
  select case when c.reltuples > 0 and c.relpages > 0 then greatest(c.reltuples / c.relpages, 1)
    else 100 end
  from pg_class as c where c.oid = p_leaf);
-- end of sql/engine/run/rows_per_page.sql

-- from sql/engine/run/choose_way.sql 7f5ff91ce1e55fe6
-- How a run goes through a leaf. The planner is asked, about ctid, so that it counts heap pages,
-- too:
--   ranges  of the age, where it would follow an index of the age for many rows, which then lie
--           together: each batch takes the next rows of the index
--   sweep   window by window of its pages, where finding the due rows one by one costs as much as
--           reading all pages, or where a fifth of the rows are due
--   lists   of due rows in heap order: else
-- A window cannot stop at an exact row, so small leaves, small batches and runs with a limit on
-- their rows are not swept.

create function maintenance_internal.choose_way(
  p_policy maintenance_internal.policy,
  p_job maintenance_internal.job,
  p_leaf regclass,
  p_cutoff timestamptz,
  p_path text,
  out way text,
  out due bigint,
  out pages bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_least_pages constant integer := 64;
  v_rows_per_page double precision := maintenance_internal.rows_per_page(p_leaf);
  v_plan jsonb;
begin
  perform set_config('search_path', p_path, true);
  execute format('explain (format json) select %2$s.ctid from only %1$s as %2$s where %3$s', p_leaf,
    maintenance_internal.target_alias(p_policy.target::regclass),
    maintenance_internal.due_condition(p_policy))
  into v_plan using p_cutoff;
  v_plan := v_plan #> '{0,Plan}';
  due := v_plan ->> 'Plan Rows';
  pages := pg_relation_size(p_leaf) / current_setting('block_size')::integer;
  way := case
    when due >= 2 * p_job.batch_size and v_plan ->> 'Node Type' = 'Index Scan'
      and strpos(v_plan ->> 'Index Cond', format('(%s <= ', p_policy.age)) > 0 then 'ranges'
    when pages >= v_least_pages and p_job.max_rows is null
      and p_job.batch_size >= 4 * v_rows_per_page
      and (due >= 0.2 * v_rows_per_page * pages or (v_plan ->> 'Total Cost')::double precision
        >= pages * current_setting('seq_page_cost')::double precision) then 'sweep'
    else 'lists'
  end;
end
$$;
-- end of sql/engine/run/choose_way.sql

-- from sql/engine/run/has_silencing_trigger.sql 99447c52673e62b9
-- Whether a row that is due could stay without an error: a row trigger before the change, or a rule
-- in its place. Where none is there, a statement that went through has changed what it should.

create function maintenance_internal.has_silencing_trigger(
  p_policy maintenance_internal.policy,
  p_leaves oid[])
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
return exists (
  select from pg_trigger as t
  where t.tgrelid = any (p_leaves)
    and not t.tgisinternal
    and t.tgenabled <> 'D'
    and t.tgtype & 3 = 3 -- a row trigger, before
    and t.tgtype & case p_policy.action when 'delete' then 8 else 16 end <> 0
) or exists (
  select from pg_rewrite as r where r.ev_class = any (p_leaves)
);
-- end of sql/engine/run/has_silencing_trigger.sql

-- from sql/engine/run/next_piece.sql 0fe52af62bd4a707
-- What a run offers now: the next window or range of the leaf at work, the next rows of the first
-- list, or what comes next of what failed. No leaf where nothing is listed.

create function maintenance_internal.next_piece(
  p_run maintenance_internal.run,
  p_policy maintenance_internal.policy,
  p_rows integer)
returns maintenance_internal.piece
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_at maintenance_internal.progress := p_run.progress;
  v_piece maintenance_internal.piece;
begin
  if v_at.page < v_at.end_page or v_at.from_age is not null then
    v_piece.run_id := p_run.run_id;
    v_piece.pass := 1;
    v_piece.leaf := v_at.leaf;
    v_piece.page := v_at.page;
    v_piece.end_page := least(v_at.page + v_at.pages, v_at.end_page);
    v_piece.from_age := v_at.from_age;
  end if;
  if v_piece.from_age is not null then
    -- Up to the age of the row that is one too many; null where that is of the same age.
    perform set_config('search_path', v_at.path, true);
    execute format(
      'select (%1$s)::timestamptz from only %2$s as %3$s where %4$s and %5$s '
      'order by %1$s offset $2 limit 1', p_policy.age, v_at.leaf::regclass,
      maintenance_internal.target_alias(p_policy.target::regclass),
      maintenance_internal.due_condition(p_policy),
      maintenance_internal.piece_rows(p_policy, 'range'))
    into v_piece.to_age
    using p_run.cutoff, p_rows, null::tid, null::tid, v_piece.from_age, timestamptz 'infinity';
    v_piece.to_age := coalesce(v_piece.to_age, 'infinity');
    if v_piece.to_age = v_piece.from_age then
      return null;
    end if;
  elsif v_piece.leaf is null then
    select * into v_piece from maintenance_internal.piece as p
    where p.run_id = p_run.run_id and (p.pass = 1 or p.pass < 4 and v_at.collected)
    order by p.pass, p.place
    limit 1;
    if v_piece.pass = 1 then
      v_piece.tids := v_piece.tids[v_at.at + 1 : v_at.at + p_rows];
    end if;
  end if;
  return v_piece;
end
$$;

-- How a piece names its rows: see piece_rows.
create function maintenance_internal.piece_form(p_piece maintenance_internal.piece)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return case when p_piece.tids is not null then 'list' when p_piece.page is not null then 'window'
  else 'range' end;

-- Whether a table is still one of those that hold the target's rows. True of no table at all.
create function maintenance_internal.is_leaf(p_leaf oid, p_target oid)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  with recursive ancestor as (
    select c.oid from pg_class as c where c.oid = p_leaf
    union
    select i.inhparent from pg_inherits as i join ancestor as a on i.inhrelid = a.oid
  )
  select p_leaf is null or exists (select from ancestor as a where a.oid = p_target);
end;
-- end of sql/engine/run/next_piece.sql

-- from sql/engine/run/find_pieces.sql 8196a8f62b5d775a
-- What a run offers next, where nothing is listed: step by step the next leaf, the way through it,
-- and where that is lists, the next list of its due rows.

create function maintenance_internal.find_pieces(
  p_run maintenance_internal.run,
  p_job maintenance_internal.job,
  p_policy maintenance_internal.policy,
  inout p_at maintenance_internal.progress)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_list_limit constant bigint := least(500000, 10 * p_job.max_rows);
  v_leaf record;
  v_piece maintenance_internal.piece;
  v_list tid[];
begin
  if p_at.way is null or p_at.way = 'sweep' or p_at.way = 'ranges' and p_at.from_age is null then
    -- Rows that were moved meanwhile may have been stepped over: the table was written anew, or a
    -- delete sets the keys of other rows to null.
    p_at.missed := p_at.missed is true or pg_relation_filenode(p_at.leaf) <> p_at.filenode
      or exists (
        select from pg_constraint as k
        where k.conrelid = k.confrelid and k.confrelid in (p_at.leaf, p_at.target)
          and k.confdeltype in ('n', 'd'));
    select min(l) into p_at.leaf -- the next one by its oid
    from unnest(maintenance_internal.leaf_tables(p_at.target)) as l
    where l > coalesce(p_at.leaf, 0);
    p_at.filenode := pg_relation_filenode(p_at.leaf);
    p_at.collected := p_at.leaf is null;
    p_at.way := case when p_at.leaf is not null then 'new' end;
    return;
  elsif p_at.way = 'ranges' then
    p_at.way := 'lists'; -- too many rows are of one age
    p_at.from_age := null;
  elsif p_at.way = 'new' then
    perform maintenance_internal.check_keys(array[p_at.leaf]);
    select * into v_leaf
    from maintenance_internal.choose_way(
      p_policy, p_job, p_at.leaf, p_run.cutoff, p_at.path);
    p_at.way := v_leaf.way;
    p_at.listed_to := null;
    if v_leaf.way = 'ranges' then
      p_at.from_age := '-infinity';
    elsif v_leaf.way = 'sweep' then
      p_at.page := 0;
      p_at.end_page := v_leaf.pages;
      -- A fiftieth of a batch even if every row in it is due, whatever the estimate says; later
      -- windows grow with what the earlier ones held, and how long they took.
      p_at.pages := greatest(1,
        p_job.batch_size / maintenance_internal.rows_per_page(p_at.leaf) / 50);
    end if;
    if v_leaf.way <> 'lists' then
      p_at.expected := p_at.expected + v_leaf.due;
      return;
    end if;
  end if;

  v_piece.leaf := p_at.leaf;
  v_list := maintenance_internal.list_rows(p_policy, p_run, v_piece,
    case when p_at.listed_to is null then 'all' else 'behind' end, v_list_limit, p_at.listed_to);
  p_at.listed_to := case when cardinality(v_list) = v_list_limit then v_list[v_list_limit] end;
  p_at.way := case when p_at.listed_to is not null then 'lists' end;
  p_at.expected := p_at.expected + cardinality(v_list);
  if p_at.leaf = p_at.behind_leaf then
    -- Beginning behind the place where the run before was cut.
    v_list := array(select t from unnest(v_list) as t where t > p_at.behind)
      || array(select t from unnest(v_list) as t where t <= p_at.behind);
  end if;
  p_at := maintenance_internal.add_lists(p_run.run_id, 1, p_at.leaf, v_list, p_job.batch_size,
    p_at);
end
$$;

-- The addresses of a leaf's due rows, in heap order: all, those behind one, or those of a piece.
create function maintenance_internal.list_rows(
  p_policy maintenance_internal.policy,
  p_run maintenance_internal.run,
  p_piece maintenance_internal.piece,
  p_form text,
  p_limit bigint default null,
  p_from tid default null)
returns tid[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_statement text := maintenance_internal.list_statement(p_policy, p_piece.leaf, p_form);
  v_list tid[];
begin
  perform set_config('search_path', (p_run.progress).path, true);
  execute v_statement into v_list
  using p_run.cutoff, p_limit, coalesce(p_from, format('(%s,0)', p_piece.page)::tid),
    format('(%s,0)', p_piece.end_page)::tid, p_piece.from_age, p_piece.to_age;
  return v_list;
end
$$;

-- Leaves a table alone from now on: a partition that was dropped or detached, or that the run may
-- not work on.
create function maintenance_internal.leave_leaf(
  p_run_id bigint,
  p_leaf oid,
  inout p_at maintenance_internal.progress)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from maintenance_internal.piece as p where p.run_id = p_run_id and p.leaf = p_leaf;
  p_at.at := 0;
  p_at.timeouts := 0;
  if p_at.leaf = p_leaf then
    p_at.way := null;
    p_at.page := null;
    p_at.from_age := null;
  end if;
end
$$;

-- Adds rows to what a run is still to offer, in lists of a size. Those of the first pass come in
-- their order; of what failed, the last list that was added comes first, and so the rows that lie
-- further back: their parents often lie before them; but what lies before the place where the run
-- before was cut comes before the rest (pass 2, then 3), so that each run goes on behind it.
create function maintenance_internal.add_lists(
  p_run_id bigint,
  p_pass integer,
  p_leaf oid,
  p_tids tid[],
  p_size integer,
  inout p_at maintenance_internal.progress,
  p_failed_at bigint default null)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_pass = 2 and p_leaf = p_at.behind_leaf and p_tids[1] < p_at.behind then
    p_at := maintenance_internal.add_lists(p_run_id, 3, p_leaf,
      array(select t from unnest(p_tids) as t where t >= p_at.behind), p_size, p_at, p_failed_at);
    p_tids := array(select t from unnest(p_tids) as t where t < p_at.behind);
  elsif p_pass = 2 and (p_leaf, p_tids[1]) >= (p_at.behind_leaf, p_at.behind) then
    p_pass := 3;
  end if;
  insert into maintenance_internal.piece (run_id, pass, place, leaf, tids, failed_at)
  select p_run_id, p_pass,
    (p_at.pieces + row_number() over (order by i)) * case p_pass when 1 then 1 else -1 end,
    p_leaf, p_tids[i : i + p_size - 1], p_failed_at
  from generate_series(1, cardinality(p_tids), p_size) as i;
  p_at.pieces := p_at.pieces + ceil(cardinality(p_tids)::numeric / p_size);
end
$$;
-- end of sql/engine/run/find_pieces.sql

-- from sql/engine/run/change_piece.sql c366e847c2b43025
-- Changes the due rows of a piece in one statement, under the path of the owner's own sessions
-- (owner_path), for the sake of its triggers, and counts them. Keys and triggers that were
-- deferred are checked here as well, so that what they refuse is this piece's own fault.

create function maintenance_internal.change_piece(
  p_policy maintenance_internal.policy,
  p_cutoff timestamptz,
  p_piece maintenance_internal.piece,
  p_at maintenance_internal.progress)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_statement text := maintenance_internal.piece_statement(
    p_policy, p_piece.leaf, maintenance_internal.piece_form(p_piece), p_at.locked is true);
  v_from tid := format('(%s,0)', p_piece.page)::tid;
  v_to tid := format('(%s,0)', p_piece.end_page)::tid;
  v_changed bigint;
  v_again bigint;
begin
  perform set_config('search_path', p_at.path, true);
  if p_policy.action = 'delete' then
    execute v_statement
    using p_cutoff, p_piece.tids, v_from, v_to, p_piece.from_age, p_piece.to_age;
    get diagnostics v_changed = row_count;
  else
    execute v_statement into v_changed, v_again
    using p_cutoff, p_piece.tids, v_from, v_to, p_piece.from_age, p_piece.to_age;
    if v_again > 0 then
      raise exception '% of % rows would be due again after the update', v_again, v_changed
        using errcode = 'PM005', hint = 'Let matching exclude what assign sets.';
    end if;
  end if;
  if p_at.check_deferred is not null then
    execute p_at.check_deferred;
  end if;
  return v_changed;
end
$$;
-- end of sql/engine/run/change_piece.sql

-- from sql/engine/run/call_step.sql 6ded8223284bfdf2
-- Calls a function of the owner's under the path of the owner's own sessions: the step of a job,
-- for a batch of rows, and what tells how many are due.

create function maintenance_internal.call_step(
  p_step text,
  p_rows integer,
  p_at maintenance_internal.progress)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_function regproc := maintenance_internal.find_function(p_step, 'integer', 'bigint');
  v_rows bigint;
begin
  perform set_config('search_path', p_at.path, true);
  execute format('select %s($1)', v_function) into v_rows using p_rows;
  if p_at.check_deferred is not null then
    execute p_at.check_deferred;
  end if;
  return coalesce(v_rows, 0);
end
$$;

create function maintenance_internal.call_backlog(
  p_function text,
  p_cap integer,
  p_path text,
  out due bigint,
  out oldest timestamptz)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_function regproc := maintenance_internal.find_function(p_function, 'integer',
    'TABLE(due bigint, oldest timestamp with time zone)');
begin
  perform maintenance_internal.check_session();
  perform set_config('search_path', p_path, true);
  execute format('select c.due, c.oldest from %s($1) as c', v_function)
  into due, oldest using p_cap;
end
$$;
-- end of sql/engine/run/call_step.sql

-- from sql/engine/run/work_singly.sql d926f0decada949a
-- Works a short list row by row. A row that fails alone is set aside (pass 4); one that waits for
-- somebody's lock is left for the next run; what was not reached in time is offered again.

create function maintenance_internal.work_singly(
  p_job maintenance_internal.job,
  p_policy maintenance_internal.policy,
  p_piece maintenance_internal.piece,
  inout p_run maintenance_internal.run,
  inout p_at maintenance_internal.progress,
  out changed bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_most_rows constant integer := 100;
  v_until constant timestamptz := clock_timestamp() + interval '200 milliseconds';
  v_rest tid[] := p_piece.tids;
  v_bad tid[] := '{}';
  v_fault maintenance_internal.fault;
  v_verdict text;
begin
  changed := 0;
  if p_at.locked then
    perform set_config('lock_timeout', '10ms', true); -- it has been waited for already
  end if;
  while v_rest <> '{}' and clock_timestamp() < v_until
    and (p_job.max_rows > p_run.rows_affected + changed) is not false
  loop
    p_piece.tids := v_rest[1:1];
    begin
      changed := changed + maintenance_internal.change_piece(
        p_policy, p_run.cutoff, p_piece, p_at);
      p_at.timeouts := 0;
    exception when query_canceled or assert_failure or others then
      get stacked diagnostics v_fault.sqlstate = returned_sqlstate,
        v_fault.message = message_text, v_fault.detail = pg_exception_detail,
        v_fault.context = pg_exception_context, v_fault.on_constraint = constraint_name,
        v_fault.on_table = table_name;
      if v_fault.sqlstate = '57014' and not p_at.commits then
        raise;
      end if;
      p_at := maintenance_internal.count_fault(v_fault, p_at);
      v_verdict := maintenance_internal.judge_fault(v_fault, p_at, true);
      exit when v_verdict = 'again';
      if v_verdict <> 'row' or v_fault.sqlstate <> '55P03' then
        p_run := maintenance_internal.note_fault(v_fault, v_verdict, p_run);
        exit when v_verdict <> 'row';
        v_bad := v_bad || v_rest[1];
      end if;
    end;
    v_rest := v_rest[2:];
  end loop;

  p_at := maintenance_internal.add_lists(p_piece.run_id, greatest(p_piece.pass, 2), p_piece.leaf,
    v_rest, v_most_rows, p_at);
  p_at := maintenance_internal.add_lists(p_piece.run_id, 4, p_piece.leaf, v_bad, v_most_rows,
    p_at);
  if v_bad <> '{}' then
    p_at.aside_since := coalesce(p_at.aside_since, p_run.rows_affected);
  end if;
end
$$;
-- end of sql/engine/run/work_singly.sql

-- from sql/engine/run/settle_piece.sql 242e9cc89598ca11
-- What becomes of a piece that was offered: it is gone; or, where it failed, put away for later,
-- split, or worked row by row. And how large the next one is, or what a step function is asked for:
-- as many rows as take some thirty milliseconds.

create function maintenance_internal.settle_piece(
  p_job maintenance_internal.job,
  p_policy maintenance_internal.policy,
  p_piece maintenance_internal.piece,
  p_fault maintenance_internal.fault,
  p_milliseconds double precision,
  inout p_run maintenance_internal.run,
  inout p_at maintenance_internal.progress,
  inout p_changed bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_least_rows constant integer := 10;
  v_short_list constant integer := 100;
  v_growth double precision := case when p_fault.sqlstate = '55P03' then 1
    else least(2, 30 / greatest(p_milliseconds, 0.1)) end;
  v_singly record;
begin
  if p_piece.page is not null then
    p_at.page := p_piece.end_page;
    p_at.pages := greatest(1, least(p_at.pages * v_growth,
      p_at.pages * (p_job.batch_size / greatest(p_changed, 1.0)),
      4.0 * p_job.batch_size / maintenance_internal.rows_per_page(p_piece.leaf)));
  else
    p_at.size := greatest(v_least_rows, least(p_at.size * v_growth, p_job.batch_size));
    p_at.from_age := nullif(p_piece.to_age, 'infinity');
    if p_piece.pass = 1 and p_piece.from_age is null then
      p_at.at := p_at.at + cardinality(p_piece.tids);
    elsif p_piece.pass > 1 then
      p_run.cut_leaf := p_piece.leaf;
      p_run.cut := p_piece.tids[1];
    end if;
    delete from maintenance_internal.piece as p
    where p.run_id = p_piece.run_id and p.pass = p_piece.pass and p.place = p_piece.place
      and (p.pass > 1 or p_at.at >= cardinality(p.tids));
    if found and p_piece.pass = 1 then
      p_at.at := 0;
    end if;
  end if;

  if p_fault.sqlstate is null or p_piece.leaf is null then
    -- Rows that were listed and are not there have been moved, or are gone.
    p_at.missed := p_at.missed is true
      or p_at.locked is not true and p_changed < cardinality(p_piece.tids);
  elsif p_piece.pass = 1 and (p_piece.tids is null or cardinality(p_piece.tids) > v_short_list
      or p_milliseconds < 5
        and maintenance_internal.moment() < p_run.started_at + p_job.budget / 2) then
    -- (A short list is worked at once where rows are slow, or time gets short.)
    if p_piece.tids is not null then
      p_at := maintenance_internal.add_lists(p_piece.run_id, 2, p_piece.leaf, p_piece.tids,
        cardinality(p_piece.tids), p_at, p_run.rows_affected);
    else
      p_at.pieces := p_at.pieces + 1;
      insert into maintenance_internal.piece
        (run_id, pass, place, leaf, page, end_page, from_age, to_age)
      values (p_piece.run_id, 2, -p_at.pieces, p_piece.leaf, p_piece.page, p_piece.end_page,
        p_piece.from_age, p_piece.to_age);
    end if;
  elsif cardinality(p_piece.tids) > v_short_list then
    p_at := maintenance_internal.split_piece(p_run, p_job, p_policy, p_piece, p_at);
  else
    select w.* into v_singly
    from maintenance_internal.work_singly(p_job, p_policy, p_piece, p_run, p_at) as w;
    p_run := v_singly.p_run;
    p_at := v_singly.p_at;
    p_changed := v_singly.changed;
    if p_piece.pass = 1 then
      p_run.cut_leaf := p_piece.leaf;
      p_run.cut := p_piece.tids[cardinality(p_piece.tids)];
    end if;
  end if;
end
$$;

-- Puts lists of its rows in the place of a piece that failed: eight parts of a list, all rows of a
-- window or a range.
create function maintenance_internal.split_piece(
  p_run maintenance_internal.run,
  p_job maintenance_internal.job,
  p_policy maintenance_internal.policy,
  p_piece maintenance_internal.piece,
  inout p_at maintenance_internal.progress)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_size bigint := ceil(cardinality(p_piece.tids) / 8.0);
begin
  if p_piece.tids is null then
    v_size := p_job.batch_size;
    p_piece.tids := maintenance_internal.list_rows(p_policy, p_run, p_piece,
      maintenance_internal.piece_form(p_piece));
  end if;
  delete from maintenance_internal.piece as p
  where p.run_id = p_piece.run_id and p.pass = p_piece.pass and p.place = p_piece.place;
  p_at := maintenance_internal.add_lists(p_piece.run_id, p_piece.pass, p_piece.leaf, p_piece.tids,
    least(v_size, p_job.max_rows - p_run.rows_affected)::integer, p_at);
end
$$;
-- end of sql/engine/run/settle_piece.sql

-- from sql/engine/run/end_round.sql fb079e3bc2e6d588
-- The end of a round: everything that was listed has been offered. Where rows may have been stepped
-- over, and this round has changed something, all is listed anew. Rows that failed alone are
-- offered together once more where others have gone since: their children may be gone, or be among
-- them. Else they are refused: counted, with the keys of the first hundred for the owner.
--   more    whether something is left to do

create function maintenance_internal.end_round(
  p_job maintenance_internal.job,
  inout p_run maintenance_internal.run,
  inout p_at maintenance_internal.progress,
  out more boolean)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_most_keys constant integer := 100;
  v_lists_anew boolean := p_at.missed is true and p_run.rows_affected > p_at.round_from;
  v_offers_again boolean := p_run.rows_affected > p_at.aside_since;
  v_keys jsonb := '[]';
  v_leaf record;
begin
  more := v_lists_anew or p_at.aside_since is not null;
  for v_leaf in
    with aside as (
      delete from maintenance_internal.piece as p
      where p.run_id = p_run.run_id
      returning p.leaf, p.tids
    )
    select a.leaf, array_agg(t order by t) as tids
    from aside as a, unnest(a.tids) as t
    where not v_lists_anew and maintenance_internal.is_leaf(a.leaf, p_at.target)
    group by a.leaf
  loop
    if v_offers_again then
      p_at := maintenance_internal.add_lists(p_run.run_id, 3, v_leaf.leaf, v_leaf.tids,
        p_job.batch_size, p_at);
    else
      p_run.rows_refused := p_run.rows_refused + cardinality(v_leaf.tids);
      v_keys := v_keys || maintenance_internal.row_keys(v_leaf.leaf,
        v_leaf.tids[1 : v_most_keys - jsonb_array_length(v_keys)]);
      p_run.error_detail := p_run.error_detail || jsonb_build_object('rows', v_keys);
    end if;
  end loop;
  if v_lists_anew or v_offers_again then
    p_run.error := null;
    p_run.sqlstate := null;
    p_run.error_detail := null;
  end if;
  if v_lists_anew then
    p_at.round_from := p_run.rows_affected;
    p_at.expected := p_run.rows_affected;
    p_at.collected := null;
    p_at.missed := null;
  end if;
  p_at.aside_since := null;
end
$$;
-- end of sql/engine/run/end_round.sql

-- from sql/engine/run/count_left.sql dfbc850f3f480d60
-- What a run that is through leaves on its receipt: the rows that are still due, those that are old
-- enough and kept by matching, and the size of the tables. Counting walks over all that the run has
-- taken out of the index: after more rows than these it is left out, unless something may be left,
-- since rows were refused or locked, or a trigger can silence a change.

create function maintenance_internal.count_left(
  p_run maintenance_internal.run,
  p_policy maintenance_internal.policy)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_most_to_look_over constant bigint := 100000;
  v_leaves oid[] := maintenance_internal.leaf_tables((p_run.progress).target);
  v_left bigint;
  v_kept bigint;
begin
  if p_run.rows_affected <= v_most_to_look_over or p_run.rows_refused > 0
    or (p_run.progress).locked or maintenance_internal.has_silencing_trigger(p_policy, v_leaves)
  then
    select c.due into v_left
    from maintenance_internal.count_due(
      p_policy, p_run.cutoff, 10000, (p_run.progress).path) as c;
    if p_policy.action = 'delete' then
      p_policy.matching := case when p_policy.matching is null then 'false'
        else format('(%s) is not true', p_policy.matching) end;
      select c.due into v_kept
      from maintenance_internal.count_due(
      p_policy, p_run.cutoff, 10000, (p_run.progress).path) as c;
    end if;
  end if;
  return jsonb_strip_nulls(jsonb_build_object('left', v_left, 'kept', v_kept))
    || maintenance_internal.size_of(v_leaves, 'bytes_after');
end
$$;

-- The same of a run that is cut, so that it can be seen whether a backlog grows: counted up to
-- twenty times what the run has done, which costs a part of that; beyond, it is left_at_least so
-- many.
create function maintenance_internal.count_behind(
  p_run maintenance_internal.run,
  p_job maintenance_internal.job)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_cap constant integer := least(greatest(10000, 20 * p_run.rows_affected), 10000000);
  v_left bigint;
begin
  if p_job.kind = 'policy' then
    select c.due into v_left
    from maintenance_internal.count_due(maintenance_internal.find_policy(p_job.job_name),
      p_run.cutoff, v_cap, (p_run.progress).path) as c;
  elsif p_job.backlog_function is not null then
    select c.due into v_left
    from maintenance_internal.call_backlog(p_job.backlog_function, v_cap,
      maintenance_internal.owner_path()) as c;
  end if;
  return jsonb_strip_nulls(jsonb_build_object(
    case when v_left < v_cap then 'left' else 'left_at_least' end, v_left));
exception when others or assert_failure then
  return '{}'; -- whatever is wrong with the count is told by the status; the run has done its work
end
$$;
-- end of sql/engine/run/count_left.sql

-- from sql/engine/run/decide_stop.sql f7baa2ab78724de7
-- Why a run stops, if it does after this step: somebody or something ends it (stop_sign); a limit
-- of its job, though never before it has done something; or, at its end, what it could not do. A
-- run that is through has been cut nowhere; one that is cut leaves what it set aside to the next.

create function maintenance_internal.decide_stop(
  p_job maintenance_internal.job,
  p_policy maintenance_internal.policy,
  p_at maintenance_internal.progress,
  p_offered_again boolean,
  p_more boolean,
  p_details jsonb,
  inout p_run maintenance_internal.run)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_left bigint := p_details ->> 'left';
  v_sign text;
begin
  if p_run.stop_reason is not null then
    return;
  elsif p_more then
    v_sign := maintenance_internal.stop_sign(p_run, p_job, false);
    if v_sign in ('emergency_stop', 'timeout') then
      p_run.stop_reason := v_sign;
      p_run.sqlstate := '57014';
      p_run.error := maintenance_internal.stop_text(v_sign, p_job);
      return;
    end if;
    p_run.stop_reason := case
      when v_sign is not null then v_sign
      when p_run.rows_affected >= p_job.max_rows then 'max_rows'
      when p_run.batches >= p_job.max_batches then 'max_batches'
      when maintenance_internal.moment() >= p_run.started_at + p_job.budget
        and (p_run.batches > 0 or p_offered_again
          or maintenance_internal.moment()
            >= p_run.started_at + 2 * p_job.budget + interval '1 second')
        then 'budget'
    end;
    if p_run.stop_reason is not null and p_run.rows_refused = 0 and p_run.rows_affected > 0 then
      p_run.error := null;
      p_run.sqlstate := null;
      p_run.error_detail := null;
    end if;
    return;
  end if;
  p_run.cut_leaf := null;
  p_run.cut := null;
  p_run.stop_reason := case
    when p_run.rows_refused > 0 then 'refused_rows'
    when p_run.sqlstate = '55P03' then 'lock_timeout'
    when p_run.error is not null then 'error'
    when v_left > 0 and p_at.timeouts > 0 and p_run.rows_affected = 0 then 'lock_timeout'
    when v_left > 0 and p_at.locked then 'rows_locked'
    when v_left > 0 and (p_run.rows_affected = 0 or maintenance_internal.has_silencing_trigger(
      p_policy, maintenance_internal.leaf_tables(p_at.target))) then 'no_effect'
    else 'done'
  end;
  if p_run.stop_reason = 'no_effect' then
    p_run.sqlstate := 'PM012';
    p_run.error := format('%s due rows were offered and stay: a trigger may suppress it', v_left);
  elsif p_run.stop_reason = 'lock_timeout' and p_run.error is null then
    p_run.sqlstate := '55P03';
    p_run.error := format('%s due rows wait for a lock of somebody else', v_left);
  end if;
end
$$;
-- end of sql/engine/run/decide_stop.sql

-- from sql/engine/run/run_step.sql 54345688a40cc51d
-- One step of a run: a piece of a policy's rows, in one statement, or one call of a step
-- function. It catches its own errors and notes them on the receipt, which it locks: a run whose
-- receipt somebody has closed ends there.
--
-- A piece that fails is put away; when everything else has been offered it is offered again, and
-- where it fails again, split, until a row stands alone. That row is set aside, and offered again
-- with its like as long as other rows go: its children may be among them. Only then it is
-- refused. What is no row's fault stops the run instead (judge_fault), or, of a partition, the
-- work on that.
--   more    something is left to do
--   notice  what run_job says while it works, every few seconds

create function maintenance_internal.run_step(p_run_id bigint, out more boolean, out notice text)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '2s'
as $$
declare
  v_began constant timestamptz := maintenance_internal.moment();
  v_running constant text := coalesce(current_setting('maintenance.run_id', true), '');
  v_run maintenance_internal.run;
  v_at maintenance_internal.progress;
  v_job maintenance_internal.job;
  v_policy maintenance_internal.policy;
  v_piece maintenance_internal.piece;
  v_fault maintenance_internal.fault;
  v_verdict text;
  v_leaf oid;
  v_offers boolean := false;
  v_changed bigint := 0;
  v_details jsonb := '{}';
  v_rows integer;
  v_settled record;
begin
  select * into v_run
  from maintenance_internal.run as r
  where r.run_id = p_run_id and r.backend_pid = pg_backend_pid() and r.status = 'running'
  for no key update;
  more := found and v_run.stop_reason is null;
  if not more then
    return;
  end if;
  perform pg_try_advisory_xact_lock(maintenance_internal.lock_class(), v_run.job_id);
  perform set_config('maintenance.run_id', ltrim(v_running || ' ' || p_run_id), true);
  v_at := v_run.progress;
  perform pg_sleep(v_at.conflicts * 0.1); -- so that the other one of a deadlock gets on

  begin
    perform maintenance_internal.check_session();
    select * into v_job from maintenance_internal.job as j where j.job_id = v_run.job_id;
    if not found then
      raise exception 'the job was dropped' using errcode = 'PM001';
    end if;
    v_rows := least(v_at.size, v_job.batch_size, v_job.max_rows - v_run.rows_affected);

    if v_job.kind = 'function' then
      v_offers := true;
      v_changed := maintenance_internal.call_step(v_job.step, v_rows, v_at);
      more := v_changed <> 0;
      v_changed := greatest(v_changed, 0);

    else
      -- A piece can go without its locked rows, so it waits less than a step function may.
      perform set_config('lock_timeout',
        case when v_at.locked then '20ms' else '200ms' end, true);
      select * into v_policy from maintenance_internal.policy as p where p.job_id = v_job.job_id;
      if hashtextextended(v_policy::text, 0) is distinct from v_at.rule
        or to_regclass(v_policy.target) is distinct from v_at.target then
        raise exception 'the rule or its table was changed while the run went on'
          using errcode = 'PM022';
      end if;
      v_piece := maintenance_internal.next_piece(v_run, v_policy, v_rows);

      if not maintenance_internal.is_leaf(v_piece.leaf, v_at.target) then
        v_at := maintenance_internal.leave_leaf(p_run_id, v_piece.leaf, v_at);
      elsif v_piece.leaf is null and v_at.collected is not true then
        v_at := maintenance_internal.find_pieces(v_run, v_job, v_policy, v_at);
      elsif v_piece.leaf is null then
        select e.* into v_settled from maintenance_internal.end_round(v_job, v_run, v_at) as e;
        v_run := v_settled.p_run;
        v_at := v_settled.p_at;
        more := v_settled.more;
        if not more then
          v_details := maintenance_internal.count_left(v_run, v_policy);
        end if;
      elsif v_piece.pass > 1 and (v_piece.tids is null
        or cardinality(v_piece.tids) > least(v_job.max_rows - v_run.rows_affected,
          case when v_piece.failed_at = v_run.rows_affected then 100 end)) then
        -- Of what failed: no list yet, more rows than may go, or a list that fails again for
        -- sure, since nothing has gone meanwhile.
        v_at := maintenance_internal.split_piece(v_run, v_job, v_policy, v_piece, v_at);
      else
        v_offers := true;
        v_changed := maintenance_internal.change_piece(
          v_policy, v_run.cutoff, v_piece, v_at);
      end if;
    end if;
  exception when query_canceled or assert_failure or others then
    get stacked diagnostics v_fault.sqlstate = returned_sqlstate,
      v_fault.message = message_text, v_fault.detail = pg_exception_detail,
      v_fault.context = pg_exception_context, v_fault.on_constraint = constraint_name,
      v_fault.on_table = table_name;
    if v_fault.sqlstate = '57014' and not v_at.commits then
      raise;
    end if;
    v_changed := 0;
    more := true;
  end;

  if v_fault.sqlstate is not null then
    v_at := maintenance_internal.count_fault(v_fault, v_at);
    v_leaf := coalesce(v_piece.leaf, v_at.leaf);
    v_verdict := maintenance_internal.judge_fault(v_fault, v_at,
      v_offers and v_piece.leaf is not null and not exists (
        select from pg_locks as l
        where v_fault.sqlstate = '55P03' and l.relation = v_leaf and l.granted
          and l.pid <> pg_backend_pid() and l.mode ~ '^(AccessExclusive|Exclusive|Share)'
          and l.mode <> 'ShareUpdateExclusiveLock'));
    if not maintenance_internal.is_leaf(v_leaf, v_at.target) then
      v_verdict := 'again'; -- a partition that went in the middle of it; the next step leaves it
    elsif v_verdict in ('error', 'lock_timeout') and v_fault.sqlstate in ('42501', '55P03')
      and v_leaf <> v_at.target then
      -- A partition that cannot be worked on keeps no other.
      v_run := maintenance_internal.note_fault(v_fault, 'row', v_run);
      v_at := maintenance_internal.leave_leaf(p_run_id, v_leaf, v_at);
      v_verdict := 'again';
    end if;
    v_offers := v_verdict = 'row';
    if v_verdict = 'again' and v_fault.sqlstate = '55P03' then
      v_at.locked := (v_run.progress).locked; -- the table, and no row of it
      perform pg_sleep(0.2);
    end if;
    if v_verdict = 'cancelled' then
      -- Its time-out may have been set meanwhile, to end it.
      select * into v_job from maintenance_internal.job as j where j.job_id = v_run.job_id;
      v_verdict := maintenance_internal.stop_sign(v_run, v_job, true);
    end if;
    if v_verdict not in ('again', 'row') then
      v_run := maintenance_internal.note_fault(v_fault, v_verdict, v_run);
      v_run.error := coalesce(maintenance_internal.stop_text(v_verdict, v_job), v_run.error);
    end if;
  elsif v_offers then
    v_at.timeouts := 0;
    v_at.conflicts := 0;
  end if;
  if v_offers then
    select s.* into v_settled
    from maintenance_internal.settle_piece(v_job, v_policy, v_piece, v_fault,
      1000 * extract(epoch from maintenance_internal.moment() - v_began), v_run, v_at, v_changed)
      as s;
    v_run := v_settled.p_run;
    v_at := v_settled.p_at;
    v_changed := v_settled.p_changed;
  end if;
  v_run.rows_affected := v_run.rows_affected + v_changed;
  v_run.batches := v_run.batches
    + (v_offers and (v_fault.sqlstate is null or v_changed > 0))::integer;

  v_run := maintenance_internal.decide_stop(v_job, v_policy, v_at,
    v_offers and v_piece.pass > 1, more, v_details, v_run);
  if more and maintenance_internal.is_cut(v_run.stop_reason) then
    v_details := v_details || maintenance_internal.count_behind(v_run, v_job);
  end if;
  more := more and v_run.stop_reason is null;
  if v_at.said_at < clock_timestamp() - interval '5 seconds' then
    -- What was expected is the planner's word.
    notice := format('%s: %s rows so far, %s a second%s', v_run.job_name, v_run.rows_affected,
      round(v_run.rows_affected
        / nullif(extract(epoch from maintenance_internal.moment() - v_run.started_at), 0)),
      ', about ' || case when v_at.expected > v_run.rows_affected + v_run.rows_refused
        then v_at.expected - v_run.rows_affected - v_run.rows_refused end || ' to go');
    v_at.said_at := clock_timestamp();
  end if;
  update maintenance_internal.run as r
  set touched_at = clock_timestamp(),
    rows_affected = v_run.rows_affected,
    rows_refused = v_run.rows_refused,
    batches = v_run.batches,
    stop_reason = v_run.stop_reason,
    error = v_run.error,
    sqlstate = v_run.sqlstate,
    error_detail = v_run.error_detail,
    details = r.details || v_details,
    cut_leaf = v_run.cut_leaf,
    cut = v_run.cut,
    progress = v_at
  where r.run_id = p_run_id;
  perform set_config('maintenance.run_id', v_running, true);
end
$$;
-- end of sql/engine/run/run_step.sql

-- from sql/engine/run/end_run.sql 0ed0f2aeb0f67789
-- Closes a run's receipt, and says what its caller gets. What was noted on it decides how it
-- ended.

create function maintenance_internal.end_run(p_run_id bigint)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_run maintenance_internal.run;
begin
  update maintenance_internal.run as r
  set status = case
      when r.stop_reason = 'timeout' then 'timeout'
      when r.stop_reason in ('cancelled', 'emergency_stop') then 'cancelled'
      when r.error is not null then 'failed'
      else 'succeeded'
    end,
    stop_reason = coalesce(r.stop_reason, 'done'),
    finished_at = maintenance_internal.moment(),
    progress = null
  where r.run_id = p_run_id and r.backend_pid = pg_backend_pid() and r.status = 'running';
  if found then
    delete from maintenance_internal.piece as p where p.run_id = p_run_id;
    perform maintenance_internal.settle_run(p_run_id);
  end if;

  select * into v_run from maintenance_internal.run as r
  where r.run_id = p_run_id
    -- One that has waited may have been begun by another session since.
    and (r.backend_pid = pg_backend_pid() or r.due_at is not null);
  if not found then
    raise exception 'run % was not begun by this session', p_run_id
      using errcode = 'PM002', hint = 'call maintenance.run_job(...) begins runs.';
  end if;
  return jsonb_build_object(
    'success', v_run.status = 'succeeded',
    'message', case
      when v_run.status = 'waiting' then format('%s waits %s, from %s on', v_run.job_name,
        case v_run.stop_reason when 'window' then 'for its window' else 'for other jobs' end,
        to_char(v_run.due_at, 'YYYY-MM-DD HH24:MI'))
      when v_run.stop_reason = 'already_running'
        then format('%s is already running', v_run.job_name)
      when v_run.stop_reason = 'slot_done' then format('%s has had its run of %s', v_run.job_name,
        to_char(v_run.slot, 'YYYY-MM-DD HH24:MI'))
      when v_run.stop_reason = 'disabled' then format('%s is disabled', v_run.job_name)
      when v_run.stop_reason = 'paused' then format('%s is not started: all jobs are %s',
        v_run.job_name, maintenance_internal.pause_text())
      when v_run.error is not null
        then format('%s %s: %s', v_run.job_name, v_run.status, v_run.error)
      else format('%s %s: %s row%s in %s batch%s', v_run.job_name, v_run.status,
        v_run.rows_affected, case when v_run.rows_affected <> 1 then 's' end,
        v_run.batches, case when v_run.batches <> 1 then 'es' end)
    end,
    'data', jsonb_build_object(
      'runId', v_run.run_id,
      'jobName', v_run.job_name,
      'status', v_run.status,
      'stopReason', v_run.stop_reason,
      'rowsAffected', v_run.rows_affected,
      'rowsRefused', v_run.rows_refused,
      'batches', v_run.batches,
      'sqlstate', v_run.sqlstate,
      'details', v_run.details),
    'executionTime', round(1000 * extract(epoch from v_run.finished_at - v_run.started_at)),
    'timestamp', to_char(coalesce(v_run.finished_at, maintenance_internal.moment()),
      'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'));
end
$$;
-- end of sql/engine/run/end_run.sql

-- from sql/engine/run/run_job.sql 1f67e81b17d97868
-- The scheduled door: one run of a job in committed batches, with a receipt.
-- It commits, so it can have neither a set clause nor security definer: every name is qualified.

create procedure maintenance.run_job(job_name text, inout result jsonb default null)
language plpgsql
as $$
declare
  v_wants_result boolean := result is not null;
  v_run_id bigint;
begin
  call maintenance_internal.check_outside('maintenance.run_job');
  v_run_id := maintenance_internal.start_run(job_name, true);
  commit;
  call maintenance_internal.run_steps(v_run_id);
  result := maintenance_internal.end_run(v_run_id);
  commit;
  raise notice '%', maintenance_internal.message_or_failure(result);
  if not v_wants_result then
    result := null;
  end if;
end
$$;

comment on procedure maintenance.run_job(text, jsonb) is
  'Runs a job now, in batches that are committed one by one; a second copy leaves a skipped '
  'receipt, as does a job that is disabled or paused. What pg_cron fires waits where another job '
  'has to succeed first, or outside its window: run_late begins it. Says every few seconds how '
  'far it is, and at the end what it did, as a NOTICE. result: where ''{}'' is passed, {success, '
  'message, data, executionTime (ms), timestamp}. A failed run commits its receipt and raises. '
  'Not inside a transaction: see run_now. Errors: PM001 no such job, PM008 the run failed, PM011 '
  'a statement job, 57014 cancelled, or over its time-out, 2D000 called inside a transaction.';

-- The steps of a run that has begun, each committed, in the session of whoever has begun it.
create procedure maintenance_internal.run_steps(p_run_id bigint)
language plpgsql
as $$
declare
  v_step record;
begin
  loop
    select s.more, s.notice into v_step from maintenance_internal.run_step(p_run_id) as s;
    exit when not v_step.more;
    -- Not every batch waits for the disk: after a crash its rows are due again, and its receipt, of
    -- the same transaction, says so. The run's last commit makes all of them durable.
    perform pg_catalog.set_config('synchronous_commit', 'off', true);
    commit;
    if v_step.notice is not null then
      raise notice '%', v_step.notice;
    end if;
  end loop;
end
$$;

-- Raises where the caller of a door is inside a transaction. A commit fails in any exception block,
-- and what it says tells where we are: in a function, which is inside one, it says so in the words
-- of this server's language.
create procedure maintenance_internal.check_outside(p_door text)
language plpgsql
as $$
begin
  begin
    commit;
  exception when invalid_transaction_termination then
    perform maintenance_internal.refuse_inside_transaction(sqlerrm, p_door);
  end;
  commit;
end
$$;

create function maintenance_internal.refuse_inside_transaction(p_message text, p_door text)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_inside text;
begin
  begin
    commit;
  exception when invalid_transaction_termination then
    v_inside := sqlerrm;
  end;
  if p_message = v_inside then
    raise exception '% commits, and cannot do so inside a transaction', p_door
      using errcode = 'invalid_transaction_termination',
        hint = 'Call it by itself, with autocommit'
          || case p_door when 'maintenance.run_job'
            then '; or, in one transaction: select maintenance.run_now(...);' else '.' end;
  end if;
end
$$;

-- What a run did, in a line. Raises what a failed one ended with, after its receipt is safe, so
-- that pg_cron says failed, too.
create function maintenance_internal.message_or_failure(p_result jsonb)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_result #>> '{data,status}' in ('cancelled', 'failed', 'timeout', 'interrupted') then
    raise exception '%', p_result ->> 'message'
      using errcode =
          case when p_result #>> '{data,status}' in ('cancelled', 'timeout') then '57014'
            else 'PM008' end,
        detail = format('run %s, SQLSTATE %s, %s rows changed, %s refused',
          p_result #>> '{data,runId}', p_result #>> '{data,sqlstate}',
          p_result #>> '{data,rowsAffected}', p_result #>> '{data,rowsRefused}'),
        hint = format('select error_detail from maintenance.run_history where run_id = %s; as the '
          'owner, who alone may see what a row says.', p_result #>> '{data,runId}');
  end if;
  return p_result ->> 'message';
end
$$;
-- end of sql/engine/run/run_job.sql

-- from sql/engine/run/run_now.sql a667d6a8f3f091d3
-- The same run in the caller's one transaction, for functions and tests.

create function maintenance.run_now(job_name text)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_run_id bigint;
begin
  -- A run checks each batch; what the caller itself has left to check is the caller's own error.
  set constraints all immediate;
  v_run_id := maintenance_internal.start_run(run_now.job_name, false);
  while (select s.more from maintenance_internal.run_step(v_run_id) as s) loop
    null;
  end loop;
  perform maintenance_internal.defer_again();
  return maintenance_internal.end_run(v_run_id);
end
$$;

comment on function maintenance.run_now(text) is
  'Runs a job in the caller''s transaction: for modest backlogs, functions and tests. The same '
  'result as run_job; a job that fails, or is over its time-out, says success false and does not '
  'raise; a statement_timeout or a cancel ends it and the caller. Deferred constraints of the '
  'caller are checked first, and are afterwards as they were declared. Errors: PM001 no such '
  'job, PM011 a statement job, 57014 cancelled.';

-- Constraints that are declared deferred are so again. Postgres knows them by name alone: where
-- another one of that name cannot be deferred, they stay immediate until the transaction ends.
create function maintenance_internal.defer_again()
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_name text;
begin
  for v_name in
    select distinct format('%I.%I', n.nspname, k.conname)
    from pg_constraint as k
    join pg_namespace as n on n.oid = k.connamespace
    where k.condeferred and not pg_is_other_temp_schema(n.oid)
      and has_schema_privilege(n.oid, 'usage')
  loop
    begin
      execute format('set constraints %s deferred', v_name);
    exception when wrong_object_type then
      null;
    end;
  end loop;
end
$$;
-- end of sql/engine/run/run_now.sql

-- from sql/engine/run/run_or_raise.sql c579aba7df90d7d8
-- What the front doors in public do: run a job in the caller's transaction and return the data of
-- its result.
-- Errors: PM001 no such job, PM008 the run failed, PM009 it was skipped, PM011 a statement job.

create function maintenance_internal.run_or_raise(job_name text)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_result jsonb := maintenance.run_now(run_or_raise.job_name);
begin
  if not (v_result ->> 'success')::boolean then
    raise exception '%', v_result ->> 'message'
      using errcode =
          case v_result #>> '{data,status}' when 'skipped' then 'PM009' else 'PM008' end,
        detail = coalesce('SQLSTATE ' || (v_result #>> '{data,sqlstate}'),
          v_result #>> '{data,stopReason}'),
        hint = case v_result #>> '{data,stopReason}'
          when 'already_running' then 'Wait for it, or read maintenance.run_history.'
          when 'paused' then 'select maintenance.resume();'
          when 'disabled' then format('select maintenance.enable_job(%L);', run_or_raise.job_name)
          else 'select * from maintenance.lint() names what is wrong with a rule.'
        end;
  end if;
  return v_result -> 'data';
end
$$;
-- end of sql/engine/run/run_or_raise.sql

-- from sql/engine/run/add_details.sql 3ed912b040d9958b
-- What a step function wants to know of its run, null outside of one, and to leave on its receipt.

create function maintenance_internal.this_run()
returns bigint
language sql
stable
set search_path = pg_catalog, pg_temp
return substring(current_setting('maintenance.run_id', true) from '[0-9]+$')::bigint;

-- When it began; outside of one, now.
create function maintenance_internal.run_began()
returns timestamptz
language sql
stable
set search_path = pg_catalog, pg_temp
return coalesce((
  select r.started_at from maintenance_internal.run as r
  where r.run_id = maintenance_internal.this_run()), maintenance_internal.clock());

create function maintenance.add_details(details jsonb)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
begin
  update maintenance_internal.run as r
  set details = r.details || add_details.details
  where r.run_id = maintenance_internal.this_run()
    and r.status = 'running'
    and r.backend_pid = pg_backend_pid();
end
$$;

comment on function maintenance.add_details(jsonb) is
  'For step functions: adds keys to details on the receipt of the run that calls them; '
  'outside a run it does nothing.';
-- end of sql/engine/run/add_details.sql

-- from sql/engine/run/last_success.sql 8cd380c4ad69d7cf
-- When the last run of a job that succeeded began; null before the first.

create function maintenance_internal.last_success(job_name text)
returns timestamptz
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
return (
  select r.started_at
  from maintenance_internal.job as j
  join maintenance_internal.run as r on r.job_id = j.job_id and r.status = 'succeeded'
  where j.job_name = last_success.job_name
  order by r.started_at desc
  limit 1
);
-- end of sql/engine/run/last_success.sql

-- from sql/engine/run/run_history.sql 4e8aecf0bb2b9401
-- The receipts, as one reads them.

create view maintenance.run_history as
select
  r.run_id,
  r.job_name,
  r.trigger,
  r.slot,
  r.attempt,
  r.status,
  r.due_at,
  r.started_at,
  r.finished_at,
  r.rows_affected,
  r.rows_refused,
  r.batches,
  r.stop_reason,
  r.error,
  r.sqlstate,
  r.details,
  case when pg_has_role((select n.nspowner from pg_namespace as n where n.nspname = 'maintenance'),
    'usage') then r.error_detail end as error_detail
from maintenance_internal.run as r;

comment on view maintenance.run_history is 'One row per run: what it did, how it ended and why.';
comment on column maintenance.run_history.run_id is 'counts up';
comment on column maintenance.run_history.job_name is 'kept when the job is dropped';
comment on column maintenance.run_history.trigger is
  'schedule (pg_cron started it), manual, catch_up (of a slot that pg_cron has missed) or retry';
comment on column maintenance.run_history.slot is
  'the scheduled minute that the run stands for; null for one started by hand';
comment on column maintenance.run_history.attempt is 'counts the retries of one slot from 1';
comment on column maintenance.run_history.status is
  'waiting, running, succeeded, failed, skipped (it did not begin: stop_reason says why), timeout, '
  'cancelled, or interrupted (its session died)';
comment on column maintenance.run_history.due_at is
  'of a run that waits or has waited: not before; null for others';
comment on column maintenance.run_history.started_at is
  'when it began; null while it waits, and where it waited in vain';
comment on column maintenance.run_history.finished_at is
  'when it ended; null while it waits or runs';
comment on column maintenance.run_history.rows_affected is
  'rows deleted, updated or counted by a step';
comment on column maintenance.run_history.rows_refused is 'due rows that could not be changed';
comment on column maintenance.run_history.batches is 'committed batches';
comment on column maintenance.run_history.stop_reason is
  'done, budget, max_rows, max_batches, rows_locked, no_effect, refused_rows, rule_changed, '
  'lock_timeout, error, window, timeout, cancelled, emergency_stop, backend_gone, left_open, '
  'history_gone, job_dropped; of skipped ones disabled, paused, already_running, slot_done, '
  'superseded, restored, dropped, dependency, too_late; of what waits window, dependency, missed, '
  'retry: sql/README.md has them in a table';
comment on column maintenance.run_history.error is
  'the first error, without any row''s text: SQLSTATE, constraint and table';
comment on column maintenance.run_history.sqlstate is 'the SQLSTATE of that error';
comment on column maintenance.run_history.details is
  'left (rows still due), kept (old enough, but kept by matching), bytes_before, bytes_after; '
  'waited (what it waited for), waitsFor (the jobs that it waits for still); and what a step left '
  'by add_details';
comment on column maintenance.run_history.error_detail is
  'the first error in full, with the keys of the first hundred rows that were refused: for the '
  'engine''s owner alone';
-- end of sql/engine/run/run_history.sql

-- from sql/engine/statement/set_statement.sql 58031427849384e9
-- Sets a statement job: one top-level statement that no function can hold, run by pg_cron itself.

create function maintenance.set_statement(
  job_name text,
  statement text,
  schedule text default null,
  description text default null)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_cursor refcursor;
  v_several text;
  v_message text;
  v_own text;
  v_job maintenance_internal.job;
begin
  -- A cursor is opened and never fetched from: nothing runs. Utility commands are refused with the
  -- same SQLSTATE as several statements, so the message for several is asked of the server first.
  begin
    open v_cursor for execute 'select 1; select 2';
  exception when invalid_cursor_definition then
    get stacked diagnostics v_several = message_text;
  end;
  begin
    open v_cursor for execute set_statement.statement;
    close v_cursor;
  exception
    when invalid_cursor_definition then
      get stacked diagnostics v_message = message_text;
      if v_message = v_several then
        raise exception '"%" is not one statement', set_statement.statement
          using errcode = 'PM007', hint = 'Give each statement a job of its own.';
      end if;
    when others then
      get stacked diagnostics v_message = message_text;
      raise exception 'the statement "%" is not acceptable: %', set_statement.statement, v_message
        using errcode = 'PM007', hint = 'One statement, names with their schema.';
  end;

  if regexp_replace(set_statement.statement, '--[^\n]*|/\*.*?\*/|\s|"', '', 'g')
    ~* '^callmaintenance\.run_job\(' then
    raise exception 'the statement "%" runs another job', set_statement.statement
      using errcode = 'PM007', hint = 'Give that job the schedule: maintenance.set_schedule(...).';
  end if;

  -- The kit's own two are known by their statements, and there is one of each.
  v_own := regexp_replace(set_statement.statement, '--[^\n]*|/\*.*?\*/|\s|"|;', '', 'g');
  if maintenance_internal.is_own(regexp_replace(lower(v_own), '^call', 'call ')) then
    statement := regexp_replace(lower(v_own), '^call', 'call ');
    if exists (
      select from maintenance_internal.job as j
      where j.statement = set_statement.statement and j.job_name <> set_statement.job_name)
    then
      raise exception 'another job says "%" already', set_statement.statement
        using errcode = 'PM007', hint = 'One is enough: it looks after all jobs.';
    end if;
  end if;

  v_job.job_name := set_statement.job_name;
  v_job.kind := 'statement';
  v_job.statement := set_statement.statement;
  v_job.schedule := set_statement.schedule;
  v_job.description := coalesce(set_statement.description, set_statement.statement);
  v_job := maintenance_internal.upsert_job(v_job);
  perform maintenance_internal.sync_schedule(v_job.job_name);
end
$$;

comment on function maintenance.set_statement(text, text, text, text) is
  'Sets a statement job: one top-level statement such as VACUUM or REINDEX CONCURRENTLY, which '
  'pg_cron runs as it stands. schedule: five-field cron, UTC. For the engine''s owner. '
  'Errors: PM002 argument, PM006 schedule, PM007 no statement, or more than one.';
-- end of sql/engine/statement/set_statement.sql

-- from sql/engine/statement/statement_tables.sql 664fed85dcaef1eb
-- Which tables a VACUUM, ANALYZE or REPACK names, by its words: comments, quotes, options and
-- column lists are stepped over. Partitioned tables stand for their leaves. A name without its
-- schema is looked up in public, where a session would. No row for other statements, and where none
-- is named.

create function maintenance_internal.statement_tables(p_statement text)
returns table (verb text, relid regclass, options text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_words text[] := array(
    select w.found[1]
    from regexp_matches(p_statement,
      '(--[^\n]*|/\*.*?\*/|"(?:[^"]|"")*"|[[:alpha:]_\u0080-\uffff][\w$]*|\S)', 'g')
      with ordinality as w (found, n)
    where w.found[1] !~ '^(--|/\*|;$)'
    order by w.n);
  v_word text;
  v_depth integer := 0;
  v_at integer := 1;
  v_name text := '';
begin
  verb := lower(replace(v_words[1], 'analyse', 'analyze'));
  if verb is null or verb not in ('vacuum', 'analyze', 'repack') then
    return;
  end if;
  -- PostgreSQL 19's: of one table, in the order of an index.
  if verb = 'repack' then
    v_words := v_words[:coalesce((
      select min(w.n) from unnest(v_words) with ordinality as w (word, n)
      where lower(w.word) = 'using') - 1, cardinality(v_words))];
  end if;
  options := '';
  loop
    v_at := v_at + 1;
    v_word := lower(v_words[v_at]);
    v_depth := v_depth + (v_word = '(')::integer - (v_word = ')')::integer;
    exit when v_word is null or v_depth = 0
      and v_word not in (')', 'full', 'freeze', 'verbose', 'analyze', 'analyse');
    options := options || ' ' || v_word;
  end loop;

  foreach v_word in array array_append(v_words[v_at:], ',') loop
    v_depth := v_depth + (v_word = '(')::integer - (v_word = ')')::integer;
    if v_word = ',' and v_depth = 0 then
      return query
        select verb, t.leaf::regclass, options
        from (select to_regclass(case when v_name ~ '^("(""|[^"])*"|[^".]+)$' then 'public.'
          else '' end || v_name) as found) as f
        join pg_class as c on c.oid = f.found
        cross join unnest(case c.relkind when 'p' then maintenance_internal.leaf_tables(f.found)
          else array[f.found::oid] end) as t (leaf);
      v_name := '';
    elsif v_depth = 0 and v_word not in (')', '*') and lower(v_word) <> 'only' then
      v_name := v_name || v_word;
    end if;
  end loop;
end
$$;
-- end of sql/engine/statement/statement_tables.sql

-- from sql/engine/statement/skipped_tables.sql 1287c97cdae8ab2f
-- Which tables (of how many) a VACUUM or ANALYZE left out, although it ended without an error:
-- Postgres only warns of a table that the role may not maintain, or whose lock a SKIP_LOCKED did
-- not get. Told by the statistics, which know when a table was last maintained. A VACUUM FULL or
-- REPACK leaves no trace there, nor does anything before a crash: then only rights are looked at.

create function maintenance_internal.skipped_tables(
  p_statement text,
  p_username text,
  p_started_at timestamptz)
returns table (relid regclass, may boolean, reason text, tables bigint)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select o.relid, o.may,
    case when not o.may then format('%s may not %s it: it is not the owner', p_username, o.verb)
      when o.options ~ 'skip_locked' then 'its lock was not free'
      else 'the statistics show no trace of it' end,
    o.tables
  from (
    select t.relid, t.verb, t.options, count(*) over () as tables,
      pg_has_role(r.oid, c.relowner, 'usage')
        or not c.relisshared and pg_has_role(r.oid, d.datdba, 'usage')
        or case when current_setting('server_version_num')::integer >= 170000
          then has_table_privilege(r.oid, c.oid, 'maintain') else false end as may,
      t.verb = 'repack' or t.options ~ 'full'
        or p_started_at < greatest(s.stats_reset, pg_postmaster_start_time())
        or case t.verb
          when 'vacuum' then greatest(u.last_vacuum, u.last_autovacuum)
          else greatest(u.last_analyze, u.last_autoanalyze)
        end >= p_started_at as done
    from maintenance_internal.statement_tables(p_statement) as t
    join pg_class as c on c.oid = t.relid
    join pg_roles as r on r.rolname = p_username
    join pg_database as d on d.datname = current_database()
    left join pg_stat_database as s on s.datid = d.oid
    left join pg_stat_all_tables as u on u.relid = c.oid
  ) as o
  where not o.may or o.done is not true;
end;
-- end of sql/engine/statement/skipped_tables.sql

-- from sql/engine/statement/record_statements.sql e3af4c8c87074f5a
-- Writes the receipts of statement jobs, from what pg_cron says of them: pg_cron runs them as they
-- stand, so nothing of ours is there when they begin or end. Each firing is noted once, by the
-- number that it has in pg_cron's history; a receipt that is still open is looked at again.
-- What pg_cron calls succeeded is failed here where a table was left out because its owner is
-- somebody else, or where none was reached.

-- p_settled: what began only that long ago may be over before anybody looks, and is left to the
-- next look.
create function maintenance_internal.record_statements(p_settled interval default '10 seconds')
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_state record := maintenance_internal.cron_state();
  v_looked_at timestamptz;
  v_noted bigint;
  v_open bigint[];
  v_last bigint;
  v_firing record;
  v_run maintenance_internal.run;
  v_said maintenance_internal.run;
  v_left_out jsonb;
  v_message text;
  v_context text;
  v_written bigint := 0;
begin
  select t.taken_at, case when t.noted_in = v_state.home then t.noted end into v_looked_at, v_noted
  from maintenance_internal.turn as t where t.name = 'statements';
  if not v_state.readable or not maintenance_internal.take_turn('statements') then
    return 0; -- somebody else is at it
  end if;
  -- Another history counts anew: of it counts what is younger than the last look at the one before,
  -- and nobody will tell how what is open in that one ends.
  if v_noted is null then
    update maintenance_internal.run as r
    set status = 'interrupted', finished_at = clock_timestamp(), stop_reason = 'history_gone'
    where r.status = 'running' and r.cron_run_id is not null;
  end if;
  v_open := array(
    select r.cron_run_id from maintenance_internal.run as r
    where r.status = 'running' and r.cron_run_id is not null);

  for v_firing in
    select f.*, j.job_id, r.run_id
    from maintenance_internal.cron_runs(v_noted, v_open) as f
    -- A disabled job's is another command, which leaves a receipt itself, as do the kit's own two.
    left join maintenance_internal.job as j on j.job_name = f.job_name and j.statement = f.command
      and not maintenance_internal.is_own(j.statement)
    left join maintenance_internal.run as r
      on r.cron_run_id = any (v_open) and r.cron_run_id = f.cron_run_id and r.status = 'running'
    order by f.cron_run_id
  loop
    v_run := null;
    v_said := null;
    v_run.run_id := v_firing.run_id;
    v_run.status := case when v_firing.status in ('succeeded', 'failed') then v_firing.status
      else 'running' end;
    exit when v_run.run_id is null and v_run.status = 'running'
      and v_firing.started_at > clock_timestamp() - p_settled;
    v_last := greatest(v_last, v_firing.cron_run_id);
    continue when v_run.run_id is null and (v_firing.job_id is null
      or v_noted is null and (v_firing.started_at > v_looked_at) is not true);

    v_run.details := '{}';
    if v_firing.status = 'failed' then
      v_run.error := 'pg_cron reports a failure';
      v_run.error_detail := jsonb_build_object('message', v_firing.message);
    elsif v_firing.status = 'succeeded' then
      begin
        select jsonb_object_agg(l.relid::text, l.reason),
          case when count(*) = max(l.tables) or bool_or(not l.may) then string_agg(
            format('%s was left out: %s', l.relid, l.reason), '; ' order by l.relid::text) end
        into v_left_out, v_run.error
        from maintenance_internal.skipped_tables(
          v_firing.command, v_firing.username, v_firing.started_at) as l;
        if v_run.error is not null then
          v_run.status := 'failed';
        elsif v_left_out is not null then
          v_run.details := jsonb_build_object('left_out', v_left_out);
        end if;
      exception when others then -- then pg_cron is believed, and the receipt says so
        get stacked diagnostics v_message = message_text, v_context = pg_exception_context;
        v_run.details := jsonb_build_object('unproven',
          maintenance_internal.error_text(sqlstate, v_message, v_context));
      end;
    end if;

    if v_run.run_id is null then
      insert into maintenance_internal.run as r
        (job_id, job_name, trigger, slot, status, started_at, backend_pid, cron_run_id)
      values (v_firing.job_id, v_firing.job_name, 'schedule',
        maintenance_internal.nearest_slot(
          v_firing.schedule, coalesce(v_firing.started_at, clock_timestamp()), false, v_state.zone),
        'running', coalesce(v_firing.started_at, clock_timestamp()), coalesce(v_firing.pid, 0),
        v_firing.cron_run_id)
      returning r.run_id into v_run.run_id;
      v_written := v_written + 1;
    end if;
    -- What signal_runs has said of one that it cancelled is truer than pg_cron's word.
    select r.stop_reason, r.error, r.sqlstate into v_run.stop_reason, v_said.error, v_said.sqlstate
    from maintenance_internal.run as r
    where r.run_id = v_run.run_id and v_run.status in ('running', 'failed');
    update maintenance_internal.run as r
    set status = case when v_run.status <> 'failed' then v_run.status
        when v_run.stop_reason = 'timeout' then 'timeout'
        when v_run.stop_reason = 'emergency_stop' then 'cancelled'
        else 'failed' end,
      started_at = coalesce(v_firing.started_at, r.started_at),
      backend_pid = coalesce(v_firing.pid, r.backend_pid),
      finished_at = case when v_run.status <> 'running'
        then coalesce(v_firing.finished_at, clock_timestamp()) end,
      stop_reason = coalesce(v_run.stop_reason,
        case v_run.status when 'succeeded' then 'done' when 'failed' then 'error' end),
      error = coalesce(v_said.error, v_run.error),
      sqlstate = coalesce(v_said.sqlstate, case when v_run.error is not null then 'PM019' end),
      error_detail = v_run.error_detail,
      details = v_run.details
    where r.run_id = v_run.run_id
      and (v_run.status, coalesce(v_firing.started_at, r.started_at)) <> (r.status, r.started_at);
  end loop;

  update maintenance_internal.turn as t
  set noted = greatest(v_noted, v_last, 0), noted_in = v_state.home
  where t.name = 'statements';
  perform maintenance_internal.close_lost_statements();
  return v_written;
end
$$;

-- Closes the receipts of statements whose process is gone, for more than a minute and a half, while
-- pg_cron's history does not say how they ended; nor ever will, where the row is gone.
create function maintenance_internal.close_lost_statements()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_found bigint[];
begin
  update maintenance_internal.run as r
  set touched_at = clock_timestamp()
  where r.status = 'running' and r.cron_run_id is not null and exists (
    select from pg_stat_activity as a
    where a.pid = r.backend_pid and a.backend_start < r.started_at + interval '1 minute');
  if not exists (
    select from maintenance_internal.run as r
    where r.status = 'running' and r.cron_run_id is not null
      and r.touched_at < clock_timestamp() - interval '90 seconds')
  then
    return;
  end if;
  v_found := array(
    select f.cron_run_id from maintenance_internal.cron_runs(9223372036854775807, array(
      select r.cron_run_id from maintenance_internal.run as r
      where r.status = 'running' and r.cron_run_id is not null)) as f);
  update maintenance_internal.run as r
  set status = case r.stop_reason when 'timeout' then 'timeout'
      when 'emergency_stop' then 'cancelled' else 'interrupted' end,
    finished_at = clock_timestamp(),
    stop_reason = case
      when r.stop_reason is not null then r.stop_reason
      when not exists (select from maintenance_internal.job as j where j.job_id = r.job_id)
        then 'job_dropped'
      when r.cron_run_id = any (v_found) then 'backend_gone'
      else 'history_gone' end
  where r.status = 'running' and r.cron_run_id is not null
    and r.touched_at < clock_timestamp() - interval '90 seconds';
end
$$;
-- end of sql/engine/statement/record_statements.sql

-- from sql/engine/model/tables.sql 0f5ca67f39b3d876
-- Which models may be asked, in which order, how often and at which price; what is known of them
-- meanwhile; and every call that was made.
--
--   model        what is declared: order, limits, prices, settings of the request
--   model_pace   what reservations write: the next free place; and limits that a refusal has told
--   model_usage  requests by hour: a day and a month are sums of hours, so nothing is ever reset
--   cool_down    who is not asked now, and why: a row is a problem, an answer takes it away
--   model_call   a row per call: made when its place is reserved, settled under its lease token
--   model_day    calls, tokens and cost by day: what stays when calls are purged
--
-- Locks are taken in this order, after the task's row and the application's; and what the
-- application reports has rows of its own, so that neither waits for the other.

create table maintenance.model (
  model text not null,
  carrier text not null default 'worker',
  position integer not null,
  input_usd numeric,
  output_usd numeric,
  cached_usd numeric,
  priced_on date,
  per_minute integer,
  per_hour integer,
  per_day integer,
  per_month integer,
  generation jsonb not null default '{}',
  request jsonb not null default '{}',
  timeout interval not null default '60 seconds',
  enabled boolean not null default true,
  changed_at timestamptz not null default maintenance_internal.moment(),
  constraint model_pkey primary key (model),
  constraint model_position_is_unique unique (carrier, position) deferrable,
  constraint model_carrier_is_known check (carrier in ('worker', 'application')),
  constraint model_prices_are_not_negative
    check (input_usd >= 0 and output_usd >= 0 and cached_usd >= 0),
  constraint model_limits_are_not_negative
    check (per_minute >= 0 and per_hour >= 0 and per_day >= 0 and per_month >= 0),
  constraint model_generation_is_an_object check (jsonb_typeof(generation) = 'object'),
  constraint model_request_is_an_object check (jsonb_typeof(request) = 'object'),
  constraint model_timeout_is_sane check (timeout between interval '1 second' and interval '1 hour')
);

comment on table maintenance.model is
  'The models, in the order in which they are asked. model_status says which one can be, now.';
comment on column maintenance.model.carrier is
  'worker: asked for tasks. application: asked by the application itself, which reports with '
  'record_usage';
comment on column maintenance.model.input_usd is
  'price of a million tokens in, in USD; null: unknown, and its calls cost nothing that is known';
comment on column maintenance.model.output_usd is
  'price of a million tokens out, thoughts among them, in USD';
comment on column maintenance.model.cached_usd is
  'price of a million tokens in that Gemini had in its cache; null: as the others';
comment on column maintenance.model.priced_on is 'the day on which these prices held';
comment on column maintenance.model.per_minute is
  'requests allowed a minute, like the three others; null: unknown, 0: never to be asked';
comment on column maintenance.model.generation is
  'settings of every request, for its generationConfig: {"thinkingConfig": {...}}';
comment on column maintenance.model.request is
  'settings of every request, beside its contents: {"safetySettings": [...], "serviceTier": '
  '"flex"}';
comment on column maintenance.model.timeout is 'how long an answer is waited for';
comment on column maintenance.model.changed_at is 'what was refused before is asked again since';

create table maintenance_internal.model_pace (
  model text not null,
  next_at timestamptz not null default '-infinity',
  learned_minute integer,
  learned_day integer,
  learned_at timestamptz,
  constraint model_pace_pkey primary key (model),
  constraint model_pace_model_fkey foreign key (model) references maintenance.model (model)
    on delete cascade
) with (fillfactor = 50);

comment on table maintenance_internal.model_pace is
  'Where the next call of a model may begin, and the limits that Gemini has told in a refusal.';

create table maintenance_internal.model_usage (
  model text not null,
  carrier text not null,
  hour timestamptz not null,
  requests bigint not null default 0,
  tokens bigint not null default 0,
  minute timestamptz not null,
  minute_requests bigint not null default 0,
  constraint model_usage_pkey primary key (model, carrier, hour),
  constraint model_usage_model_fkey foreign key (model) references maintenance.model (model)
    on delete cascade
) with (fillfactor = 50);

create index model_usage_hour_idx on maintenance_internal.model_usage (hour);

comment on table maintenance_internal.model_usage is
  'Requests of a model in an hour, by who made them, and in the last minute of it that had any; '
  'tokens are known of the application''s alone.';

create table maintenance_internal.cool_down (
  model text not null,
  kind text not null default '*',
  class text not null,
  reason text not null,
  times integer not null default 1,
  since timestamptz not null,
  until timestamptz not null,
  probing_until timestamptz,
  constraint cool_down_pkey primary key (model, kind),
  constraint cool_down_model_fkey foreign key (model) references maintenance.model (model)
    on delete cascade,
  constraint cool_down_class_is_known check (class in ('limit', 'fault', 'gone', 'refused'))
);

comment on table maintenance_internal.cool_down is
  'Which models are not asked now, for all kinds of task (*) or for one: limit, it is asked too '
  'often; fault, it fails; gone, it is not there; refused, it takes no request of this kind. When '
  'until is over, one call tries (probing_until): its answer deletes the row, its failure doubles '
  'the time.';

create table maintenance.model_call (
  call_id bigint generated always as identity,
  task_id bigint not null,
  kind text not null,
  model text not null,
  outcome text not null default 'asked',
  lease_token uuid not null,
  asks_at timestamptz not null,
  is_probe boolean not null default false,
  settled_at timestamptz,
  input_tokens bigint not null default 0,
  output_tokens bigint not null default 0,
  cached_tokens bigint not null default 0,
  is_estimate boolean not null default true,
  cost_usd numeric,
  model_version text,
  duration interval,
  details jsonb,
  created_at timestamptz not null default clock_timestamp(),
  constraint model_call_pkey primary key (call_id)
) with (fillfactor = 80);

create index model_call_created_at_idx on maintenance.model_call (created_at);
create index model_call_details_idx on maintenance.model_call (task_id) where details is not null;
create unique index model_call_open_is_unique on maintenance.model_call (lease_token)
where settled_at is null;

comment on table maintenance.model_call is
  'Every call of a model, good or failed: what it took and what it cost. outcome: asked while it '
  'goes on; then succeeded, quarantined, the failure class, lost with its worker, released by a '
  'worker that stopped, unasked where it was released before it was made.';
comment on column maintenance.model_call.asks_at is 'its place: when the worker may ask';
comment on column maintenance.model_call.is_probe is
  'it tries whether the model, which cools, can be asked again';
comment on column maintenance.model_call.input_tokens is 'with the cached ones';
comment on column maintenance.model_call.output_tokens is 'candidates and thoughts together';
comment on column maintenance.model_call.is_estimate is
  'nobody has told the tokens: a third of the characters asked. Lost calls and time-outs are '
  'billed all the same';
comment on column maintenance.model_call.cost_usd is 'null where the model has no price here';
comment on column maintenance.model_call.model_version is 'what answered, as Gemini says it';

create table maintenance.model_day (
  day date not null,
  model text not null,
  kind text not null,
  calls bigint not null default 0,
  answered bigint not null default 0,
  input_tokens bigint not null default 0,
  output_tokens bigint not null default 0,
  cached_tokens bigint not null default 0,
  cost_usd numeric not null default 0,
  unknown_cost bigint not null default 0,
  answered_at timestamptz,
  refused_at timestamptz,
  constraint model_day_pkey primary key (day, model, kind)
) with (fillfactor = 50);

comment on table maintenance.model_day is
  'What the calls of a day took and cost, by model and kind of task. A day is one of Los Angeles, '
  'as the quotas of Gemini.';
comment on column maintenance.model_day.answered is 'the calls that Gemini answered, well or badly';
comment on column maintenance.model_day.unknown_cost is
  'the calls of which cost_usd has an estimate only, or nothing, the model being without a price';
comment on column maintenance.model_day.answered_at is 'the last answer';
comment on column maintenance.model_day.refused_at is 'the last request that was refused as such';
-- end of sql/engine/model/tables.sql

-- from sql/engine/model/set_model.sql 0235899699951fc4
-- Declares a model that may be asked, or changes what is given; what is null stays as it is.

create function maintenance.set_model(
  model text,
  "position" integer default null,
  input_usd numeric default null,
  output_usd numeric default null,
  cached_usd numeric default null,
  priced_on date default null,
  per_minute integer default null,
  per_hour integer default null,
  per_day integer default null,
  per_month integer default null,
  generation jsonb default null,
  request jsonb default null,
  timeout interval default null,
  carrier text default null,
  enabled boolean default null)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_priced_on constant date := coalesce(set_model.priced_on, case
    when coalesce(set_model.input_usd, set_model.output_usd, set_model.cached_usd) is not null
      then current_date end);
begin
  if coalesce(set_model.model, '') !~ '^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$' then
    raise exception 'the model "%" is not acceptable', set_model.model
      using errcode = 'PM002', hint = 'Up to 100 letters, digits, ".", "_", "/" and "-".';
  end if;
  if least(set_model.input_usd, set_model.output_usd, set_model.cached_usd) < 0
    or 'NaN' in (set_model.input_usd, set_model.output_usd, set_model.cached_usd) then
    raise exception 'the prices %, % and % are not acceptable', set_model.input_usd,
      set_model.output_usd, set_model.cached_usd
      using errcode = 'PM002', hint = 'USD per million tokens in, out and in of the cache.';
  end if;
  if least(set_model.per_minute, set_model.per_hour, set_model.per_day, set_model.per_month) < -1
  then
    raise exception 'the limits %, %, % and % are not acceptable', set_model.per_minute,
      set_model.per_hour, set_model.per_day, set_model.per_month
      using errcode = 'PM002', hint = 'Requests allowed; 0: never to be asked; -1: unknown.';
  end if;
  if jsonb_typeof(set_model.generation) <> 'object' or jsonb_typeof(set_model.request) <> 'object'
  then
    raise exception 'generation % or request % is not an object', set_model.generation,
      set_model.request
      using errcode = 'PM002', hint = 'Settings of the request: ''{"temperature": 0}''.';
  end if;
  if set_model.request ?| array['model', 'contents', 'systemInstruction', 'generationConfig'] then
    raise exception 'request % has what the worker puts there', set_model.request
      using errcode = 'PM002', hint = 'What stands beside it: safetySettings, serviceTier, '
        'cachedContent. For generationConfig there is generation.';
  end if;
  if set_model.timeout not between interval '1 second' and interval '1 hour' then
    raise exception 'the timeout "%" is out of range', set_model.timeout
      using errcode = 'PM002', hint = 'An interval from a second to an hour.';
  end if;
  if set_model.carrier not in ('worker', 'application') then
    raise exception 'there is no carrier "%"', set_model.carrier
      using errcode = 'PM002', hint = 'worker: asked for tasks. application: it asks by itself, '
        'and calls record_usage.';
  end if;

  insert into maintenance.model as m (model, carrier, position, input_usd, output_usd, cached_usd,
    priced_on, per_minute, per_hour, per_day, per_month, generation, request, timeout, enabled)
  values (
    set_model.model,
    coalesce(set_model.carrier, 'worker'),
    coalesce(set_model.position, (
      select coalesce(max(o.position), 0) + 1 from maintenance.model as o
      where o.carrier = coalesce(set_model.carrier, 'worker') and o.model <> set_model.model)),
    set_model.input_usd,
    set_model.output_usd,
    set_model.cached_usd,
    v_priced_on,
    nullif(set_model.per_minute, -1),
    nullif(set_model.per_hour, -1),
    nullif(set_model.per_day, -1),
    nullif(set_model.per_month, -1),
    coalesce(set_model.generation, '{}'),
    coalesce(set_model.request, '{}'),
    coalesce(set_model.timeout, '60 seconds'),
    coalesce(set_model.enabled, true))
  on conflict on constraint model_pkey do update
  set carrier = coalesce(set_model.carrier, m.carrier),
    position = coalesce(set_model.position, m.position),
    input_usd = coalesce(set_model.input_usd, m.input_usd),
    output_usd = coalesce(set_model.output_usd, m.output_usd),
    cached_usd = coalesce(set_model.cached_usd, m.cached_usd),
    priced_on = coalesce(v_priced_on, m.priced_on),
    per_minute = nullif(coalesce(set_model.per_minute, m.per_minute), -1),
    per_hour = nullif(coalesce(set_model.per_hour, m.per_hour), -1),
    per_day = nullif(coalesce(set_model.per_day, m.per_day), -1),
    per_month = nullif(coalesce(set_model.per_month, m.per_month), -1),
    generation = coalesce(set_model.generation, m.generation),
    request = coalesce(set_model.request, m.request),
    timeout = coalesce(set_model.timeout, m.timeout),
    enabled = coalesce(set_model.enabled, m.enabled);
end
$$;

comment on function maintenance.set_model(
  text, integer, numeric, numeric, numeric, date, integer, integer, integer, integer, jsonb, jsonb,
  interval, text, boolean) is
  'Declares a model, or changes what is given of it: what is null stays. position: in which order '
  'they are asked; a new one is the last. Prices in USD per million tokens in, out, and in of the '
  'cache, with the day on which they held (today). per_minute to per_month: requests allowed, -1 '
  'for unknown. generation, request: settings of the request, in its generationConfig and beside '
  'it. timeout: for an answer. carrier: worker, or application, which reports by record_usage. '
  'What was refused before is asked again at once. For the engine''s owner. Errors: PM002 '
  'argument, 23505 the position is taken.';

-- Whoever changes a model or a kind, by which way ever, wants to see whether it works now: what
-- was learned of it before, and what it was refused for, is forgotten.
create function maintenance_internal.forget_refusals()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
begin
  new.changed_at := maintenance_internal.moment();
  if tg_table_name = 'model' then
    update maintenance_internal.model_pace as p
    set learned_minute = null, learned_day = null, learned_at = null
    where p.model = new.model;
    delete from maintenance_internal.cool_down as c where c.model = new.model;
  else
    delete from maintenance_internal.cool_down as c where c.kind = new.kind;
  end if;
  return new;
end
$$;

create trigger forget_refusals before update on maintenance.model
for each row execute function maintenance_internal.forget_refusals();

-- A model by its name, or a clear error.
create function maintenance_internal.find_model(p_model text)
returns maintenance.model
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_model maintenance.model;
begin
  select * into v_model from maintenance.model as m where m.model = p_model;
  if not found then
    raise exception 'there is no model "%"', p_model
      using errcode = 'PM024', hint = (
        select 'There are: ' || coalesce(string_agg(m.model, ', ' order by m.model), 'none yet')
          || '. The owner declares one: select maintenance.set_model(...);'
        from maintenance.model as m);
  end if;
  return v_model;
end
$$;
-- end of sql/engine/model/set_model.sql

-- from sql/engine/model/model_limits.sql f5a2fb71b7e4661e
-- How much of each limit of a model is used: a minute and an hour of the clock, a day that begins
-- at midnight in Los Angeles, as the quotas of Gemini, a month in UTC. An unknown limit is null.
-- Without p_all only the spans that have a limit are counted. In plpgsql, which keeps its plan:
-- in SQL each look would be planned anew, in 2 ms.

create function maintenance_internal.quota_day(p_at timestamptz)
returns timestamptz
language sql
stable
set search_path = pg_catalog, pg_temp
return date_trunc('day', p_at, 'America/Los_Angeles');

create function maintenance_internal.model_limits(p_now timestamptz, p_all boolean default false)
returns table (model text, span text, allowed bigint, used bigint, resets_at timestamptz)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_minute constant timestamptz := date_trunc('minute', p_now);
  v_hour constant timestamptz := date_trunc('hour', p_now);
  v_day constant timestamptz := maintenance_internal.quota_day(p_now);
  v_month constant timestamptz := date_trunc('month', p_now, 'UTC');
begin
  return query
    select m.model, w.span, w.allowed, coalesce(w.used, 0)::bigint, w.resets_at
    from maintenance.model as m
    left join maintenance_internal.model_pace as p on p.model = m.model
      and p.learned_at > p_now - interval '1 day' -- what was told is believed for a day
    cross join lateral (
      select sum(u.minute_requests) filter (where u.minute = v_minute) as minute,
        sum(u.requests) filter (where u.hour >= v_hour) as hour,
        sum(u.requests) filter (where u.hour >= v_day) as day,
        sum(u.requests) filter (where u.hour >= v_month) as month
      from maintenance_internal.model_usage as u
      where u.model = m.model and u.hour <= p_now
        and u.hour >= case
          when p_all or m.per_month is not null then least(v_day, v_month)
          when m.per_day is not null or p.learned_day is not null then v_day
          else v_hour end
    ) as u
    cross join lateral (values
      ('minute', least(m.per_minute, p.learned_minute)::bigint, u.minute,
        v_minute + interval '1 minute'),
      ('hour', m.per_hour, u.hour, v_hour + interval '1 hour'),
      -- A day has 23 to 25 hours.
      ('day', least(m.per_day, p.learned_day), u.day,
        maintenance_internal.quota_day(v_day + interval '36 hours')),
      ('month', m.per_month, u.month,
        date_trunc('month', v_month + interval '40 days', 'UTC'))
    ) as w (span, allowed, used, resets_at);
end
$$;
-- end of sql/engine/model/model_limits.sql

-- from sql/engine/model/model_states.sql 1f040f7258399998
-- Whether each model can be asked now, and what follows from that for those who ask.
--
--   ok, warning     below 80 % of each of its limits, and from there on
--   failing_over    from 95 %: asked only where no other one is below
--   blocked         at 100 %, until the span that is used up is over
--   cooling         it refused or failed; one call tries when until is over
--   retired         it was not there (404): the same, for longer
--   disabled        by its owner
--
-- A share is compared in whole numbers, so that 949 of 1000 is not 95 %.

create function maintenance_internal.model_states(p_now timestamptz)
returns table (
  model text,
  carrier text,
  "position" integer,
  state text,
  percent numeric,
  span text,
  until timestamptz,
  reason text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select m.model, m.carrier, m.position,
      case
        when not m.enabled then 'disabled'
        when c.class = 'gone' then 'retired'
        when c.model is not null then 'cooling'
        when l.percent >= 100 then 'blocked'
        when l.percent >= 95 then 'failing_over'
        when l.percent >= 80 then 'warning'
        else 'ok'
      end,
      l.percent, l.span,
      case when c.model is not null then c.until when l.percent >= 95 then l.resets_at end,
      coalesce(c.reason, case when l.percent >= 80 then
        format('%s of %s requests this %s', l.used, l.allowed, l.span) end)
    from maintenance.model as m
    left join maintenance_internal.cool_down as c on c.model = m.model and c.kind = '*'
      and c.since <= p_now + interval '1 minute' -- of a clock that ran ahead
    left join (
      select distinct on (x.model) x.*, p.percent
      from maintenance_internal.model_limits(p_now) as x
      cross join lateral (
        select case when x.allowed = 0 then 100 else trunc(x.used * 100.0 / x.allowed, 3) end
      ) as p (percent)
      where x.allowed is not null
      order by x.model, p.percent desc, x.resets_at desc
    ) as l on l.model = m.model;
end
$$;

create function maintenance.effective_model(model text)
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  v_asked constant maintenance.model := maintenance_internal.find_model(effective_model.model);
begin
  return (
    select s.model
    from maintenance_internal.model_states(maintenance_internal.moment()) as s
    where s.carrier = v_asked.carrier and (s.state in ('ok', 'warning', 'failing_over')
      or s.state in ('cooling', 'retired') and s.until <= maintenance_internal.moment())
    order by s.state = 'failing_over', s.model <> v_asked.model, s.position
    limit 1);
end
$$;

comment on function maintenance.effective_model(text) is
  'The model to ask now instead of this one (S2-05 to S2-07): itself while it is below 95 % of its '
  'limits, else the first of its carrier that is, else the first that can be asked at all; null '
  'where none can. Errors: PM024 no such model.';

-- As model_status shows it: with all that is used.
create function maintenance_internal.model_status()
returns table (
  model text,
  carrier text,
  "position" integer,
  state text,
  percent numeric,
  span text,
  until timestamptz,
  reason text,
  used jsonb)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
begin atomic
  select s.model, s.carrier, s.position, s.state, s.percent, s.span, s.until, s.reason, l.used
  from maintenance_internal.moment() as n (now)
  cross join lateral maintenance_internal.model_states(n.now) as s
  join (
    select x.model, jsonb_object_agg(x.span, jsonb_build_array(x.used, x.allowed)) as used
    from maintenance_internal.moment() as n (now)
    cross join lateral maintenance_internal.model_limits(n.now, true) as x
    group by x.model
  ) as l on l.model = s.model;
end;

create view maintenance.model_status as
select s.model, s.carrier, s.position, s.state, s.percent, s.span, s.until, s.reason, s.used
from maintenance_internal.model_status() as s
order by s.carrier desc, s.position;

comment on view maintenance.model_status is
  'The models in their order, and whether each can be asked now (S2-03 to S2-06, S2-31).';
comment on column maintenance.model_status.model is 'its name';
comment on column maintenance.model_status.carrier is
  'worker: asked for tasks; application: by the application itself';
comment on column maintenance.model_status.position is 'in which order they are asked';
comment on column maintenance.model_status.state is
  'ok; warning: 80 % of a limit are used; failing_over, 95 %: the next one is asked; blocked: all '
  'is used; cooling: it refused or failed, and is tried again; retired: it is not there; disabled';
comment on column maintenance.model_status.percent is
  'how much of the limit that is used most; null where no limit is known';
comment on column maintenance.model_status.span is 'which limit that is: minute, hour, day, month';
comment on column maintenance.model_status.until is
  'when it is asked, or tried, again; null where it is asked now';
comment on column maintenance.model_status.reason is
  'why, in words; of a refusal, the task whose last_error has those of Gemini';
comment on column maintenance.model_status.used is
  '[requests, limit] of each span, a limit of null being unknown';

create view maintenance.active_failovers as
select s.model, maintenance.effective_model(s.model) as asked_instead, s.state, s.until, s.reason
from maintenance_internal.model_status() as s
where s.state in ('failing_over', 'blocked', 'retired')
  -- One that cools for a moment is waited for.
  or s.state = 'cooling' and s.until > maintenance_internal.clock() + interval '10 seconds'
order by s.carrier desc, s.position;

comment on view maintenance.active_failovers is
  'Instead of which model another one is asked now, and why (S2-05, S2-31).';
comment on column maintenance.active_failovers.model is 'the model that would be asked';
comment on column maintenance.active_failovers.asked_instead is
  'the one that is; null where none can be asked';
comment on column maintenance.active_failovers.state is 'as in model_status';
comment on column maintenance.active_failovers.until is 'when the model is asked, or tried, again';
comment on column maintenance.active_failovers.reason is 'why, in words';
-- end of sql/engine/model/model_states.sql

-- from sql/engine/model/record_usage.sql 85bce77d7a2aee12
-- What somebody else has asked of a model: the application with its own code, or with the key
-- that the worker has too. It writes rows of its own, which no worker waits for.

create function maintenance_internal.count_request(
  p_model text,
  p_carrier text,
  p_at timestamptz,
  p_requests bigint,
  p_tokens bigint)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into maintenance_internal.model_usage as u
    (model, carrier, hour, requests, tokens, minute, minute_requests)
  values (p_model, p_carrier, date_trunc('hour', p_at), p_requests, p_tokens,
    date_trunc('minute', p_at), p_requests)
  on conflict on constraint model_usage_pkey do update
  set requests = u.requests + excluded.requests,
    tokens = u.tokens + excluded.tokens,
    minute = greatest(u.minute, excluded.minute),
    minute_requests = case
      when u.minute < excluded.minute then excluded.minute_requests
      when u.minute = excluded.minute then u.minute_requests + excluded.minute_requests
      else u.minute_requests end;
end
$$;

create function maintenance.record_usage(
  model text,
  requests bigint default 1,
  tokens bigint default 0,
  at timestamptz default null)
returns text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_now constant timestamptz := maintenance_internal.moment();
  v_at constant timestamptz := coalesce(record_usage.at, v_now);
begin
  perform maintenance_internal.find_model(record_usage.model);
  if record_usage.requests is null or record_usage.requests not between 0 and 1000000000
    or record_usage.tokens is null or record_usage.tokens not between 0 and 1000000000000000 then
    raise exception '% requests and % tokens are not acceptable', record_usage.requests,
      record_usage.tokens using errcode = 'PM002', hint = 'Numbers from 0 on.';
  end if;
  if v_at not between v_now - interval '62 days' and v_now + interval '1 minute' then
    raise exception 'at "%" is out of range', v_at
      using errcode = 'PM002', hint = 'A time of the last 62 days.';
  end if;
  perform maintenance_internal.count_request(record_usage.model, 'application', v_at,
    record_usage.requests, record_usage.tokens);
  return maintenance.effective_model(record_usage.model);
end
$$;

comment on function maintenance.record_usage(text, bigint, bigint, timestamptz) is
  'Counts requests that the application has made of a model (S0-28, S2-03), for its limits in '
  'model_status, and returns the model to ask next (effective_model). at: when, now if null, up to '
  '62 days back. It holds a row of that model''s usage until the transaction ends. Errors: PM002 '
  'argument, PM024 no such model.';
-- end of sql/engine/model/record_usage.sql

-- from sql/engine/model/budget_hold.sql 7d879904e8eae583
-- Why no task is handed out for the rest of the day, or null: what the calls of the day have
-- cost, compared with the setting daily_budget_usd. Calls that go on when it is reached end as
-- they would.

create function maintenance_internal.budget_hold(p_now timestamptz)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_day constant timestamptz := maintenance_internal.quota_day(p_now);
  v_budget constant numeric := (
    select s.value::numeric from maintenance.setting as s where s.name = 'daily_budget_usd');
  v_cost constant numeric := (
    select coalesce(sum(d.cost_usd), 0) from maintenance.model_day as d
    where d.day = (v_day at time zone 'America/Los_Angeles')::date);
begin
  if v_cost < v_budget or v_budget is null then
    return null;
  end if;
  return format('the budget of %s USD a day is spent (%s); until %s', v_budget, round(v_cost, 4),
    to_char(maintenance_internal.quota_day(v_day + interval '36 hours'),
      'YYYY-MM-DD HH24:MI:SSOF'));
end
$$;

-- Why no task is handed out at all, or null: a pause, or the budget.
create function maintenance_internal.asking_hold(p_now timestamptz)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return coalesce(maintenance_internal.pause_text(), maintenance_internal.budget_hold(p_now));
-- end of sql/engine/model/budget_hold.sql

-- from sql/engine/model/usage_number.sql 560579df37e841d7
-- A number of a usage object from outside, or 0 where it is none that makes sense: no call takes
-- more than four million tokens, or milliseconds.

create function maintenance_internal.usage_number(p_usage jsonb, p_key text)
returns bigint
language sql
immutable
set search_path = pg_catalog, pg_temp
return case
  when jsonb_typeof(p_usage -> p_key) = 'number'
    and (p_usage -> p_key)::numeric between 0 and 4000000
    then trunc((p_usage -> p_key)::numeric)::bigint
  else 0
end;
-- end of sql/engine/model/usage_number.sql

-- from sql/engine/model/answered_since.sql 1c6563a4d09f4351
-- Whether others were answered since a time: what tells a task's own fault from that of the model
-- or of the kind. By one model, of one kind, or whoever. Null since when: no.

create function maintenance_internal.answered_since(
  p_at timestamptz,
  p_model text default null,
  p_kind text default null)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return p_at is not null and exists (
    select from maintenance.model_day as d
    where d.day >= (p_at at time zone 'America/Los_Angeles')::date and d.answered_at > p_at
      and d.model = coalesce(p_model, d.model) and d.kind = coalesce(p_kind, d.kind));
end
$$;
-- end of sql/engine/model/answered_since.sql

-- from sql/engine/queue/tables.sql 39c32dcf4399f2d9
-- What is asked of a model: one row per kind, and one per task.

create table maintenance.kind (
  kind text not null,
  instruction text not null,
  response_schema jsonb not null,
  subjects text not null,
  prepare text not null,
  apply text not null,
  trigger text,
  max_attempts integer not null default 5,
  max_output_tokens integer not null default 2048,
  counters text[] not null default '{}',
  changed_at timestamptz not null default maintenance_internal.moment(),
  constraint kind_pkey primary key (kind),
  constraint kind_max_attempts_is_sane check (max_attempts between 1 and 100),
  constraint kind_max_output_tokens_is_positive check (max_output_tokens > 0)
);

comment on table maintenance.kind is
  'One kind of task per row: what the model is told, the shape of its answer, and the three SQL '
  'functions that choose, prepare and apply. Written by set_kind.';
comment on column maintenance.kind.counters is
  'columns that count or date each update: an undo does not put them back, and they are no edit';
comment on column maintenance.kind.changed_at is 'what was refused before is asked again since';

create trigger forget_refusals before update on maintenance.kind
for each row execute function maintenance_internal.forget_refusals();

create table maintenance.task (
  task_id bigint generated always as identity,
  kind text not null,
  subject text not null,
  state text not null default 'ready',
  priority integer not null default 0,
  options jsonb not null default '{}',
  force boolean not null default false,
  attempts integer not null default 0,
  defers integer not null default 0,
  recoveries integer not null default 0,
  more_room boolean not null default false,
  halvings integer not null default 0,
  available_at timestamptz not null default clock_timestamp(),
  due_at timestamptz not null default clock_timestamp(),
  worker text,
  lease_token uuid,
  lease_expires_at timestamptz,
  leased_at timestamptz,
  claims integer not null default 0,
  claimed_by text,
  asks integer not null default 0,
  again boolean not null default false,
  model text,
  asked_tokens integer,
  asked_hash text,
  context jsonb,
  carry jsonb,
  input_hash text,
  last_class text,
  last_error text,
  failed_at timestamptz,
  held_answer jsonb,
  foreseen jsonb,
  settled_token uuid,
  result jsonb,
  cost_usd numeric not null default 0,
  created_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  constraint task_pkey primary key (task_id),
  constraint task_kind_fkey foreign key (kind) references maintenance.kind (kind),
  constraint task_state_is_known check (state in
    ('ready', 'leased', 'succeeded', 'skipped', 'quarantined', 'dead')),
  constraint task_leased_has_a_lease check (
    (state = 'leased') = (lease_token is not null)
    and (state = 'leased') = (lease_expires_at is not null)
    and (state = 'leased') = (worker is not null)),
  constraint task_again_belongs_to_leased check (not again or state = 'leased'),
  constraint task_ends_when_it_is_over
    check ((state in ('succeeded', 'skipped', 'dead')) = (finished_at is not null)),
  constraint task_dead_has_an_error check (state <> 'dead' or last_error is not null),
  constraint task_quarantined_can_be_decided
    check ((state = 'quarantined') = (held_answer is not null)
      and (state <> 'quarantined' or context is not null)),
  constraint task_priority_is_sane check (priority between -5 and 5),
  constraint task_counts_are_not_negative
    check (attempts >= 0 and defers >= 0 and recoveries >= 0 and halvings >= 0)
) with (fillfactor = 80);

create unique index task_open_is_unique on maintenance.task (kind, subject)
where state in ('ready', 'leased');
create index task_ready_idx on maintenance.task (kind, priority, available_at, task_id)
where state = 'ready';
create index task_leased_idx on maintenance.task (lease_expires_at) where state = 'leased';
-- By pattern: what is below a subject is found by it, too (erase_subject).
create index task_subject_idx on maintenance.task (subject text_pattern_ops, kind, task_id);
create index task_finished_at_idx on maintenance.task (finished_at) where finished_at is not null;
create index task_dead_idx on maintenance.task (finished_at) where state = 'dead';
create index task_quarantined_idx on maintenance.task (task_id) where state = 'quarantined';

comment on table maintenance.task is
  'One question to a model per row. ready waits for available_at; leased is with a worker; '
  'succeeded, skipped and dead are over; quarantined waits for a decision.';
comment on column maintenance.task.subject is
  'what it is about: the id of a user, or of something of theirs, as USER/CONVERSATION: who erases '
  'USER erases that, too';
comment on column maintenance.task.priority is 'the lower goes first, from -5 to 5';
comment on column maintenance.task.defers is
  'failures that were not its own, although no other task has met them: dead after 50';
comment on column maintenance.task.more_room is
  'an answer was cut: max_output_tokens is doubled from then on';
comment on column maintenance.task.halvings is
  'how often it was too large, or its answer was cut although it had more room: prepare is told '
  'to show a half, a quarter and so on';
comment on column maintenance.task.asked_tokens is 'the max_output_tokens of the last request';
comment on column maintenance.task.asked_hash is
  'the hash of the content of the last request, while it goes on or where it was in vain';
comment on column maintenance.task.due_at is 'since when it should have been asked';
comment on column maintenance.task.failed_at is
  'the last failure that may have been the model''s: another one is its own where others were '
  'answered since';
comment on column maintenance.task.leased_at is 'when it was claimed: a lease ends six hours later';
comment on column maintenance.task.claims is
  'how often it was claimed, also where it was given back';
comment on column maintenance.task.claimed_by is 'the login that claimed it last';
comment on column maintenance.task.asks is 'how often its prompt was handed out';
comment on column maintenance.task.again is 'asked for again while leased: another go follows';
comment on column maintenance.task.context is
  'what prepare showed the model: short ids, real ids and versions; gone when the task is over';
comment on column maintenance.task.carry is
  'what its last answer hands on to the next request: the task goes on; gone when it is over';
comment on column maintenance.task.held_answer is
  'the answer that waits for a decision; gone after it';
comment on column maintenance.task.foreseen is
  'what the approval of held_answer would do, for pending_answer';
comment on column maintenance.task.settled_token is
  'the lease that complete_task last settled: its replay returns result';

-- What is kept of a subject when its tasks are gone: what was last asked about, so that the same
-- is not asked twice.
create table maintenance_internal.subject (
  kind text not null,
  subject text not null,
  input_hash text,
  looked_at timestamptz not null,
  constraint subject_pkey primary key (subject, kind),
  constraint subject_kind_fkey foreign key (kind) references maintenance.kind (kind)
    on delete cascade
) with (fillfactor = 80);

create index subject_pattern_idx on maintenance_internal.subject (subject text_pattern_ops);
create index subject_looked_at_idx on maintenance_internal.subject (looked_at);

comment on table maintenance_internal.subject is
  'Of each subject of a kind, the input of its last answer, and when prepare last looked at it.';

-- Whom to forget: noted by whoever deletes somebody, and done by the tick.
create table maintenance_internal.erasure (
  subject text not null,
  kind text not null default '*',
  noted_at timestamptz not null default clock_timestamp(),
  erased_in xid8,
  error text,
  constraint erasure_pkey primary key (subject, kind)
);

comment on table maintenance_internal.erasure is
  'Subjects that are to be forgotten, for a kind or for all (*): no answer about them is taken any '
  'more, and the next tick forgets them, a second time when all transactions of then are over: '
  'one of them may have asked about them. erased_in: the transaction of the first time. error: '
  'why it could not.';

-- The ledger: one operation per row, in the order of the answer. Rows are added and never
-- changed, but to forget what they say; an undo is one more row.
create table maintenance.change (
  change_id bigint generated always as identity,
  task_id bigint not null,
  kind text,
  subject text,
  undoes bigint,
  op text,
  outcome text not null,
  reason text,
  note text,
  keys text[] not null default '{}',
  rows jsonb not null default '[]',
  deletes boolean not null default false,
  made_by text not null default session_user,
  created_at timestamptz not null default maintenance_internal.moment(),
  forgotten_at timestamptz,
  constraint change_pkey primary key (change_id),
  constraint change_is_undone_once unique (undoes),
  constraint change_outcome_is_known check (outcome in ('applied', 'refused')),
  constraint change_refused_has_a_reason check (outcome = 'applied' or reason is not null),
  constraint change_rows_are_a_list check (jsonb_typeof(rows) = 'array')
);

create index change_task_id_idx on maintenance.change (task_id);
create index change_subject_idx on maintenance.change (subject text_pattern_ops, kind);
create index change_created_at_idx on maintenance.change (created_at);
create index change_texts_idx on maintenance.change (created_at)
where forgotten_at is null and not deletes;
create index change_deletes_idx on maintenance.change (created_at)
where deletes and forgotten_at is null;

comment on table maintenance.change is
  'What answers changed, one operation per row, refused ones too. The texts in it, and with them '
  'the undo, go after 30 days (forget_changes), those of what was deleted after the setting '
  'recovery_days (forget_deletions); the row goes after two years (purge_changes).';
comment on column maintenance.change.task_id is 'the task, which may be gone: the ledger stays';
comment on column maintenance.change.kind is 'the kind of the task, and what it was about: subject';
comment on column maintenance.change.undoes is 'the change that this one reversed; it may be gone';
comment on column maintenance.change.reason is 'why it was refused, without any row''s text';
comment on column maintenance.change.note is 'why the model wanted it, in its own words';
comment on column maintenance.change.keys is
  'what the operation is about: ids of rows, or names of fields';
comment on column maintenance.change.forgotten_at is
  'when rows and note were emptied: an undo is not possible any more';
comment on column maintenance.change.rows is
  'one per row that it changed: {table, before, after}, before being null for a new row, after for '
  'one that it deleted; an undo: {table, key, outcome, reason}';
comment on column maintenance.change.deletes is 'rows has what was deleted';
-- end of sql/engine/queue/tables.sql

-- from sql/engine/model/pick_models.sql acdddf4e7f9d73da
-- Whom the worker asks now, for each kind of task: the first model in order below 95 % of its
-- limits, else the first below 100 %; where its next call may begin; and how many may before ten
-- seconds are over.
--
-- A model that cools is waited for where that is a moment: a limit for ten seconds, a fault at
-- its first time. So a refusal now and then does not send the rest to and fro. Else it is passed
-- over, but for one call that tries when its time is over; and nobody is asked before, unless
-- there is nobody else.
--
-- Within a minute calls are spaced, never bursts: the place of each is reserved ahead, and the
-- worker sleeps until then. At that pace 95 % of a minute are never reached, whether the limit
-- counts by the clock, by a sliding minute or by tokens in a bucket, and nobody has to poll.

create function maintenance_internal.pick_models(p_now timestamptz, p_kind text default null)
returns table (kind text, model text, asks_at timestamptz, pace interval, calls integer,
  is_probe boolean)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_patience constant interval := '10 seconds';
begin
  return query
    select p.kind, p.model, p.asks_at, p.pace,
      case
        when p.asks_at > p_now + greatest(v_patience, p.pace) then 0
        when p.is_waited_for then 1
        when p.pace = interval '0' then 1000
        else greatest(1, 1 + floor(extract(epoch from p_now + v_patience - p.asks_at)
          / extract(epoch from p.pace)))
      end::integer,
      p.is_probe
    from (
      select distinct on (k.kind) k.kind, m.model,
        greatest(p_now, c.until, c.probing_until,
          -- A place that a clock running ahead has left behind is none.
          case when o.next_at <= p_now + interval '3 minutes' then o.next_at end) as asks_at,
        case
          when l.per_minute is null then interval '0'
          else interval '1 minute' / greatest(ceil(l.per_minute * 0.95) - 1, 1)
        end as pace,
        c.until is not null as is_probe,
        coalesce(c.is_short, false) as is_waited_for
      from maintenance.kind as k
      cross join maintenance_internal.model_states(p_now) as s
      join maintenance.model as m on m.model = s.model
      left join maintenance_internal.model_pace as o on o.model = m.model
      cross join lateral (
        select least(m.per_minute, case when o.learned_at > p_now - interval '1 day'
          then o.learned_minute end) as per_minute
      ) as l
      cross join lateral (
        select max(d.until) as until, max(d.probing_until) as probing_until,
          bool_and(d.until - d.since <= v_patience
            and (d.class = 'limit' or d.class = 'fault' and d.times = 1)) as is_short
        from maintenance_internal.cool_down as d
        where d.model = m.model and d.kind in ('*', k.kind)
          and d.since <= p_now + interval '1 minute'
      ) as c
      where m.carrier = 'worker' and m.enabled and coalesce(s.percent, 0) < 100
        and k.kind = coalesce(p_kind, k.kind)
        and (c.until is null
          or c.until <= p_now + v_patience
            -- A call that tries is waited for as well, and no longer.
            and (coalesce(c.probing_until <= p_now, true)
              or c.is_short and c.until > p_now - v_patience))
      order by k.kind, coalesce(c.until > p_now and not c.is_short, false),
        coalesce(s.percent, 0) >= 95, m.position
    ) as p;
end
$$;

-- Why a kind is asked of no model now: each of them, with what is in the way and until when.
create function maintenance_internal.kind_hold(p_kind text, p_now timestamptz)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select format('no model can be asked for %s: %s', p_kind,
      coalesce(string_agg(format('%s %s', s.model, w.words), '; ' order by s.position),
        'none is enabled'))
    from maintenance_internal.model_states(p_now) as s
    left join maintenance_internal.model_pace as o on o.model = s.model
    left join maintenance_internal.cool_down as c on c.model = s.model and c.kind = '*'
    left join maintenance_internal.cool_down as n on n.model = s.model and n.kind = p_kind
    cross join lateral (
      select to_char(coalesce(greatest(c.until, n.until), s.until, o.next_at),
        'YYYY-MM-DD HH24:MI:SSOF') as until
    ) as u
    cross join lateral (
      select case
        when c.probing_until > p_now or n.probing_until > p_now
          then format('is being tried (%s)', coalesce(n.reason, c.reason))
        when n.model is not null then format('refuses this kind until %s (%s)', u.until, n.reason)
        when s.state in ('ok', 'warning', 'failing_over')
          then 'has its next place at ' || u.until
        else format('is %s until %s (%s)', s.state, u.until, s.reason)
      end as words
    ) as w
    where s.carrier = 'worker' and s.state <> 'disabled');
end
$$;
-- end of sql/engine/model/pick_models.sql

-- from sql/engine/model/reserve_call.sql bce4f8c2a17ea8a6
-- Reserves the place of one call, as the last of what task_request does: a row that is null where
-- no model can be asked now. Who asks twice under one token has one place.

create function maintenance_internal.reserve_call(p_task maintenance.task, p_characters integer)
returns maintenance.model_call
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_call maintenance.model_call;
  v_pick record;
  v_now timestamptz;
begin
  select * into v_call from maintenance.model_call as c
  where c.lease_token = p_task.lease_token and c.settled_at is null;
  if found then
    return v_call;
  end if;
  perform from maintenance.model as m
  where m.carrier = 'worker'
  order by m.model
  for no key update;
  v_now := maintenance_internal.moment();
  select * into v_pick from maintenance_internal.pick_models(v_now, p_task.kind);
  if not found or v_pick.calls = 0 then
    return null;
  end if;

  insert into maintenance_internal.model_pace as p (model, next_at)
  values (v_pick.model, v_pick.asks_at + v_pick.pace)
  on conflict on constraint model_pace_pkey do update set next_at = excluded.next_at;
  if v_pick.is_probe then
    -- Nobody else until it is settled, or has been given up.
    update maintenance_internal.cool_down as c
    set probing_until = v_pick.asks_at + m.timeout + interval '5 seconds'
    from maintenance.model as m
    where m.model = v_pick.model and c.model = m.model and c.kind in ('*', p_task.kind);
  end if;
  perform maintenance_internal.count_request(v_pick.model, 'worker', v_pick.asks_at, 1, 0);
  insert into maintenance.model_call
    (task_id, kind, model, lease_token, asks_at, is_probe, input_tokens)
  values (p_task.task_id, p_task.kind, v_pick.model, p_task.lease_token, v_pick.asks_at,
    v_pick.is_probe, ceil(p_characters / 3.0))
  returning * into v_call;
  return v_call;
end
$$;
-- end of sql/engine/model/reserve_call.sql

-- from sql/engine/model/cool_model.sql 248595267d9d5fc4
-- Whose fault is a failed call? The model's (a limit, an outage, gone), the kind's on this model
-- (it was never answered like this), or the task's own: what happened to others decides, not
-- words. What is not the task's own makes the model cool down; true: it is the task's own.
--
--   limit    asked too often: 1 second, doubled with each failure up to a minute, and at least what
--            Gemini says (a day at most); a limit of the day: until midnight in Los Angeles
--   fault    the same, for an outage
--   gone     a model that is not there: 1 minute, doubled up to 6 hours
--   refused  a request of this kind: 1 minute, doubled up to an hour
--
-- Only the call that tried doubles it: those that were under way when it began say nothing new.

create function maintenance_internal.cool_model(
  p_call maintenance.model_call,
  p_outcome text,
  p_details jsonb,
  p_message text,
  p_retry_after interval)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now constant timestamptz := maintenance_internal.moment();
  -- Not least(), which would make a day of null.
  v_retry_after constant interval :=
    case when p_retry_after > interval '1 day' then interval '1 day' else p_retry_after end;
  v_said constant text := concat(p_details::text, ' ', p_message);
  v_class text := case
    when p_outcome = 'gone' then 'gone'
    when p_outcome in ('rejected', 'too_large') then 'refused'
    when p_outcome in ('defer', 'transient')
      and (v_said ~ 'QuotaFailure' or p_message ~ '^429') then 'limit'
    when p_outcome in ('defer', 'transient') then 'fault'
  end;
  -- For whoever reads the status: never the words of an error, which may hold an answer's.
  v_reason constant text := format('%s (%stask %s)',
    case v_class
      when 'limit' then 'asked too often'
      when 'gone' then 'it is not there'
      when 'refused' then 'it refuses requests of this kind'
      else 'it fails, or cannot be reached'
    end, substring(p_message from '^\d{3}\M') || ', ', p_call.task_id);
  v_kind constant text := case v_class when 'refused' then p_call.kind else '*' end;
  v_is_own boolean;
  v_until timestamptz;
begin
  v_is_own := case
    when v_class is null then true
    -- It fails again and again, while others are answered.
    when p_outcome = 'transient' then (
      select maintenance_internal.answered_since(
        greatest(t.failed_at, v_now - interval '2 minutes'), p_call.model)
      from maintenance.task as t
      where t.task_id = p_call.task_id and t.failed_at is not null)
    -- Others of its kind are answered by this model, as both are set now, and the last was.
    when v_class = 'refused' then coalesce((
      select max(d.answered_at) > greatest(k.changed_at, m.changed_at, max(d.refused_at))
      from maintenance.model_day as d
      join maintenance.kind as k on k.kind = d.kind
      join maintenance.model as m on m.model = d.model
      where d.model = p_call.model and d.kind = p_call.kind
      group by k.changed_at, m.changed_at), false)
    else false
  end;
  if v_is_own then
    return true;
  end if;

  perform from maintenance.model as m where m.model = p_call.model for key share;
  if not found then
    return false; -- it was taken away meanwhile
  end if;
  if v_class = 'limit' then
    perform maintenance_internal.learn_limit(p_call.model, p_details, v_now);
    if v_said ~ 'PerDay|limit: 0\M' then
      v_until := maintenance_internal.quota_day(
        maintenance_internal.quota_day(v_now) + interval '36 hours');
    end if;
  end if;
  -- What a clock running ahead has left behind.
  delete from maintenance_internal.cool_down as c
  where c.model = p_call.model and c.kind = v_kind and c.since > v_now + interval '1 minute';
  insert into maintenance_internal.cool_down as c (model, kind, class, reason, since, until)
  values (p_call.model, v_kind, v_class, v_reason, v_now, coalesce(v_until,
    v_now + greatest(v_retry_after, maintenance_internal.cool_time(v_class, 1))))
  on conflict on constraint cool_down_pkey do update
  set class = excluded.class,
    reason = excluded.reason,
    times = c.times + p_call.is_probe::integer,
    since = case when p_call.is_probe then v_now else c.since end,
    probing_until = case when not p_call.is_probe then c.probing_until end,
    until = greatest(c.until, v_until, v_now + v_retry_after, case when p_call.is_probe
      then v_now + maintenance_internal.cool_time(excluded.class, c.times + 1) end);
  return false;
end
$$;

-- How long nobody asks after so many failures in a row.
create function maintenance_internal.cool_time(p_class text, p_times integer)
returns interval
language sql
immutable
set search_path = pg_catalog, pg_temp
return case p_class
  when 'gone' then least(interval '1 minute' * 2 ^ least(p_times - 1, 20), interval '6 hours')
  when 'refused' then least(interval '1 minute' * 2 ^ least(p_times - 1, 20), interval '1 hour')
  else least(interval '1 second' * 2 ^ least(p_times - 1, 20), interval '1 minute')
end;

-- A limit that Gemini tells outright is believed where it is lower than what is known, for a day.
-- Nothing else is guessed.
create function maintenance_internal.learn_limit(p_model text, p_details jsonb, p_now timestamptz)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_minute integer;
  v_day integer;
begin
  select min((v.said ->> 'quotaValue')::integer)
      filter (where v.said ->> 'quotaId' ~ 'RequestsPerMinute'),
    min((v.said ->> 'quotaValue')::integer)
      filter (where v.said ->> 'quotaId' ~ 'RequestsPerDay')
  into v_minute, v_day
  from jsonb_path_query(p_details, 'lax $[*].violations[*]') as v (said)
  where v.said ->> 'quotaValue' ~ '^[1-9][0-9]{0,8}$';
  if v_minute is null and v_day is null then
    return;
  end if;
  insert into maintenance_internal.model_pace as p
    (model, learned_minute, learned_day, learned_at)
  values (p_model, v_minute, v_day, p_now)
  on conflict on constraint model_pace_pkey do update
  set learned_minute = least(
      case when p.learned_at > p_now - interval '1 day' then p.learned_minute end, v_minute),
    learned_day = least(
      case when p.learned_at > p_now - interval '1 day' then p.learned_day end, v_day),
    learned_at = p_now;
end
$$;
-- end of sql/engine/model/cool_model.sql

-- from sql/engine/model/settle_call.sql 29f962f785930fde
-- Closes a call under its lease token: what it took and cost, what it says of the model, and
-- whether a failure is the task's own fault. What a worker says of it is bounded: the login may
-- be in other hands.

create function maintenance_internal.settle_call(
  p_token uuid,
  p_outcome text,
  p_usage jsonb default null,
  p_details jsonb default null,
  p_message text default null,
  p_retry_after interval default null,
  out cost numeric,
  out is_own_fault boolean)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now constant timestamptz := maintenance_internal.moment();
  v_outcome text := p_outcome;
  v_answered constant boolean :=
    p_outcome in ('succeeded', 'quarantined', 'bad_output', 'stale', 'blocked');
  v_call maintenance.model_call;
begin
  is_own_fault := true;
  select * into v_call from maintenance.model_call as c
  where c.lease_token = p_token and c.settled_at is null;
  if not found then
    return; -- it was never asked
  end if;
  if p_outcome = 'released' and v_now < v_call.asks_at then
    v_outcome := 'unasked';
  end if;

  v_call.output_tokens := maintenance_internal.usage_number(p_usage, 'candidatesTokenCount')
    + maintenance_internal.usage_number(p_usage, 'thoughtsTokenCount');
  if maintenance_internal.usage_number(p_usage, 'promptTokenCount') > 0 then
    v_call.is_estimate := false;
    v_call.input_tokens := maintenance_internal.usage_number(p_usage, 'promptTokenCount');
    v_call.cached_tokens := least(v_call.input_tokens,
      maintenance_internal.usage_number(p_usage, 'cachedContentTokenCount'));
  elsif v_outcome in ('defer', 'gone', 'configuration', 'rejected', 'too_large', 'unasked') then
    v_call.is_estimate := false; -- refused, and not billed
    v_call.input_tokens := 0;
  end if;
  select trim_scale(((v_call.input_tokens - v_call.cached_tokens) * m.input_usd
      + v_call.cached_tokens * coalesce(m.cached_usd, m.input_usd)
      + v_call.output_tokens * m.output_usd) / 1e6) into cost
  from maintenance.model as m
  where m.model = v_call.model;
  update maintenance.model_call as c
  set outcome = v_outcome,
    settled_at = v_now,
    input_tokens = v_call.input_tokens,
    output_tokens = v_call.output_tokens,
    cached_tokens = v_call.cached_tokens,
    is_estimate = v_call.is_estimate,
    cost_usd = cost,
    model_version = left(p_usage ->> 'modelVersion', 100),
    duration =
      maintenance_internal.usage_number(p_usage, 'durationMs') * interval '1 millisecond',
    details = case when length(p_details::text) > 4000
      then jsonb_build_object('cut', left(p_details::text, 4000)) else p_details end
  where c.call_id = v_call.call_id;

  if v_outcome = 'unasked' then
    -- It gives its place back, where nobody has a later one.
    update maintenance_internal.model_pace as p
    set next_at = v_call.asks_at
    where p.model = v_call.model and p.next_at > v_call.asks_at and not exists (
      select from maintenance.model_call as o
      where o.model = v_call.model and o.settled_at is null and o.asks_at > v_call.asks_at);
  end if;
  if v_answered then
    delete from maintenance_internal.cool_down as c
    where c.model = v_call.model and c.kind in ('*', v_call.kind) and c.since <= v_call.asks_at;
  else
    -- What is too large is tried with less at first.
    is_own_fault := case when p_outcome = 'too_large' then true
      else maintenance_internal.cool_model(v_call, p_outcome, p_details, p_message,
        p_retry_after) end;
    if v_call.is_probe then
      update maintenance_internal.cool_down as c -- the next one may try
      set probing_until = null
      where c.model = v_call.model and c.kind in ('*', v_call.kind);
    end if;
  end if;
  if v_outcome = 'unasked' then
    update maintenance_internal.model_usage as u
    set requests = u.requests - 1,
      minute_requests =
        u.minute_requests - (u.minute = date_trunc('minute', v_call.asks_at))::integer
    where u.model = v_call.model and u.carrier = 'worker'
      and u.hour = date_trunc('hour', v_call.asks_at);
    return; -- no call was made
  end if;

  insert into maintenance.model_day as d (day, model, kind, calls, answered, input_tokens,
    output_tokens, cached_tokens, cost_usd, unknown_cost, answered_at, refused_at)
  values ((v_now at time zone 'America/Los_Angeles')::date, v_call.model, v_call.kind, 1,
    v_answered::integer, v_call.input_tokens, v_call.output_tokens, v_call.cached_tokens,
    coalesce(cost, 0), (v_call.is_estimate or cost is null)::integer,
    case when v_answered then v_now end,
    case when p_outcome = 'rejected' then v_now end)
  on conflict on constraint model_day_pkey do update
  set calls = d.calls + excluded.calls,
    answered = d.answered + excluded.answered,
    input_tokens = d.input_tokens + excluded.input_tokens,
    output_tokens = d.output_tokens + excluded.output_tokens,
    cached_tokens = d.cached_tokens + excluded.cached_tokens,
    cost_usd = d.cost_usd + excluded.cost_usd,
    unknown_cost = d.unknown_cost + excluded.unknown_cost,
    answered_at = greatest(d.answered_at, excluded.answered_at),
    refused_at = greatest(d.refused_at, excluded.refused_at);
end
$$;
-- end of sql/engine/model/settle_call.sql

-- from sql/engine/model/lint_models.sql f521d7fd47025bf2
-- What is to be known of the models: one without a price, which the budget does not see; one that
-- is asked too often, and whose limit nobody has told.

create function maintenance_internal.lint_models()
returns table (severity text, finding text, fix text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select 'warning', format('the model %s has no price: what it costs counts for no budget',
        m.model),
      format('With USD per million tokens in and out: select maintenance.set_model(%L, '
        'input_usd => 0.30, output_usd => 2.50);', m.model)
    from maintenance.model as m
    where m.carrier = 'worker' and m.enabled and (m.input_usd is null or m.output_usd is null)
    order by m.position;
  return query
    select 'notice', format('the model %s has refused %s of its last %s calls as too many, and '
        'its limit is not known', m.model, c.refused, c.calls),
      format('With the requests a minute that your account allows: select maintenance.set_model('
        '%L, per_minute => 15);', m.model)
    from (
      select l.model, count(*) as calls,
        count(*) filter (where l.outcome = 'defer'
          and l.details::text ~ 'QuotaFailure|RetryInfo') as refused
      from (select * from maintenance.model_call order by call_id desc limit 1000) as l
      group by l.model
    ) as c
    join maintenance.model as m on m.model = c.model
    left join maintenance_internal.model_pace as p on p.model = m.model
    where m.per_minute is null and p.learned_minute is null
      and c.refused > 10 and c.refused > 0.02 * c.calls
    order by m.position;
end
$$;
-- end of sql/engine/model/lint_models.sql

-- from sql/engine/queue/find_prepare.sql efda2c9ded5c12fe
-- A kind's prepare by exact signature. It only reads, so it has to be declared stable.

create function maintenance_internal.find_prepare(p_name text)
returns regprocedure
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_prepare regprocedure := maintenance_internal.find_function(p_name, 'text, jsonb',
    'TABLE(content text, context jsonb, input_hash text, skip_reason text)');
begin
  if (select p.provolatile from pg_proc as p where p.oid = v_prepare) = 'v' then
    raise exception 'the function % is volatile', v_prepare
      using errcode = 'PM007', hint = 'prepare only reads: declare it stable.';
  end if;
  return v_prepare;
end
$$;
-- end of sql/engine/queue/find_prepare.sql

-- from sql/engine/queue/call_kind.sql d14b9c7c4e983282
-- Calls the functions of a kind, under the path of their owner's own sessions.

create function maintenance_internal.call_subjects(p_name text)
returns text[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_function regproc := maintenance_internal.find_function(p_name, '', 'SETOF text');
  v_subjects text[];
  v_context text;
begin
  perform maintenance_internal.check_session();
  perform set_config('search_path', maintenance_internal.owner_path(), true);
  execute format('select array_agg(distinct s) from %s() as s where s <> ''''', v_function)
  into v_subjects;
  if exists (select from unnest(v_subjects) as s where length(s) > 200) then
    raise exception 'a subject has more than 200 characters' using errcode = 'PM002';
  end if;
  return coalesce(v_subjects, '{}');
exception when others or assert_failure then
  -- Whoever asks may not read the tables: no text of a row.
  get stacked diagnostics v_context = pg_exception_context;
  raise exception 'the subjects cannot be told by %: %', p_name,
      maintenance_internal.error_text(sqlstate, sqlerrm, v_context)
    using errcode = sqlstate, hint = 'The owner sees all of it: select * from ' || p_name || '();';
end
$$;

-- The options that prepare and apply are given: the caller's, and what the engine adds to them. By
-- the kind in them one function serves several.
create function maintenance_internal.kind_options(
  p_task maintenance.task,
  p_name text,
  p_value jsonb)
returns jsonb
language sql
immutable
set search_path = pg_catalog, pg_temp
return (p_task.options - array['carry', 'share'])
  || jsonb_build_object('kind', p_task.kind)
  || case when p_value is not null then jsonb_build_object(p_name, p_value) else '{}' end
  || case when p_task.carry is not null then jsonb_build_object('carry', p_task.carry)
    else '{}' end;

create function maintenance_internal.call_prepare(
  p_name text,
  p_subject text,
  p_options jsonb,
  out content text,
  out context jsonb,
  out input_hash text,
  out skip_reason text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_function regproc := maintenance_internal.find_prepare(p_name);
begin
  perform maintenance_internal.check_session();
  perform set_config('search_path', maintenance_internal.owner_path(), true);
  execute format('select p.content, p.context, p.input_hash, p.skip_reason '
    'from %s($1::text, $2::jsonb) as p', v_function)
  into content, context, input_hash, skip_reason using p_subject, p_options;
end
$$;

create function maintenance_internal.call_apply(
  p_name text,
  p_subject text,
  p_context jsonb,
  p_answer jsonb,
  p_options jsonb)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_function regproc :=
    maintenance_internal.find_function(p_name, 'text, jsonb, jsonb, jsonb', 'jsonb');
  v_check_deferred text := maintenance_internal.check_deferred_statement();
  v_result jsonb;
begin
  perform maintenance_internal.check_session();
  perform set_config('search_path', maintenance_internal.owner_path(), true);
  execute format('select %s($1::text, $2::jsonb, $3::jsonb, $4::jsonb)', v_function)
  into v_result using p_subject, p_context, p_answer, p_options;
  if v_check_deferred is not null then
    execute v_check_deferred;
  end if;
  return v_result;
end
$$;
-- end of sql/engine/queue/call_kind.sql

-- from sql/engine/queue/schema_fault.sql 7b31474b8469219b
-- What Gemini would not take of a response schema, with the path to it; or null. It knows a part
-- of OpenAPI's schemas, and refuses a request as a whole for one word that it does not know.

create function maintenance_internal.schema_fault(p_schema jsonb, p_path text default '$')
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_known constant text[] := array['type', 'format', 'title', 'description', 'nullable', 'enum',
    'items', 'minItems', 'maxItems', 'properties', 'required', 'minProperties', 'maxProperties',
    'propertyOrdering', 'minLength', 'maxLength', 'pattern', 'minimum', 'maximum', 'anyOf',
    'example', 'default'];
  v_bounds constant text[] := array['minItems', 'maxItems', 'minProperties', 'maxProperties',
    'minLength', 'maxLength', 'minimum', 'maximum'];
  v_belongs constant jsonb := '{"enum": ["string"], "minLength": ["string"],
    "maxLength": ["string"], "pattern": ["string"], "minimum": ["number", "integer"],
    "maximum": ["number", "integer"], "items": ["array"], "minItems": ["array"],
    "maxItems": ["array"], "properties": ["object"], "required": ["object"],
    "propertyOrdering": ["object"], "minProperties": ["object"], "maxProperties": ["object"]}';
  v_formats constant jsonb := '{"string": ["enum", "date-time"], "number": ["float", "double"],
    "integer": ["int32", "int64"]}';
  v_type constant text := lower(p_schema ->> 'type');
  v_fault text;
begin
  if jsonb_typeof(p_schema) is distinct from 'object' then
    return p_path || ' is not an object';
  elsif regexp_count(p_path, '\.(items|properties|anyOf)') > 45 then
    return 'it is nested too deep';
  end if;
  select case
      when e.key <> all (v_known) then format('%s.%s: Gemini knows no such word', p_path, e.key)
      when e.value = 'null' then format('%s.%s is null', p_path, e.key)
      when e.key = any (v_bounds) and jsonb_typeof(e.value) <> 'number'
        then format('%s.%s is no number', p_path, e.key)
      when e.key ~ '^(min|max)[ILP]' and e.value::text !~ '^\d+$'
        then format('%s.%s is no whole number from 0 on', p_path, e.key)
      when e.key in ('type', 'format', 'title', 'description', 'pattern')
        and jsonb_typeof(e.value) <> 'string' then format('%s.%s is no text', p_path, e.key)
      when p_schema ? 'anyOf' and e.key not in ('anyOf', 'nullable', 'title', 'description')
        then format('%s.%s stands beside anyOf, which stands alone', p_path, e.key)
      when p_path = '$' and e.key = 'anyOf' then '$.anyOf: an answer is one object'
      when e.key in ('enum', 'required', 'propertyOrdering', 'anyOf')
        and (jsonb_typeof(e.value) <> 'array' or e.value = '[]')
        then format('%s.%s is no list, or an empty one', p_path, e.key)
      when e.key in ('enum', 'required', 'propertyOrdering')
        and jsonb_path_exists(e.value, 'strict $[*] ? (@.type() <> "string" || @ == "")')
        then format('%s.%s has what is no text, or an empty one', p_path, e.key)
      when v_type is not null and v_belongs -> e.key is not null
        and not v_belongs -> e.key ? v_type
        then format('%s.%s does not belong to type %s', p_path, e.key, v_type)
      when e.key = 'format' and v_formats ? v_type and not v_formats -> v_type ? (e.value #>> '{}')
        then format('%s.format is none that Gemini knows of a %s', p_path, v_type)
      when e.key = 'nullable' and jsonb_typeof(e.value) <> 'boolean'
        then format('%s.%s is neither true nor false', p_path, e.key)
    end
  into v_fault
  from jsonb_each(p_schema) as e
  order by 1
  limit 1;
  if v_fault is not null then
    return v_fault;
  end if;

  if p_schema ? 'anyOf' then
    return (
      select maintenance_internal.schema_fault(a.value, format('%s.anyOf[%s]', p_path, a.nr - 1))
        as fault
      from jsonb_array_elements(p_schema -> 'anyOf') with ordinality as a (value, nr)
      order by fault
      limit 1);
  elsif v_type is null
    or v_type not in ('object', 'array', 'string', 'number', 'integer', 'boolean') then
    return format('%s.type is not one of object, array, string, number, integer, boolean', p_path);
  elsif p_path = '$' and v_type <> 'object' then
    return '$.type is not object: an answer is one';
  elsif (p_schema ->> 'minItems')::numeric > (p_schema ->> 'maxItems')::numeric
    or (p_schema ->> 'minLength')::numeric > (p_schema ->> 'maxLength')::numeric
    or (p_schema ->> 'minProperties')::numeric > (p_schema ->> 'maxProperties')::numeric
    or (p_schema ->> 'minimum')::numeric > (p_schema ->> 'maximum')::numeric then
    return p_path || ' is at least more than it is at most';
  elsif v_type = 'array' then
    return maintenance_internal.schema_fault(p_schema -> 'items', p_path || '.items');
  elsif v_type <> 'object' then
    return null;
  elsif coalesce(p_schema -> 'properties', '{}') = '{}'
    or jsonb_typeof(p_schema -> 'properties') <> 'object' then
    return format('%s.properties are missing: an object needs some', p_path);
  end if;
  select format('%s.%s has %s, which is none of its properties', p_path, l.list, r.name)
  into v_fault
  from unnest(array['required', 'propertyOrdering']) as l (list)
  cross join lateral jsonb_array_elements_text(coalesce(p_schema -> l.list, '[]')) as r (name)
  where not p_schema -> 'properties' ? r.name
  limit 1;
  return coalesce(v_fault, (
    select maintenance_internal.schema_fault(e.value, p_path || '.properties.' || e.key) as fault
    from jsonb_each(p_schema -> 'properties') as e
    order by fault
    limit 1));
end
$$;
-- end of sql/engine/queue/schema_fault.sql

-- from sql/engine/queue/set_kind.sql 3a86ec203b686857
-- Declares a kind of task: a row, and three SQL functions. No worker has to know it.

-- No model has more room for an answer.
create function maintenance_internal.most_tokens()
returns integer
language sql
immutable
set search_path = pg_catalog, pg_temp
return 65536;

create function maintenance.set_kind(
  kind text,
  instruction text,
  response_schema jsonb,
  subjects text,
  prepare text,
  apply text,
  trigger text default null,
  max_attempts integer default 5,
  max_output_tokens integer default 2048,
  counters text[] default '{}')
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_fault text;
begin
  if coalesce(set_kind.kind, '') !~ '^[a-z][a-z0-9_]{0,62}$' then
    raise exception 'the kind "%" is not acceptable', set_kind.kind
      using errcode = 'PM002', hint = 'Up to 63 small letters, digits and "_", a letter first.';
  end if;
  if coalesce(set_kind.trigger, 'x') !~ '^[a-z][a-z0-9_]{0,62}$' or set_kind.trigger = 'all' then
    raise exception 'the trigger "%" is not acceptable', set_kind.trigger
      using errcode = 'PM002', hint = 'consolidate, analyze or archive, which trigger_jobs() asks '
        'for; any other name of small letters, digits and "_" but all; or null for none.';
  end if;
  if set_kind.max_attempts is null or set_kind.max_attempts not between 1 and 100 then
    raise exception 'max_attempts % is out of range', set_kind.max_attempts
      using errcode = 'PM002', hint = '1 to 100.';
  end if;
  if coalesce(set_kind.max_output_tokens, 0)
    not between 1 and maintenance_internal.most_tokens()
  then
    raise exception 'max_output_tokens % is out of range', set_kind.max_output_tokens
      using errcode = 'PM002', hint = format('1 to %s.', maintenance_internal.most_tokens());
  end if;
  if coalesce(btrim(set_kind.instruction), '') = ''
    or jsonb_typeof(set_kind.response_schema) is distinct from 'object' then
    raise exception 'the kind "%" needs an instruction and a response schema', set_kind.kind
      using errcode = 'PM002', hint = 'A text, and a JSON object that says what an answer is.';
  end if;

  v_fault := maintenance_internal.schema_fault(set_kind.response_schema);
  if v_fault is not null then
    raise exception 'Gemini would refuse the response schema of "%": %', set_kind.kind, v_fault
      using errcode = 'PM002', hint = 'Its words are those of Gemini''s own Schema, a part of '
        'OpenAPI''s: {"type": "object", "properties": {"title": {"type": "string"}}}.';
  end if;

  insert into maintenance.kind as k (kind, instruction, response_schema, subjects, prepare, apply,
    trigger, max_attempts, max_output_tokens, counters)
  values (set_kind.kind, set_kind.instruction, set_kind.response_schema,
    maintenance_internal.find_function(set_kind.subjects, '', 'SETOF text')::regproc,
    maintenance_internal.find_prepare(set_kind.prepare)::regproc,
    maintenance_internal.find_function(
      set_kind.apply, 'text, jsonb, jsonb, jsonb', 'jsonb')::regproc,
    set_kind.trigger, set_kind.max_attempts, set_kind.max_output_tokens,
    coalesce(set_kind.counters, '{}'))
  on conflict on constraint kind_pkey do update
  set instruction = excluded.instruction,
    response_schema = excluded.response_schema,
    subjects = excluded.subjects,
    prepare = excluded.prepare,
    apply = excluded.apply,
    trigger = excluded.trigger,
    max_attempts = excluded.max_attempts,
    max_output_tokens = excluded.max_output_tokens,
    counters = excluded.counters;
end
$$;

comment on function maintenance.set_kind(
  text, text, jsonb, text, text, text, text, integer, integer, text[]) is
  'Declares a kind of task, or changes it. instruction: the system text. response_schema: the '
  'shape of an answer, which Gemini has to take and an answer has to have. subjects: a function '
  '() returns setof text, whom trigger_jobs asks about. prepare: a stable function (subject '
  'text, options jsonb) returns table (content text, context jsonb, input_hash text, skip_reason '
  'text). apply: a function (subject text, context jsonb, answer jsonb, options jsonb) returns '
  'jsonb. trigger: a name that trigger_jobs is called with, or null. counters: columns of the '
  'tables that apply changes which count or date each update, and which an undo does not put '
  'back. All are found by exact signature and belong to the engine''s owner, who alone may call '
  'this. Errors: PM002 argument, PM007 function.';
-- end of sql/engine/queue/set_kind.sql

-- from sql/engine/queue/find_kind.sql 7914c10deb196c43
-- A kind by its name, or a clear error.

create function maintenance_internal.find_kind(p_kind text)
returns maintenance.kind
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_kind maintenance.kind;
begin
  select * into v_kind from maintenance.kind as k where k.kind = p_kind;
  if not found then
    raise exception 'there is no kind "%"', p_kind
      using errcode = 'PM013', hint = (
        select 'There are: ' || coalesce(string_agg(k.kind, ', ' order by k.kind), 'none yet')
        from maintenance.kind as k);
  end if;
  return v_kind;
end
$$;
-- end of sql/engine/queue/find_kind.sql

-- from sql/engine/queue/enqueue_task.sql defac2572fc1cfc2
-- Asks for a task: there is at most one open task per kind and subject.

create function maintenance.enqueue_task(
  kind text,
  subject text,
  priority integer default 0,
  not_before timestamptz default null,
  options jsonb default '{}',
  force boolean default false)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  v_kind maintenance.kind := maintenance_internal.find_kind(enqueue_task.kind);
  v_priority integer := coalesce(enqueue_task.priority, 0);
  v_due_at constant timestamptz :=
    greatest(enqueue_task.not_before, maintenance_internal.moment());
  v_task_id bigint;
begin
  if coalesce(enqueue_task.subject, '') in ('', maintenance_internal.erased())
    or length(enqueue_task.subject) > 200
  then
    raise exception 'the subject "%" is not acceptable', left(enqueue_task.subject, 50)
      using errcode = 'PM002', hint = 'A text of 1 to 200 characters, a user''s id for user kinds.';
  end if;
  if jsonb_typeof(coalesce(enqueue_task.options, '{}')) <> 'object' then
    raise exception 'options % are not an object', enqueue_task.options
      using errcode = 'PM002', hint = 'A JSON object, which prepare and apply are given.';
  end if;
  if length(enqueue_task.options::text) > 10000 then
    raise exception 'options of % characters are too long', length(enqueue_task.options::text)
      using errcode = 'PM002', hint = 'At most 10000: keep what is larger in a table of your own.';
  end if;
  if v_priority not between -5 and 5 then
    raise exception 'the priority % is out of range', v_priority
      using errcode = 'PM002', hint = 'From -5, which goes first, to 5.';
  end if;

  -- An open task may be closed between the two statements: then the insert has its way next time.
  loop
    insert into maintenance.task as t
      (kind, subject, priority, available_at, due_at, options, force)
    values (v_kind.kind, enqueue_task.subject, v_priority, v_due_at, v_due_at,
      coalesce(enqueue_task.options, '{}'), coalesce(enqueue_task.force, false))
    on conflict (kind, subject) where state in ('ready', 'leased') do nothing
    returning t.task_id into v_task_id;
    exit when found;

    update maintenance.task as t
    set again = t.state = 'leased',
      force = t.force or coalesce(enqueue_task.force, false)
    where t.kind = v_kind.kind and t.subject = enqueue_task.subject
      and t.state in ('ready', 'leased')
    returning t.task_id into v_task_id;
    exit when found;
  end loop;
  return v_task_id;
end
$$;

comment on function maintenance.enqueue_task(text, text, integer, timestamptz, jsonb, boolean) is
  'Asks for a task and returns its id. There is one open task per kind and subject: a second call '
  'returns the first, and on a leased one asks for another go after it. priority: -5 to 5, the '
  'lower goes first. not_before: not claimed earlier. options: given to prepare and apply. force: '
  'ask even where the input has not changed. Errors: PM002 argument, PM013 no such kind.';
-- end of sql/engine/queue/enqueue_task.sql

-- from sql/engine/queue/settle_task.sql 70a1fc90bdf11185
-- Ends a lease: the one place that decides what becomes of a task and of its counters.
--
--   outcome        attempt     then
--   succeeded      burned      succeeded
--   continued      refunded    ready at once, and all its counts are zero again: it goes on
--   skipped        refunded    skipped; blocked and declined too, with the attempt burned; but one
--                              that went on, and finds nothing more, has succeeded
--   quarantined    burned      quarantined, with what a decision needs
--   transient      burned      ready after a back-off, or dead after the last attempt
--   bad_output     burned      the same; stale too: what it is about has changed meanwhile
--   too_large      burned      ready at once, to show less, or dead after the last attempt
--   rejected       burned      dead
--   defer          refunded    ready at once, and so is gone: it is the model that waits
--   configuration  refunded    ready after a minute, or retry_after if that is longer
--   released       refunded    ready at once
--   recovered      refunded    ready at once, dead at the fifth
--
-- What is not the task's own fault is refunded, too, of whatever class. A task that fails so
-- twice in a row, or whose request is refused as such, loses its priority, and lets another one
-- try first when its model may be asked again. Where others are answered meanwhile, it is put off
-- by itself, for a second at first and an hour at last, dead after 50 times; a transient failure
-- always is.
--
-- In vain: the same request would end in the same way, and is not made again.
--
-- With a settled token the result is kept, with the state in it, for the replay of that token.

-- Ten seconds, doubled with every attempt, at most an hour, and a quarter more or less.
create function maintenance_internal.back_off(p_attempts integer)
returns interval
language sql
set search_path = pg_catalog, pg_temp
return least(interval '10 seconds' * 2 ^ least(p_attempts - 1, 10), interval '1 hour')
  * (0.75 + random() / 2);

create function maintenance_internal.settle_task(
  p_task maintenance.task,
  p_outcome text,
  p_message text default null,
  p_retry_after interval default null,
  p_is_own_fault boolean default true,
  p_is_in_vain boolean default false,
  p_cost numeric default null,
  p_settled_token uuid default null,
  p_result jsonb default null)
returns maintenance.task
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_most_defers constant integer := 50;
  v_most_recoveries constant integer := 5;
  v_now constant timestamptz := maintenance_internal.moment();
  v_is_foreign constant boolean := not p_is_own_fault or p_outcome in ('defer', 'gone');
  v_task maintenance.task := p_task;
  v_is_put_off boolean;
begin
  if p_outcome = 'skipped' and p_task.carry is not null then
    p_outcome := 'succeeded';
    p_message := null;
    v_task.input_hash := null; -- what was asked last was no answer to all of it
  end if;
  if p_task.lease_token is not null then
    -- Whatever ended it: no call is left open.
    p_cost := coalesce(p_cost, (
      select c.cost from maintenance_internal.settle_call(p_task.lease_token, 'released') as c));
  end if;
  if v_is_foreign or p_outcome in ('skipped', 'configuration', 'released', 'recovered') then
    v_task.attempts := greatest(v_task.attempts - 1, 0);
  end if;
  v_is_put_off := v_is_foreign and (p_outcome = 'transient'
    or maintenance_internal.answered_since(p_task.failed_at));
  if p_outcome = 'continued' then
    v_task.attempts := 0;
    v_task.defers := 0;
    v_task.recoveries := 0;
    v_task.failed_at := null;
    v_task.more_room := false;
    v_task.halvings := 0;
    v_task.due_at := v_now;
  end if;
  v_task.defers := v_task.defers + v_is_put_off::integer;
  v_task.recoveries := v_task.recoveries + (p_outcome = 'recovered')::integer;
  v_task.state := case
    when p_outcome = 'succeeded' then 'succeeded'
    when p_outcome in ('skipped', 'blocked', 'declined') then 'skipped'
    when p_outcome = 'quarantined' then 'quarantined'
    when v_task.defers > v_most_defers or v_task.recoveries >= v_most_recoveries then 'dead'
    when v_is_foreign then 'ready'
    when p_outcome = 'rejected'
      or p_outcome in ('transient', 'bad_output', 'stale', 'too_large') and v_task.attempts >= (
        select k.max_attempts from maintenance.kind as k where k.kind = v_task.kind) then 'dead'
    else 'ready'
  end;
  v_task.available_at := case
    when v_is_put_off
      then v_now + least(interval '1 second' * 2 ^ least(v_task.defers - 1, 12), interval '1 hour')
    when v_is_foreign and p_task.failed_at is not null then greatest(v_now, (
      select max(c.until) from maintenance_internal.cool_down as c
      where c.model = v_task.model and c.kind in ('*', v_task.kind))) + interval '1 second'
    when v_is_foreign or p_outcome in ('continued', 'released', 'recovered', 'too_large') then v_now
    when p_outcome = 'configuration' then v_now + greatest(p_retry_after, interval '1 minute')
    else v_now + greatest(p_retry_after, maintenance_internal.back_off(v_task.attempts))
  end;
  if p_outcome not in ('succeeded', 'continued', 'released') then
    v_task.last_class := p_outcome;
    v_task.last_error := left(coalesce(p_message, p_outcome), 1000);
  end if;
  if v_is_foreign or p_outcome = 'transient' then
    v_task.failed_at := v_now;
  end if;
  if p_settled_token is not null then
    v_task.settled_token := p_settled_token;
    v_task.result := jsonb_strip_nulls(p_result || jsonb_build_object(
      'state', v_task.state,
      'available_at',
      case when v_task.state = 'ready' and p_outcome <> 'continued' then v_task.available_at end));
  end if;

  if p_settled_token is null and v_task.state not in ('ready', 'leased') then
    v_task.result := v_task.result || jsonb_build_object('state', v_task.state);
  end if;

  update maintenance.task as t
  set state = v_task.state,
    priority = case
      when v_is_foreign and (p_task.failed_at is not null or p_outcome in ('rejected', 'too_large'))
        then 5
      else t.priority end,
    attempts = v_task.attempts,
    defers = v_task.defers,
    recoveries = v_task.recoveries,
    more_room = v_task.more_room,
    halvings = v_task.halvings,
    asked_hash = case when p_is_in_vain then t.asked_hash end,
    due_at = v_task.due_at,
    available_at = case when v_task.state = 'ready' then v_task.available_at
      else t.available_at end,
    worker = null,
    lease_token = null,
    lease_expires_at = null,
    leased_at = null,
    again = false,
    context = case when v_task.state = 'quarantined' then v_task.context end,
    carry = case when v_task.state in ('ready', 'quarantined') then v_task.carry end,
    held_answer = case when v_task.state = 'quarantined' then v_task.held_answer end,
    foreseen = case when v_task.state = 'quarantined' then v_task.foreseen end,
    input_hash = v_task.input_hash,
    last_class = v_task.last_class,
    last_error = v_task.last_error,
    failed_at = v_task.failed_at,
    settled_token = v_task.settled_token,
    result = v_task.result,
    cost_usd = t.cost_usd + coalesce(p_cost, 0),
    finished_at = case when v_task.state not in ('ready', 'quarantined') then v_now end
  where t.task_id = v_task.task_id
  returning * into v_task;

  if v_task.state not in ('ready', 'leased') then
    insert into maintenance_internal.subject as s (kind, subject, input_hash, looked_at)
    values (v_task.kind, v_task.subject,
      case when v_task.state <> 'dead' and p_outcome <> 'skipped' then v_task.input_hash end,
      coalesce(p_task.leased_at, v_now))
    on conflict on constraint subject_pkey do update
    set input_hash = coalesce(excluded.input_hash, s.input_hash),
      looked_at = case when p_task.leased_at is null then s.looked_at else excluded.looked_at end;
  end if;
  if p_task.again and v_task.state <> 'ready' then
    perform maintenance.enqueue_task(v_task.kind, v_task.subject, v_task.priority,
      options => v_task.options, force => v_task.force);
  end if;
  return v_task;
end
$$;
-- end of sql/engine/queue/settle_task.sql

-- from sql/engine/queue/sweep_leases.sql 667783b150914429
-- Gives back the tasks of dead workers, and says how many. What another session looks at is
-- stepped over, and the order is that in which settle_call takes its rows, so that two of these
-- never wait for each other.

create function maintenance_internal.sweep_leases()
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_task maintenance.task;
  v_swept integer := 0;
begin
  for v_task in
    select l.* from (
      select t.* from maintenance.task as t
      where t.state = 'leased' and t.lease_expires_at <= maintenance_internal.moment()
      order by t.lease_expires_at
      limit 100
      for update skip locked
    ) as l
    order by l.model, l.kind
  loop
    perform maintenance_internal.settle_task(v_task, 'recovered',
      format('the lease of %s ended without a word', v_task.worker), p_cost => c.cost)
    from maintenance_internal.settle_call(v_task.lease_token, 'lost') as c;
    v_swept := v_swept + 1;
  end loop;
  -- Calls of tasks that somebody has deleted: a lease ends after six hours.
  perform maintenance_internal.settle_call(c.lease_token, 'lost')
  from (
    select m.lease_token from maintenance.model_call as m
    where m.settled_at is null and m.asks_at < maintenance_internal.moment() - interval '7 hours'
    order by m.model, m.kind
    limit 100
    for update skip locked
  ) as c;
  return v_swept;
end
$$;
-- end of sql/engine/queue/sweep_leases.sql

-- from sql/engine/queue/task_holds.sql e3b836fe609e2ccf
-- Why due tasks are not handed out, and since when they could be: a pause, the budget, or that no
-- model can be asked for a kind. No row where nothing keeps them, or none is due.

create function maintenance_internal.task_holds(p_now timestamptz)
returns table (kind text, hold text, due_since timestamptz)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_hold constant text := maintenance_internal.asking_hold(p_now);
begin
  for kind in select k.kind from maintenance.kind as k order by k.kind loop
    continue when v_hold is null and exists (
      select from maintenance_internal.pick_models(p_now, task_holds.kind) as m where m.calls > 0);
    select min(d.available_at) into due_since from generate_series(-5, 5) as p (priority)
    cross join lateral (
      select t.available_at from maintenance.task as t
      where t.state = 'ready' and t.kind = task_holds.kind and t.priority = p.priority
        and t.available_at <= p_now
      order by t.available_at
      limit 1
    ) as d;
    if due_since is not null then
      hold := coalesce(v_hold, maintenance_internal.kind_hold(kind, p_now));
      return next;
    end if;
  end loop;
end
$$;
-- end of sql/engine/queue/task_holds.sql

-- from sql/engine/queue/worker.sql 4a7ca6b82cdae79a
-- The workers, as they say of themselves with each claim: a heartbeat, noted every ten seconds.

create table maintenance.worker (
  worker text not null,
  login text not null default session_user,
  version text,
  pid integer,
  kinds text[],
  rss_bytes bigint,
  heap_bytes bigint,
  started_at timestamptz,
  seen_at timestamptz not null,
  constraint worker_pkey primary key (worker)
) with (fillfactor = 50);

create index worker_seen_at_idx on maintenance.worker (seen_at);

comment on table maintenance.worker is
  'One row per worker: who claims tasks here, and how it is (S2-26, S2-30).';
comment on column maintenance.worker.worker is 'the name that it claims under: host and process id';
comment on column maintenance.worker.login is 'the role that it is logged in as';
comment on column maintenance.worker.version is 'its release; null where it did not say';
comment on column maintenance.worker.kinds is 'the kinds of task that it takes; null: all';
comment on column maintenance.worker.rss_bytes is 'memory that its process has';
comment on column maintenance.worker.heap_bytes is 'memory that its program uses of that';
comment on column maintenance.worker.started_at is 'when it was started, by its uptime';
comment on column maintenance.worker.seen_at is 'its last claim, to ten seconds';

create function maintenance_internal.note_worker(
  p_worker text,
  p_about jsonb,
  p_kinds text[],
  p_now timestamptz)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_worker constant text := maintenance_internal.worker_name(p_worker);
  -- What it says is a stranger's word.
  v_number constant jsonb := (
    select jsonb_object_agg(n.key, case when p_about ->> n.key ~ '^[0-9]{1,15}(\.[0-9]{0,9})?$'
      then trunc((p_about ->> n.key)::numeric) end)
    from unnest(array['pid', 'rss', 'heap', 'uptime']) as n (key));
begin
  if exists (
    select from maintenance.worker as w
    where w.worker = v_worker and w.seen_at between p_now - interval '10 seconds' and p_now)
  then
    return;
  end if;
  -- Names that somebody makes up fill no disk, and keep nobody out.
  if (select count(*) from maintenance.worker) >= 1000 then
    delete from maintenance.worker as w
    where w.worker = (select o.worker from maintenance.worker as o order by o.seen_at limit 1)
      and not exists (select from maintenance.worker as o where o.worker = v_worker);
  end if;
  insert into maintenance.worker
    (worker, version, pid, kinds, rss_bytes, heap_bytes, started_at, seen_at)
  select v_worker, left(regexp_replace(p_about ->> 'version', '[^[:alnum:]_.,+-]+', ' ', 'g'), 50),
    case when (v_number ->> 'pid')::numeric < 2147483648 then (v_number ->> 'pid')::integer end,
    (select array_agg(k.kind order by k.kind) from (
      select distinct unnest(p_kinds) as kind order by 1 limit 100) as k),
    (v_number ->> 'rss')::bigint, (v_number ->> 'heap')::bigint,
    p_now - case when (v_number ->> 'uptime')::numeric < 1e9
      then (v_number ->> 'uptime')::integer * interval '1 second' end, p_now
  on conflict on constraint worker_pkey do update
  set login = excluded.login, version = excluded.version, pid = excluded.pid,
    kinds = excluded.kinds, rss_bytes = excluded.rss_bytes, heap_bytes = excluded.heap_bytes,
    started_at = excluded.started_at, seen_at = excluded.seen_at;
end
$$;

-- A worker's name, as it is kept: what it may say is bounded.
create function maintenance_internal.worker_name(p_worker text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return left(regexp_replace(p_worker, '[^[:alnum:]_.:@/-]+', ' ', 'g'), 200);
-- end of sql/engine/queue/worker.sql

-- from sql/engine/queue/claim_tasks.sql 13cfe07387ac3b96
-- Leases due tasks to a worker: the lower priority first, within a kind the longest due. It
-- writes the lease and counts the attempt, nothing else; what a task asks is worked out by
-- task_request. What cannot be asked now is not handed out: a notice says why, and until when.
--
-- A claim has a name, so that it can be repeated: its tasks' tokens are made of it, and who says
-- that it was sent before gets what it has leased.

create function maintenance.claim_tasks(
  worker text,
  max_tasks integer default 1,
  lease interval default '2 minutes',
  about jsonb default null)
returns table (task_id bigint, kind text, lease_token uuid, attempt integer)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  v_now timestamptz := maintenance_internal.moment();
  v_hold text := maintenance_internal.asking_hold(v_now);
  v_since timestamptz;
  v_claim uuid;
  v_kinds text[];
  v_lane record;
  v_left integer := claim_tasks.max_tasks;
  v_total integer := 0;
  v_claimed integer;
begin
  if coalesce(btrim(claim_tasks.worker), '') = '' then
    raise exception 'a worker has to say who it is'
      using errcode = 'PM002', hint = 'A name that finds the process again: host and process id.';
  end if;
  if v_left is null or v_left not between 1 and 1000 then
    raise exception 'max_tasks % is out of range', claim_tasks.max_tasks
      using errcode = 'PM002', hint = '1 to 1000.';
  end if;
  if claim_tasks.lease is null
    or claim_tasks.lease not between interval '1 second' and interval '6 hours' then
    raise exception 'the lease "%" is out of range', claim_tasks.lease
      using errcode = 'PM002', hint = 'An interval from a second to six hours.';
  end if;

  if jsonb_typeof(claim_tasks.about) <> 'object' then
    raise exception 'what the worker says about itself is not an object but %',
      jsonb_typeof(claim_tasks.about)
      using errcode = 'PM002', hint = '{"claim": a uuid, "repeated": true, "kinds": ["a_kind"], '
        '"version": "1.0", "pid": 1, "rss": bytes, "heap": bytes, "uptime": seconds}, each of '
        'them as you like.';
  end if;
  if claim_tasks.about ->> 'claim' !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
    raise exception 'the claim "%" is no uuid', left(claim_tasks.about ->> 'claim', 100)
      using errcode = 'PM002', hint = 'A new one for each claim, and the same to repeat it.';
  end if;
  if jsonb_typeof(claim_tasks.about -> 'kinds') <> 'array' then
    raise exception 'the kinds are not an array but %', jsonb_typeof(claim_tasks.about -> 'kinds')
      using errcode = 'PM002', hint = 'Names of kinds: ["a_kind"]; without, all are meant.';
  end if;
  v_claim := coalesce(claim_tasks.about ->> 'claim', gen_random_uuid()::text)::uuid;
  if claim_tasks.about ? 'kinds' then
    v_kinds := array(
      select (maintenance_internal.find_kind(k.kind)).kind
      from jsonb_array_elements_text(claim_tasks.about -> 'kinds') as k (kind));
  end if;

  -- One that is repeated waits for the first, which may still be on its way to an end.
  perform pg_advisory_xact_lock(hashtextextended(v_claim::text, 0));
  if claim_tasks.about -> 'repeated' = 'true' then
    return query
      select t.task_id, t.kind, t.lease_token, t.attempts from maintenance.task as t
      where t.state = 'leased'
        and t.lease_token = md5(concat_ws('/', v_claim, t.task_id, t.claims))::uuid;
    if found then
      return;
    end if;
  end if;

  -- A claim that is lost in a crash leaves a ready task: nothing to wait for the disk for.
  perform set_config('synchronous_commit', 'off', true);
  perform maintenance_internal.note_worker(claim_tasks.worker, claim_tasks.about, v_kinds, v_now);
  -- Tasks of dead workers: now and then, and wherever there are too few others.
  if extract(microseconds from v_now)::integer % 20 = 0 then
    perform maintenance_internal.sweep_leases();
    v_now := maintenance_internal.moment();
  end if;

  for v_pass in 1 .. 2 loop
    exit when v_hold is not null;
    for v_lane in
      select k.kind, p.priority, k.calls, h.available_at
      from maintenance_internal.pick_models(v_now) as k
      cross join generate_series(-5, 5) as p (priority)
      cross join lateral (
        select t.available_at from maintenance.task as t
        where t.state = 'ready' and t.kind = k.kind and t.priority = p.priority
          and t.available_at <= v_now
        order by t.available_at
        limit 1
      ) as h
      where k.kind = any (coalesce(v_kinds, array[k.kind]))
      order by p.priority, h.available_at
    loop
      v_since := least(v_since, v_lane.available_at);
      continue when v_lane.calls <= v_total;
      return query
        update maintenance.task as u
        set state = 'leased',
          attempts = u.attempts + 1,
          worker = maintenance_internal.worker_name(claim_tasks.worker),
          lease_token = md5(concat_ws('/', v_claim, u.task_id, u.claims + 1))::uuid,
          leased_at = v_now,
          claims = u.claims + 1,
          claimed_by = session_user,
          lease_expires_at = v_now + claim_tasks.lease
        where u.task_id = any(array(
          select t.task_id from maintenance.task as t
          where t.state = 'ready' and t.kind = v_lane.kind and t.priority = v_lane.priority
            and t.available_at <= v_now
          order by t.available_at, t.task_id
          limit least(v_left, v_lane.calls - v_total)
          for update skip locked))
        returning u.task_id, u.kind, u.lease_token, u.attempts;
      get diagnostics v_claimed = row_count;
      v_left := v_left - v_claimed;
      v_total := v_total + v_claimed;
      exit when v_left = 0;
    end loop;
    exit when v_left = 0 or v_pass = 2 or maintenance_internal.sweep_leases() = 0;
    v_now := maintenance_internal.moment();
  end loop;

  -- For a worker's metrics, until the transaction ends; a notice would be seen by people.
  perform set_config('maintenance.due_seconds',
    coalesce(extract(epoch from v_now - v_since)::bigint, 0)::text, true);
  if v_total = 0 then
    for v_hold, v_since in
      select h.hold, h.due_since from maintenance_internal.task_holds(v_now) as h
      where h.kind = any (coalesce(v_kinds, array[h.kind]))
      limit 3
    loop
      raise notice '%', v_hold
        using detail = format('due for %s seconds', extract(epoch from v_now - v_since)::bigint);
    end loop;
  end if;
end
$$;

comment on function maintenance.claim_tasks(text, integer, interval, jsonb) is
  'Leases up to max_tasks due tasks to a worker and counts their attempts. The lease token is '
  'needed for everything else; extend_lease keeps it. Two workers never get one task. Where '
  'tasks are due and no model may be asked, the budget of the day is spent, or all is paused, '
  'there is no row, and a notice says why and until when. about: what the worker says of itself: '
  'kinds, the list of those that it takes; claim, a uuid, under which a claim that may not have '
  'been heard is sent again, with repeated, and gives the same tasks; version, pid, rss, heap, '
  'uptime, which maintenance.worker shows (S2-26). In a transaction of its '
  'own: its commit does not wait for the disk. Errors: PM002 argument, PM013 no such kind.';
-- end of sql/engine/queue/claim_tasks.sql

-- from sql/engine/queue/erase_subject.sql 0a05897f8885a100
-- Forgets what the engine holds about a subject: rows stay, to be counted and added up, without a
-- name, a text or a key. Whoever deletes somebody only notes it (note_deleted); from then on no
-- answer about them is taken, and the tick forgets them (erase_subjects). What is below a subject,
-- as USER/CONVERSATION is below USER, is forgotten with it.

create function maintenance_internal.erased()
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return '(erased)';

create function maintenance_internal.is_to_be_erased(p_task maintenance.task)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
return exists (
  select from maintenance_internal.erasure as e
  where e.subject = any (array(
      select array_to_string((string_to_array(p_task.subject, '/'))[:i], '/')
      from generate_series(1, cardinality(string_to_array(p_task.subject, '/'))) as i))
    and e.kind in ('*', p_task.kind));

create function maintenance_internal.erase(
  p_subject text,
  p_kind text,
  out tasks bigint,
  out leases bigint,
  out changes bigint,
  out calls bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_below constant text := p_subject || '/';
  v_behind constant text := p_subject || chr(ascii('/') + 1);
  v_kinds constant text[] := array(
    select k.kind from maintenance.kind as k where p_kind in ('*', k.kind));
  v_task maintenance.task;
  v_ids bigint[];
  v_changed bigint;
begin
  if p_kind <> '*' then
    perform maintenance_internal.find_kind(p_kind);
  end if;
  tasks := 0;
  leases := 0;
  calls := 0;
  -- Whoever is at one of them ends first, and what he wrote is forgotten, too: also a task that
  -- he has asked for.
  loop
    v_ids := '{}';
    for v_task in
      select t.* from maintenance.task as t
      where (t.subject = p_subject or t.subject ~>=~ v_below and t.subject ~<~ v_behind)
        and t.kind = any (v_kinds)
      order by t.task_id
      for update
    loop
      v_ids := v_ids || v_task.task_id;
      continue when v_task.state not in ('ready', 'leased', 'quarantined');
      leases := leases + (v_task.state = 'leased')::integer;
      v_task.carry := null;
      perform maintenance_internal.settle_task(v_task, 'skipped', p_cost => (
        select c.cost from maintenance_internal.settle_call(v_task.lease_token, 'lost') as c));
    end loop;
    exit when v_ids = '{}';

    update maintenance.model_call as c
    set details = null
    where c.details is not null and c.task_id = any (v_ids);
    get diagnostics v_changed = row_count;
    calls := calls + v_changed;
    update maintenance.task as t
    set subject = maintenance_internal.erased(),
      state = case t.state when 'dead' then 'skipped' else t.state end,
      options = '{}',
      input_hash = null,
      asked_hash = null,
      settled_token = null,
      last_error = 'its subject was erased',
      result = case t.state when 'succeeded' then '{"state": "succeeded"}'
        else '{"state": "skipped"}' end::jsonb
    where t.task_id = any (v_ids);
    tasks := tasks + cardinality(v_ids);
  end loop;

  update maintenance.change as c
  set subject = maintenance_internal.erased(),
    keys = '{}',
    rows = '[]',
    note = null,
    reason = case when c.reason is not null then 'its subject was erased' end,
    forgotten_at = coalesce(c.forgotten_at, maintenance_internal.moment())
  where (c.subject = p_subject or c.subject ~>=~ v_below and c.subject ~<~ v_behind)
    and (p_kind = '*' or c.kind = p_kind);
  get diagnostics changes = row_count;
  delete from maintenance_internal.subject as s
  where (s.subject = p_subject or s.subject ~>=~ v_below and s.subject ~<~ v_behind)
    and s.kind = any (v_kinds);
end
$$;

-- Receipts that name a row which a policy could not change, by its key: in one pass, for many.
create function maintenance_internal.erase_receipts(p_subjects text[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Of USER/CONVERSATION the conversation is meant, and not its user.
  p_subjects := p_subjects || array(select split_part(s, '/', -1) from unnest(p_subjects) as s);
  update maintenance_internal.run as r
  set error_detail = '{"message": "of a subject that was erased"}'
  where r.error_detail ? 'rows' and exists (
    select from jsonb_array_elements(r.error_detail -> 'rows') as w (row)
    cross join lateral jsonb_each_text(w.row) as v
    where v.value = any (p_subjects));
end
$$;

create function maintenance.erase_subject(subject text, kind text default null)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_kind constant text := coalesce(erase_subject.kind, '*');
  v_erased record;
begin
  if coalesce(erase_subject.subject, '') in ('', maintenance_internal.erased()) then
    raise exception 'the subject "%" is not acceptable', erase_subject.subject
      using errcode = 'PM002', hint = 'What the tasks are about: a user''s id for user kinds.';
  end if;
  select * into v_erased from maintenance_internal.erase(erase_subject.subject, v_kind);
  perform maintenance_internal.erase_receipts(array[erase_subject.subject]);
  -- Where it was deleted, too, the tick does so once more: somebody may be asking about it.
  update maintenance_internal.erasure as e
  set erased_in = pg_current_xact_id(), error = null
  where e.subject = erase_subject.subject and v_kind in ('*', e.kind);
  return to_jsonb(v_erased);
end
$$;

comment on function maintenance.erase_subject(text, text) is
  'Forgets everything that the engine holds about a subject, for one kind of task or for all: what '
  'its tasks showed, held and changed, their errors, options and results, the details of their '
  'calls, what was last asked, and the subject itself. Leases are revoked, and a late answer is '
  'refused; what was open or dead is skipped; an undo is not possible any more. Rows, tokens and '
  'costs stay. What is below it goes, too: USER/CONVERSATION with USER. Receipts of runs lose the '
  'keys and words of refused rows where one of the keys is the subject. Returns {tasks, leases, '
  'changes, calls}. The application''s own rows are its own affair. For the engine''s owner. '
  'Errors: PM002 argument, PM013 no such kind.';

create function maintenance.note_deleted()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_subject text;
begin
  if tg_when <> 'AFTER' or tg_level <> 'ROW' or tg_op = 'INSERT' or tg_nargs = 0 then
    raise exception '% is no trigger after each row with the name of a column', tg_name
      using errcode = 'PM003', hint = format('create trigger %I after delete on %s for each row '
        'execute function maintenance.note_deleted(''id'');', tg_name, tg_relid::regclass);
  end if;
  begin
    execute format('select ($1).%I::text', tg_argv[0]) into v_subject using old;
  exception when undefined_column then
    raise exception '% has no column %, which its trigger % names', tg_relid::regclass,
      tg_argv[0], tg_name using errcode = 'PM003';
  end;
  -- What can be no subject has no tasks.
  if length(v_subject) between 1 and 200 and v_subject <> maintenance_internal.erased() then
    insert into maintenance_internal.erasure (subject, kind)
    select v_subject, k.kind
    from unnest(case when tg_nargs > 1 then tg_argv[1:] else '{*}' end) as k (kind)
    on conflict do nothing;
  end if;
  return null;
end
$$;

comment on function maintenance.note_deleted() is
  'Trigger, after each row that is deleted, or marked as deleted: notes the subject that a column '
  'has. Its arguments are the name of the column, and the kinds of task whose subjects these are, '
  'all where none is named. From then on no answer about it is taken, and the tick forgets it '
  '(erase_subject), within two or three minutes, also where the row comes back meanwhile. Errors: '
  'PM003 it is put elsewhere, or the column is not there.';

-- A step of the tick. What somebody is at is left for the next one.
create function maintenance_internal.erase_subjects()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'
as $$
declare
  v_until constant timestamptz := clock_timestamp() + interval '2 seconds';
  v_note maintenance_internal.erasure;
  v_erased record;
  v_subjects text[] := '{}'::text[];
  v_context text;
begin
  for v_note in
    select e.* from maintenance_internal.erasure as e
    where e.erased_in is null or e.erased_in < pg_snapshot_xmin(pg_current_snapshot())
      -- A transaction that never ends; or numbers of another server, from a dump.
      or e.noted_at < maintenance_internal.moment() - interval '1 day'
    order by e.error is not null, e.noted_at
    limit 10000
  loop
    exit when clock_timestamp() > v_until;
    begin
      select * into v_erased from maintenance_internal.erase(v_note.subject, v_note.kind);
      if v_note.erased_in is not null and v_erased.tasks + v_erased.changes = 0 then
        delete from maintenance_internal.erasure as e
        where e.subject = v_note.subject and e.kind = v_note.kind;
      else
        update maintenance_internal.erasure as e
        set erased_in = pg_current_xact_id(), error = null
        where e.subject = v_note.subject and e.kind = v_note.kind;
      end if;
      v_subjects := v_subjects || v_note.subject;
      continue;
    exception when others then
      get stacked diagnostics v_context = pg_exception_context;
      v_context := maintenance_internal.error_text(sqlstate, sqlerrm, v_context);
    end;
    update maintenance_internal.erasure as e
    set error = v_context
    where e.subject = v_note.subject and e.kind = v_note.kind;
  end loop;
  if v_subjects <> '{}' then
    perform maintenance_internal.erase_receipts(v_subjects);
  end if;
end
$$;
-- end of sql/engine/queue/erase_subject.sql

-- from sql/engine/queue/lock_task.sql e82e60bd16522cbb
-- A task, locked against everybody else who decides what becomes of it; or a clear error. It is
-- the first lock that any of them takes.

create function maintenance_internal.lock_task(
  p_task_id bigint,
  p_states text[] default null,
  p_hint text default null)
returns maintenance.task
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_task maintenance.task;
begin
  select * into v_task from maintenance.task as t where t.task_id = p_task_id for update;
  if not found then
    raise exception 'there is no task %', p_task_id
      using errcode = 'PM014', hint = case when p_states is null then p_hint
        else 'select task_id, state, last_error from maintenance.task;' end;
  end if;
  -- A worker is told in its own way.
  if p_states is not null and v_task.subject = maintenance_internal.erased() then
    raise exception 'task % is about a subject that was erased', v_task.task_id
      using errcode = 'PM016', hint = 'Nothing is known of it any more.';
  elsif p_states is not null and maintenance_internal.is_to_be_erased(v_task) then
    raise exception 'task % is about a subject that was deleted', v_task.task_id
      using errcode = 'PM016', hint = 'The tick forgets what is known of it.';
  end if;
  if v_task.state <> all (p_states) then
    raise exception 'task % is %', v_task.task_id, v_task.state
      using errcode = 'PM016', hint = p_hint;
  end if;
  return v_task;
end
$$;

-- A task that is leased under a token. The token decides, never the clock; p_replay lets one pass
-- that complete_task has settled already.

create function maintenance_internal.lock_leased(
  p_task_id bigint,
  p_lease_token uuid,
  p_replay boolean default false)
returns maintenance.task
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_task maintenance.task;
begin
  if p_lease_token is null then
    raise exception 'task % needs its lease token', p_task_id
      using errcode = 'PM014', hint = 'claim_tasks gave it.';
  end if;
  v_task := maintenance_internal.lock_task(p_task_id,
    p_hint => 'claim_tasks gives task_id and lease_token.');
  if v_task.lease_token is distinct from p_lease_token
    and not (p_replay and v_task.settled_token is not distinct from p_lease_token) then
    raise exception 'task % is not leased under this token (any more)', p_task_id
      using errcode = 'PM014', detail = format('its state is %s', v_task.state),
        hint = 'Drop the work: the lease ended, and somebody else has the task or had it.';
  end if;
  return v_task;
end
$$;
-- end of sql/engine/queue/lock_task.sql

-- from sql/engine/queue/lock_subject.sql 922d65879d91898a
-- What is about one subject of a kind happens one after the other: answers, approvals and undos
-- take its row first. In which order they then take the application's rows, and its unique keys,
-- is the kind's own affair.

create function maintenance_internal.lock_subject(p_kind text, p_subject text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into maintenance_internal.subject (kind, subject, looked_at)
  values (p_kind, p_subject, '-infinity')
  on conflict on constraint subject_pkey do nothing;
  perform from maintenance_internal.subject as s
  where s.kind = p_kind and s.subject = p_subject
  for update;
end
$$;
-- end of sql/engine/queue/lock_subject.sql

-- from sql/engine/queue/task_request.sql f0786a23fcd5ba95
-- Turns a leased task into the request for a model, or closes it where there is nothing to ask,
-- or gives it back where no model can be asked now.
--
-- An answer that was cut is never asked for by the same request: max_output_tokens doubles once,
-- and then prepare is told to show a half, a quarter and so on (options.share); so it is at once
-- for a request that was too large. What the last answer handed on is in options.carry.

-- Whether a row was written by this transaction, or a part of it: pg_xact_status wants the number
-- in full, and xmin has its lower half: the number nearest to our own is meant.
create function maintenance_internal.is_own_change(p_xmin xid)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
return (
  select pg_xact_status((n.mine
    + (p_xmin::text::bigint - n.mine % 4294967296 + 6442450944) % 4294967296
    - 2147483648)::text::xid8)
    = 'in progress'
  from (select pg_current_xact_id()::text::bigint as mine) as n);

create function maintenance.task_request(task_id bigint, lease_token uuid)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_task maintenance.task :=
    maintenance_internal.lock_leased(task_request.task_id, task_request.lease_token);
  v_kind maintenance.kind := maintenance_internal.find_kind(v_task.kind);
  v_tokens constant integer := least(maintenance_internal.most_tokens(),
    v_kind.max_output_tokens * case when v_task.more_room then 2 else 1 end);
  v_share constant numeric :=
    case when v_task.halvings > 0 then trim_scale(0.5 ^ least(v_task.halvings, 20)) end;
  v_model maintenance.model;
  v_call maintenance.model_call;
  v_content text;
  v_context jsonb;
  v_input_hash text;
  v_skip_reason text;
  v_error text;
  v_error_context text;
begin
  perform maintenance_internal.check_session();
  if maintenance_internal.is_stopped() then
    perform maintenance.release_task(task_request.task_id, task_request.lease_token);
    return null;
  end if;
  -- Lost in a crash, the lease is lost with it, or its answer is given back.
  perform set_config('synchronous_commit', 'off', true);
  -- The models' rows are locked at the end: nobody else's login sits on them.
  if not maintenance_internal.is_trusted(
    (select r.oid from pg_roles as r where r.rolname = session_user)) then
    perform set_config('idle_in_transaction_session_timeout', '5s', true);
  end if;
  -- What is rolled back leaves no trace: a login that is not the owner's shows its claim first.
  if exists (select from maintenance.task as t
      where t.task_id = v_task.task_id and maintenance_internal.is_own_change(t.xmin))
    and not maintenance_internal.is_trusted(
      (select r.oid from pg_roles as r where r.rolname = session_user)) then
    raise exception 'task % was claimed in this very transaction', v_task.task_id
      using errcode = 'PM014', hint = 'Commit the claim; then ask.';
  end if;
  if maintenance_internal.is_to_be_erased(v_task) then
    v_task.carry := null;
    perform maintenance_internal.settle_task(v_task, 'skipped', 'its subject is to be erased');
    return null;
  end if;
  begin
    select p.* into v_content, v_context, v_input_hash, v_skip_reason
    from maintenance_internal.call_prepare(v_kind.prepare, v_task.subject,
      maintenance_internal.kind_options(v_task, 'share', to_jsonb(v_share))) as p;
  exception when others or assert_failure then
    get stacked diagnostics v_error_context = pg_exception_context;
    v_error := 'prepare: ' || maintenance_internal.error_text(sqlstate, sqlerrm, v_error_context);
  end;
  if v_error is not null then
    -- The kind's fault, unless others of it were asked about and answered meanwhile.
    perform maintenance_internal.settle_task(v_task, 'transient', v_error,
      p_is_own_fault =>
        maintenance_internal.answered_since(v_task.failed_at, p_kind => v_task.kind));
    return null;
  end if;

  if v_content is null or v_skip_reason is not null then
    perform maintenance_internal.settle_task(v_task, 'skipped',
      coalesce(v_skip_reason, 'prepare found nothing to ask'));
    return null;
  end if;
  if not v_task.force and v_input_hash = (
    select s.input_hash from maintenance_internal.subject as s
    where s.kind = v_task.kind and s.subject = v_task.subject)
  then
    perform maintenance_internal.settle_task(v_task, 'skipped',
      'nothing has changed since the last answer');
    return null;
  end if;

  -- Without a context this lease has not asked: it was the one before that asked in vain.
  if v_task.context is null and v_tokens <= v_task.asked_tokens
    and md5(v_content) = v_task.asked_hash
  then
    v_error := format('%s, and prepare shows no less for options.share %s',
      case v_task.last_class when 'too_large' then 'it is too large'
        else format('the answer does not fit into %s tokens', v_tokens) end,
      coalesce(v_share, 1));
    v_call.task_id := v_task.task_id;
    v_call.kind := v_task.kind;
    v_call.model := v_task.model;
    v_call.is_probe := false;
    if v_task.last_class <> 'too_large' or maintenance_internal.cool_model(v_call, 'too_large',
      null, null, null)
    then
      perform maintenance_internal.settle_task(v_task, 'rejected', v_error);
    else
      -- Another model may take it as it is.
      perform maintenance_internal.settle_task(v_task, 'too_large', v_error,
        p_is_own_fault => false);
    end if;
    return null;
  end if;

  v_call := maintenance_internal.reserve_call(v_task,
    length(v_content) + length(v_kind.instruction));
  select * into v_model from maintenance.model as m where m.model = v_call.model;
  if not found then -- none can be asked, or it was taken away between two requests
    perform maintenance_internal.settle_task(v_task, 'released');
    return null;
  end if;
  update maintenance.task as t
  set model = v_call.model,
    asked_tokens = v_tokens,
    asked_hash = md5(v_content),
    context = coalesce(v_context, '{}'),
    input_hash = v_input_hash,
    asks = t.asks + 1
  where t.task_id = v_task.task_id;
  return jsonb_build_object(
    'model', v_model.model,
    'system', v_kind.instruction,
    'content', v_content,
    'response_schema', v_kind.response_schema,
    'max_output_tokens', v_tokens,
    'generation', v_model.generation,
    'request', v_model.request,
    'timeout_ms', extract(epoch from v_model.timeout)::bigint * 1000,
    'wait_ms', greatest(0, ceil(1000 * extract(epoch
      from v_call.asks_at - maintenance_internal.moment()))));
end
$$;

comment on function maintenance.task_request(bigint, uuid) is
  'The request of a leased task: {model, system, content, response_schema, max_output_tokens, '
  'generation, request, timeout_ms, wait_ms}: wait so long, then ask. Its place within the '
  'limits of the model is reserved. Null where it was closed (nothing to ask, nothing changed, '
  'its subject deleted, prepare failed, which costs an attempt where it does not fail for '
  'others, an answer that cannot fit), or given back, since no model can be asked now. Call it '
  'in a transaction of its own; its commit does not wait for the disk. Errors: PM014 not leased '
  'under this token, or claimed in the same transaction.';
-- end of sql/engine/queue/task_request.sql

-- from sql/engine/queue/parse_answer.sql 1a5c31a38ea1578e
-- A model's answer as one JSON object, or the reason why it is none. The rule: the whole text
-- counts, up to 200,000 characters, with or without a code fence around it; nothing before it,
-- nothing behind it; at most 10,000 values, nested 50 deep, and no key twice, at any depth. Each
-- step is linear in the text, so that a hostile answer costs no more than a long one.

create function maintenance_internal.parse_answer(p_answer text, out answer jsonb, out reason text)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_longest constant integer := 200000;
  v_most constant integer := 10000;
  v_deepest constant integer := 50;
  v_text text;
  v_bare text;
begin
  if length(p_answer) > v_longest then
    reason := format('the answer has %s characters, more than %s', length(p_answer), v_longest);
    return;
  end if;
  v_text := regexp_replace(btrim(coalesce(p_answer, ''), e' \t\r\n'),
    '^```(?:json)?\s*(.*?)\s*```$', '\1', 'i');
  answer := v_text::jsonb;
  -- What is not in a string: each ":" of it is a member of an object, and jsonb keeps the last of
  -- two equal keys without a word.
  v_bare := regexp_replace(v_text, '"(?:[^"\\]|\\.)*"', '', 'g');
  if jsonb_typeof(answer) <> 'object' then
    reason := format('the answer is not an object but %s', jsonb_typeof(answer));
  elsif jsonb_path_exists(answer, format('strict $.**{%s}', v_deepest + 1)::jsonpath) then
    reason := format('the answer is nested deeper than %s', v_deepest);
  elsif v_bare ~ '[eE]\+?0*[1-9]\d{2}' then
    reason := 'the answer has a number out of range';
  elsif length(v_bare) - length(translate(v_bare, ':,', '')) >= v_most then
    reason := format('the answer has more than %s values', v_most);
  elsif length(v_bare) - length(replace(v_bare, ':', '')) <> (
    select count(*)
    from jsonb_path_query(answer, 'strict $.** ? (@.type() == "object")') as o (value)
    cross join lateral jsonb_object_keys(o.value) as k)
  then
    reason := 'the answer has a key twice';
  end if;
  if reason is not null then
    answer := null;
  end if;
exception when others then
  answer := null;
  reason := format('the answer is not JSON: SQLSTATE %s, %s characters',
    sqlstate, coalesce(length(p_answer), 0));
end
$$;
-- end of sql/engine/queue/parse_answer.sql

-- from sql/engine/queue/answer_fault.sql ab5626fadcf0ea8c
-- What of an answer its kind's schema does not allow, with the path to it and without a word of
-- the answer; or null. A schema is a wish to a model and no guarantee. Checked are type,
-- nullable, enum, required, items and bounds; what the schema does not name is let pass, a
-- pattern too.

create function maintenance_internal.answer_fault(
  p_answer jsonb,
  p_schema jsonb,
  p_path text default '$')
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_type constant text := lower(p_schema ->> 'type');
  v_is constant text := jsonb_typeof(p_answer);
  v_size constant numeric := case v_is
    when 'string' then length(p_answer #>> '{}')
    when 'array' then jsonb_array_length(p_answer)
    when 'number' then p_answer::numeric
    when 'object' then (select count(*) from jsonb_object_keys(p_answer)) end;
  v_least constant numeric := (p_schema ->> case v_is when 'string' then 'minLength'
    when 'array' then 'minItems' when 'number' then 'minimum' else 'minProperties' end)::numeric;
  v_most constant numeric := (p_schema ->> case v_is when 'string' then 'maxLength'
    when 'array' then 'maxItems' when 'number' then 'maximum' else 'maxProperties' end)::numeric;
  v_part record;
  v_fault text;
begin
  if v_is = 'null' and p_schema -> 'nullable' = 'true' then
    return null;
  elsif p_schema ? 'anyOf' then
    for v_part in select a.value from jsonb_array_elements(p_schema -> 'anyOf') as a loop
      v_fault := maintenance_internal.answer_fault(p_answer, v_part.value, p_path);
      exit when v_fault is null;
    end loop;
    return case when v_fault is not null then p_path || ' is none of what it may be' end;
  elsif v_is <> v_type and not (v_type = 'integer' and v_is = 'number' and v_size = trunc(v_size))
  then
    return format('%s is not %s %s', p_path,
      case when v_type ~ '^[aoi]' then 'an' else 'a' end, v_type);
  elsif p_schema ? 'enum' and not p_schema -> 'enum' @> p_answer then
    return format('%s is not one of %s', p_path, p_schema -> 'enum');
  elsif v_size < v_least or v_size > v_most then
    return format('%s is not %s', p_path,
      concat_ws(' and ', 'at least ' || v_least, 'at most ' || v_most)
        || case v_is when 'string' then ' characters' when 'array' then ' items'
          when 'object' then ' properties' else '' end);
  elsif v_is = 'array' then
    for v_part in
      select a.value, a.nr - 1 as nr
      from jsonb_array_elements(p_answer) with ordinality as a (value, nr)
      where p_schema ? 'items'
    loop
      v_fault := maintenance_internal.answer_fault(v_part.value, p_schema -> 'items',
        format('%s[%s]', p_path, v_part.nr));
      exit when v_fault is not null;
    end loop;
    return v_fault;
  elsif v_is = 'object' then
    select format('%s.%s is missing', p_path, r.name) into v_fault
    from jsonb_array_elements_text(coalesce(p_schema -> 'required', '[]')) as r (name)
    where not p_answer ? r.name
    limit 1;
    for v_part in
      select e.key, e.value from jsonb_each(coalesce(p_schema -> 'properties', '{}')) as e
      where p_answer ? e.key
    loop
      exit when v_fault is not null;
      v_fault := maintenance_internal.answer_fault(p_answer -> v_part.key, v_part.value,
        format('%s.%s', p_path, v_part.key));
    end loop;
    return v_fault;
  end if;
  return null;
end
$$;
-- end of sql/engine/queue/answer_fault.sql

-- from sql/engine/queue/apply_answer.sql 0bd6e8ea44b411fc
-- Lets the kind apply an answer, all of it or nothing, and writes its changes to the ledger.
--
-- apply returns what becomes the task's result, with parts that the engine takes out:
--   changes     a list of {op, outcome, reason, note, keys, rows}: rows of the ledger
--   input_hash  the hash that prepare will give when nothing but this answer changes the data
--   continue    true: the task goes on with the next request under the same subject, and
--   carry       an object, which that one's prepare and apply are given as options.carry
-- and it raises PM017 for an answer that goes too far to be applied before somebody approves it,
-- PM027 for one about what has changed since it was shown: it is asked for again.
-- It is given options.approved, true or false, whatever the caller's options say.

create function maintenance_internal.apply_answer(
  p_task maintenance.task,
  p_approved boolean,
  out outcome text,
  out error text,
  out result jsonb,
  out input_hash text,
  out carry jsonb)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_kind maintenance.kind := maintenance_internal.find_kind(p_task.kind);
  v_changes jsonb;
  v_context text;
  v_constraint text;
  v_table text;
begin
  outcome := 'succeeded';
  input_hash := p_task.input_hash;
  perform maintenance_internal.lock_subject(p_task.kind, p_task.subject);
  begin
    perform set_config('maintenance.applied_task', p_task.task_id::text, true);
    result := maintenance_internal.call_apply(v_kind.apply, p_task.subject, p_task.context,
      p_task.held_answer,
      maintenance_internal.kind_options(p_task, 'approved', to_jsonb(p_approved)));
    perform set_config('maintenance.applied_task', '', true);
    result := coalesce(nullif(result, 'null'), '{}');
    v_changes := coalesce(nullif(result -> 'changes', 'null'), '[]');
    select r.row ->> 'table' into v_table
    from jsonb_array_elements(v_changes) as c (change)
    cross join lateral jsonb_array_elements(coalesce(c.change -> 'rows', '[]')) as r (row)
    where maintenance_internal.changed_table(r.row ->> 'table') is null
    limit 1;
    if found then
      raise exception 'apply changes "%", which is no table of the owner''s, named with its schema',
        v_table using errcode = 'PM007';
    end if;
    if exists (
      select from jsonb_array_elements(v_changes) as c (change)
      cross join lateral jsonb_array_elements(coalesce(c.change -> 'rows', '[]')) as r (row)
      where jsonb_typeof(coalesce(r.row -> 'before', 'null')) not in ('object', 'null')
        or jsonb_typeof(r.row -> 'after') is distinct from 'object'
          and (r.row -> 'after' is distinct from 'null'
            or nullif(r.row -> 'before', 'null') is null))
    then
      raise exception 'apply names a row without what it was before and is after'
        using errcode = 'PM007';
    end if;
    insert into maintenance.change
      (task_id, kind, subject, op, outcome, reason, note, keys, rows, deletes)
    select p_task.task_id, p_task.kind, p_task.subject,
      -- A name of the kind's own, and no text of an answer.
      substring(c.change ->> 'op' from '^[a-z][a-z0-9_]{0,62}$'),
      c.change ->> 'outcome', c.change ->> 'reason',
      c.change ->> 'note', array(select jsonb_array_elements_text(c.change -> 'keys')),
      coalesce(c.change -> 'rows', '[]'), exists (
        select from jsonb_array_elements(coalesce(c.change -> 'rows', '[]')) as r (row)
        where r.row -> 'after' = 'null')
    from jsonb_array_elements(v_changes) with ordinality as c (change, nr)
    order by c.nr;
    input_hash := coalesce(result ->> 'input_hash', input_hash);
    if result -> 'continue' = 'true' then
      outcome := 'continued';
      carry := coalesce(nullif(result -> 'carry', 'null'), '{}');
      if jsonb_typeof(carry) <> 'object' or length(carry::text) > 100000 then
        raise exception 'what apply hands on is no object, or longer than 100000 characters'
          using errcode = 'PM007';
      end if;
    end if;
    result := result - array['changes', 'input_hash', 'continue', 'carry'];
  exception
    when sqlstate 'PM017' then
      outcome := 'quarantined';
      error := sqlerrm;
      result := null;
    when sqlstate 'PM027' then
      outcome := 'stale';
      error := 'apply: ' || sqlerrm;
      result := null;
      carry := null;
    when others or assert_failure then
      -- What passes by itself is not the answer's fault: the caller tries again.
      if sqlstate like '40%' or sqlstate like '53%' or sqlstate = '55P03' then
        raise;
      end if;
      outcome := 'bad_output';
      carry := null;
      get stacked diagnostics v_context = pg_exception_context,
        v_constraint = constraint_name, v_table = table_name;
      error := 'apply: '
        || maintenance_internal.error_text(sqlstate, sqlerrm, v_context, v_constraint, v_table);
      result := null;
  end;
end
$$;
-- end of sql/engine/queue/apply_answer.sql

-- from sql/engine/queue/pending_answer.sql 1c918a1d9cae2794
-- For whoever decides about a quarantined answer: what its approval would do, in operations and
-- counts. It is tried when the answer comes, and taken back; no text of it is kept.

create function maintenance_internal.foresee_answer(p_task maintenance.task)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_applied record;
  v_foreseen jsonb;
begin
  select * into v_applied from maintenance_internal.apply_answer(p_task, p_approved => true);
  v_foreseen := jsonb_build_object(
    'operations', (
      select jsonb_object_agg(o.op, o.outcomes) from (
        select coalesce(n.op, '?') as op, jsonb_object_agg(n.outcome, n.count) as outcomes
        from (
          select c.op, c.outcome, count(*) as count
          from maintenance.change as c
          where c.task_id = p_task.task_id and c.undoes is null
          group by c.op, c.outcome
        ) as n
        group by n.op
      ) as o),
    'rows', (
      select jsonb_object_agg(r.table_name, r.count) from (
        select w.row ->> 'table' as table_name, count(*) as count
        from maintenance.change as c
        cross join lateral jsonb_array_elements(c.rows) as w (row)
        where c.task_id = p_task.task_id and c.undoes is null
        group by 1
      ) as r),
    'error', v_applied.error,
    'since', maintenance_internal.moment());
  raise exception 'undone on purpose' using errcode = 'PM099';
exception when sqlstate 'PM099' then
  return v_foreseen;
end
$$;

create view maintenance.pending_answer as
select
  t.task_id,
  t.kind,
  t.subject,
  (t.foreseen ->> 'since')::timestamptz as since,
  t.last_error as reason,
  t.foreseen -> 'operations' as operations,
  t.foreseen -> 'rows' as rows,
  t.foreseen ->> 'error' as error
from maintenance.task as t
where t.state = 'quarantined';

comment on view maintenance.pending_answer is
  'Answers that went too far to be applied unasked, and what approve_task would do with each, as '
  'things were when it came. No text of an answer or a row.';
comment on column maintenance.pending_answer.task_id is 'for approve_task and reject_task';
comment on column maintenance.pending_answer.kind is 'the kind of task';
comment on column maintenance.pending_answer.subject is 'whom or what it is about';
comment on column maintenance.pending_answer.since is 'when the answer came';
comment on column maintenance.pending_answer.reason is 'why it waits';
comment on column maintenance.pending_answer.operations is
  'how many operations would be applied and refused: {"merge": {"applied": 3, "refused": 1}}';
comment on column maintenance.pending_answer.rows is
  'how many rows would be added or changed, by table';
comment on column maintenance.pending_answer.error is
  'why it could not be applied, approved or not; null where it could';
-- end of sql/engine/queue/pending_answer.sql

-- from sql/engine/queue/complete_task.sql e569fa42ace66576
-- Takes a model's answer: parses it, compares it with the kind's schema, lets the kind apply it,
-- records the cost and closes the task, in one transaction. Whatever the answer says, this
-- returns; it raises for a stale token and in an emergency stop only.

create function maintenance.complete_task(
  task_id bigint,
  lease_token uuid,
  answer text,
  usage jsonb default null)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_task maintenance.task := maintenance_internal.lock_leased(
    complete_task.task_id, complete_task.lease_token, p_replay => true);
  v_applied record;
  v_cost numeric;
begin
  perform maintenance_internal.check_session();
  if v_task.settled_token is not distinct from complete_task.lease_token then
    return v_task.result;
  end if;
  if maintenance_internal.is_stopped() then
    raise exception 'no answer is taken: all is %', maintenance_internal.pause_text()
      using errcode = 'PM026', hint = 'Send it again after: select maintenance.resume();';
  end if;

  if complete_task.usage ->> 'finishReason' = 'MAX_TOKENS' then
    perform maintenance.fail_task(complete_task.task_id, complete_task.lease_token, 'bad_output',
      'the answer was cut', usage => complete_task.usage);
    select * into v_task from maintenance.task as t where t.task_id = complete_task.task_id;
    return jsonb_strip_nulls(maintenance_internal.task_state(v_task)
      || jsonb_build_object('error', v_task.last_error));
  end if;
  if maintenance_internal.is_to_be_erased(v_task) then
    v_cost := (select c.cost from maintenance_internal.settle_call(
      v_task.lease_token, 'stale', complete_task.usage) as c);
    v_task.carry := null;
    v_task := maintenance_internal.settle_task(v_task, 'skipped', 'its subject is to be erased',
      p_cost => v_cost, p_settled_token => complete_task.lease_token,
      p_result => '{"error": "its subject is to be erased"}');
    return v_task.result;
  end if;
  if v_task.context is null then
    -- Nobody has asked; or a crash has taken what task_request wrote, which waits for no disk.
    v_task := maintenance_internal.settle_task(v_task, 'released',
      p_settled_token => complete_task.lease_token,
      p_result => '{"error": "the task was never asked: task_request comes first"}');
    return v_task.result;
  end if;

  select 'bad_output' as outcome, p.reason as error, null::jsonb as result, p.answer into v_applied
  from maintenance_internal.parse_answer(complete_task.answer) as p;
  if v_applied.error is null then
    v_applied.error := (
      select 'the answer is not as its schema says: ' || f.fault
      from maintenance.kind as k
      cross join maintenance_internal.answer_fault(v_applied.answer, k.response_schema) as f (fault)
      where k.kind = v_task.kind);
  end if;
  if v_applied.error is null then
    v_task.held_answer := v_applied.answer;
    select * into v_applied from maintenance_internal.apply_answer(v_task, p_approved => false);
    v_task.input_hash := v_applied.input_hash;
    v_task.carry := coalesce(v_applied.carry, v_task.carry);
    if v_applied.outcome = 'quarantined' then
      v_task.foreseen := maintenance_internal.foresee_answer(v_task);
    end if;
  end if;

  v_cost := (select c.cost from maintenance_internal.settle_call(v_task.lease_token,
    case v_applied.outcome when 'continued' then 'succeeded' else v_applied.outcome end,
    complete_task.usage) as c);
  v_task := maintenance_internal.settle_task(v_task, v_applied.outcome, v_applied.error,
    p_cost => v_cost, p_settled_token => complete_task.lease_token,
    p_result => jsonb_build_object('result', v_applied.result, 'error', v_applied.error));
  return v_task.result;
end
$$;

comment on function maintenance.complete_task(bigint, uuid, text, jsonb) is
  'Takes the answer of a leased task and applies it. Returns {state, result, error, '
  'available_at}, result being what apply returned: a bad answer is a normal return and costs an '
  'attempt, and one that goes too far waits in quarantine. Where apply asks to continue, the '
  'state is ready; one about a subject that was deleted meanwhile is thrown away, and the state is '
  'skipped. A replay of the same token returns the stored result. usage: Gemini''s '
  'usageMetadata, with modelVersion and durationMs. Errors: PM014 not leased under this token, '
  'PM026 an emergency stop: the answer is not lost, and is to be sent again after it.';
-- end of sql/engine/queue/complete_task.sql

-- from sql/engine/queue/task_state.sql 66615bffcf4a6fbc
-- What the functions that end a lease return: {state, available_at}.

create function maintenance_internal.task_state(p_task maintenance.task)
returns jsonb
language sql
stable
set search_path = pg_catalog, pg_temp
return jsonb_build_object(
  'state', p_task.state,
  'available_at', case when p_task.state = 'ready' then p_task.available_at end);
-- end of sql/engine/queue/task_state.sql

-- from sql/engine/queue/extend_lease.sql b3c8277ddf6276db
-- Keeps a lease alive, also one that ran out and that nobody has taken back yet; but six hours
-- after the claim it ends, so that nobody can keep a task for ever. It waits for nobody: while an
-- answer of the task waits for a lock, nobody takes its lease, and many others want theirs kept.

create function maintenance.extend_lease(
  task_id bigint,
  lease_token uuid,
  lease interval default '2 minutes')
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
begin
  if extend_lease.lease is null
    or extend_lease.lease not between interval '1 second' and interval '6 hours' then
    raise exception 'the lease "%" is out of range', extend_lease.lease
      using errcode = 'PM002', hint = 'An interval from a second to six hours.';
  end if;
  update maintenance.task as t
  set lease_expires_at =
    least(clock_timestamp() + extend_lease.lease, t.leased_at + interval '6 hours')
  where t.task_id = (
    select l.task_id from maintenance.task as l
    where l.task_id = extend_lease.task_id and l.lease_token = extend_lease.lease_token
      and l.leased_at > clock_timestamp() - interval '6 hours'
    for no key update skip locked);
  return found or exists (
    select from maintenance.task as t
    where t.task_id = extend_lease.task_id and t.lease_token = extend_lease.lease_token
      and t.leased_at > clock_timestamp() - interval '6 hours');
end
$$;

comment on function maintenance.extend_lease(bigint, uuid, interval) is
  'Sets a lease to end this long from now. false: the task is no longer leased under this token; '
  'stop the work, somebody else has it; or it was claimed six hours ago. Errors: PM002 lease out '
  'of range.';
-- end of sql/engine/queue/extend_lease.sql

-- from sql/engine/queue/fail_task.sql f8db70f7c7cc8b6a
-- Says that a call failed, and of which class. Whose fault that is, settle_call tells by what
-- happened to others; what follows for the task stands in settle_task.

create function maintenance.fail_task(
  task_id bigint,
  lease_token uuid,
  failure_class text,
  message text default null,
  retry_after interval default null,
  usage jsonb default null,
  details jsonb default null)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_task maintenance.task :=
    maintenance_internal.lock_leased(fail_task.task_id, fail_task.lease_token);
  v_is_cut constant boolean := fail_task.failure_class = 'bad_output'
    and coalesce(fail_task.usage ->> 'finishReason' = 'MAX_TOKENS', false);
  v_call record;
  v_is_free boolean := false;
begin
  if fail_task.failure_class is null or fail_task.failure_class not in ('transient', 'defer',
    'gone', 'configuration', 'rejected', 'blocked', 'bad_output', 'too_large') then
    raise exception 'the failure class "%" is not known', fail_task.failure_class
      using errcode = 'PM002', hint = 'transient, defer, gone, configuration, rejected, blocked, '
        'bad_output or too_large.';
  end if;
  if fail_task.retry_after not between interval '0' and interval '30 days' then
    raise exception 'retry_after "%" is out of range', fail_task.retry_after
      using errcode = 'PM002', hint = 'An interval from zero to 30 days.';
  end if;
  select * into v_call from maintenance_internal.settle_call(v_task.lease_token,
    fail_task.failure_class, fail_task.usage, fail_task.details, fail_task.message,
    fail_task.retry_after);
  if v_is_cut and not v_task.more_room then
    v_task.more_room := true;
    v_is_free := true; -- it is the limit that was too low
    if v_task.asked_tokens >= maintenance_internal.most_tokens() then
      v_task.halvings := v_task.halvings + 1;
    end if;
  elsif v_is_cut or fail_task.failure_class = 'too_large' then
    v_task.halvings := v_task.halvings + 1;
  end if;
  return maintenance_internal.task_state(maintenance_internal.settle_task(v_task,
    fail_task.failure_class, fail_task.message, fail_task.retry_after,
    p_is_own_fault => v_call.is_own_fault and not v_is_free,
    p_is_in_vain => v_is_cut or fail_task.failure_class = 'too_large', p_cost => v_call.cost));
end
$$;

comment on function maintenance.fail_task(bigint, uuid, text, text, interval, jsonb, jsonb) is
  'Ends a lease with a failure and returns {state, available_at}. failure_class: transient (500, '
  'a time-out) costs an attempt and waits for a back-off where the model answers others, else '
  'nothing; bad_output costs an attempt; defer (429, 503, no network) and gone (404) cost nothing, '
  'and the model cools down, for retry_after at least; configuration gives the task back for a '
  'minute; blocked skips it until its input changes; rejected (400) ends it where others of its '
  'kind were answered, else this model is not asked for its kind for a while; too_large costs an '
  'attempt, and half of it is shown; where that cannot be, it is as rejected. '
  'message: for people, no secret in it. usage: as in complete_task; with finishReason MAX_TOKENS '
  'the next request has more room, then less to say. details: of the error, kept with the call. '
  'Errors: PM002 argument, PM014 not leased under this token.';
-- end of sql/engine/queue/fail_task.sql

-- from sql/engine/queue/release_task.sql 7031a08d57ba6474
-- Gives a task back as if it had never been claimed: a worker that shuts down.

create function maintenance.release_task(task_id bigint, lease_token uuid)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_task maintenance.task :=
    maintenance_internal.lock_leased(release_task.task_id, release_task.lease_token);
  v_cost constant numeric := (
    select c.cost from maintenance_internal.settle_call(v_task.lease_token, 'released') as c);
begin
  return maintenance_internal.task_state(
    maintenance_internal.settle_task(v_task, 'released', p_cost => v_cost));
end
$$;

comment on function maintenance.release_task(bigint, uuid) is
  'Gives a leased task back, ready at once and with its attempt; returns {state, available_at}. '
  'Errors: PM014 not leased under this token.';
-- end of sql/engine/queue/release_task.sql

-- from sql/engine/queue/retry_task.sql 5c376c1da9e62d09
-- Revives what is over, hurries what waits, and takes back what is leased; with all its attempts.

create function maintenance.retry_task(task_id bigint)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_task maintenance.task := maintenance_internal.lock_task(retry_task.task_id,
    '{dead,skipped,ready,leased}',
    'Dead and skipped tasks are revived, leased ones taken back, ready ones hurried.');
  v_twin bigint;
begin
  if v_task.state = 'leased' then
    v_task := maintenance_internal.settle_task(v_task, 'released', p_cost => (
      select c.cost from maintenance_internal.settle_call(v_task.lease_token, 'lost') as c));
  end if;
  begin
    update maintenance.task as t
    set state = 'ready',
      attempts = 0,
      defers = 0,
      recoveries = 0,
      more_room = false,
      halvings = 0,
      force = true,
      available_at = maintenance_internal.moment(),
      due_at = maintenance_internal.moment(),
      failed_at = null,
      finished_at = null
    where t.task_id = v_task.task_id
    returning * into v_task;
  exception when unique_violation then
    select t.task_id into v_twin from maintenance.task as t
    where t.kind = v_task.kind and t.subject = v_task.subject and t.state in ('ready', 'leased');
    raise exception 'task % of the kind % about % is open', v_twin, v_task.kind, v_task.subject
      using errcode = 'PM016', hint = format('It asks the same. To have it asked at once: select '
        'maintenance.retry_task(%s);', v_twin);
  end;
  return maintenance_internal.task_state(v_task);
end
$$;

comment on function maintenance.retry_task(bigint) is
  'Makes a dead or skipped task ready again at once, with all its attempts, and asks even where '
  'its input has not changed; a ready one is due at once; a leased one is taken back, and what its '
  'worker still says is refused. Returns {state, available_at}. '
  'Errors: PM014 no such task, PM016 it has succeeded or is quarantined, or another one is open.';

create function maintenance.retry_tasks(kind text)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  v_kind maintenance.kind := maintenance_internal.find_kind(retry_tasks.kind);
  v_task_id bigint;
  v_revived bigint := 0;
begin
  for v_task_id in
    -- Of several about one subject the last; none where one is open.
    select distinct on (t.subject) t.task_id
    from maintenance.task as t
    where t.kind = v_kind.kind and t.state = 'dead'
      and not exists (
        select from maintenance.task as o
        where o.kind = t.kind and o.subject = t.subject and o.state in ('ready', 'leased'))
    order by t.subject, t.task_id desc
  loop
    begin
      perform maintenance.retry_task(v_task_id);
      v_revived := v_revived + 1;
    exception when sqlstate 'PM014' or sqlstate 'PM016' then
      null; -- somebody has opened another one meanwhile, or taken it away
    end;
  end loop;
  return jsonb_build_object('revived', v_revived, 'dead', (
    select count(*) from maintenance.task as t where t.kind = v_kind.kind and t.state = 'dead'));
end
$$;

comment on function maintenance.retry_tasks(text) is
  'Revives every dead task of a kind, as retry_task does one, and returns {revived, dead}: those '
  'that stay dead are of subjects of which a later task is open. Errors: PM013 no such kind.';
-- end of sql/engine/queue/retry_task.sql

-- from sql/engine/queue/approve_task.sql ddfedb65e73ab6d8
-- Applies an answer that was quarantined, under the same checks as at first: what has changed
-- since is refused, operation by operation.

create function maintenance.approve_task(task_id bigint)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_task maintenance.task := maintenance_internal.lock_task(approve_task.task_id,
    '{quarantined}', 'Only a quarantined answer waits for a decision.');
  v_applied record;
begin
  perform maintenance_internal.check_session();
  -- As at first, and by the schema of today.
  select 'bad_output' as outcome, 'it is not as its schema says: ' || f.fault as error
  into v_applied
  from maintenance.kind as k
  cross join maintenance_internal.answer_fault(v_task.held_answer, k.response_schema) as f (fault)
  where k.kind = v_task.kind and f.fault is not null;
  if not found then
    select * into v_applied from maintenance_internal.apply_answer(v_task, p_approved => true);
  end if;
  if v_applied.outcome not in ('succeeded', 'continued') then
    raise exception 'the answer of task % cannot be applied: %', v_task.task_id, v_applied.error
      using errcode = 'PM016', hint = 'select maintenance.reject_task(task_id);';
  end if;
  v_task.input_hash := v_applied.input_hash;
  v_task.carry := coalesce(v_applied.carry, v_task.carry);
  v_task := maintenance_internal.settle_task(v_task, v_applied.outcome,
    p_settled_token => v_task.settled_token,
    p_result => jsonb_build_object('result', v_applied.result, 'approvedBy', session_user));
  return v_task.result;
end
$$;

comment on function maintenance.approve_task(bigint) is
  'Applies a quarantined answer, with every check but that of its size; what was edited since is '
  'refused. Returns {state, result, approvedBy}. Errors: PM014 no such task, PM016 it is not '
  'quarantined, or its answer cannot be applied (nothing is changed then).';
-- end of sql/engine/queue/approve_task.sql

-- from sql/engine/queue/reject_task.sql 42bbca766d908a70
-- Drops an answer that was quarantined. The same input is not asked about again.

create function maintenance.reject_task(task_id bigint, reason text default null)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_task maintenance.task := maintenance_internal.lock_task(reject_task.task_id,
    '{quarantined}', 'Only a quarantined answer waits for a decision.');
begin
  v_task := maintenance_internal.settle_task(v_task, 'declined',
    format('rejected by %s', session_user) || coalesce(': ' || reject_task.reason, ''),
    p_settled_token => v_task.settled_token, p_result => '{}');
  return v_task.result;
end
$$;

comment on function maintenance.reject_task(bigint, text) is
  'Drops a quarantined answer; nothing of it was or will be applied, and the same input is not '
  'asked about again (retry_task asks all the same). The reason is kept in last_error. Returns '
  '{state}. Errors: PM014 no such task, PM016 it is not quarantined.';
-- end of sql/engine/queue/reject_task.sql

-- from sql/engine/queue/restore_row.sql 8fe2035666d3f1e4
-- The table that a row of the ledger names: with its schema, so that no search_path decides which
-- it is, and permanent and of somebody who is trusted, since its triggers will run with the
-- owner's rights. Null where it is not (any more).

create function maintenance_internal.changed_table(p_name text)
returns regclass
language sql
stable
set search_path = pg_catalog, pg_temp
return (
  select c.oid::regclass from pg_class as c
  where c.oid = to_regclass(p_name) and cardinality(parse_ident(p_name)) = 2
    and c.relkind in ('r', 'p') and c.relpersistence <> 't'
    and maintenance_internal.is_trusted(c.relowner));

-- The primary key of a row of the ledger.
create function maintenance_internal.key_of(p_table regclass, p_row jsonb)
returns jsonb
language sql
stable
set search_path = pg_catalog, pg_temp
return (
  select jsonb_object_agg(a.attname, p_row -> a.attname)
  from pg_index as i
  join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = any (i.indkey::smallint[])
  where i.indrelid = p_table and i.indisprimary);

-- Puts one row back as it was before a change, or says why not: it must be as the change left it.
-- Counters count or date each update: a difference is no edit, and they are not restored; but a
-- row that was deleted comes back with all of its columns.

create function maintenance_internal.restore_row(
  p_table text,
  p_before jsonb,
  p_after jsonb,
  p_counters text[],
  p_path text,
  p_check_deferred text,
  out key text,
  out reason text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_table constant regclass := maintenance_internal.changed_table(p_table);
  v_keys text;
  v_columns text;
  v_where text;
  v_known constant jsonb := coalesce(p_after, p_before);
  v_key constant jsonb := maintenance_internal.key_of(v_table, v_known);
  v_now jsonb;
  v_constraint text;
  v_context text;
  v_gone text;
  v_count bigint;
begin
  select string_agg(quote_ident(a.attname), ', ' order by a.attnum) filter (where k.is_key),
    string_agg(v_known ->> a.attname, ', ' order by a.attnum) filter (where k.is_key),
    string_agg(quote_ident(a.attname), ', ' order by a.attnum) filter (
      where a.attgenerated = '' and p_before ? a.attname and (p_after is null
        or not k.is_key and a.attname <> all (p_counters) and a.attidentity <> 'a'))
  into v_keys, key, v_columns
  from pg_index as i
  join pg_attribute as a on a.attrelid = i.indrelid and a.attnum > 0 and not a.attisdropped
  cross join lateral (select a.attnum = any (i.indkey::smallint[]) as is_key) as k
  where i.indrelid = v_table and i.indisprimary;
  if v_keys is null then
    reason := format('%s is no table of the owner''s with a primary key (any more)', p_table);
    return;
  end if;

  -- What is kept nowhere else is not left out without a word.
  select string_agg(b.key, ', ' order by b.key) into v_gone
  from jsonb_each(p_before) as b
  where p_after is null and b.value <> 'null' and not exists (
    select from pg_attribute as a
    where a.attrelid = v_table and a.attname = b.key and a.attnum > 0 and not a.attisdropped);

  v_where := format('where (%1$s) = ('
    'select %1$s from pg_catalog.jsonb_populate_record(null::%2$s, $1))', v_keys, v_table);
  perform set_config('search_path', p_path, true); -- for its triggers
  begin
    execute format('select pg_catalog.to_jsonb(t) from %s as t %s for update', v_table, v_where)
      into v_now using v_key;
  exception when data_exception then
    reason := 'it cannot be found: SQLSTATE ' || sqlstate;
    return;
  end;
  if p_before is not null and maintenance_internal.key_of(v_table, p_before) <> v_key then
    reason := 'its key has been changed';
  elsif p_after is null and v_now is not null then
    reason := 'is there again';
  elsif p_after is null and v_gone is not null then
    reason := format('its column %s is gone', v_gone);
  elsif p_after is not null and v_now is null then
    reason := 'is gone';
  elsif exists (
    select from jsonb_each(p_after - p_counters) as a
    where v_now -> a.key <> a.value)
  then
    reason := 'has been edited since';
  else
    begin
      if p_before is null then
        execute format('delete from %s %s', v_table, v_where) using v_key;
      elsif p_after is null then
        execute format('insert into %1$s (%2$s) overriding system value select %2$s from '
          'pg_catalog.jsonb_populate_record(null::%1$s, $1)', v_table, v_columns)
        using p_before;
      elsif v_columns is not null then
        execute format('update %1$s set (%2$s) = (select %2$s from '
          'pg_catalog.jsonb_populate_record(null::%1$s, $2)) %3$s', v_table, v_columns, v_where)
        using v_key, p_before;
      end if;
      get diagnostics v_count = row_count;
      if p_check_deferred is not null then
        execute p_check_deferred;
      end if;
      if v_count = 0 and (p_before is null or v_columns is not null) then
        reason := 'a trigger has kept it from being put back';
      end if;
    exception when integrity_constraint_violation then
      get stacked diagnostics v_constraint = constraint_name;
      reason := concat_ws(': ', case
          when sqlstate in ('23505', '23P01') then 'another row is in the way'
          when sqlstate <> '23503' then 'its table does not take it'
          when p_before is null then 'something belongs to it'
          else 'what it belongs to is gone'
        end, nullif(v_constraint, ''));
    when others or assert_failure then
      -- What a trigger says may be a row's text.
      if sqlstate ~ '^(08|25|40|53|57|58)' or sqlstate = '55P03' then
        raise;
      end if;
      get stacked diagnostics v_context = pg_exception_context;
      reason := 'it cannot be put back: '
        || maintenance_internal.error_text(sqlstate, sqlerrm, v_context);
    end;
  end if;
end
$$;
-- end of sql/engine/queue/restore_row.sql

-- from sql/engine/queue/undo_change.sql 77e24f5099c466cf
-- Reverses one change, row by row, and returns what became of each, in two rounds at most. The
-- first deletes the rows that the change added and puts back those that it changed or deleted. If
-- one of these cannot be put back, the first round is rolled back, and the second leaves the added
-- rows alone: nobody is left with less than before.
--
-- The last row comes first; what was refused is tried again as long as others are put back, from
-- the other end: what it belongs to may be among them. p_before: what became of the rows at an
-- earlier try; those that were put back then are let alone.

create function maintenance_internal.undo_change(
  p_change maintenance.change,
  p_counters text[],
  p_path text,
  p_check_deferred text,
  p_before jsonb)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_count constant integer := jsonb_array_length(p_change.rows);
  v_done jsonb[];
  v_first jsonb[];
  v_adds boolean := false;
  v_row record;
  v_key text;
  v_reason text;
  v_is_open boolean;
  v_is_moving boolean;
  v_is_backward boolean;
  v_passes integer := 0;
begin
  loop
    begin
      v_done := array_fill(null::jsonb, array[v_count]);
      for v_row in
        select r.row, (r.row ->> 'nr')::integer as nr
        from jsonb_array_elements(p_before) as r (row)
        where r.row ->> 'outcome' = 'applied'
      loop
        v_done[v_row.nr] := v_row.row;
      end loop;
      v_is_backward := true;
      v_passes := 0;
      loop
        v_is_open := false;
        v_is_moving := false;
        -- The added rows first: they may hold a unique key that the others need.
        for v_row in
          select r.nr::integer, r.row ->> 'table' as table_name,
            nullif(r.row -> 'before', 'null') as before, nullif(r.row -> 'after', 'null') as after
          from jsonb_array_elements(p_change.rows) with ordinality as r (row, nr)
          order by nullif(r.row -> 'before', 'null') is not null,
            case when v_is_backward then -r.nr else r.nr end
        loop
          continue when v_done[v_row.nr] ->> 'outcome' = 'applied';
          v_adds := v_adds or v_row.before is null;
          if v_row.before is null and v_first is not null then
            v_key := v_first[v_row.nr] ->> 'key';
            v_reason := coalesce(v_first[v_row.nr] ->> 'reason',
              'stays: not all that it stands for could be put back');
          else
            select r.key, r.reason into v_key, v_reason
            from maintenance_internal.restore_row(v_row.table_name, v_row.before, v_row.after,
              p_counters, p_path, p_check_deferred) as r;
          end if;
          v_is_open := v_is_open or v_reason is not null;
          v_is_moving := v_is_moving or v_reason is null;
          v_done[v_row.nr] := jsonb_strip_nulls(jsonb_build_object(
            'nr', v_row.nr, 'table', v_row.table_name, 'key', v_key,
            'outcome', case when v_reason is null then 'applied' else 'refused' end,
            'reason', v_reason));
        end loop;
        v_passes := v_passes + 1; -- the rest is for another try
        exit when not v_is_open or not v_is_moving or v_passes = 10;
        v_is_backward := not v_is_backward;
      end loop;
      exit when not v_is_open or not v_adds or v_first is not null;
      raise exception 'not all of it can be reversed' using errcode = 'PM000';
    exception when sqlstate 'PM000' then
      v_first := v_done; -- and the second round
    end;
  end loop;
  return (
    select coalesce(jsonb_agg(d.row
      order by nullif(r.row -> 'before', 'null') is not null, r.nr desc), '[]')
    from jsonb_array_elements(p_change.rows) with ordinality as r (row, nr)
    join unnest(v_done) with ordinality as d (row, nr) on d.nr = r.nr);
end
$$;
-- end of sql/engine/queue/undo_change.sql

-- from sql/engine/queue/undo_task.sql 9aa8419d56a94c3e
-- Reverses what an answer changed, the last operation first. Row by row: what was edited, deleted
-- or replaced since is refused and said so, the rest is put back.

-- Takes all rows of a task's changes at first, in the order of their tables and keys, as answers
-- do: else an undo and an answer about the same rows could wait for each other.
create function maintenance_internal.lock_changed_rows(p_task_id bigint)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_table record;
  v_sql text;
begin
  for v_table in
    select r.row ->> 'table' as name, maintenance_internal.changed_table(r.row ->> 'table') as id,
      jsonb_agg(maintenance_internal.key_of(maintenance_internal.changed_table(r.row ->> 'table'),
        coalesce(nullif(r.row -> 'after', 'null'), r.row -> 'before'))) as rows
    from maintenance.change as c
    cross join lateral jsonb_array_elements(c.rows) as r (row)
    where c.task_id = p_task_id and c.outcome = 'applied' and c.undoes is null
    group by 1, 2
    order by 1
  loop
    select format('select from %1$s as t where (%2$s) in (select %2$s from '
      'pg_catalog.jsonb_populate_recordset(null::%1$s, $1)) order by %2$s for update', v_table.id,
      string_agg(quote_ident(a.attname), ', ' order by a.attnum))
    into v_sql
    from pg_index as i
    join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = any (i.indkey::smallint[])
    where i.indrelid = v_table.id and i.indisprimary
    having count(*) > 0;
    -- Where that cannot be, as where its key has another type by now, restore_row says so.
    continue when v_sql is null;
    begin
      execute v_sql using v_table.rows;
    exception when data_exception or integrity_constraint_violation then
      null;
    end;
  end loop;
end
$$;

create function maintenance.undo_task(task_id bigint)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_task maintenance.task;
  v_kind maintenance.kind;
  v_states text[];
  v_change maintenance.change;
  v_path constant text := maintenance_internal.owner_path();
  v_check_deferred constant text := maintenance_internal.check_deferred_statement();
  v_before jsonb;
  v_rows jsonb;
  v_reason text;
  v_forgotten bigint;
begin
  perform maintenance_internal.check_session();
  -- One that goes on, or was given up then, has changed something too.
  select array_agg(distinct t.state) into v_states
  from maintenance.task as t
  join maintenance.change as c on c.task_id = t.task_id and c.outcome = 'applied'
  where t.task_id = undo_task.task_id;
  v_task := maintenance_internal.lock_task(undo_task.task_id, array['succeeded'] || v_states,
    'Only what an answer has changed can be undone.');
  v_kind := maintenance_internal.find_kind(v_task.kind);
  perform maintenance_internal.lock_subject(v_task.kind, v_task.subject);
  perform maintenance_internal.lock_changed_rows(v_task.task_id);
  perform from maintenance.change as c
  where c.task_id = v_task.task_id
  order by c.change_id
  for update;
  if not exists (
      select from maintenance.change as c
      where c.task_id = v_task.task_id and c.undoes is null and c.forgotten_at is null
        or c.task_id = v_task.task_id and c.undoes is not null)
    and exists (select from maintenance.change as c where c.task_id = v_task.task_id)
  then
    raise exception 'what task % changed is not known any more', v_task.task_id
      using errcode = 'PM016', hint = 'The ledger has been emptied of it: the jobs forget_changes '
        'and forget_deletions say when.';
  end if;
  perform set_config('maintenance.undone_task', v_task.task_id::text, true);
  for v_change in
    select c.* from maintenance.change as c
    where c.task_id = v_task.task_id and c.outcome = 'applied' and c.undoes is null
      and c.forgotten_at is null
    order by c.change_id desc
  loop
    select u.rows into v_before from maintenance.change as u where u.undoes = v_change.change_id;
    continue when not jsonb_path_exists(v_before, '$[*] ? (@.outcome == "refused")');
    v_rows := maintenance_internal.undo_change(v_change, v_kind.counters, v_path,
      v_check_deferred, coalesce(v_before, '[]'));
    v_reason := case when jsonb_path_exists(v_rows, '$[*] ? (@.outcome == "refused")')
      then 'not all rows could be put back' end;
    insert into maintenance.change as c
      (task_id, kind, subject, undoes, op, outcome, reason, keys, rows)
    values (v_task.task_id, v_task.kind, v_task.subject, v_change.change_id, 'undo',
      case when jsonb_path_exists(v_rows, '$[*] ? (@.outcome == "applied")')
        or v_rows = '[]' then 'applied' else 'refused' end,
      v_reason, v_change.keys, v_rows)
    on conflict on constraint change_is_undone_once do update
    set outcome = excluded.outcome, reason = excluded.reason, rows = excluded.rows,
      created_at = excluded.created_at;
  end loop;
  perform set_config('maintenance.undone_task', '', true);

  -- Told from the ledger alone, so that the second call tells the same.
  select count(*) into v_forgotten
  from maintenance.change as c
  where c.task_id = v_task.task_id and c.outcome = 'applied' and c.undoes is null
    and c.forgotten_at is not null
    and not exists (
      select from maintenance.change as u
      where u.undoes = c.change_id
        and not jsonb_path_exists(u.rows, '$[*] ? (@.outcome == "refused")'));
  return case when v_forgotten > 0 then jsonb_build_object('forgotten', v_forgotten) else '{}' end
    || (
    select jsonb_build_object(
      'task', v_task.task_id,
      'undone', count(*) filter (where r.row ->> 'outcome' = 'applied'),
      'refused', count(*) filter (where r.row ->> 'outcome' = 'refused'),
      'rows', coalesce(jsonb_agg(r.row - 'nr' || jsonb_build_object('op', c.op)
        order by u.change_id, r.nr) filter (where r.row is not null), '[]'))
    from maintenance.change as u
    join maintenance.change as c on c.change_id = u.undoes
    left join lateral jsonb_array_elements(u.rows) with ordinality as r (row, nr) on true
    where u.task_id = v_task.task_id);
end
$$;

comment on function maintenance.undo_task(bigint) is
  'Puts back every row that the task''s answers changed, but for the columns that its kind names '
  'as counters, and every row that they deleted, with all of them; takes away what they added, '
  'unless a row that it stands for cannot be put back. Returns {task, undone, refused, rows: '
  '[{op, table, key, outcome, reason}]}; a row that was edited or deleted since, or whose place is '
  'taken, is refused. A second call tries again what was refused, and changes nothing else. What '
  'was changed is known for 30 days, what was deleted for the setting recovery_days; how many '
  'operations are not known any more is told as forgotten. Rows that the database has deleted or '
  'changed by a key of yours do not come back. Errors: PM014 no such task, PM016 its answer was '
  'not applied, or nothing of what it did is known any more.';
-- end of sql/engine/queue/undo_task.sql

-- from sql/engine/queue/undone_keys.sql 8f7e978872835f7c
-- What was put together once and taken apart again, or deleted and brought back, so that a kind
-- need not do it a second time.

create function maintenance_internal.undone_keys(p_kind text, p_subject text)
returns table (keys text[], undone_at timestamptz)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select u.keys, max(u.created_at)
  from maintenance.change as u
  where u.kind = p_kind and u.subject = p_subject and u.undoes is not null
    and u.outcome = 'applied'
  group by u.keys;
end;
-- end of sql/engine/queue/undone_keys.sql

-- from sql/engine/queue/given_up.sql 6a5e0554bedff967
-- The inputs of a subject that were given up: a model declined to answer, a person rejected the
-- answer, or it failed until it was dead; and the last one that was answered. A kind that has more
-- than one thing to ask about a subject goes on to the next. None where somebody has asked with
-- force, as retry_task does.

create function maintenance_internal.given_up(p_kind text, p_subject text)
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select g.input_hash
  from (
    select t.input_hash
    from maintenance.task as t
    where t.kind = p_kind and t.subject = p_subject
      and (t.state = 'dead' or t.state = 'skipped' and t.last_class in ('blocked', 'declined'))
    union
    select s.input_hash
    from maintenance_internal.subject as s
    where s.kind = p_kind and s.subject = p_subject
  ) as g
  where g.input_hash is not null and not exists (
    select from maintenance.task as o
    where o.kind = p_kind and o.subject = p_subject and o.state in ('ready', 'leased') and o.force);
end;
-- end of sql/engine/queue/given_up.sql

-- from sql/engine/queue/last_looks.sql 28a78d46bc8c7af9
-- When prepare last looked at each subject of a kind. For its subjects function, which so names
-- only those of whom something has changed since: with a row for each of the others, every day,
-- the queue would keep more of the idle than of the busy. None under trigger_jobs(force => true).

create function maintenance.last_looks(kind text)
returns table (subject text, looked_at timestamptz)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  -- Ten minutes before: what was changed then may have been committed after the look.
  select s.subject, s.looked_at - interval '10 minutes'
  from maintenance_internal.subject as s
  where s.kind = last_looks.kind
    and current_setting('maintenance.force', true) is distinct from 'true';
end;

comment on function maintenance.last_looks(text) is
  'For subjects functions: when prepare last looked at each subject of a kind, so that only those '
  'are named of whom something has changed since. Empty while trigger_jobs(force => true) asks. '
  'For the engine''s owner.';
-- end of sql/engine/queue/last_looks.sql

-- from sql/engine/queue/trigger_jobs.sql 76547632f4afda63
-- Asks for the tasks of every kind with a trigger, one for each of its subjects.

create function maintenance.trigger_jobs(
  job text default 'all',
  spread interval default '0',
  force boolean default false,
  dry_run boolean default false)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_now constant timestamptz := maintenance_internal.moment();
  v_originals constant text[] := array['consolidate', 'analyze', 'archive'];
  v_triggers constant text[] := v_originals || array(
    select distinct k.trigger from maintenance.kind as k where k.trigger <> all (v_originals));
  v_kind maintenance.kind;
  v_subjects text[];
  v_users text[] := '{}'::text[];
  v_published bigint := 0;
  v_tokens numeric := 0;
  v_cost numeric := 0;
  v_errors jsonb := '[]';
  v_new bigint;
  v_past record;
begin
  if trigger_jobs.job is null or trigger_jobs.job <> all (array['all'] || v_triggers) then
    raise exception 'there is no trigger "%"', trigger_jobs.job
      using errcode = 'PM015', hint = 'all, or one of ' || array_to_string(v_triggers, ', ') || '.';
  end if;
  if trigger_jobs.spread is null
    or trigger_jobs.spread not between interval '0' and interval '7 days' then
    raise exception 'the spread "%" is out of range', trigger_jobs.spread
      using errcode = 'PM002', hint = 'An interval from zero to seven days.';
  end if;
  -- Whoever is deleted from here on is forgotten a second time when this is over.
  perform pg_current_xact_id();
  perform set_config('maintenance.force', coalesce(trigger_jobs.force, false)::text, true);

  for v_kind in
    select k.* from maintenance.kind as k
    where k.trigger = trigger_jobs.job
      or trigger_jobs.job = 'all' and k.trigger = any (v_originals)
    order by k.kind
  loop
    -- A broken kind stops no other.
    begin
      v_subjects := maintenance_internal.call_subjects(v_kind.subjects);
      v_users := array(select unnest(v_users) union select unnest(v_subjects));

      if trigger_jobs.dry_run then
        select count(*) into v_new
        from unnest(v_subjects) as s (subject)
        where not exists (
          select from maintenance.task as t
          where t.kind = v_kind.kind and t.subject = s.subject and t.state in ('ready', 'leased'));
        -- What an answer has taken of late; null before the first one.
        select sum(d.input_tokens + d.output_tokens) / sum(d.answered) as tokens,
          sum(d.cost_usd) / sum(d.answered) as cost into v_past
        from maintenance.model_day as d
        where d.kind = v_kind.kind and d.answered > 0
          and d.day > (v_now at time zone 'America/Los_Angeles')::date - 31;
        v_tokens := v_tokens + v_past.tokens * v_new;
        v_cost := v_cost + v_past.cost * v_new;
      else
        insert into maintenance.task as t (kind, subject, available_at, due_at, force)
        select v_kind.kind, s.subject, s.due_at, s.due_at, coalesce(trigger_jobs.force, false)
        from (
          select u.subject, v_now + random() * trigger_jobs.spread as due_at
          from unnest(v_subjects) as u (subject)
        ) as s
        on conflict (kind, subject) where state in ('ready', 'leased') do nothing;
        get diagnostics v_new = row_count;
      end if;
    exception when others or assert_failure then
      v_errors := v_errors || jsonb_build_object('kind', v_kind.kind, 'error', sqlerrm);
      continue;
    end;
    v_published := v_published + v_new;
  end loop;

  return jsonb_build_object('success', v_errors = '[]',
      'usersProcessed', cardinality(v_users), 'jobsPublished', v_published)
    || case when v_errors = '[]' then '{}' else jsonb_build_object('errors', v_errors) end
    || case when trigger_jobs.dry_run then jsonb_build_object(
        'dryRun', true, 'expectedTokens', round(v_tokens), 'expectedCostUsd', round(v_cost, 6))
      else '{}' end;
end
$$;

comment on function maintenance.trigger_jobs(text, interval, boolean, boolean) is
  'Asks for the tasks of a trigger (S0-02), one for each subject of its kinds that has none open: '
  'consolidate, analyze, archive, all of these three (all), or any other that a kind names. '
  'Returns {success, usersProcessed, jobsPublished}; where a kind''s subjects cannot be told, '
  'success is false, errors has {kind, error}, and the others are asked for. '
  'spread: due at random within this time. force: ask even where nothing has changed. dry_run: '
  'publish nothing, and add expectedTokens and expectedCostUsd by the answers of 31 days (null '
  'before the first). Errors: PM002 spread, PM015 no such trigger.';

-- For the steps that ask by schedule: tasks are published first, and then, in a batch of its own,
-- the run fails for what could not be asked.
create function maintenance_internal.trigger_step(job text, spread interval)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_result constant jsonb := maintenance.trigger_jobs(trigger_step.job, trigger_step.spread);
  v_published constant bigint := (v_result ->> 'jobsPublished')::bigint;
begin
  if not v_result ? 'errors' or v_published > 0 then
    perform maintenance.add_details(v_result);
    return case when v_result ? 'errors' then v_published else 0 end;
  end if;
  raise exception 'not asked for: %', (
      select string_agg(format('%s: %s', e ->> 'kind', e ->> 'error'), '; ')
      from jsonb_array_elements(v_result -> 'errors') as e)
    using errcode = 'PM013';
end
$$;
-- end of sql/engine/queue/trigger_jobs.sql

-- from sql/engine/queue/task_events.sql c1f1204b457400b3
-- What became of each task, for whoever may see neither a text nor whom it is about (S0-25).

create view maintenance.task_events as
select
  t.task_id,
  t.kind,
  t.state,
  t.attempts,
  t.created_at,
  t.available_at,
  t.leased_at,
  t.finished_at
from maintenance.task as t;

comment on view maintenance.task_events is
  'The tasks, without a text and without whom they are about: what was asked, and what became of '
  'it.';
comment on column maintenance.task_events.task_id is 'the task';
comment on column maintenance.task_events.kind is 'what is asked';
comment on column maintenance.task_events.state is
  'ready, leased, succeeded, skipped, quarantined or dead';
comment on column maintenance.task_events.attempts is 'how many attempts it has used';
comment on column maintenance.task_events.created_at is 'when it was asked for';
comment on column maintenance.task_events.available_at is 'from when on a worker may have it';
comment on column maintenance.task_events.leased_at is 'when the worker claimed it that has it now';
comment on column maintenance.task_events.finished_at is 'when it was over';
-- end of sql/engine/queue/task_events.sql

-- from sql/engine/queue/task_backlog.sql a8bb7addf6f85dc6
-- The tasks' rows of maintenance_status: what is due and what keeps it, what is with a worker,
-- what waits for a decision, what is dead, who is to be forgotten. None where there is no kind.

create function maintenance_internal.task_backlog()
returns table (
  task text,
  count bigint,
  description text,
  severity text,
  oldest timestamptz,
  advice text)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
#variable_conflict use_column
declare
  v_cap constant integer := 10000;
  v_now constant timestamptz := maintenance_internal.moment();
  v_row record;
  v_hold record;
begin
  if not exists (select from maintenance.kind) then
    return;
  end if;
  select count(*) as tasks, min(d.due_at) as since, min(d.available_at) as oldest into v_row
  from (
    select t.available_at, t.due_at
    from maintenance.kind as k
    cross join generate_series(-5, 5) as p (priority)
    cross join lateral (
      select r.available_at, r.due_at from maintenance.task as r
      where r.state = 'ready' and r.kind = k.kind and r.priority = p.priority
        and r.available_at <= v_now
      order by r.available_at
      limit v_cap
    ) as t
    limit v_cap
  ) as d;
  -- The last word of Gemini's: a refused key keeps all back, each for a minute.
  select 'warning' as severity, format('Gemini refuses the key of the worker, or its project (task '
    '%s): mend GEMINI_API_KEY, and start the worker anew. What it was refused for goes on within a '
    'minute.', c.task_id) as advice
  into v_hold
  from (
    select m.outcome, m.task_id from maintenance.model_call as m
    where m.settled_at is not null
    order by m.call_id desc
    limit 1
  ) as c
  where c.outcome = 'configuration' and exists (
    select from maintenance.task as t where t.task_id = c.task_id and t.state = 'ready');
  if not found then
    select case
        when bool_or(h.hold ~ '^(paused|stopped) since') then 'notice'
        when bool_or(h.hold ~ '^the budget') or v_row.since < v_now - interval '15 minutes'
          then 'warning'
        else 'notice' end as severity,
      string_agg(distinct upper(left(h.hold, 1)) || substr(h.hold, 2) || case
        when h.hold ~ '^(paused|stopped) since' then '. select maintenance.resume();'
        when h.hold ~ '^the budget' then '. More of it: select maintenance.configure('
          '''daily_budget_usd'', ' || 1 + 2 * (
            select s.value::numeric from maintenance.setting as s
            where s.name = 'daily_budget_usd') || ');'
        else '. Who is asked when: select * from maintenance.model_status;' end, ' ') as advice
    into v_hold
    from maintenance_internal.task_holds(v_now) as h
    having count(*) > 0;
  end if;

  return query
    select 'tasks_due', v_row.tasks, 'Tasks that wait for a worker' || case
        when v_row.tasks >= v_cap then format('; at least %s', v_cap) else '' end,
      case
        when v_hold.severity is not null then v_hold.severity
        when v_row.tasks = 0 then 'ok'
        when v_row.oldest < v_now - interval '1 hour' then 'warning'
        else 'notice'
      end,
      v_row.since,
      case
        when v_hold.advice is not null then v_hold.advice
        when v_row.oldest < v_now - interval '1 hour'
          then 'Due for more than an hour: is a worker running? npm start'
      end;

  select count(*) as tasks, min(d.leased_at) as since,
    (array_agg(d.task_id order by d.leased_at))[1] as task_id,
    (array_agg(d.worker order by d.leased_at))[1] as worker into v_row
  from (
    select t.task_id, t.worker, t.leased_at from maintenance.task as t
    where t.state = 'leased'
    limit v_cap
  ) as d;
  return query
    select 'tasks_leased', v_row.tasks, 'Tasks that are with a worker'
        || case when v_row.tasks >= v_cap then format('; at least %s', v_cap) else '' end,
      case when v_row.since < v_now - interval '1 hour' then 'warning' else 'ok' end,
      v_row.since,
      case when v_row.since < v_now - interval '1 hour' then format('Task %s is with %s for more '
        'than an hour. To take it back: select maintenance.retry_task(%1$s);', v_row.task_id,
        v_row.worker) end;

  return query
    select 'tasks_quarantined', count(*), 'Answers that went too far to be applied unasked'
        || case when count(*) >= v_cap then format('; at least %s', v_cap) else '' end,
      case when count(*) = 0 then 'ok' else 'warning' end,
      min(d.created_at),
      case when count(*) > 0 then 'What each would do: select * from maintenance.pending_answer; '
        'then select maintenance.approve_task(task_id); or select '
        'maintenance.reject_task(task_id);' end
    from (
      select t.created_at from maintenance.task as t
      where t.state = 'quarantined'
      order by t.task_id
      limit v_cap
    ) as d;

  select count(*) as tasks, min(d.finished_at) as since,
    string_agg(distinct format('select maintenance.retry_tasks(%L);', d.kind), ' ') as retry
  into v_row
  from (
    select t.finished_at, t.kind from maintenance.task as t
    where t.state = 'dead'
    order by t.finished_at
    limit v_cap
  ) as d;
  return query
    select 'tasks_dead', v_row.tasks, 'Tasks that were given up' || case when v_row.tasks >= v_cap
        then format('; at least %s', v_cap) else '' end,
      case when v_row.tasks = 0 then 'ok' else 'warning' end,
      v_row.since,
      case when v_row.tasks > 0 then 'select task_id, kind, last_error from maintenance.task '
        'where state = ''dead''; then one: select maintenance.retry_task(task_id); or all of a '
        'kind: ' || v_row.retry end;

  return query
    select 'subjects_to_erase', count(*), 'Subjects that were deleted, and are to be forgotten',
      case when min(e.noted_at) < v_now - interval '10 minutes' then 'warning' else 'notice' end,
      min(e.noted_at),
      case when min(e.noted_at) < v_now - interval '10 minutes' then
        coalesce(max(e.error) || '. ', '') || 'The tick forgets them, thousands a minute: is it at '
        'work? By hand, as the owner: call maintenance.tick();' end
    from maintenance_internal.erasure as e
    where e.erased_in is null
    having count(*) > 0;

  select count(*) filter (where m.state <> 'ok') as models, min(m.until) as until,
    case
      when not bool_or(m.state in ('ok', 'warning', 'failing_over')) then 'critical'
      when bool_or(m.state not in ('ok', 'warning')) then 'warning'
      when bool_or(m.state = 'warning') then 'notice'
      else 'ok'
    end as severity,
    string_agg(concat(m.model, ': ', m.state, ', ', m.reason, to_char(m.until, '", until" '
        'YYYY-MM-DD HH24:MI:SSOF')), '; ' order by m.carrier, m.position)
      filter (where m.state <> 'ok') as advice
  into v_row
  from maintenance_internal.model_states(v_now) as m
  left join maintenance_internal.cool_down as c on c.model = m.model and c.kind = '*'
  -- What cools for a moment is no news.
  where m.state <> 'disabled'
    and (m.state <> 'cooling' or c.until - c.since > interval '10 seconds');
  return query
    select 'models', v_row.models,
      'Models that have used 80 % of a limit, or are not asked now', v_row.severity,
      null::timestamptz, v_row.advice || '. select * from maintenance.model_status;';
exception when lock_not_available then -- says so, and takes no other row of the status with it
  return query
    select 'tasks_due', null::bigint, 'Tasks that wait for a worker: cannot be counted', 'critical',
      null::timestamptz, maintenance_internal.lock_advice('maintenance.task');
end
$$;
-- end of sql/engine/queue/task_backlog.sql

-- from sql/engine/blob/tables.sql 2b1735d9062224d4
-- The outbox: what is to be deleted from the store of blobs, an entry for each row that named one
-- and went. The worker deletes; a blob that a row names, or that an undo may bring a row back for,
-- stays.

create table maintenance.blob (
  blob_id bigint generated always as identity,
  url text not null,
  name text not null generated always as (ltrim(url, '/')) stored,
  gate integer not null
    generated always as ((hashtextextended(ltrim(url, '/'), 0) & 255)::integer) stored,
  state text not null default 'ready',
  task_id bigint,
  attempts integer not null default 0,
  defers integer not null default 0,
  available_at timestamptz not null default maintenance_internal.moment(),
  due_at timestamptz not null default maintenance_internal.moment(),
  noted_at timestamptz not null default maintenance_internal.moment(),
  noted_in xid8 not null default pg_current_xact_id(),
  worker text,
  lease_token uuid,
  lease_expires_at timestamptz,
  last_error text,
  dead_at timestamptz,
  constraint blob_pkey primary key (blob_id),
  constraint blob_state_is_known check (state in ('ready', 'leased', 'dead')),
  constraint blob_leased_has_a_lease check (
    (state = 'leased') = (lease_token is not null)
    and (state = 'leased') = (lease_expires_at is not null)
    and (state = 'leased') = (worker is not null)),
  constraint blob_dead_says_why
    check ((state = 'dead') = (dead_at is not null) and (state <> 'dead' or last_error is not null))
);

create index blob_ready_idx on maintenance.blob (available_at, blob_id) where state = 'ready';
create index blob_leased_idx on maintenance.blob (lease_expires_at) where state = 'leased';
create index blob_due_idx on maintenance.blob (due_at) where state <> 'dead';
create index blob_dead_idx on maintenance.blob (dead_at) where state = 'dead';
create index blob_name_idx on maintenance.blob using hash (name);
create index blob_task_id_idx on maintenance.blob (task_id) where task_id is not null;

comment on table maintenance.blob is
  'Blobs to be deleted from the store, noted by track_blobs when a row went that named them. ready '
  'waits for available_at; leased is with a worker; dead was given up. What is deleted is no row '
  'any more.';
comment on column maintenance.blob.url is 'what the row had: the store makes an address of it';
comment on column maintenance.blob.name is 'what all spellings of it have in common';
comment on column maintenance.blob.gate is 'the row of blob_gate that those who name it share';
comment on column maintenance.blob.task_id is
  'the task whose answer deleted the row: as long as undo_task may bring it back, the blob stays';
comment on column maintenance.blob.attempts is 'claims that were its own failure, or are under way';
comment on column maintenance.blob.defers is 'how often the store was not there, or refused all';
comment on column maintenance.blob.due_at is 'since when it may go';
comment on column maintenance.blob.noted_in is 'the transaction that noted it';

-- Who makes a row that names a blob shares the gate of its name until the transaction ends; a claim
-- closes it for a moment, and does not wait for it. Some names have one gate.
create table maintenance_internal.blob_gate (
  gate integer not null,
  closings bigint not null default 0,
  constraint blob_gate_pkey primary key (gate)
) with (fillfactor = 20);

comment on table maintenance_internal.blob_gate is
  'Keeps claims of blobs and rows that name them apart: a claim looks for rows when all are there '
  'to be seen.';

-- A restore of the structure alone has left them out.
create function maintenance_internal.put_blob_gates()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into maintenance_internal.blob_gate (gate) select generate_series(0, 255)
  on conflict do nothing;
end
$$;

select maintenance_internal.put_blob_gates();
-- end of sql/engine/blob/tables.sql

-- from sql/engine/blob/track_blobs.sql 55bd60400659dcac
-- The trigger of a table that names blobs. A row that goes leaves an entry in the outbox, in the
-- same transaction, whichever way it goes. A row that comes takes the entries of its blob out
-- again; and it shares the gate of the blob, so that none is handed out before this transaction's
-- row is there to be seen.

-- The task whose answer is being applied in this transaction (applied_task), or is being undone
-- (undone_task): what rows that go or come belong to. Null outside.
create function maintenance_internal.current_task(p_setting text)
returns bigint
language sql
stable
set search_path = pg_catalog, pg_temp
return substring(current_setting('maintenance.' || p_setting, true) from '^[0-9]{1,18}$')::bigint;

-- Whether an undo may bring back what a task has deleted.
create function maintenance_internal.can_be_undone(p_task_id bigint)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
return exists (
  select from maintenance.change as c
  where c.task_id = p_task_id and c.deletes and c.forgotten_at is null);

-- When an entry that an undo holds is looked at, if the ledger does not release it before.
create function maintenance_internal.look_again_at()
returns timestamptz
language sql
stable
set search_path = pg_catalog, pg_temp
return maintenance_internal.moment() + greatest(interval '1 hour', interval '1 day' * least((
  select s.value::numeric from maintenance.setting as s where s.name = 'recovery_days'), 30));

-- The ledger forgets what was deleted, so that no undo brings it back: its blobs may go.
create function maintenance_internal.release_blobs()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  update maintenance.blob as b
  set available_at = least(b.available_at, maintenance_internal.moment()),
    due_at = least(b.due_at, maintenance_internal.moment())
  where b.task_id = new.task_id and b.state = 'ready'
    and not maintenance_internal.can_be_undone(b.task_id);
  return null;
end
$$;

create trigger release_blobs after update of forgotten_at on maintenance.change
for each row when (new.deletes and old.forgotten_at is null and new.forgotten_at is not null)
execute function maintenance_internal.release_blobs();

create function maintenance.track_blobs()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
-- A session keeps the plan that it made when the outbox was empty.
set enable_seqscan = off
as $$
declare
  v_task_id bigint;
  v_due timestamptz;
  v_read constant text := coalesce(quote_ident(tg_argv[0]), 'null') || '::text';
  v_url text;
  v_name text;
  v_gate integer;
begin
  if tg_op = 'TRUNCATE' and current_setting('transaction_isolation') <> 'read committed' then
    raise exception '% cannot be truncated under repeatable read: not all of its blobs are seen',
      tg_relid::regclass using errcode = 'PM003', hint = 'Under read committed, or by delete.';
  elsif tg_nargs <> 1 or (tg_op = 'TRUNCATE') <> (tg_when = 'BEFORE')
    or tg_level = 'STATEMENT' and tg_op in ('INSERT', 'UPDATE')
    or tg_level = 'STATEMENT' and tg_op = 'DELETE' and not exists (
      select from pg_trigger as t
      where t.tgrelid = tg_relid and t.tgname = tg_name and t.tgoldtable = 'gone')
  then
    raise exception '% is no trigger that can track blobs', tg_name
      using errcode = 'PM003', hint = format('create trigger %I after insert or delete or update '
        'of url on %s for each row execute function maintenance.track_blobs(''url''); with the '
        'name of the column instead of url.', tg_name, tg_relid::regclass);
  end if;
  if tg_op in ('DELETE', 'TRUNCATE') then
    v_task_id := maintenance_internal.current_task('applied_task');
    v_due := case when v_task_id is null then maintenance_internal.moment()
      else maintenance_internal.look_again_at() end;
  end if;
  begin
    if tg_level = 'STATEMENT' then
      execute format('insert into maintenance.blob (url, task_id, available_at, due_at) '
          'select %1$s, $1, $2, $2 from %2$s where %1$s <> ''''', v_read,
          case tg_op when 'DELETE' then 'gone' else tg_relid::regclass::text end)
        using v_task_id, v_due;
      return null;
    elsif tg_op = 'DELETE' then
      execute 'select ($1).' || v_read into v_url using old;
    else
      execute 'select ($1).' || v_read into v_url using new;
    end if;
  exception when undefined_column then
    raise exception '% has no column %, which its trigger % names', tg_relid::regclass,
      tg_argv[0], tg_name using errcode = 'PM003';
  end;
  if coalesce(v_url, '') = '' then
    return null;
  elsif tg_op = 'DELETE' then
    insert into maintenance.blob (url, task_id, available_at, due_at)
    values (v_url, v_task_id, v_due, v_due);
    return null;
  end if;
  v_name := ltrim(v_url, '/');
  v_gate := (hashtextextended(v_name, 0) & 255)::integer; -- as maintenance.blob has it
  -- Under repeatable read this fails where a claim has been there since, whose lease is not seen.
  perform from maintenance_internal.blob_gate as g where g.gate = v_gate for share;
  if not found then
    insert into maintenance_internal.blob_gate (gate) values (v_gate) on conflict do nothing;
    perform from maintenance_internal.blob_gate as g where g.gate = v_gate for share;
  end if;
  -- Behind the gate no claim is under way: who else is at these entries takes them out, too.
  if exists (
    select from maintenance.blob as b
    where b.name = v_name and b.lease_expires_at > maintenance_internal.moment())
  then
    raise exception 'the blob "%" is being deleted just now', v_url
      using errcode = 'PM028', hint = 'Store it under another name, or again in some minutes.';
  end if;
  -- Each row that an undo brings back has an entry of its own; those of other tasks stay, since
  -- their undo may bring rows back when this one has gone again.
  delete from maintenance.blob as b
  where b.blob_id = any (array(
    select l.blob_id from maintenance.blob as l
    where l.name = v_name and (
      l.task_id is null or not maintenance_internal.can_be_undone(l.task_id) or l.blob_id = (
        select min(o.blob_id) from maintenance.blob as o
        where o.name = v_name
          and o.task_id = maintenance_internal.current_task('undone_task')))
    for update skip locked));
  return null;
end
$$;

comment on function maintenance.track_blobs() is
  'Trigger, after each row that is inserted, deleted or given another blob (or after a delete, for '
  'each statement, referencing old table as gone, which is faster where many go), and before a '
  'truncate; its argument is the column that names the blob, which needs an index. A row that goes '
  'leaves an entry in maintenance.blob, and the worker deletes the blob when no row of any such '
  'table names it and no undo_task can bring one back; a row that names it again takes the entry '
  'out. A column that is only given another value leaves none: the same blob may have got another '
  'address. Errors: PM003 it is put elsewhere, PM028 a worker is deleting that blob.';
-- end of sql/engine/blob/track_blobs.sql

-- from sql/engine/blob/claim_blobs.sql 55cdfe34d0c8ae11
-- Hands blobs that are due to a worker. Each is looked at anew, behind the lock on its entry:
-- whether a row names it (again), and whether an undo may bring one back.

-- Tables that name blobs, and the column that does, as a text: those with the trigger, also where
-- it is disabled. An index serves a column of a type of strings as it stands. fault: why it cannot
-- be told what such a table names.
create function maintenance_internal.blob_tables()
returns table (name regclass, url text, fault text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select distinct t.name,
    't.' || quote_ident(t.url_column) || case when y.typcategory = 'S' then '' else '::text' end,
    t.name || ': ' || case
      when a.attname is null then format('it has no column %s, which its trigger names',
        t.url_column)
      when not maintenance_internal.is_trusted(t.owner)
        then format('its owner %s is not trusted', t.owner::regrole)
      when row_security_active(t.name) then 'its row security holds for its owner, too'
      when t.is_deferrable then 'its trigger is deferrable'
    end
  from (
    select g.tgrelid::regclass as name, c.relowner as owner, g.tgdeferrable as is_deferrable,
      convert_from(substring(g.tgargs from 1 for position(decode('00', 'hex') in g.tgargs) - 1),
        getdatabaseencoding()) as url_column
    from pg_trigger as g
    join pg_class as c on c.oid = g.tgrelid
    where g.tgfoid = 'maintenance.track_blobs()'::regprocedure and g.tgparentid = 0
      and g.tgnargs = 1 and c.relpersistence <> 't'
  ) as t
  left join pg_attribute as a
    on a.attrelid = t.name and a.attname = t.url_column and a.attnum > 0 and not a.attisdropped
  left join pg_type as y on y.oid = a.atttypid;
end;

-- Leases that have ended: nobody is at these any more, and some may be done.
create function maintenance_internal.sweep_blobs()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_blob maintenance.blob;
begin
  for v_blob in
    select b.* from maintenance.blob as b
    where b.state = 'leased' and b.lease_expires_at <= maintenance_internal.moment()
    order by b.lease_expires_at
    limit 100
    for update skip locked
  loop
    perform maintenance_internal.end_blob_lease(v_blob, 'defer', coalesce(v_blob.last_error,
      format('the lease of %s ended without a word', v_blob.worker)));
  end loop;
end
$$;

-- Which of these blobs rows name, in their spelling.
create function maintenance_internal.named_blobs(p_urls text[])
returns text[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_table record;
  v_named text[] := '{}'::text[];
  v_some text[];
begin
  for v_table in select * from maintenance_internal.blob_tables() loop
    if v_table.fault is not null then
      raise exception 'what a table names cannot be told: %', v_table.fault
        using errcode = 'PM003', hint = 'Mend it, or drop its triggers that call '
          'maintenance.track_blobs.';
    end if;
    execute format('select array(select distinct %1$s::text from %2$s as t where %1$s = any ($1))',
      v_table.url, v_table.name) into v_some using p_urls;
    v_named := v_named || v_some;
  end loop;
  return v_named;
end
$$;

create function maintenance.claim_blobs(
  worker text,
  max integer default 10,
  lease interval default '2 minutes')
returns table (blob_id bigint, url text, lease_token uuid, attempt integer)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
-- Who names a blob waits as long as this waits for a table.
set lock_timeout = '500ms'
-- A session keeps the plan that it made when the outbox was empty.
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  v_left integer := claim_blobs.max;
  v_claimed integer;
  v_ids bigint[];
  v_gates integer[];
  v_named text[];
begin
  if coalesce(btrim(claim_blobs.worker), '') = '' then
    raise exception 'the worker has no name'
      using errcode = 'PM002', hint = 'Any text that tells who it is: host and process.';
  end if;
  if claim_blobs.max is null or claim_blobs.max not between 1 and 1000 then
    raise exception 'max "%" is out of range', claim_blobs.max
      using errcode = 'PM002', hint = 'A number from 1 to 1000.';
  end if;
  if claim_blobs.lease is null
    or claim_blobs.lease not between interval '1 second' and interval '6 hours' then
    raise exception 'the lease "%" is out of range', claim_blobs.lease
      using errcode = 'PM002', hint = 'An interval from a second to six hours.';
  end if;
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'blobs are claimed under read committed alone'
      using errcode = 'PM002', hint = 'What others have committed meanwhile would not be seen: '
        'alter role ... set default_transaction_isolation = ''read committed'';';
  end if;
  if maintenance_internal.is_paused() then
    return;
  end if;
  -- Who names a blob waits for this transaction: nobody else's login sits in it.
  if not maintenance_internal.is_trusted(
    (select r.oid from pg_roles as r where r.rolname = session_user)) then
    perform set_config('idle_in_transaction_session_timeout', '5s', true);
  end if;
  perform maintenance_internal.sweep_blobs();
  if (select count(*) from maintenance_internal.blob_gate) < 256 then
    perform maintenance_internal.put_blob_gates();
  end if;

  -- Many may have to stay: some thousand are looked at, and the rest by the next claim.
  for v_pass in 1 .. 10 loop
    v_ids := array(
      select b.blob_id from maintenance.blob as b
      where b.state = 'ready' and b.available_at <= maintenance_internal.moment()
      order by b.available_at, b.blob_id
      limit case v_pass when 1 then claim_blobs.max else greatest(claim_blobs.max, 200) end
      for update skip locked);
    exit when v_ids = '{}';
    -- Somebody may have made a row that names one of these, and has not committed yet: those are
    -- for the next second, and what can be undone for later still.
    v_gates := array(
      select g.gate from maintenance_internal.blob_gate as g
      where g.gate in (
        select b.gate from maintenance.blob as b where b.blob_id = any (v_ids))
      for update skip locked);
    update maintenance_internal.blob_gate as g
    set closings = g.closings + 1
    where g.gate = any (v_gates);
    with later as (
      update maintenance.blob as b
      set available_at = w.at, due_at = case when w.is_shared then b.due_at else w.at end
      from (
        select o.blob_id, o.gate <> all (v_gates) as is_shared, case when o.gate <> all (v_gates)
          then maintenance_internal.moment() + interval '1 second'
          else maintenance_internal.look_again_at() end as at
        from maintenance.blob as o
        where o.blob_id = any (v_ids)
          and (o.gate <> all (v_gates) or maintenance_internal.can_be_undone(o.task_id))
      ) as w
      where b.blob_id = w.blob_id
      returning b.blob_id
    )
    select array(select unnest(v_ids) except select l.blob_id from later as l) into v_ids;
    v_named := maintenance_internal.named_blobs(array(
      select distinct s.url from maintenance.blob as b
      cross join lateral unnest(array[b.url, b.name, '/' || b.name]) as s (url)
      where b.blob_id = any (v_ids)));
    -- Named by a row; or one of several entries for the same blob, of which one that an undo holds
    -- counts, or the last.
    delete from maintenance.blob as b
    where b.blob_id = any (v_ids)
      and (b.name in (select ltrim(n.url, '/') from unnest(v_named) as n (url))
        or exists (
          select from maintenance.blob as o
          where o.name = b.name and o.blob_id <> b.blob_id
            and (maintenance_internal.can_be_undone(o.task_id)
              or o.blob_id > b.blob_id and o.state <> 'dead')));
    return query
      update maintenance.blob as u
      set state = 'leased',
        attempts = u.attempts + 1,
        worker = maintenance_internal.worker_name(claim_blobs.worker),
        lease_token = gen_random_uuid(),
        lease_expires_at = maintenance_internal.moment() + claim_blobs.lease
      where u.blob_id = any (array(
        select b.blob_id from maintenance.blob as b
        where b.blob_id = any (v_ids)
        order by b.available_at, b.blob_id
        limit v_left))
      returning u.blob_id, u.url, u.lease_token, u.attempts;
    get diagnostics v_claimed = row_count;
    v_left := v_left - v_claimed;
    exit when v_left = 0;
  end loop;
end
$$;

comment on function maintenance.claim_blobs(text, integer, interval) is
  'Leases up to max blobs to a worker, which deletes them from the store and says so by '
  'settle_blob; an entry whose lease ends without a word is handed out again. Only blobs that no '
  'row names, and that no undo_task can bring a row back for. None during a pause. In a '
  'transaction of its own, under read committed: who names a blob meanwhile may wait for it. '
  'Errors: PM002 argument, PM003 what a table names cannot be told.';
-- end of sql/engine/blob/claim_blobs.sql

-- from sql/engine/blob/settle_blob.sql d03f1293ed912c63
-- Ends a lease on a blob: the one place that decides what becomes of an entry.
--
--   outcome    attempt    then
--   deleted    -          the entry goes
--   gone       -          the same: there was no such blob
--   released   refunded   ready at once
--   unknown    refunded   leased until the lease ends: the store may still do it; then as defer
--   defer      refunded   ready after a minute at first and an hour at last: it is the store
--   transient  burned     ready after a back-off, or dead after the last attempt
--   rejected   burned     dead: this blob can never be deleted so

create function maintenance_internal.end_blob_lease(
  p_blob maintenance.blob,
  p_outcome text,
  p_message text,
  out state text,
  out available_at timestamptz)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_most_attempts constant integer := 20;
  v_now constant timestamptz := maintenance_internal.moment();
  v_attempts constant integer :=
    p_blob.attempts - (p_outcome in ('released', 'defer'))::integer;
  v_defers constant integer := p_blob.defers + (p_outcome = 'defer')::integer;
begin
  if p_outcome = 'unknown' then
    update maintenance.blob as b
    set last_error = left(coalesce(p_message, p_outcome), 1000)
    where b.blob_id = p_blob.blob_id;
    state := p_blob.state;
    available_at := p_blob.lease_expires_at;
    return;
  elsif p_outcome in ('deleted', 'gone') then
    delete from maintenance.blob as b where b.blob_id = p_blob.blob_id;
    state := p_outcome;
    return;
  end if;
  state := case
    when p_outcome = 'rejected' or p_outcome = 'transient' and v_attempts >= v_most_attempts
      then 'dead'
    else 'ready'
  end;
  if state = 'ready' then
    available_at := v_now + case p_outcome
      when 'released' then interval '0'
      when 'defer' then least(interval '1 minute' * 2 ^ least(v_defers - 1, 6), interval '1 hour')
      else maintenance_internal.back_off(v_attempts)
    end;
  end if;
  update maintenance.blob as b
  set state = end_blob_lease.state,
    attempts = v_attempts,
    defers = v_defers,
    available_at = coalesce(end_blob_lease.available_at, b.available_at),
    worker = null,
    lease_token = null,
    lease_expires_at = null,
    last_error = case when p_outcome = 'released' then b.last_error
      else left(coalesce(p_message, p_outcome), 1000) end,
    dead_at = case when end_blob_lease.state = 'dead' then v_now end
  where b.blob_id = p_blob.blob_id;
end
$$;

create function maintenance.settle_blob(
  blob_id bigint,
  lease_token uuid,
  outcome text,
  message text default null)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_blob maintenance.blob;
  v_end record;
begin
  if settle_blob.outcome is null or settle_blob.outcome <> all (
    array['deleted', 'gone', 'released', 'unknown', 'defer', 'transient', 'rejected']) then
    raise exception 'the outcome "%" is not known', settle_blob.outcome
      using errcode = 'PM002', hint = 'deleted, gone, released, unknown, defer, transient or '
        'rejected.';
  end if;
  select b.* into v_blob from maintenance.blob as b
  where b.blob_id = settle_blob.blob_id and b.lease_token = settle_blob.lease_token
  for update;
  if not found then
    raise exception 'blob % is not leased under this token (any more)', settle_blob.blob_id
      using errcode = 'PM014', hint = 'Drop it: it is settled, or its lease ended and '
        'somebody else has it or had it.';
  end if;
  select * into v_end
  from maintenance_internal.end_blob_lease(v_blob, settle_blob.outcome, settle_blob.message);
  return to_jsonb(v_end);
end
$$;

comment on function maintenance.settle_blob(bigint, uuid, text, text) is
  'Ends the lease on a blob and returns {state, available_at}. outcome: deleted, or gone where '
  'there was none: its entry goes; released: not tried; defer: the store cannot be reached, or '
  'refuses all, which costs nothing: tried again after a minute at first and an hour at last; '
  'unknown: asked for, and nobody knows: the same when the lease has ended, and no row can name '
  'the blob before; transient: costs an attempt: tried again after a back-off, dead after 20; '
  'rejected: dead at once. message: for people, no secret in it. Errors: PM002 outcome, PM014 not '
  'leased under this token.';
-- end of sql/engine/blob/settle_blob.sql

-- from sql/engine/blob/retry_blobs.sql cda20aad1740d3fa
-- Revives blobs that were given up, and hurries those that wait for another try.

create function maintenance.retry_blobs()
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_now constant timestamptz := maintenance_internal.moment();
  v_dead bigint;
  v_waiting bigint;
begin
  update maintenance.blob as b
  set state = 'ready', attempts = 0, defers = 0, available_at = v_now, due_at = v_now,
    dead_at = null
  where b.blob_id = any (array(
    select d.blob_id from maintenance.blob as d where d.state = 'dead' for update skip locked));
  get diagnostics v_dead = row_count;
  update maintenance.blob as b
  set available_at = v_now, defers = 0
  where b.blob_id = any (array(
    select w.blob_id from maintenance.blob as w
    where w.state = 'ready' and w.due_at <= v_now and w.available_at > v_now
    for update skip locked));
  get diagnostics v_waiting = row_count;
  return jsonb_build_object('revived', v_dead, 'hurried', v_waiting);
end
$$;

comment on function maintenance.retry_blobs() is
  'Makes every dead entry of maintenance.blob ready again, with all its attempts, and what waits '
  'for another try due at once. Returns {revived, hurried}.';
-- end of sql/engine/blob/retry_blobs.sql

-- from sql/engine/blob/blob_backlog.sql 8707472915cdbfac
-- The rows of maintenance_status about blobs; none where no table names any.

create function maintenance_internal.blob_backlog()
returns table (
  task text,
  count bigint,
  description text,
  severity text,
  oldest timestamptz,
  advice text)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
#variable_conflict use_column
declare
  v_cap constant integer := 10000;
  v_now constant timestamptz := maintenance_internal.moment();
  v_row record;
  v_tables bigint;
  v_fault text;
begin
  select count(*), min(t.fault) into v_tables, v_fault
  from maintenance_internal.blob_tables() as t;
  if v_tables = 0 and not exists (select from maintenance.blob) then
    return;
  end if;
  select count(*) as blobs, min(d.due_at) as since,
    (array_agg(d.last_error order by d.due_at) filter (where d.last_error <> ''))[1] as error
  into v_row
  from (
    select b.due_at, b.last_error from maintenance.blob as b
    where b.state <> 'dead' and b.due_at <= v_now
    order by b.due_at
    limit v_cap
  ) as d;
  return query
    select 'blobs_due', v_row.blobs, 'Blobs to be deleted from the store' || case
        when v_row.blobs >= v_cap then format('; at least %s', v_cap) else '' end,
      case
        when v_fault is not null then 'warning'
        when v_row.blobs = 0 then 'ok'
        when v_row.since < v_now - interval '1 hour' and not maintenance_internal.is_paused()
          then 'warning'
        else 'notice'
      end,
      v_row.since,
      case
        when v_fault is not null
          then format('None is handed out, since what a table names cannot be told: %s. Mend it, '
            'or drop its triggers that call maintenance.track_blobs.', v_fault)
        when v_row.blobs = 0 then null
        when maintenance_internal.is_paused()
          then format('All jobs are %s. select maintenance.resume();',
            maintenance_internal.pause_text())
        when v_row.since < v_now - interval '1 hour'
          then 'Due for more than an hour: ' || coalesce('the store says: ' || v_row.error
            || '. When that is mended, at once: select maintenance.retry_blobs();',
            'is a worker running that has BLOB_STORE set? npm start')
      end;

  select count(*) as blobs, min(d.dead_at) as since,
    (array_agg(d.last_error order by d.dead_at))[1] as error into v_row
  from (
    select b.dead_at, b.last_error from maintenance.blob as b
    where b.state = 'dead'
    order by b.dead_at
    limit v_cap
  ) as d;
  return query
    select 'blobs_dead', v_row.blobs, 'Blobs that could not be deleted from the store, and were '
        'given up' || case when v_row.blobs >= v_cap then format('; at least %s', v_cap)
          else '' end,
      case when v_row.blobs = 0 then 'ok' else 'warning' end,
      v_row.since,
      case when v_row.blobs > 0 then format('The first: %1$s. Which, as the owner: select blob_id, '
        'url, last_error from maintenance.blob where state = ''dead''; all of them once more: '
        'select maintenance.retry_blobs(); those of this error, which then stay in the store for '
        'ever: delete from maintenance.blob where state = ''dead'' and last_error = %1$L;',
        v_row.error) end;
exception when lock_not_available then
  return query
    select 'blobs_due', null::bigint, 'Blobs to be deleted from the store: cannot be counted',
      'critical', null::timestamptz, maintenance_internal.lock_advice('maintenance.blob');
end
$$;
-- end of sql/engine/blob/blob_backlog.sql

-- from sql/engine/ship/tables.sql f876807b8ebd0eaa
-- What was shipped, so that a later release can tell its own former values from what somebody has
-- made of them here; and the same rows as they are in force.

create table maintenance_internal.shipped (
  kind text not null,
  name text not null,
  part text not null,
  job_id integer,
  row jsonb,
  outcome text not null,
  shipped_at timestamptz not null default now(),
  constraint shipped_pkey primary key (kind, name),
  constraint shipped_kind_is_known check (kind in ('job', 'kind', 'model')),
  constraint shipped_part_is_known check (part in ('engine', 'reference'))
);

comment on table maintenance_internal.shipped is
  'The jobs, kinds and models of the release that is installed, each as it was shipped. One that '
  'is here and no more in force was removed by somebody.';
comment on column maintenance_internal.shipped.job_id is
  'which job it became: another one by that name is not ours';
comment on column maintenance_internal.shipped.row is 'null where it could not be shipped';
comment on column maintenance_internal.shipped.outcome is 'what became of it in the last release';

-- The migrations of ours that were applied here, so that uninstall can have dbmate forget them.
create table maintenance_internal.migration (
  version text not null,
  constraint migration_pkey primary key (version)
);

comment on table maintenance_internal.migration is
  'The migrations of pg-maintenance that were applied here; each writes its own row.';

create view maintenance_internal.row_in_force as
select
  'job' as kind,
  j.job_name as name,
  to_jsonb(j) - '{job_id,job_name,enabled,promised_at,look_at,look_since,created_at,updated_at}'
      ::text[]
    || coalesce(to_jsonb(p) - 'job_id', '{}') as row
from maintenance_internal.job as j
left join maintenance_internal.policy as p on p.job_id = j.job_id
union all
select 'kind', k.kind, to_jsonb(k) - array['kind', 'changed_at'] from maintenance.kind as k
union all
select 'model', m.model, to_jsonb(m) - array['model', 'changed_at'] from maintenance.model as m;

comment on view maintenance_internal.row_in_force is
  'What can be shipped, as it is now: every option of a job, with its rule; kinds; models.';
-- end of sql/engine/ship/tables.sql

-- from sql/engine/ship/unlike_shipped.sql a98a18dd5deb195b
-- What somebody has made of a shipped row, column by column: as it was shipped, and in force.
create function maintenance_internal.changes_of_shipped(p_kind text, p_name text)
returns table (key text, shipped jsonb, in_force jsonb)
language sql
stable
set search_path = pg_catalog, pg_temp
set intervalstyle = 'postgres'
begin atomic
  select k, s.row -> k, r.row -> k
  from maintenance_internal.shipped as s
  join maintenance_internal.row_in_force as r on r.kind = s.kind and r.name = s.name
  left join maintenance_internal.job as j on s.kind = 'job' and j.job_name = s.name
  cross join lateral jsonb_object_keys(s.row) as k -- a column that came later is nobody's change
  where s.kind = p_kind and s.name = p_name and s.job_id is not distinct from j.job_id
    and s.row -> k is distinct from coalesce(r.row -> k, 'null');
end;

-- The same of a job, for job_status: {"keep": ["90 days", "30 days"]}.
create function maintenance_internal.unlike_shipped(p_job_name text)
returns jsonb
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
begin atomic
  select jsonb_object_agg(c.key, jsonb_build_array(c.shipped, c.in_force))
  from maintenance_internal.changes_of_shipped('job', p_job_name) as c;
end;
-- end of sql/engine/ship/unlike_shipped.sql

-- from sql/engine/ship/ship_row.sql f7f55c39b0fe0b3f
-- Ships one job, kind or model: what nobody has changed here since it was last shipped becomes what
-- the call says, and what somebody has changed or removed stays so. Where it is the rule itself, or
-- what is asked of a model, that somebody has changed, all that belongs to it stays.

create function maintenance_internal.ship_row(
  p_part text,
  p_kind text,
  p_name text,
  p_call text)
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
set intervalstyle = 'postgres'
as $$
declare
  v_rule constant text[] := array[
    'kind', 'step', 'statement', 'backlog_function',
    'target', 'action', 'age', 'age_type', 'matching', 'assign', 'index_on', 'calls',
    'trusted_owner',
    'instruction', 'response_schema', 'subjects', 'prepare', 'apply'];
  v_with_it constant text[] := array['keep', 'backlog_name', 'description'];
  v_job_id integer;
  v_before jsonb;
  v_shipped maintenance_internal.shipped;
  v_changed text;
  v_kept text[];
  v_new jsonb;
  v_began constant timestamptz := clock_timestamp();
begin
  if p_kind = 'job' then
    select j.job_id into v_job_id from maintenance_internal.job as j
    where j.job_name = p_name for update;
  elsif p_kind = 'kind' then
    perform from maintenance.kind as k where k.kind = p_name for update;
  else
    perform from maintenance.model as m where m.model = p_name for update;
  end if;
  select r.row into v_before from maintenance_internal.row_in_force as r
  where r.kind = p_kind and r.name = p_name;
  select * into v_shipped from maintenance_internal.shipped as s
  where s.kind = p_kind and s.name = p_name;

  if v_before is null and v_shipped.row is not null then
    return 'removed here';
  elsif v_before is null then
    execute p_call;
    insert into maintenance_internal.shipped (kind, name, part, job_id, row, outcome)
    select p_kind, p_name, p_part, (
        select j.job_id from maintenance_internal.job as j
        where p_kind = 'job' and j.job_name = p_name),
      r.row, 'registered'
    from maintenance_internal.row_in_force as r
    where r.kind = p_kind and r.name = p_name
    on conflict (kind, name) do update set job_id = excluded.job_id, row = excluded.row;
    -- What it ships with is nobody's edit.
    delete from maintenance.edit as e
    where p_kind = 'job' and e.job_name = p_name and e.changed_at >= v_began;
    return 'registered';
  elsif v_shipped.row is null or v_shipped.job_id <> v_job_id then
    return 'not shipped: this database has another one by that name';
  end if;

  select string_agg(c.key, ', ' order by c.key), coalesce(array_agg(c.key), '{}')
    || case when bool_or(c.key = any(v_rule)) then v_rule || v_with_it else '{}' end
  into v_changed, v_kept
  from maintenance_internal.changes_of_shipped(p_kind, p_name) as c;
  v_new := maintenance_internal.called_row(p_kind, p_name, p_call);
  update maintenance_internal.shipped as s
  set row = v_new, shipped_at = now()
  where s.kind = p_kind and s.name = p_name;

  v_new := (v_new - v_kept) || (
    select coalesce(jsonb_object_agg(b.key, b.value), '{}')
    from jsonb_each(v_before) as b
    where b.key = any(v_kept));
  if v_new = v_before then
    return 'there';
  end if;
  perform maintenance_internal.write_row(p_kind, p_name, v_new);
  return 'updated' || coalesce(', but for what was changed here: ' || v_changed, '');
end
$$;

-- What a call makes of a row where nothing was there before; nothing of it stays.
create function maintenance_internal.called_row(p_kind text, p_name text, p_call text)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
set intervalstyle = 'postgres'
as $$
declare
  v_row jsonb;
begin
  begin
    perform set_config('client_min_messages', 'error', true);
    if p_kind = 'job' then
      delete from maintenance_internal.job as j where j.job_name = p_name;
    elsif p_kind = 'model' then
      delete from maintenance.model as m where m.model = p_name;
    end if;
    execute p_call;
    select r.row into v_row from maintenance_internal.row_in_force as r
    where r.kind = p_kind and r.name = p_name;
    raise exception 'undone on purpose' using errcode = 'PM099';
  exception when sqlstate 'PM099' then
    return v_row;
  end;
end
$$;

-- Writes a row of row_in_force back to its table, or to its two: a policy is a job with a rule.
create function maintenance_internal.write_row(p_kind text, p_name text, p_row jsonb)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_table regclass;
  v_job_id integer;
begin
  if p_kind = 'job' then
    select j.job_id into v_job_id from maintenance_internal.job as j where j.job_name = p_name;
    if not p_row ? 'target' then
      delete from maintenance_internal.policy as p where p.job_id = v_job_id;
    elsif not exists (select from maintenance_internal.policy as p where p.job_id = v_job_id) then
      insert into maintenance_internal.policy
      select n.* from jsonb_populate_record(null::maintenance_internal.policy,
        p_row || jsonb_build_object('job_id', v_job_id)) as n;
    end if;
  end if;
  foreach v_table in array case p_kind
    when 'job' then array['maintenance_internal.job']
      || case when p_row ? 'target' then array['maintenance_internal.policy'] end
    else array['maintenance.' || p_kind] end::regclass[]
  loop
    execute (
      select format('update %s as t set (%2$s) = (select %2$s from jsonb_populate_record(t, $1)) '
        'where %3$s', v_table, string_agg(quote_ident(a.attname), ', ' order by a.attnum),
        case when p_kind = 'job' then format('job_id = %s', v_job_id)
          else format('%I = %L', p_kind, p_name) end)
      from pg_attribute as a
      where a.attrelid = v_table and a.attnum > 0 and p_row ? a.attname)
    using p_row;
  end loop;
  if p_kind = 'job' then
    perform maintenance_internal.sync_schedule(p_name);
  end if;
end
$$;
-- end of sql/engine/ship/ship_row.sql

-- from sql/engine/ship/ship.sql d0b8438d09ac72c5
-- Ships the rows of a release, of the engine or of the reference application. One that cannot be
-- shipped, as where a name that it needs is taken, stops no other: its outcome says so, and lint.
-- What is not shipped any more goes, unless somebody has changed it.

create function maintenance_internal.ship(p_part text)
returns table (kind text, name text, outcome text)
language plpgsql
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
set quote_all_identifiers = off -- a migration calls it before our functions are pinned
as $$
declare
  v_is_first constant boolean := not exists (
    select from maintenance_internal.shipped as s where s.part = p_part);
  v_row record;
begin
  -- Models may change places.
  set constraints maintenance.model_position_is_unique deferred;
  for v_row in execute format('select * from maintenance_internal.%I()', p_part || '_ships') loop
    kind := v_row.kind;
    name := v_row.name;
    begin
      outcome := maintenance_internal.ship_row(p_part, kind, name, v_row.call);
    exception when others then
      if v_is_first then
        raise;
      end if;
      outcome := 'failed: ' || sqlerrm;
    end;
    insert into maintenance_internal.shipped as s (kind, name, part, outcome)
    values (v_row.kind, v_row.name, p_part, ship.outcome)
    on conflict on constraint shipped_pkey do update set outcome = excluded.outcome;
    return next;
  end loop;

  for v_row in execute format(
    'select s.kind, s.name from maintenance_internal.shipped as s where s.part = %L except '
    'select s.kind, s.name from maintenance_internal.%I() as s', p_part, p_part || '_ships')
  loop
    kind := v_row.kind;
    name := v_row.name;
    outcome := maintenance_internal.retire_row(kind, name);
    return next;
  end loop;

  -- Of two models at one place the shipped one gives way.
  update maintenance.model as m
  set position = n.number + (
    select max(o.position) from maintenance.model as o where o.carrier = n.carrier)
  from (
    select c.model, c.carrier,
      row_number() over (partition by c.carrier order by c.position, c.model) as number
    from maintenance.model as c
    join maintenance_internal.shipped as s
      on s.kind = 'model' and s.name = c.model and s.row is not null
    where exists (
      select from maintenance.model as o
      where o.carrier = c.carrier and o.position = c.position and o.model <> c.model)
  ) as n
  where n.model = m.model;
  set constraints maintenance.model_position_is_unique immediate;
end
$$;

-- What a release does not ship any more: it goes where it is as it was shipped, and else stays, as
-- its owner's own.
create function maintenance_internal.retire_row(p_kind text, p_name text)
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_outcome text := case
    when not exists (select from maintenance_internal.row_in_force as r
      where r.kind = p_kind and r.name = p_name) then 'retired'
    when exists (select from maintenance_internal.changes_of_shipped(p_kind, p_name))
      or exists (select from maintenance_internal.shipped as s
        left join maintenance_internal.job as j on s.kind = 'job' and j.job_name = s.name
        where s.kind = p_kind and s.name = p_name
          and (s.row is null or s.job_id is distinct from j.job_id))
      then 'retired, and kept: it is not as it was shipped'
  end;
begin
  if v_outcome is null then
    if p_kind = 'job' then
      perform maintenance.drop_job(p_name);
    elsif p_kind = 'kind' then
      delete from maintenance.kind as k where k.kind = p_name;
    else
      delete from maintenance.model as m where m.model = p_name;
    end if;
    v_outcome := 'retired';
  end if;
  delete from maintenance_internal.shipped as s where s.kind = p_kind and s.name = p_name;
  return v_outcome;
exception when foreign_key_violation or sqlstate 'PM002' then
  delete from maintenance_internal.shipped as s where s.kind = p_kind and s.name = p_name;
  return 'retired, and kept: ' || case when p_kind = 'job' then 'other jobs wait for it'
    else 'there are tasks of it' end;
end
$$;
-- end of sql/engine/ship/ship.sql

-- from sql/engine/ship/register.sql 6fcc013281614e2e
-- The shipped rows, for a database that has the structure without them, as dbmate load makes one.

create function maintenance.register(which text default null)
returns table (kind text, name text, outcome text)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_ships text := 'select ''engine'' as part, s.* from maintenance_internal.engine_ships() as s';
  v_gap text := (maintenance_internal.cron_state()).gap;
  v_row record;
begin
  perform maintenance_internal.put_turns();
  perform maintenance_internal.put_control();
  if to_regprocedure('maintenance_internal.reference_ships()') is not null then
    execute 'select maintenance_internal.put_retention(), '
      'maintenance_internal.put_backup_tables()';
    v_ships := v_ships
      || ' union all select ''reference'', s.* from maintenance_internal.reference_ships() as s';
  end if;
  for v_row in execute v_ships loop
    continue when v_row.name <> register.which;
    kind := v_row.kind;
    name := v_row.name;
    outcome := 'there';
    if not exists (select from maintenance_internal.row_in_force as r
      where r.kind = v_row.kind and r.name = v_row.name)
    then
      begin
        delete from maintenance_internal.shipped as s
        where s.kind = v_row.kind and s.name = v_row.name;
        outcome := maintenance_internal.ship_row(
          v_row.part, v_row.kind, v_row.name, v_row.call);
      exception when others then
        outcome := 'failed: ' || sqlerrm;
      end;
    end if;
    return next;
  end loop;

  kind := 'schedule';
  if v_gap is not null then
    name := 'all';
    outcome := 'not scheduled here: ' || v_gap;
    return next;
    return;
  end if;
  for v_row in select * from maintenance_internal.sync_schedules(true, register.which) loop
    name := v_row.job_name;
    outcome := v_row.outcome;
    return next;
  end loop;
end
$$;

comment on function maintenance.register(text) is
  'Puts the shipped jobs, kinds, models and schedules back where they are missing, all or the one '
  'of that name, as after dbmate load or a restore of the structure alone, and also where somebody '
  'removed them; what is there stays as it is. One row for each. For the engine''s owner.';
-- end of sql/engine/ship/register.sql

-- from sql/engine/schedule/cron_setting.sql d9792a131711cdf7
-- A setting of pg_cron, or null: only superusers and pg_read_all_settings may see them.

create function maintenance_internal.cron_setting(p_name text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return nullif(current_setting('cron.' || p_name, true), '');
exception when insufficient_privilege then
  return null;
end
$$;
-- end of sql/engine/schedule/cron_setting.sql

-- from sql/engine/schedule/extension.sql 3b4a01ba89c358e2
-- pg_cron, where this database is known to be its home and we may create it.

do $$
begin
  if to_regnamespace('cron') is null
    and maintenance_internal.cron_setting('database_name') = current_database() then
    create extension pg_cron;
  end if;
exception when insufficient_privilege then
  raise warning 'pg_cron is not created: % may not', current_user using hint = format(
    'As a superuser: create extension pg_cron; grant usage on schema cron to %I;', current_user);
end
$$;
-- end of sql/engine/schedule/extension.sql

-- from sql/engine/schedule/tables.sql 92a3eecb95830b66
-- What was put into pg_cron here, so that an operator's edit or removal can be told from ours.

create table maintenance_internal.installed_schedule (
  job_id integer not null,
  home text not null,
  username name not null,
  schedule text,
  command text not null,
  seen jsonb,
  constraint installed_schedule_pkey primary key (job_id),
  constraint installed_schedule_job_id_fkey foreign key (job_id)
    references maintenance_internal.job (job_id) on delete cascade
);

comment on table maintenance_internal.installed_schedule is
  'What we last put into pg_cron for a job. A row of another home (a restored dump) counts as '
  'none. What cron.job shows beside it and this does not is the operator''s.';
comment on column maintenance_internal.installed_schedule.home is
  'where it was put: the server, the database and the table cron.job, which are others after a '
  'restore, or after drop and create extension';
comment on column maintenance_internal.installed_schedule.username is
  'whom pg_cron runs it as: after the owner was renamed, nobody';
comment on column maintenance_internal.installed_schedule.seen is
  'schedule and active as pg_cron had them at the last look; what differs is an edit';
-- end of sql/engine/schedule/tables.sql

-- from sql/engine/schedule/cron_field.sql 819a3f180d605c47
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
-- end of sql/engine/schedule/cron_field.sql

-- from sql/engine/schedule/cron_fault.sql 2e97dad4dfec14a3
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
-- end of sql/engine/schedule/cron_fault.sql

-- from sql/engine/schedule/nearest_minute.sql 426bcfa2106346c0
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
-- end of sql/engine/schedule/nearest_minute.sql

-- from sql/engine/schedule/next_run_at.sql 94f81d672b838b18
-- When a schedule fires next, for everybody who writes one.

create function maintenance.next_run_at(schedule text, after timestamptz)
returns timestamptz
language sql
immutable
security definer
set search_path = pg_catalog, pg_temp
return maintenance_internal.nearest_minute(
  next_run_at.schedule, next_run_at.after at time zone 'UTC', true) at time zone 'UTC';

comment on function maintenance.next_run_at(text, timestamptz) is
  'The first minute after a time that a cron schedule names, in UTC, read as pg_cron reads it: '
  'names, lists, ranges, steps, @hourly and its kin; where neither day field starts with * a day '
  'needs to match one of them only. Null where there is none (30 February) or the schedule is '
  'null. Errors: PM006 not a cron expression.';
-- end of sql/engine/schedule/next_run_at.sql

-- from sql/engine/schedule/cron_state.sql d551436e9430ef08
-- What can be done with pg_cron from this database.
--   gap       why jobs cannot be scheduled here; null where they can
--   mend      what to do about that
--   readable  cron.job can be read; where it cannot, the declared schedules are the truth
--   zone      of its schedules: GMT before pg_cron 1.5, a setting of the server since
-- and home (which server, database and table cron.job these are) and username (whom it runs our
-- jobs as), which tell what was put into them from what a restore, a copy or a rename has left.
-- cron.job shows each role its own rows by a policy: row security has to be on here.

create function maintenance_internal.cron_state(
  out gap text,
  out mend text,
  out readable boolean,
  out zone text,
  out home text,
  out username name)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set lock_timeout = '200ms'
as $$
declare
  v_cron_oid oid;
  v_other text;
  v_home text := maintenance_internal.cron_setting('database_name');
  v_elsewhere constant text := 'In the database where pg_cron lives, a superuser says what this '
    'prints: select * from maintenance.cron_statements();';
begin
  -- Not to_regclass, which raises where the schema may not be used; and not anybody's schema cron.
  v_cron_oid := (
    select c.oid
    from pg_class as c
    join pg_namespace as n on n.oid = c.relnamespace
    where n.nspname = 'cron' and c.relname = 'job' and (
      exists (
        select from pg_depend as d
        join pg_extension as e on e.oid = d.refobjid and e.extname = 'pg_cron'
        where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
          and d.refclassid = 'pg_extension'::regclass)
      or (select r.rolsuper from pg_roles as r where r.oid = c.relowner)
        and (select r.rolsuper from pg_roles as r where r.oid = n.nspowner)));
  if v_cron_oid is not null then
    if not has_schema_privilege('cron', 'usage') then
      gap := format('%s may not use the schema cron', current_user);
      mend := format('As a superuser: grant usage on schema cron to %I;', current_user);
    end if;
  elsif to_regnamespace('cron') is not null then
    gap := 'the schema cron of this database is somebody''s own, and not pg_cron''s';
    mend := v_elsewhere;
  elsif v_home = current_database() then
    gap := 'pg_cron is loaded, but not created in this database';
    mend := format('As a superuser: create extension pg_cron; grant usage on schema cron to %I; '
      'then, as %s: select * from maintenance.install_schedules();', current_user, current_user);
  elsif v_home is not null then
    gap := format('pg_cron lives in the database %s', v_home);
    mend := v_elsewhere;
  else
    gap := 'pg_cron is not in this database';
    mend := 'Where the server has none: README.md, "Adopt it", step 1. ' || v_elsewhere;
  end if;

  readable := case when gap is null then has_table_privilege('cron.job', 'select') else false end;
  if readable then
    -- A copy of pg_cron's database has rows that nobody fires; after a rename pg_cron goes on to
    -- connect to the old name.
    begin
      execute
        'select min(c.database) from cron.job as c '
        'join maintenance_internal.job as j on c.jobname::text = ''maintenance:'' || j.job_name '
        'where c.username = current_user '
        'having not bool_or(c.database = current_database())'
      into v_other;
    exception when lock_not_available then
      readable := false;
      gap := 'somebody has locked cron.job';
      mend := 'Who: select pid, relation::regclass from pg_locks where mode = '
        '''AccessExclusiveLock'';';
    end;
    if v_other is not null then
      readable := false;
      gap := format('cron.job is of the database %s, from before a rename, or a copy', v_other);
      mend := format('If it was renamed, as a superuser: update cron.job set database = %L where '
        'database = %L and jobname like ''maintenance:%%''; if it is a copy: %s',
        current_database(), v_other, lower(left(v_elsewhere, 1)) || substr(v_elsewhere, 2));
    end if;
  end if;
  zone := coalesce(maintenance_internal.cron_setting('timezone'), 'UTC');
  username := current_user;
  home := concat_ws('/',
    case when has_function_privilege('pg_control_system()', 'execute')
      then (select c.system_identifier from pg_control_system() as c) end,
    (select d.oid from pg_database as d where d.datname = current_database()), v_cron_oid);
end
$$;
-- end of sql/engine/schedule/cron_state.sql

-- from sql/engine/schedule/cron_jobs.sql 4787d3b816154641
-- Our jobs as pg_cron has them now; no row where it cannot be read.
-- cron.job shows each role its own rows by a policy: row security has to be on here.

create function maintenance_internal.cron_jobs()
returns table (job_name text, cron_job_id bigint, schedule text, command text, active boolean)
language plpgsql
stable
rows 20
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set lock_timeout = '200ms'
as $$
begin
  if (maintenance_internal.cron_state()).readable then
    return query execute
      'select substr(c.jobname::text, 13), c.jobid, c.schedule, c.command, c.active '
      'from cron.job as c where c.jobname::text like ''maintenance:%'' '
      'and c.username = current_user and c.database = current_database()';
  end if;
end
$$;
-- end of sql/engine/schedule/cron_jobs.sql

-- from sql/engine/schedule/cron_runs.sql 025d1532959a59c5
-- What pg_cron says of what it ran for us: beyond a number of its history, and those asked for. Its
-- history has no index but on that number, so a look costs what is new. The first look goes back
-- 10,000 firings.
-- cron.job_run_details shows each role its own rows by a policy: row security has to be on here.

create function maintenance_internal.cron_runs(p_after bigint, p_open bigint[] default '{}')
returns table (
  job_name text,
  schedule text,
  cron_run_id bigint,
  status text,
  message text,
  command text,
  username text,
  pid integer,
  started_at timestamptz,
  finished_at timestamptz)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set lock_timeout = '5s'
as $$
begin
  if (maintenance_internal.cron_state()).readable then
    return query execute
      'select c.job_name, c.schedule, d.runid, d.status, d.return_message, d.command, '
      '  d.username, d.job_pid, d.start_time, d.end_time '
      'from ('
      '  select n.* from cron.job_run_details as n where n.runid > coalesce($1, '
      '    (select max(m.runid) from cron.job_run_details as m) - 10000) '
      '  union all '
      '  select o.* from cron.job_run_details as o where o.runid = any ($2) and o.runid <= $1'
      ') as d '
      'left join maintenance_internal.cron_jobs() as c on c.cron_job_id = d.jobid '
      'order by d.runid'
    using p_after, p_open;
  end if;
end
$$;
-- end of sql/engine/schedule/cron_runs.sql

-- from sql/engine/schedule/purge_cron_history_step.sql 21623e6a9c81e49d
-- Deletes what is older than seven days in pg_cron's own history, which has no retention.

create function maintenance_internal.purge_cron_history_step(batch_size integer)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  v_rows bigint := 0;
begin
  if (maintenance_internal.cron_state()).gap is null then
    -- Some rows have no times at all: what is older than a row that may go may go, too.
    execute
      'delete from cron.job_run_details as d where d.runid in ('
      '  select o.runid from cron.job_run_details as o'
      '  where o.runid <= (select l.runid from cron.job_run_details as l'
      '    where l.start_time < $1 order by l.runid desc limit 1)'
      '  order by o.runid limit $2)'
    using maintenance_internal.clock() - interval '7 days', batch_size;
    get diagnostics v_rows = row_count;
  end if;
  return v_rows;
end
$$;
-- end of sql/engine/schedule/purge_cron_history_step.sql

-- from sql/engine/schedule/nearest_slot.sql dc53dbf4ddd7e85b
-- The scheduled minute of what stands in pg_cron, which may be more than we would take: next
-- after a time or, not forward, the last up to it. Null for a schedule that never fires, or that
-- only pg_cron can read. p_zone is pg_cron's time zone, of cron_state.

create function maintenance_internal.nearest_slot(
  p_schedule text,
  p_at timestamptz,
  p_forward boolean,
  p_zone text)
returns timestamptz
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  -- pg_cron ignores what stands behind the fifth field.
  v_schedule constant text :=
    coalesce(substring(p_schedule from '^[ \t]*(?:[^ \t]+[ \t]+){4}[^ \t]+'), p_schedule);
  v_local constant timestamp := p_at at time zone p_zone;
  v_hour constant interval := case when p_forward then '1 hour' else '-1 hour' end;
  v_slot timestamptz;
begin
  v_slot := maintenance_internal.walk_slots(v_schedule, v_local, p_at, p_forward, p_zone);
  -- The clocks show this hour twice, and this is its first turn (or, backward, its second): in
  -- the other turn come minutes that the clock has shown, or will show, too.
  if (p_at + v_hour) at time zone p_zone = v_local then
    v_slot := case when p_forward
      then least(v_slot, maintenance_internal.walk_slots(
        v_schedule, v_local - v_hour, p_at, p_forward, p_zone))
      else greatest(v_slot, maintenance_internal.walk_slots(
        v_schedule, v_local - v_hour, p_at, p_forward, p_zone)) end;
  end if;
  return v_slot;
exception when sqlstate 'PM006' then
  return null;
end
$$;

-- The first slot behind a moment, or up to it, of the minutes that a clock shows from some time
-- on.
create function maintenance_internal.walk_slots(
  p_schedule text,
  p_from timestamp,
  p_at timestamptz,
  p_forward boolean,
  p_zone text)
returns timestamptz
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_minute timestamp := p_from;
  v_slot timestamptz;
begin
  loop
    v_minute := maintenance_internal.nearest_minute(p_schedule, v_minute, p_forward);
    v_slot := v_minute at time zone p_zone;
    if v_slot is null then
      return null;
    -- A minute that the clocks leave out never comes.
    elsif v_slot at time zone p_zone = v_minute then
      -- One that they show twice comes twice; Postgres means the second.
      if (v_slot - interval '1 hour') at time zone p_zone = v_minute
        and (p_forward and v_slot - interval '1 hour' > p_at or not p_forward and v_slot > p_at)
      then
        v_slot := v_slot - interval '1 hour';
      end if;
      if (v_slot > p_at) = p_forward then
        return v_slot;
      end if;
    end if;
    if not p_forward then
      v_minute := v_minute - interval '1 minute';
    end if;
  end loop;
end
$$;

-- The same by the schedule of a job: the one in pg_cron, active or not, else the declared one.
create function maintenance_internal.slot_near(
  p_job maintenance_internal.job,
  p_at timestamptz,
  p_forward boolean)
returns timestamptz
language sql
stable
set search_path = pg_catalog, pg_temp
return maintenance_internal.nearest_slot(
  coalesce(
    (select c.schedule from maintenance_internal.cron_jobs() as c
      where c.job_name = (p_job).job_name),
    (p_job).schedule),
  p_at, p_forward, (maintenance_internal.cron_state()).zone);
-- end of sql/engine/schedule/nearest_slot.sql

-- from sql/engine/schedule/check_schedule.sql f2cfa21dfbe55483
-- A schedule that somebody gives to a job: refused where it cannot be read (PM006), and told where
-- no day fits it.

create function maintenance_internal.check_schedule(p_job_name text, p_schedule text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_schedule is not null and maintenance.next_run_at(p_schedule, now()) is null then
    raise warning '"%" will never run: no day fits its schedule "%"', p_job_name, p_schedule
      using hint = 'Minute, hour, day of month, month, day of week: 30 February never comes.';
  end if;
end
$$;

-- What gives a job a schedule that is fired: the declared one, where that can be.
create function maintenance_internal.schedule_advice(p_job_name text, p_declared text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return format('select maintenance.set_schedule(%L, %L);', p_job_name, case
  when maintenance_internal.nearest_slot(p_declared, now(), true, 'UTC') is not null then p_declared
  else '0 3 * * *' end);
-- end of sql/engine/schedule/check_schedule.sql

-- from sql/engine/schedule/fired_by_cron.sql 6ccd3a4c4e8ca165
-- Whether pg_cron started this session: as a background worker, or over a connection of its own,
-- whose name anybody could take, but for the role.

create function maintenance_internal.fired_by_cron()
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
return exists (
  select from pg_stat_activity as a
  where a.pid = pg_backend_pid()
    and (a.backend_type like 'pg_cron%' or a.application_name = 'pg_cron'
      and maintenance_internal.is_trusted(a.usesysid))
);
-- end of sql/engine/schedule/fired_by_cron.sql

-- from sql/engine/schedule/job_status.sql 76f817ab67d282f3
-- What is in force: each job's schedule, whether it will fire, and how it ran last.

-- Whether a receipt shows that pg_cron has fired a job. The newest first: by the index of the last
-- runs, and not through all that there are.
create function maintenance_internal.was_fired(p_job_id integer)
returns boolean
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
begin atomic
  select coalesce((
    select true from maintenance_internal.run as r
    where r.job_id = p_job_id and r.status not in ('waiting', 'skipped')
      and r.trigger = 'schedule'
    order by coalesce(r.started_at, r.finished_at) desc
    limit 1), false);
end;

create view maintenance.job_status as
select
  j.job_name,
  j.kind,
  j.description,
  j.enabled,
  case when g.readable then c.schedule else j.schedule end as schedule,
  j.schedule as declared_schedule,
  f.fires is not null as active,
  case
    when c.schedule is null and j.schedule is null then 'no schedule'
    when f.is_proven and w.late_since is null then 'scheduled, as receipts show: ' || g.gap
    when g.gap is not null then 'not scheduled here: ' || g.gap
    when not g.readable then 'cron.job cannot be read here'
    when c.schedule is null and i.job_id is null and o.username <> g.username
      then format('in pg_cron for the role %s, and not for %s', o.username, g.username)
        collate pg_catalog."default"
    when c.schedule is null and i.job_id is null then 'not installed yet'
    when c.schedule is null then 'removed by an operator'
    when not c.active then 'inactive in pg_cron'
    when x.fault is not null then 'edited by an operator: ' || x.fault
    when w.next_run_at is null and f.fires is not null then 'scheduled, and never due: no day fits'
    when c.schedule is distinct from coalesce(i.schedule, j.schedule) then 'edited by an operator'
    else 'scheduled'
  end as scheduling,
  w.next_run_at,
  n.owed as owed_at,
  w.late_since,
  l.is_alive as running,
  coalesce(l.started_at, l.finished_at) as last_run_at,
  case when l.status = 'running' and not l.is_alive then 'interrupted' else l.status end
    as last_status,
  l.error as last_error,
  p.started_at as last_success_at,
  nullif(concat_ws(', ',
    case k.stop_reason
      when 'retry' then 'attempt ' || k.attempt
      when 'missed' then 'the missed slot of ' || to_char(k.slot, 'YYYY-MM-DD HH24:MI')
      when 'window' then 'its window'
    end,
    'other jobs: ' || (
      select string_agg(w.name, ', ')
      from jsonb_array_elements_text(k.details -> 'waitsFor') as w (name)),
    to_char(k.due_at, '"from" YYYY-MM-DD HH24:MI "on"')), '')
    as waiting,
  jsonb_strip_nulls(jsonb_build_object('keep', y.keep, 'batch_size', j.batch_size,
    'budget', j.budget, 'max_batches', j.max_batches, 'max_rows', j.max_rows,
    'priority', j.priority, 'timeout', j.timeout, 'depends_on', nullif(j.depends_on, '{}'),
    'grace', j.grace, 'window', to_char(j.window_start, 'HH24:MI-')
      || to_char(j.window_end, 'HH24:MI ') || j.window_zone)) as options,
  maintenance_internal.unlike_shipped(j.job_name) as unlike_shipped
from maintenance_internal.job as j
cross join maintenance_internal.cron_state() as g
left join maintenance_internal.cron_jobs() as c on c.job_name = j.job_name
left join lateral maintenance_internal.cron_fault(c.schedule) as x on c.schedule is not null
left join maintenance_internal.policy as y on y.job_id = j.job_id
left join maintenance_internal.installed_schedule as o
  on o.job_id = j.job_id and o.home = g.home
left join maintenance_internal.installed_schedule as i
  on i.job_id = o.job_id and o.username = g.username
-- The last that says how it is: one that waited in vain, too. Of a run that ends while this is read
-- the session is gone, and its receipt still says running: it was at work just now.
left join lateral (
  select r.*, r.status = 'running' and (r.cron_run_id is not null
      or r.touched_at > clock_timestamp() - interval '10 seconds'
      or maintenance_internal.is_alive(r.job_id, r.backend_pid, r.touched_at)) as is_alive
  from maintenance_internal.run as r
  where r.job_id = j.job_id
    and (r.status not in ('waiting', 'skipped') or r.status = 'skipped' and r.error is not null)
  order by coalesce(r.started_at, r.finished_at) desc
  limit 1
) as l on true
left join maintenance_internal.run as k on k.job_id = j.job_id and k.status = 'waiting'
left join lateral (
  select r.started_at from maintenance_internal.run as r
  where r.job_id = j.job_id and r.status = 'succeeded'
  order by r.started_at desc
  limit 1
) as p on true
-- The schedule that somebody fires it by: pg_cron here, or one that cannot be seen, as the
-- receipts of the job or of the tick prove. A statement leaves none where pg_cron's history
-- cannot be read.
cross join lateral (
  select q.is_proven,
    case
      when not j.enabled then null
      when not maintenance_internal.is_own(j.statement)
        and exists (select from maintenance_internal.control as b where b.paused_at is not null)
        then null
      when c.active then c.schedule
      when g.gap is null and not g.readable and i.job_id is not null or q.is_proven
        then j.schedule
    end as fires
  from (
    select g.gap is not null
      and (j.kind <> 'statement' or maintenance_internal.is_own(j.statement))
      and (maintenance_internal.was_fired((
          select min(t.job_id) from maintenance_internal.job as t
          where t.statement = maintenance_internal.tick_statement()))
        or maintenance_internal.was_fired(j.job_id)) as is_proven
  ) as q
  offset 0
) as f
-- What it owes: the first slot since its last trace, or since its schedule began to count. Late
-- is one that came two minutes ago and that nobody is at; a statement, whose receipt the tick
-- writes, when the tick has come two minutes after it. Not while the server has only just
-- started, nor before the tick has seen an edit. Late, too, is a run that goes on for longer than
-- its budget. The tick catches up by what stands here (find_missed).
cross join lateral (
  select maintenance_internal.nearest_slot(f.fires, greatest(j.promised_at, (
    select b.promised_at from maintenance_internal.control as b), (
    select max(r.traced_at) from maintenance_internal.run as r where r.job_id = j.job_id)),
    true, g.zone) as owed
  offset 0 -- read once, and not wherever it is named
) as n
cross join lateral (
  select
    case when n.owed > maintenance_internal.clock() then n.owed else
      maintenance_internal.nearest_slot(f.fires, maintenance_internal.clock(), true, g.zone) end
      as next_run_at,
    case
      when l.is_alive and j.kind <> 'statement'
        and l.started_at + j.budget < maintenance_internal.clock() - interval '2 minutes'
        then l.started_at + j.budget
      when n.owed <= maintenance_internal.clock() - interval '2 minutes'
        and l.is_alive is not true
        and case
          when j.statement = maintenance_internal.run_late_statement() then not exists (
            -- It is at one of the runs that have waited.
            select from maintenance_internal.run as r
            where r.status = 'running' and r.cron_run_id is null and r.due_at is not null
              and maintenance_internal.is_alive(r.job_id, r.backend_pid, r.touched_at))
          when j.kind <> 'statement' or maintenance_internal.is_own(j.statement) then true
          else n.owed <= (
            select max(r.started_at) - interval '2 minutes' from maintenance_internal.run as r
            join maintenance_internal.job as t on t.job_id = r.job_id
            where t.statement = maintenance_internal.tick_statement() and r.status <> 'skipped')
          end
        and pg_postmaster_start_time() < maintenance_internal.clock() - interval '2 minutes'
        and (i.seen is null or c.schedule is null
          or i.seen = jsonb_build_object('schedule', c.schedule, 'active', c.active))
      then n.owed end as late_since
) as w;

comment on view maintenance.job_status is
  'One row per job: its schedule in force, when it runs next, and how it ran last.';
comment on column maintenance.job_status.job_name is
  'unique; pg_cron knows it as maintenance:<job_name>';
comment on column maintenance.job_status.kind is
  'policy (a rule over a table), function (a step called until it is done) or statement (run by '
  'pg_cron itself)';
comment on column maintenance.job_status.description is 'what it is for, in words';
comment on column maintenance.job_status.enabled is
  'our own flag (enable_job, disable_job): a disabled job leaves skipped receipts';
comment on column maintenance.job_status.schedule is
  'the schedule in force: pg_cron''s where it can be read, else the declared one';
comment on column maintenance.job_status.declared_schedule is
  'what set_policy, set_job or set_statement last declared';
comment on column maintenance.job_status.active is
  'pg_cron will start it, it is enabled, and nothing is paused';
comment on column maintenance.job_status.scheduling is
  'scheduled, or why not, or what is wrong with the schedule that somebody put into pg_cron';
comment on column maintenance.job_status.next_run_at is
  'when pg_cron starts it next; null where it will not, or where its schedule cannot be read: '
  'scheduling says why';
comment on column maintenance.job_status.owed_at is
  'the first slot since its last trace, and since its schedule began to count: what it owes a run '
  'for, where that is past, or will';
comment on column maintenance.job_status.late_since is
  'the first slot, of its schedule, that has come and gone without any receipt; or when the run '
  'that goes on should have been over; null where it is not late';
comment on column maintenance.job_status.running is 'a run is going on, and is at work';
comment on column maintenance.job_status.last_run_at is
  'when its last run began, or was given up; what was skipped for another reason does not count';
comment on column maintenance.job_status.last_status is
  'how that run ended (see run_history.status), or running; skipped where it waited in vain; '
  'interrupted, too, where its receipt is still open and nobody is at work';
comment on column maintenance.job_status.last_error is 'its first error, without any row''s text';
comment on column maintenance.job_status.last_success_at is
  'when the last run that succeeded began';
comment on column maintenance.job_status.waiting is
  'what a run of it waits for, and from when on it may begin; null where none waits';
comment on column maintenance.job_status.options is
  'what is in force: keep of a policy, and what configure_job sets';
comment on column maintenance.job_status.unlike_shipped is
  'what somebody has changed of a shipped job, {"keep": ["90 days", "30 days"]}: as it was '
  'shipped, and as it is; a later release leaves it so. drop_job, and register of its '
  'name, bring the shipped one back';
-- end of sql/engine/schedule/job_status.sql

-- from sql/engine/schedule/cron_checks.sql c2b7fe7565aa1ac4
-- Whether pg_cron can fire: for the doctor, before anything is late.

-- Shown to everybody, unlike the kind of a process.
create function maintenance_internal.has_launcher()
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select exists (
    select from pg_stat_activity as a
    join pg_roles as r on r.oid = a.usesysid and r.rolsuper
    where a.application_name = 'pg_cron scheduler');
end;

create function maintenance_internal.launcher_advice()
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return 'Restart the server, with pg_cron in shared_preload_libraries. Where its log says role ... '
  'does not exist, as a superuser, before: delete from cron.job where username not in (select '
  'rolname from pg_roles);';

create function maintenance_internal.cron_checks()
returns table (check_name text, status text, detail text, fix text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_state constant record := maintenance_internal.cron_state();
  v_version constant text := (
    select e.extversion from pg_extension as e where e.extname = 'pg_cron');
  v_tick maintenance.job_status;
  v_row record;
  v_slots integer;
begin
  check_name := 'pg_cron';
  select s.* into v_tick
  from maintenance.job_status as s
  join maintenance_internal.job as j on j.job_name = s.job_name
  where j.statement = maintenance_internal.tick_statement()
  order by j.job_id limit 1;
  status := case when v_state.gap is null or v_tick.scheduling ~ '^scheduled' then 'ok'
    else 'failed' end;
  detail := case when v_state.gap is null then format('pg_cron %s%s; schedules are in %s',
      v_version, case maintenance_internal.cron_setting('use_background_workers')
        when 'on' then ', with background workers' || case when v_version ~ '^1\.[0-4]\M'
          then ', which runs one job at a time' else '' end
        when 'off' then ', which connects to each job' else '' end, v_state.zone)
    when status = 'ok' then format('jobs are fired from elsewhere, as receipts show: %s',
      v_state.gap)
    else v_state.gap end;
  fix := case when status <> 'ok' then v_state.mend end;
  return next;
  if v_state.gap is not null or not v_state.readable then
    return;
  end if;

  check_name := 'launcher';
  status := case when pg_is_in_recovery() or maintenance_internal.has_launcher() then 'ok'
    else 'failed' end;
  detail := case when pg_is_in_recovery() then 'a standby: pg_cron fires on the primary alone'
    when status = 'ok' then 'the launcher of pg_cron is at work'
    else 'the launcher of pg_cron is not there' end;
  fix := case when status <> 'ok' then '-- ' || maintenance_internal.launcher_advice() end;
  return next;

  -- Two are the launchers of pg_cron and of logical replication. What fires each minute, and one
  -- more, have to find a place at once.
  check_name := 'worker_slots';
  v_slots := least(maintenance_internal.cron_setting('max_running_jobs')::integer,
    case when maintenance_internal.cron_setting('use_background_workers') = 'on'
      then current_setting('max_worker_processes')::integer - 2 end);
  select count(*) + 1 as needed into v_row
  from maintenance_internal.cron_jobs() as c where c.active and c.schedule = '* * * * *';
  status := case when v_slots is null or v_slots >= case when v_version ~ '^1\.[0-4]\M' then 1
    else least(v_row.needed, 5) end then 'ok' else 'warning' end;
  detail := format('%s jobs can run at once, and %s are fired each minute',
    coalesce(v_slots::text, 'it cannot be seen how many'), v_row.needed - 1);
  -- One after the other: pg_cron takes no more than the server had when it was started.
  fix := case
    when status = 'ok' then null
    when current_setting('max_worker_processes')::integer - 2 < v_row.needed then format('alter '
      'system set max_worker_processes = %s; -- as a superuser; then restart the server',
      v_row.needed + 4)
    else format('alter system set cron.max_running_jobs = %s; -- as a superuser; then restart '
      'the server', v_row.needed) end;
  return next;
end
$$;
-- end of sql/engine/schedule/cron_checks.sql

-- from sql/engine/schedule/cron_silence.sql 82aacb622e935501
-- Why pg_cron has left no trace of a job since a time, as far as it can be known from here, and
-- what to do about it. What it says itself of a firing that has ended stands in its history, which
-- is read back for 20,000 firings, since it has no index.
-- cron.job shows each role its own rows by a policy: row security has to be on here.

create function maintenance_internal.cron_silence(
  p_job_name text,
  p_since timestamptz,
  out cause text,
  out mend text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  v_install constant text := 'select * from maintenance.install_schedules();';
  v_port constant text := current_setting('port');
  v_state record := maintenance_internal.cron_state();
  v_job maintenance_internal.job := maintenance_internal.find_job(p_job_name);
  v_is_own constant boolean := maintenance_internal.is_own(v_job.statement);
  v_version text := (select e.extversion from pg_extension as e where e.extname = 'pg_cron');
  v_run maintenance_internal.run;
  v_last record;
  v_role record;
begin
  if pg_is_in_recovery() then
    cause := 'this server is a standby, and pg_cron fires on the primary alone';
    mend := 'Where there is none any more: select pg_promote();';
    return;
  end if;
  select r.* into v_run from maintenance_internal.run as r
  where r.job_id = v_job.job_id and r.status = 'running' and r.cron_run_id is null
    and maintenance_internal.is_alive(r.job_id, r.backend_pid, r.touched_at);
  if found then
    cause := format('its run of %s goes on, for longer than its budget of %s',
      to_char(v_run.started_at, 'HH24:MI'), v_job.budget);
    mend := format('Whoever runs it says: select pg_cancel_backend(%s);', v_run.backend_pid);
    return;
  elsif v_state.gap is not null then
    cause := v_state.gap;
    mend := v_state.mend;
    return;
  elsif not v_state.readable then
    cause := format('%s cannot read cron.job', v_state.username);
    mend := 'As a superuser: grant select on cron.job to public;';
    return;
  elsif exists (
    select from maintenance_internal.cron_jobs() as c
    where c.job_name = p_job_name and c.command <> maintenance_internal.cron_command(v_job))
  then
    cause := 'somebody has changed its command in pg_cron';
    mend := v_install;
    return;
  end if;

  begin
    execute
      'select j.nodename, j.nodeport, d.status, d.start_time, '
      '  split_part(d.return_message, e''\n'', 1) as message, ('
      '    select g.start_time from cron.job_run_details as g '
      '    where g.jobid = j.jobid and g.status = ''succeeded'' '
      '    and g.runid between d.runid - 20000 and d.runid '
      '    order by g.runid desc limit 1) as good '
      'from cron.job as j '
      'left join lateral ('
      '  select r.* from cron.job_run_details as r '
      '  where r.jobid = j.jobid and r.status in (''succeeded'', ''failed'') '
      '  and r.runid > (select max(m.runid) from cron.job_run_details as m) - 20000 '
      '  order by r.runid desc limit 1) as d on true '
      'where j.jobname::text = $1 and j.username = current_user '
      'and j.database = current_database()'
    into v_last using 'maintenance:' || p_job_name;
  exception when insufficient_privilege then
    cause := format('%s cannot read pg_cron''s history', v_state.username);
    mend := 'As a superuser: grant select on cron.job_run_details to public;';
    return;
  when lock_not_available then
    cause := 'pg_cron''s history is locked by somebody';
    mend := 'Who: select pid, relation::regclass from pg_locks where mode = '
      '''AccessExclusiveLock'';';
    return;
  end;

  if v_last.status is not null and coalesce(v_last.start_time >= p_since, true) then
    -- What a statement of the owner's has failed with may hold a row's text.
    cause := case
      when v_job.kind <> 'statement' or v_is_own or v_last.message ~ '^(connection failed|job '
        'startup timeout|could not start background process|server restarted|FATAL: )'
        then 'pg_cron says: ' || left(v_last.message, 200)
      else 'pg_cron reports a failure' end;
    if v_last.nodeport::text <> v_port
      and (v_last.status = 'succeeded' or v_last.message ~ 'connection failed') then
      cause := format('pg_cron connects to port %s of %s, and this server listens at %s',
        v_last.nodeport, v_last.nodename, v_port);
      mend := v_install;
    elsif v_last.status = 'succeeded' and v_job.kind = 'statement' and not v_is_own then
      cause := 'pg_cron has run it, and no tick has noted that yet';
    elsif v_last.status = 'succeeded' then
      cause := format('pg_cron says that it ran, and it did not run here: it may be another server '
        'that it connects to, port %s of %s', v_last.nodeport, v_last.nodename);
      mend := v_install;
    elsif v_last.message ~ 'connection failed' then
      select r.rolcanlogin, r.rolconnlimit into v_role
      from pg_roles as r where r.rolname = v_state.username;
      cause := format('pg_cron connects to %s as %s, for each firing: connection failed%s',
        v_last.nodename, v_state.username, to_char(v_last.good, '"; at" YYYY-MM-DD HH24:MI "it '
          'could, so all of max_connections may have been in use"'));
      mend := case
        when not v_role.rolcanlogin then format('As a superuser: alter role %I login;',
          v_state.username)
        when v_role.rolconnlimit >= 0 then format('As a superuser: alter role %I connection limit '
          '-1;', v_state.username)
        else format('%s mends an address that has changed. Else, in postgresql.conf: '
          'cron.use_background_workers = on, then restart the server%s. Or let %s in from %s '
          'without a password: pg_hba.conf.', v_install, case when v_version ~ '^1\.[0-4]\M'
            then ' (pg_cron 1.4.2 or newer; before 1.5 it then runs one job at a time)' else '' end,
          v_state.username, v_last.nodename) end;
    elsif v_last.message ~ 'read-only transaction' then
      mend := coalesce((
        select format('As a superuser: alter %s reset default_transaction_read_only;', case
          when s.setrole = 0 then format('database %I', current_database())
          when s.setdatabase = 0 then format('role %I', v_state.username)
          else format('role %I in database %I', v_state.username, current_database()) end)
        from pg_db_role_setting as s
        where s.setrole in (0, maintenance_internal.owner())
          and s.setdatabase in (0, (
            select d.oid from pg_database as d where d.datname = current_database()))
          and exists (select from unnest(s.setconfig) as c
            where c ~ '^default_transaction_read_only=(on|true|yes|1)$')
        order by s.setdatabase <> 0 and s.setrole <> 0 desc, s.setrole <> 0 desc
        limit 1), (
        select 'As a superuser: alter system reset default_transaction_read_only; '
          'select pg_reload_conf();'
        from pg_settings as s
        where s.name = 'default_transaction_read_only' and s.setting = 'on'
          and s.source in ('configuration file', 'command line')),
        'It is no more: the next firing shows.');
    end if;
  elsif not maintenance_internal.has_launcher() then
    cause := 'the launcher of pg_cron is not there';
    mend := maintenance_internal.launcher_advice();
  elsif v_job.kind = 'statement' and not v_is_own
    and not maintenance_internal.cron_keeps_history() then
    cause := 'pg_cron keeps no history, from which alone its statements get their receipts';
    mend := 'In postgresql.conf: cron.log_run = on, then restart the server.';
  elsif p_since < pg_postmaster_start_time() then
    cause := format('the server was started at %s, after that',
      to_char(pg_postmaster_start_time(), 'YYYY-MM-DD HH24:MI'));
  elsif maintenance_internal.cron_setting('launch_active_jobs') = 'off' then
    cause := 'cron.launch_active_jobs is off';
    mend := 'As a superuser: alter system reset cron.launch_active_jobs; select pg_reload_conf();';
  else
    -- As background workers 1.4 runs one job at a time.
    select format('pg_cron 1.4 runs one job at a time as a background worker, and is at %s since '
        '%s', r.job_name, to_char(r.started_at, 'HH24:MI')),
      format('It goes on when that ends, or: select pg_cancel_backend(%s);', r.backend_pid)
    into cause, mend
    from maintenance_internal.run as r
    join pg_stat_activity as a on a.pid = r.backend_pid and a.backend_type = 'pg_cron'
    where r.status = 'running' and v_version ~ '^1\.[0-4]\M'
    order by r.started_at
    limit 1;
    if not found then
      cause := 'pg_cron has not fired it';
      mend := 'To have it read its jobs anew: ' || v_install;
    end if;
  end if;
end
$$;

-- Whether pg_cron keeps a history, from which alone its statements get their receipts; null where
-- that cannot be seen.
create function maintenance_internal.cron_keeps_history()
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  v_kept boolean;
begin
  if (maintenance_internal.cron_state()).readable then
    execute
      'select coalesce(max(d.start_time) > $1 - interval ''3 minutes'', false) '
      'from cron.job_run_details as d '
      'where d.runid > (select max(m.runid) from cron.job_run_details as m) - 1000'
    into v_kept using maintenance_internal.clock();
  end if;
  return v_kept;
exception when insufficient_privilege or lock_not_available then
  return null;
end
$$;
-- end of sql/engine/schedule/cron_silence.sql

-- from sql/engine/schedule/scheduler_faults.sql 59b16cb92e65787c
-- What keeps the jobs of this database from being started at all, or some of them for ever. The
-- tick, which pg_cron fires every minute, shows whether it is at work. As notices: what somebody
-- has stopped; but an emergency stop, and a pause that is a day old and may have been forgotten,
-- as warnings.

create function maintenance_internal.scheduler_faults(p_jobs maintenance.job_status[])
returns table (severity text, fault text, mend text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_state record := maintenance_internal.cron_state();
  v_tick maintenance.job_status;
  v_silence record;
  v_fires constant boolean := exists (select from unnest(p_jobs) as s where s.active);
  v_own record;
  v_job maintenance.job_status;
  v_names text[] := '{}';
begin
  select case when c.stopped_at >= c.paused_at
      or c.paused_at < maintenance_internal.clock() - interval '1 day' then 'warning'
      else 'notice' end,
    'All jobs are ' || maintenance_internal.pause_text() || coalesce('. In spite of that still at '
      'work: ' || (select string_agg(s.job_name, ', ') from unnest(p_jobs) as s
        where s.running and c.stopped_at >= c.paused_at), ''),
    'select maintenance.resume();'
  into severity, fault, mend
  from maintenance_internal.control as c where c.paused_at is not null;
  if found then
    return next;
  end if;

  select s.* into v_tick
  from unnest(p_jobs) as s
  join maintenance_internal.job as j on j.job_name = s.job_name
  where j.statement = maintenance_internal.tick_statement()
  order by j.job_id
  limit 1;
  -- Where nothing was ever fired since pg_cron is not here, that may be meant.
  severity := case when v_state.gap is not null and v_tick.last_run_at is null
    then 'warning' else 'critical' end;

  if v_tick.job_name is null then
    fault := 'No job calls the tick, which looks after all others';
    mend := 'As the owner: select * from maintenance.register(''tick'');';
    return next;
  elsif v_tick.late_since is not null then
    select * into v_silence
    from maintenance_internal.cron_silence(v_tick.job_name, v_tick.late_since);
    severity := case when v_silence.cause ~ '^pg_cron 1\.4 runs one job' then 'warning'
      else severity end;
    fault := format('No tick since %s: %s', to_char(
      coalesce(v_tick.last_run_at, v_tick.late_since), 'YYYY-MM-DD HH24:MI'), v_silence.cause);
    mend := v_silence.mend;
    return next;
  elsif not v_tick.enabled then
    fault := format('The job %s, which looks after all others, is disabled', v_tick.job_name);
    mend := format('select maintenance.enable_job(%L);', v_tick.job_name);
    return next;
  elsif v_state.gap is not null and not v_tick.active then
    fault := 'Nothing is fired here: ' || v_state.gap;
    mend := v_state.mend;
    return next;
  elsif v_tick.scheduling in ('removed by an operator', 'inactive in pg_cron', 'no schedule') then
    fault := format('The job %s, which looks after all others, is not fired: %s', v_tick.job_name,
      v_tick.scheduling);
    mend := case when v_fires then format('select maintenance.set_schedule(%L, ''* * * * *'');',
      v_tick.job_name) else 'Nor is any other. The owner puts all of them back: '
      'select * from maintenance.register();' end;
    return next;
  elsif maintenance_internal.nearest_slot(v_tick.schedule, v_tick.next_run_at, true, v_state.zone)
    > v_tick.next_run_at + interval '1 minute' then
    severity := 'warning';
    fault := format('The job %s, which looks after all others, is fired only at "%s"',
      v_tick.job_name, v_tick.schedule);
    mend := format('select maintenance.set_schedule(%L, ''* * * * *'');', v_tick.job_name);
    return next;
  elsif v_tick.last_status = 'failed' then
    fault := 'The tick fails: ' || v_tick.last_error;
    mend := format('As the owner: select error_detail from maintenance.run_history where job_name '
      '= %L;', v_tick.job_name);
    return next;
  elsif v_tick.active and v_tick.last_run_at > maintenance_internal.clock() - interval '2 minutes'
    and exists (
      select from maintenance_internal.job as j
      where j.job_name = v_tick.job_name
        and j.promised_at < maintenance_internal.clock() - interval '3 minutes')
    and pg_postmaster_start_time() < maintenance_internal.clock() - interval '3 minutes'
    and not maintenance_internal.cron_keeps_history()
  then
    severity := 'warning';
    fault := 'pg_cron keeps no history, from which alone its statements get their receipts';
    mend := 'In postgresql.conf: cron.log_run = on, then restart the server.';
    return next;
  end if;

  severity := 'warning';
  for v_own in
    select o.* from (values
      (maintenance_internal.run_late_statement(), 'run_late', 'starts what is owed'),
      (maintenance_internal.alert_statement(), 'alert_monitor', 'opens and closes alerts')
    ) as o (statement, name, does)
  loop
    select s.* into v_job
    from unnest(p_jobs) as s
    join maintenance_internal.job as j on j.job_name = s.job_name
    where j.statement = v_own.statement
    order by j.job_id
    limit 1;
    if v_job.job_name is null then
      fault := format('No job calls %s, which %s', v_own.name, v_own.does);
      mend := format('As the owner: select * from maintenance.register(%L);', v_own.name);
      return next;
    elsif v_tick.active and not v_job.active then
      fault := format('The job %s, which %s, is not fired: %s', v_job.job_name, v_own.does,
        case when v_job.enabled then v_job.scheduling else 'disabled' end);
      mend := case when v_job.enabled then format('select maintenance.set_schedule(%L, '
        '''* * * * *'');', v_job.job_name)
        else format('select maintenance.enable_job(%L);', v_job.job_name) end;
      return next;
    elsif v_job.last_status = 'failed' then
      fault := format('%s, which %s, fails: %s', v_job.job_name, v_own.does, v_job.last_error);
      mend := format('select return_message from cron.job_run_details where command = %L order by '
        'runid desc limit 5;', v_own.statement);
      return next;
    end if;
    v_names := v_names || v_job.job_name;
  end loop;

  -- Jobs that nobody has stopped, and that nobody will fire; then those that somebody has.
  for fault, mend, severity in
    select format('%s%s: %s', string_agg(s.job_name, ', ' order by s.n) filter (where s.n <= 3),
        case when count(*) > 3 then format(' and %s more', count(*) - 3) else '' end, s.why),
      case
        when s.why = 'not installed yet' then 'select * from maintenance.install_schedules();'
        when s.why like 'in pg_cron for%' then format('As a superuser: update cron.job set '
          'username = %L where database = %L and jobname like ''maintenance:%%''; then, as %s: '
          'select * from maintenance.install_schedules();',
          v_state.username, current_database(), v_state.username)
        else string_agg(case s.why
            when 'disabled' then format('select maintenance.enable_job(%L);', s.job_name)
            else maintenance_internal.schedule_advice(s.job_name, s.declared_schedule) end, ' '
          order by s.n) filter (where s.n <= 3)
      end,
      case
        when s.why in ('disabled', 'removed by an operator', 'inactive in pg_cron') then 'notice'
        when bool_or(s.job_name = v_tick.job_name) then 'critical'
        else 'warning' end
    from (
      select j.*, row_number() over (partition by j.why order by j.job_name) as n
      from (
        select p.*, case when p.enabled then p.scheduling else 'disabled' end as why
        from unnest(p_jobs) as p
      ) as j
      where j.why in ('not installed yet', 'disabled')
        or j.why in ('removed by an operator', 'inactive in pg_cron')
          and j.declared_schedule is not null
        or j.why like 'in pg_cron for the role%' or j.active and j.next_run_at is null
    ) as s
    where s.job_name is distinct from v_tick.job_name
        and (s.job_name <> all (v_names) or not v_tick.active)
      or s.why not in ('disabled', 'removed by an operator', 'inactive in pg_cron')
    group by s.why
    order by bool_or(s.job_name = v_tick.job_name) desc, s.why
  loop
    return next;
  end loop;

  severity := 'warning';
  for fault, mend in
    select format('pg_cron fires "maintenance:%s", which is no job here', c.job_name),
      format('As the owner: select cron.unschedule(%L);', 'maintenance:' || c.job_name)
    from maintenance_internal.cron_jobs() as c
    where c.active and not exists (
      select from maintenance_internal.job as j where j.job_name = c.job_name)
    order by c.job_name
  loop
    return next;
  end loop;
end
$$;
-- end of sql/engine/schedule/scheduler_faults.sql

-- from sql/engine/schedule/lint_schedule.sql 9e3a227c968363f8
-- Schedules that fire nothing, and those that are too narrow for their job. For lint.

create function maintenance_internal.lint_schedule(p_job_name text)
returns setof maintenance.finding
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select s.job_name, 'warning', format('its schedule "%s": %s', s.schedule, s.scheduling),
    maintenance_internal.schedule_advice(s.job_name, s.declared_schedule)
  from maintenance.job_status as s
  where s.active and s.next_run_at is null and s.job_name = coalesce(p_job_name, s.job_name)
  union all
  select s.job_name, 'warning', format('its last run took %s, and it is due again after %s: '
    'pg_cron runs it back to back', date_trunc('second', l.took), l.pause),
    case when s.kind = 'statement' then 'A rarer schedule: maintenance.set_schedule(...).'
      else format('select maintenance.configure_job(%L, budget => %L); or a rarer schedule.',
        s.job_name, l.pause / 2) end
  from (
    select v.*, v.next_run_at + interval '1 second' as after, g.zone
    from maintenance.job_status as v
    cross join maintenance_internal.cron_state() as g
    where v.active and v.job_name = coalesce(p_job_name, v.job_name)
  ) as s
  cross join lateral (
    select r.finished_at - r.started_at as took,
      maintenance_internal.nearest_slot(s.schedule, s.after, true, s.zone) - s.next_run_at as pause
    from maintenance_internal.job as j
    join maintenance_internal.run as r on r.job_id = j.job_id
      and r.status not in ('waiting', 'skipped')
    where j.job_name = s.job_name
    order by coalesce(r.started_at, r.finished_at) desc
    limit 1
  ) as l
  where l.took > l.pause;
end;
-- end of sql/engine/schedule/lint_schedule.sql

-- from sql/engine/schedule/cron_command.sql 69545e94b2489685
-- What pg_cron is to run for a job.

create function maintenance_internal.cron_command(p_job maintenance_internal.job)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return case
  when (p_job).statement is not null and (p_job).enabled
    and (maintenance_internal.is_own((p_job).statement) or not maintenance_internal.is_paused())
    then (p_job).statement
  -- Also for a statement that may not run now: the call then leaves a receipt that says so.
  else format('call maintenance.run_job(%L)', (p_job).job_name)
end;
-- end of sql/engine/schedule/cron_command.sql

-- from sql/engine/schedule/cron_statements.sql e4f8e4539ded6ee3
-- For a database that is not pg_cron's, on the same server: what schedules its jobs from there.

-- By what name pg_cron knows a job of this database there: it keeps one of a name for each role,
-- whatever the database, and cuts what is longer than 63 bytes.
create function maintenance_internal.cron_name(p_job_name text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return case
  when octet_length(p_job_name || current_database()) <= 50
    then format('maintenance:%s@%s', p_job_name, current_database())
  else format('maintenance:%s@%s', left(p_job_name, 38),
    left(md5(p_job_name || '@' || current_database()), 12))
end;

create function maintenance_internal.cron_statement(p_job maintenance_internal.job, p_schedule text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return case
  when p_schedule is null then format(
    'select cron.unschedule(jobid) from cron.job where database = %L and jobname in (%L, %L);',
    current_database(), maintenance_internal.cron_name(p_job.job_name),
    'maintenance:' || p_job.job_name)
  else format('select cron.schedule_in_database(%L, %L, %L, %L, %L);',
    maintenance_internal.cron_name(p_job.job_name), p_schedule,
    maintenance_internal.cron_command(p_job), current_database(), current_user)
end;

-- Where pg_cron fires jobs of this database and cannot be told from here: says what is to be said,
-- after a job has changed.
create function maintenance_internal.tell_elsewhere(
  p_job maintenance_internal.job,
  p_schedule text,
  p_statement text default null)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_state record := maintenance_internal.cron_state();
begin
  if v_state.gap is not null
    and exists (select from maintenance_internal.run as r where r.trigger = 'schedule')
  then
    raise warning 'pg_cron, which fires the jobs of this database, has not heard of "%": %',
        p_job.job_name, v_state.gap
      using hint = case when p_schedule is not null and v_state.gap !~ '^pg_cron (lives|is)'
        then v_state.mend || ' Then: select * from maintenance.install_schedules();'
        else 'As a superuser, where pg_cron lives: '
          || coalesce(p_statement, maintenance_internal.cron_statement(p_job, p_schedule)) end;
  end if;
end
$$;

create function maintenance.cron_statements()
returns setof text
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
begin atomic
  select maintenance_internal.cron_statement(j, j.schedule)
  from maintenance_internal.job as j
  where j.schedule is not null
  order by j.job_id;
end;

comment on function maintenance.cron_statements() is
  'The statements that schedule every job of this database, for pg_cron''s own database where that '
  'is another one of the server, to be run by a superuser there; the jobs run as the engine''s '
  'owner. One row per job.';
-- end of sql/engine/schedule/cron_statements.sql

-- from sql/engine/schedule/write_cron_job.sql 6f78a99d648871bc
-- Puts a job into pg_cron, or changes it there: cron.schedule is an upsert by name that keeps the
-- id, and the active flag with it. What is inactive starts again only where that is asked: it has
-- to be made anew then, since only a superuser may set the flag.

create function maintenance_internal.write_cron_job(
  p_job maintenance_internal.job,
  p_schedule text,
  p_start boolean default false)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  v_cron_job_id bigint;
  v_message text;
begin
  for v_cron_job_id in
    select c.cron_job_id from maintenance_internal.cron_jobs() as c
    where p_start and c.job_name = p_job.job_name and not c.active
  loop
    execute 'select cron.unschedule($1)' using v_cron_job_id;
  end loop;
  execute format('select cron.schedule(%L, %L, %L)',
    'maintenance:' || p_job.job_name, p_schedule, maintenance_internal.cron_command(p_job));
exception when invalid_parameter_value or internal_error then
  get stacked diagnostics v_message = message_text;
  raise exception 'pg_cron does not take the schedule "%" of %: %',
    p_schedule, p_job.job_name, v_message
    using errcode = 'PM006', hint = 'Five fields work in every version of pg_cron.';
end
$$;
-- end of sql/engine/schedule/write_cron_job.sql

-- from sql/engine/schedule/remove_schedule.sql 312db94faf7c38b2
-- Takes a job out of pg_cron, and forgets that it was there.

create function maintenance_internal.remove_schedule(p_job maintenance_internal.job)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  v_state record := maintenance_internal.cron_state();
  v_cron_job_id bigint;
  v_role name;
begin
  if p_job.kind = 'statement' then
    perform maintenance_internal.record_statements(); -- which go by what stands in pg_cron
  end if;
  for v_cron_job_id in
    select c.cron_job_id
    from maintenance_internal.cron_jobs() as c
    where c.job_name = p_job.job_name
  loop
    execute 'select cron.unschedule($1)' using v_cron_job_id;
  end loop;
  if v_state.gap is null and not v_state.readable then
    begin
      execute format('select cron.unschedule(%L)', 'maintenance:' || p_job.job_name);
    exception when internal_error then
      null; -- pg_cron's word for a job that is not there: an operator removed it
    end;
  end if;
  if p_job.schedule is not null then
    perform maintenance_internal.tell_elsewhere(p_job, null);
  end if;
  delete from maintenance_internal.installed_schedule as i
  where i.job_id = p_job.job_id
  returning i.username into v_role;
  if v_state.readable and v_role <> v_state.username then
    raise warning '"%" may still be in pg_cron for the role %', p_job.job_name, v_role
      using hint = format('As a superuser: select cron.unschedule(jobid) from cron.job where '
        'jobname = %L and username = %L;', 'maintenance:' || p_job.job_name, v_role);
  end if;
end
$$;

-- Takes all of our jobs out of pg_cron; where pg_cron lives in another database, says what is to be
-- run there, by a superuser, for those that may be scheduled there.
create function maintenance_internal.remove_schedules()
returns table (what text, outcome text)
language plpgsql
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  v_state record := maintenance_internal.cron_state();
  v_cron record;
  v_job maintenance_internal.job;
begin
  for v_cron in
    select c.job_name, c.cron_job_id
    from maintenance_internal.cron_jobs() as c
    join maintenance_internal.job as j on j.job_name = c.job_name
    order by c.job_name
  loop
    execute 'select cron.unschedule($1)' using v_cron.cron_job_id;
    what := 'job ' || v_cron.job_name;
    outcome := 'unscheduled';
    return next;
  end loop;

  for v_job in
    select * from maintenance_internal.job as j where j.schedule is not null order by j.job_name
  loop
    what := 'job ' || v_job.job_name;
    if v_state.gap is null and not v_state.readable then
      perform maintenance_internal.remove_schedule(v_job);
      outcome := 'unscheduled';
      return next;
    elsif v_state.gap like 'pg_cron lives in%' or v_state.gap is not null and exists (
        select from maintenance_internal.run as r where r.trigger = 'schedule') then
      outcome := format('%s; where it lives, if it was scheduled there: %s', v_state.gap,
        maintenance_internal.cron_statement(v_job, null));
      return next;
    end if;
  end loop;
end
$$;
-- end of sql/engine/schedule/remove_schedule.sql

-- from sql/engine/schedule/record_schedule_edits.sql 24f8f2547b0f4d7b
-- Keeps what has changed in pg_cron since the last look there, of one job or of all: its schedule,
-- whether it is active, whether it is there at all. pg_cron does not say who edits it; our own
-- calls do. What is there after a restore, or since the owner was renamed, is ours again.

create function maintenance_internal.record_schedule_edits(
  p_changed_by text default 'pg_cron',
  p_job_id integer default null)
returns void
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  with state as materialized (
    select s.* from maintenance_internal.cron_state() as s where s.readable
  ), cron as materialized (
    select c.* from maintenance_internal.cron_jobs() as c
  ), found as materialized (
    select i.job_id, j.job_name, i.seen, s.home, s.username,
      jsonb_build_object('schedule', c.schedule, 'active', c.active) as there
    from maintenance_internal.installed_schedule as i
    join maintenance_internal.job as j on j.job_id = i.job_id
    cross join state as s
    left join cron as c on c.job_name = j.job_name
    where (p_job_id is null or i.job_id = p_job_id)
      and case when (i.home, i.username) = (s.home, s.username)
        then i.seen is distinct from jsonb_build_object('schedule', c.schedule, 'active', c.active)
        else c.job_name is not null end
    for no key update of i, j skip locked
  ), edit as (
    insert into maintenance.edit (job_name, changed_by, what)
    select f.job_name, p_changed_by,
      jsonb_object_agg(s.key, jsonb_build_array(s.value, f.there -> s.key))
    from found as f
    cross join lateral jsonb_each(f.seen) as s
    where s.value is distinct from f.there -> s.key
    group by f.job_id, f.job_name
  ), promise as (
    update maintenance_internal.job as j
    set promised_at = maintenance_internal.clock()
    from found as f
    where j.job_id = f.job_id and f.seen is not null
  )
  update maintenance_internal.installed_schedule as i
  set seen = f.there, home = f.home, username = f.username
  from found as f
  where i.job_id = f.job_id;
end;
-- end of sql/engine/schedule/record_schedule_edits.sql

-- from sql/engine/schedule/sync_schedule.sql 391d22eec33ed11c
-- Brings pg_cron and what was declared together for one job, and says what it did.
-- Schedule, active flag and absence belong to the operator; the command belongs to us. Where
-- pg_cron was made anew, the database restored or the owner renamed, they are as they were last
-- seen; what was inactive is left out, since only a superuser may put it there inactive.

create function maintenance_internal.sync_schedule(
  p_job_name text,
  p_removed_too boolean default false)
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_job maintenance_internal.job;
  v_state record := maintenance_internal.cron_state();
  v_installed maintenance_internal.installed_schedule;
  v_is_installed boolean;
  v_cron record;
  v_is_there boolean;
  v_is_edited boolean;
  v_wanted text;
begin
  select * into v_job from maintenance_internal.job as j where j.job_name = p_job_name for update;
  if v_state.gap is not null then
    return case when v_job.schedule is null then 'no schedule'
      else 'not scheduled here: ' || v_state.gap end;
  end if;

  select * into v_installed
  from maintenance_internal.installed_schedule as i
  where i.job_id = v_job.job_id;
  v_is_installed := (v_installed.home, v_installed.username) = (v_state.home, v_state.username);
  v_is_installed := coalesce(v_is_installed, false);
  select * into v_cron from maintenance_internal.cron_jobs() as c where c.job_name = v_job.job_name;
  v_is_there := found;
  if not v_state.readable and v_is_installed then -- then what we wrote there is what is there
    v_is_there := true;
    v_cron.schedule := v_installed.seen ->> 'schedule';
    v_cron.command := v_installed.command;
  end if;
  v_is_edited := v_is_there and v_cron.schedule is distinct from v_installed.schedule;

  if v_job.schedule is null then
    if v_is_installed and v_is_there and not v_is_edited then
      perform maintenance_internal.remove_schedule(v_job);
      return 'removed: no schedule is declared any more';
    end if;
    v_wanted := coalesce(v_cron.schedule,
      case when p_removed_too or not v_is_installed then v_installed.seen ->> 'schedule' end);
  elsif v_is_there and (v_is_edited or not v_is_installed) then
    v_wanted := v_cron.schedule;
  elsif v_is_there then
    v_wanted := v_job.schedule;
  elsif v_installed.seen -> 'active' = 'false'
    or not p_removed_too and (v_is_installed or v_installed.seen @> '{"schedule": null}') then
    update maintenance_internal.installed_schedule as i
    set home = v_state.home, username = v_state.username
    where i.job_id = v_job.job_id;
    return case when v_installed.seen -> 'active' = 'false'
      then 'left out: an operator had made it inactive' else 'removed by an operator' end;
  else
    v_wanted := coalesce(v_installed.seen ->> 'schedule', v_job.schedule);
  end if;

  if v_wanted is null then
    return 'no schedule';
  end if;
  if v_is_there and v_cron.command = maintenance_internal.cron_command(v_job)
    and v_cron.schedule = v_wanted then
    if v_is_installed then
      return case when v_is_edited then 'edited by an operator' else 'kept' end;
    end if;
  else
    perform maintenance_internal.write_cron_job(v_job, v_wanted);
  end if;

  insert into maintenance_internal.installed_schedule as i
    (job_id, home, username, schedule, command, seen)
  values (v_job.job_id, v_state.home, v_state.username, v_job.schedule,
    maintenance_internal.cron_command(v_job), case when not v_state.readable
      then jsonb_build_object('schedule', v_wanted, 'active', true) end)
  on conflict (job_id) do update
  set home = excluded.home,
    username = excluded.username,
    command = excluded.command,
    schedule = case when v_is_edited and v_is_installed then i.schedule else excluded.schedule end,
    seen = case when v_state.readable then i.seen
      else jsonb_build_object('schedule', v_wanted, 'active', true) end;
  perform maintenance_internal.record_schedule_edits(session_user, v_job.job_id);
  if not v_is_there or not v_is_installed then
    update maintenance_internal.job as j set promised_at = maintenance_internal.clock()
    where j.job_id = v_job.job_id;
  end if;

  return case
    when not v_is_there and v_installed.username <> v_state.username
      then format('created; that of "%s" stays until a superuser says: select '
        'cron.unschedule(jobid) from cron.job where jobname = %L and username = %L;',
        v_installed.username, 'maintenance:' || v_job.job_name, v_installed.username)
    when not v_is_there and (not v_is_installed or p_removed_too) then 'created'
    when not v_is_installed then 'found and kept'
    when v_is_there and v_cron.command <> maintenance_internal.cron_command(v_job)
      then 'command repaired'
    else 'updated'
  end;
end
$$;
-- end of sql/engine/schedule/sync_schedule.sql

-- from sql/engine/schedule/repair_command.sql bad1f15c9fad268d
-- Puts into pg_cron what it is to run for a statement job, where it has the job and the other
-- command: after it was enabled or disabled, at a pause and after it. Its schedule stays as it
-- is.

create function maintenance_internal.repair_command(p_job maintenance_internal.job)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_state record := maintenance_internal.cron_state();
begin
  if v_state.gap is not null then
    perform maintenance_internal.tell_elsewhere(p_job, p_job.schedule, format(
      'select cron.alter_job(jobid, command => %L) from cron.job where database = %L and jobname '
      'in (%L, %L);', maintenance_internal.cron_command(p_job), current_database(),
      maintenance_internal.cron_name(p_job.job_name), 'maintenance:' || p_job.job_name));
  elsif (case when v_state.readable
    then exists (
      select from maintenance_internal.cron_jobs() as c
      where c.job_name = p_job.job_name
        and c.command <> maintenance_internal.cron_command(p_job))
    else exists (
      select from maintenance_internal.installed_schedule as i
      where i.job_id = p_job.job_id
        and i.command <> maintenance_internal.cron_command(p_job)) end)
  then
    perform maintenance_internal.sync_schedule(p_job.job_name);
  end if;
end
$$;

-- The same of all of them whose command there is one of the two that it can be, after a pause
-- began or ended. Whatever is in the way of one is told, and left to the next tick.
create function maintenance_internal.repair_commands()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_state constant record := maintenance_internal.cron_state();
  v_until constant timestamptz := clock_timestamp() + interval '500 milliseconds';
  v_job maintenance_internal.job;
  v_context text;
begin
  if v_state.gap is not null then
    return;
  end if;
  for v_job in
    select j.*
    from maintenance_internal.job as j
    left join maintenance_internal.cron_jobs() as c on c.job_name = j.job_name
    left join maintenance_internal.installed_schedule as i on i.job_id = j.job_id
    cross join lateral (
      select case when v_state.readable then c.command else i.command end as command) as n
    where j.kind = 'statement' and n.command <> maintenance_internal.cron_command(j)
      and n.command in (j.statement, format('call maintenance.run_job(%L)', j.job_name))
    order by j.job_id
  loop
    exit when clock_timestamp() > v_until; -- an emergency stop waits for it
    begin
      perform set_config('lock_timeout', '200ms', true);
      perform maintenance_internal.repair_command(v_job);
    exception when others then
      get stacked diagnostics v_context = pg_exception_context;
      raise warning 'the command of "%" in pg_cron is not changed yet: %', v_job.job_name,
          maintenance_internal.error_text(sqlstate, sqlerrm, v_context)
        using hint = 'The tick tries it again each minute.';
    end;
  end loop;
end
$$;
-- end of sql/engine/schedule/repair_command.sql

-- from sql/engine/schedule/repair_addresses.sql 8835a91607e8d126
-- A row of cron.job keeps the server's address from when it was scheduled. After a restore, a
-- failover or a change of the port pg_cron fires in vain, or on the old server: such rows are made
-- anew, with the address that this server gives to new ones. What is inactive stays as it is.

create function maintenance_internal.repair_addresses()
returns text[]
language plpgsql
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  v_node text;
  v_port integer;
  v_id bigint;
  v_cron record;
  v_repaired text[] := '{}';
begin
  if not (maintenance_internal.cron_state()).readable then
    return v_repaired;
  end if;
  begin -- a row that is gone again with this block
    execute 'select cron.schedule(''maintenance:'', ''0 0 1 1 *'', ''select 1'')' into v_id;
    execute 'select j.nodename, j.nodeport from cron.job as j where j.jobid = $1'
    into v_node, v_port using v_id;
    raise exception using errcode = 'PM099';
  exception when sqlstate 'PM099' then
    null;
  end;
  perform maintenance_internal.record_statements(); -- which go by what stands in pg_cron
  for v_cron in execute
    'select c.*, j.job_name from cron.job as c '
    'join maintenance_internal.job as j on c.jobname::text = ''maintenance:'' || j.job_name '
    'where c.username = current_user and c.database = current_database() and c.active '
    'and (c.nodename, c.nodeport) <> ($1, $2)'
  using v_node, v_port
  loop
    execute 'select cron.unschedule($1)' using v_cron.jobid;
    execute 'select cron.schedule($1, $2, $3)'
    using v_cron.jobname, v_cron.schedule, v_cron.command;
    update maintenance_internal.job as j set promised_at = maintenance_internal.clock()
    where j.job_name = v_cron.job_name;
    v_repaired := v_repaired || v_cron.job_name::text;
  end loop;
  return v_repaired;
end
$$;
-- end of sql/engine/schedule/repair_addresses.sql

-- from sql/engine/schedule/install_schedules.sql 11b81426ae7e683b
-- Puts every declared schedule into pg_cron that was never there, and repairs commands.

create function maintenance_internal.sync_schedules(
  p_removed_too boolean,
  p_job_name text default null)
returns table (job_name text, schedule text, outcome text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_repaired constant text[] := maintenance_internal.repair_addresses();
  v_context text;
begin
  for sync_schedules.job_name in
    select j.job_name from maintenance_internal.job as j
    where p_job_name is null or j.job_name = p_job_name
    order by 1
  loop
    begin
      outcome := maintenance_internal.sync_schedule(sync_schedules.job_name, p_removed_too);
      if sync_schedules.job_name = any (v_repaired) then
        outcome := 'address repaired';
      end if;
    exception when others then
      get stacked diagnostics v_context = pg_exception_context;
      outcome := 'failed: ' || maintenance_internal.error_text(sqlstate, sqlerrm, v_context);
    end;
    select s.schedule into sync_schedules.schedule
    from maintenance.job_status as s
    where s.job_name = sync_schedules.job_name;
    return next;
  end loop;
  -- What is written while pg_cron reads its jobs, as at a migration's commit, 1.4 may not hear of
  -- before they change again: so one is written once more, as it is.
  perform maintenance_internal.write_cron_job(j, c.schedule)
  from maintenance_internal.cron_jobs() as c
  join maintenance_internal.job as j on j.job_name = c.job_name
  where c.active and j.statement = maintenance_internal.tick_statement();
end
$$;

create function maintenance.install_schedules()
returns table (job_name text, schedule text, outcome text)
language sql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
  select s.job_name, s.schedule, s.outcome
  from maintenance_internal.sync_schedules(false) as s;
$$;

comment on function maintenance.install_schedules() is
  'Creates the pg_cron jobs maintenance:<job_name> that were never installed here and repairs '
  'their commands, and the address of the server in them; what an operator edited, deactivated '
  'or removed stays so. One row per job; a second call changes nothing. A job that fails says so '
  'in its row and stops no other.';
-- end of sql/engine/schedule/install_schedules.sql

-- from sql/engine/schedule/set_schedule.sql 798ebdcdc962741e
-- Changes when a job runs, in pg_cron, as an operator does it.

create function maintenance.set_schedule(job_name text, schedule text)
returns maintenance.job_status
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_job maintenance_internal.job := maintenance_internal.find_job(set_schedule.job_name);
  v_state record := maintenance_internal.cron_state();
  v_status maintenance.job_status;
begin
  if set_schedule.schedule is null then
    raise exception 'a schedule is needed for %', v_job.job_name
      using errcode = 'PM006', hint = 'To stop a job: select maintenance.disable_job(...).';
  end if;
  perform maintenance_internal.check_schedule(v_job.job_name, set_schedule.schedule);
  perform from maintenance_internal.job as j where j.job_id = v_job.job_id for update;
  if v_state.gap is not null then
    raise exception '% cannot be scheduled here: %', v_job.job_name, v_state.gap
      using errcode = 'PM010', hint = 'What the owner declares here is what it owes. In pg_cron''s '
        'own database: ' || maintenance_internal.cron_statement(v_job, set_schedule.schedule);
  end if;

  perform maintenance_internal.write_cron_job(v_job, set_schedule.schedule, true);
  -- What was declared stays on record: whatever pg_cron shows beside it is the operator's.
  insert into maintenance_internal.installed_schedule as i
    (job_id, home, username, schedule, command, seen)
  values (v_job.job_id, v_state.home, v_state.username, v_job.schedule,
    maintenance_internal.cron_command(v_job), case when not v_state.readable
      then jsonb_build_object('schedule', set_schedule.schedule, 'active', true) end)
  on conflict (job_id) do update
  set home = excluded.home, username = excluded.username, command = excluded.command,
    seen = coalesce(excluded.seen, i.seen);
  perform maintenance_internal.record_schedule_edits(session_user, v_job.job_id);
  update maintenance_internal.job as j set promised_at = maintenance_internal.clock()
  where j.job_id = v_job.job_id;

  select * into v_status from maintenance.job_status as s where s.job_name = v_job.job_name;
  return v_status;
end
$$;

comment on function maintenance.set_schedule(text, text) is
  'Sets a job''s schedule in pg_cron (five-field cron, UTC) and returns its job_status row; it '
  'survives every later migration, like an edit in pg_cron itself. One that was inactive there '
  'starts again. '
  'Errors: PM001 no such job, PM006 schedule, PM010 no pg_cron here (the hint has the statement).';
-- end of sql/engine/schedule/set_schedule.sql

-- from sql/engine/schedule/enable_job.sql f273af60fd357f38
-- Our own flag: whether a job runs, whoever starts it.

create function maintenance_internal.set_enabled(p_job_name text, p_enabled boolean)
returns maintenance.job_status
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_job maintenance_internal.job := maintenance_internal.find_job(p_job_name);
  v_status maintenance.job_status;
begin
  update maintenance_internal.job as j
  set enabled = p_enabled, updated_at = now(),
    promised_at = case when j.enabled <> p_enabled then maintenance_internal.clock()
      else j.promised_at end
  where j.job_id = v_job.job_id
  returning * into v_job;
  if v_job.kind = 'statement' then
    perform maintenance_internal.repair_command(v_job);
  end if;
  select * into v_status from maintenance.job_status as s where s.job_name = p_job_name;
  return v_status;
end
$$;

create function maintenance.enable_job(job_name text)
returns maintenance.job_status
language sql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
return maintenance_internal.set_enabled(job_name, true);

comment on function maintenance.enable_job(text) is
  'Lets a job run again and returns its job_status row. Errors: PM001 no such job.';

create function maintenance.disable_job(job_name text)
returns maintenance.job_status
language sql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
return maintenance_internal.set_enabled(job_name, false);

comment on function maintenance.disable_job(text) is
  'Keeps a job from running: pg_cron goes on firing it, and each firing leaves a skipped receipt. '
  'Returns its job_status row. Errors: PM001 no such job.';
-- end of sql/engine/schedule/enable_job.sql

-- from sql/engine/control/window.sql 5d0aa25fc78c9bdf
-- The window of a job: the time of day in which pg_cron and the tick may have it run. Inside is
-- what a clock on the wall of its zone says, so that a change of clocks needs no rule of its own.

create function maintenance_internal.in_window(p_job maintenance_internal.job, p_at timestamptz)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
return case
  when (p_job).window_start is null then true
  when (p_job).window_start < (p_job).window_end
    then (p_at at time zone (p_job).window_zone)::time >= (p_job).window_start
      and (p_at at time zone (p_job).window_zone)::time < (p_job).window_end
  else (p_at at time zone (p_job).window_zone)::time >= (p_job).window_start
    or (p_at at time zone (p_job).window_zone)::time < (p_job).window_end
end;

-- The first minute from a time on that is inside: the time itself where it is.
create function maintenance_internal.window_opens(p_job maintenance_internal.job, p_at timestamptz)
returns timestamptz
language sql
stable
set search_path = pg_catalog, pg_temp
return case
  when maintenance_internal.in_window(p_job, p_at) then p_at
  else coalesce((
    -- Two days: a short window that the change of clocks leaves out opens on the next.
    select m.at
    from generate_series(date_trunc('minute', p_at) + interval '1 minute',
      p_at + interval '50 hours', interval '1 minute') as m (at)
    where maintenance_internal.in_window(p_job, m.at)
    order by m.at
    limit 1), p_at + interval '1 day')
end;
-- end of sql/engine/control/window.sql

-- from sql/engine/control/wait.sql fa70cafc1e88c505
-- The run that waits, of which a job has one at most: put there, and given up.

-- What a run waits for is its stop_reason: window, dependency, missed (a slot that left no trace)
-- or retry. The later one takes the place of the earlier, whose receipt says so, and where that
-- has waited for other jobs, that it did in vain; but one that waits for its window stands for
-- the later slot, too.
create function maintenance_internal.put_off(
  p_job maintenance_internal.job,
  p_trigger text,
  p_attempt integer,
  p_slot timestamptz,
  p_due_at timestamptz,
  p_reason text)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_run_id bigint;
begin
  update maintenance_internal.run as r
  set slot = p_slot, trigger = p_trigger, attempt = p_attempt, backend_pid = pg_backend_pid()
  where r.job_id = p_job.job_id and r.status = 'waiting' and r.stop_reason = 'window'
    and p_reason in ('window', 'missed')
  returning r.run_id into v_run_id;
  if found then
    return v_run_id;
  end if;
  perform maintenance_internal.supersede(p_job);
  insert into maintenance_internal.run as r
    (job_id, job_name, trigger, attempt, slot, status, due_at, stop_reason, details)
  values
    (p_job.job_id, p_job.job_name, p_trigger, p_attempt, p_slot, 'waiting', p_due_at, p_reason,
      jsonb_strip_nulls(jsonb_build_object('waitsFor',
        maintenance_internal.waits_for(p_job, coalesce(p_slot, p_due_at)))))
  on conflict (job_id) where status = 'waiting' do nothing -- somebody has just put one there
  returning r.run_id into v_run_id;
  return coalesce(v_run_id, (
    select r.run_id from maintenance_internal.run as r
    where r.job_id = p_job.job_id and r.status = 'waiting'));
end
$$;

-- Closes the run of a job that waits, since a later slot has come.
create function maintenance_internal.supersede(p_job maintenance_internal.job)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_for text;
begin
  -- One that waits for its window has not asked for others yet.
  select case when r.stop_reason <> 'window' then maintenance_internal.waits_text(
    maintenance_internal.waits_for(p_job, coalesce(r.slot, r.due_at))) end into v_for
  from maintenance_internal.run as r where r.job_id = p_job.job_id and r.status = 'waiting';
  if found then
    perform maintenance_internal.give_up(p_job.job_id,
      case when v_for is null then 'superseded' else 'dependency' end,
      'it waited until its next slot for ' || v_for);
  end if;
end
$$;

-- Closes the run of a job that waits; what it waited for is kept. One that waited in vain is a
-- failure, and says for what.
create function maintenance_internal.give_up(
  p_job_id integer,
  p_reason text,
  p_error text default null,
  p_sqlstate text default 'PM025')
returns void
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  update maintenance_internal.run as r
  set status = 'skipped',
    finished_at = maintenance_internal.moment(),
    stop_reason = p_reason,
    error = p_error,
    sqlstate = case when p_error is not null then p_sqlstate end,
    details = r.details || jsonb_build_object('waited', r.stop_reason)
  where r.job_id = p_job_id and r.status = 'waiting';
end;

-- Until when a run waits: for the grace of its job or, where that has none, until its next slot,
-- though a quarter of an hour at least; without any slot for a day.
create function maintenance_internal.waits_until(
  p_job maintenance_internal.job,
  p_slot timestamptz,
  p_due_at timestamptz)
returns timestamptz
language sql
stable
set search_path = pg_catalog, pg_temp
return case
  when (p_job).grace is not null then p_due_at + (p_job).grace
  else coalesce((
    select greatest(n.slot, p_due_at + interval '15 minutes')
    from maintenance_internal.slot_near(p_job, p_slot, true) as n (slot)
    where n.slot is not null), p_due_at + interval '1 day') -- greatest would pass over a null
end;

-- Whether a run that succeeded has left something to the next.
create function maintenance_internal.is_cut(p_stop_reason text)
returns boolean
language sql
immutable
set search_path = pg_catalog, pg_temp
return p_stop_reason in ('budget', 'max_batches', 'max_rows', 'rows_locked', 'window');

-- What a run of a moment still waits for: the dependencies without a success that began at their
-- own latest slot up to that moment, or later; of those without a slot any success will do. A run
-- that has left something has not done its work: nobody is to delete what it has not exported
-- yet.
create function maintenance_internal.waits_for(
  p_job maintenance_internal.job,
  p_moment timestamptz)
returns text[]
language sql
stable
set search_path = pg_catalog, pg_temp
return (
  select array_agg(d.name order by d.name)
  from unnest((p_job).depends_on) as d (name)
  left join maintenance_internal.job as j on j.job_name = d.name
  where not exists (
    select from maintenance_internal.run as r
    where r.job_id = j.job_id and r.status = 'succeeded'
      and not maintenance_internal.is_cut(r.stop_reason)
      and r.started_at >= coalesce(
        maintenance_internal.slot_near(j, p_moment, false), '-infinity'))
);

-- When a job's schedule in force began to count: no slot before it was ever owed.
create function maintenance_internal.promised_at(p_job maintenance_internal.job)
returns timestamptz
language sql
stable
set search_path = pg_catalog, pg_temp
return greatest((p_job).promised_at, (
  select c.promised_at from maintenance_internal.control as c));

-- The same in words: with why a success of one is not enough.
create function maintenance_internal.waits_text(p_for text[])
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select string_agg(f.name || case when maintenance_internal.is_cut(l.stop_reason)
    then format(' (which has only come to %s)', l.stop_reason) else '' end, ', ' order by f.n)
  from unnest(p_for) with ordinality as f (name, n)
  left join lateral (
    select r.stop_reason
    from maintenance_internal.job as j
    join maintenance_internal.run as r on r.job_id = j.job_id and r.status = 'succeeded'
    where j.job_name = f.name
    order by r.started_at desc
    limit 1
  ) as l on true;
end;
-- end of sql/engine/control/wait.sql

-- from sql/engine/control/stop_sign.sql fdb9eae07bec08f4
-- Why a run has to end before it is through: what is asked after each batch, and when somebody
-- has cancelled one.

-- A run is ended after so much time. Where nobody has said when: an hour beyond its budget, so
-- that no run can hold up the others for ever; a statement, which is pg_cron's, never.
create function maintenance_internal.time_out_of(p_job maintenance_internal.job)
returns interval
language sql
immutable
set search_path = pg_catalog, pg_temp
return coalesce((p_job).timeout,
  case when (p_job).kind <> 'statement' then (p_job).budget + interval '1 hour' end);

create function maintenance_internal.stop_sign(
  p_run maintenance_internal.run,
  p_job maintenance_internal.job,
  p_is_cancelled boolean)
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_is_cancelled then
    -- An emergency stop cancels before it has committed what it says here.
    begin
      perform from maintenance_internal.control as c for share;
    exception when lock_not_available then
      null;
    end;
  end if;
  return case
    -- Also where all goes on again already.
    when exists (
      select from maintenance_internal.control as c
      where c.stopped_at >= least(p_run.started_at, c.paused_at)) then 'emergency_stop'
    when maintenance_internal.moment() >= p_run.started_at
      + maintenance_internal.time_out_of(p_job) then 'timeout'
    when p_is_cancelled then 'cancelled'
    when p_run.trigger <> 'manual'
      and not maintenance_internal.in_window(p_job, maintenance_internal.moment()) then 'window'
  end;
end
$$;

-- What the receipt says of a run that somebody has ended.
create function maintenance_internal.stop_text(
  p_reason text,
  p_job maintenance_internal.job)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return case p_reason
  when 'timeout' then format('it was not over after its time-out of %s',
    maintenance_internal.time_out_of(p_job))
  when 'emergency_stop' then 'ended by an emergency stop'
end;
-- end of sql/engine/control/stop_sign.sql

-- from sql/engine/control/settle_run.sql b3546f4759cb88af
-- What follows from the end of a run, in the transaction that closes it: a run that succeeded
-- needs no other; one that its window has cut goes on in the next; one that went wrong by itself
-- is tried again, where it has an attempt left. Nobody tries again what a person has started.

create function maintenance_internal.further_attempts(p_priority text)
returns integer
language sql
immutable
set search_path = pg_catalog, pg_temp
return case p_priority when 'critical' then 3 when 'low' then 1 else 2 end;

-- 1, 2, 4 minutes and so on, at most 15, give or take a tenth.
create function maintenance_internal.retry_delay(p_attempt integer)
returns interval
language sql
set search_path = pg_catalog, pg_temp
return least(interval '1 minute' * 2 ^ (p_attempt - 1), interval '15 minutes')
  * (0.9 + 0.2 * random());

create function maintenance_internal.settle_run(p_run_id bigint)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_run maintenance_internal.run;
  v_job maintenance_internal.job;
begin
  select * into v_run from maintenance_internal.run as r where r.run_id = p_run_id;
  select * into v_job from maintenance_internal.job as j
  where j.job_id = v_run.job_id and j.kind <> 'statement';
  if not found then
    return;
  elsif v_run.status = 'succeeded' then
    perform maintenance_internal.give_up(v_run.job_id, 'superseded');
    if v_run.stop_reason = 'window' then
      perform maintenance_internal.put_off(v_job, v_run.trigger, 1, v_run.slot,
        maintenance_internal.window_opens(v_job, maintenance_internal.moment()), 'window');
    end if;
  elsif v_run.status in ('failed', 'timeout', 'interrupted') and v_run.trigger <> 'manual'
    and v_job.enabled
    and v_run.attempt <= maintenance_internal.further_attempts(v_job.priority)
    and not exists (
      select from maintenance_internal.run as r
      where r.job_id = v_run.job_id and r.status = 'waiting')
  then
    perform maintenance_internal.put_off(v_job, 'retry', v_run.attempt + 1, v_run.slot,
      maintenance_internal.moment() + maintenance_internal.retry_delay(v_run.attempt), 'retry');
  end if;
end
$$;
-- end of sql/engine/control/settle_run.sql

-- from sql/engine/control/start_waiting.sql e0fa1dc83cba2261
-- Begins one of the runs that wait: the first that is due, may start, and that nobody else is at;
-- and closes on its way those that have waited for too long. Null where there is none.

create function maintenance_internal.start_waiting(p_due_at timestamptz)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_now constant timestamptz := maintenance_internal.moment();
  v_run maintenance_internal.run;
  v_run_id bigint;
  v_state text;
  v_message text;
  v_context text;
begin
  -- In a restored database the tick comes first, which gives up what waited elsewhere.
  if maintenance_internal.is_paused() or exists (
    select from maintenance_internal.turn as t
    where t.name = 'missed' and t.noted_in <> (maintenance_internal.cron_state()).home)
  then
    return null;
  end if;
  for v_run in
    select r.*
    from maintenance_internal.run as r
    left join maintenance_internal.job as j on j.job_id = r.job_id
    where r.status = 'waiting' and (r.due_at <= least(p_due_at, v_now) or j.enabled is not true
      -- The window may have been changed meanwhile.
      or r.stop_reason = 'window')
    order by array_position(array['critical', 'high', 'medium', 'low'], j.priority), r.due_at,
      r.run_id
    for no key update of r skip locked
  loop
    begin
      v_run_id := maintenance_internal.try_waiting(v_run, v_now);
      if v_run_id is not null then
        return v_run_id;
      end if;
    exception when others then -- it keeps no other
      get stacked diagnostics v_state = returned_sqlstate, v_message = message_text,
        v_context = pg_exception_context;
      perform maintenance_internal.give_up(v_run.job_id, 'error',
        maintenance_internal.error_text(v_state, v_message, v_context), v_state);
    end;
  end loop;
  return null;
end
$$;

-- Begins a run that waits, where it may; or keeps on its receipt what it still waits for.
create function maintenance_internal.try_waiting(
  p_run maintenance_internal.run,
  p_now timestamptz)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_job maintenance_internal.job;
  v_for text[];
  v_until timestamptz;
begin
  select * into v_job from maintenance_internal.job as j where j.job_id = p_run.job_id;
  if not found or not v_job.enabled then
    perform maintenance_internal.give_up(p_run.job_id,
      case when v_job.job_id is null then 'dropped' else 'disabled' end);
    return null;
  elsif not maintenance_internal.in_window(v_job, p_now) then
    update maintenance_internal.run as r
    set due_at = maintenance_internal.window_opens(v_job, p_now), stop_reason = 'window'
    where r.run_id = p_run.run_id and (r.due_at, r.stop_reason)
      is distinct from (maintenance_internal.window_opens(v_job, p_now), 'window');
    return null;
  end if;
  v_for := maintenance_internal.waits_for(v_job, coalesce(p_run.slot, p_run.due_at));
  v_until := maintenance_internal.waits_until(v_job, p_run.slot, p_run.due_at);
  if p_now > v_until then
    perform maintenance_internal.give_up(v_job.job_id,
      case when v_for is null then 'too_late' else 'dependency' end,
      format(case when v_for is null then 'nobody could start it until %s'
        else 'it waited until %s for %s' end, to_char(v_until, 'YYYY-MM-DD HH24:MI'),
        maintenance_internal.waits_text(v_for)));
    return null;
  elsif (p_run.details -> 'waitsFor') is distinct from to_jsonb(v_for) then
    update maintenance_internal.run as r
    set details = r.details - 'waitsFor'
      || jsonb_strip_nulls(jsonb_build_object('waitsFor', v_for))
    where r.run_id = p_run.run_id;
  end if;
  if v_for is null and maintenance_internal.start_bar(v_job) is null then
    return maintenance_internal.begin_run(v_job, p_run, true);
  end if;
  return null;
end
$$;
-- end of sql/engine/control/start_waiting.sql

-- from sql/engine/control/run_late.sql 7979eb8d6528de87
-- Starts what is owed, one after the other: retries, missed slots, what waited for another job or
-- for its window. pg_cron fires it each minute; two at once do not harm each other.
-- It commits, so it can have neither a set clause nor security definer: every name is qualified.

create procedure maintenance.run_late()
language plpgsql
as $$
declare
  v_began timestamptz;
  v_run_id bigint;
begin
  call maintenance_internal.check_outside('maintenance.run_late');
  v_began := maintenance_internal.note_visit(
    maintenance_internal.run_late_statement(), null, '[]', false);
  commit;
  loop
    perform maintenance_internal.clean_session();
    commit;
    -- What falls due meanwhile is for the next pass, so that this one ends.
    v_run_id := maintenance_internal.start_waiting(v_began);
    commit;
    exit when v_run_id is null;
    call maintenance_internal.run_steps(v_run_id);
    perform maintenance_internal.end_run(v_run_id);
    commit;
  end loop;
  perform maintenance_internal.note_visit(maintenance_internal.run_late_statement(), v_began);
end
$$;

comment on procedure maintenance.run_late() is
  'Starts what is owed and may start now, one after the other: retries of failed runs, slots '
  'that pg_cron has missed, and runs that waited for another job or for their window (S2-18, '
  'S2-19, S4-20). The job run_late calls it every minute. What a run fails with is told on its '
  'receipt alone. Errors: 2D000 called inside a transaction.';

-- A job leaves nothing to the next in the session that pg_cron has opened for both: what discard
-- all does, which no transaction may.
create function maintenance_internal.clean_session()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if maintenance_internal.fired_by_cron() then
    execute 'close all';
    execute 'unlisten *';
    execute 'deallocate all';
    execute 'reset all';
    execute 'discard sequences';
    execute 'discard temporary';
    perform pg_advisory_unlock_all();
  end if;
end
$$;

-- Whether run_late is at one of the runs that have waited.
create function maintenance_internal.is_late_at_work()
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select exists (
    select from maintenance_internal.run as r
    where r.status = 'running' and r.cron_run_id is null and r.due_at is not null
      and maintenance_internal.is_alive(r.job_id, r.backend_pid, r.touched_at));
end;
-- end of sql/engine/control/run_late.sql

-- from sql/engine/control/find_missed.sql 578db97c8d22ac81
-- Notes which slots were missed: a job that is late, as the status shows it, gets a run that
-- waits for the last of them. Statements are not caught up: they stay late until pg_cron fires
-- them. A restored database, or a copy, owes nothing from before, and what waited there is given
-- up.

create function maintenance_internal.find_missed(p_owed boolean default false)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_slack constant interval := interval '2 minutes';
  v_now constant timestamptz := maintenance_internal.clock();
  v_state constant record := maintenance_internal.cron_state();
  v_read_as constant bigint := hashtextextended(v_state.zone || v_state.readable::text, 0);
  v_turn maintenance_internal.turn;
  v_jobs text[];
  v_row record;
  v_slot timestamptz;
  v_missed bigint := 0;
begin
  if not maintenance_internal.take_turn('missed') then
    return 0; -- somebody else is at it
  end if;
  select * into v_turn from maintenance_internal.turn as t where t.name = 'missed';
  if v_turn.noted_in <> v_state.home then
    update maintenance_internal.control as c set promised_at = v_now;
    perform maintenance_internal.give_up(r.job_id, 'restored')
    from maintenance_internal.run as r where r.status = 'waiting';
  end if;
  update maintenance_internal.turn as t
  set noted_in = v_state.home, noted = v_read_as
  where t.name = 'missed';

  if maintenance_internal.is_paused() then
    return 0;
  end if;

  -- Who had no slot since the last look has missed none.
  v_jobs := array(
    select j.job_name
    from maintenance_internal.job as j
    where j.kind <> 'statement' and j.enabled
      and (p_owed or (j.look_at > v_now and v_turn.noted = v_read_as
        and j.look_since = maintenance_internal.promised_at(j)) is not true));
  for v_row in
    select j, s.schedule, s.active, s.owed_at, s.running is not true
      and (s.late_since is not null or p_owed and s.owed_at <= v_now) as is_missed
    from maintenance.job_status as s
    join maintenance_internal.job as j on j.job_name = s.job_name
    where s.job_name = any (v_jobs)
    order by s.late_since
  loop
    if v_row.is_missed then
      v_slot := maintenance_internal.nearest_slot(v_row.schedule,
        v_now - case when p_owed then interval '0' else v_slack end, false, v_state.zone);
      perform maintenance_internal.put_off(v_row.j, 'catch_up', 1, v_slot, v_slot, 'missed');
      v_missed := v_missed + 1;
    elsif v_row.active then
      -- Until what it owes is two minutes old nothing can be missed. That may be now: of a run
      -- that goes on, or while the server has only just started.
      update maintenance_internal.job as j
      set look_at = coalesce(v_row.owed_at + v_slack, 'infinity'),
        look_since = maintenance_internal.promised_at(v_row.j)
      where j.job_id = (
        select l.job_id from maintenance_internal.job as l
        where l.job_id = (v_row.j).job_id for no key update skip locked);
    end if;
  end loop;
  return v_missed;
end
$$;
-- end of sql/engine/control/find_missed.sql

-- from sql/engine/control/signal_runs.sql 21971f0432736a28
-- Ends what has to end at once: what is over its time-out and, in an emergency, everything.
-- Between two batches a run finds that out itself (stop_sign); here whoever is in the middle of
-- one is cancelled, where that is allowed, and so are the statements that pg_cron runs. Who
-- swallows that for five minutes loses his session. A stop holds for all that had begun, also
-- after resume.

create function maintenance_internal.signal_runs()
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
declare
  v_is_stopped constant boolean := maintenance_internal.is_stopped();
  v_now constant timestamptz := maintenance_internal.moment();
  v_work record;
  v_reason text;
  v_stopped_at constant timestamptz := (
    select c.stopped_at from maintenance_internal.control as c);
  v_ends_at timestamptz;
  v_sent integer[] := '{}';
begin
  for v_work in
    -- In a step of a run; of one in somebody's own transaction nobody else sees the receipt.
    select j as job, l.pid, r.started_at, r.run_id, false as is_mute
    from pg_locks as l
    join maintenance_internal.job as j on j.job_id::oid = l.objid
    left join maintenance_internal.run as r on r.job_id = j.job_id and r.backend_pid = l.pid
      and r.status = 'running' and r.cron_run_id is null
    where l.locktype = 'advisory' and l.objsubid = 2 and l.granted
      and l.classid = maintenance_internal.lock_class()::oid
      and l.database = (select d.oid from pg_database as d where d.datname = current_database())
    union all
    -- A statement with a receipt; the process is still the one that began then.
    select j, a.pid, r.started_at, r.run_id, true
    from maintenance_internal.run as r
    join maintenance_internal.job as j on j.job_id = r.job_id
    join pg_stat_activity as a on a.pid = r.backend_pid and a.state = 'active'
      and a.backend_start < r.started_at + interval '1 minute'
      and (a.application_name = 'pg_cron' or a.backend_type like 'pg_cron%')
    where r.status = 'running' and r.cron_run_id is not null
    union all
    -- One that was fired just now, or while pg_cron keeps no history.
    select j, a.pid, null, null, false
    from maintenance_internal.job as j
    join pg_stat_activity as a on a.datname = current_database() and a.state = 'active'
      and (a.query = j.statement
        or octet_length(a.query) > 1000 and starts_with(j.statement, a.query)) -- as it is shown
      and (a.application_name = 'pg_cron' or a.backend_type like 'pg_cron%')
    where j.kind = 'statement' and not maintenance_internal.is_own(j.statement)
      and not exists (
        select from maintenance_internal.run as r
        where r.backend_pid = a.pid and r.status = 'running' and r.cron_run_id is not null)
  loop
    v_reason := 'timeout';
    v_ends_at := v_work.started_at + maintenance_internal.time_out_of(v_work.job);
    if v_is_stopped or v_work.started_at <= v_stopped_at then
      v_reason := 'emergency_stop';
      v_ends_at := v_stopped_at;
    end if;
    v_reason := case when v_ends_at <= v_now then v_reason end;
    continue when v_reason is null or v_work.pid = any (pg_backend_pid() || v_sent);
    begin
      if v_ends_at + interval '5 minutes' <= v_now then
        v_work.is_mute := pg_terminate_backend(v_work.pid, 2000);
      else
        perform pg_cancel_backend(v_work.pid);
      end if;
      v_sent := v_sent || v_work.pid;
    exception when insufficient_privilege then
      continue; -- it ends between two batches
    end;
    -- A run says itself why it was cancelled; a statement cannot, nor who has lost his session.
    update maintenance_internal.run as r
    set stop_reason = v_reason, sqlstate = '57014',
      error = maintenance_internal.stop_text(v_reason, v_work.job)
    where r.run_id = v_work.run_id and v_work.is_mute;
  end loop;
  return cardinality(v_sent);
end
$$;
-- end of sql/engine/control/signal_runs.sql

-- from sql/engine/control/tick.sql 07698a048c1ba783
-- What has to be looked at every minute, in milliseconds: each step in a transaction of its own,
-- so that one that fails, or waits for a lock, keeps no other from its work. It commits, so it
-- can have neither a set clause nor security definer: every name is qualified.

create procedure maintenance.tick()
language plpgsql
as $$
declare
  v_began timestamptz;
  v_faults jsonb := '[]';
begin
  call maintenance_internal.check_outside('maintenance.tick');
  v_began := maintenance_internal.moment();
  v_faults := maintenance_internal.tick_step('record_statements', v_faults);
  commit;
  v_faults := maintenance_internal.tick_step('signal_runs', v_faults);
  commit;
  v_faults := maintenance_internal.tick_step('close_dead_runs', v_faults);
  commit;
  v_faults := maintenance_internal.tick_step('record_schedule_edits', v_faults);
  commit;
  v_faults := maintenance_internal.tick_step('repair_commands', v_faults);
  commit;
  v_faults := maintenance_internal.tick_step('find_missed', v_faults);
  commit;
  v_faults := maintenance_internal.tick_step('erase_subjects', v_faults);
  commit;
  v_faults := maintenance_internal.tick_step('continue_upkeep', v_faults);
  commit;
  perform maintenance_internal.note_visit(
    maintenance_internal.tick_statement(), v_began, v_faults);
end
$$;

comment on procedure maintenance.tick() is
  'What has to be looked at every minute: writes the receipts of the statements that pg_cron '
  'ran, ends runs that are over their time-out, closes the receipts of dead ones, keeps what '
  'somebody has edited in pg_cron, puts statements back after a pause, notes which slots were '
  'missed, forgets subjects that were deleted, and gives the next statement of upkeep. A step that '
  'fails is told on its own receipt, the one of the job tick, which calls it. Errors: 2D000 called '
  'inside a transaction.';

-- One step of the tick; what it fails with is added to the faults.
create function maintenance_internal.tick_step(p_step text, p_faults jsonb)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_state text;
  v_message text;
  v_context text;
begin
  -- Nothing waits for the disk: what is lost in a crash is found again.
  perform set_config('synchronous_commit', 'off', true);
  execute format('select maintenance_internal.%I()', p_step);
  return p_faults;
exception when others or assert_failure then
  get stacked diagnostics v_state = returned_sqlstate, v_message = message_text,
    v_context = pg_exception_context;
  return p_faults || jsonb_build_object('sqlstate', v_state, 'message', v_message,
    'context', v_context, 'error',
    format('%s: %s', p_step, maintenance_internal.error_text(v_state, v_message, v_context)));
end
$$;

-- The kit's own jobs leave one receipt each, which is written anew: it is the sign that
-- pg_cron is at work. run_late writes it when a pass begins, and when it is over; where the one
-- before has not come to its end, and is at no run, that is a fault.
create function maintenance_internal.note_visit(
  p_statement text,
  p_began timestamptz default null,
  p_faults jsonb default '[]',
  p_is_over boolean default true)
returns timestamptz
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_now constant timestamptz := maintenance_internal.moment();
  v_run maintenance_internal.run;
begin
  perform set_config('synchronous_commit', 'off', true);
  select l.* into v_run from maintenance_internal.run as l
  join maintenance_internal.job as j on j.job_id = l.job_id
  where j.statement = p_statement and l.status not in ('waiting', 'skipped')
  order by coalesce(l.started_at, l.finished_at) desc
  limit 1;
  if not p_is_over and v_run.details ? 'open' and not maintenance_internal.is_late_at_work() then
    p_faults := p_faults || jsonb_build_object('sqlstate', 'PM008', 'error',
      'the pass before did not come to its end: pg_cron''s history may say why');
  end if;
  v_run.details := case when p_is_over then '{}' else '{"open": true}' end;
  v_run.started_at := coalesce(p_began, v_now);
  v_run.trigger := case when maintenance_internal.fired_by_cron() then 'schedule' else 'manual' end;
  v_run.status := case when p_faults = '[]' then 'succeeded' else 'failed' end;
  v_run.stop_reason := case when p_faults = '[]' then 'done' else 'error' end;
  v_run.sqlstate := p_faults #>> '{0,sqlstate}';
  v_run.error := (
    select string_agg(f.fault ->> 'error', '; ' order by f.n)
    from jsonb_array_elements(p_faults) with ordinality as f (fault, n));
  v_run.error_detail := (p_faults -> 0) - '{sqlstate,error}'::text[];
  update maintenance_internal.run as r
  -- That pg_cron has fired it once is kept, whoever calls it meanwhile.
  set trigger = case when r.trigger = 'schedule' then r.trigger else v_run.trigger end,
    slot = date_trunc('minute', v_run.started_at), status = v_run.status,
    started_at = v_run.started_at, touched_at = clock_timestamp(), finished_at = v_now,
    backend_pid = pg_backend_pid(), stop_reason = v_run.stop_reason, error = v_run.error,
    sqlstate = v_run.sqlstate, error_detail = v_run.error_detail, details = v_run.details
  where r.run_id = v_run.run_id;
  if not found then
    insert into maintenance_internal.run
      (job_id, job_name, trigger, slot, status, started_at, finished_at, stop_reason, error,
        sqlstate, error_detail, details)
    select j.job_id, j.job_name, v_run.trigger, date_trunc('minute', v_run.started_at),
      v_run.status, v_run.started_at, v_now, v_run.stop_reason, v_run.error, v_run.sqlstate,
      v_run.error_detail, v_run.details
    from maintenance_internal.job as j
    where j.statement = p_statement;
  end if;
  return v_now;
end
$$;
-- end of sql/engine/control/tick.sql

-- from sql/engine/control/pause.sql 042f04021f9357f0
-- Stops all jobs and the questions to models, and lets them go on. What an operator has switched
-- off in pg_cron or disabled is not touched by it: jobs are fired as before, and leave skipped
-- receipts. A statement, which pg_cron runs itself, is put there as a call that does the same.

create function maintenance_internal.set_paused(
  p_paused boolean,
  p_reason text,
  p_stop boolean)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  -- It stands in advice that is pasted.
  v_reason constant text := left(btrim(
    regexp_replace(regexp_replace(p_reason, '[^[:alnum:]_.,:@/-]+', ' ', 'g'), '--+', '-', 'g')),
    200);
  v_now constant timestamptz := maintenance_internal.moment();
  v_was_paused constant boolean := maintenance_internal.is_paused();
  v_signalled bigint := 0;
  v_running bigint;
  v_context text;
begin
  if p_paused and coalesce(v_reason, '') = '' then
    raise exception 'a reason is needed'
      using errcode = 'PM002', hint = 'The status shows it to whoever wonders why nothing runs.';
  end if;
  if not p_paused and not v_was_paused then
    return jsonb_build_object('success', true, 'signalled', 0, 'message', 'Nothing was paused.');
  end if;
  -- What somebody else holds is not waited for: an emergency stop takes hold when this commits.
  perform set_config('lock_timeout', '200ms', true);
  if not v_was_paused then
    begin
      perform maintenance_internal.find_missed(true); -- what was owed before waits, and is not lost
    exception when others then
      get stacked diagnostics v_context = pg_exception_context;
      raise warning 'slots that were missed before may be lost: %',
        maintenance_internal.error_text(sqlstate, sqlerrm, v_context);
    end;
  end if;

  perform set_config('lock_timeout', '2s', true);
  begin
    for v_try in 1 .. 2 loop
      update maintenance_internal.control as c
      set paused_at = case when p_paused then coalesce(c.paused_at, v_now) end,
        paused_by = case when p_paused
          then regexp_replace(session_user, '[^[:alnum:]_.@-]+', ' ', 'g') end,
        paused_for = case when p_paused then v_reason end,
        stopped_at = case when p_stop then v_now else c.stopped_at end,
        -- What was due meanwhile is owed to nobody.
        promised_at = case when p_paused then c.promised_at else maintenance_internal.clock() end;
      exit when found;
      perform maintenance_internal.put_control();
    end loop;
  exception when lock_not_available then
    raise exception 'somebody else pauses or resumes, in a transaction that is still open'
      using errcode = '55P03', hint = 'Who: select l.pid, a.usename, a.state, a.query from '
        'pg_locks as l join pg_stat_activity as a on a.pid = l.pid where l.relation = '
        '''maintenance_internal.control''::regclass;';
  end;
  perform set_config('lock_timeout', '200ms', true);
  if not p_paused then
    -- Who has waited does so from now on.
    update maintenance_internal.run as r
    set due_at = greatest(r.due_at, v_now)
    where r.run_id = any (array(
      select w.run_id from maintenance_internal.run as w
      where w.status = 'waiting' for no key update skip locked));
  end if;
  if p_stop then
    begin
      -- So that a statement that was only just fired has a receipt, too.
      perform from maintenance_internal.turn as t where t.name = 'statements' for update;
      perform maintenance_internal.record_statements('0');
    exception when others then -- what it could not note is cancelled all the same
      get stacked diagnostics v_context = pg_exception_context;
      raise warning 'a statement that is cancelled may be told as failed: %',
        maintenance_internal.error_text(sqlstate, sqlerrm, v_context);
    end;
    v_signalled := maintenance_internal.signal_runs();
  end if;
  perform maintenance_internal.repair_commands();
  if p_paused <> v_was_paused
    and (maintenance_internal.cron_state()).gap ~ '^(pg_cron (lives|is not)|the schema)' then
    perform maintenance_internal.repair_command(j) -- where pg_cron is elsewhere, says what to do
    from maintenance_internal.job as j
    where j.kind = 'statement' and j.enabled and j.schedule is not null
      and not maintenance_internal.is_own(j.statement);
  end if;
  select greatest(count(*), v_signalled) into v_running from maintenance_internal.run as r
  where r.status = 'running'
    and (r.cron_run_id is not null
      or maintenance_internal.is_alive(r.job_id, r.backend_pid, r.touched_at));
  return jsonb_build_object('success', true, 'signalled', v_signalled, 'message', case
    when not p_paused then 'Jobs start again, and models are asked again.'
    when v_running = 0 then 'Nothing starts any more, and nothing was running.'
    when p_stop then format('Nothing starts any more. %s %s going on: %s cancelled, and what could '
      'not be ends after its batch.', v_running,
      case when v_running = 1 then 'run was' else 'runs were' end, v_signalled)
    else format('Nothing starts any more. %s to its end; to end that, too: select '
      'maintenance.emergency_stop(''...'');',
      case when v_running = 1 then '1 run goes' else format('%s runs go', v_running) end)
  end);
end
$$;

create function maintenance.pause(reason text)
returns jsonb
language sql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
return maintenance_internal.set_paused(true, pause.reason, false);

comment on function maintenance.pause(text) is
  'Has no job start and no task be handed out until resume; what runs goes on to its end. What '
  'pg_cron fires meanwhile leaves skipped receipts, and is not made up for (S1-10, S2-33). reason: '
  'shown by the status. Returns {success, message, signalled}. Errors: PM002 no reason.';

create function maintenance.emergency_stop(reason text)
returns jsonb
language sql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
return maintenance_internal.set_paused(true, emergency_stop.reason, true);

comment on function maintenance.emergency_stop(text) is
  'The same as pause, and ends what runs: what pg_cron has fired is cancelled at once, a run in a '
  'session of somebody else ends after its batch, and answers of models are refused (PM026), which '
  'the worker keeps until resume (S2-34). Returns {success, message, signalled}, the runs '
  'cancelled. Errors: PM002 no reason.';

create function maintenance.resume()
returns jsonb
language sql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
return maintenance_internal.set_paused(false, null, false);

comment on function maintenance.resume() is
  'Ends a pause or an emergency stop: jobs start at their next slot, what waited before goes on to '
  'wait, and what was disabled stays so. Returns {success, message, signalled}.';
-- end of sql/engine/control/pause.sql

-- from sql/engine/health/job_statistics.sql 26df128c721e6e70
-- How the jobs of a period went, from their receipts: how many runs, how many of them well, how
-- long they took, and a grade.

create function maintenance.job_statistics(period interval default '30 days')
returns table (
  job_name text,
  runs bigint,
  succeeded bigint,
  failed bigint,
  success_rate numeric,
  average_ms numeric,
  p95_ms numeric,
  max_ms numeric,
  rows_affected bigint,
  grade text,
  last_status text,
  last_run_at timestamptz,
  last_ms numeric,
  last_success_at timestamptz)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  v_since timestamptz;
begin
  if (job_statistics.period between interval '1 microsecond' and interval '1000 years')
    is not true then
    raise exception 'the period "%" is no time', job_statistics.period
      using errcode = 'PM002', hint = 'An interval above 0, up to now: ''30 days''.';
  end if;
  v_since := maintenance_internal.clock() - job_statistics.period;
  return query
    with receipt as materialized (
      select r.job_id, r.status = 'succeeded' as succeeded, r.rows_affected,
        1000 * extract(epoch from r.finished_at - r.started_at) as ms
      from maintenance_internal.run as r
      where r.finished_at > v_since
        and r.status in ('succeeded', 'failed', 'timeout', 'interrupted')
    ),
    sums as (
      select r.job_id, count(*) as runs, count(*) filter (where r.succeeded) as succeeded,
        round(100.0 * count(*) filter (where r.succeeded) / count(*), 2) as success_rate,
        avg(r.ms) as average_ms,
        percentile_cont(0.95) within group (order by r.ms::double precision) as p95_ms,
        max(r.ms) as max_ms, least(sum(r.rows_affected), 9223372036854775807) as rows_affected
      from receipt as r
      group by r.job_id
    )
    select j.job_name, coalesce(s.runs, 0), coalesce(s.succeeded, 0),
      coalesce(s.runs - s.succeeded, 0), s.success_rate, round(s.average_ms, 1),
      round(s.p95_ms::numeric, 1), round(s.max_ms, 1), coalesce(s.rows_affected, 0)::bigint,
      case
        when s.runs is null then 'unknown'
        when s.success_rate >= 95 and s.average_ms < 60000 then 'excellent'
        when s.success_rate >= 90 and s.average_ms < 120000 then 'good'
        when s.success_rate >= 80 and s.average_ms < 300000 then 'warning'
        else 'critical'
      end,
      l.status, coalesce(l.started_at, l.finished_at),
      round(1000 * extract(epoch from l.finished_at - l.started_at), 1), p.started_at
    from maintenance_internal.job as j
    left join sums as s on s.job_id = j.job_id
    left join lateral (
      select r.status, r.started_at, r.finished_at from maintenance_internal.run as r
      where r.job_id = j.job_id
        and (r.status not in ('waiting', 'skipped') or r.status = 'skipped' and r.error is not null)
      order by coalesce(r.started_at, r.finished_at) desc
      limit 1
    ) as l on true
    left join lateral (
      select r.started_at from maintenance_internal.run as r
      where r.job_id = j.job_id and r.status = 'succeeded'
      order by r.started_at desc
      limit 1
    ) as p on true
    where not maintenance_internal.is_own(j.statement)
    order by s.success_rate, j.job_name;
end
$$;

comment on function maintenance.job_statistics(interval) is
  'One row per job, the worst first: the runs that ended within the period (an interval up to '
  'now), how many succeeded, failed (failed, timed out or interrupted; what was cancelled or '
  'skipped does not count), the share in percent, average, 95th percentile and longest in ms, '
  'rows, and how the last run was (S1-19, S2-25, S2-28). grade (S4-21): excellent from 95 % and '
  'below 60 s on average, good from 90 % and below 120 s, warning from 80 % and below 300 s, else '
  'critical; unknown without a run. The kit''s own jobs (tick, run_late, alert_monitor), which '
  'leave one receipt each, are not there. Errors: PM002 no period.';
-- end of sql/engine/health/job_statistics.sql

-- from sql/engine/health/job_faults.sql 8546b7db23d482fd
-- The rows of maintenance_status about all jobs, of every kind: whose last run did not succeed,
-- and who should have run and left no trace.

-- What runs a job at once. A statement that no function can hold leaves no receipt by hand:
-- setting its schedule anew has it owe nothing from before.
create function maintenance_internal.run_advice(p_job maintenance.job_status)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return case
  when (p_job).kind = 'statement' then (
    select format('%s%s; select maintenance.set_schedule(%L, %L);', rtrim(j.statement, '; '),
      case when j.statement ~ '--' then e'\n' end, j.job_name,
      coalesce((p_job).schedule, (p_job).declared_schedule))
    from maintenance_internal.job as j
    where j.job_name = (p_job).job_name)
  else format('call maintenance.run_job(%L);', (p_job).job_name)
end;

create function maintenance_internal.job_faults(
  p_jobs maintenance.job_status[],
  out task text,
  out count bigint,
  out description text,
  out severity text,
  out oldest timestamptz,
  out advice text)
returns setof record
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_shown constant integer := 3;
  v_tick constant text := (select min(j.job_name) from maintenance_internal.job as j
    where j.statement = maintenance_internal.tick_statement());
  v_own constant text[] := array(select j.job_name from maintenance_internal.job as j
    where maintenance_internal.is_own(j.statement));
  v_late maintenance.job_status[] := array(
    select s from unnest(p_jobs) as s where s.late_since is not null
    order by s.job_name is distinct from v_tick, s.late_since, s.job_name);
begin
  return query
    select 'jobs_failing', count(*), 'Jobs whose last run did not succeed',
      case when count(*) filter (where ((f.s).waiting ~ '^attempt ') is not true) > 0 then 'warning'
        when count(*) > 0 then 'notice' else 'ok' end,
      min(f.at),
      nullif(concat_ws(' ',
        string_agg(format('%s: %s%s%s.', (f.s).job_name, f.status, ': ' || f.error,
          '; waits for ' || (f.s).waiting), ' ' order by f.n) filter (where f.n <= v_shown),
        'Mend it, then: ' || string_agg(maintenance_internal.run_advice(f.s), ' '
          order by f.n) filter (where f.n <= v_shown and (f.s).kind <> 'statement'
            and not maintenance_internal.is_paused()),
        'In full, as the owner: select distinct on (job_name) job_name, error_detail from '
          'maintenance.run_history where job_name in (' || string_agg(quote_literal(
          (f.s).job_name), ', ' order by f.n) filter (where f.n <= v_shown and f.error <> ''
          and f.status <> 'skipped') || ') and error <> '''' order by job_name, run_id desc;',
        case when count(*) > v_shown then format('And %s more: select job_name, last_error from '
          'maintenance.job_status where last_status in (''failed'', ''timeout'', ''cancelled'', '
          '''interrupted'', ''skipped'');', count(*) - v_shown) end), '')
    from (
      select s, e.status, e.error, e.at, row_number() over (order by e.at desc, s.job_name) as n
      from unnest(p_jobs) as s
      cross join lateral (
        select s.last_status as status, s.last_error as error, s.last_run_at as at
        where s.last_status <> 'running'
        union all
        -- While one runs the one before it counts.
        (select r.status, r.error, coalesce(r.started_at, r.finished_at)
        from maintenance_internal.job as j
        join maintenance_internal.run as r
          on r.job_id = j.job_id and (r.status not in ('waiting', 'skipped', 'running')
            or r.status = 'skipped' and r.error is not null)
        where s.last_status = 'running' and j.job_name = s.job_name
        order by coalesce(r.started_at, r.finished_at) desc
        limit 1)
      ) as e
      -- What the kit's own fail with is told by the row scheduler.
      where s.enabled and s.job_name <> all (v_own)
        and e.status in ('failed', 'timeout', 'cancelled', 'interrupted', 'skipped')
    ) as f;

  task := 'jobs_late';
  count := cardinality(v_late);
  description := 'Jobs that should have run by their schedule, and left no trace';
  severity := case when count = 0 then 'ok' when v_late[1].job_name = v_tick then 'critical'
    else 'warning' end;
  if count > 0 then
    select concat_ws(' ',
      string_agg(format('%s since %s: %s.%s', g.names, to_char(g.since, 'YYYY-MM-DD HH24:MI'),
        g.cause, ' ' || g.mend), ' ' order by g.n),
      case when count > v_shown then format('And %s more: select job_name, late_since from '
        'maintenance.job_status where late_since is not null;', count - v_shown) end)
    into advice
    from (
      select string_agg(l.job_name, ', ' order by l.n) as names, min(l.late_since) as since,
        l.cause, l.mend, min(l.n) as n
      from (
        select n, v_late[n].job_name, v_late[n].late_since, c.*
        from generate_series(1, least(count, v_shown)) as n
        -- Where the tick is late, that is why the others are.
        cross join lateral (
          select case when v_late[1].job_name = v_tick then 1 else n end as k) as k
        cross join lateral maintenance_internal.cron_silence(
          v_late[k.k].job_name, v_late[k.k].late_since) as c
      ) as l
      group by l.cause, l.mend
    ) as g;
    select min(v_late[n].late_since), concat_ws(' ', advice, 'To make up for it: ' || string_agg(
      maintenance_internal.run_advice(v_late[n]), ' ' order by n)
      filter (where n <= v_shown and v_late[n].job_name <> all (v_own)))
    into oldest, advice
    from generate_subscripts(v_late, 1) as n;
  end if;
  return next;
end
$$;
-- end of sql/engine/health/job_faults.sql

-- from sql/engine/health/backlog.sql b15ffe56d324933e
-- One row per backlog: what is due now under each rule, read with the rule itself, up to 10,000;
-- then what is to be said of all jobs, and of pg_cron.
-- Each count stands in a block of its own: a broken rule makes its own row critical and no other.
-- Locks are waited for a second in all.

create function maintenance_internal.backlog()
returns table (
  task text,
  count bigint,
  description text,
  severity text,
  oldest timestamptz,
  job_name text,
  schedule text,
  active boolean,
  last_run_at timestamptz,
  last_status text,
  next_run_at timestamptz,
  advice text)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
declare
  v_cap constant integer := 10000;
  v_path constant text := maintenance_internal.owner_path();
  v_zone constant text := (maintenance_internal.cron_state()).zone;
  v_pause constant text := maintenance_internal.pause_text();
  v_row record;
  v_job maintenance.job_status;
  v_jobs maintenance.job_status[];
  v_policy maintenance_internal.policy;
  v_age interval;
  v_message text;
  v_state text;
  v_context text;
begin
  if not exists (select from maintenance_internal.job) then
    task := 'registered_jobs';
    count := 0;
    severity := 'critical';
    description := 'The engine is installed, and no job is registered: nothing is maintained here';
    advice := 'As the owner: select * from maintenance.register();';
    return next;
    return;
  end if;
  begin
    v_jobs := array(select s from maintenance.job_status as s);
  exception when lock_not_available then
    task := 'scheduler';
    severity := 'critical';
    description := 'A table of the kit is locked: what is due, and how jobs ran, cannot be told';
    advice := maintenance_internal.lock_advice(null);
    return next;
    return;
  end;
  for v_row in
    select s, j.job_id, maintenance_internal.promised_at(j) as promised_at, j.backlog_name,
      j.backlog_function
    from unnest(v_jobs) as s
    join maintenance_internal.job as j on j.job_name = s.job_name
    where j.kind = 'policy' or j.backlog_function is not null
    -- The engine's own come after the application's.
    order by exists (select from maintenance_internal.policy as p
      where p.job_id = j.job_id and p.target ~ '^maintenance(_internal)?\.'), j.job_id
  loop
    v_job := v_row.s;
    task := coalesce(v_row.backlog_name, v_job.job_name);
    count := null;
    oldest := null;
    description := v_job.description;
    job_name := v_job.job_name;
    schedule := v_job.schedule;
    active := v_job.active;
    last_run_at := v_job.last_run_at;
    last_status := v_job.last_status;
    next_run_at := v_job.next_run_at;
    begin
      if v_job.kind = 'policy' then
        v_policy := maintenance_internal.find_policy(v_job.job_name);
        select c.due, c.oldest into backlog.count, backlog.oldest
        from maintenance_internal.count_due(
          v_policy, maintenance_internal.clock() - v_policy.keep, v_cap, v_path) as c;
        v_age := case when isfinite(oldest)
          then maintenance_internal.clock() - v_policy.keep - oldest end;
      else
        select c.due, c.oldest into backlog.count, backlog.oldest
        from maintenance_internal.call_backlog(v_row.backlog_function, v_cap, v_path) as c;
        v_age := case when isfinite(oldest) then maintenance_internal.clock() - oldest end;
      end if;
      if count >= v_cap then
        description := description || format('; at least %s', v_cap);
      end if;

      severity := 'warning';
      advice := null;
      if count = 0 then
        severity := 'ok';
      elsif v_job.running then
        severity := 'notice';
        advice := 'A run is going on.';
      elsif v_pause is not null then
        severity := 'notice';
        advice := format('All jobs are %s. select maintenance.resume();', v_pause);
      elsif not v_job.enabled then
        advice := format('Disabled. select maintenance.enable_job(%L);', job_name);
      elsif v_job.waiting is not null then
        severity := 'notice';
        advice := format('A run waits for %s.', v_job.waiting);
      elsif v_job.last_status in ('failed', 'timeout', 'cancelled', 'interrupted', 'skipped') then
        advice := case when v_job.last_status = 'failed'
          then format('The last run failed: %s. Mend it, then: ', v_job.last_error)
          when v_job.last_status = 'skipped'
            then format('The last run was given up: %s. ', v_job.last_error)
          else format('The last run was %s. ', v_job.last_status) || coalesce((
            select l.finding || ': ' || l.fix || ' Then: '
            from maintenance_internal.job as j, maintenance_internal.lint_session(j) as l
            where j.job_id = v_row.job_id limit 1), '') end
          || maintenance_internal.run_advice(v_job);
      elsif v_job.late_since is not null then
        advice := format('No run since %s, when one was due: see jobs_late. %s',
          to_char(v_job.late_since, 'YYYY-MM-DD HH24:MI'),
          maintenance_internal.run_advice(v_job));
      elsif v_job.scheduling = 'not installed yet' then
        advice := 'Not in pg_cron yet. select * from maintenance.install_schedules();';
      elsif v_job.scheduling in ('removed by an operator', 'inactive in pg_cron')
        or active and next_run_at is null then
        advice := format('Not fired: %s. %s', v_job.scheduling,
          maintenance_internal.schedule_advice(job_name, v_job.declared_schedule));
      elsif not active then
        advice := format('Not fired: %s. %s', v_job.scheduling,
          maintenance_internal.run_advice(v_job));
      elsif v_age > 2 * (maintenance_internal.nearest_slot(schedule, next_run_at, true, v_zone)
          - next_run_at)
        -- Rows fall due between two runs: late are those that two firings should have taken,
        -- since there was one.
        and maintenance_internal.nearest_slot(schedule, v_row.promised_at, true, v_zone)
          <= maintenance_internal.clock() then
        advice := format(case v_job.kind
            when 'policy' then 'Behind its schedule. select * from maintenance.preview(%L);'
            else 'Behind its schedule. select * from maintenance.run_history where job_name = %L '
              'order by run_id desc limit 5;' end, job_name);
      else
        severity := 'notice';
      end if;
    exception when others or assert_failure then
      get stacked diagnostics v_state = returned_sqlstate, v_message = message_text,
        v_context = pg_exception_context;
      severity := 'critical';
      description := format('%s: cannot be counted: %s', v_job.description,
        maintenance_internal.error_text(v_state, v_message, v_context));
      advice := format('select * from maintenance.lint(%L);', job_name);
      if v_state = '55P03' then
        perform set_config('lock_timeout', '20ms', true); -- the second is over
        advice := maintenance_internal.lock_advice(
          case when v_job.kind = 'policy' then v_policy.target end);
      end if;
    end;
    return next;
  end loop;

  job_name := null;
  schedule := null;
  active := null;
  last_run_at := null;
  last_status := null;
  next_run_at := null;
  begin
    for task, count, description, severity, oldest, advice in
      select f.task, f.count, f.description, f.severity, f.oldest, f.advice
      from maintenance_internal.job_faults(v_jobs) as f
    loop
      return next;
    end loop;
    task := 'scheduler';
    oldest := null;
    description := 'What keeps the jobs of this database from being started';
    select count(*), coalesce((array['notice', 'warning', 'critical'])[max(
        array_position(array['notice', 'warning', 'critical'], f.severity))], 'ok'),
      string_agg(concat_ws('. ', f.fault, f.mend), ' '
        order by array_position(array['critical', 'warning', 'notice'], f.severity), f.fault)
    into backlog.count, backlog.severity, backlog.advice
    from maintenance_internal.scheduler_faults(v_jobs) as f;
  exception when others or assert_failure then
    get stacked diagnostics v_state = returned_sqlstate, v_message = message_text,
      v_context = pg_exception_context;
    task := 'scheduler';
    count := null;
    severity := 'critical';
    description := 'What is to be said of all jobs, and of pg_cron, cannot be found out: '
      || maintenance_internal.error_text(v_state, v_message, v_context);
    advice := 'select * from maintenance.job_status;';
  end;
  return next;
end
$$;

-- Who holds a lock that keeps a rule from being counted: on its table; or else on any, since it
-- may look into others.
create function maintenance_internal.lock_advice(p_target text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select coalesce(
    string_agg(distinct format('%s is locked by process %s: select state, state_change, query '
      'from pg_stat_activity where pid = %2$s;', l.relation::regclass, l.pid), ' '),
    'Its table was locked by somebody else: look again.')
  from (
    select k.relation, k.pid, k.is_target, bool_or(k.is_target) over () as any_target
    from (
      select o.relation, o.pid, o.relation = to_regclass(p_target)::oid
        or o.relation = any (maintenance_internal.leaf_tables(to_regclass(p_target))) as is_target
      from pg_locks as o
      join pg_class as c on c.oid = o.relation and c.relkind in ('r', 'p', 'm')
      where o.locktype = 'relation' and o.mode = 'AccessExclusiveLock' and o.granted
        and o.pid <> pg_backend_pid() and c.relnamespace <> 'pg_catalog'::regnamespace
        and o.database = (select d.oid from pg_database as d where d.datname = current_database())
    ) as k
  ) as l
  where l.is_target or l.any_target is not true;
end;
-- end of sql/engine/health/backlog.sql

-- from sql/engine/health/alert.sql 9bf963d8049f45d8
-- The alerts: one row per cause, opened once and closed when the cause has been away for a while.
-- The row of maintenance_status about them is here, too.

create table maintenance.alert (
  alert_id bigint generated always as identity,
  cause text not null,
  subject text not null default '',
  severity text not null,
  description text not null,
  advice text,
  opened_at timestamptz not null,
  seen_at timestamptz not null,
  gone_at timestamptz,
  closed_at timestamptz,
  told text,
  silenced_until timestamptz,
  silenced_by text,
  constraint alert_pkey primary key (alert_id),
  constraint alert_severity_is_known check (severity in ('warning', 'critical')),
  constraint alert_is_gone_before_it_is_closed check (closed_at is null or gone_at is not null)
) with (fillfactor = 70);

create unique index alert_open_is_unique on maintenance.alert (cause, subject)
where closed_at is null;
create index alert_cause_idx on maintenance.alert (cause, subject, alert_id);
create index alert_closed_at_idx on maintenance.alert (closed_at) where closed_at is not null;

comment on table maintenance.alert is
  'What somebody should be called for, one row per cause and time (S1-20, S2-29, S4-17, S4-22). '
  'The job alert_monitor opens and closes them, and tells it by NOTIFY maintenance_alert: '
  '{"alert_id", "event": "opened", "raised" (from warning to critical) or "closed", "cause", '
  '"severity"}; anybody who may connect can listen, so the words are here alone.';
comment on column maintenance.alert.cause is
  'scheduler, jobs_late, job_failing, job_slow, backlog_growing, tasks_due, tasks_leased, '
  'tasks_quarantined, tasks_dead, subjects_to_erase, blobs_due, blobs_dead, model, health or setup';
comment on column maintenance.alert.subject is
  'which job, model or check; empty where the cause says all';
comment on column maintenance.alert.severity is 'warning or critical, as it was when last seen';
comment on column maintenance.alert.description is 'what is wrong';
comment on column maintenance.alert.advice is 'what to do about it, with the statement to paste';
comment on column maintenance.alert.seen_at is 'when the cause was last there';
comment on column maintenance.alert.gone_at is
  'since when the cause is away; null while it is there';
comment on column maintenance.alert.closed_at is
  'when the alert was closed, the cause having been away for the setting alert_quiet_minutes; null '
  'while it is open';
comment on column maintenance.alert.told is
  'the worst severity that was told by NOTIFY; null: nobody was called for it';
comment on column maintenance.alert.silenced_until is
  'nobody is called about this cause before (silence_alert), nor does the status count it';

create function maintenance.silence_alert(alert_id bigint, until timestamptz)
returns maintenance.alert
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  v_alert maintenance.alert;
begin
  if silence_alert.until < maintenance_internal.clock() then
    raise exception '% is over', silence_alert.until
      using errcode = 'PM002', hint = 'A time to come, as now() + interval ''2 hours'', or null: '
        'it is silent no more.';
  end if;
  update maintenance.alert as a
  set silenced_until = silence_alert.until,
    silenced_by = case when silence_alert.until is not null then session_user end
  where a.alert_id = silence_alert.alert_id and a.closed_at is null
  returning a.* into v_alert;
  if not found then
    raise exception 'there is no open alert %', coalesce(silence_alert.alert_id::text, 'null')
      using errcode = 'PM002', hint = 'select alert_id, cause, subject, description from '
        'maintenance.alert where closed_at is null;';
  end if;
  return v_alert;
end
$$;

comment on function maintenance.silence_alert(bigint, timestamptz) is
  'Has nobody called about an open alert until a time; also when it is closed and its cause comes '
  'back before. until null: it is silent no more. Errors: PM002 no open alert of that number, or '
  'a time that is over.';

create function maintenance_internal.alert_backlog()
returns table (
  task text,
  count bigint,
  description text,
  severity text,
  oldest timestamptz,
  advice text)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
#variable_conflict use_column
begin
  return query
    select 'open_alerts', count(*), 'Alerts whose cause is there, and that nobody has silenced',
      case when bool_or(a.severity = 'critical') then 'critical' when count(*) > 0 then 'warning'
        else 'ok' end,
      min(a.opened_at),
      -- What other rows say in full is named alone.
      string_agg(concat_ws(' ', concat_ws(' of ', a.cause, nullif(a.subject, '')) || case
          when a.cause in ('job_slow', 'backlog_growing', 'health', 'setup', 'model')
            then concat(': ', a.description, '.', ' ' || a.advice) else '.' end), ' '
        order by a.severity, a.alert_id) filter (where a.n <= 3)
      || ' select * from maintenance.alert where closed_at is null;'
    from (
      select o.*, row_number() over (order by o.severity, o.alert_id) as n
      from maintenance.alert as o
      where o.closed_at is null and o.gone_at is null
        and (o.silenced_until > maintenance_internal.clock()) is not true
    ) as a;
exception when lock_not_available then
  return query
    select 'open_alerts', null::bigint, 'Open alerts: cannot be counted', 'critical',
      null::timestamptz, maintenance_internal.lock_advice('maintenance.alert');
end
$$;
-- end of sql/engine/health/alert.sql

-- from sql/engine/health/weekly_report.sql 45f3167b24274533
-- The weekly look (S2-41): what each job did in seven days, whom it called, and who changed it.

create view maintenance.weekly_report as
select s.job_name, s.runs, s.succeeded, s.failed, s.success_rate, s.rows_affected, s.average_ms,
  s.grade,
  (
    select count(*) from maintenance.alert as a
    where a.subject = s.job_name
      and a.opened_at > maintenance_internal.clock() - interval '7 days'
  ) as alerts,
  (
    select count(*) from maintenance.edit as e
    where e.job_name = s.job_name
      and e.changed_at > maintenance_internal.clock() - interval '7 days'
  ) as edits
from maintenance.job_statistics('7 days') as s;

comment on view maintenance.weekly_report is
  'One row per job, but for the kit''s own that leave one receipt (tick, run_late, alert_monitor): '
  'how its runs of the last seven days went, the worst first (S2-41).';
comment on column maintenance.weekly_report.job_name is 'the job';
comment on column maintenance.weekly_report.runs is 'runs that ended, as in run_history';
comment on column maintenance.weekly_report.succeeded is 'those that succeeded';
comment on column maintenance.weekly_report.failed is
  'those that failed, timed out or were interrupted';
comment on column maintenance.weekly_report.success_rate is 'the share that succeeded, in percent';
comment on column maintenance.weekly_report.rows_affected is 'rows that they handled';
comment on column maintenance.weekly_report.average_ms is 'how long they took on average, in ms';
comment on column maintenance.weekly_report.grade is 'as in maintenance.job_statistics';
comment on column maintenance.weekly_report.alerts is 'alerts that it opened';
comment on column maintenance.weekly_report.edits is 'how often somebody changed it';
-- end of sql/engine/health/weekly_report.sql

-- from sql/engine/health/maintenance_status.sql 5a2f4f1d6d1716d5
-- The front door: what is still to be done, and whether anybody is on it.

create view public.maintenance_status as
select
  b.task,
  b.count,
  b.severity,
  b.oldest,
  b.next_run_at,
  b.advice,
  b.job_name,
  b.schedule,
  b.active,
  b.last_run_at,
  b.last_status,
  b.description
from maintenance_internal.backlog() as b
union all
select t.task, t.count, t.severity, t.oldest, null, t.advice, null, null, null, null, null,
  t.description
from maintenance_internal.task_backlog() as t
union all
select b.task, b.count, b.severity, b.oldest, null, b.advice, null, null, null, null, null,
  b.description
from maintenance_internal.blob_backlog() as b
union all
select a.task, a.count, a.severity, a.oldest, null, a.advice, null, null, null, null, null,
  a.description
from maintenance_internal.alert_backlog() as a;

comment on view public.maintenance_status is
  'One row per backlog: what is due, and the job that takes it; then jobs_failing, jobs_late and '
  'scheduler, about all jobs; then the tasks that are due, with a worker, that wait for a '
  'decision, and that are dead; then the models that they are asked of; then, where a table names '
  'blobs, those that are to be deleted from the store; last, the open alerts.';
comment on column public.maintenance_status.task is
  'the name of the backlog; the job''s own name where it has no other';
comment on column public.maintenance_status.count is
  'rows due now, by the job''s own rule; counted up to 10,000, then the description says at '
  'least. Jobs whose last run did not succeed; jobs that should have run by their schedule and '
  'left no trace; what keeps pg_cron from firing; tasks; models';
comment on column public.maintenance_status.severity is
  'ok: nothing is due. notice: a job will take it. warning: the job is behind, failed, disabled '
  'or not fired, or late; tasks wait for an hour, for a budget or for a decision, or are dead; a '
  'model is not asked now. critical: the rule is broken or its table locked; pg_cron fires '
  'nothing any more; no model can be asked';
comment on column public.maintenance_status.oldest is
  'the time of the oldest row that is due; since when the first job is late or failing';
comment on column public.maintenance_status.next_run_at is 'when pg_cron starts the job next';
comment on column public.maintenance_status.advice is
  'what to do about it, with the statement to paste; null where there is nothing to do';
comment on column public.maintenance_status.job_name is
  'the job that takes it; null for the rows about all jobs, tasks and models';
comment on column public.maintenance_status.schedule is 'the job''s schedule in force';
comment on column public.maintenance_status.active is 'pg_cron will start the job';
comment on column public.maintenance_status.last_run_at is 'when the job''s last run began';
comment on column public.maintenance_status.last_status is 'how that run ended';
comment on column public.maintenance_status.description is 'what the backlog is, in words';
-- end of sql/engine/health/maintenance_status.sql

-- from sql/engine/health/todo.sql 40b15ba5f607c7d5
-- What somebody should act on, and nothing else.

-- Lines of at most so many characters, broken at blanks and behind brackets; never inside of a
-- literal, which is longer then.
create function maintenance_internal.wrap_text(p_text text, p_width integer)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_piece text[];
  v_line text := '';
  v_text text;
begin
  for v_piece in
    select regexp_matches(p_text,
      '((?:(?<=[\s(,=])''[^'']*''|[^\s(]){1,200}?(?:\(|(?=\s|$))|\()(\s*)', 'g')
  loop
    if v_line <> '' and length(v_line) + length(v_piece[1]) > p_width then
      v_text := concat_ws(e'\n', v_text, rtrim(v_line));
      v_line := '';
    end if;
    v_line := v_line || v_piece[1] || v_piece[2];
  end loop;
  return concat_ws(e'\n', v_text, nullif(rtrim(v_line), ''));
end
$$;

create view maintenance.todo as
select
  s.task,
  s.count,
  maintenance_internal.wrap_text(coalesce(s.advice, s.description), (greatest(30,
    72 - max(length(s.task)) over () - greatest(max(length(s.count::text)) over (), 5)))::integer)
    as advice
from public.maintenance_status as s
where s.severity in ('warning', 'critical')
order by s.severity, s.task;

comment on view maintenance.todo is
  'What somebody should act on, the critical first, in 80 columns where names are not too long; no '
  'row is good news. To paste an advice, take it from maintenance_status, or make status, which '
  'do not break its lines.';
comment on column maintenance.todo.task is 'as in maintenance_status';
comment on column maintenance.todo.count is 'rows, tasks or jobs that it is about';
comment on column maintenance.todo.advice is 'what to do, with the statement';
-- end of sql/engine/health/todo.sql

-- from sql/engine/health/index_health.sql 5d77386bd705b7c1
-- Every index of the application: its size and whether anything reads it.

create view maintenance.index_health as
select
  s.schemaname as schema_name,
  s.relname as table_name,
  s.indexrelname as index_name,
  c.relpages::bigint * current_setting('block_size')::bigint as bytes,
  s.idx_scan,
  i.indisunique as is_unique,
  i.indisvalid as is_valid,
  -- A unique index earns its keep without being read; one that is built on fresh statistics
  -- has had no time to be.
  s.idx_scan = 0
    and not i.indisunique
    and coalesce(d.stats_reset, pg_postmaster_start_time())
      < maintenance_internal.clock() - interval '7 days'
    as is_unused
from pg_stat_user_indexes as s
join pg_index as i on i.indexrelid = s.indexrelid
join pg_class as c on c.oid = s.indexrelid
cross join (
  select d.stats_reset from pg_stat_database as d where d.datname = current_database()
) as d
where s.schemaname not in ('maintenance', 'maintenance_internal', 'cron');

comment on view maintenance.index_health is 'One row per index outside the engine.';
comment on column maintenance.index_health.schema_name is 'of the table and the index';
comment on column maintenance.index_health.table_name is 'the table';
comment on column maintenance.index_health.index_name is 'the index';
comment on column maintenance.index_health.bytes is
  'its size as of the last VACUUM or ANALYZE, so that no lock is waited for';
comment on column maintenance.index_health.idx_scan is
  'how often it was read since statistics began';
comment on column maintenance.index_health.is_unique is 'it guards a unique key';
comment on column maintenance.index_health.is_valid is
  'false after a CREATE INDEX CONCURRENTLY that failed: to be dropped or rebuilt';
comment on column maintenance.index_health.is_unused is
  'never read since statistics began, at least seven days ago, and not unique';
-- end of sql/engine/health/index_health.sql

-- from sql/engine/health/table_bloat.sql 06f8d0d6080adfe0
-- Every table of the application: how much of it is dead, by the statistics of autovacuum, and how
-- much of its file is air, by the known estimate: the pages that its rows would take by their
-- average width, against the pages that it has.

-- Pages that each table's rows would fill. What a viewer may read decides what pg_stats shows, so
-- the owner looks. Null where a column has no statistics yet.
create function maintenance_internal.full_pages()
returns table (relid oid, pages bigint)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
begin atomic
  select c.oid,
    case when count(s.attname) = count(*) and c.reltuples >= 0 then
      ceil(c.reltuples / greatest(1, floor( -- rows of a page: none is on two
        (current_setting('block_size')::integer - 24) * coalesce((
          select o.option_value::numeric from pg_options_to_table(c.reloptions) as o
          where o.option_name = 'fillfactor'), 100) / 100
        / (4 -- the line pointer
          -- The row's head, with a bit a column where one is ever null; both in steps of eight.
          + 8 * ceil((23 + case when max(s.null_frac) > 0 then (max(a.attnum) + 7) / 8 else 0 end)
            / 8.0)
          + 8 * ceil(sum((1 - s.null_frac) * s.avg_width) / 8))::numeric)))::bigint end
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  left join pg_stats as s
    on s.schemaname = n.nspname and s.tablename = c.relname and s.attname = a.attname
    and not s.inherited
  where c.relkind in ('r', 'm')
    and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
  group by c.oid, c.reltuples, c.reloptions;
end;

-- The same, read from the pages themselves, in percent; null without the extension pgstattuple, or
-- where it may not be used.
create function maintenance_internal.measured_bloat(p_schema text, p_table text)
returns numeric
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
declare
  v_schema text := (
    select n.nspname from pg_extension as e join pg_namespace as n on n.oid = e.extnamespace
    where e.extname = 'pgstattuple');
  v_percent numeric;
begin
  if v_schema is not null then
    execute format('select a.approx_free_percent + a.dead_tuple_percent '
      'from %I.pgstattuple_approx($1) as a', v_schema)
    into v_percent using to_regclass(format('%I.%I', p_schema, p_table));
  end if;
  return round(v_percent, 1);
exception when insufficient_privilege or lock_not_available or wrong_object_type
  or feature_not_supported then
  return null;
end
$$;

create view maintenance.table_bloat as
select
  s.schemaname as schema_name,
  s.relname as table_name,
  s.n_live_tup as live_rows,
  s.n_dead_tup as dead_rows,
  round(100.0 * s.n_dead_tup / nullif(s.n_live_tup + s.n_dead_tup, 0), 1) as dead_percent,
  -- More than a fifth is dead, in a table that is worth the look.
  s.n_dead_tup > 1000 and s.n_dead_tup > 0.2 * (s.n_live_tup + s.n_dead_tup) as is_bloated,
  greatest(c.relpages, 0)::bigint * b.size as bytes, -- that of a partitioned one is -1
  case when f.pages is not null then greatest(c.relpages - f.pages, 0) * b.size end as air_bytes,
  case when f.pages is not null then
    round(100.0 * greatest(c.relpages - f.pages, 0) / nullif(c.relpages, 0), 1) end as air_percent,
  greatest(s.last_vacuum, s.last_autovacuum) as last_vacuum,
  greatest(s.last_analyze, s.last_autoanalyze) as last_analyze
from pg_stat_user_tables as s
join pg_class as c on c.oid = s.relid
left join maintenance_internal.full_pages() as f on f.relid = s.relid
cross join (select current_setting('block_size')::bigint as size) as b
where s.schemaname not in ('maintenance', 'maintenance_internal', 'cron');

comment on view maintenance.table_bloat is
  'One row per table outside the engine: how much of it is dead, by the statistics of autovacuum, '
  'and how much of its file is empty, by an estimate.';
comment on column maintenance.table_bloat.schema_name is 'the table''s schema';
comment on column maintenance.table_bloat.table_name is 'the table';
comment on column maintenance.table_bloat.live_rows is 'an estimate';
comment on column maintenance.table_bloat.dead_rows is 'an estimate';
comment on column maintenance.table_bloat.dead_percent is 'dead rows of all, in percent';
comment on column maintenance.table_bloat.is_bloated is
  'more than 1,000 dead rows, and more than a fifth of all';
comment on column maintenance.table_bloat.bytes is
  'of the table without its indexes, as of the last VACUUM or ANALYZE';
comment on column maintenance.table_bloat.air_bytes is
  'what its file could be smaller by, by the average width of its rows, as of the last ANALYZE; '
  'null before the first. The receipt of weekly_index_report has it measured where the extension '
  'pgstattuple is there';
comment on column maintenance.table_bloat.air_percent is 'the same, of its bytes, in percent';
comment on column maintenance.table_bloat.last_vacuum is 'by hand or by autovacuum';
comment on column maintenance.table_bloat.last_analyze is 'by hand or by autovacuum';
-- end of sql/engine/health/table_bloat.sql

-- from sql/engine/health/index_report_step.sql 4ec7f9fd10fccddb
-- A report on indexes and bloat, left on the receipt of the job whose step this is.

create function maintenance.index_report_step(batch_size integer)
returns bigint
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  select maintenance.add_details(jsonb_build_object(
    'indexes', (select count(*) from maintenance.index_health),
    'bytes', (select coalesce(sum(h.bytes), 0) from maintenance.index_health as h),
    'unused', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'index', format('%I.%I', h.schema_name, h.index_name), 'bytes', h.bytes)
        order by h.bytes desc), '[]')
      from maintenance.index_health as h where h.is_unused),
    'invalid', (
      select coalesce(jsonb_agg(format('%I.%I', h.schema_name, h.index_name)), '[]')
      from maintenance.index_health as h where not h.is_valid),
    'bloated', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'table', format('%I.%I', b.schema_name, b.table_name), 'deadPercent', b.dead_percent)
        order by b.dead_rows desc), '[]')
      from maintenance.table_bloat as b where b.is_bloated),
    -- Of the ten with most: reading them takes a while.
    'air', (
      select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
        'table', format('%I.%I', a.schema_name, a.table_name), 'bytes', a.air_bytes,
        'percent', a.air_percent,
        'measuredPercent', maintenance_internal.measured_bloat(a.schema_name, a.table_name)))
        order by a.air_bytes desc), '[]')
      from (
        select b.* from maintenance.table_bloat as b
        where b.air_bytes > 10000000 and b.air_percent > 20
        order by b.air_bytes desc
        limit 10
      ) as a)));
  select 0::bigint;
end;

comment on function maintenance.index_report_step(integer) is
  'A step for set_job: leaves unused and invalid indexes, tables with many dead rows, and those '
  'whose files are more than a fifth empty (by estimate, and measured where pgstattuple is '
  'there), on the receipt, in details (S4-05 to S4-07).';
-- end of sql/engine/health/index_report_step.sql

-- from sql/engine/health/vacuum_holders.sql 004f5f5e3f31b0e7
-- Who holds VACUUM back: dead rows stay as long as somebody could still see them. What holds them
-- is a transaction of a session, a prepared one, a replication slot, or a standby that tells what
-- its queries see. The age is told to everybody, since when only to who may read pg_stat_activity.

create function maintenance_internal.vacuum_holders()
returns table (
  kind text,
  name text,
  since timestamptz,
  xmin_age bigint,
  detail text,
  fix text)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
begin atomic
  select case when w.pid is null then 'session' else 'standby' end,
    case when w.pid is null then a.pid::text
      else coalesce(nullif(w.application_name, ''), a.pid::text) end,
    a.xact_start,
    greatest(age(a.backend_xmin), age(a.backend_xid))::bigint,
    case when w.pid is null then format('process %s of %s%s', a.pid, coalesce(a.usename, '?'),
        ', ' || a.state || coalesce(to_char(a.state_change, '" since" YYYY-MM-DD HH24:MI'), ''))
      else format('the standby %s, with hot_standby_feedback', w.application_name) end,
    case when w.pid is null then format('select pg_terminate_backend(%s);', a.pid)
      else '-- on the standby, end its longest query: select pid, xact_start, query from '
        'pg_stat_activity where xact_start is not null order by xact_start limit 1;' end
  from pg_stat_activity as a
  left join pg_stat_replication as w on w.pid = a.pid
  where (a.backend_xmin is not null or a.backend_xid is not null)
    and a.pid <> pg_backend_pid()
    and (a.datname = current_database() or w.pid is not null)
    -- VACUUM holds no VACUUM back, unless it writes the table anew; autovacuum has no user.
    and a.usesysid is not null
    and (a.state = 'active' and a.query ~* '^\s*vacuum\M' and a.query !~* '\mfull\M') is not true
  union all
  select 'prepared transaction', p.gid, p.prepared, age(p.transaction)::bigint,
    format('prepared by %s', p.owner), format('rollback prepared %L;', p.gid)
  from pg_prepared_xacts as p
  where p.database = current_database()
  union all
  select 'replication slot', s.slot_name, null, greatest(age(s.xmin), age(s.catalog_xmin))::bigint,
    format('a %s slot, %s', s.slot_type,
      case when s.active then 'read by process ' || s.active_pid else 'which nobody reads' end),
    case when s.active then format('select pg_terminate_backend(%s); ', s.active_pid) else '' end
      || format('select pg_drop_replication_slot(%L);', s.slot_name)
  from pg_replication_slots as s
  where (s.xmin is not null or s.catalog_xmin is not null)
    and (s.database is null or s.database = current_database());
end;

create view maintenance.vacuum_holders as
select h.kind, h.name, h.since, h.xmin_age, d.dead_rows, h.detail, h.fix
from maintenance_internal.vacuum_holders() as h
cross join (
  select coalesce(sum(t.n_dead_tup), 0)::bigint as dead_rows from pg_stat_user_tables as t
) as d
order by h.xmin_age desc;

comment on view maintenance.vacuum_holders is
  'Who keeps VACUUM from removing dead rows now, the oldest first: why a table does not shrink.';
comment on column maintenance.vacuum_holders.kind is
  'session, prepared transaction, replication slot or standby';
comment on column maintenance.vacuum_holders.name is 'the process, the name of the transaction, '
  'slot or standby';
comment on column maintenance.vacuum_holders.since is
  'since when its transaction is open; null of a slot, and of sessions of other roles where the '
  'engine''s owner is no member of pg_read_all_stats';
comment on column maintenance.vacuum_holders.xmin_age is
  'how many transactions have begun since: rows that died in these stay';
comment on column maintenance.vacuum_holders.dead_rows is
  'dead rows in all tables of this database: so many, at most, are kept';
comment on column maintenance.vacuum_holders.detail is 'who that is, in words';
comment on column maintenance.vacuum_holders.fix is 'the statement that ends it';
-- end of sql/engine/health/vacuum_holders.sql

-- from sql/engine/health/disk_use.sql 1700f48839c49477
-- In bytes: what the databases of this server take, as far as one may ask, and what its disk holds.
create function maintenance_internal.disk_use(out used numeric, out capacity numeric)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select sum(pg_database_size(d.oid)),
    nullif(maintenance_internal.setting('disk_capacity_gb') * 1073741824, 0)
  from pg_database as d where has_database_privilege(d.oid, 'connect');
end;
-- end of sql/engine/health/disk_use.sql

-- from sql/engine/health/health_checks.sql 1ec2474ff7bbfdb7
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
-- end of sql/engine/health/health_checks.sql

-- from sql/engine/health/system_health.sql 23f432ba6b50b848
-- How it is in one word, with what it is made of (S2-24, C-21): one rule for what the original
-- asked in two ways.

create function maintenance.system_health()
returns jsonb
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_jobs constant maintenance.job_status[] := array(select s from maintenance.job_status as s);
  v_job record;
  v_checks record;
  v_faults record;
  v_bloat record;
begin
  select count(*) filter (where s.enabled) as total,
    count(*) filter (where s.running) as running,
    count(*) filter (where s.last_status = 'succeeded') as completed,
    count(*) filter (where s.enabled and s.last_status in
      ('failed', 'timeout', 'cancelled', 'interrupted', 'skipped')) as failed,
    count(*) filter (where not s.enabled) as disabled,
    string_agg(s.job_name, ', ' order by s.job_name) filter (where s.enabled and s.last_status in
      ('failed', 'timeout', 'cancelled', 'interrupted', 'skipped')) as names
  into v_job from unnest(v_jobs) as s;
  select coalesce(jsonb_object_agg(h.check_name, jsonb_strip_nulls(jsonb_build_object('status',
      h.status, 'value', h.value, 'unit', h.unit, 'detail', h.detail))), '{}') as details,
    bool_or(h.status = 'critical') as critical, bool_or(h.status = 'warning') as warning,
    array_agg(concat_ws(': ', h.detail, h.fix) order by h.status, h.check_name)
      filter (where h.status <> 'ok' and h.fix is not null) as told
  into v_checks from maintenance_internal.health_checks() as h;
  select coalesce(bool_or(f.severity = 'critical'), false) as critical,
    coalesce(bool_or(f.severity = 'warning'), false) as warning,
    array_agg(concat_ws('. ', f.fault, f.mend) order by f.severity, f.fault)
      filter (where f.severity <> 'notice') as told
  into v_faults from maintenance_internal.scheduler_faults(v_jobs) as f;
  select count(*) as tables, string_agg(format('%I.%I', b.schema_name, b.table_name), ', '
    order by b.dead_rows desc) as names
  into v_bloat from maintenance.table_bloat as b where b.is_bloated;

  return jsonb_build_object(
    'overall', case
      when v_checks.critical or v_faults.critical or 5 * v_job.failed > v_job.total
        then 'unhealthy'
      when v_checks.warning or v_faults.warning or v_job.failed > 0 then 'degraded'
      else 'healthy'
    end,
    'details', jsonb_build_object(
      'jobs', jsonb_build_object('total', v_job.total, 'running', v_job.running,
        'completed', v_job.completed, 'failed', v_job.failed, 'disabled', v_job.disabled),
      'checks', v_checks.details,
      'scheduler', case when v_faults.critical then 'critical' when v_faults.warning then 'warning'
        else 'ok' end,
      'openAlerts', (select a.count from maintenance_internal.alert_backlog() as a),
      'bloatedTables', v_bloat.tables,
      'databaseBytes', pg_database_size(current_database()),
      'uptime', trunc(extract(epoch from now() - pg_postmaster_start_time())),
      'workers', (
        select count(*) from maintenance.worker as w
        where w.seen_at > maintenance_internal.clock() - interval '5 minutes'),
      'timestamp', to_char(maintenance_internal.clock() at time zone 'UTC',
        'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')),
    'recommendations', to_jsonb(
      coalesce(v_faults.told, '{}') || coalesce(v_checks.told, '{}')
      || case when v_job.failed > 0 then array[format('Jobs whose last run did not succeed: %s. '
        'select * from maintenance.todo;', v_job.names)] else '{}' end
      || case when v_bloat.tables > 0 then array[format('More than a fifth is dead in %s: select * '
        'from maintenance.vacuum_holders; then vacuum (analyze)', v_bloat.names)] else '{}' end
      || case when now() - pg_postmaster_start_time() < interval '1 hour'
        then array['The server was started within the last hour: what was due meanwhile is caught '
          'up with.'] else '{}' end));
end
$$;

comment on function maintenance.system_health() is
  'How it is (S2-24, S2-29, C-21): {overall, details, recommendations}. unhealthy where something '
  'measured is critical, pg_cron fires nothing, or more than 20 % of the jobs that are enabled '
  'did not succeed the last time; degraded where something measured is a warning, or one job did '
  'not; else healthy. details has jobs (total, running, completed, failed, disabled), checks '
  '(connections, disk, transaction_ids, vacuum, worker_memory, models, each with its status, '
  'unknown where it cannot be seen, and value), openAlerts, bloatedTables, databaseBytes, uptime '
  'in seconds, workers.';
-- end of sql/engine/health/system_health.sql

-- from sql/engine/health/alert_causes.sql c6ebcee5f1733dd4
-- What somebody should be called for now, one row per cause. Nothing is counted under the rules
-- here: whether a backlog grows is read from receipts, so that a look a minute costs milliseconds,
-- however large the tables are. Where one cause has many effects, it is named alone: a scheduler
-- that is silent makes every job late.

create function maintenance_internal.alert_causes()
returns table (cause text, subject text, severity text, description text, advice text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_jobs constant maintenance.job_status[] := array(select s from maintenance.job_status as s);
  v_failures constant integer := case
    when maintenance_internal.setting('alert_failures') <= 1000
      then maintenance_internal.setting('alert_failures') end; -- greatest passes over a null
  v_rows constant bigint := maintenance_internal.setting('backlog_warning_rows');
  v_warning constant numeric := maintenance_internal.setting('run_warning_seconds');
  v_critical constant numeric := maintenance_internal.setting('run_critical_seconds');
  v_model record;
  v_silent boolean := false;
  v_unasked boolean := false;
begin
  for severity, description, advice in
    select case when bool_or(f.severity = 'critical') then 'critical' else 'warning' end,
      string_agg(f.fault, '; ' order by f.severity, f.fault),
      string_agg(f.mend, ' ' order by f.severity, f.fault)
    from maintenance_internal.scheduler_faults(v_jobs) as f
    where f.severity in ('warning', 'critical')
    having count(*) > 0
  loop
    cause := 'scheduler';
    subject := '';
    v_silent := severity = 'critical';
    return next;
  end loop;

  -- One that goes on for too long is slow, and not late.
  return query
    select f.task, '', f.severity, format('%s: %s', f.description, f.count), f.advice
    from maintenance_internal.job_faults(
      array(select s from unnest(v_jobs) as s where not coalesce(s.running, false))) as f
    where f.task = 'jobs_late' and f.severity in ('warning', 'critical') and not v_silent;

  return query
    with job as materialized (
      select j.*, s as status from maintenance_internal.job as j
      join unnest(v_jobs) as s on s.job_name = j.job_name
      where not maintenance_internal.is_own(j.statement)
    ),
    failing as materialized (
      select j.job_name, j.status,
        count(*) filter (where r.failed) as failures,
        count(*) filter (where not r.failed) as others,
        (array_agg(r.error order by r.n))[1] as error,
        -- What no retry cures: a full disk, a broken file, a bug of the server, a session that died
        -- while the server went on.
        bool_or(r.n = 1 and r.failed
          and (r.status = 'interrupted' and r.at > pg_postmaster_start_time()
            or r.sqlstate ~ '^(53[12]|58|F0|XX)')) as fatal
      from job as j
      cross join lateral (
        select e.status, e.error, e.sqlstate, e.at, e.status <> 'succeeded' as failed,
          row_number() over (order by e.at desc) as n
        from (
          select l.status, l.error, l.sqlstate, coalesce(l.started_at, l.finished_at) as at
          from maintenance_internal.run as l
          where l.job_id = j.job_id and (l.status not in ('waiting', 'skipped')
              or l.status = 'skipped' and l.error is not null)
            and l.status not in ('running', 'cancelled')
          order by coalesce(l.started_at, l.finished_at) desc
          limit greatest(v_failures, 1)
        ) as e
      ) as r
      where j.enabled
      group by j.job_name, j.status
      having bool_or(r.n = 1 and r.failed)
    )
    select 'job_failing', f.job_name, case when f.fatal then 'critical' else 'warning' end,
      concat(case when f.fatal then 'its run broke off'
        else format('%s failures in a row', f.failures) end, ': ' || f.error),
      maintenance_internal.run_advice(f.status)
    from failing as f
    where f.fatal or f.others = 0 and f.failures >= v_failures
    union all
    select 'job_slow', l.job_name, maintenance_internal.judge(l.seconds, v_warning, v_critical),
      format('its run of %s %s', to_char(l.started_at, 'YYYY-MM-DD HH24:MI'),
        case when l.is_over then format('took %s s', trunc(l.seconds))
          else format('goes on, since %s s', trunc(l.seconds)) end),
      format('select * from maintenance.run_history where job_name = %L order by run_id desc limit '
        '5;', l.job_name)
    from (
      select j.job_name, r.started_at, r.finished_at is not null as is_over,
        extract(epoch from coalesce(r.finished_at, maintenance_internal.clock()) - r.started_at)
          as seconds
      from job as j
      cross join lateral (
        select o.* from maintenance_internal.run as o
        where o.job_id = j.job_id and (o.status not in ('waiting', 'skipped')
          or o.status = 'skipped' and o.error is not null) -- by the index of the last run
        order by coalesce(o.started_at, o.finished_at) desc
        limit 1
      ) as r
      -- A VACUUM takes as long as it does; and what is a day old is no news.
      where j.enabled and j.kind <> 'statement' and (r.status <> 'running' or (j.status).running)
        and (r.finished_at < maintenance_internal.clock() - interval '1 day') is not true
        and not exists (
          select from failing as f
          where f.job_name = j.job_name
            and (f.fatal or f.others = 0 and f.failures >= v_failures))
    ) as l
    where maintenance_internal.judge(l.seconds, v_warning, v_critical) in ('warning', 'critical')
    union all
    select 'backlog_growing', b.job_name, 'warning',
      format('%s rows are left by its last run, %s by the one before, %s before that: it grows '
        'faster than it is worked off; a schedule that fires more often would mend that',
        b.lefts[1], b.lefts[2], b.lefts[3]),
      format('select * from maintenance.preview(%L);', b.job_name)
    from (
      select j.job_name, array_agg(r.rows_left order by r.n) as lefts
      from job as j
      cross join lateral (
        select e.rows_left, row_number() over (order by e.at desc) as n
        from (
          select (o.details ->> 'left')::bigint as rows_left,
            coalesce(o.started_at, o.finished_at) as at
          from maintenance_internal.run as o
          where o.job_id = j.job_id and (o.status not in ('waiting', 'skipped')
              or o.status = 'skipped' and o.error is not null)
            and o.status <> 'running'
          order by coalesce(o.started_at, o.finished_at) desc
          limit 3
        ) as e
      ) as r
      where j.enabled
      group by j.job_name
    ) as b
    where b.lefts[1] >= v_rows and b.lefts[1] > b.lefts[2] and b.lefts[2] > b.lefts[3];

  -- What is used up in a minute is no news, nor what cools for a moment.
  for v_model in
    select m.*
    from (
      select s.*, bool_and(s.state in ('blocked', 'retired', 'cooling'))
        over (partition by s.carrier) as none_left
      from maintenance_internal.model_states(maintenance_internal.moment()) as s
      where s.state <> 'disabled'
    ) as m
    left join maintenance_internal.cool_down as c on c.model = m.model and c.kind = '*'
    where m.state in ('warning', 'failing_over', 'blocked') and m.span is distinct from 'minute'
      or m.state in ('cooling', 'retired') and c.until - c.since > interval '10 seconds'
  loop
    cause := 'model';
    subject := v_model.model;
    severity := case when v_model.none_left then 'critical' else 'warning' end;
    description := concat_ws(', ', v_model.state, v_model.reason,
      to_char(v_model.until, '"until" YYYY-MM-DD HH24:MI:SSOF'));
    advice := 'select * from maintenance.model_status;';
    v_unasked := v_unasked or v_model.none_left and v_model.carrier = 'worker';
    return next;
  end loop;

  for cause, description, severity, advice in
    select t.task, concat(t.description, ': ' || t.count), t.severity,
      case when t.count is not null then coalesce(t.advice, '') end
    from (
      select * from maintenance_internal.task_backlog() as k
      -- Where no model can be asked, that is why tasks wait.
      where k.task <> 'models' and not (k.task = 'tasks_due' and v_unasked)
      union all
      select * from maintenance_internal.blob_backlog()
    ) as t
    where t.severity in ('warning', 'critical')
  loop
    -- What cannot be looked at is not gone.
    if advice is null then
      raise exception 'the tables of tasks, or of blobs, are locked' using errcode = '55P03';
    end if;
    subject := '';
    return next;
  end loop;
  return query
    select 'health', h.check_name, h.status, h.detail, h.fix
    from maintenance_internal.health_checks() as h
    where h.status in ('warning', 'critical') and h.check_name <> 'models'
      -- Where that is why nothing is fired, it is told there.
      and not (v_silent and h.check_name = 'connections');

  return query
    select 'setup', c.check_name, case c.status when 'failed' then 'critical' else 'warning' end,
      c.detail, c.fix
    from maintenance_internal.setup_checks() as c
    -- Those of pg_cron, and a pause, are told as scheduler.
    where c.status in ('failed', 'warning')
      and c.check_name not in ('pg_cron', 'launcher', 'paused')
      and not (v_silent and c.check_name in ('time_outs', 'owner'));
end
$$;
-- end of sql/engine/health/alert_causes.sql

-- from sql/engine/health/alert_monitor.sql 56916b210d1aecc4
-- Opens and closes the alerts, and tells it to who listens. One of the kit's own jobs, as the tick:
-- it goes on while all others are paused, and leaves one receipt.

create function maintenance_internal.watch()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now constant timestamptz := maintenance_internal.clock();
  v_told bigint;
  v_quiet constant interval := least(
    coalesce(maintenance_internal.setting('alert_quiet_minutes'), 0), 1e6) * interval '1 minute';
begin
  with cause as materialized (
    select distinct on (c.cause, c.subject) c.* from maintenance_internal.alert_causes() as c
    order by c.cause, c.subject, c.severity
  ),
  -- One that somebody is just silencing is for the next look.
  before as materialized (
    select a.* from maintenance.alert as a where a.closed_at is null for update skip locked
  ),
  seen as (
    update maintenance.alert as a
    set severity = c.severity, description = c.description, advice = c.advice, seen_at = v_now,
      gone_at = null,
      told = case when (b.silenced_until > v_now) is true then b.told
        else least(b.told, c.severity) end -- critical comes before warning
    from cause as c
    join before as b on b.cause = c.cause and b.subject = c.subject
    where a.alert_id = b.alert_id
    returning a.*, case when b.told is null and a.told is not null then 'opened'
      when a.told < b.told then 'raised' end as event
  ),
  opened as (
    insert into maintenance.alert as a
      (cause, subject, severity, description, advice, opened_at, seen_at, silenced_until,
        silenced_by, told)
    select c.cause, c.subject, c.severity, c.description, c.advice, v_now, v_now,
      l.silenced_until, l.silenced_by, case when l.silenced_until is null then c.severity end
    from cause as c
    -- Who has silenced a cause has silenced it when it comes back, too.
    left join lateral (
      select o.silenced_until, o.silenced_by from maintenance.alert as o
      where o.cause = c.cause and o.subject = c.subject
      order by o.alert_id desc
      limit 1
    ) as l on l.silenced_until > v_now
    where not exists (
      select from maintenance.alert as o
      where o.cause = c.cause and o.subject = c.subject and o.closed_at is null)
    on conflict (cause, subject) where closed_at is null do nothing
    returning a.*, case when a.told is not null then 'opened' end as event
  ),
  gone as (
    update maintenance.alert as a
    set gone_at = coalesce(b.gone_at, v_now),
      closed_at = case when coalesce(b.gone_at, v_now) + v_quiet <= v_now then v_now end
    from before as b
    where a.alert_id = b.alert_id and not exists (
      select from cause as c where c.cause = b.cause and c.subject = b.subject)
    -- Who was called is told the end, silent or not.
    returning a.*, case when a.closed_at is not null and a.told is not null then 'closed' end
      as event
  )
  select count(pg_notify('maintenance_alert', jsonb_build_object('alert_id', e.alert_id, 'event',
    e.event, 'cause', e.cause, 'severity', e.severity)::text))
  into v_told
  from (
    select * from seen union all select * from opened union all select * from gone
  ) as e
  where e.event is not null;
end
$$;

create procedure maintenance.alert_monitor()
language plpgsql
as $$
declare
  v_began timestamptz;
  v_faults jsonb;
begin
  call maintenance_internal.check_outside('maintenance.alert_monitor');
  v_began := maintenance_internal.moment();
  v_faults := maintenance_internal.tick_step('watch', '[]');
  commit;
  perform maintenance_internal.note_visit(
    maintenance_internal.alert_statement(), v_began, v_faults);
end
$$;

comment on procedure maintenance.alert_monitor() is
  'Opens an alert for each cause that somebody should be called for, and closes it when that has '
  'been away for the setting alert_quiet_minutes (S1-15, S1-20, S2-29, S4-17, S4-22): see the '
  'table maintenance.alert. The job alert_monitor calls it every minute, also while all others '
  'are paused. Errors: 2D000 called inside a transaction.';
-- end of sql/engine/health/alert_monitor.sql

-- from sql/engine/health/setup_checks.sql 0e2aca36ab1000a4
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
-- end of sql/engine/health/setup_checks.sql

-- from sql/engine/health/doctor.sql 76647d43540149d0
-- All that is wrong, and that is right, in one list: how the kit stands (setup_checks), what is
-- measured (health_checks), what keeps the jobs from being fired, how they and the tasks are, and
-- what lint finds of the rules. A fix is made here, of names that are quoted: none is ever read out
-- of words in which somebody else's may stand, as in an error or the reason of a pause.

-- A statement of our own among words of our own stands where a sentence begins, and ends at a
-- semicolon; what is quoted is found, too, so that nothing in it is taken for one.
create function maintenance_internal.statement_pattern()
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return '''[^'']*''|"[^"]*"|(?:^|(?<=[.:;,)]\s)|(?<=then\s)|(?<=or\s))((?:select|call|update|delete|'
  'alter|vacuum|analyze|grant|revoke|create|drop|refresh|reindex|rollback|discard)\s'
  '(?:[^;''"]|''[^'']*''|"[^"]*")*;(?: --[^\n]*$)?)';

-- The statements of an advice; null where there is none.
create function maintenance_internal.statements_in(p_advice text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
begin atomic
  select string_agg(m.found[1], ' ' order by m.n)
  from regexp_matches(p_advice, maintenance_internal.statement_pattern(), 'g')
    with ordinality as m (found, n);
end;

-- What mends the cause of a row about a job.
create function maintenance_internal.job_fix(p_job maintenance.job_status)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return case
  when not (p_job).enabled then format('select maintenance.enable_job(%L);', (p_job).job_name)
  when (p_job).scheduling = 'not installed yet'
    then 'select * from maintenance.install_schedules();'
  when (p_job).scheduling in ('removed by an operator', 'inactive in pg_cron')
      or (p_job).active and (p_job).next_run_at is null
    then maintenance_internal.schedule_advice((p_job).job_name, (p_job).declared_schedule)
  else maintenance_internal.run_advice(p_job)
end;

create function maintenance.doctor()
returns table (check_name text, status text, detail text, fix text)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  v_jobs constant maintenance.job_status[] := array(select s from maintenance.job_status as s);
begin
  return query
    with setup as materialized (
      select 1 as part, c.check_name, c.status, c.detail, c.fix
      from maintenance_internal.setup_checks() as c
    ),
    found as materialized (
      select * from setup
      union all
      select 2, h.check_name,
        case h.status when 'critical' then 'failed' when 'unknown'
          -- What nobody has told; and of what is not there nothing is to be measured.
          then case when h.fix is not null then 'warning' else 'ok' end
          else h.status end,
        h.detail, h.fix
      from maintenance_internal.health_checks() as h
      union all
      -- What pg_cron lacks is told once.
      select 3, 'scheduler', case f.severity when 'critical' then 'failed' else 'warning' end,
        f.fault, coalesce(maintenance_internal.statements_in(f.mend), '-- ' || f.mend)
      from maintenance_internal.scheduler_faults(v_jobs) as f
      where f.severity in ('warning', 'critical') and f.mend <> 'select maintenance.resume();'
        and not exists (
          select from setup as c
          where c.status = 'failed' and position(c.detail in f.fault) > 0)
      union all
      select 3, s.task, case s.severity when 'critical' then 'failed' else 'warning' end,
        concat(s.description, ': ' || s.count, '. ' || s.advice), case
          when s.severity = 'critical' and s.job_name is not null
            then format('select * from maintenance.lint(%L);', s.job_name)
          when s.job_name is not null then maintenance_internal.job_fix(j)
          when s.task in ('jobs_failing', 'jobs_late') then (
            select string_agg(distinct maintenance_internal.job_fix(o), ' ')
            from unnest(v_jobs) as o
            where case s.task when 'jobs_late' then o.late_since is not null else o.enabled
              and o.last_status in ('failed', 'timeout', 'cancelled', 'interrupted', 'skipped') end)
          when s.task = 'tasks_dead' then (
            select string_agg(distinct format('select maintenance.retry_tasks(%L);', t.kind), ' ')
            from maintenance.task as t where t.state = 'dead')
          when s.task = 'tasks_quarantined' then 'select * from maintenance.pending_answer;'
          when s.task = 'tasks_leased' then (
            select format('select maintenance.retry_task(%s);', t.task_id)
            from maintenance.task as t where t.state = 'leased' order by t.leased_at limit 1)
          when s.task = 'subjects_to_erase' then 'call maintenance.tick();'
          when s.task ~ '^blobs_' then 'select maintenance.retry_blobs();'
          else '-- the detail says what to do' end
      from public.maintenance_status as s
      left join unnest(v_jobs) as j on j.job_name = s.job_name
      where s.severity in ('warning', 'critical')
        and s.task not in ('open_alerts', 'models', 'scheduler')
      union all
      -- What somebody was called for, and no other row says.
      select 3, a.cause, case a.severity when 'critical' then 'failed' else 'warning' end,
        concat_ws(': ', nullif(a.subject, ''), a.description), a.advice
      from maintenance.alert as a
      where a.closed_at is null and a.gone_at is null
        and a.cause in ('job_slow', 'backlog_growing', 'model')
      union all
      -- What has the same cure is one; and whoever drops a job loses its rule.
      select 4, coalesce(min(l.job_name), 'rules'),
        case when bool_or(l.severity = 'critical') then 'failed' else 'warning' end,
        concat(min(l.finding),
          case when count(*) > 1 then format('; the same of %s jobs', count(*)) end, '. ' || case
            when l.fix <> maintenance_internal.statements_in(l.fix) then l.fix end),
        case when l.fix ~ 'drop_job' then '-- ' || l.fix
          else coalesce(maintenance_internal.statements_in(l.fix), '-- ' || l.fix) end
      from maintenance.lint() as l
      where l.severity in ('warning', 'critical')
        and not exists (select from setup as c where c.fix = l.fix)
      group by l.fix
    )
    select f.check_name, f.status, f.detail,
      case when f.part > 1 or f.fix ~ '^--' then f.fix
        else coalesce(maintenance_internal.statements_in(f.fix), '-- ' || f.fix) end
    from (
      select * from found
      union all
      select 3, 'status', 'ok', 'nothing is to be done: select * from maintenance_status;', null
      where not exists (select from found as o where o.part = 3)
      union all
      select 4, 'rules', 'ok', 'lint finds nothing: select * from maintenance.lint();', null
      where not exists (select from found as o where o.part = 4)
    ) as f
    order by array_position(array['failed', 'warning', 'ok'], f.status), f.part, f.check_name;
end
$$;

comment on function maintenance.doctor() is
  'What is wrong and what is right, what failed first: rows (check_name, status: failed, warning '
  'or ok, detail, fix), fix being the statements to paste, for whom their comment says, else for '
  'the owner; a comment where no statement mends it (S1-11, S2-39). It looks at the setup, at '
  'what is measured, at what fires the jobs, at maintenance_status, at alerts and at lint, which '
  'plans every rule.';
-- end of sql/engine/health/doctor.sql

-- from sql/engine/health/metric_names.sql 685f14f1a0b67513
-- The names of maintenance.metrics, each once, with what a reader of the numbers has to know.

create function maintenance_internal.metric_names()
returns table (name text, type text, help text)
language sql
immutable
set search_path = pg_catalog, pg_temp
begin atomic
  select 'pg_maintenance_' || n.name, n.type, n.help
  from (values
    ('up', 'gauge', 'Always 1: the view could be read'),
    ('info', 'gauge', 'Always 1: release and state of the engine, and version of the server'),
    ('read_timestamp_seconds', 'gauge', 'When this was read: what is old was kept on the way'),
    ('standby', 'gauge', '1 where the server is a standby, which runs no job'),
    ('scrape_error', 'gauge', '1 where a part of this view, or a rule of it, could not be read'),
    ('scrape_seconds', 'gauge', 'How long a part of this view took to read'),
    ('paused', 'gauge', '1 while nothing may start: paused or stopped'),
    ('paused_seconds', 'gauge', 'How long nothing has been allowed to start; 0 where it may'),
    ('stopped', 'gauge', '1 while an emergency stop is in force'),
    ('tick_age_seconds', 'gauge',
      'Since the last run of the tick, which pg_cron fires each minute; +Inf: there was none'),
    ('backlog_rows', 'gauge',
      'What is due by a row of maintenance_status, counted up to 10000; none where it cannot be'),
    ('backlog_oldest_seconds', 'gauge',
      'Age of the oldest that is due, or since when the first job is late or failing'),
    ('backlog_severity', 'gauge', '0 ok, 1 notice, 2 warning, 3 critical'),
    ('job_enabled', 'gauge', '1 where the job is enabled'),
    ('job_active', 'gauge', '1 where the job will be fired: scheduled, enabled and not paused'),
    ('job_running', 'gauge', '1 while a run of the job is at work'),
    ('job_waiting', 'gauge', '1 while a run of the job waits: a retry, a window, another job'),
    ('job_late_seconds', 'gauge', 'How late the job is by its schedule or budget; 0: it is not'),
    ('job_failing', 'gauge',
      '1 where the last run failed, timed out, was cancelled, interrupted or given up'),
    ('job_last_status', 'gauge', 'Always 1: how the last run ended, or running, as label status'),
    ('job_last_run_timestamp_seconds', 'gauge', 'When the last run began'),
    ('job_last_success_timestamp_seconds', 'gauge', 'When the last run that succeeded began'),
    ('job_next_run_timestamp_seconds', 'gauge', 'When the job is fired next'),
    ('job_last_duration_seconds', 'gauge', 'How long the last run that is over took'),
    ('job_last_rows', 'gauge', 'Rows that the last run that is over has changed'),
    ('job_last_hour_runs', 'gauge',
      'Runs that ended within the last hour, by how; a gauge, since the window moves'),
    ('job_last_hour_rows', 'gauge', 'Rows that the runs of the last hour have changed'),
    ('job_last_day_runs', 'gauge',
      'Runs that ended within the last 24 hours, by how; a gauge, since the window moves'),
    ('job_last_day_rows', 'gauge', 'Rows that the runs of the last 24 hours have changed'),
    ('job_last_day_refused_rows', 'gauge',
      'Due rows that the runs of the last 24 hours could not change'),
    ('job_last_day_run_seconds', 'gauge', 'What the runs of the last 24 hours took together'),
    ('receipts_total', 'counter', 'Numbers given to receipts of runs; some may have been left out'),
    ('tasks_created_total', 'counter', 'Numbers given to tasks; some may have been left out'),
    ('model_calls_total', 'counter', 'Numbers given to calls; some may have been left out'),
    ('alerts_opened_total', 'counter', 'Numbers given to alerts; some may have been left out'),
    ('tasks', 'gauge',
      'Tasks by kind and state: ready ones up to 10000 a kind, others up to 100000 in all'),
    ('tasks_due', 'gauge', 'Tasks that a worker could take now, of a kind up to 10000'),
    ('tasks_oldest_due_seconds', 'gauge',
      'How long the oldest of the tasks that are due should have been asked; 0: none is due'),
    ('tasks_last_hour', 'gauge', 'Tasks that ended within the last hour, the last 10000 of them'),
    ('model_state', 'gauge', 'Always 1: whether a model can be asked, as label state'),
    ('model_used_ratio', 'gauge', 'How much is used of the limit that is used most; 1: all'),
    ('model_wait_seconds', 'gauge', 'Until the model is asked or tried again; 0: it is asked now'),
    ('model_today_calls', 'gauge',
      'Calls of today, of which one begins at midnight in Los Angeles, as all of model_today'),
    ('model_today_answered', 'gauge', 'Calls of today that were answered'),
    ('model_today_tokens', 'gauge', 'Tokens of today: input, with the cached ones, cached, output'),
    ('model_today_cost_usd', 'gauge', 'What the calls of today cost, where a price is known'),
    ('model_budget_usd', 'gauge', 'What the calls of a day may cost: the setting daily_budget_usd'),
    ('workers', 'gauge', 'Workers that have claimed something within five minutes'),
    ('worker_seen_seconds', 'gauge', 'Since the last claim of a worker that was seen in a day'),
    ('worker_rss_bytes', 'gauge', 'Memory of the worker process, as of its last claim'),
    ('worker_heap_bytes', 'gauge', 'Heap of the worker, as of its last claim'),
    ('worker_start_timestamp_seconds', 'gauge', 'When the worker was started'),
    ('alerts', 'gauge', 'Open alerts whose cause is there, and that nobody has silenced'),
    ('alert_open', 'gauge', 'Always 1: an open alert, its cause and what it is about'),
    ('alert_open_seconds', 'gauge', 'How long an alert has been open'),
    ('alerts_silenced', 'gauge', 'Open alerts that nobody is called about for now'),
    ('health_check_value', 'gauge', 'What a check of system_health has measured, in its unit'),
    ('health_check_severity', 'gauge', '-1 unknown, 0 ok, 2 warning, 3 critical'),
    ('table_bytes', 'gauge',
      'Of the 50 largest tables, without indexes, as of their last VACUUM or ANALYZE'),
    ('table_live_rows', 'gauge', 'Estimate of live rows, of the 50 largest tables'),
    ('table_dead_rows', 'gauge', 'Estimate of dead rows, of the 50 largest tables'),
    ('table_last_vacuum_timestamp_seconds', 'gauge', 'Last VACUUM, of the 50 largest tables'),
    ('vacuum_holders', 'gauge', 'Who holds VACUUM back now, by kind'),
    ('vacuum_holder_seconds', 'gauge', 'How long the oldest of a kind has held it back, if known'),
    ('vacuum_holder_transactions', 'gauge',
      'How many transactions have begun since: rows that died in these stay')
  ) as n (name, type, help);
end;
-- end of sql/engine/health/metric_names.sql

-- from sql/engine/health/metrics.sql a1f3af42ccf19f74
-- All of the status as numbers, for Prometheus: one row per sample. scripts/monitoring has what
-- reads it. Nothing here is a row's text: labels are names of jobs, kinds, models, tables, workers.
--
-- Each part stands in a block of its own: what one cannot tell keeps no other from being told, and
-- is told itself (scrape_error). What an exporter would refuse, a name and labels given twice, is
-- kept out where it could be: everything is grouped by its labels.

-- A row of maintenance_status in numbers. A rule can have its oldest row at infinity.
create function maintenance_internal.backlog_samples(
  p_task text,
  p_job_name text,
  p_count bigint,
  p_oldest timestamptz,
  p_severity text)
returns table (name text, labels jsonb, value double precision)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select m.name, jsonb_strip_nulls(jsonb_build_object('task', p_task, 'job_name', p_job_name)),
    m.value
  from (values
    ('backlog_rows', p_count::double precision),
    ('backlog_oldest_seconds', case
      when p_oldest is null and p_count = 0 then 0
      when isfinite(p_oldest)
        then greatest(extract(epoch from maintenance_internal.clock() - p_oldest), 0)
      end::double precision),
    ('backlog_severity', array_position(array['ok', 'notice', 'warning', 'critical'], p_severity)
      ::double precision - 1)
  ) as m (name, value)
  where m.value is not null;
end;

create function maintenance_internal.metric_samples()
returns table (name text, labels jsonb, value double precision)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
#variable_conflict use_column
declare
  v_cap constant integer := 10000;
  v_now constant timestamptz := maintenance_internal.clock();
  v_moment constant timestamptz := maintenance_internal.moment();
  v_none constant jsonb := jsonb '{}';
  v_part text;
  v_row record;
  v_began timestamptz;
  v_failed boolean;
begin
  foreach v_part in array array['info', 'control', 'backlog', 'task_backlog', 'blob_backlog',
    'alert_backlog', 'jobs', 'runs', 'counters', 'tasks', 'models', 'model_days', 'workers',
    'alerts', 'health', 'tables', 'vacuum']
  loop
    v_began := clock_timestamp();
    v_failed := false;
    begin
      case v_part
      when 'info' then
        return query
          select 'up', v_none, 1::double precision
          union all
          select 'standby', v_none, pg_is_in_recovery()::integer
          union all
          select 'read_timestamp_seconds', v_none, extract(epoch from v_began)
          union all
          select 'info', jsonb_build_object('version', v.release, 'state', v.state,
            'server_version', split_part(current_setting('server_version'), ' ', 1)), 1
          from maintenance.version() as v where v.part = 'engine';

      when 'control' then
        return query
          select m.name, v_none, m.value::double precision
          from (
            select bool_or(c.paused_at is not null) as is_paused,
              bool_or(c.stopped_at >= c.paused_at) as is_stopped, min(c.paused_at) as since
            from maintenance_internal.control as c
          ) as c
          cross join lateral (values
            ('paused', coalesce(c.is_paused, false)::integer::numeric),
            ('stopped', coalesce(c.is_stopped, false)::integer),
            ('paused_seconds', greatest(coalesce(extract(epoch from v_now - c.since), 0), 0))
          ) as m (name, value);

      when 'backlog' then
        for v_row in select b.* from maintenance_internal.backlog() as b loop
          v_failed := v_failed or v_row.count is null;
          return query select b.* from maintenance_internal.backlog_samples(v_row.task,
            v_row.job_name, v_row.count, v_row.oldest, v_row.severity) as b;
        end loop;

      when 'task_backlog', 'blob_backlog', 'alert_backlog' then
        for v_row in
          select b.* from maintenance_internal.task_backlog() as b where v_part = 'task_backlog'
          union all
          select b.* from maintenance_internal.blob_backlog() as b where v_part = 'blob_backlog'
          union all
          select b.* from maintenance_internal.alert_backlog() as b where v_part = 'alert_backlog'
        loop
          v_failed := v_failed or v_row.count is null;
          return query select b.* from maintenance_internal.backlog_samples(v_row.task, null,
            v_row.count, v_row.oldest, v_row.severity) as b;
        end loop;

      when 'jobs' then
        return query
          -- Read once: what the view computes would be computed anew for each mention.
          with status as materialized (
            select o.job_name, o.enabled, o.active, o.running, o.waiting, o.late_since,
              o.last_status, o.last_run_at, o.last_success_at, o.next_run_at
            from maintenance.job_status as o
          )
          select m.name, jsonb_build_object('job_name', s.job_name) || m.labels,
            m.value::double precision
          from status as s
          join maintenance_internal.job as j on j.job_name = s.job_name
          left join lateral (
            select extract(epoch from r.finished_at - r.started_at) as seconds, r.rows_affected,
              r.status in ('failed', 'timeout', 'cancelled', 'interrupted', 'skipped') as is_bad
            from maintenance_internal.run as r
            where r.job_id = j.job_id
              and (r.status not in ('waiting', 'skipped')
                or r.status = 'skipped' and r.error is not null)
              and r.status <> 'running'
            order by coalesce(r.started_at, r.finished_at) desc
            limit 1
          ) as l on true
          cross join lateral (values
            ('job_enabled', v_none, s.enabled::integer::numeric),
            ('job_active', v_none, s.active::integer),
            ('job_running', v_none, coalesce(s.running, false)::integer),
            ('job_waiting', v_none, (s.waiting is not null)::integer),
            ('job_late_seconds', v_none,
              greatest(coalesce(extract(epoch from v_now - s.late_since), 0), 0)),
            -- While one runs the one before it counts, unless nobody is at it.
            ('job_failing', v_none,
              (l.is_bad is true or (s.last_status = 'interrupted') is true)::integer),
            ('job_last_status', jsonb_build_object('status', s.last_status),
              case when s.last_status is not null then 1 end),
            ('job_last_run_timestamp_seconds', v_none, extract(epoch from s.last_run_at)),
            ('job_last_success_timestamp_seconds', v_none, extract(epoch from s.last_success_at)),
            ('job_next_run_timestamp_seconds', v_none, extract(epoch from s.next_run_at)),
            ('job_last_duration_seconds', v_none, l.seconds),
            ('job_last_rows', v_none, l.rows_affected)
          ) as m (name, labels, value)
          where m.value is not null;
        return query
          select 'tick_age_seconds', v_none, case when max(l.at) is null then 'Infinity'
            else greatest(extract(epoch from v_now - max(l.at)), 0) end::double precision
          from maintenance_internal.job as j
          cross join lateral (
            select coalesce(r.started_at, r.finished_at) as at
            from maintenance_internal.run as r
            where r.job_id = j.job_id
              and (r.status not in ('waiting', 'skipped')
                or r.status = 'skipped' and r.error is not null)
            order by coalesce(r.started_at, r.finished_at) desc
            limit 1
          ) as l
          where j.statement = maintenance_internal.tick_statement();

      when 'runs' then
        return query
          select m.name, jsonb_build_object('job_name', t.job_name, 'status', t.status),
            m.value::double precision
          from (
            select r.job_name, r.status, count(*) as runs, sum(r.rows_affected) as rows_affected,
              sum(r.rows_refused) as rows_refused,
              coalesce(sum(extract(epoch from r.finished_at - r.started_at)), 0) as seconds,
              count(*) filter (where r.finished_at > v_now - interval '1 hour') as hour_runs,
              coalesce(sum(r.rows_affected)
                filter (where r.finished_at > v_now - interval '1 hour'), 0) as hour_rows
            from maintenance_internal.run as r
            where r.finished_at > v_now - interval '1 day'
            group by r.job_name, r.status
          ) as t
          cross join lateral (values
            ('job_last_hour_runs', t.hour_runs::numeric),
            ('job_last_hour_rows', t.hour_rows),
            ('job_last_day_runs', t.runs),
            ('job_last_day_rows', t.rows_affected),
            ('job_last_day_refused_rows', t.rows_refused),
            ('job_last_day_run_seconds', t.seconds)
          ) as m (name, value);

      when 'counters' then
        return query
          select m.name, v_none, coalesce(pg_sequence_last_value(
            pg_get_serial_sequence(m.relation, m.attribute)::regclass), 0)::double precision
          from (values
            ('receipts_total', 'maintenance_internal.run', 'run_id'),
            ('tasks_created_total', 'maintenance.task', 'task_id'),
            ('model_calls_total', 'maintenance.model_call', 'call_id'),
            ('alerts_opened_total', 'maintenance.alert', 'alert_id')
          ) as m (name, relation, attribute);

      when 'tasks' then
        -- By the indexes of what is open, and never by those that are over.
        return query
          with counted as materialized (
            select k.kind, 'ready' as state, r.tasks
            from maintenance.kind as k
            cross join lateral (
              select count(*) as tasks from (
                select from maintenance.task as t where t.state = 'ready' and t.kind = k.kind
                limit v_cap
              ) as o
            ) as r
            union all
            select o.kind, o.state, count(*)
            from (
              (select t.kind, t.state from maintenance.task as t where t.state = 'leased'
              limit 10 * v_cap)
              union all
              (select t.kind, t.state from maintenance.task as t where t.state = 'quarantined'
              limit 10 * v_cap)
              union all
              (select t.kind, t.state from maintenance.task as t where t.state = 'dead'
              limit 10 * v_cap)
            ) as o
            group by o.kind, o.state
          )
          select 'tasks', jsonb_build_object('kind', k.kind, 'state', s.state),
            coalesce(c.tasks, 0)::double precision
          from maintenance.kind as k
          cross join (values ('ready'), ('leased'), ('quarantined'), ('dead')) as s (state)
          left join counted as c on c.kind = k.kind and c.state = s.state;
        return query
          select m.name, jsonb_build_object('kind', k.kind), m.value::double precision
          from maintenance.kind as k
          cross join lateral (
            select count(*) as tasks, min(o.due_at) as since
            from (
              select t.due_at from generate_series(-5, 5) as p (priority)
              cross join lateral (
                select r.due_at from maintenance.task as r
                where r.state = 'ready' and r.kind = k.kind and r.priority = p.priority
                  and r.available_at <= v_moment
                order by r.available_at
                limit v_cap
              ) as t
              limit v_cap
            ) as o
          ) as d
          cross join lateral (values
            ('tasks_due', d.tasks::numeric),
            ('tasks_oldest_due_seconds',
              greatest(coalesce(extract(epoch from v_moment - d.since), 0), 0))
          ) as m (name, value);
        return query
          select 'tasks_last_hour', jsonb_build_object('kind', o.kind, 'state', o.state),
            count(*)::double precision
          from (
            select t.kind, t.state from maintenance.task as t
            where t.finished_at > v_moment - interval '1 hour'
            order by t.finished_at desc
            limit v_cap
          ) as o
          group by o.kind, o.state;

      when 'models' then
        return query
          select m.name, jsonb_build_object('model', s.model, 'carrier', s.carrier) || m.labels,
            m.value::double precision
          from maintenance_internal.model_states(v_moment) as s
          cross join lateral (values
            ('model_state', jsonb_build_object('state', s.state), 1::numeric),
            ('model_used_ratio', v_none, s.percent / 100),
            ('model_wait_seconds', v_none, case
              when s.until is null then 0
              when isfinite(s.until) then greatest(extract(epoch from s.until - v_moment), 0) end)
          ) as m (name, labels, value)
          where m.value is not null;

      when 'model_days' then
        return query
          select m.name, jsonb_build_object('model', d.model, 'kind', d.kind) || m.labels,
            m.value::double precision
          from maintenance.model_day as d
          cross join lateral (values
            ('model_today_calls', v_none, d.calls::numeric),
            ('model_today_answered', v_none, d.answered),
            ('model_today_tokens', jsonb_build_object('type', 'input'), d.input_tokens),
            ('model_today_tokens', jsonb_build_object('type', 'cached'), d.cached_tokens),
            ('model_today_tokens', jsonb_build_object('type', 'output'), d.output_tokens),
            ('model_today_cost_usd', v_none, d.cost_usd)
          ) as m (name, labels, value)
          where d.day = (v_moment at time zone 'America/Los_Angeles')::date
          union all
          select 'model_budget_usd', v_none, s.value::double precision
          from maintenance.setting as s
          where s.name = 'daily_budget_usd' and s.value is not null;

      when 'workers' then
        return query
          select 'workers', v_none, count(*)::double precision
          from maintenance.worker as w where w.seen_at > v_moment - interval '5 minutes'
          union all
          select m.name, jsonb_build_object('worker', w.worker), m.value::double precision
          from (
            select o.* from maintenance.worker as o
            where o.seen_at > v_moment - interval '1 day'
            order by o.seen_at desc
            limit 100
          ) as w
          cross join lateral (values
            ('worker_seen_seconds', greatest(extract(epoch from v_moment - w.seen_at), 0)),
            ('worker_rss_bytes', w.rss_bytes),
            ('worker_heap_bytes', w.heap_bytes),
            ('worker_start_timestamp_seconds', extract(epoch from w.started_at))
          ) as m (name, value)
          where m.value is not null;

      when 'alerts' then
        return query
          with open as materialized (
            select a.*, (a.silenced_until > v_now) is true as is_silent
            from maintenance.alert as a
            where a.closed_at is null and a.gone_at is null
          )
          select 'alerts', jsonb_build_object('severity', s.severity),
            (select count(*) from open as o where o.severity = s.severity and not o.is_silent)
              ::double precision
          from (values ('warning'), ('critical')) as s (severity)
          union all
          select 'alerts_silenced', v_none, count(*) from open as o where o.is_silent
          union all
          select m.name, jsonb_build_object('cause', o.cause, 'subject', o.subject,
            'severity', o.severity), m.value
          from open as o
          cross join lateral (values
            ('alert_open', 1::double precision),
            ('alert_open_seconds', greatest(extract(epoch from v_now - o.opened_at), 0))
          ) as m (name, value)
          where not o.is_silent;

      when 'health' then
        return query
          select m.name, jsonb_build_object('check_name', h.check_name) || m.labels,
            m.value::double precision
          from maintenance_internal.health_checks() as h
          cross join lateral (values
            ('health_check_value', jsonb_build_object('unit', coalesce(h.unit, '')), h.value),
            ('health_check_severity', v_none, case h.status
              when 'ok' then 0 when 'warning' then 2 when 'critical' then 3 else -1 end)
          ) as m (name, labels, value)
          where m.value is not null;

      when 'tables' then
        -- By what the catalogue knows: a look at the file itself would wait for a locked table.
        return query
          select m.name, jsonb_build_object('schema_name', t.nspname, 'table_name', t.relname),
            m.value::double precision
          from (
            select n.nspname, c.relname, c.oid, c.relpages
            from pg_class as c
            join pg_namespace as n on n.oid = c.relnamespace
            where c.relkind in ('r', 'm') and c.relpersistence <> 't'
              and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
            order by c.relpages desc, c.oid
            limit 50
          ) as t
          cross join lateral (values
            ('table_bytes', greatest(t.relpages, 0) * current_setting('block_size')::numeric),
            ('table_live_rows', pg_stat_get_live_tuples(t.oid)),
            ('table_dead_rows', pg_stat_get_dead_tuples(t.oid)),
            ('table_last_vacuum_timestamp_seconds', extract(epoch from greatest(
              pg_stat_get_last_vacuum_time(t.oid), pg_stat_get_last_autovacuum_time(t.oid))))
          ) as m (name, value)
          where m.value is not null;

      when 'vacuum' then
        -- A process is no label: each session would be a series of its own.
        return query
          with holder as materialized (
            select h.kind,
              case when h.kind in ('replication slot', 'standby') then h.name end as holder,
              count(*) as holders, extract(epoch from v_now - min(h.since)) as seconds,
              max(h.xmin_age) as transactions
            from maintenance_internal.vacuum_holders() as h
            group by 1, 2
          )
          select 'vacuum_holders', jsonb_build_object('kind', k.kind),
            coalesce((select sum(h.holders) from holder as h where h.kind = k.kind), 0)
              ::double precision
          from (values ('session'), ('prepared transaction'), ('replication slot'), ('standby'))
            as k (kind)
          union all
          select m.name, jsonb_strip_nulls(jsonb_build_object('kind', h.kind, 'holder', h.holder)),
            m.value
          from holder as h
          cross join lateral (values
            ('vacuum_holder_seconds', greatest(h.seconds, 0)),
            ('vacuum_holder_transactions', h.transactions)
          ) as m (name, value)
          where m.name <> 'vacuum_holder_seconds' or h.seconds is not null;
      end case;
    exception when others or assert_failure then
      v_failed := true;
      if sqlstate = '55P03' then
        perform set_config('lock_timeout', '20ms', true); -- the second is over
      end if;
    end;
    return query
      select m.name, jsonb_build_object('part', v_part), m.value
      from (values
        ('scrape_error', v_failed::integer::double precision),
        ('scrape_seconds', extract(epoch from clock_timestamp() - v_began)::double precision)
      ) as m (name, value);
  end loop;
end
$$;

create function maintenance_internal.metrics()
returns table (name text, labels jsonb, value double precision, help text, type text)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
begin atomic
  select n.name, s.labels, s.value, n.help, n.type
  from maintenance_internal.metric_samples() as s
  join maintenance_internal.metric_names() as n on n.name = 'pg_maintenance_' || s.name
  order by n.name, s.labels;
end;

create view maintenance.metrics as
select m.name, m.labels, m.value, m.help, m.type
from maintenance_internal.metrics() as m;

comment on view maintenance.metrics is
  'The status in numbers, one row per sample, for Prometheus: scripts/monitoring has queries for '
  'its exporters, alert rules and a dashboard. A look counts what is due under every rule, as '
  'maintenance_status does; all the rest takes milliseconds.';
comment on column maintenance.metrics.name is 'pg_maintenance_..., by the rules of Prometheus';
comment on column maintenance.metrics.labels is
  'an object of texts; with the name, no two rows have the same';
comment on column maintenance.metrics.value is
  'in base units: seconds, bytes, ratios; a time stamp counts from 1970; never null';
comment on column maintenance.metrics.help is 'what it is, the same for each row of a name';
comment on column maintenance.metrics.type is 'gauge or counter, the same for each row of a name';
-- end of sql/engine/health/metrics.sql

-- from sql/engine/upkeep/tables.sql 9e7ab6915699755e
-- What was last given of VACUUM, ANALYZE and REINDEX: so that nothing is done twice in a week, what
-- has failed is left alone for longer, what it left behind is known as ours, and an index is
-- measured by what it was when it was last rebuilt.

create table maintenance_internal.upkeep (
  relation text not null,
  action text not null,
  statement text not null,
  reason text not null,
  run_id bigint not null,
  given_at timestamptz not null,
  fires_at timestamptz not null,
  invalid oid[] not null default '{}',
  before jsonb not null,
  finished_at timestamptz,
  outcome text,
  after jsonb,
  failures integer not null default 0,
  leftovers oid[] not null default '{}',
  constraint upkeep_pkey primary key (relation, action),
  constraint upkeep_action_is_known
    check (action in ('vacuum', 'analyze', 'reindex')),
  constraint upkeep_over_has_an_outcome check ((finished_at is null) = (outcome is null)),
  constraint upkeep_outcome_is_known check (outcome in ('done', 'failed', 'not_fired'))
);

-- Never two at once.
create unique index upkeep_given_idx on maintenance_internal.upkeep ((true))
where finished_at is null;

comment on table maintenance_internal.upkeep is
  'One row for each table and index that a statement was given for, and what became of the last.';
comment on column maintenance_internal.upkeep.relation is
  'by name, since an index that is rebuilt has another oid';
comment on column maintenance_internal.upkeep.run_id is 'the run whose plan gave it';
comment on column maintenance_internal.upkeep.fires_at is 'the minute that pg_cron is to run it in';
comment on column maintenance_internal.upkeep.invalid is
  'the invalid indexes that its table had before, which are not ours';
comment on column maintenance_internal.upkeep.failures is 'in a row';
comment on column maintenance_internal.upkeep.leftovers is
  'invalid indexes that a REINDEX of it has left behind';
-- end of sql/engine/upkeep/tables.sql

-- from sql/engine/upkeep/full_index_pages.sql 77849bcc9b99a133
-- Pages that each B-tree would take at most if it were built now, by the widths of its keys: what
-- has many more is empty to that extent, and rebuilding it gives that back. Where the statistics do
-- not say enough the larger number is taken, so that a healthy index is let be, and null where they
-- say too little: the width of values that are kept elsewhere, or of those that a condition picks.

create function maintenance_internal.full_index_pages()
returns table (relid oid, pages bigint)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  with key as (
    select i.indexrelid, c.reltuples::numeric as rows,
      max(case a.attalign when 'd' then 8 when 'i' then 4 when 's' then 2 else 1 end)
        over (partition by i.indexrelid)::numeric as unit,
      case when a.attlen > 0 then a.attlen
        when i.indpred is not null and k.attnum is not null then null
        when s.most_common_vals is not null or s.histogram_bounds is not null
          or s.null_frac = 1 then s.avg_width end as width,
      case when i.indpred is null or k.attnum is null then coalesce(s.null_frac, 0) else 0 end
        as nulls,
      -- Equal keys share an entry where what is equal is the same, byte for byte. How many there
      -- are is known well where even those that are not common were in the sample ten times.
      case when i.indpred is null and not i.indisunique and i.indnatts = i.indnkeyatts
          and array_to_string(c.reloptions, ',') ~ 'deduplicate_items=(off|false|no|0)' is not true
          and s.n_distinct > 0 and least(t.reltuples,
              300 * current_setting('default_statistics_target')::integer) * (1 - s.null_frac - (
                select coalesce(sum(f), 0) from unnest(s.most_common_freqs) as f))
            >= 10 * (s.n_distinct - coalesce(cardinality(s.most_common_freqs), 0)) - 1
          and a.atttypid <> 'bpchar'::regtype
          and (l.oid is null or l.collisdeterministic)
          and exists (
            select from pg_opclass as o
            join pg_amproc as p on p.amprocfamily = o.opcfamily and p.amprocnum = 4
              and p.amproclefttype = o.opcintype and p.amprocrighttype = o.opcintype
            where o.oid = i.indclass[a.attnum - 1])
        then s.n_distinct + case when s.null_frac > 0 then 1 else 0 end end as keys,
      coalesce(substring(array_to_string(c.reloptions, ',') from 'fillfactor=(\d+)')::numeric, 90)
        / 100 as fill
    from pg_index as i
    join pg_class as c on c.oid = i.indexrelid and c.relkind = 'i' and c.reltuples >= 0
    join pg_am as m on m.oid = c.relam and m.amname = 'btree'
    join pg_class as t on t.oid = i.indrelid
    join pg_namespace as n on n.oid = t.relnamespace
    join pg_attribute as a on a.attrelid = i.indexrelid
    left join pg_attribute as k on k.attrelid = i.indrelid and k.attnum = i.indkey[a.attnum - 1]
    left join pg_collation as l on l.oid = a.attcollation
    left join pg_stats as s on s.schemaname = n.nspname and not s.inherited
      and s.tablename = case when k.attnum is null then c.relname else t.relname end
      and s.attname = case when k.attnum is null then a.attname else k.attname end
    where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
  ),
  entry as (
    select k.indexrelid, greatest(max(k.rows), 1) as rows, max(k.fill) as fill,
      -- The line pointer and the head, which says which columns are null; and the columns, each as
      -- if it had to be aligned as the widest of them.
      case when count(k.width) = count(*) then 12 + 8 * max((k.nulls > 0)::integer)
        + case when count(*) = 1 then sum((1 - k.nulls) * 8 * ceil(k.width / 8.0))
          else 8 * ceil(sum((1 - k.nulls) * k.unit * ceil(k.width / k.unit)) / 8) end
        end::numeric as bytes,
      case when count(k.keys) = count(*) and sum(ln(greatest(1, k.keys))) < ln(5000)
        then exp(sum(ln(greatest(1, k.keys)))) end::numeric as keys
    from key as k
    group by k.indexrelid
  )
  select e.indexrelid, ceil(least(
      -- Whole entries to a page, beside the one that says where it ends; and the pages above.
      case when e.bytes > 0 then -- greatest would pass over a null
        e.rows / greatest(2, floor((p.size * e.fill - e.bytes) / e.bytes))
          * (1 + 1 / greatest(1, floor(0.7 * p.size / e.bytes) - 1)) end,
      -- A shared entry takes a tenth of a page at most, six bytes for each row.
      case when e.bytes < 400 and e.keys < e.rows then
        (e.keys * ceil(e.rows / e.keys / floor((0.1 * p.size - e.bytes) / 6)) * e.bytes
          + e.rows * 6) / (p.size * e.fill) end) + 1)::bigint
  from entry as e
  cross join (select current_setting('block_size')::numeric - 40 as size) as p;
end;
-- end of sql/engine/upkeep/full_index_pages.sql

-- from sql/engine/upkeep/upkeep.sql 231e87528ca2356e
-- What needs VACUUM, ANALYZE or REINDEX now, by what the statistics and the sizes say, and not by
-- the calendar: what matters first, with the statement, and why it is not given where it is not.
-- A plan is the top of this list, asked anew for each statement.

-- A table or an index by its full name.
create function maintenance_internal.full_name(p_relation oid)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select format('%I.%I', n.nspname, c.relname)
  from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
  where c.oid = p_relation;
end;

create function maintenance_internal.upkeep_needs()
returns table (relid oid, table_id oid, action text, rank integer, gain numeric, reason text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  with setting as materialized (
    select maintenance_internal.setting('upkeep_dead_percent') / 100 as dead,
      maintenance_internal.setting('upkeep_air_percent') / 100 as air,
      maintenance_internal.setting('upkeep_air_mb') * 1048576 as least,
      current_setting('block_size')::numeric as page
  ),
  -- What the owner may maintain; of a partitioned table, its partitions.
  relation as materialized (
    select c.oid, c.relkind, c.relname, n.nspname, c.relfrozenxid,
      greatest(c.relpages, 0)::numeric as pages, c.reltuples
    from pg_class as c
    join pg_namespace as n on n.oid = c.relnamespace
    where c.relkind in ('r', 'm', 'i') and c.relpersistence <> 't'
      and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
      and (pg_has_role(c.relowner, 'usage') or c.relkind <> 'i' and case
        when current_setting('server_version_num')::integer >= 170000
        then has_table_privilege(c.oid, 'maintain') else false end)
  ),
  -- VACUUM is given with ANALYZE, so a table has one of the two.
  stale as (
    select r.oid,
      case when w.vacuum <> '' then 'vacuum' else 'analyze' end as action,
      case when w.vacuum <> '' then 2 else 3 end as rank,
      greatest(s.n_dead_tup, s.n_ins_since_vacuum, s.n_mod_since_analyze) as gain,
      case when w.vacuum <> '' then w.vacuum else w.analyze end as reason
    from relation as r
    cross join setting as g
    join pg_stat_all_tables as s on s.relid = r.oid
    cross join lateral (
      select greatest(1000, g.dead * (s.n_live_tup + s.n_dead_tup)) as least,
        age(r.relfrozenxid) as age
    ) as m
    cross join lateral (
      select concat_ws(', ',
          case when s.n_dead_tup > m.least
            then format('%s dead rows beside %s', s.n_dead_tup, s.n_live_tup) end,
          case when s.n_ins_since_vacuum > m.least
            then format('%s new rows since the last VACUUM', s.n_ins_since_vacuum) end,
          case when m.age > current_setting('vacuum_freeze_table_age')::integer
            then format('its oldest row is of %s transactions ago', m.age) end) as vacuum,
        case when s.n_mod_since_analyze > m.least
          then format('%s changes since the last ANALYZE', s.n_mod_since_analyze) end as analyze
    ) as w
    where r.relkind <> 'i' and g.dead is not null and (w.vacuum <> '' or w.analyze <> '')
  ),
  -- An index that was rebuilt here is measured by what it was then, and any other B-tree by
  -- estimate.
  full_index as (
    select r.oid, i.indrelid as table_id, r.pages, coalesce(
      case when (u.after ->> 'bytes')::numeric >= 100 * g.page
        then (u.after ->> 'bytes')::numeric / g.page
          * greatest(r.reltuples, 1)::numeric / greatest((u.after ->> 'rows')::numeric, 1) end,
      f.pages) as full_pages
    from relation as r
    cross join setting as g
    join pg_index as i on i.indexrelid = r.oid
      and i.indisvalid and i.indisready and not i.indisexclusion
    left join maintenance_internal.upkeep as u
      on u.relation = format('%I.%I', r.nspname, r.relname) and u.action = 'reindex'
      and u.outcome = 'done' and (u.after ->> 'oid')::oid = r.oid
    left join maintenance_internal.full_index_pages() as f on f.relid = r.oid
    where r.relkind = 'i' and r.reltuples >= 0
  ),
  full_table as (
    select r.oid, r.pages, f.pages as full_pages
    from relation as r
    join maintenance_internal.full_pages() as f on f.relid = r.oid
    where r.relkind in ('r', 'm')
  ),
  empty as (
    select f.oid, f.table_id, 'reindex' as action, 4 as rank, f.pages, f.full_pages
    from full_index as f
    union all
    select f.oid, f.oid, 'repack', 5, f.pages, f.full_pages from full_table as f
  )
  select s.oid, s.oid, s.action, s.rank, s.gain::numeric, s.reason from stale as s
  union all
  select e.oid, e.table_id, e.action, e.rank, (e.pages - e.full_pages) * g.page,
    format('%s of %s are empty', pg_size_pretty((e.pages - e.full_pages) * g.page),
      pg_size_pretty(e.pages * g.page))
  from empty as e
  cross join setting as g
  where (e.pages - e.full_pages) * g.page >= g.least
    and e.pages - e.full_pages
      > e.pages * case e.action when 'repack' then greatest(g.air, 0.5) else g.air end
  union all
  select i.indexrelid, i.indrelid, 'drop', 1, r.pages * g.page,
    'it is invalid, and named as what a REINDEX CONCURRENTLY leaves that fails'
  from relation as r
  cross join setting as g
  join pg_index as i on i.indexrelid = r.oid and not i.indisvalid
  where r.relname ~ '_cc(new|old)[0-9]*$';
end;

-- What a reader may see decides what pg_stats shows, so the owner looks.
create function maintenance_internal.upkeep()
returns table (
  relation text,
  action text,
  reason text,
  held text,
  statement text,
  bytes numeric,
  last_given_at timestamptz,
  last_outcome text)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
begin atomic
  -- VACUUM, ANALYZE, REINDEX and CREATE INDEX CONCURRENTLY keep each other out, and DDL all. Who
  -- they are is told to who may read all statistics alone; what they hold, to everybody.
  with worker as materialized (
    select l.relation as table_id, min(l.pid) as pid from pg_locks as l
    where l.locktype = 'relation' and l.granted
      and l.database = (select b.oid from pg_database as b where b.datname = current_database())
      and l.mode in ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock',
        'ExclusiveLock', 'AccessExclusiveLock')
    group by l.relation
  ),
  job as materialized (
    select t.relid as table_id, min(j.job_name) filter (where t.verb = 'vacuum') as vacuums,
      min(j.job_name) as analyzes
    from maintenance_internal.job as j
    cross join lateral maintenance_internal.statement_tables(j.statement) as t
    where j.enabled and j.schedule is not null and t.verb in ('vacuum', 'analyze')
    group by t.relid
  )
  select d.relation, d.action, d.reason,
    case
      when d.action = 'repack' then 'it writes the table anew: to be run by hand'
      when u.outcome is null and u.relation is not null then 'it was given to pg_cron'
      when worker.pid is not null
        then format('process %s is at work on the table, or holds it', worker.pid)
      when d.action = 'drop' and o.relation is null
        then 'no REINDEX that was given here has left it'
      when u.outcome <> 'not_fired' and maintenance_internal.clock() < rest.until
        then format('%s, and again from %s on', u.outcome,
          to_char(rest.until at time zone 'UTC', 'YYYY-MM-DD HH24:MI'))
      when d.action = 'vacuum' and job.vacuums is not null
        then 'it is left to the job ' || job.vacuums
      when d.action = 'analyze' and job.analyzes is not null
        then 'it is left to the job ' || job.analyzes
      when d.action = 'reindex' and exists (
          select from pg_stat_progress_create_index as p where p.datname = current_database())
        then 'another index is being built'
      when d.action = 'reindex' and disk.capacity is null
          and d.bytes > maintenance_internal.setting('upkeep_blind_mb') * 1048576
        then 'nobody knows whether there is room: select maintenance.configure('
          '''disk_capacity_gb'', 100); -- what it holds'
      -- The new one beside the old, and as much in the log.
      when d.action = 'reindex' and disk.used + 2 * d.bytes > disk.capacity
          * (1 - coalesce(maintenance_internal.setting('disk_warning_percent'), 0) / 100)
        then format('there is no room: it takes %s', pg_size_pretty(2 * d.bytes))
    end as held,
    case d.action
      when 'drop' then format('drop index concurrently if exists %s', d.relation)
      when 'vacuum' then format('vacuum (analyze, skip_locked) %s', d.relation)
      when 'analyze' then format('analyze (skip_locked) %s', d.relation)
      when 'reindex' then format('reindex index concurrently %s', d.relation)
      -- Who uses the table waits for a VACUUM FULL.
      when 'repack' then case when current_setting('server_version_num')::integer >= 190000
        then format('repack (concurrently) %s', d.relation)
        else format('vacuum (full, analyze) %s', d.relation) end
    end as statement,
    d.bytes, u.given_at as last_given_at, u.outcome as last_outcome
  from (
    select n.*, maintenance_internal.full_name(n.relid) as relation,
      c.relpages::numeric * current_setting('block_size')::numeric as bytes
    from maintenance_internal.upkeep_needs() as n
    join pg_class as c on c.oid = n.relid
  ) as d
  left join maintenance_internal.upkeep as u on u.relation = d.relation and u.action = d.action
  left join maintenance_internal.upkeep as o on d.action = 'drop' and d.relid = any (o.leftovers)
  -- A day of rest, a week for an index, and for longer after each failure; some hours less, so that
  -- the same hour of the day is not missed.
  cross join lateral (
    select u.given_at - interval '4 hours' + interval '1 day' * (1 + least(u.failures, 7))
      * case d.action when 'reindex' then 7 else 1 end as until
  ) as rest
  left join worker on worker.table_id = d.table_id
  left join job on job.table_id = d.table_id
  cross join maintenance_internal.disk_use() as disk
  order by d.rank, d.gain desc, d.relation;
end;

create view maintenance.upkeep as
select u.relation, u.action, u.reason, u.held, u.statement, u.bytes, u.last_given_at, u.last_outcome
from maintenance_internal.upkeep() as u;

comment on view maintenance.upkeep is
  'What needs VACUUM, ANALYZE or REINDEX now, one row each, what matters first: dead rows and '
  'changes by the statistics (the setting upkeep_dead_percent), empty room of B-trees by an '
  'estimate that lets be what it is not sure of, or by what the index was when it was last rebuilt '
  '(upkeep_air_percent, upkeep_air_mb). A job whose step is maintenance.upkeep_step has it done. '
  'Where pg_cron is not here, in psql: select statement from maintenance.upkeep where held is '
  'null \gexec (S2-14).';
comment on column maintenance.upkeep.relation is 'the table or index, with its schema';
comment on column maintenance.upkeep.action is
  'drop (of what a failed REINDEX has left), vacuum, analyze, reindex, or repack, which is for a '
  'table that is mostly empty, and is never done by the job';
comment on column maintenance.upkeep.reason is 'what was measured';
comment on column maintenance.upkeep.held is 'why it is not done now; null where it may be';
comment on column maintenance.upkeep.statement is
  'what does it, as a statement of its own: no function can hold it. From PostgreSQL 19 on a '
  'repack is REPACK (CONCURRENTLY), and before that VACUUM FULL, for which all wait';
comment on column maintenance.upkeep.bytes is 'its size as of the last VACUUM or ANALYZE';
comment on column maintenance.upkeep.last_given_at is 'when it was last given to pg_cron';
comment on column maintenance.upkeep.last_outcome is
  'what became of that: done, failed, or not_fired; null while it is not over';
-- end of sql/engine/upkeep/upkeep.sql

-- from sql/engine/upkeep/schedule_upkeep.sql 65f51487532086fb
-- Has one statement of the list done after the other, by pg_cron, since no function can hold them.
-- The statement job upkeep_statement is put into pg_cron for a single minute, and taken out when
-- its end was seen: a statement that stayed there would be fired again as soon as it is over.
-- What is going on is a row of the table upkeep; until when to go on stands on the receipt of the
-- run that has begun it.

-- What the proof is made of: how it is before, and afterwards.
create function maintenance_internal.upkeep_state(p_relation text, p_action text)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
declare
  v_id constant oid := to_regclass(p_relation);
  v_bytes bigint;
begin
  begin
    v_bytes := pg_relation_size(v_id);
  exception when lock_not_available then
    null; -- unknown
  end;
  return (
    select jsonb_build_object('bytes', v_bytes) || case
      when p_action = 'reindex' then jsonb_build_object('oid', v_id::bigint,
        'rows', greatest(c.reltuples, 0)::bigint)
      else jsonb_build_object('rows', pg_stat_get_live_tuples(v_id),
        'deadRows', pg_stat_get_dead_tuples(v_id),
        'changes', pg_stat_get_mod_since_analyze(v_id)) end
    from pg_class as c where c.oid = v_id);
end
$$;

-- The invalid indexes of the table that an index or itself belongs to.
create function maintenance_internal.invalid_indexes(p_relation text)
returns oid[]
language sql
stable
set search_path = pg_catalog, pg_temp
return array(
  select o.indexrelid
  from pg_index as o
  where not o.indisvalid and o.indrelid = coalesce((
    select i.indrelid from pg_index as i where i.indexrelid = to_regclass(p_relation)),
    to_regclass(p_relation))
  order by o.indexrelid);

-- Puts the statement job into pg_cron for a minute, or without one takes it out, whatever somebody
-- has made of it there. Nobody's edit.
create function maintenance_internal.schedule_upkeep(
  p_statement text default null,
  p_at timestamptz default null)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set client_min_messages = error
as $$
declare
  v_began constant timestamptz := clock_timestamp();
  v_job maintenance_internal.job;
begin
  select * into v_job from maintenance_internal.job as j
  where j.job_name = 'upkeep_statement' for update;
  if found then
    perform maintenance_internal.remove_schedule(v_job);
  end if;
  if p_at is null then
    update maintenance_internal.job as j set schedule = null where j.job_id = v_job.job_id;
  else
    perform maintenance.set_statement('upkeep_statement', p_statement,
      to_char(p_at at time zone (maintenance_internal.cron_state()).zone,
        'FMMI FMHH24 FMDD FMMM "*"'), 'What upkeep_step has given last, for a single minute');
    if v_job.job_id is null then
      perform maintenance.configure_job('upkeep_statement', timeout => '1 hour');
    end if;
  end if;
  delete from maintenance.edit as e
  where e.job_name = 'upkeep_statement' and e.changed_at >= v_began;
end
$$;
-- end of sql/engine/upkeep/schedule_upkeep.sql

-- from sql/engine/upkeep/continue_upkeep.sql ba007c119837579f
-- Goes on with a plan: what was given last is looked after until it is over, then the next is
-- given. Called by upkeep_step, and by the tick each minute.

create function maintenance_internal.continue_upkeep()
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_plan maintenance_internal.run;
  v_stopped text;
begin
  if not exists (select from maintenance_internal.upkeep as u where u.finished_at is null)
      and (select t.noted from maintenance_internal.turn as t where t.name = 'upkeep') is null
    or not maintenance_internal.take_turn('upkeep')
    or not maintenance_internal.settle_upkeep()
  then
    return 0;
  end if;
  select r.* into v_plan
  from maintenance_internal.turn as t
  join maintenance_internal.run as r on r.run_id = t.noted
  where t.name = 'upkeep';
  if not found or maintenance_internal.is_paused() then
    return 0;
  end if;

  if maintenance_internal.drop_leftovers(v_plan.run_id) then
    return 1; -- the lock on its table ends with this transaction
  end if;
  select case
    when not coalesce(j.enabled, false) or exists (
      select from maintenance_internal.job as s
      where s.job_name = 'upkeep_statement' and not s.enabled) then 'disabled'
    when (
      select count(*) > 2 from jsonb_array_elements(v_plan.details -> 'done') as d
      where d ->> 'outcome' = 'not_fired') then 'not_fired'
    when maintenance_internal.moment() >= (v_plan.details ->> 'until')::timestamptz then 'time'
    when v_plan.trigger <> 'manual'
      and not maintenance_internal.in_window(j, maintenance_internal.moment()) then 'window'
    when not maintenance_internal.give_upkeep(v_plan.run_id) then 'done'
  end into v_stopped
  from (select v_plan.job_id) as p (job_id)
  left join maintenance_internal.job as j on j.job_id = p.job_id;
  if v_stopped is null then
    return 1;
  end if;
  perform maintenance_internal.end_upkeep(v_stopped);
  return 0;
end
$$;

-- Gives the first of the list that nothing is held against; false where there is none.
create function maintenance_internal.give_upkeep(p_run_id bigint)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_need record;
  -- pg_cron reads its jobs when they change, and is to have read this one before its minute begins.
  v_at constant timestamptz := date_trunc('minute', clock_timestamp() + interval '10 seconds')
    + interval '1 minute';
begin
  select * into v_need from maintenance.upkeep as n
  where n.held is null and n.action <> 'drop' limit 1;
  if not found then
    return false;
  end if;
  insert into maintenance_internal.upkeep as u
    (relation, action, statement, reason, run_id, given_at, fires_at, invalid, before)
  values (v_need.relation, v_need.action, v_need.statement, v_need.reason, p_run_id,
    maintenance_internal.moment(), v_at, maintenance_internal.invalid_indexes(v_need.relation),
    coalesce(maintenance_internal.upkeep_state(v_need.relation, v_need.action), '{}'))
  on conflict on constraint upkeep_pkey do update
  set statement = excluded.statement, reason = excluded.reason, run_id = excluded.run_id,
    given_at = excluded.given_at, fires_at = excluded.fires_at, invalid = excluded.invalid,
    before = excluded.before, finished_at = null, outcome = null, after = null;
  perform maintenance_internal.schedule_upkeep(v_need.statement, v_at);
  return true;
end
$$;

-- Whether nothing is going on, or what was is over now: then its receipt, and that of the run that
-- planned it, say how it was before and is afterwards.
create function maintenance_internal.settle_upkeep()
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_given maintenance_internal.upkeep;
  v_run maintenance_internal.run;
  v_after jsonb;
  v_outcome text;
  v_error text;
  v_entry jsonb;
  v_leftovers oid[];
begin
  select * into v_given from maintenance_internal.upkeep as u where u.finished_at is null;
  if not found then
    return true;
  end if;
  select r.* into v_run
  from maintenance_internal.run as r
  join maintenance_internal.job as j on j.job_id = r.job_id
  where j.job_name = 'upkeep_statement' and r.cron_run_id is not null
    and r.started_at > v_given.fires_at - interval '10 seconds' and not r.details ? 'outcome'
  order by r.started_at limit 1;
  if v_run.status = 'running' or exists (
      select from pg_stat_activity as a
      where a.datname = current_database() and a.state = 'active' and a.query = v_given.statement
        and a.pid <> pg_backend_pid())
    -- Its receipt may come with the next tick.
    or v_run.run_id is null and clock_timestamp() < v_given.fires_at + interval '2 minutes'
  then
    return false;
  end if;

  v_after := maintenance_internal.upkeep_state(v_given.relation, v_given.action);
  v_leftovers := array(
    select i.oid from unnest(maintenance_internal.invalid_indexes(v_given.relation)) as i (oid)
    join pg_class as c on c.oid = i.oid
    join pg_class as x on x.oid = to_regclass(v_given.relation)
    -- As Postgres names it: the name of the index, cut where both are too long together.
    cross join lateral substring(c.relname, '^(.*)_cc(?:new|old)[0-9]*$') as n (name)
    where v_given.action = 'reindex' and i.oid <> all (v_given.invalid)
      and (n.name = x.relname or octet_length(c.relname) > 60 and starts_with(x.relname, n.name)));
  v_outcome := case
    when v_run.status = 'succeeded' and v_given.action = 'reindex'
      and v_after -> 'oid' = v_given.before -> 'oid' then 'failed'
    when v_run.status = 'succeeded' then 'done'
    when v_run.run_id is not null or v_leftovers <> '{}' then 'failed'
    -- pg_cron keeps no history, or somebody else has done it: then its trace is what tells.
    when case v_given.action
      when 'reindex' then v_after -> 'oid' <> v_given.before -> 'oid'
      when 'vacuum' then greatest(pg_stat_get_last_vacuum_time(to_regclass(v_given.relation)),
        pg_stat_get_last_autovacuum_time(to_regclass(v_given.relation))) >= v_given.fires_at
      else greatest(pg_stat_get_last_analyze_time(to_regclass(v_given.relation)),
        pg_stat_get_last_autoanalyze_time(to_regclass(v_given.relation))) >= v_given.fires_at
      end then 'done'
    else 'not_fired'
  end;
  v_error := case v_outcome when 'not_fired' then 'pg_cron has not fired it'
    when 'failed' then case when v_run.status = 'succeeded' then 'it was not rebuilt'
      else coalesce(v_run.error, v_run.stop_reason, 'it has left an invalid index behind') end
    end;
  update maintenance_internal.upkeep as u
  set finished_at = maintenance_internal.moment(), outcome = v_outcome, after = v_after,
    -- A stop, or a crash of the server, says nothing of it, nor does what is gone.
    failures = case when v_outcome = 'done' then 0
      when v_outcome = 'failed' and v_after is not null
        and coalesce(v_run.status, 'failed') in ('failed', 'timeout', 'succeeded')
        and v_given.fires_at > pg_postmaster_start_time() then u.failures + 1
      else u.failures end,
    -- Those of before are ours still, as long as they are there.
    leftovers = array(
      select l.oid from unnest(u.leftovers || v_leftovers) as l (oid)
      join pg_index as i on i.indexrelid = l.oid and not i.indisvalid
      where v_outcome = 'failed' or l.oid = any (u.leftovers))
  where u.relation = v_given.relation and u.action = v_given.action;

  v_entry := jsonb_strip_nulls(jsonb_build_object('relation', v_given.relation,
    'action', v_given.action, 'reason', v_given.reason, 'outcome', v_outcome,
    'before', v_given.before - 'oid', 'after', v_after - 'oid', 'error', v_error,
    'runId', v_run.run_id,
    -- Dead rows that VACUUM has left are kept for somebody.
    'heldBy', case when v_given.action = 'vacuum' and v_outcome = 'done'
        and 2 * (v_after ->> 'deadRows')::bigint > (v_given.before ->> 'deadRows')::bigint then (
      select jsonb_agg(format('%s %s', h.kind, h.name))
      from (select * from maintenance.vacuum_holders limit 3) as h) end));
  update maintenance_internal.run as r set details = r.details || (v_entry - 'runId')
  where r.run_id = v_run.run_id;
  perform maintenance_internal.note_done(v_given.run_id, v_entry);
  perform maintenance_internal.schedule_upkeep();
  return true;
end
$$;

create function maintenance_internal.note_done(p_run_id bigint, p_entry jsonb)
returns void
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  update maintenance_internal.run as r
  set details = r.details || jsonb_build_object(
    'done', coalesce(r.details -> 'done', '[]') || jsonb_build_array(p_entry))
  where r.run_id = p_run_id;
end;

-- Drops what a REINDEX that was given here has left, and says whether there was any. Not by way of
-- pg_cron: a statement goes by a name, which may be another's a minute later.
create function maintenance_internal.drop_leftovers(p_run_id bigint)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'
as $$
declare
  v_left record;
  v_found boolean := false;
begin
  for v_left in
    select l.oid, maintenance_internal.full_name(l.oid) as name, c.relpages::bigint as pages
    from maintenance_internal.upkeep as u
    cross join unnest(u.leftovers) as l (oid)
    join pg_index as i on i.indexrelid = l.oid and not i.indisvalid
    join pg_class as c on c.oid = l.oid
  loop
    begin
      execute format('drop index %s', v_left.name);
      -- Its lock is held now, and until here the name may have become another's.
      if exists (select from pg_class as c where c.oid = v_left.oid) then
        raise lock_not_available;
      end if;
      perform maintenance_internal.note_done(p_run_id, jsonb_build_object(
        'relation', v_left.name, 'action', 'drop', 'outcome', 'done',
        'reason', 'a REINDEX CONCURRENTLY has left it', 'before', jsonb_build_object(
          'bytes', v_left.pages * current_setting('block_size')::bigint)));
      v_found := true;
    exception when lock_not_available or undefined_object or undefined_table then
      null; -- the next minute
    end;
  end loop;
  return v_found;
end
$$;

-- The plan of a run is over.
create function maintenance_internal.end_upkeep(p_stopped text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  update maintenance_internal.run as r
  set details = r.details || jsonb_build_object('stopped', p_stopped,
    'endedAt', maintenance_internal.moment(),
    'databaseBytesAfter', pg_database_size(current_database()))
  from maintenance_internal.turn as t
  where t.name = 'upkeep' and r.run_id = t.noted;
  update maintenance_internal.turn as t set noted = null where t.name = 'upkeep';
end
$$;
-- end of sql/engine/upkeep/continue_upkeep.sql

-- from sql/engine/upkeep/upkeep_step.sql 5d4b80644c8b63a7
-- A step for set_job: what needs VACUUM, ANALYZE or REINDEX is done by pg_cron in the minutes that
-- follow.

create function maintenance.upkeep_step(batch_size integer)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_run_id constant bigint := maintenance_internal.this_run();
  v_state constant record := maintenance_internal.cron_state();
  v_needs record;
begin
  if v_run_id is null then
    return 0;
  end if;
  -- Names of what is gone say nothing any more, but for what they have left.
  delete from maintenance_internal.upkeep as u
  where u.finished_at is not null and to_regclass(u.relation) is null and not exists (
    select from pg_index as i where i.indexrelid = any (u.leftovers) and not i.indisvalid);

  select count(*) filter (where n.held is null) as due,
    coalesce(jsonb_agg(n.row order by n.number) filter (where n.held is null
      and n.number <= 50), '[]') as plan,
    coalesce(jsonb_agg(n.row order by n.number) filter (where n.held is not null
      and n.number <= 50), '[]') as held
  into v_needs
  from (
    select u.held, row_number() over (partition by u.held is null) as number,
      jsonb_strip_nulls(jsonb_build_object('relation', u.relation, 'action', u.action,
        'reason', u.reason, 'held', u.held)) as row
    from maintenance.upkeep as u
  ) as n;
  if v_needs.due > 0 and v_state.gap is not null then
    raise exception '% statements have to be run, and none can be from here: %',
        v_needs.due, v_state.gap
      using errcode = 'PM010', hint = 'In psql: select statement from maintenance.upkeep where '
        'held is null \gexec';
  end if;

  perform maintenance_internal.end_upkeep('another run');
  perform maintenance.add_details(jsonb_build_object('planned', v_needs.due,
    'plan', v_needs.plan, 'held', v_needs.held, 'done', '[]'::jsonb,
    'databaseBytes', pg_database_size(current_database()),
    'until', maintenance_internal.moment()
      + maintenance_internal.setting('upkeep_minutes')::double precision * interval '1 minute'));
  update maintenance_internal.turn as t set noted = v_run_id where t.name = 'upkeep';
  -- What is going on belongs to this plan from now on.
  update maintenance_internal.upkeep as u set run_id = v_run_id where u.finished_at is null;
  perform maintenance_internal.continue_upkeep();
  return 0;
end
$$;

comment on function maintenance.upkeep_step(integer) is
  'A step for set_job: what the view maintenance.upkeep lists is done one after the other, each by '
  'a statement that pg_cron runs in a minute of its own (the job upkeep_statement), until the '
  'setting upkeep_minutes is over. The receipt says what was planned, what was held back and why, '
  'and, as they come to their end, of each statement how the table or index was before and is '
  'after (done), and at the end why no more were given (stopped). Rules S2-14, C-20. Errors: PM010 '
  'something has to be done, and pg_cron cannot be told from here.';
-- end of sql/engine/upkeep/upkeep_step.sql

-- from sql/engine/report/text.sql 451ebb9e92fbcd86
-- How report_html writes texts, numbers and times. The page is read as XML, too: every text of
-- anybody's goes through html_escape.

-- Characters that no page may hold, that turn the order of those around them, or that nobody sees,
-- are dropped.
create function maintenance_internal.html_escape(p_text text)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  p_text := regexp_replace(p_text, '[\x01-\x08\x0b-\x1f\x7f]', '', 'g');
  if getdatabaseencoding() = 'UTF8' then
    p_text := regexp_replace(p_text,
      '[\u0080-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff]', '', 'g');
  end if;
  return replace(replace(replace(replace(replace(p_text, '&', '&amp;'), '<', '&lt;'),
    '>', '&gt;'), '"', '&quot;'), '''', '&#39;');
end
$$;

-- At most so many characters, and an ellipsis where there were more.
create function maintenance_internal.html_cut(p_text text, p_length integer)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return maintenance_internal.html_escape(left(p_text, p_length))
  || case when length(p_text) > p_length then '&#8230;' else '' end;

create function maintenance_internal.html_number(p_number numeric)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return to_char(round(p_number), 'FM999,999,999,999,999,999,990');

-- What fits over a narrow column: 950, 12k, 1.2M.
create function maintenance_internal.html_short_number(p_number numeric)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return case
  when p_number < 1000 then round(p_number)::text
  when p_number < 9950 then to_char(p_number / 1e3, 'FM990.0') || 'k'
  when p_number < 999500 then round(p_number / 1e3)::text || 'k'
  when p_number < 9950000 then to_char(p_number / 1e6, 'FM990.0') || 'M'
  else maintenance_internal.html_number(p_number / 1e6) || 'M'
end;

-- USD, to the cent; what is less, to its first two digits.
create function maintenance_internal.html_usd(p_usd numeric)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return case
  when p_usd is null then '-'
  when p_usd = 0 or p_usd >= 0.1 then to_char(p_usd, 'FM$999,999,999,990.00')
  when p_usd >= 0.001 then to_char(p_usd, 'FM$0.0000')
  else '&lt; $0.001'
end;

create function maintenance_internal.html_short_usd(p_usd numeric)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return case
  when p_usd >= 99.995 then '$' || maintenance_internal.html_short_number(p_usd)
  when p_usd >= 0.01 or p_usd = 0 then to_char(p_usd, 'FM$990.00')
  else '&lt; 1 &#162;'
end;

create function maintenance_internal.html_duration(p_ms numeric)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return case
  when p_ms is null then '-'
  when p_ms < 999.5 then round(p_ms)::text || ' ms'
  when p_ms < 59950 then to_char(p_ms / 1e3, 'FM990.0') || ' s'
  when p_ms < 5970000 then round(p_ms / 6e4)::text || ' min'
  when p_ms < 172800000 then to_char(p_ms / 3.6e6, 'FM990.0') || ' h'
  else round(p_ms / 8.64e7)::text || ' days'
end;

create function maintenance_internal.html_time(p_at timestamptz)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return case when isfinite(p_at)
  then to_char(p_at at time zone 'UTC', '"<time>"YYYY-MM-DD HH24:MI" UTC</time>"') else '-' end;

-- A word with the colour and the sign of what it means.
create function maintenance_internal.html_badge(p_word text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return (
  select concat('<span class="badge ', m.meaning, '"><span class="sign" aria-hidden="true">',
    case m.meaning when 'ok' then '&#10003;' when 'notice' then '&#9679;'
      when 'warning' then '&#9650;' when 'critical' then '&#10007;' else '&#9675;' end,
    '</span>', maintenance_internal.html_escape(p_word), '</span>')
  from (
    select case
      when p_word in ('ok', 'excellent', 'good', 'succeeded') then 'ok'
      when p_word in ('notice', 'running', 'waiting', 'failing_over') then 'notice'
      when p_word in ('warning', 'cancelled', 'interrupted', 'given up', 'cooling') then 'warning'
      when p_word in ('critical', 'failed', 'timeout', 'blocked', 'retired') then 'critical'
      else 'plain'
    end
  ) as m (meaning)
);

-- An advice, its statements in <code>, to be copied; at most 8,000 characters. Null for null.
create function maintenance_internal.html_advice(p_text text)
returns text
language plpgsql
immutable
strict
set search_path = pg_catalog, pg_temp
as $$
declare
  v_from text;
  v_to integer;
  v_piece text;
  v_html text := '';
begin
  -- What is escaped has none of \x01 and \x02.
  p_text := regexp_replace(left(p_text, 8000), '[\x01\x02]', '', 'g');
  p_text := regexp_replace(p_text, maintenance_internal.statement_pattern(), e'\x01\\&\x02', 'g');
  foreach v_from in array string_to_array(p_text, e'\x01') loop
    v_to := position(e'\x02' in v_from);
    v_piece := maintenance_internal.html_escape(left(v_from, greatest(v_to - 1, 0)));
    v_html := v_html || case when v_to = 0 or v_from ~ '^[''"]' then v_piece
        else '<code>' || v_piece || '</code>' end
      || maintenance_internal.html_escape(substr(v_from, v_to + 1));
  end loop;
  return v_html;
end
$$;
-- end of sql/engine/report/text.sql

-- from sql/engine/report/style.sql 11d9ffe67f980c7f
-- How report_html looks: one column of sections, which are lists where a telephone can show them
-- and tables in boxes of their own where it cannot. Colours mean something, and none stands alone:
-- a word, a sign or a height says the same.

create function maintenance_internal.report_style()
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return $style$
:root {
  color-scheme: light dark; --shade: #00000026;
  --page: #f7f7f5; --card: #ffffff; --line: #e2e3e0; --rail: #ebece9; --text: #1c2024;
  --muted: #5a626b; --ink: #4a5a6e; --ok: #1b7a4b; --ok-mark: #58b184; --notice: #2a5fb0;
  --warning: #8f5400; --warning-mark: #d98a1f; --critical: #b4231c; --ok-soft: #e7f4ec;
  --notice-soft: #e8eff9; --warning-soft: #fbf0dd; --critical-soft: #fbe9e7;
}
@media (prefers-color-scheme: dark) {
  :root {
    --shade: #00000099; --page: #121518; --card: #1a1e22; --line: #2d3338; --rail: #2a3035;
    --text: #e7e9eb;
    --muted: #a0a9b2; --ink: #8fa3bd; --ok: #6bcb97; --ok-mark: #3f9c6d; --notice: #86b3f4;
    --warning: #e8b058; --warning-mark: #d9952f; --critical: #ff9088; --ok-soft: #173325;
    --notice-soft: #1a2b45; --warning-soft: #3a2b12; --critical-soft: #43201e;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial,
    sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: break-word;
}
main, header, footer { max-width: 72rem; margin: 0 auto; padding: 0 clamp(1rem, 4vw, 2.5rem); }
header { padding-top: clamp(1.5rem, 5vw, 3rem); }
h1, h2, h3, h4, p, ul, ol, dl, dd { margin: 0; padding: 0; }
ul, ol { list-style: none; }
h1 {
  font-size: clamp(1.6rem, 1.2rem + 2vw, 2.4rem); line-height: 1.15; font-weight: 650;
  letter-spacing: -0.02em; overflow-wrap: anywhere;
}
h2 { font-size: 1.25rem; font-weight: 650; letter-spacing: -0.01em; }
h3, h4 { font-size: 1rem; font-weight: 600; overflow-wrap: anywhere; }
section { padding: 2.25rem 0 0; }
a { color: var(--notice); }
time { white-space: nowrap; }
.kicker { color: var(--muted); font-size: 0.875rem; font-weight: 600; margin-bottom: 0.25rem; }
.meta { color: var(--muted); font-size: 0.875rem; margin-top: 0.5rem; }
.meta li { display: inline; }
.meta li + li::before { content: "/"; padding: 0 0.5em; opacity: 0.5; }
.lead { color: var(--muted); max-width: 48rem; margin-bottom: 1rem; font-size: 0.9375rem;
  text-wrap: pretty; }
.none, .card {
  background: var(--card); border: 1px solid var(--line); border-radius: 0.625rem;
  padding: 1rem 1.125rem;
}
.none { color: var(--muted); }
.card + .card, .scroll + .card, .card + .scroll, .rows + .card, .none + .card, details,
details + .scroll { margin-top: 0.75rem; }
.verdict {
  display: flex; gap: 0.75rem; align-items: baseline; margin-top: 1.25rem;
  padding: 1rem 1.125rem; border-radius: 0.625rem; font-size: 1.25rem; font-weight: 600;
  line-height: 1.35;
}
.verdict.ok { background: var(--ok-soft); color: var(--ok); }
.verdict.warning { background: var(--warning-soft); color: var(--warning); }
.verdict.critical { background: var(--critical-soft); color: var(--critical); }
.tiles {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: 1px;
  margin-top: 0.75rem; background: var(--line); border: 1px solid var(--line);
  border-radius: 0.625rem; overflow: hidden;
}
.tiles div { background: var(--card); padding: 0.75rem 1.125rem; }
.tiles dt { color: var(--muted); font-size: 0.8125rem; }
.tiles dd { overflow-wrap: anywhere; font-size: 1.375rem; font-weight: 600; letter-spacing: -0.01em;
  line-height: 1.3; }
.tiles small { display: block; color: var(--muted); font-size: 0.8125rem; font-weight: 400;
  letter-spacing: 0; }
.toc { margin-top: 1rem; font-size: 0.875rem; display: flex; flex-wrap: wrap; }
.toc a { display: inline-block; padding: 0.25rem 1rem 0.25rem 0; text-decoration: none; }
.toc a:hover { text-decoration: underline; }
.badge {
  display: inline-block; white-space: nowrap; font-size: 0.8125rem; font-weight: 600;
  line-height: 1.5; padding: 0 0.5rem; border-radius: 0.375rem; background: var(--rail);
  color: var(--text);
}
.badge .sign { margin-right: 0.35em; }
.badge.ok { background: var(--ok-soft); color: var(--ok); }
.badge.notice { background: var(--notice-soft); color: var(--notice); }
.badge.warning { background: var(--warning-soft); color: var(--warning); }
.badge.critical { background: var(--critical-soft); color: var(--critical); }
.item { border-left: 4px solid var(--line); }
.item.critical { border-left-color: var(--critical); }
.item.warning { border-left-color: var(--warning-mark); }
.item-head { display: flex; flex-wrap: wrap; gap: 0.25rem 0.75rem; align-items: baseline; }
.item-head h3, .item-head h4 { flex: 0 1 auto; }
.item-head .when { margin-left: auto; }
.when, .note { color: var(--muted); font-size: 0.875rem; }
.note { margin-top: 0.125rem; overflow-wrap: anywhere; }
.advice code:last-child { margin-bottom: 0.125rem; }
h3.sub { margin: 1.25rem 0 0.75rem; }
.gap { height: 0.75rem; }
.error { margin-top: 0.375rem; font-size: 0.9375rem; overflow-wrap: anywhere; }
.advice { margin-top: 0.5rem; font-size: 0.9375rem; overflow-wrap: anywhere; }
code {
  display: block; margin: 0.375rem 0; padding: 0.4375rem 0.75rem; border-radius: 0.375rem;
  background: var(--page); border: 1px solid var(--line); white-space: pre-wrap;
  overflow-wrap: anywhere; user-select: all;
  font: 0.8125rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace;
}
.rows { background: var(--card); border: 1px solid var(--line); border-radius: 0.625rem; }
.row {
  display: grid; grid-template-columns: minmax(0, 15rem) minmax(0, 1fr) minmax(0, 13rem);
  gap: 0 1.25rem; align-items: center; padding: 0.5rem 1.125rem;
}
.row + .row { border-top: 1px solid var(--line); }
.row .name { font-weight: 600; font-size: 0.9375rem; overflow-wrap: anywhere; line-height: 1.35; }
.row .aside { font-size: 0.875rem; color: var(--muted); overflow-wrap: anywhere; }
.row .aside b { color: var(--text); font-weight: 600; }
.row .aside .bad { color: var(--critical); font-weight: 600; }
.row .aside .odd { color: var(--warning); font-weight: 600; }
.due .row { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr) 5rem 14rem; }
.due .row .badge { margin-bottom: 0.125rem; }
.idle { display: grid; grid-template-columns: repeat(auto-fill, minmax(24rem, 1fr));
  gap: 0.125rem 2rem; margin-top: 0.5rem; font-size: 0.875rem; }
.idle li { display: flex; flex-wrap: wrap; gap: 0 0.375rem; align-items: baseline; min-width: 0; }
.idle .name { overflow-wrap: anywhere; }
.idle .sign { color: var(--ok); }
.idle .when { margin-left: auto; white-space: nowrap; font-size: 0.8125rem; }
.due .row .count { text-align: right; font-weight: 600; white-space: nowrap; }
.lanes .row { grid-template-columns: minmax(0, 17rem) minmax(0, 1fr) minmax(0, 12rem); }
.lanes .row .name { font-size: 0.875rem; }
.lanes .row .aside span { white-space: nowrap; margin-left: 0.375rem; }
.pair { display: grid; grid-template-columns: 1fr auto; gap: 0.125rem 0.75rem;
  align-items: center; font-size: 0.8125rem; color: var(--muted); }
.pair span { min-width: 7.5rem; text-align: right; }
svg { display: block; width: 100%; overflow: hidden; }
.bar { height: 0.625rem; border-radius: 0.1875rem; }
.strip { height: 1.375rem; }
.rail { fill: var(--rail); }
.ink { fill: var(--ink); }
.m0 { fill: var(--muted); } .m1 { fill: var(--ok-mark); } .m2 { fill: var(--notice); }
.m3 { fill: var(--warning-mark); } .m4 { fill: var(--critical); }
.grid { stroke: var(--line); stroke-width: 1px; vector-effect: non-scaling-stroke; fill: none; }
.now { stroke: var(--muted); stroke-width: 1px; vector-effect: non-scaling-stroke; fill: none;
  stroke-dasharray: 2 2; }
.axis {
  display: grid; grid-auto-flow: column; grid-auto-columns: minmax(0, 1fr); color: var(--muted);
  font-size: 0.75rem; line-height: 1.4; padding-top: 0.125rem;
}
.row.axis-row { padding-top: 0.375rem; padding-bottom: 0.25rem; }
.legend { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; margin-top: 0.625rem;
  color: var(--muted); font-size: 0.8125rem; }
.legend li { display: flex; align-items: center; gap: 0.4rem; }
.legend svg { width: 0.75rem; height: 1.125rem; }
.columns { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(0, 1fr);
  gap: clamp(0.25rem, 1.5vw, 1.25rem); }
.column { text-align: center; font-size: 0.8125rem; white-space: nowrap; }
.plot { height: 8.5rem; display: flex; flex-direction: column; justify-content: flex-end;
  border-bottom: 1px solid var(--muted); }
.plot svg { flex: none; width: min(80%, 3.5rem); align-self: center; margin-bottom: -1px;
  border-radius: 0.1875rem 0.1875rem 0 0; }
.plot b { font-weight: 600; line-height: 1.6; }
.plot .no { color: var(--muted); font-weight: 400; }
.column .day { color: var(--muted); font-size: 0.75rem; line-height: 1.4; padding-top: 0.25rem;
  white-space: normal; }
.many { border-bottom: 1px solid var(--muted); height: 8.5rem; }
.most { color: var(--muted); font-size: 0.8125rem; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: 0.625rem; }
.scroll:focus-visible, a:focus-visible, summary:focus-visible {
  outline: 2px solid var(--notice); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: 0.875rem; }
th, td { padding: 0.5rem 0.75rem; text-align: left; vertical-align: baseline; }
th:first-child, td:first-child { padding-left: 1.125rem; }
th:last-child, td:last-child { padding-right: 1.125rem; }
thead th { color: var(--muted); font-weight: 600; font-size: 0.8125rem; white-space: nowrap;
  vertical-align: bottom; }
tbody tr { border-top: 1px solid var(--line); }
tbody th { font-weight: 600; }
th, td { white-space: nowrap; }
.n { text-align: right; white-space: nowrap; }
td.text { white-space: normal; min-width: 14rem; overflow-wrap: anywhere; }
summary { cursor: pointer; color: var(--notice); font-size: 0.875rem; padding: 0.25rem 0; }
details .scroll { margin-top: 0.25rem; }
footer { color: var(--muted); font-size: 0.8125rem; padding-top: 2.5rem; padding-bottom: 3rem; }
@media (max-width: 62rem) {
  .row, .due .row { grid-template-columns: minmax(0, 1fr) auto; gap: 0.125rem 0.75rem;
    padding: 0.625rem 1rem; }
  .row .chart { grid-column: 1 / -1; grid-row: 2; padding: 0.25rem 0; }
  .row .aside { grid-column: 1 / -1; }
  .lanes .row { display: flex; flex-wrap: wrap; justify-content: space-between; }
  .lanes .row .chart { order: 1; flex: 1 0 100%; }
  .lanes .row .aside span:first-child { margin-left: 0; }
  .scroll { background:
      linear-gradient(to right, var(--card), transparent) left / 2.5rem 100%,
      linear-gradient(to left, var(--card), transparent) right / 2.5rem 100%,
      linear-gradient(to right, var(--shade), transparent) left / 0.875rem 100%,
      linear-gradient(to left, var(--shade), transparent) right / 0.875rem 100%, var(--card);
    background-repeat: no-repeat; background-attachment: local, local, scroll, scroll, local; }
  .plot b { font-size: 0.6875rem; letter-spacing: -0.03em; }
  .idle { grid-template-columns: minmax(0, 1fr); gap: 0.375rem; }
  .idle .when { flex: 0 0 100%; margin-left: 0; padding-left: 1.25rem; }
  .idle .when:empty { display: none; }
  .axis, .column .day { word-spacing: 100vw; }
  code { font-size: 0.75rem; padding: 0.4375rem 0.625rem; }
  .row.axis-row > :first-child, .row.axis-row > :last-child { display: none; }
  .item-head .when { margin-left: 0; width: 100%; }
  .card, .none { padding: 0.875rem 1rem; }
  .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .tiles div { padding: 0.625rem 1rem; }
}
@media print {
  body { background: none; } .toc { display: none; } .card, .rows { break-inside: avoid; }
  .scroll { overflow: visible; } table { font-size: 0.75rem; }
  th, td, thead th, .n, .badge { white-space: normal; padding: 0.25rem 0.375rem;
    overflow-wrap: anywhere; min-width: 0; }
}
$style$;
-- end of sql/engine/report/style.sql

-- from sql/engine/report/charts.sql 07b7963c5afc6016
-- The drawings of report_html: inline SVG without a word in it, so that it can be stretched to any
-- width; what is to be read stands beside it in HTML. Each says in a title what it shows.

-- A part of 100, on a rail.
create function maintenance_internal.report_bar(p_share numeric, p_label text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return concat('<svg class="bar" role="img" aria-label="', p_label,
  '" viewBox="0 0 100 1" preserveAspectRatio="none"><title>', p_label,
  '</title><rect class="rail" width="100" height="1"/><rect class="ink" width="',
  round(least(greatest(p_share, 0), 100), 2), '" height="1"/></svg>');

-- A number a day as columns, one beside the other: up to seven with their values over them, more of
-- them in one drawing, where the highest is told. A day without anything says so, or is bare.
create function maintenance_internal.report_columns(
  p_days date[],
  p_values numeric[],
  p_shown text[],
  p_label text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_most constant numeric := (select max(v) from unnest(p_values) as v);
  v_days constant integer := cardinality(p_days);
  v_peak integer;
begin
  if v_days <= 7 then
    return (
      select concat('<div class="card"><div class="columns">', string_agg(concat(
        '<div class="column"><div class="plot">', case when d.value > 0
          then concat('<b>', p_shown[d.n], '</b><svg role="img" aria-label="', t.label,
            '" style="height:', round(greatest(84 * d.value / v_most, 1), 1),
            '%" viewBox="0 0 1 1" preserveAspectRatio="none"><title>', t.label,
            '</title><rect class="ink" width="1" height="1"/></svg>')
          else '<b class="no">none</b>' end,
        '</div><div class="day">', to_char(d.day, 'Dy DD'), '</div></div>'), '' order by d.n),
        '</div></div>')
      from unnest(p_days, p_values) with ordinality as d (day, value, n)
      cross join lateral (
        select concat(p_label, ', ', to_char(d.day, 'YYYY-MM-DD'), ': ', p_shown[d.n]) as label
      ) as t);
  end if;
  v_peak := array_position(p_values, v_most);
  return (
    select concat('<div class="card"><p class="most">The most: ', p_shown[v_peak], ' on ',
      to_char(p_days[v_peak], 'YYYY-MM-DD'), '; a day without a column had none</p>'
      '<svg class="many" role="img" aria-label="', p_label, '" viewBox="0 0 ', v_days,
      ' 100" preserveAspectRatio="none"><title>', p_label,
      '</title>', string_agg(case when d.value > 0 then concat('<rect class="ink" x="',
        d.n - 0.9, '" y="', round(100 - h.height, 1), '" width="0.8" height="', h.height,
        '"><title>', to_char(d.day, 'YYYY-MM-DD'), ': ', p_shown[d.n], '</title></rect>') end, ''
        order by d.n),
      '</svg>', maintenance_internal.report_axis(p_days[1], v_days), '</div>')
    from unnest(p_days, p_values) with ordinality as d (day, value, n)
    cross join lateral (
      select round(greatest(100 * d.value / nullif(v_most, 0), 1), 1) as height) as h);
end
$$;

-- The days under a drawing, or the hours of one, each at the beginning of its part: as many as a
-- telephone has room for.
create function maintenance_internal.axis_parts(p_days integer)
returns integer
language sql
immutable
set search_path = pg_catalog, pg_temp
return case when p_days = 1 then 4 when p_days <= 7 then p_days else 5 end;

create function maintenance_internal.report_axis(p_from date, p_days integer)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return (
  select concat('<div class="axis">', string_agg(concat('<span>', to_char(
      case p_days when 1 then p_from + i * interval '6 hours'
        else p_from + floor(i * p_days::numeric / a.parts)::integer end,
      case when p_days = 1 then 'HH24:MI' when p_days <= 7 then 'Dy DD' else 'MM-DD' end),
    '</span>'), '' order by i), '</div>')
  from maintenance_internal.axis_parts(p_days) as a (parts)
  cross join lateral generate_series(0, a.parts - 1) as i
);

-- One lane of the timeline. The marks come as arrays, one for each bucket in which the job did
-- anything; what went well is one path, what did not can be pointed at, and is never too thin to
-- be seen.
create function maintenance_internal.report_lane(
  p_label text,
  p_buckets integer,
  p_now numeric,
  p_grid text,
  p_at integer[],
  p_levels integer[],
  p_titles text[])
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return (
  select concat('<svg class="strip" role="img" aria-label="', p_label, '" viewBox="0 0 ',
    p_buckets, ' 16" preserveAspectRatio="none"><title>', p_label, '</title>'
    '<rect class="rail" y="5" width="', p_now, '" height="6"/><path class="grid" d="', p_grid,
    '"/>',
    '<path class="m0" d="' || string_agg(format('M%s 14h1v2h-1z', m.at), '' order by m.at)
      filter (where m.level = 0) || '"/>',
    '<path class="m1" d="' || string_agg(format('M%s 5h1v6h-1z', m.at), '' order by m.at)
      filter (where m.level = 1) || '"/>',
    string_agg(format('<rect class="m%s" x="%s" y="%s" width="%s" height="%s"><title>%s</title>'
      '</rect>', m.level, round(least(m.at, p_buckets - b.width), 2), b.y, round(b.width, 2),
      16 - 2 * b.y, m.title), '' order by m.level, m.at) filter (where m.level > 1),
    '<path class="now" d="M', p_now, ' 0v16"/></svg>')
  from unnest(p_at, p_levels, p_titles) as m (at, level, title)
  cross join lateral (
    select greatest(1, p_buckets / 110.0) as width,
      case m.level when 4 then 0 when 3 then 2 else 4 end as y
  ) as b
);

-- A section: its heading, one sentence about it, and what it shows.
create function maintenance_internal.report_section(
  p_id text,
  p_title text,
  p_lead text,
  p_body text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return concat('<section id="', p_id, '" aria-labelledby="', p_id, '-title"><h2 id="', p_id,
  '-title">', p_title, '</h2><p class="lead">', p_lead, '</p>', p_body, '</section>',
  chr(10));

-- A table in a box that can be scrolled. The first column of p_rows are <th scope="row">; a heading
-- that begins with # is one of numbers.
create function maintenance_internal.report_table(p_label text, p_heads text[], p_rows text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return (
  select concat('<div class="scroll" tabindex="0" role="region" aria-label="', p_label,
    ', table"><table><thead><tr>', string_agg(concat('<th scope="col"',
      case when h.head ^@ '#' then ' class="n"' end, '>', ltrim(h.head, '#'), '</th>'), ''
      order by h.n), '</tr></thead><tbody>', p_rows, '</tbody></table></div>')
  from unnest(p_heads) with ordinality as h (head, n)
);

create function maintenance_internal.report_none(p_text text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return concat('<p class="none">', p_text, '</p>');
-- end of sql/engine/report/charts.sql

-- from sql/engine/report/status.sql a387bfcba8e26e35
-- The sections of report_html about now: what to act on, and what is due. p_status: the rows of
-- maintenance_status, which are dear to count, and counted once.

create function maintenance_internal.status_rows(p_status jsonb)
returns table (
  task text,
  count bigint,
  severity text,
  oldest timestamptz,
  next_run_at timestamptz,
  advice text,
  job_name text,
  description text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select s.task, s.count, s.severity, s.oldest, s.next_run_at, s.advice, s.job_name,
    s.description
  from jsonb_to_recordset(p_status) as s (task text, count bigint, severity text,
    oldest timestamptz, next_run_at timestamptz, advice text, job_name text, description text);
end;

-- Counts of the status stop at 10,000.
create function maintenance_internal.html_due(p_count bigint)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return maintenance_internal.html_number(p_count) || case when p_count >= 10000 then '+' else '' end;

-- What somebody should act on: rows of the status, and alerts that are open and not silenced. An
-- alert about a row is one thing with it, as bad as the worse of the two.
create function maintenance_internal.report_acts(
  p_status jsonb,
  out acts bigint,
  out critical bigint)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  with row_of as (
    select s.task, s.job_name, s.severity from maintenance_internal.status_rows(p_status) as s
    where s.severity in ('warning', 'critical')
  ),
  called as (
    select a.alert_id, a.severity, (
      select min(s.task) from row_of as s
      where s.task in (a.cause, a.subject) or s.job_name = a.subject
        or a.cause = 'job_failing' and s.task = 'jobs_failing'
        or a.cause = 'model' and s.task = 'models') as task
    from maintenance.alert as a
    where a.closed_at is null and a.gone_at is null
      and (a.silenced_until > maintenance_internal.clock()) is not true
  )
  select count(*), count(*) filter (where t.severity = 'critical')
  from (
    select least(s.severity, (
      select min(c.severity) from called as c where c.task = s.task)) as severity -- c before w
    from row_of as s
    union all
    select c.severity from called as c where c.task is null
  ) as t;
end;

create function maintenance_internal.report_act(p_status jsonb)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_shown constant integer := 50;
  v_rows text;
  v_alerts text;
  v_open bigint;
begin
  select string_agg(concat('<li class="card item ', s.severity, '"><div class="item-head">',
      maintenance_internal.html_badge(s.severity), '<h3>',
      maintenance_internal.html_cut(s.task, 100), '</h3>',
      '<span>' || maintenance_internal.html_due(nullif(s.count, 0)) || '</span>',
      case when isfinite(s.oldest) then '<span class="when">'
        || case when s.job_name is null then 'since ' else 'oldest ' end
        || maintenance_internal.html_time(s.oldest) || '</span>' end,
      '</div><p class="note">', maintenance_internal.html_cut(s.description, 500), '</p>',
      '<div class="advice">' || maintenance_internal.html_advice(s.advice) || '</div>', '</li>'),
      '' order by s.severity, s.task)
  into v_rows
  from maintenance_internal.status_rows(p_status) as s
  where s.severity in ('warning', 'critical');

  select count(*) into v_open from maintenance.alert as a where a.closed_at is null;
  select string_agg(concat('<li class="card item ', case when a.silenced_until is null
        and a.gone_at is null then a.severity end, '"><div class="item-head">',
      maintenance_internal.html_badge(a.severity), '<h4>',
      maintenance_internal.html_cut(concat_ws(': ', a.cause, nullif(a.subject, '')), 150),
      '</h4><span class="when">since ', maintenance_internal.html_time(a.opened_at),
      ', ' || case when a.silenced_until is not null
        then 'silenced until ' || maintenance_internal.html_time(a.silenced_until)
        when a.gone_at is not null
        then 'gone since ' || maintenance_internal.html_time(a.gone_at)
        else 'seen ' || maintenance_internal.html_time(a.seen_at) end,
      '</span></div><p class="note">',
      maintenance_internal.html_cut(a.description, 500), '</p>',
      '<div class="advice">' || maintenance_internal.html_advice(a.advice) || '</div>', '</li>'),
      '' order by a.silenced_until is not null, a.severity, a.opened_at, a.alert_id)
  into v_alerts
  from (
    select a.alert_id, a.cause, a.subject, a.severity, a.description, a.advice, a.opened_at,
      a.seen_at, a.gone_at, case when a.silenced_until > maintenance_internal.clock()
        then a.silenced_until end as silenced_until
    from maintenance.alert as a
    where a.closed_at is null
    order by a.severity, a.opened_at desc
    limit v_shown
  ) as a;

  return maintenance_internal.report_section('act', 'What to act on',
    case when v_rows is null and v_alerts is null then 'What is behind, broken or given up.'
      else 'What is behind, broken or given up, the critical first; a statement can be copied as '
        'it stands.' end,
    case when v_rows is null and v_alerts is null then maintenance_internal.report_none(
        'Nothing: no rule is behind or broken, and no alert is open.')
      else concat('<ul>' || v_rows || '</ul>',
        '<h3 class="sub">Open alerts</h3><ul>' || v_alerts || '</ul>',
        case when v_open > v_shown then format('<p class="when">And %s more alerts.</p>',
          v_open - v_shown) end) end);
end
$$;

create function maintenance_internal.report_due(p_status jsonb)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_rows text;
  v_idle text;
begin
  select string_agg(concat('<li class="row"><div><div class="name">', n.name,
      '</div><div class="note">', maintenance_internal.html_cut(s.description, 200),
      '</div></div><div class="chart">', maintenance_internal.report_bar(
        100 * ln(1 + greatest(s.count, 0)::numeric) / ln(10001::numeric),
        concat(n.name, ': ', maintenance_internal.html_due(s.count), ' due')),
      '</div><div class="count">', maintenance_internal.html_due(s.count),
      '</div><div class="aside">', maintenance_internal.html_badge(s.severity),
      case when s.job_name is null then '<br/>since ' else '<br/>oldest ' end
        || nullif(maintenance_internal.html_time(s.oldest), '-'),
      '<br/>next ' || nullif(maintenance_internal.html_time(s.next_run_at), '-'),
      '<br/>' || maintenance_internal.html_cut(nullif(s.advice, ''), 200),
      '</div></li>'), '' order by s.count desc nulls last, s.task)
    filter (where s.count <> 0 or s.severity <> 'ok'),
    string_agg(concat('<li><span class="sign" aria-hidden="true">&#10003;</span>'
      '<span class="name">', n.name, '</span><span class="when">', case
        when isfinite(s.next_run_at) then 'next '
          || maintenance_internal.html_time(s.next_run_at) end, '</span></li>'), ''
      order by s.task) filter (where (s.count <> 0 or s.severity <> 'ok') is not true)
  into v_rows, v_idle
  from maintenance_internal.status_rows(p_status) as s
  cross join lateral (select maintenance_internal.html_cut(s.task, 100) as name) as n
  where s.severity not in ('warning', 'critical');
  return maintenance_internal.report_section('due', 'Due by rule',
    'What the other rules would take now, and when they will. A bar grows with the order of '
      'magnitude, and counting stops at 10,000.',
    concat(
      coalesce('<ul class="rows due">' || v_rows || '</ul>', maintenance_internal.report_none(
        'Nothing is due beyond what is to be acted on.')),
      '<div class="card"><h3>Ok: nothing due</h3><ul class="idle">' || v_idle || '</ul></div>'));
end
$$;
-- end of sql/engine/report/status.sql

-- from sql/engine/report/runs.sql 5d3e64c0b6e5cb0b
-- The sections of report_html about runs by day and in time, each over the receipts of the period
-- once.

create function maintenance_internal.report_days(p_from timestamptz, p_days integer)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_own constant integer[] := maintenance_internal.own_jobs();
  v_days date[];
  v_values numeric[];
  v_shown text[];
  v_table text;
begin
  select array_agg(d.day order by d.day), array_agg(coalesce(r.rows_affected, 0) order by d.day),
    array_agg(case when p_days <= 7
      then maintenance_internal.html_short_number(coalesce(r.rows_affected, 0))
      else maintenance_internal.html_number(coalesce(r.rows_affected, 0)) || ' rows' end
      order by d.day),
    string_agg(concat('<tr><th scope="row">', to_char(d.day, 'Dy YYYY-MM-DD'), '</th>',
      '<td class="n">', case when r.rows_affected > 0
        then maintenance_internal.html_number(r.rows_affected) else 'none' end,
      '</td><td class="n">', maintenance_internal.html_number(coalesce(r.runs, 0)),
      '</td><td class="n">', maintenance_internal.html_number(coalesce(r.failed, 0)),
      '</td></tr>'), '' order by d.day desc)
  into v_days, v_values, v_shown, v_table
  from (
    select (p_from at time zone 'UTC')::date + i as day from generate_series(0, p_days - 1) as i
  ) as d
  left join (
    select (h.at at time zone 'UTC')::date as day, sum(h.rows_affected) as rows_affected,
      count(*) filter (where h.status <> 'skipped') as runs,
      count(*) filter (where h.status in ('failed', 'timeout', 'interrupted')) as failed
    from (
      select coalesce(r.started_at, r.finished_at) as at, r.rows_affected, r.status
      from maintenance_internal.run as r
      where r.job_id <> all (v_own)
    ) as h
    where h.at >= p_from
    group by 1
  ) as r on r.day = d.day;
  return maintenance_internal.report_section('nights', 'Rows by night',
    concat('Rows that runs deleted, updated or counted, by the day (UTC) on which they began: ',
      maintenance_internal.html_number((select sum(v) from unnest(v_values) as v)), ' in all.'),
    case when (select max(v) from unnest(v_values) as v) > 0
      then concat(maintenance_internal.report_columns(v_days, v_values, v_shown,
        'Rows by day'), '<details><summary>The numbers, day by day</summary>',
        maintenance_internal.report_table('Rows by day', array['Day', '#Rows', '#Runs', '#Failed'],
          v_table), '</details>')
      else maintenance_internal.report_none('No run has changed a row in this time.') end);
end
$$;

-- One lane a job. Marks are buckets of time, so that a job of every minute takes no more room than
-- any other: at most 186 of them, whatever the period is.
create function maintenance_internal.report_timeline(
  p_from timestamptz,
  p_now timestamptz,
  p_days integer)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_most_lanes constant integer := 40;
  -- The kit's own, which write one receipt each anew, have no line in time.
  v_own constant integer[] := maintenance_internal.own_jobs();
  v_width integer;
  v_word text;
  v_buckets integer;
  v_grid text;
  v_jobs bigint;
  v_lanes text;
begin
  select w.seconds, w.word into v_width, v_word
  from (values (600, '10 minutes'), (1800, '30 minutes'), (3600, 'an hour'), (7200, '2 hours'),
    (14400, '4 hours'), (21600, '6 hours'), (43200, '12 hours'), (86400, 'a day'),
    (172800, '2 days')) as w (seconds, word)
  where p_days * 86400 / w.seconds <= 186
  order by w.seconds
  limit 1;
  v_buckets := ceil(p_days * 86400.0 / v_width);
  select string_agg(format('M%s 0v16', round(i * p_days * 86400.0 / a.parts / v_width, 2)), '')
  into v_grid
  from maintenance_internal.axis_parts(p_days) as a (parts)
  cross join lateral generate_series(1, a.parts - 1) as i;

  with bucket as (
    select r.job_name, r.at, max(r.level) as level, count(*) filter (where r.level > 0) as runs,
      count(*) filter (where r.level = 4) as failed, count(*) filter (where r.level = 3) as odd,
      count(*) filter (where r.level = 0) as skipped
    from (
      select h.job_name,
        -- date_part gives a double precision, which is a third of the work of extract's numeric.
        floor(date_part('epoch', coalesce(h.started_at, h.finished_at, h.due_at) - p_from)
          / v_width)::integer as at,
        case
          when h.status = 'succeeded' then 1
          when h.status in ('failed', 'timeout') then 4
          when h.status in ('cancelled', 'interrupted') then 3
          when h.status = 'skipped' then case when h.error is null then 0 else 3 end
          else 2
        end as level
      from maintenance_internal.run as h
      where coalesce(h.started_at, h.finished_at, h.due_at) >= p_from
        and coalesce(h.started_at, h.finished_at, h.due_at) < p_from + p_days * interval '24 hours'
        and h.job_id <> all (v_own)
    ) as r
    group by r.job_name, r.at
  ), lane as (
    select b.job_name, sum(b.runs) as runs, sum(b.failed) as failed, sum(b.odd) as odd,
      sum(b.skipped) as skipped, array_agg(b.at) as at, array_agg(b.level) as levels,
      array_agg(b.runs) as run_counts, array_agg(b.failed) as failed_counts,
      row_number() over (order by sum(b.failed) desc, sum(b.odd) desc,
        sum(b.runs) > 48 * p_days, b.job_name) as n
    from bucket as b
    group by b.job_name
  )
  select max(l.n), string_agg(concat('<li class="row"><div class="name">', n.name,
      '</div><div class="chart">', maintenance_internal.report_lane(
        concat(n.name, ': ', w.runs, w.failed, w.odd), v_buckets,
        round(extract(epoch from p_now - p_from) / v_width, 2), v_grid, l.at, l.levels, array(
          select case when m.level > 1 then to_char(
              p_from at time zone 'UTC' + m.at * v_width * interval '1 second',
              'YYYY-MM-DD HH24:MI" UTC: "') || case m.level
                when 4 then format('%s of %s failed', m.failed, m.runs)
                when 3 then 'cut short, or given up' else 'going on, or waiting' end end
          from unnest(l.at, l.levels, l.run_counts, l.failed_counts) with ordinality
            as m (at, level, runs, failed, n)
          order by m.n)),
      '</div><div class="aside">', w.runs,
      ' <span class="bad"><span aria-hidden="true">&#10007; </span>' || ltrim(w.failed, ', ')
        || '</span>',
      ' <span class="odd"><span aria-hidden="true">&#9650; </span>' || ltrim(w.odd, ', ')
        || '</span>', '</div></li>'), '' order by l.n) filter (where l.n <= v_most_lanes)
  into v_jobs, v_lanes
  from lane as l
  cross join lateral (select maintenance_internal.html_cut(l.job_name, 60) as name) as n
  left join lateral (
    select case when l.runs = 0
        then maintenance_internal.html_number(l.skipped) || ' skipped'
        else maintenance_internal.html_number(l.runs)
          || case when l.runs = 1 then ' run' else ' runs' end end as runs,
      ', ' || maintenance_internal.html_number(nullif(l.failed, 0)) || ' failed' as failed,
      ', ' || maintenance_internal.html_number(nullif(l.odd, 0)) || ' cut short' as odd
  ) as w on l.n <= v_most_lanes;

  return maintenance_internal.report_section('timeline', 'Runs in time',
    format('A lane a job, the most trouble first; a mark stands for %s, and for the worst that '
      'happened in it.', v_word),
    case when v_lanes is null
      then maintenance_internal.report_none('No job has run in this time.')
      else concat('<ul class="rows lanes">', v_lanes, '<li class="row axis-row"><div></div>'
        '<div class="chart">', maintenance_internal.report_axis(
          (p_from at time zone 'UTC')::date, p_days), '</div><div></div></li></ul>',
        maintenance_internal.timeline_legend(),
        case when v_jobs > v_most_lanes then format('<p class="when">And %s more jobs, with less '
          'trouble, or as much.</p>', v_jobs - v_most_lanes) end) end);
end
$$;

create function maintenance_internal.timeline_legend()
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return (
  select concat('<ul class="legend">', string_agg(format('<li><svg viewBox="0 0 8 16" '
    'preserveAspectRatio="none" role="img" aria-label="%s"><title>%1$s</title><rect class="m%s" '
    'width="8" y="%s" height="%s"/></svg>%1$s</li>', l.word, l.level, l.y, l.height), ''
    order by l.level desc, l.y desc), '</ul>')
  from (values (4, 0, 16, 'failed: the full height'), (3, 2, 12, 'cut short, or given up'),
    (2, 4, 8, 'going on, or waiting'), (1, 5, 6, 'succeeded'), (0, 14, 2, 'skipped'))
    as l (level, y, height, word)
);
-- end of sql/engine/report/runs.sql

-- from sql/engine/report/failures.sql 1c67ffc59b536f8c
-- The section of report_html about runs that did not succeed. What a receipt says of errors is its
-- error, which has no row's text.

-- What a failure's reader is told: what it means, and what to say. Later runs of the job count:
-- one that has succeeded since has nothing to be done for.
create function maintenance_internal.failure_advice(
  p_run maintenance.run_history,
  p_job maintenance.job_status,
  p_is_last boolean)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return case
  when p_job.job_name is null then 'The job is not there any more: nothing is to be done.'
  when p_job.last_success_at > p_run.started_at
    then 'Nothing: it has succeeded since, at '
      || to_char(p_job.last_success_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC.'
  when not p_is_last then 'It has failed again since: see above.'
  when p_job.running then 'A run is going on.'
  when p_job.waiting is not null then format('Nothing yet: a run waits for %s.', p_job.waiting)
  when not p_job.enabled then
    format('It is disabled. select maintenance.enable_job(%L);', p_job.job_name)
  else concat_ws(' ',
    case
      when p_run.status = 'timeout' then 'It took longer than it may.'
      when p_run.status = 'interrupted' then 'Its session died; what it had committed stays.'
      when p_run.status = 'cancelled' then 'Somebody, or a stop, has ended it.'
      when p_run.status = 'skipped' then 'It has waited in vain.'
      when p_run.sqlstate = '23503' then 'Other rows still point to a row that should go.'
      when p_run.sqlstate like '23%' then 'A constraint forbids what the rule does.'
      when p_run.sqlstate = '55P03' then 'A lock was not to be had: look for who holds it.'
      when p_run.sqlstate = '42501' then 'The owner of the engine lacks a right.'
      when p_run.sqlstate in ('42P01', '42703', '42883', '3F000')
        then 'What the rule names is not there.'
      when p_run.sqlstate like '53%' then 'The server has run out of something.'
    end,
    case when p_run.status = 'failed' then 'Mend it, then:'
      when p_job.kind <> 'statement' then 'To have it run again:' end,
    maintenance_internal.run_advice(p_job),
    case when p_run.status = 'failed' then format('In full, as the owner: select error_detail '
      'from maintenance.run_history where run_id = %s;', p_run.run_id) end)
end;

-- The same failure of a job is told once, however often it was met.
create function maintenance_internal.report_failures(p_from timestamptz)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_shown constant integer := 20;
  v_runs numeric;
  v_kinds bigint;
  v_items text;
begin
  with failure as (
    select g.*, row_number() over (order by g.at desc, g.run_id desc) as place,
      row_number() over (partition by g.job_name order by g.at desc, g.run_id desc) as n
    from (
      select r.job_name, (array_agg(r.run_id
          order by coalesce(r.started_at, r.finished_at) desc, r.run_id desc))[1] as run_id,
        max(coalesce(r.started_at, r.finished_at)) as at,
        min(coalesce(r.started_at, r.finished_at)) as since, count(*) as times
      from maintenance_internal.run as r
      where coalesce(r.started_at, r.finished_at) >= p_from
        and (r.status in ('failed', 'timeout', 'cancelled', 'interrupted')
          or r.status = 'skipped' and r.error is not null)
      group by r.job_name, r.status, r.error
    ) as g
  )
  select (select sum(f.times) from failure as f), (select count(*) from failure as f),
    string_agg(concat('<li class="card item ', case when h.status in
        ('failed', 'timeout') then 'critical' else 'warning' end, '"><div class="item-head">',
      maintenance_internal.html_badge(case h.status when 'skipped' then 'given up'
        else h.status end), '<h3>', maintenance_internal.html_cut(h.job_name, 60), '</h3>',
      case when f.times > 1 then '<span>' || maintenance_internal.html_number(f.times)
        || ' times</span>' end, '<span class="when">', case when f.times > 1 then 'first '
        || maintenance_internal.html_time(f.since) || ', last ' end,
      maintenance_internal.html_time(f.at), ', attempt ', h.attempt,
      '</span></div><p class="error">',
      coalesce(maintenance_internal.html_cut(h.error, 400), 'No error is told.'),
      '</p><div class="advice">', maintenance_internal.html_advice(
        maintenance_internal.failure_advice(h, j, f.n = 1)), '</div></li>'), ''
      order by f.place)
  into v_runs, v_kinds, v_items
  from failure as f
  join maintenance.run_history as h on h.run_id = f.run_id
  left join (
    select s.* from maintenance.job_status as s
    where s.job_name in (select x.job_name from failure as x where x.place <= v_shown)
    offset 0 -- dear: once a job, and of these alone
  ) as j on j.job_name = f.job_name
  where f.place <= v_shown;
  return maintenance_internal.report_section('failures', 'Failures',
    case when v_items is null then 'Runs that did not succeed, the last first.'
      else format('%s did not succeed, the last first%s.', case when v_runs = 1 then 'One run'
          else maintenance_internal.html_number(v_runs) || ' runs' end,
        concat(case when v_kinds < v_runs then '; the same failure of a job is told once' end,
          case when v_kinds > v_shown then format('; here are %s of %s',
            v_shown, maintenance_internal.html_number(v_kinds)) end)) end,
    coalesce('<ul>' || v_items || '</ul>',
      maintenance_internal.report_none('None: no run has failed in this time.')));
end
$$;
-- end of sql/engine/report/failures.sql

-- from sql/engine/report/statistics.sql bb310494026a932f
-- The sections of report_html about what a job's runs add up to: times and rows, sizes of tables.

create function maintenance_internal.report_statistics(p_period interval)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_rows text;
begin
  select string_agg(concat('<tr><th scope="row">', maintenance_internal.html_cut(s.job_name, 60),
      '</th><td>', maintenance_internal.html_badge(s.grade), '</td><td class="n">',
      maintenance_internal.html_number(s.runs), '</td><td class="n">',
      coalesce(trim_scale(s.success_rate) || ' %', '-'), '</td><td class="n">',
      maintenance_internal.html_duration(s.average_ms), '</td><td class="n">',
      maintenance_internal.html_duration(s.p95_ms), '</td><td class="n">',
      maintenance_internal.html_duration(s.max_ms), '</td><td class="n">',
      maintenance_internal.html_number(s.rows_affected), '</td></tr>'), ''
      order by array_position('{critical,warning,good,excellent}', s.grade) nulls last,
        s.success_rate, s.job_name)
  into v_rows
  from (
    select s.* from maintenance.job_statistics(p_period) as s
    where s.runs > 0
    order by s.success_rate, s.job_name
    limit 500
  ) as s;
  return maintenance_internal.report_section('statistics', 'Statistics by job',
    'Runs that ended in this time, but for those that were cancelled: how often each job '
      'succeeded, how long it took, and how many rows.',
    case when v_rows is null then maintenance_internal.report_none('No job has run in this time.')
      else maintenance_internal.report_table('Statistics by job', array['Job', 'Grade', '#Runs',
        '#Succeeded', '#Average', '#p95', '#Longest', '#Rows'], v_rows) end);
end
$$;

-- Sizes stand on the receipts of policies: bytes_before and bytes_after of the target. Of the run
-- of a job that began then, as run_last_idx has it; a step can have left anything there.
create function maintenance_internal.bytes_of(p_job_id integer, p_at timestamptz, p_key text)
returns bigint
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select (r.details ->> p_key)::bigint
  from maintenance_internal.run as r
  where r.job_id = p_job_id and coalesce(r.started_at, r.finished_at) = p_at
    and r.status not in ('waiting', 'skipped') and r.details ->> p_key ~ '^[0-9]{1,18}$'
  limit 1;
end;

create function maintenance_internal.report_sizes(p_from timestamptz)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_shown constant integer := 50;
  v_rows text;
begin
  select string_agg(concat('<li class="row"><div class="name">',
      maintenance_internal.html_cut(s.target, 100), '</div><div class="chart pair">',
      maintenance_internal.report_bar(100.0 * s.before / s.most, concat('First: ',
        pg_size_pretty(s.before))), '<span>before ', pg_size_pretty(s.before), '</span>',
      maintenance_internal.report_bar(100.0 * s.after / s.most, concat('Last: ',
        pg_size_pretty(s.after))), '<span>after ', pg_size_pretty(s.after), '</span></div>',
      '<div class="aside"><b>', case when s.after = s.before then 'unchanged'
        else pg_size_pretty(abs(s.after - s.before))
          || case when s.after < s.before then ' less' else ' more' end end, '</b><br/>',
      maintenance_internal.html_time(s.first_at), ' to<br/>',
      maintenance_internal.html_time(s.last_at), '</div></li>'), ''
      order by s.before - s.after desc, s.target)
  into v_rows
  from (
    select b.target, b.before, b.after, b.first_at, b.last_at,
      greatest(b.before, b.after, 1) as most
    from (
      select t.target, min(m.first_at) as first_at, max(m.last_at) as last_at,
        (array_agg(f.bytes order by m.first_at))[1] as before,
        (array_agg(l.bytes order by m.last_at desc))[1] as after
      from (
        select max(h.job_name) as job_name, h.job_id,
          min(h.started_at) filter (where h.details ? 'bytes_before') as first_at,
          max(h.started_at) filter (where h.details ? 'bytes_after') as last_at
        from maintenance_internal.run as h
        where h.started_at >= p_from and h.status <> 'skipped'
          and h.details ?| '{bytes_before,bytes_after}'
        group by h.job_id
      ) as m
      left join maintenance_internal.policy as p on p.job_id = m.job_id
      cross join lateral (
        select coalesce(p.target, m.job_name || ' (its target is not known any more)') as target
      ) as t
      cross join lateral (
        select maintenance_internal.bytes_of(m.job_id, m.first_at, 'bytes_before')
      ) as f (bytes)
      cross join lateral (
        select maintenance_internal.bytes_of(m.job_id, m.last_at, 'bytes_after')
      ) as l (bytes)
      where f.bytes is not null and l.bytes is not null
      group by t.target
    ) as b
    order by abs(b.before - b.after) desc, b.target
    limit v_shown
  ) as s;
  return maintenance_internal.report_section('sizes', 'Sizes before and after',
    'Each table with its indexes: before the first run of the time, and after the last (UTC). What '
      'is freed inside of a table is used again, and its size stays.',
    coalesce('<ul class="rows">' || v_rows || '</ul>',
      maintenance_internal.report_none('No run has measured a table in this time.')));
end
$$;
-- end of sql/engine/report/statistics.sql

-- from sql/engine/report/tasks.sql 72e2220c5e93552c
-- The sections of report_html about tasks and models; where no kind of task is set, none of them.

create function maintenance_internal.report_tasks(p_days integer)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  -- A day of model_day is one of Los Angeles.
  v_today constant date := (maintenance_internal.clock() at time zone 'America/Los_Angeles')::date;
  v_states text;
  v_days date[];
  v_costs numeric[];
  v_shown text[];
  v_table text;
  v_kinds text;
begin
  if not exists (select from maintenance.kind) then
    return '';
  end if;
  select concat('<dl class="tiles">', string_agg(concat('<div><dt>', s.state, '</dt><dd>',
    maintenance_internal.html_number(coalesce(t.tasks, 0)), '</dd></div>'), '' order by s.n),
    '</dl>')
  into v_states
  from unnest('{ready,leased,quarantined,dead,succeeded,skipped}'::text[]) with ordinality
    as s (state, n)
  left join (
    select t.state, count(*) as tasks from maintenance.task as t group by t.state
  ) as t on t.state = s.state;

  select array_agg(d.day order by d.day), array_agg(coalesce(m.cost, 0) order by d.day),
    array_agg(case when p_days <= 7
      then maintenance_internal.html_short_usd(coalesce(m.cost, 0))
      else maintenance_internal.html_usd(coalesce(m.cost, 0)) end order by d.day),
    string_agg(concat('<tr><th scope="row">', to_char(d.day, 'Dy YYYY-MM-DD'), '</th>',
      '<td class="n">', maintenance_internal.html_number(m.calls), '</td><td class="n">',
      maintenance_internal.html_number(m.answered), '</td><td class="n">',
      maintenance_internal.html_number(m.tokens_in), '</td><td class="n">',
      maintenance_internal.html_number(m.tokens_out), '</td><td class="n">',
      maintenance_internal.html_usd(m.cost), '</td></tr>'), '' order by d.day desc)
      filter (where m.calls > 0)
  into v_days, v_costs, v_shown, v_table
  from (select v_today - i as day from generate_series(0, p_days - 1) as i) as d
  left join (
    select m.day, sum(m.calls) as calls, sum(m.answered) as answered,
      sum(m.input_tokens) as tokens_in, sum(m.output_tokens) as tokens_out,
      sum(m.cost_usd) as cost
    from maintenance.model_day as m
    where m.day > v_today - p_days
    group by m.day
  ) as m on m.day = d.day;

  select string_agg(concat('<tr><th scope="row">', maintenance_internal.html_cut(k.kind, 60),
      '</th><td>', maintenance_internal.html_cut(k.model, 100), '</td><td class="n">',
      maintenance_internal.html_number(k.calls), '</td><td class="n">',
      maintenance_internal.html_number(k.answered), '</td><td class="n">',
      maintenance_internal.html_number(k.tokens_in), '</td><td class="n">',
      maintenance_internal.html_number(k.tokens_out), '</td><td class="n">',
      maintenance_internal.html_usd(k.cost), case when k.unknown > 0 then '*' end,
      '</td></tr>'), '' order by k.cost desc, k.kind, k.model)
  into v_kinds
  from (
    select m.kind, m.model, sum(m.calls) as calls, sum(m.answered) as answered,
      sum(m.input_tokens) as tokens_in, sum(m.output_tokens) as tokens_out,
      sum(m.cost_usd) as cost, sum(m.unknown_cost) as unknown
    from maintenance.model_day as m
    where m.day > v_today - p_days
    group by m.kind, m.model
    order by sum(m.cost_usd) desc
    limit 100
  ) as k;
  return maintenance_internal.report_section('tasks', 'Tasks, and what they cost',
    concat('Tasks by state, now; and what calls of models cost by day, of Los Angeles as the '
      'quotas are: ', maintenance_internal.html_usd((select sum(c) from unnest(v_costs) as c)),
      ' in all.'),
    concat(v_states, '<div class="gap"></div>',
      case when v_kinds is null
        then maintenance_internal.report_none('No model was asked in this time.')
        else concat(
          case when (select max(c) from unnest(v_costs) as c) > 0 then
            maintenance_internal.report_columns(v_days, v_costs, v_shown, 'Cost by day') end,
          '<details><summary>The numbers, day by day</summary>',
          maintenance_internal.report_table('Calls and cost by day',
            array['Day', '#Calls', '#Answered', '#Tokens in', '#Tokens out', '#Cost'], v_table),
          '</details>', maintenance_internal.report_table('Calls and cost by kind and model',
            array['Kind', 'Model', '#Calls', '#Answered', '#Tokens in', '#Tokens out', '#Cost'],
            v_kinds),
          case when v_kinds like '%*</td>%' then '<p class="when">* an estimate: of some calls '
            'the price, or what they took, is not known.</p>' end) end));
end
$$;

create function maintenance_internal.report_models()
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_rows text;
begin
  if not exists (select from maintenance.kind) then
    return '';
  end if;
  select string_agg(concat('<tr><th scope="row">', maintenance_internal.html_cut(m.model, 100),
      '</th><td>', maintenance_internal.html_badge(m.state), '</td><td class="n">',
      coalesce(trunc(m.percent) || ' % of ' || m.span, '-'), '</td><td class="n">',
      maintenance_internal.html_time(m.until), '</td><td>', m.carrier, '</td><td class="text">',
      coalesce(maintenance_internal.html_cut(m.reason, 300), '-'), '</td></tr>'), ''
      order by m.carrier desc, m.position)
  into v_rows
  from maintenance.model_status as m;
  return maintenance_internal.report_section('models', 'Models',
    'In the order in which they are asked, and whether each can be, now.',
    case when v_rows is null then maintenance_internal.report_none('No model is set.')
      else maintenance_internal.report_table('Models', array['Model', 'State',
        '#Used', '#Until', 'Asked by', 'Why'], v_rows) end);
end
$$;
-- end of sql/engine/report/tasks.sql

-- from sql/engine/report/report_html.sql 17c501f9dd0b6541
-- The whole of it as one page that can be kept, sent and printed: no script, and nothing that is
-- loaded from anywhere.

-- Runs in the period, in four numbers.
create function maintenance_internal.report_tiles(p_from timestamptz, p_status jsonb)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_own constant integer[] := maintenance_internal.own_jobs();
  v_runs record;
  v_due record;
begin
  select coalesce(sum(j.runs), 0) as runs, count(*) as jobs, coalesce(sum(j.failed), 0) as failed,
    coalesce(sum(j.odd), 0) as odd, coalesce(sum(j.rows_affected), 0) as rows_affected
  into v_runs
  from (
    select count(*) as runs,
      count(*) filter (where r.status in ('failed', 'timeout', 'interrupted')) as failed,
      count(*) filter (where r.status = 'cancelled') as odd,
      sum(r.rows_affected) as rows_affected
    from maintenance_internal.run as r
    where r.started_at >= p_from and r.status <> 'skipped' and r.job_id <> all (v_own)
    group by r.job_name
  ) as j;
  select coalesce(sum(s.count), 0) as due, coalesce(bool_or(s.count >= 10000), false) as capped,
    count(*) filter (where s.count > 0) as rules, count(*) filter (where s.count is null) as hidden
  into v_due
  from maintenance_internal.status_rows(p_status) as s
  where s.job_name is not null;
  return concat('<dl class="tiles"><div><dt>Runs</dt><dd>',
    maintenance_internal.html_number(v_runs.runs), '<small>of ',
    maintenance_internal.html_number(v_runs.jobs), ' jobs</small></dd></div>',
    '<div><dt>Failed</dt><dd>', maintenance_internal.html_number(v_runs.failed), '<small>',
    maintenance_internal.html_number(v_runs.odd), ' cancelled</small></dd></div>',
    '<div><dt>Rows</dt><dd>', maintenance_internal.html_number(v_runs.rows_affected),
    '<small>deleted, changed or counted</small></dd></div><div><dt>Due now</dt><dd>',
    maintenance_internal.html_number(v_due.due), case when v_due.capped then '+' end,
    '<small>rows, of ', maintenance_internal.html_number(v_due.rules), ' rules', case
      when v_due.hidden > 0 then format('; %s cannot be counted', v_due.hidden) end,
    '</small></dd></div></dl>');
end
$$;

create function maintenance_internal.report_contents(p_has_tasks boolean)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return (
  select concat('<nav class="toc" aria-label="On this page">', string_agg(
    format('<a href="#%s">%s</a>', c.id, c.title), '' order by c.n), '</nav>')
  from (values (1, 'act', 'What to act on'), (2, 'due', 'Due'), (3, 'nights', 'Rows by night'),
    (4, 'timeline', 'Runs'), (5, 'failures', 'Failures'), (6, 'statistics', 'Statistics'),
    (7, 'tasks', 'Tasks'), (8, 'models', 'Models'), (9, 'sizes', 'Sizes'))
    as c (n, id, title)
  where p_has_tasks or c.id not in ('tasks', 'models')
);

create function maintenance.report_html(days integer default 7)
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
declare
  v_now constant timestamptz := maintenance_internal.clock();
  v_from timestamptz;
  v_status jsonb;
  v_acts record; -- acts, critical
  v_tiles text;
  v_has_tasks boolean := true;
  v_name text;
  v_part record;
  v_section text;
  v_sections text := '';
  v_message text;
  v_state text;
  v_context text;
begin
  if (report_html.days between 1 and 366) is not true then
    raise exception 'a report cannot be over % days', report_html.days
      using errcode = 'PM002', hint = 'A number of days from 1 to 366, the last one being today.';
  end if;
  v_from := (date_trunc('day', v_now at time zone 'UTC')
    - (report_html.days - 1) * interval '1 day') at time zone 'UTC';
  select coalesce(jsonb_agg(to_jsonb(s)), '[]') into v_status
  from public.maintenance_status as s
  where s.task <> 'open_alerts'; -- which are there themselves
  select 0 as acts, 0 as critical into v_acts;
  begin
    select * into v_acts from maintenance_internal.report_acts(v_status);
    v_tiles := maintenance_internal.report_tiles(v_from, v_status);
    v_has_tasks := exists (select from maintenance.kind);
  exception when others or assert_failure then
    v_tiles := '';
  end;
  v_name := maintenance_internal.html_escape(current_database());
  -- What cannot be read now keeps nothing else from the page.
  for v_part in
    select * from (values ('act', 'What to act on'), ('due', 'Due by rule'),
      ('nights', 'Rows by night'), ('timeline', 'Runs in time'), ('failures', 'Failures'),
      ('statistics', 'Statistics by job'), ('tasks', 'Tasks, and what they cost'),
      ('models', 'Models'), ('sizes', 'Sizes before and after')) as p (id, title)
  loop
    begin
      v_section := case v_part.id
        when 'act' then maintenance_internal.report_act(v_status)
        when 'due' then maintenance_internal.report_due(v_status)
        when 'nights' then maintenance_internal.report_days(v_from, report_html.days)
        when 'timeline'
          then maintenance_internal.report_timeline(v_from, v_now, report_html.days)
        when 'failures' then maintenance_internal.report_failures(v_from)
        when 'statistics' then maintenance_internal.report_statistics(
          greatest(v_now - v_from, interval '1 second'))
        when 'tasks' then maintenance_internal.report_tasks(report_html.days)
        when 'models' then maintenance_internal.report_models()
        else maintenance_internal.report_sizes(v_from)
      end;
    exception when others or assert_failure then
      get stacked diagnostics v_state = returned_sqlstate, v_message = message_text,
        v_context = pg_exception_context;
      v_section := maintenance_internal.report_section(v_part.id, v_part.title,
        'This cannot be read now.', maintenance_internal.report_none(maintenance_internal.html_cut(
          maintenance_internal.error_text(v_state, v_message, v_context), 500)));
      if v_state = '55P03' then
        perform set_config('lock_timeout', '20ms', true); -- the second is over
      end if;
    end;
    v_sections := v_sections || v_section || chr(10);
  end loop;

  return concat('<!DOCTYPE html>', chr(10), '<html lang="en"><head><meta charset="utf-8"/>',
    '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
    '<meta http-equiv="Content-Security-Policy" content="default-src ''none''; style-src '
      '''unsafe-inline''"/><meta name="robots" content="noindex"/>',
    '<meta name="color-scheme" content="light dark"/>',
    '<title>', v_name, ': maintenance report of ',
    to_char(v_now at time zone 'UTC', 'YYYY-MM-DD'), '</title><style>',
    maintenance_internal.report_style(), '</style></head><body>', chr(10),
    '<header><p class="kicker">Maintenance report</p><h1>', v_name, '</h1><ul class="meta"><li>',
    maintenance_internal.html_time(v_now), '</li><li>',
    case report_html.days when 1 then 'today' else format('%s days, from %s on',
      report_html.days, to_char(v_from at time zone 'UTC', 'YYYY-MM-DD')) end,
    '</li><li>PostgreSQL ', maintenance_internal.html_escape(current_setting('server_version')),
    '</li><li>pg-maintenance ', (
      select maintenance_internal.html_escape(concat(v.release, ', state ', left(v.state, 8)))
      from maintenance.version() as v where v.part = 'engine'),
    '</li></ul><p class="verdict ', case when v_acts.critical > 0 or v_tiles = '' then 'critical'
      when v_acts.acts = 0 then 'ok' else 'warning' end,
    '"><span aria-hidden="true">', case when v_acts.critical > 0 or v_tiles = '' then '&#10007;'
      when v_acts.acts = 0 then '&#10003;' else '&#9650;' end, '</span><span>',
    case when v_tiles = '' then 'What is to be acted on cannot be told in full: a table of the kit '
        'cannot be read now'
      when v_acts.acts = 0 then 'All is well: nothing to act on'
      else concat(maintenance_internal.html_number(v_acts.acts),
        case when v_acts.acts = 1 then ' thing' else ' things' end, ' to act on',
        case when v_acts.critical = v_acts.acts then ', critical'
          when v_acts.critical > 0 then
            format(', %s of them critical',
              maintenance_internal.html_number(v_acts.critical)) end) end,
    '</span></p>', v_tiles, maintenance_internal.report_contents(v_has_tasks),
    '</header>', chr(10), '<main>', chr(10),
    v_sections, '</main>', chr(10), '<footer>Made by maintenance.report_html(', report_html.days,
    '); pg-maintenance: ', (
      select string_agg(maintenance_internal.html_escape(format('%s %s, state %s', v.part,
        v.release, v.state)), '; ' order by v.part) from maintenance.version() as v),
    '. Times are UTC.</footer></body></html>', chr(10));
end
$$;

comment on function maintenance.report_html(integer) is
  'A page to be kept, sent or printed: what to act on, what is due, and what ran, failed and cost '
  'over so many days, the last one being today (UTC); HTML without a script, and without a row''s '
  'text. To a file: make report. Errors: PM002 days, which are 1 to 366.';
-- end of sql/engine/report/report_html.sql

-- from sql/engine/names.sql bd4c7809f5ab4881
-- The names that the files of sql/engine/ make in our schemas. Written by make migration.

create function maintenance_internal.engine_names()
returns text[]
language sql
immutable
set search_path = pg_catalog, pg_temp
return array[
  'maintenance.active_failovers',
  'maintenance.add_details',
  'maintenance.alert',
  'maintenance.alert_monitor',
  'maintenance.approve_task',
  'maintenance.blob',
  'maintenance.change',
  'maintenance.claim_blobs',
  'maintenance.claim_tasks',
  'maintenance.complete_task',
  'maintenance.configure',
  'maintenance.configure_job',
  'maintenance.cron_statements',
  'maintenance.disable_job',
  'maintenance.doctor',
  'maintenance.drop_job',
  'maintenance.edit',
  'maintenance.effective_model',
  'maintenance.emergency_stop',
  'maintenance.enable_job',
  'maintenance.enqueue_task',
  'maintenance.erase_subject',
  'maintenance.explain_policy',
  'maintenance.extend_lease',
  'maintenance.fail_task',
  'maintenance.finding',
  'maintenance.grant_roles',
  'maintenance.index_health',
  'maintenance.index_report_step',
  'maintenance.install_schedules',
  'maintenance.job_statistics',
  'maintenance.job_status',
  'maintenance.kind',
  'maintenance.last_looks',
  'maintenance.lint',
  'maintenance.metrics',
  'maintenance.model',
  'maintenance.model_call',
  'maintenance.model_day',
  'maintenance.model_status',
  'maintenance.next_run_at',
  'maintenance.note_deleted',
  'maintenance.pause',
  'maintenance.pending_answer',
  'maintenance.preview',
  'maintenance.record_usage',
  'maintenance.register',
  'maintenance.reject_task',
  'maintenance.release_task',
  'maintenance.report_html',
  'maintenance.resume',
  'maintenance.retry_blobs',
  'maintenance.retry_task',
  'maintenance.retry_tasks',
  'maintenance.run_history',
  'maintenance.run_job',
  'maintenance.run_late',
  'maintenance.run_now',
  'maintenance.set_job',
  'maintenance.set_kind',
  'maintenance.set_model',
  'maintenance.set_policy',
  'maintenance.set_schedule',
  'maintenance.set_statement',
  'maintenance.setting',
  'maintenance.settle_blob',
  'maintenance.silence_alert',
  'maintenance.system_health',
  'maintenance.table_bloat',
  'maintenance.task',
  'maintenance.task_events',
  'maintenance.task_request',
  'maintenance.tick',
  'maintenance.todo',
  'maintenance.track_blobs',
  'maintenance.trigger_jobs',
  'maintenance.undo_task',
  'maintenance.uninstall',
  'maintenance.upkeep',
  'maintenance.upkeep_step',
  'maintenance.vacuum_holders',
  'maintenance.version',
  'maintenance.weekly_report',
  'maintenance.worker',
  'maintenance_internal.add_lists',
  'maintenance_internal.age_bound',
  'maintenance_internal.alert_backlog',
  'maintenance_internal.alert_causes',
  'maintenance_internal.alert_statement',
  'maintenance_internal.answer_fault',
  'maintenance_internal.answered_since',
  'maintenance_internal.apply_answer',
  'maintenance_internal.asking_hold',
  'maintenance_internal.axis_parts',
  'maintenance_internal.back_off',
  'maintenance_internal.backlog',
  'maintenance_internal.backlog_samples',
  'maintenance_internal.begin_run',
  'maintenance_internal.blob_backlog',
  'maintenance_internal.blob_gate',
  'maintenance_internal.blob_tables',
  'maintenance_internal.budget_hold',
  'maintenance_internal.bytes_of',
  'maintenance_internal.call_apply',
  'maintenance_internal.call_backlog',
  'maintenance_internal.call_prepare',
  'maintenance_internal.call_step',
  'maintenance_internal.call_subjects',
  'maintenance_internal.called_row',
  'maintenance_internal.calls_of',
  'maintenance_internal.can_be_undone',
  'maintenance_internal.change_piece',
  'maintenance_internal.changed_setting',
  'maintenance_internal.changed_table',
  'maintenance_internal.changes_of_shipped',
  'maintenance_internal.check_deferred_statement',
  'maintenance_internal.check_dependencies',
  'maintenance_internal.check_keep',
  'maintenance_internal.check_keys',
  'maintenance_internal.check_outside',
  'maintenance_internal.check_relations',
  'maintenance_internal.check_schedule',
  'maintenance_internal.check_session',
  'maintenance_internal.choose_way',
  'maintenance_internal.clean_session',
  'maintenance_internal.clock',
  'maintenance_internal.close_dead_runs',
  'maintenance_internal.close_lost_statements',
  'maintenance_internal.columns_of',
  'maintenance_internal.continue_upkeep',
  'maintenance_internal.control',
  'maintenance_internal.cool_down',
  'maintenance_internal.cool_model',
  'maintenance_internal.cool_time',
  'maintenance_internal.count_behind',
  'maintenance_internal.count_due',
  'maintenance_internal.count_fault',
  'maintenance_internal.count_left',
  'maintenance_internal.count_request',
  'maintenance_internal.count_statement',
  'maintenance_internal.cron_checks',
  'maintenance_internal.cron_command',
  'maintenance_internal.cron_fault',
  'maintenance_internal.cron_field',
  'maintenance_internal.cron_jobs',
  'maintenance_internal.cron_keeps_history',
  'maintenance_internal.cron_name',
  'maintenance_internal.cron_runs',
  'maintenance_internal.cron_setting',
  'maintenance_internal.cron_silence',
  'maintenance_internal.cron_state',
  'maintenance_internal.cron_statement',
  'maintenance_internal.current_task',
  'maintenance_internal.decide_stop',
  'maintenance_internal.defer_again',
  'maintenance_internal.disk_use',
  'maintenance_internal.drop_leftovers',
  'maintenance_internal.due_condition',
  'maintenance_internal.end_blob_lease',
  'maintenance_internal.end_round',
  'maintenance_internal.end_run',
  'maintenance_internal.end_upkeep',
  'maintenance_internal.engine_names',
  'maintenance_internal.engine_ships',
  'maintenance_internal.erase',
  'maintenance_internal.erase_receipts',
  'maintenance_internal.erase_subjects',
  'maintenance_internal.erased',
  'maintenance_internal.erasure',
  'maintenance_internal.error_text',
  'maintenance_internal.execute_under',
  'maintenance_internal.failure_advice',
  'maintenance_internal.fault',
  'maintenance_internal.find_function',
  'maintenance_internal.find_index',
  'maintenance_internal.find_job',
  'maintenance_internal.find_kind',
  'maintenance_internal.find_missed',
  'maintenance_internal.find_model',
  'maintenance_internal.find_pieces',
  'maintenance_internal.find_policy',
  'maintenance_internal.find_prepare',
  'maintenance_internal.find_target',
  'maintenance_internal.fired_by_cron',
  'maintenance_internal.foresee_answer',
  'maintenance_internal.forget_refusals',
  'maintenance_internal.full_index_pages',
  'maintenance_internal.full_name',
  'maintenance_internal.full_pages',
  'maintenance_internal.further_attempts',
  'maintenance_internal.give_up',
  'maintenance_internal.give_upkeep',
  'maintenance_internal.given_up',
  'maintenance_internal.has_launcher',
  'maintenance_internal.has_silencing_trigger',
  'maintenance_internal.health_checks',
  'maintenance_internal.html_advice',
  'maintenance_internal.html_badge',
  'maintenance_internal.html_cut',
  'maintenance_internal.html_due',
  'maintenance_internal.html_duration',
  'maintenance_internal.html_escape',
  'maintenance_internal.html_number',
  'maintenance_internal.html_short_number',
  'maintenance_internal.html_short_usd',
  'maintenance_internal.html_time',
  'maintenance_internal.html_usd',
  'maintenance_internal.in_window',
  'maintenance_internal.installed_schedule',
  'maintenance_internal.invalid_indexes',
  'maintenance_internal.is_alive',
  'maintenance_internal.is_cut',
  'maintenance_internal.is_late_at_work',
  'maintenance_internal.is_leaf',
  'maintenance_internal.is_own',
  'maintenance_internal.is_own_change',
  'maintenance_internal.is_paused',
  'maintenance_internal.is_stopped',
  'maintenance_internal.is_to_be_erased',
  'maintenance_internal.is_trusted',
  'maintenance_internal.job',
  'maintenance_internal.job_faults',
  'maintenance_internal.job_fix',
  'maintenance_internal.judge',
  'maintenance_internal.judge_fault',
  'maintenance_internal.key_of',
  'maintenance_internal.keys_off',
  'maintenance_internal.kind_hold',
  'maintenance_internal.kind_options',
  'maintenance_internal.last_success',
  'maintenance_internal.launcher_advice',
  'maintenance_internal.leaf_tables',
  'maintenance_internal.learn_limit',
  'maintenance_internal.leave_leaf',
  'maintenance_internal.lint_indexes',
  'maintenance_internal.lint_keep',
  'maintenance_internal.lint_meaning',
  'maintenance_internal.lint_models',
  'maintenance_internal.lint_path',
  'maintenance_internal.lint_public',
  'maintenance_internal.lint_references',
  'maintenance_internal.lint_rights',
  'maintenance_internal.lint_schedule',
  'maintenance_internal.lint_session',
  'maintenance_internal.lint_triggers',
  'maintenance_internal.lint_trust',
  'maintenance_internal.list_rows',
  'maintenance_internal.list_statement',
  'maintenance_internal.lock_advice',
  'maintenance_internal.lock_changed_rows',
  'maintenance_internal.lock_class',
  'maintenance_internal.lock_leased',
  'maintenance_internal.lock_subject',
  'maintenance_internal.lock_task',
  'maintenance_internal.look_again_at',
  'maintenance_internal.measured_bloat',
  'maintenance_internal.message_or_failure',
  'maintenance_internal.metric_names',
  'maintenance_internal.metric_samples',
  'maintenance_internal.metrics',
  'maintenance_internal.migration',
  'maintenance_internal.model_limits',
  'maintenance_internal.model_pace',
  'maintenance_internal.model_states',
  'maintenance_internal.model_status',
  'maintenance_internal.model_usage',
  'maintenance_internal.moment',
  'maintenance_internal.most_tokens',
  'maintenance_internal.named_blobs',
  'maintenance_internal.nearest_minute',
  'maintenance_internal.nearest_slot',
  'maintenance_internal.next_piece',
  'maintenance_internal.note_done',
  'maintenance_internal.note_fault',
  'maintenance_internal.note_visit',
  'maintenance_internal.note_worker',
  'maintenance_internal.other_settings',
  'maintenance_internal.own_jobs',
  'maintenance_internal.owner',
  'maintenance_internal.owner_path',
  'maintenance_internal.owner_schemas',
  'maintenance_internal.owner_setting',
  'maintenance_internal.parse_answer',
  'maintenance_internal.parse_assign',
  'maintenance_internal.parse_assign_once',
  'maintenance_internal.parse_expression',
  'maintenance_internal.parse_once',
  'maintenance_internal.path_hint',
  'maintenance_internal.pause_text',
  'maintenance_internal.pick_models',
  'maintenance_internal.piece',
  'maintenance_internal.piece_form',
  'maintenance_internal.piece_rows',
  'maintenance_internal.piece_statement',
  'maintenance_internal.pin_settings',
  'maintenance_internal.policy',
  'maintenance_internal.print_function',
  'maintenance_internal.print_policy',
  'maintenance_internal.progress',
  'maintenance_internal.promised_at',
  'maintenance_internal.purge_cron_history_step',
  'maintenance_internal.put_blob_gates',
  'maintenance_internal.put_control',
  'maintenance_internal.put_off',
  'maintenance_internal.put_policy',
  'maintenance_internal.put_turns',
  'maintenance_internal.quota_day',
  'maintenance_internal.record_edit',
  'maintenance_internal.record_schedule_edits',
  'maintenance_internal.record_statements',
  'maintenance_internal.refuse_inside_transaction',
  'maintenance_internal.release_blobs',
  'maintenance_internal.remove_schedule',
  'maintenance_internal.remove_schedules',
  'maintenance_internal.repair_addresses',
  'maintenance_internal.repair_command',
  'maintenance_internal.repair_commands',
  'maintenance_internal.report_act',
  'maintenance_internal.report_acts',
  'maintenance_internal.report_axis',
  'maintenance_internal.report_bar',
  'maintenance_internal.report_columns',
  'maintenance_internal.report_contents',
  'maintenance_internal.report_days',
  'maintenance_internal.report_due',
  'maintenance_internal.report_failures',
  'maintenance_internal.report_lane',
  'maintenance_internal.report_models',
  'maintenance_internal.report_none',
  'maintenance_internal.report_section',
  'maintenance_internal.report_sizes',
  'maintenance_internal.report_statistics',
  'maintenance_internal.report_style',
  'maintenance_internal.report_table',
  'maintenance_internal.report_tasks',
  'maintenance_internal.report_tiles',
  'maintenance_internal.report_timeline',
  'maintenance_internal.reserve_call',
  'maintenance_internal.restore_row',
  'maintenance_internal.retire_row',
  'maintenance_internal.retry_delay',
  'maintenance_internal.revoke_defaults',
  'maintenance_internal.role_fault',
  'maintenance_internal.routines_of',
  'maintenance_internal.row_in_force',
  'maintenance_internal.row_keys',
  'maintenance_internal.rows_per_page',
  'maintenance_internal.run',
  'maintenance_internal.run_advice',
  'maintenance_internal.run_began',
  'maintenance_internal.run_late_statement',
  'maintenance_internal.run_or_raise',
  'maintenance_internal.run_step',
  'maintenance_internal.run_steps',
  'maintenance_internal.schedule_advice',
  'maintenance_internal.schedule_upkeep',
  'maintenance_internal.scheduler_faults',
  'maintenance_internal.schema_fault',
  'maintenance_internal.set_enabled',
  'maintenance_internal.set_paused',
  'maintenance_internal.setting',
  'maintenance_internal.settle_call',
  'maintenance_internal.settle_piece',
  'maintenance_internal.settle_run',
  'maintenance_internal.settle_task',
  'maintenance_internal.settle_upkeep',
  'maintenance_internal.setup_checks',
  'maintenance_internal.ship',
  'maintenance_internal.ship_row',
  'maintenance_internal.shipped',
  'maintenance_internal.shipped_setting',
  'maintenance_internal.signal_runs',
  'maintenance_internal.size_of',
  'maintenance_internal.skipped_tables',
  'maintenance_internal.slot_near',
  'maintenance_internal.split_piece',
  'maintenance_internal.stands_on',
  'maintenance_internal.start_bar',
  'maintenance_internal.start_run',
  'maintenance_internal.start_waiting',
  'maintenance_internal.statement_pattern',
  'maintenance_internal.statement_tables',
  'maintenance_internal.statements_in',
  'maintenance_internal.status_rows',
  'maintenance_internal.stop_sign',
  'maintenance_internal.stop_text',
  'maintenance_internal.subject',
  'maintenance_internal.supersede',
  'maintenance_internal.sweep_blobs',
  'maintenance_internal.sweep_leases',
  'maintenance_internal.sync_schedule',
  'maintenance_internal.sync_schedules',
  'maintenance_internal.table_bytes',
  'maintenance_internal.take_turn',
  'maintenance_internal.target_alias',
  'maintenance_internal.task_backlog',
  'maintenance_internal.task_holds',
  'maintenance_internal.task_state',
  'maintenance_internal.tell_due',
  'maintenance_internal.tell_elsewhere',
  'maintenance_internal.this_run',
  'maintenance_internal.tick_statement',
  'maintenance_internal.tick_step',
  'maintenance_internal.time_out_of',
  'maintenance_internal.timeline_legend',
  'maintenance_internal.trigger_step',
  'maintenance_internal.try_update',
  'maintenance_internal.try_waiting',
  'maintenance_internal.turn',
  'maintenance_internal.undo_change',
  'maintenance_internal.undone_keys',
  'maintenance_internal.unlike_shipped',
  'maintenance_internal.upkeep',
  'maintenance_internal.upkeep_needs',
  'maintenance_internal.upkeep_state',
  'maintenance_internal.upsert_job',
  'maintenance_internal.usage_number',
  'maintenance_internal.vacuum_holders',
  'maintenance_internal.waits_for',
  'maintenance_internal.waits_text',
  'maintenance_internal.waits_until',
  'maintenance_internal.walk_slots',
  'maintenance_internal.was_fired',
  'maintenance_internal.watch',
  'maintenance_internal.window_opens',
  'maintenance_internal.work_singly',
  'maintenance_internal.worker_name',
  'maintenance_internal.wrap_text',
  'maintenance_internal.write_cron_job',
  'maintenance_internal.write_row'
];
-- end of sql/engine/names.sql

-- from sql/engine/uninstall.sql cf1ce18fbf59643a
-- The way out: schedules, schemas and roles go, and nothing that is not ours.

-- Whether an object stands on one in these schemas, or on one of these.
create function maintenance_internal.stands_on(
  p_class regclass,
  p_object oid,
  p_schemas oid[],
  p_others oid[])
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
return exists (
  select from pg_depend as d
  where d.classid = p_class and d.objid = p_object and d.deptype = 'n'
    and (d.refclassid in ('pg_proc'::regclass, 'pg_class'::regclass) and d.refobjid = any (p_others)
      or d.refclassid = 'pg_proc'::regclass and d.refobjid in (
        select p.oid from pg_proc as p where p.pronamespace = any (p_schemas))
      or d.refclassid = 'pg_class'::regclass and d.refobjid in (
        select c.oid from pg_class as c where c.relnamespace = any (p_schemas))));

create function maintenance.uninstall(confirm text)
returns table (what text, outcome text)
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_schemas constant oid[] := array[
    'maintenance'::regnamespace, 'maintenance_internal'::regnamespace]::oid[];
  v_owner constant oid := (select n.nspowner from pg_namespace as n where n.oid = v_schemas[1]);
  v_names text[] := maintenance_internal.engine_names();
  v_more text[];
  v_versions text[] := array(select m.version from maintenance_internal.migration as m order by 1);
  v_parts oid[];
  v_part_views oid[];
  v_part_tables oid[];
  v_functions oid[] := array[]::oid[];
  v_views oid[] := array[]::oid[];
  v_found integer;
  v_foreign text;
  v_row record;
begin
  if uninstall.confirm is distinct from current_database() then
    raise exception '"%" is not the name of this database', uninstall.confirm
      using errcode = 'PM002', hint = format(
        'To remove pg-maintenance from it: select * from maintenance.uninstall(%L);',
        current_database());
  end if;

  -- The functions and views of the reference application that cannot work without the engine go;
  -- its tables stay, with what they need.
  if to_regprocedure('maintenance_internal.reference_names()') is not null then
    execute 'select maintenance_internal.reference_names()' into v_more;
    v_names := v_names || v_more;
    execute 'select array(select p.oid from pg_proc as p '
      'join maintenance_internal.reference_objects() as o '
      'on o.kind = ''function'' and o.name = p.proname '
      'where p.pronamespace = ''public''::regnamespace and p.proowner = $1 and p.prokind = ''f''), '
      'array(select c.oid from pg_class as c '
      'join maintenance_internal.reference_objects() as o '
      'on o.kind = ''table'' and o.name = c.relname '
      'where c.relnamespace = ''public''::regnamespace and c.relowner = $1 and c.relkind = ''v''), '
      'array(select c.oid from pg_class as c '
      'join maintenance_internal.reference_objects() as o '
      'on o.kind = ''table'' and o.name = c.relname '
      'where c.relnamespace = ''public''::regnamespace and c.relowner = $1 '
      'and c.relkind in (''r'', ''p''))'
    into v_parts, v_part_views, v_part_tables using v_owner;
    loop
      v_found := cardinality(v_functions) + cardinality(v_views);
      -- A body in PL/pgSQL is a text, and says by name what it calls.
      v_functions := array(
        select p.oid from pg_proc as p
        where p.oid = any (v_parts) and (p.prosrc ~ '\mmaintenance(_internal)?\.'
          or exists (
            select from pg_proc as d
            where d.oid = any (v_functions) and p.prosrc ~ format('\mpublic\.%s\(', d.proname))
          or exists (
            select from pg_class as d
            where d.oid = any (v_views) and p.prosrc ~ format('\mpublic\.%s\M', d.relname))
          or maintenance_internal.stands_on('pg_proc', p.oid, v_schemas, v_functions || v_views)));
      v_views := array(
        select w.ev_class from pg_rewrite as w
        where w.ev_class = any (v_part_views) and maintenance_internal.stands_on(
          'pg_rewrite', w.oid, v_schemas, v_functions || v_views));
      exit when cardinality(v_functions) + cardinality(v_views) = v_found;
    end loop;
  end if;

  -- What somebody else has put among ours, or built on it, is theirs to take away.
  with relation as (
    select c.oid from pg_class as c
    where c.relnamespace = any (v_schemas) or c.oid = 'public.maintenance_status'::regclass
      or c.oid = any (v_views)
  ), ours (classid, objid) as (
    select 'pg_class'::regclass, r.oid from relation as r
    union all
    select 'pg_type'::regclass, t.oid from pg_type as t
    where t.typnamespace = any (v_schemas) or t.typrelid in (select r.oid from relation as r)
    union all
    select 'pg_rewrite'::regclass, w.oid from pg_rewrite as w
    join relation as r on r.oid = w.ev_class
    union all
    select 'pg_trigger'::regclass, t.oid from pg_trigger as t
    join relation as r on r.oid = t.tgrelid
    union all
    select 'pg_attrdef'::regclass, a.oid from pg_attrdef as a
    join relation as r on r.oid = a.adrelid
    union all
    select 'pg_constraint'::regclass, c.oid from pg_constraint as c
    join relation as r on r.oid = c.conrelid
    union all
    select 'pg_proc'::regclass, p.oid from pg_proc as p
    where p.pronamespace = any (v_schemas) or p.oid = any (v_functions)
  ), known (classid, objid) as (
    select 'pg_class'::regclass, c.oid from pg_class as c
    where c.relnamespace = any (v_schemas) and c.relowner = v_owner
      and format('%s.%s', c.relnamespace::regnamespace, c.relname) = any (v_names)
    union all
    select 'pg_type'::regclass, t.oid from pg_type as t
    where t.typnamespace = any (v_schemas)
      and format('%s.%s', t.typnamespace::regnamespace, t.typname) = any (v_names)
    union all
    select 'pg_proc'::regclass, p.oid from pg_proc as p
    where p.pronamespace = any (v_schemas) and p.proowner = v_owner
      and format('%s.%s', p.pronamespace::regnamespace, p.proname) = any (v_names)
  )
  select string_agg(f.description, ', ' order by f.description) into v_foreign
  from (
    select pg_describe_object(d.classid, d.objid, 0) as description
    from pg_depend as d
    join ours as o on o.classid = d.refclassid and o.objid = d.refobjid
    where d.deptype in ('n', 'a')
      and not exists (select from ours as u where u.classid = d.classid and u.objid = d.objid)
      -- A trigger that tells nobody but us goes with us, and one of ours that cannot do without.
      and not exists (
        select from pg_trigger as t
        where d.classid = 'pg_trigger'::regclass and t.oid = d.objid
          and (t.tgfoid in ('maintenance.note_deleted()'::regprocedure,
              'maintenance.track_blobs()'::regprocedure)
            or t.tgfoid = any (v_functions) and t.tgrelid = any (v_part_tables)))
    union
    select pg_describe_object(d.classid, d.objid, 0)
    from pg_depend as d
    where d.refclassid = 'pg_namespace'::regclass and d.refobjid = any (v_schemas)
      and d.classid <> 'pg_default_acl'::regclass
      and not exists (select from known as k where k.classid = d.classid and k.objid = d.objid)
      -- Identity sequences belong to their tables.
      and not exists (
        select from pg_depend as i
        where i.classid = d.classid and i.objid = d.objid and i.deptype = 'i')
  ) as f;
  if v_foreign is not null then
    raise exception 'nothing was removed, since this is not of pg-maintenance and stands on it: %',
      v_foreign using errcode = 'PM020', hint = 'Drop it first, or move it elsewhere.';
  end if;

  return query select * from maintenance_internal.remove_schedules();
  return query
    select 'maintenance.blob', format('%s blobs stay in the store that were to be deleted from it',
      count(*))
    from maintenance.blob having count(*) > 0;
  perform set_config('client_min_messages', 'warning', true); -- not a line per object
  drop view maintenance.todo, public.maintenance_status;
  foreach what in array
    array(select p.oid::regprocedure::text from pg_proc as p where p.oid = any (v_functions))
  loop
    execute format('drop function if exists %s cascade', what);
  end loop;
  drop schema maintenance, maintenance_internal cascade;
  -- What is left of the reference application hands nothing to roles that are about to go.
  for v_row in
    select 'function ' || p.oid::regprocedure as object, a.grantee::regrole as grantee
    from pg_proc as p
    cross join aclexplode(p.proacl) as a
    where p.pronamespace = 'public'::regnamespace and p.proowner = v_owner
      and a.grantee in (to_regrole('maintenance_viewer'), to_regrole('maintenance_operator'))
    union
    select 'table ' || c.oid::regclass, a.grantee::regrole
    from pg_class as c
    cross join aclexplode(c.relacl) as a
    where c.oid = any (v_part_tables)
      and a.grantee in (to_regrole('maintenance_viewer'), to_regrole('maintenance_operator'))
  loop
    execute format('revoke all on %s from %s', v_row.object, v_row.grantee);
  end loop;
  foreach what in array array['schema maintenance', 'schema maintenance_internal',
    'view public.maintenance_status'] loop
    outcome := 'dropped';
    return next;
  end loop;

  foreach what in array
    array['maintenance_viewer', 'maintenance_operator', 'maintenance_worker']
  loop
    continue when to_regrole(what) is null;
    begin
      if exists (
        select from pg_roles as r
        where r.rolname = what and (r.rolcanlogin or r.rolconfig is not null
          or exists (
            select from pg_auth_members as m where m.roleid = r.oid and m.member <> v_owner))
      ) then
        outcome := format('kept: it has members, a login or settings; if nobody needs it: '
          'drop role %I;', what);
      else
        execute format('drop role %I', what);
        outcome := 'dropped';
      end if;
    exception
      when dependent_objects_still_exist then
        outcome := 'kept: it has rights in other databases, or on other objects';
      when insufficient_privilege then
        outcome := format('kept: %s may not drop it; who may: drop role %I;', current_user, what);
    end;
    what := 'role ' || what;
    return next;
  end loop;

  -- dbmate's record of our migrations, so that it would install them again.
  what := 'migrations';
  outcome := format('not in public.schema_migrations: take versions %s out of the table that your '
    'migrations are recorded in', array_to_string(v_versions, ', '));
  begin
    delete from public.schema_migrations as m
    where m.version::text = any(v_versions);
    if found then
      outcome := 'forgotten';
      begin
        if not exists (select from public.schema_migrations) then
          drop table public.schema_migrations;
          outcome := 'forgotten, and public.schema_migrations, which is empty now, dropped';
        end if;
      exception when dependent_objects_still_exist or insufficient_privilege then
        null; -- it stays, empty
      end;
    end if;
  exception when undefined_table or undefined_column or insufficient_privilege then
    null; -- the table of another tool: as outcome says
  end;
  return next;
exception when insufficient_privilege then
  raise exception 'nothing was removed: %', sqlerrm using errcode = 'insufficient_privilege',
    hint = 'As the owner of the schema maintenance.';
end
$$;

comment on function maintenance.uninstall(text) is
  'Removes pg-maintenance from this database: its jobs in pg_cron (where pg_cron lives in another '
  'database, the statements for there are in outcome), the schemas maintenance and '
  'maintenance_internal with all receipts and tasks (how many blobs stay in the store that were to '
  'be deleted is told), public.maintenance_status, the functions of the reference application that '
  'call the engine (its tables stay), triggers that call maintenance.note_deleted or track_blobs, '
  'the roles where nobody uses them, and dbmate''s record. confirm: the name of this database. '
  'Refuses where somebody else''s objects stand among ours or on them. For the engine''s owner. '
  'Errors: PM002 another name, PM020 foreign objects.';
-- end of sql/engine/uninstall.sql

-- from sql/engine/shipped.sql 45e74ad8db1a1f24
-- The calls in the files of sql/engine/ that set jobs, kinds and models, and their shipping. Written
-- by make migration.

create function maintenance_internal.engine_ships()
returns table (kind text, name text, call text)
language sql
immutable
set search_path = pg_catalog, pg_temp
begin atomic
  select s.kind, s.name, s.call
  from (values
  (E'job', E'tick', E'select maintenance.set_statement(\n  \'tick\',\n  statement => \'call maintenance.tick()\',\n  schedule => \'* * * * *\',\n  description => \'Looks after all other jobs, every minute\');'),
  (E'job', E'run_late', E'select maintenance.set_statement(\n  \'run_late\',\n  statement => \'call maintenance.run_late()\',\n  schedule => \'* * * * *\',\n  description => \'Starts what is owed: retries, missed slots, runs that wait\');'),
  (E'job', E'alert_monitor', E'select maintenance.set_statement(\n  \'alert_monitor\',\n  statement => \'call maintenance.alert_monitor()\',\n  schedule => \'* * * * *\',\n  description => \'Opens and closes alerts, and calls who listens\');'),
  (E'job', E'purge_receipts', E'select maintenance.set_policy(\n  \'purge_receipts\',\n  target => \'maintenance_internal.run\',\n  action => \'delete\',\n  age => \'finished_at\',\n  keep => \'90 days\',\n  -- Of a job that is there the last that says how it is stays, the last trace, from which counts\n  -- what it owes, and the last success.\n  matching => $$not exists (\n      select from maintenance_internal.job as j where j.job_id = run.job_id)\n    or exists (\n      select from maintenance_internal.run as l\n      where l.job_id = run.job_id and l.traced_at > run.traced_at)\n    and (run.status = \'skipped\' and run.error is null or exists (\n      select from maintenance_internal.run as l\n      where l.job_id = run.job_id\n        and (l.status not in (\'waiting\', \'skipped\') or l.status = \'skipped\' and l.error is not null)\n        and coalesce(l.started_at, l.finished_at) > coalesce(run.started_at, run.finished_at)))\n    and (run.status <> \'succeeded\' or exists (\n      select from maintenance_internal.run as l\n      where l.job_id = run.job_id and l.status = \'succeeded\' and l.started_at > run.started_at))$$,\n  schedule => \'40 3 * * *\',\n  description => \'Receipts that nobody needs any more\');'),
  (E'job', E'purge_cron_history', E'select maintenance.set_job(\n  \'purge_cron_history\',\n  step => \'maintenance_internal.purge_cron_history_step\',\n  schedule => \'50 3 * * *\',\n  description => \'pg_cron\'\'s own history, a row for every firing, beyond seven days\');'),
  (E'job', E'purge_edits', E'select maintenance.set_policy(\n  \'purge_edits\',\n  target => \'maintenance.edit\',\n  action => \'delete\',\n  age => \'changed_at\',\n  keep => \'1 year\',\n  schedule => \'41 3 * * *\',\n  description => \'Who changed what of a job\');'),
  (E'job', E'purge_tasks', E'select maintenance.set_policy(\n  \'purge_tasks\',\n  target => \'maintenance.task\',\n  action => \'delete\',\n  age => \'finished_at\',\n  keep => \'30 days\',\n  -- The dead wait for somebody, for three months; and what was deleted can be brought back.\n  matching => $$(state <> \'dead\' or finished_at <= cutoff - interval \'60 days\') and not exists (\n    select from maintenance.change as c\n    where c.task_id = task.task_id and c.deletes and c.forgotten_at is null)$$,\n  schedule => \'42 3 * * *\',\n  description => \'Tasks that are over; dead ones after 90 days\');'),
  (E'job', E'purge_subjects', E'select maintenance.set_policy(\n  \'purge_subjects\',\n  target => \'maintenance_internal.subject\',\n  action => \'delete\',\n  age => \'looked_at\',\n  keep => \'1 year\',\n  schedule => \'43 3 * * *\',\n  description => \'What was last asked about somebody, when nobody asked for a year\');'),
  (E'job', E'purge_model_calls', E'select maintenance.set_policy(\n  \'purge_model_calls\',\n  target => \'maintenance.model_call\',\n  action => \'delete\',\n  age => \'created_at\',\n  keep => \'30 days\',\n  schedule => \'44 3 * * *\',\n  description => \'Calls of models; what they cost is kept by day\');'),
  (E'job', E'purge_model_days', E'select maintenance.set_policy(\n  \'purge_model_days\',\n  target => \'maintenance.model_day\',\n  action => \'delete\',\n  age => \'day\',\n  keep => \'2 years\',\n  schedule => \'45 3 * * *\',\n  description => \'What models took and cost, by day\');'),
  (E'job', E'purge_model_usage', E'select maintenance.set_policy(\n  \'purge_model_usage\',\n  target => \'maintenance_internal.model_usage\',\n  action => \'delete\',\n  age => \'hour\',\n  keep => \'100 days\',\n  schedule => \'46 3 * * *\',\n  description => \'Requests by hour, of which limits are counted\');'),
  (E'job', E'forget_changes', E'select maintenance.set_policy(\n  \'forget_changes\',\n  target => \'maintenance.change\',\n  action => \'update\',\n  assign => $$rows = \'[]\', note = null, forgotten_at = now()$$,\n  age => \'created_at\',\n  keep => \'30 days\',\n  -- Nor what became of an undo, as long as it can be tried again.\n  matching => $$forgotten_at is null and not deletes and not exists (\n    select from maintenance.change as c\n    where c.change_id = change.undoes and c.deletes and c.forgotten_at is null)$$,\n  schedule => \'47 3 * * *\',\n  description => \'The texts in the ledger of answers, and with them their undo\');'),
  (E'job', E'forget_deletions', E'select maintenance.set_policy(\n  \'forget_deletions\',\n  target => \'maintenance.change\',\n  action => \'update\',\n  assign => $$rows = \'[]\', note = null, forgotten_at = now()$$,\n  age => \'created_at\',\n  keep => \'0\',\n  matching => $$deletes and forgotten_at is null and created_at <= cutoff - (\n    select least(s.value::numeric, 100000) * interval \'1 day\' from maintenance.setting as s\n    where s.name = \'recovery_days\')$$,\n  schedule => \'49 3 * * *\',\n  description => \'What answers deleted, and with it their undo, after the setting recovery_days\');'),
  (E'job', E'purge_changes', E'select maintenance.set_policy(\n  \'purge_changes\',\n  target => \'maintenance.change\',\n  action => \'delete\',\n  age => \'created_at\',\n  keep => \'2 years\',\n  schedule => \'48 3 * * *\',\n  description => \'The ledger of answers: what was changed, without texts\');'),
  (E'job', E'purge_blobs', E'select maintenance.set_policy(\n  \'purge_blobs\',\n  target => \'maintenance.blob\',\n  action => \'delete\',\n  age => \'dead_at\',\n  keep => \'1 year\',\n  matching => $$state = \'dead\'$$,\n  schedule => \'51 3 * * *\',\n  description => \'Blobs that could not be deleted, and that nobody has looked after for a year\');'),
  (E'job', E'purge_alerts', E'select maintenance.set_policy(\n  \'purge_alerts\',\n  target => \'maintenance.alert\',\n  action => \'delete\',\n  age => \'closed_at\',\n  keep => \'1 year\',\n  schedule => \'52 3 * * *\',\n  description => \'Alerts that were closed a year ago\');'),
  (E'job', E'purge_workers', E'select maintenance.set_policy(\n  \'purge_workers\',\n  target => \'maintenance.worker\',\n  action => \'delete\',\n  age => \'seen_at\',\n  keep => \'7 days\',\n  schedule => \'53 3 * * *\',\n  description => \'Workers that have claimed nothing for a week\');'),
  (E'model', E'gemini-3.5-flash-lite', E'select maintenance.set_model(\'gemini-3.5-flash-lite\', 1, 0.30, 2.50, 0.03, \'2026-11-22\');'),
  (E'model', E'gemini-3.1-flash-lite', E'select maintenance.set_model(\'gemini-3.1-flash-lite\', 2, 0.25, 1.50, 0.025, \'2026-11-22\');'),
  (E'model', E'gemini-2.5-flash-lite', E'select maintenance.set_model(\'gemini-2.5-flash-lite\', 3, 0.10, 0.40, 0.01, \'2026-11-22\');')
  ) as s (kind, name, call);
end;

select s.* from maintenance_internal.ship('engine') as s;
-- end of sql/engine/shipped.sql

-- from sql/engine/revoke_defaults.sql 6153d6cede23d3d5
-- Takes from PUBLIC, and from every role that default privileges of this host favour, what they got
-- on objects that were just created. A grant that somebody made to another role stays.
-- p_kind as in pg_default_acl (n schema, r relation, S sequence, f function); p_objects as after
-- REVOKE ALL ON.

create function maintenance_internal.revoke_defaults(p_kind "char", p_objects text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_owner constant oid := maintenance_internal.owner();
  v_grantee text;
begin
  for v_grantee in
    select 'public'
    union
    select a.grantee::regrole::text
    from pg_default_acl as d
    cross join aclexplode(d.defaclacl) as a
    where d.defaclrole = v_owner
      and d.defaclobjtype = p_kind
      and a.grantee not in (0, v_owner)
  loop
    execute format('revoke all on %s from %s', p_objects, v_grantee);
  end loop;
end
$$;
-- end of sql/engine/revoke_defaults.sql

-- from sql/engine/pin.sql 8343bd993b8755c7
-- What every definer function of ours works under, whatever its caller's session says: the settings
-- that change how a stored text is read or what it gives, and those that show what a statement
-- inside it does. A file names its search_path and its lock_timeout; the rest is the same for all,
-- and stands here. Where a file does name one of them, that stays.

create function maintenance_internal.pin_settings(p_routines oid[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_pin record;
begin
  for v_pin in
    select p.oid::regprocedure as routine, s.name, s.value
    from pg_proc as p
    cross join (values
      ('row_security', 'off'),
      ('timezone', 'UTC'),
      -- Texts that are read as dates: in the order of the owner's own sessions.
      ('datestyle', 'ISO, ' || coalesce(
        (select upper(substring(o.value from '(?i)MDY|DMY|YMD'))
          from maintenance_internal.owner_setting('DateStyle') as o),
        (select substring(g.reset_val from 'MDY|DMY|YMD')
          from pg_settings as g where g.name = 'DateStyle'))),
      ('intervalstyle', 'postgres'),
      ('standard_conforming_strings', 'on'),
      ('quote_all_identifiers', 'off'),
      ('array_nulls', 'on'),
      ('transform_null_equals', 'off'),
      ('xmloption', 'content'),
      ('xmlbinary', 'base64'),
      ('bytea_output', 'hex'),
      ('extra_float_digits', '1'),
      ('timezone_abbreviations', 'Default'),
      ('gin_fuzzy_search_limit', '0'),
      -- Code of the owner's that says what it works on says it to whoever called.
      ('client_min_messages', 'error'),
      ('lc_monetary', current_setting('lc_monetary')),
      ('lc_numeric', current_setting('lc_numeric')),
      ('lc_time', current_setting('lc_time')),
      -- As the owner's rules mean it: the one that this session, which installs, has.
      ('default_text_search_config', current_setting('default_text_search_config')),
      ('jit', 'off'),
      ('debug_print_parse', 'off'),
      ('debug_print_rewritten', 'off'),
      ('debug_print_plan', 'off')
    ) as s (name, value)
    where p.oid = any (p_routines) and p.prosecdef
      and not exists (
        select from unnest(p.proconfig) as c where lower(split_part(c, '=', 1)) = s.name)
      -- It reads literals as its caller's session does, and has the rest done by others.
      and not (p.proname = 'set_policy' and s.name in ('timezone', 'datestyle', 'intervalstyle'))
      -- Dear to set, and read by what the owner wrote alone: in those that execute it.
      and (s.name not in ('timezone_abbreviations', 'lc_monetary', 'lc_numeric', 'lc_time')
        or p.proname in ('start_run', 'run_step', 'backlog', 'preview', 'lint', 'put_policy',
          'trigger_jobs', 'task_request', 'complete_task', 'approve_task', 'undo_task'))
      -- These tell the owner; and a claim says why it hands nothing out, and calls no code of his.
      and not (p.proname = 'claim_tasks' and s.name = 'client_min_messages')
      and not (p.proname ~ '^(set_|put_policy|configure_|drop_job|(enable|disable)_job|register'
          '|pause|resume|emergency_stop)'
        and s.name = 'client_min_messages')
  loop
    execute format('alter routine %s set %s = %s', v_pin.routine, v_pin.name,
      case v_pin.name when 'datestyle' then v_pin.value else quote_literal(v_pin.value) end);
  end loop;
end
$$;
-- end of sql/engine/pin.sql

-- from sql/engine/roles.sql 499518b6b17c044f
-- Who may call what. Last in the build, so that it sees everything.
--
--   maintenance_viewer    reads status and history
--   maintenance_operator  also runs, schedules, enables, disables and pauses jobs; asks for tasks,
--                         revives, decides and undoes them
--   maintenance_worker    carries tasks to the model and back, is told which blobs to delete, and
--                         nothing else
--
-- Roles belong to the whole server and are not in a dump: grant_roles can be called again at any
-- time, by the owner. Who may read no table can still read the views: they show no row's content.

create function maintenance.grant_roles()
returns table (role_name text, outcome text, fix text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  -- The functions of maintenance_internal below are what a view or a procedure, which cannot work
  -- as the owner, calls in its reader's name.
  v_viewer constant text[] := array[
    'table public.maintenance_status',
    'table maintenance.todo',
    'table maintenance.job_status',
    'table maintenance.run_history',
    'table maintenance.edit',
    'table maintenance.index_health',
    'table maintenance.table_bloat',
    'table maintenance.upkeep',
    'table maintenance.setting',
    'table maintenance.model_status',
    'table maintenance.active_failovers',
    'table maintenance.task_events',
    'table maintenance.alert',
    'table maintenance.worker',
    'table maintenance.vacuum_holders',
    'table maintenance.metrics',
    'table maintenance.weekly_report',
    'function maintenance.job_statistics(interval)',
    'function maintenance.system_health()',
    'function maintenance.doctor()',
    'function maintenance.effective_model(text)',
    'function maintenance_internal.model_status()',
    'function maintenance_internal.other_settings()',
    'function maintenance_internal.backlog()',
    'function maintenance_internal.task_backlog()',
    'function maintenance_internal.blob_backlog()',
    'function maintenance_internal.alert_backlog()',
    'function maintenance_internal.vacuum_holders()',
    'function maintenance_internal.metrics()',
    'function maintenance_internal.full_pages()',
    'function maintenance_internal.upkeep()',
    'function maintenance_internal.was_fired(integer)',
    'function maintenance_internal.unlike_shipped(text)',
    'function maintenance_internal.cron_state()',
    'function maintenance_internal.cron_jobs()',
    'function maintenance_internal.cron_fault(text)',
    'function maintenance_internal.is_alive(integer, integer, timestamptz)',
    'function maintenance_internal.nearest_slot(text, timestamptz, boolean, text)',
    'function maintenance_internal.clock()',
    'function maintenance_internal.tick_statement()',
    'function maintenance_internal.is_own(text)',
    'function maintenance_internal.alert_statement()',
    'function maintenance_internal.run_late_statement()',
    'function maintenance_internal.wrap_text(text, integer)',
    'function maintenance.version()',
    'function maintenance.report_html(integer)',
    'function maintenance.next_run_at(text, timestamptz)',
    'function maintenance.lint(text)',
    'function maintenance.preview(text)',
    'function maintenance.explain_policy(text)'];
  v_operator constant text[] := v_viewer || array[
    'procedure maintenance.run_job(text, jsonb)',
    'function maintenance.run_now(text)',
    'function maintenance_internal.run_or_raise(text)',
    'function maintenance_internal.start_run(text, boolean)',
    'function maintenance_internal.run_step(bigint)',
    'function maintenance_internal.end_run(bigint)',
    'function maintenance_internal.defer_again()',
    'function maintenance_internal.refuse_inside_transaction(text, text)',
    'procedure maintenance_internal.check_outside(text)',
    'procedure maintenance_internal.run_steps(bigint)',
    'function maintenance_internal.message_or_failure(jsonb)',
    'function maintenance.install_schedules()',
    'function maintenance.cron_statements()',
    'function maintenance.set_schedule(text, text)',
    'function maintenance.enable_job(text)',
    'function maintenance.disable_job(text)',
    'function maintenance.pause(text)',
    'function maintenance.emergency_stop(text)',
    'function maintenance.resume()',
    'function maintenance.enqueue_task(text, text, integer, timestamptz, jsonb, boolean)',
    'function maintenance.trigger_jobs(text, interval, boolean, boolean)',
    'table maintenance.model',
    'table maintenance.model_day',
    'table maintenance.pending_answer',
    'function maintenance.record_usage(text, bigint, bigint, timestamptz)',
    'function maintenance.retry_task(bigint)',
    'function maintenance.retry_tasks(text)',
    'function maintenance.approve_task(bigint)',
    'function maintenance.reject_task(bigint, text)',
    'function maintenance.undo_task(bigint)',
    'function maintenance.retry_blobs()',
    'function maintenance.silence_alert(bigint, timestamptz)'];
  v_worker constant text[] := array[
    'function maintenance.claim_tasks(text, integer, interval, jsonb)',
    'function maintenance.task_request(bigint, uuid)',
    'function maintenance.extend_lease(bigint, uuid, interval)',
    'function maintenance.complete_task(bigint, uuid, text, jsonb)',
    'function maintenance.fail_task(bigint, uuid, text, text, interval, jsonb, jsonb)',
    'function maintenance.release_task(bigint, uuid)',
    'function maintenance.claim_blobs(text, integer, interval)',
    'function maintenance.settle_blob(bigint, uuid, text, text)'];
  v_can text;
  v_mend text;
  v_schema text;
  v_doors text;
  v_door text;
begin
  foreach v_schema in array array['maintenance', 'maintenance_internal'] loop
    perform maintenance_internal.revoke_defaults('n', 'schema ' || v_schema);
    perform maintenance_internal.revoke_defaults('r', 'all tables in schema ' || v_schema);
    perform maintenance_internal.revoke_defaults('S', 'all sequences in schema ' || v_schema);
    perform maintenance_internal.revoke_defaults('f', 'all routines in schema ' || v_schema);
  end loop;
  perform maintenance_internal.revoke_defaults('r', 'table public.maintenance_status');
  perform maintenance_internal.pin_settings(array(
    select p.oid from pg_proc as p
    where p.pronamespace in (
      'maintenance'::regnamespace, 'maintenance_internal'::regnamespace)));

  foreach grant_roles.role_name in array
    array['maintenance_viewer', 'maintenance_operator', 'maintenance_worker']
  loop
    outcome := 'there';
    fix := null;
    if to_regrole(role_name) is null then
      begin
        execute format('create role %I nologin', role_name);
        outcome := 'created';
      exception when duplicate_object or unique_violation then
        -- Another database's migration has just made it: opening the catalogue anew makes this
        -- session hear of it.
        perform from pg_roles as r where r.rolname = grant_roles.role_name;
      when insufficient_privilege then
        outcome := format('missing: %s may not create roles', current_user);
        fix := format('create role %I nologin; -- then: select * from maintenance.grant_roles();',
          role_name);
        return next;
        continue;
      end;
    end if;
    select 'there, and ' || f.fault, f.fix || ' -- a login of its own is a member of it'
    into v_can, v_mend
    from maintenance_internal.role_fault(role_name) as f
    where f.fault is not null;
    if found then
      outcome := v_can;
      fix := v_mend;
    end if;
    execute format('grant usage on schema maintenance to %I', role_name);
    foreach v_door in array case role_name
      when 'maintenance_viewer' then v_viewer
      when 'maintenance_operator' then v_operator
      else v_worker end
    loop
      execute format('grant %s on %s to %I',
        case when v_door like 'table %' then 'select' else 'execute' end, v_door, role_name);
    end loop;
    if role_name = 'maintenance_operator' then
      grant usage on schema maintenance_internal to maintenance_operator;
      grant select (task_id, kind, subject, state, attempts, defers, recoveries, available_at,
        last_error, result, cost_usd, created_at, finished_at)
      on maintenance.task to maintenance_operator;
      grant select (change_id, task_id, undoes, op, outcome, reason, keys, made_by, created_at)
      on maintenance.change to maintenance_operator;
      grant select (blob_id, state, task_id, attempts, defers, available_at, due_at, noted_at,
        last_error, dead_at)
      on maintenance.blob to maintenance_operator;
    end if;
    return next;
  end loop;

  -- The front doors of the application that is installed beside the engine, if one is.
  v_doors := to_regprocedure('maintenance_internal.grant_front_doors()')::text;
  if v_doors is not null then
    execute format('select %s', v_doors);
  end if;
end
$$;

comment on function maintenance.grant_roles() is
  'Creates the roles maintenance_viewer, maintenance_operator and maintenance_worker where that is '
  'allowed, takes everything from PUBLIC and grants each role its doors. One row per role, with '
  'the statement that is missing in fix. For the engine''s owner; it can be called again.';

do $$
declare
  v_row record;
begin
  if (select r.rolsuper from pg_roles as r where r.oid = maintenance_internal.owner()) then
    raise warning 'the engine belongs to the superuser %, and so does what it runs at night',
        maintenance_internal.owner()::regrole
      using hint = 'Let the role that owns the application''s tables install it.';
  end if;
  for v_row in select * from maintenance.grant_roles() loop
    if v_row.fix is not null then
      raise warning '% %', v_row.role_name, v_row.outcome using hint = v_row.fix;
    end if;
  end loop;
end
$$;
-- end of sql/engine/roles.sql

insert into maintenance_internal.migration (version) values ('20261124000000');

select pg_catalog.set_config('search_path', pg_catalog.current_setting('maintenance.path'), true);

-- migrate:down

do $$
begin
  raise exception 'Migrations of pg-maintenance go forward only, and nothing was rolled back. To remove '
    'all of it: select * from maintenance.uninstall(current_database());';
end
$$;
