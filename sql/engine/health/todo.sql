-- What somebody should act on, and nothing else.

-- Lines of at most so many characters: broken at blanks, or behind a bracket.
create function maintenance_internal.wrap_text(p_text text, p_width integer)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return regexp_replace(
  regexp_replace(p_text, format('(.{1,%s})(?:\s+|$)|(.{1,%s}[(,;])|(\S{%s})', p_width, p_width - 1,
    p_width), e'\\1\\2\\3\n', 'g'),
  e'\n$', '');

create view maintenance.todo as
select
  s.task,
  s.count,
  maintenance_internal.wrap_text(coalesce(s.advice, s.description),
    greatest(70 - max(length(s.task)) over () - max(length(s.count::text)) over (), 30)) as advice
from public.maintenance_status as s
where s.severity in ('warning', 'critical')
order by s.severity, s.task;

comment on view maintenance.todo is
  'What somebody should act on, the critical first, in 80 columns; no row is good news. To paste '
  'an advice, take it from maintenance_status, or make status, which do not break its lines.';
comment on column maintenance.todo.task is 'as in maintenance_status';
comment on column maintenance.todo.count is 'rows, tasks or jobs that it is about';
comment on column maintenance.todo.advice is 'what to do, with the statement';
