-- One expression of a rule, as somebody typed it, in the form that Postgres prints.
--
-- Postgres itself is the parser. The table is an empty temporary copy of the target, so nothing
-- that is parsed here can touch a row, and the order of the steps matters:
--   1. a cursor is opened on it: several statements in one text are refused before any runs;
--   2. CREATE POLICY takes exactly one expression in brackets: a bracket cannot be smuggled out;
--   3. what is stored is pg_get_expr of the result, never the text.
-- CREATE POLICY wants a boolean. Another type is refused by datatype_mismatch after the text has
-- passed as one expression, which is what makes the wrapped form of step 3 safe.

create function maintenance_internal.parse_expression(
  p_copy regclass,
  p_argument text,
  p_text text,
  out printed text,
  out type text)
language plpgsql
set search_path = pg_catalog, pg_temp
set quote_all_identifiers = off
set datestyle = 'ISO, YMD'
set intervalstyle = 'postgres'
as $$
declare
  v_cursor refcursor;
  v_is_boolean boolean := true;
  v_tree text;
  v_volatile text;
  v_message text;
  v_state text;
begin
  begin
    open v_cursor for execute format(e'select (%s\n) from %s', p_text, p_copy);
    close v_cursor;

    begin
      execute format(e'create policy parsed on %s for delete using (%s\n)', p_copy, p_text);
    exception when datatype_mismatch then
      execute format(
        e'create policy parsed on %s for delete using ((%s\n) is not null)', p_copy, p_text);
      v_is_boolean := false;
    end;

    select pg_get_expr(p.polqual, p.polrelid), p.polqual::text into printed, v_tree
    from pg_policy as p
    where p.polrelid = p_copy and p.polname = 'parsed';
    execute format('drop policy parsed on %s', p_copy);
  exception when others then
    get stacked diagnostics v_message = message_text, v_state = returned_sqlstate;
    raise exception '% "%" is not acceptable: %', p_argument, p_text, v_message
      using errcode = 'PM004', detail = 'SQLSTATE ' || v_state,
        hint = 'One expression over the target''s columns; '
          'other tables and functions need their schema''s name.';
  end;

  if v_tree ~ (':relid ' || p_copy::oid || '\y') then
    raise exception '% "%" reads its own table without a schema', p_argument, p_text
      using errcode = 'PM004', hint = 'In a subquery, name the table with its schema.';
  end if;

  select p.oid::regprocedure::text into v_volatile
  from regexp_matches(v_tree, ':(?:funcid|opfuncid|hashfuncid|aggfnoid|winfnoid) (\d+)', 'g') as m
  join pg_proc as p on p.oid = m[1]::oid
  where p.provolatile = 'v'
  limit 1;
  if found then
    raise exception '% "%" calls %, which is volatile', p_argument, p_text, v_volatile
      using errcode = 'PM004',
        hint = 'A rule gives the same answer all through a run: use stored columns and now().';
  end if;

  if not v_is_boolean then
    printed := substr(printed, 2, length(printed) - length('( IS NOT NULL)'));
  end if;
  -- Asks for the type without evaluating the expression: a CASE has the type of a branch that is
  -- never taken, too.
  execute format('select pg_typeof(case when false then (%s) end) from (select) as maintenance_one '
    'left join %s as %s on true', printed, p_copy,
    maintenance_internal.target_alias(p_copy)) into type;
end
$$;
