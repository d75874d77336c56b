-- The SET list of an update, in the form that Postgres prints.
--
-- The guard in FROM and the WHERE behind it are ours: a list that brings a FROM, a WHERE or a
-- RETURNING of its own, or a second statement, is a syntax error or refused by the cursor, which
-- is opened and never fetched from. A rewrite rule on the empty copy then prints the list.

create function maintenance.parse_assign(p_table regclass, p_copy regclass, p_text text)
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set datestyle = 'ISO, YMD'
set intervalstyle = 'postgres'
as $$
declare
  v_cursor refcursor;
  v_update text := format(
    e'update %s set %s\n from (select 1 as one) as guard where false', p_copy, p_text);
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
    execute format('create rule parsed as on update to %s do also %s', p_copy, v_update);

    select pg_get_ruledef(r.oid), r.ev_action::text into v_printed, v_tree
    from pg_rewrite as r
    where r.ev_class = p_copy and r.rulename = 'parsed';
    execute format('drop rule parsed on %s', p_copy);
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
    substring(v_printed from '\s+FROM \( SELECT 1 AS one\) guard\s+WHERE false;\s*$')));
end
$$;

comment on function maintenance.parse_assign(regclass, regclass, text) is
  'The SET list of an update, in the form that Postgres prints.';
