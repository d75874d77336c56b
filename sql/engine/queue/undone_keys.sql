-- What was put together once and taken apart again, so that a kind need not do it a second time.

create function maintenance_internal.undone_keys(p_kind text, p_subject text)
returns table (keys text[])
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select distinct u.keys
  from maintenance.change as u
  where u.kind = p_kind and u.subject = p_subject and u.undoes is not null;
end;
