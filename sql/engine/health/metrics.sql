-- All of the status as numbers, for Prometheus: one row per sample. scripts/monitoring has what
-- reads it. Nothing here is a row's text: labels are names of jobs, kinds, models, tables, workers.
--
-- Each part stands in a block of its own: what one cannot tell keeps no other from being told, and
-- is told itself (scrape_error). What an exporter would refuse, a name and labels given twice, is
-- kept out where it could be: everything is grouped by its labels.

-- A row of maintenance_status in numbers. A rule can have its oldest row at infinity.
create function maintenance_internal.backlog_samples(
  p_task text,
  p_job_name text,
  p_count bigint,
  p_oldest timestamptz,
  p_severity text)
returns table (name text, labels jsonb, value double precision)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select m.name, jsonb_strip_nulls(jsonb_build_object('task', p_task, 'job_name', p_job_name)),
    m.value
  from (values
    ('backlog_rows', p_count::double precision),
    ('backlog_oldest_seconds', case
      when p_oldest is null and p_count = 0 then 0
      when isfinite(p_oldest)
        then greatest(extract(epoch from maintenance_internal.clock() - p_oldest), 0)
      end::double precision),
    ('backlog_severity', array_position(array['ok', 'notice', 'warning', 'critical'], p_severity)
      ::double precision - 1)
  ) as m (name, value)
  where m.value is not null;
end;

create function maintenance_internal.metric_samples()
returns table (name text, labels jsonb, value double precision)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
#variable_conflict use_column
declare
  v_cap constant integer := 10000;
  v_now constant timestamptz := maintenance_internal.clock();
  v_moment constant timestamptz := maintenance_internal.moment();
  v_none constant jsonb := jsonb '{}';
  v_part text;
  v_row record;
  v_began timestamptz;
  v_failed boolean;
