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
