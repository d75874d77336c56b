-- The one clock that every rule reads: the transaction's start, or what a test says it is.
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

comment on function maintenance_internal.clock() is
  'The time that rules and schedules are read at: now(), or the setting maintenance.fake_now '
  'where the session belongs to the engine''s owner (for tests).';
