-- What somebody has made of a shipped row: {"keep": ["90 days", "30 days"]}, shipped and in force.

create function maintenance_internal.unlike_shipped(p_kind text, p_name text)
returns jsonb
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
set timezone = 'UTC'
set intervalstyle = 'postgres'
begin atomic
  select jsonb_object_agg(key, jsonb_build_array(s.row -> key, r.row -> key))
  from maintenance_internal.shipped as s
  join maintenance_internal.row_in_force as r on r.kind = s.kind and r.name = s.name
  cross join lateral jsonb_object_keys(s.row) as key -- a column that came later is nobody's change
  where s.kind = p_kind and s.name = p_name
    and s.row -> key is distinct from coalesce(r.row -> key, 'null');
end;
