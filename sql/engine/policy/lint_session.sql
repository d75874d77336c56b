-- What the sessions that pg_cron opens for the owner would do to a run: foreign keys that are
-- switched off, and a time-out that ends it before its budget does.

create function maintenance_internal.lint_session(p_job maintenance_internal.job)
returns table (severity text, finding text, fix text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select 'critical', k.finding, k.fix
  from maintenance_internal.policy as p
  cross join lateral maintenance_internal.keys_off(
    maintenance_internal.leaf_tables(to_regclass(p.target))) as k
  where p.job_id = p_job.job_id
  union all
  select 'warning',
    format('statement_timeout of %s is %s, and a run is one statement with a budget of %s',
      s.whose, s.value, p_job.budget), s.fix
  from maintenance_internal.owner_setting('statement_timeout') as s
  where (s.value || case when s.value ~ '^[0-9]+$' then 'ms' else '' end)::interval
    between interval '1 microsecond' and p_job.budget;
end;
