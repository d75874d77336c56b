-- The rows of maintenance_status about all jobs, of every kind: whose last run did not succeed,
-- and who should have run and left no trace.

-- What runs a job at once. A statement that no function can hold leaves no receipt by hand:
-- setting its schedule anew has it owe nothing from before.
create function maintenance_internal.run_advice(p_job maintenance.job_status)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return case
  when (p_job).kind = 'statement' then (
    select format('%s%s; select maintenance.set_schedule(%L, %L);', rtrim(j.statement, '; '),
      case when j.statement ~ '--' then e'\n' end, j.job_name,
      coalesce((p_job).schedule, (p_job).declared_schedule))
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
  v_tick constant text := (select min(j.job_name) from maintenance_internal.job as j
    where j.statement = maintenance_internal.tick_statement());
  v_own constant text[] := array(select j.job_name from maintenance_internal.job as j
    where maintenance_internal.is_own(j.statement));
  v_late maintenance.job_status[] := array(
    select s from unnest(p_jobs) as s where s.late_since is not null
    order by s.job_name is distinct from v_tick, s.late_since, s.job_name);
begin
  return query
    select 'jobs_failing', count(*), 'Jobs whose last run did not succeed',
      case when count(*) filter (where ((f.s).waiting ~ '^attempt ') is not true) > 0 then 'warning'
        when count(*) > 0 then 'notice' else 'ok' end,
      min(f.at),
      nullif(concat_ws(' ',
        string_agg(format('%s: %s%s%s.', (f.s).job_name, f.status, ': ' || f.error,
          '; waits for ' || (f.s).waiting), ' ' order by f.n) filter (where f.n <= v_shown),
        'Mend it, then: ' || string_agg(maintenance_internal.run_advice(f.s), ' '
          order by f.n) filter (where f.n <= v_shown and (f.s).kind <> 'statement'
            and not maintenance_internal.is_paused()),
        'In full, as the owner: select distinct on (job_name) job_name, error_detail from '
          'maintenance.run_history where job_name in (' || string_agg(quote_literal(
          (f.s).job_name), ', ' order by f.n) filter (where f.n <= v_shown and f.error <> ''
          and f.status <> 'skipped') || ') and error <> '''' order by job_name, run_id desc;',
        case when count(*) > v_shown then format('And %s more: select job_name, last_error from '
          'maintenance.job_status where last_status in (''failed'', ''timeout'', ''cancelled'', '
          '''interrupted'', ''skipped'');', count(*) - v_shown) end), '')
    from (
      select s, e.status, e.error, e.at, row_number() over (order by e.at desc, s.job_name) as n
      from unnest(p_jobs) as s
      cross join lateral (
        select s.last_status as status, s.last_error as error, s.last_run_at as at
        where s.last_status <> 'running'
        union all
        -- While one runs the one before it counts.
        (select r.status, r.error, coalesce(r.started_at, r.finished_at)
        from maintenance_internal.job as j
        join maintenance_internal.run as r
          on r.job_id = j.job_id and (r.status not in ('waiting', 'skipped', 'running')
            or r.status = 'skipped' and r.error is not null)
        where s.last_status = 'running' and j.job_name = s.job_name
        order by coalesce(r.started_at, r.finished_at) desc
        limit 1)
      ) as e
      -- What the kit's own fail with is told by the row scheduler.
      where s.enabled and s.job_name <> all (v_own)
        and e.status in ('failed', 'timeout', 'cancelled', 'interrupted', 'skipped')
    ) as f;

  task := 'jobs_late';
  count := cardinality(v_late);
  description := 'Jobs that should have run by their schedule, and left no trace';
  severity := case when count = 0 then 'ok' when v_late[1].job_name = v_tick then 'critical'
    else 'warning' end;
  if count > 0 then
    select concat_ws(' ',
      string_agg(format('%s since %s: %s.%s', g.names, to_char(g.since, 'YYYY-MM-DD HH24:MI'),
        g.cause, ' ' || g.mend), ' ' order by g.n),
      case when count > v_shown then format('And %s more: select job_name, late_since from '
        'maintenance.job_status where late_since is not null;', count - v_shown) end)
    into advice
    from (
      select string_agg(l.job_name, ', ' order by l.n) as names, min(l.late_since) as since,
        l.cause, l.mend, min(l.n) as n
      from (
        select n, v_late[n].job_name, v_late[n].late_since, c.*
        from generate_series(1, least(count, v_shown)) as n
        -- Where the tick is late, that is why the others are.
        cross join lateral (
          select case when v_late[1].job_name = v_tick then 1 else n end as k) as k
        cross join lateral maintenance_internal.cron_silence(
          v_late[k.k].job_name, v_late[k.k].late_since) as c
      ) as l
      group by l.cause, l.mend
    ) as g;
    select min(v_late[n].late_since), concat_ws(' ', advice, 'To make up for it: ' || string_agg(
      maintenance_internal.run_advice(v_late[n]), ' ' order by n)
      filter (where n <= v_shown and v_late[n].job_name <> all (v_own)))
    into oldest, advice
    from generate_subscripts(v_late, 1) as n;
  end if;
  return next;
end
$$;
