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
