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
