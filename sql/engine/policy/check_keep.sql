-- Refuses a keep that is below zero, that reaches back before all time that Postgres knows, or that
-- was written as a number alone, which is an interval of seconds: how it was written, the interval
-- does not tell, so the caller's statement is asked. (Where it came as a parameter, lint warns.)

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
  elsif p_keep > interval '0' and current_query() ~* format(
    -- By name, or behind the action and the age.
    '(\mkeep\s*(=>|:=)|''(delete|update)''\s*,\s*(''([^'']|'''')*''|\$\$.*?\$\$)\s*,)\s*'
    '(interval\s*)?(''|\$\$)\s*\+?0*%s(\.0*)?\s*(''|\$\$)', extract(epoch from p_keep)::bigint)
  then
    raise exception 'keep ''%'' is a number alone', extract(epoch from p_keep)::bigint
      using errcode = 'PM002',
        hint = format('Of days: ''%1$s days''; of seconds: ''%1$s seconds''.',
          extract(epoch from p_keep)::bigint);
  end if;
end
$$;
