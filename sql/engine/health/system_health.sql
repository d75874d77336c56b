-- How it is in one word, with what it is made of (S2-24, C-21): one rule for what the original
-- asked in two ways.

create function maintenance.system_health()
returns jsonb
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_jobs constant maintenance.job_status[] := array(select s from maintenance.job_status as s);
  v_job record;
  v_checks record;
  v_faults record;
  v_bloat record;
begin
  select count(*) filter (where s.enabled) as total,
    count(*) filter (where s.running) as running,
    count(*) filter (where s.last_status = 'succeeded') as completed,
    count(*) filter (where s.enabled and s.last_status in
      ('failed', 'timeout', 'cancelled', 'interrupted', 'skipped')) as failed,
    count(*) filter (where not s.enabled) as disabled,
    string_agg(s.job_name, ', ' order by s.job_name) filter (where s.enabled and s.last_status in
      ('failed', 'timeout', 'cancelled', 'interrupted', 'skipped')) as names
  into v_job from unnest(v_jobs) as s;
  select coalesce(jsonb_object_agg(h.check_name, jsonb_strip_nulls(jsonb_build_object('status',
      h.status, 'value', h.value, 'unit', h.unit, 'detail', h.detail))), '{}') as details,
    bool_or(h.status = 'critical') as critical, bool_or(h.status = 'warning') as warning,
    array_agg(concat_ws(': ', h.detail, h.fix) order by h.status, h.check_name)
      filter (where h.status <> 'ok' and h.fix is not null) as told
  into v_checks from maintenance_internal.health_checks() as h;
  select coalesce(bool_or(f.severity = 'critical'), false) as critical,
    coalesce(bool_or(f.severity = 'warning'), false) as warning,
    array_agg(concat_ws('. ', f.fault, f.mend) order by f.severity, f.fault)
      filter (where f.severity <> 'notice') as told
  into v_faults from maintenance_internal.scheduler_faults(v_jobs) as f;
  select count(*) as tables, string_agg(format('%I.%I', b.schema_name, b.table_name), ', '
    order by b.dead_rows desc) as names
  into v_bloat from maintenance.table_bloat as b where b.is_bloated;

  return jsonb_build_object(
    'overall', case
      when v_checks.critical or v_faults.critical or 5 * v_job.failed > v_job.total
        then 'unhealthy'
      when v_checks.warning or v_faults.warning or v_job.failed > 0 then 'degraded'
      else 'healthy'
    end,
    'details', jsonb_build_object(
      'jobs', jsonb_build_object('total', v_job.total, 'running', v_job.running,
        'completed', v_job.completed, 'failed', v_job.failed, 'disabled', v_job.disabled),
      'checks', v_checks.details,
      'scheduler', case when v_faults.critical then 'critical' when v_faults.warning then 'warning'
        else 'ok' end,
      'openAlerts', (select a.count from maintenance_internal.alert_backlog() as a),
      'bloatedTables', v_bloat.tables,
      'databaseBytes', pg_database_size(current_database()),
      'uptime', trunc(extract(epoch from now() - pg_postmaster_start_time())),
      'workers', (
        select count(*) from maintenance.worker as w
        where w.seen_at > maintenance_internal.clock() - interval '5 minutes'),
      'timestamp', to_char(maintenance_internal.clock() at time zone 'UTC',
        'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')),
    'recommendations', to_jsonb(
      coalesce(v_faults.told, '{}') || coalesce(v_checks.told, '{}')
      || case when v_job.failed > 0 then array[format('Jobs whose last run did not succeed: %s. '
        'select * from maintenance.todo;', v_job.names)] else '{}' end
      || case when v_bloat.tables > 0 then array[format('More than a fifth is dead in %s: select * '
        'from maintenance.vacuum_holders; then vacuum (analyze)', v_bloat.names)] else '{}' end
      || case when now() - pg_postmaster_start_time() < interval '1 hour'
        then array['The server was started within the last hour: what was due meanwhile is caught '
          'up with.'] else '{}' end));
end
$$;

comment on function maintenance.system_health() is
  'How it is (S2-24, S2-29, C-21): {overall, details, recommendations}. unhealthy where something '
  'measured is critical, pg_cron fires nothing, or more than 20 % of the jobs that are enabled '
  'did not succeed the last time; degraded where something measured is a warning, or one job did '
  'not; else healthy. details has jobs (total, running, completed, failed, disabled), checks '
  '(connections, disk, transaction_ids, vacuum, worker_memory, models, each with its status, '
  'unknown where it cannot be seen, and value), openAlerts, bloatedTables, databaseBytes, uptime '
  'in seconds, workers.';
