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
