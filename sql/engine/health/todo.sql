-- What somebody should act on, and nothing else.

-- Lines of at most so many characters, broken at blanks and behind brackets; never inside of a
-- literal, which is longer then.
create function maintenance_internal.wrap_text(p_text text, p_width integer)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_piece text[];
  v_line text := '';
  v_text text;
begin
  for v_piece in
    select regexp_matches(p_text,
      '((?:(?<=[\s(,=])''[^'']*''|[^\s(]){1,200}?(?:\(|(?=\s|$))|\()(\s*)', 'g')
  loop
    if v_line <> '' and length(v_line) + length(v_piece[1]) > p_width then
      v_text := concat_ws(e'\n', v_text, rtrim(v_line));
      v_line := '';
    end if;
    v_line := v_line || v_piece[1] || v_piece[2];
  end loop;
  return concat_ws(e'\n', v_text, nullif(rtrim(v_line), ''));
end
$$;

create view maintenance.todo as
select
  s.task,
  s.count,
  maintenance_internal.wrap_text(coalesce(s.advice, s.description), (greatest(30,
    72 - max(length(s.task)) over () - greatest(max(length(s.count::text)) over (), 5)))::integer)
    as advice
from public.maintenance_status as s
where s.severity in ('warning', 'critical')
order by s.severity, s.task;

comment on view maintenance.todo is
  'What somebody should act on, the critical first, in 80 columns where names are not too long; no '
  'row is good news. To paste an advice, take it from maintenance_status, or make status, which '
  'do not break its lines.';
comment on column maintenance.todo.task is 'as in maintenance_status';
comment on column maintenance.todo.count is 'rows, tasks or jobs that it is about';
comment on column maintenance.todo.advice is 'what to do, with the statement';
