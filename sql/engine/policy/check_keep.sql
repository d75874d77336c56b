-- Refuses a keep that is below zero, or reaches back before all time that Postgres knows.

create function maintenance_internal.check_keep(p_keep interval)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_keep < interval '0' or p_keep > interval '6000 years' then
    raise exception 'keep "%" is not acceptable', p_keep
      using errcode = 'PM002',
        hint = 'An interval from zero to 6000 years: ''90 days'', ''8 months''.';
  end if;
end
$$;