begin
  foreach v_part in array array['info', 'control', 'backlog', 'task_backlog', 'blob_backlog',
    'alert_backlog', 'jobs', 'runs', 'counters', 'tasks', 'models', 'model_days', 'workers',
    'alerts', 'health', 'tables', 'vacuum']
  loop
    v_began := clock_timestamp();
    v_failed := false;
    begin
      case v_part
      when 'info' then
        return query
          select 'up', v_none, 1::double precision
          union all
          select 'standby', v_none, pg_is_in_recovery()::integer
          union all
          select 'read_timestamp_seconds', v_none, extract(epoch from v_began)
          union all
          select 'info', jsonb_build_object('version', v.release, 'state', v.state,
            'server_version', split_part(current_setting('server_version'), ' ', 1)), 1
          from maintenance.version() as v where v.part = 'engine';

      when 'control' then
        return query
          select m.name, v_none, m.value::double precision
          from (
            select bool_or(c.paused_at is not null) as is_paused,
              bool_or(c.stopped_at >= c.paused_at) as is_stopped, min(c.paused_at) as since
            from maintenance_internal.control as c
          ) as c
          cross join lateral (values
            ('paused', coalesce(c.is_paused, false)::integer::numeric),
            ('stopped', coalesce(c.is_stopped, false)::integer),
            ('paused_seconds', greatest(coalesce(extract(epoch from v_now - c.since), 0), 0))
          ) as m (name, value);

      when 'backlog' then
        for v_row in select b.* from maintenance_internal.backlog() as b loop
          v_failed := v_failed or v_row.count is null;
          return query select b.* from maintenance_internal.backlog_samples(v_row.task,
            v_row.job_name, v_row.count, v_row.oldest, v_row.severity) as b;
        end loop;

      when 'task_backlog', 'blob_backlog', 'alert_backlog' then
        for v_row in
          select b.* from maintenance_internal.task_backlog() as b where v_part = 'task_backlog'
          union all
          select b.* from maintenance_internal.blob_backlog() as b where v_part = 'blob_backlog'
          union all
          select b.* from maintenance_internal.alert_backlog() as b where v_part = 'alert_backlog'
        loop
          v_failed := v_failed or v_row.count is null;
          return query select b.* from maintenance_internal.backlog_samples(v_row.task, null,
            v_row.count, v_row.oldest, v_row.severity) as b;
        end loop;

      when 'jobs' then
        return query
          -- Read once: what the view computes would be computed anew for each mention.
          with status as materialized (
            select o.job_name, o.enabled, o.active, o.running, o.waiting, o.late_since,
              o.last_status, o.last_run_at, o.last_success_at, o.next_run_at
            from maintenance.job_status as o
          )
          select m.name, jsonb_build_object('job_name', s.job_name) || m.labels,
            m.value::double precision
          from status as s
          join maintenance_internal.job as j on j.job_name = s.job_name
          left join lateral (
            select extract(epoch from r.finished_at - r.started_at) as seconds, r.rows_affected,
              r.status in ('failed', 'timeout', 'cancelled', 'interrupted', 'skipped') as is_bad
            from maintenance_internal.run as r
            where r.job_id = j.job_id
              and (r.status not in ('waiting', 'skipped')
                or r.status = 'skipped' and r.error is not null)
              and r.status <> 'running'
            order by coalesce(r.started_at, r.finished_at) desc
            limit 1
          ) as l on true
          cross join lateral (values
            ('job_enabled', v_none, s.enabled::integer::numeric),
            ('job_active', v_none, s.active::integer),
            ('job_running', v_none, coalesce(s.running, false)::integer),
            ('job_waiting', v_none, (s.waiting is not null)::integer),
            ('job_late_seconds', v_none,
              greatest(coalesce(extract(epoch from v_now - s.late_since), 0), 0)),
            -- While one runs the one before it counts, unless nobody is at it.
            ('job_failing', v_none,
              (l.is_bad is true or (s.last_status = 'interrupted') is true)::integer),
            ('job_last_status', jsonb_build_object('status', s.last_status),
              case when s.last_status is not null then 1 end),
            ('job_last_run_timestamp_seconds', v_none, extract(epoch from s.last_run_at)),
            ('job_last_success_timestamp_seconds', v_none, extract(epoch from s.last_success_at)),
            ('job_next_run_timestamp_seconds', v_none, extract(epoch from s.next_run_at)),
            ('job_last_duration_seconds', v_none, l.seconds),
            ('job_last_rows', v_none, l.rows_affected)
          ) as m (name, labels, value)
          where m.value is not null;
        return query
          select 'tick_age_seconds', v_none, case when max(l.at) is null then 'Infinity'
            else greatest(extract(epoch from v_now - max(l.at)), 0) end::double precision
          from maintenance_internal.job as j
          cross join lateral (
            select coalesce(r.started_at, r.finished_at) as at
            from maintenance_internal.run as r
            where r.job_id = j.job_id
              and (r.status not in ('waiting', 'skipped')
                or r.status = 'skipped' and r.error is not null)
            order by coalesce(r.started_at, r.finished_at) desc
            limit 1
          ) as l
          where j.statement = maintenance_internal.tick_statement();

      when 'runs' then
        return query
          select m.name, jsonb_build_object('job_name', t.job_name, 'status', t.status),
            m.value::double precision
          from (
            select r.job_name, r.status, count(*) as runs, sum(r.rows_affected) as rows_affected,
              sum(r.rows_refused) as rows_refused,
              coalesce(sum(extract(epoch from r.finished_at - r.started_at)), 0) as seconds,
              count(*) filter (where r.finished_at > v_now - interval '1 hour') as hour_runs,
              coalesce(sum(r.rows_affected)
                filter (where r.finished_at > v_now - interval '1 hour'), 0) as hour_rows
            from maintenance_internal.run as r
            where r.finished_at > v_now - interval '1 day'
            group by r.job_name, r.status
          ) as t
          cross join lateral (values
            ('job_last_hour_runs', t.hour_runs::numeric),
            ('job_last_hour_rows', t.hour_rows),
            ('job_last_day_runs', t.runs),
            ('job_last_day_rows', t.rows_affected),
            ('job_last_day_refused_rows', t.rows_refused),
            ('job_last_day_run_seconds', t.seconds)
          ) as m (name, value);

      when 'counters' then
        return query
          select m.name, v_none, coalesce(pg_sequence_last_value(
            pg_get_serial_sequence(m.relation, m.attribute)::regclass), 0)::double precision
          from (values
            ('receipts_total', 'maintenance_internal.run', 'run_id'),
            ('tasks_created_total', 'maintenance.task', 'task_id'),
            ('model_calls_total', 'maintenance.model_call', 'call_id'),
            ('alerts_opened_total', 'maintenance.alert', 'alert_id')
          ) as m (name, relation, attribute);

      when 'tasks' then
        -- By the indexes of what is open, and never by those that are over.
        return query
          with counted as materialized (
            select k.kind, 'ready' as state, r.tasks
            from maintenance.kind as k
            cross join lateral (
              select count(*) as tasks from (
                select from maintenance.task as t where t.state = 'ready' and t.kind = k.kind
                limit v_cap
              ) as o
            ) as r
            union all
            select o.kind, o.state, count(*)
            from (
              (select t.kind, t.state from maintenance.task as t where t.state = 'leased'
              limit 10 * v_cap)
              union all
              (select t.kind, t.state from maintenance.task as t where t.state = 'quarantined'
              limit 10 * v_cap)
              union all
              (select t.kind, t.state from maintenance.task as t where t.state = 'dead'
              limit 10 * v_cap)
            ) as o
            group by o.kind, o.state
          )
          select 'tasks', jsonb_build_object('kind', k.kind, 'state', s.state),
            coalesce(c.tasks, 0)::double precision
          from maintenance.kind as k
          cross join (values ('ready'), ('leased'), ('quarantined'), ('dead')) as s (state)
          left join counted as c on c.kind = k.kind and c.state = s.state;
        return query
          select m.name, jsonb_build_object('kind', k.kind), m.value::double precision
          from maintenance.kind as k
          cross join lateral (
            select count(*) as tasks, min(o.due_at) as since
            from (
              select t.due_at from generate_series(-5, 5) as p (priority)
              cross join lateral (
                select r.due_at from maintenance.task as r
                where r.state = 'ready' and r.kind = k.kind and r.priority = p.priority
                  and r.available_at <= v_moment
                order by r.available_at
                limit v_cap
              ) as t
              limit v_cap
            ) as o
          ) as d
          cross join lateral (values
            ('tasks_due', d.tasks::numeric),
            ('tasks_oldest_due_seconds',
              greatest(coalesce(extract(epoch from v_moment - d.since), 0), 0))
          ) as m (name, value);
        return query
          select 'tasks_last_hour', jsonb_build_object('kind', o.kind, 'state', o.state),
            count(*)::double precision
          from (
            select t.kind, t.state from maintenance.task as t
            where t.finished_at > v_moment - interval '1 hour'
            order by t.finished_at desc
            limit v_cap
          ) as o
          group by o.kind, o.state;

      when 'models' then
        return query
          select m.name, jsonb_build_object('model', s.model, 'carrier', s.carrier) || m.labels,
            m.value::double precision
          from maintenance_internal.model_states(v_moment) as s
          cross join lateral (values
            ('model_state', jsonb_build_object('state', s.state), 1::numeric),
            ('model_used_ratio', v_none, s.percent / 100),
            ('model_wait_seconds', v_none, case
              when s.until is null then 0
              when isfinite(s.until) then greatest(extract(epoch from s.until - v_moment), 0) end)
          ) as m (name, labels, value)
          where m.value is not null;

      when 'model_days' then
        return query
          select m.name, jsonb_build_object('model', d.model, 'kind', d.kind) || m.labels,
            m.value::double precision
          from maintenance.model_day as d
          cross join lateral (values
            ('model_today_calls', v_none, d.calls::numeric),
            ('model_today_answered', v_none, d.answered),
            ('model_today_tokens', jsonb_build_object('type', 'input'), d.input_tokens),
            ('model_today_tokens', jsonb_build_object('type', 'cached'), d.cached_tokens),
            ('model_today_tokens', jsonb_build_object('type', 'output'), d.output_tokens),
            ('model_today_cost_usd', v_none, d.cost_usd)
          ) as m (name, labels, value)
          where d.day = (v_moment at time zone 'America/Los_Angeles')::date
          union all
          select 'model_budget_usd', v_none, s.value::double precision
          from maintenance.setting as s
          where s.name = 'daily_budget_usd' and s.value is not null;

      when 'workers' then
        return query
          select 'workers', v_none, count(*)::double precision
          from maintenance.worker as w where w.seen_at > v_moment - interval '5 minutes'
          union all
          select m.name, jsonb_build_object('worker', w.worker), m.value::double precision
          from (
            select o.* from maintenance.worker as o
            where o.seen_at > v_moment - interval '1 day'
            order by o.seen_at desc
            limit 100
          ) as w
          cross join lateral (values
            ('worker_seen_seconds', greatest(extract(epoch from v_moment - w.seen_at), 0)),
            ('worker_rss_bytes', w.rss_bytes),
            ('worker_heap_bytes', w.heap_bytes),
            ('worker_start_timestamp_seconds', extract(epoch from w.started_at))
          ) as m (name, value)
          where m.value is not null;

      when 'alerts' then
        return query
          with open as materialized (
            select a.*, (a.silenced_until > v_now) is true as is_silent
            from maintenance.alert as a
            where a.closed_at is null and a.gone_at is null
          )
          select 'alerts', jsonb_build_object('severity', s.severity),
            (select count(*) from open as o where o.severity = s.severity and not o.is_silent)
              ::double precision
          from (values ('warning'), ('critical')) as s (severity)
          union all
          select 'alerts_silenced', v_none, count(*) from open as o where o.is_silent
          union all
          select m.name, jsonb_build_object('cause', o.cause, 'subject', o.subject,
            'severity', o.severity), m.value
          from open as o
          cross join lateral (values
            ('alert_open', 1::double precision),
            ('alert_open_seconds', greatest(extract(epoch from v_now - o.opened_at), 0))
          ) as m (name, value)
          where not o.is_silent;

      when 'health' then
        return query
          select m.name, jsonb_build_object('check_name', h.check_name) || m.labels,
            m.value::double precision
          from maintenance_internal.health_checks() as h
          cross join lateral (values
            ('health_check_value', jsonb_build_object('unit', coalesce(h.unit, '')), h.value),
            ('health_check_severity', v_none, case h.status
              when 'ok' then 0 when 'warning' then 2 when 'critical' then 3 else -1 end)
          ) as m (name, labels, value)
          where m.value is not null;

      when 'tables' then
        -- By what the catalogue knows: a look at the file itself would wait for a locked table.
        return query
          select m.name, jsonb_build_object('schema_name', t.nspname, 'table_name', t.relname),
            m.value::double precision
          from (
            select n.nspname, c.relname, c.oid, c.relpages
            from pg_class as c
            join pg_namespace as n on n.oid = c.relnamespace
            where c.relkind in ('r', 'm') and c.relpersistence <> 't'
              and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
            order by c.relpages desc, c.oid
            limit 50
          ) as t
          cross join lateral (values
            ('table_bytes', greatest(t.relpages, 0) * current_setting('block_size')::numeric),
            ('table_live_rows', pg_stat_get_live_tuples(t.oid)),
            ('table_dead_rows', pg_stat_get_dead_tuples(t.oid)),
            ('table_last_vacuum_timestamp_seconds', extract(epoch from greatest(
              pg_stat_get_last_vacuum_time(t.oid), pg_stat_get_last_autovacuum_time(t.oid))))
          ) as m (name, value)
          where m.value is not null;

      when 'vacuum' then
        -- A process is no label: each session would be a series of its own.
        return query
          with holder as materialized (
            select h.kind,
              case when h.kind in ('replication slot', 'standby') then h.name end as holder,
              count(*) as holders, extract(epoch from v_now - min(h.since)) as seconds,
              max(h.xmin_age) as transactions
            from maintenance_internal.vacuum_holders() as h
            group by 1, 2
          )
          select 'vacuum_holders', jsonb_build_object('kind', k.kind),
            coalesce((select sum(h.holders) from holder as h where h.kind = k.kind), 0)
              ::double precision
          from (values ('session'), ('prepared transaction'), ('replication slot'), ('standby'))
            as k (kind)
          union all
          select m.name, jsonb_strip_nulls(jsonb_build_object('kind', h.kind, 'holder', h.holder)),
            m.value
          from holder as h
          cross join lateral (values
            ('vacuum_holder_seconds', greatest(h.seconds, 0)),
            ('vacuum_holder_transactions', h.transactions)
          ) as m (name, value)
          where m.name <> 'vacuum_holder_seconds' or h.seconds is not null;
      end case;
    exception when others or assert_failure then
      v_failed := true;
      if sqlstate = '55P03' then
        perform set_config('lock_timeout', '20ms', true); -- the second is over
      end if;
    end;
    return query
      select m.name, jsonb_build_object('part', v_part), m.value
      from (values
        ('scrape_error', v_failed::integer::double precision),
        ('scrape_seconds', extract(epoch from clock_timestamp() - v_began)::double precision)
      ) as m (name, value);
  end loop;
end
$$;

create function maintenance_internal.metrics()
returns table (name text, labels jsonb, value double precision, help text, type text)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
begin atomic
  select n.name, s.labels, s.value, n.help, n.type
  from maintenance_internal.metric_samples() as s
  join maintenance_internal.metric_names() as n on n.name = 'pg_maintenance_' || s.name
  order by n.name, s.labels;
end;

create view maintenance.metrics as
select m.name, m.labels, m.value, m.help, m.type
from maintenance_internal.metrics() as m;

comment on view maintenance.metrics is
  'The status in numbers, one row per sample, for Prometheus: scripts/monitoring has queries for '
  'its exporters, alert rules and a dashboard. A look counts what is due under every rule, as '
  'maintenance_status does; all the rest takes milliseconds.';
comment on column maintenance.metrics.name is 'pg_maintenance_..., by the rules of Prometheus';
comment on column maintenance.metrics.labels is
  'an object of texts; with the name, no two rows have the same';
comment on column maintenance.metrics.value is
  'in base units: seconds, bytes, ratios; a time stamp counts from 1970; never null';
comment on column maintenance.metrics.help is 'what it is, the same for each row of a name';
comment on column maintenance.metrics.type is 'gauge or counter, the same for each row of a name';
