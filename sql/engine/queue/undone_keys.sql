-- What was put together once and taken apart again, or deleted and brought back, so that a kind
-- need not do it a second time.

create function maintenance_internal.undone_keys(p_kind text, p_subject text)
returns table (keys text[], undone_at timestamptz)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select u.keys, max(u.created_at)
  from maintenance.change as u
  where u.kind = p_kind and u.subject = p_subject and u.undoes is not null
    and u.outcome = 'applied'
  group by u.keys;
end;
