-- The one clock that every rule and schedule is read at: the transaction's start or, for tests, the
-- setting maintenance.fake_now.
-- Only the engine's owner may move it: a cut-off in the future would make every row due.

create function maintenance_internal.clock()
returns timestamptz
language sql
stable
set search_path = pg_catalog, pg_temp
return case
  when coalesce(current_setting('maintenance.fake_now', true), '') <> ''
    and pg_has_role(session_user,
      (select n.nspowner from pg_namespace as n where n.nspname = 'maintenance'), 'usage')
  then current_setting('maintenance.fake_now', true)::timestamptz
  else now()
end;

-- The same for what passes within a transaction: leases, places and cool-downs of models. The
-- moment itself, and never the transaction's start.
create function maintenance_internal.moment()
returns timestamptz
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if coalesce(current_setting('maintenance.fake_now', true), '') = '' then
    return clock_timestamp();
  end if;
  return case when maintenance_internal.clock() = now() then clock_timestamp()
    else maintenance_internal.clock() end;
end
$$;
