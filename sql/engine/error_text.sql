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
