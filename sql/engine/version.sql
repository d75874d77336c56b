-- Which version is installed here, so that a program of another one can say so (state.sql).

create function maintenance.version()
returns table (part text, release text, state text)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
begin atomic
  select v.part, m.found[1], m.found[2]
  from (values
    ('engine', obj_description(to_regnamespace('maintenance'), 'pg_namespace')),
    ('reference', obj_description(
      to_regprocedure('maintenance_internal.reference_objects()'), 'pg_proc'))
  ) as v (part, words)
  cross join lateral regexp_match(v.words, '^pg-maintenance (\S+), state (\w+)') as m (found)
  where m.found is not null;
end;

comment on function maintenance.version() is
  'What is installed in this database: one row for the engine, and one for the reference '
  'application where it is here. release: of pg-maintenance; state: a hash of the files of sql/ '
  'that it was made of.';
