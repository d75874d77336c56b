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
