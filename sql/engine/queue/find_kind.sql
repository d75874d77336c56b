-- A kind by its name, or a clear error.

create function maintenance_internal.find_kind(p_kind text)
returns maintenance.kind
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_kind maintenance.kind;
begin
  select * into v_kind from maintenance.kind as k where k.kind = p_kind;
  if not found then
    raise exception 'there is no kind "%"', p_kind
      using errcode = 'PM013', hint = (
        select 'There are: ' || coalesce(string_agg(k.kind, ', ' order by k.kind), 'none yet')
        from maintenance.kind as k);
  end if;
  return v_kind;
end
$$;
