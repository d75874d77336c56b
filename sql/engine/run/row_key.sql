-- What a row is known by: its primary key as jsonb, or its ctid where it has none.

create function maintenance_internal.row_key(p_table regclass, p_ctid tid)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_pairs text;
  v_key jsonb;
begin
  select string_agg(format('%L, t.%I', a.attname, a.attname), ', ') into v_pairs
  from pg_index as i
  join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
  where i.indrelid = p_table and i.indisprimary;
  if v_pairs is not null then
    execute format('select jsonb_build_object(%s) from only %s as t where t.ctid = $1',
      v_pairs, p_table) into v_key using p_ctid;
  end if;
  return jsonb_build_object('table', p_table::text)
    || coalesce(v_key, jsonb_build_object('ctid', p_ctid::text));
end
$$;
