-- The inputs of a subject that were given up: a model declined to answer, a person rejected the
-- answer, or it failed until it was dead; and the last one that was answered. A kind that has more
-- than one thing to ask about a subject goes on to the next. None where somebody has asked with
-- force, as retry_task does.

create function maintenance_internal.given_up(p_kind text, p_subject text)
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select g.input_hash
  from (
    select t.input_hash
    from maintenance.task as t
    where t.kind = p_kind and t.subject = p_subject
      and (t.state = 'dead' or t.state = 'skipped' and t.last_class in ('blocked', 'declined'))
    union
    select s.input_hash
    from maintenance_internal.subject as s
    where s.kind = p_kind and s.subject = p_subject
  ) as g
  where g.input_hash is not null and not exists (
    select from maintenance.task as o
    where o.kind = p_kind and o.subject = p_subject and o.state in ('ready', 'leased') and o.force);
end;
