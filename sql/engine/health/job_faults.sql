-- The rows of maintenance_status about all jobs, of every kind: whose last run did not succeed, and
-- who should have run and left no trace.

-- What runs a job at once. A statement that no function can hold is run by pg_cron, or by hand.
create function maintenance_internal.run_advice(p_job maintenance.job_status)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return case
  when (p_job).kind = 'statement' then (
    select format('%s; (its receipt comes when pg_cron fires it%s)', rtrim(j.statement, '; '),
      to_char((p_job).next_run_at, ', YYYY-MM-DD HH24:MI'))
    from maintenance_internal.job as j
    where j.job_name = (p_job).job_name)
  else format('call maintenance.run_job(%L);', (p_job).job_name)
end;

create function maintenance_internal.job_faults(
  p_jobs maintenance.job_status[],
  out task text,
  out count bigint,
  out description text,
  out severity text,
  out oldest timestamptz,
  out advice text)
returns setof record
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_shown constant integer := 3;
  v_tick text := (select j.job_name from maintenance_internal.job as j
    where j.statement = maintenance_internal.tick_statement());
  v_silence record;
  v_late maintenance.job_status[] := array(
    select s from unnest(p_jobs) as s where s.late_since is not null
    order by s.job_name is distinct from v_tick, s.late_since, s.job_name);
begin
  return query
    select 'jobs_failing', count(*), 'Jobs whose last run did not succeed',
      case when count(*) > 0 then 'warning' else 'ok' end, min(f.last_run_at),
      string_agg(format('%s: %s%s.', f.job_name, f.last_status, ': ' || f.last_error), ' '
        order by f.n) filter (where f.n <= v_shown)
        || ' Mend it, then: ' || string_agg(maintenance_internal.run_advice(f.s), ' '
          order by f.kind = 'statement', f.n) filter (where f.n <= v_shown)
        || case when count(*) > v_shown then format(' And %s more: select job_name, '
          'last_error from maintenance.job_status where last_status <> ''succeeded'';',
          count(*) - v_shown) else '' end
    from (
      select s, s.*, row_number() over (order by s.last_run_at desc, s.job_name) as n
      from unnest(p_jobs) as s
      where s.enabled and s.job_name is distinct from v_tick
        and s.last_status in ('failed', 'timeout', 'cancelled', 'interrupted')
    ) as f;

  task := 'jobs_late';
  count := cardinality(v_late);
  description := 'Jobs that should have run by their schedule, and left no trace';
  severity := case when count = 0 then 'ok' when v_late[1].job_name = v_tick then 'critical'
    else 'warning' end;
  if count > 0 then
    select * into v_silence
    from maintenance_internal.cron_silence(v_late[1].job_name, v_late[1].late_since);
    select min((l.job).late_since),
      format('%s since %s: %s. ', string_agg((l.job).job_name, ', ' order by l.n)
          filter (where l.n <= v_shown)
          || case when count > v_shown then format(' and %s more', count - v_shown) else '' end,
        to_char(min((l.job).late_since), 'YYYY-MM-DD HH24:MI'), v_silence.cause)
      || concat_ws(' ', v_silence.mend, 'To make up for it: ' || string_agg(
        maintenance_internal.run_advice(l.job), ' ' order by (l.job).kind = 'statement', l.n)
        filter (where l.n <= v_shown and (l.job).job_name is distinct from v_tick))
    into oldest, advice
    from (select n, v_late[n] as job from generate_subscripts(v_late, 1) as n) as l;
  end if;
  return next;
end
$$;
