-- What was put together once and taken apart again, so that a kind need not do it a second time.

create function maintenance_internal.undone_keys(p_kind text, p_subject text)
returns table (keys text[])
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select distinct c.keys
  from maintenance.task as t
  join maintenance.change as u on u.task_id = t.task_id and u.undoes is not null
  join maintenance.change as c on c.change_id = u.undoes
  where t.kind = p_kind and t.subject = p_subject;
end;
