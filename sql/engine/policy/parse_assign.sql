-- The SET list of an update, in the form that Postgres prints.
--
-- The guard in FROM and the WHERE behind it are ours: a list that brings a FROM, a WHERE or a
-- RETURNING of its own, or a second statement, is a syntax error or refused by the cursor, which
-- is opened and never fetched from. A function over the empty copy, never called, then prints the
-- list (a rewrite rule would too, but not for a table that is named old or new).

create function maintenance_internal.parse_assign(p_table regclass, p_copy regclass, p_text text)
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
set quote_all_identifiers = off
set datestyle = 'ISO, YMD'
set intervalstyle = 'postgres'
as $$
declare
  v_cursor refcursor;
  v_update text := format(
    e'update %s set %s\n from (select 1 as one) as maintenance_guard where false', p_copy, p_text);
  v_printed text;
  v_tree text;
  v_head text;
  v_key text;
  v_message text;
  v_state text;
begin
  begin
    open v_cursor for execute v_update || ' returning 1';
    close v_cursor;
    execute format('create function pg_temp.parsed() returns void begin atomic %s; end', v_update);

    select pg_get_function_sqlbody(p.oid), p.prosqlbody::text into v_printed, v_tree
    from pg_proc as p
    where p.oid = to_regprocedure('pg_temp.parsed()');
    drop function pg_temp.parsed();
  exception when others then
    get stacked diagnostics v_message = message_text, v_state = returned_sqlstate;
    raise exception 'assign "%" is not acceptable: %', p_text, v_message
      using errcode = 'PM004', detail = 'SQLSTATE ' || v_state,
        hint = 'The SET list of an update: status = ''failed'', finished_at = now().';
  end;

  select a.attname into v_key
  from pg_partitioned_table as p
  join pg_attribute as a on a.attrelid = p.partrelid and a.attnum = any(p.partattrs)
  where p.partrelid = p_table
    and v_tree ~ format(':resno %s :resname \S+ ', a.attnum)
    and v_tree ~ format(':updatedCols \(b[^)]*\y%s\y', a.attnum + 7);
  if found then
    raise exception 'assign "%" changes %, which % is partitioned by', p_text, v_key, p_table
      using errcode = 'PM004', hint = 'Moving rows between partitions is no work for a policy.';
  end if;

  v_head := format('UPDATE %s SET ', p_copy);
  v_printed := substr(v_printed, strpos(v_printed, v_head) + length(v_head));
  return left(v_printed, -length(
    substring(v_printed
      from '\s+FROM \( SELECT 1 AS one\) maintenance_guard\s+WHERE false;\s+END$')));
end
$$;
