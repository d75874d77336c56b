-- Why pg_cron has left no trace of a job since a time, as far as it can be known from here, and
-- what to do about it. What it says itself of a firing stands in its history, which is read back
-- for 1,000 firings, since it has no index.
-- cron.job shows each role its own rows by a policy: row security has to be on here.

create function maintenance_internal.cron_silence(
  p_job_name text,
  p_since timestamptz,
  out cause text,
  out mend text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  v_state record := maintenance_internal.cron_state();
  v_version text := (select e.extversion from pg_extension as e where e.extname = 'pg_cron');
  v_port constant text := current_setting('port');
  v_last record;
  v_good timestamptz;
  v_known boolean;
  v_busy text;
begin
  if pg_is_in_recovery() then
    cause := 'this server is a standby, and pg_cron fires on the primary alone';
    mend := 'Where there is none any more: select pg_promote();';
    return;
  elsif v_state.gap is not null then
    cause := v_state.gap;
    mend := v_state.mend;
    return;
  elsif not v_state.readable then
    cause := format('%s cannot read cron.job', v_state.username);
    mend := 'As a superuser: grant select on cron.job to public;';
    return;
  end if;

  execute
    'select j.nodename, j.nodeport, d.status, d.return_message as message, d.start_time '
    'from cron.job as j '
    'left join lateral ('
    '  select r.* from cron.job_run_details as r '
    '  where r.jobid = j.jobid '
    '  and r.runid > (select max(m.runid) from cron.job_run_details as m) - 1000 '
    '  order by r.runid desc limit 1) as d on true '
    'where j.jobname::text = $1 and j.username = current_user '
    'and j.database = current_database()'
  into v_last using 'maintenance:' || p_job_name;
  execute
    'select max(d.start_time) filter (where d.status = ''succeeded''), '
    '  coalesce(max(d.start_time) > maintenance_internal.clock() - interval ''3 minutes'', '
    '  false) '
    'from cron.job_run_details as d '
    'where d.runid > (select max(m.runid) from cron.job_run_details as m) - 1000'
  into v_good, v_known;

  if v_last.status in ('succeeded', 'failed') and coalesce(v_last.start_time >= p_since, true) then
    cause := format('pg_cron says: %s', left(regexp_replace(v_last.message, '\s+', ' ', 'g'), 200));
    if v_last.nodeport::text <> v_port
      and (v_last.status = 'succeeded' or v_last.message ~ 'connection failed') then
      cause := format('pg_cron connects to port %s of %s, and this server listens at %s',
        v_last.nodeport, v_last.nodename, v_port);
      mend := 'select * from maintenance.install_schedules();';
    elsif v_last.status = 'succeeded' then
      cause := format('pg_cron says that it ran, and it did not run here: it may be another server '
        'that it connects to (port %s of %s), or another command', v_last.nodeport,
        v_last.nodename);
      mend := 'select * from maintenance.install_schedules();';
    elsif v_last.message ~ 'connection failed' then
      cause := format('pg_cron connects to %s as %s, for each firing: %s', v_last.nodename,
        v_state.username, v_last.message)
        || case when v_good is null then '' else
          format('; at %s it could: were all of max_connections in use?',
            to_char(v_good, 'YYYY-MM-DD HH24:MI')) end;
      mend := format('In postgresql.conf: cron.use_background_workers = on, then restart the '
        'server%s. Or let %s in from %s without a password: pg_hba.conf.',
        case when v_version ~ '^1\.[0-4]\M'
          then ' (pg_cron 1.4.2 or newer; before 1.5 it then runs one job at a time)' else '' end,
        v_state.username, v_last.nodename);
    elsif v_last.message ~ 'read-only transaction' then
      mend := (
        select format('As a superuser: alter %s reset default_transaction_read_only;', case
          when s.setrole = 0 then format('database %I', current_database())
          when s.setdatabase = 0 then format('role %I', v_state.username)
          else format('role %I in database %I', v_state.username, current_database()) end)
        from pg_db_role_setting as s
        where s.setrole in (0, maintenance_internal.owner())
          and s.setdatabase in (0, v_state.database_oid)
          and exists (select from unnest(s.setconfig) as c
            where c ~ '^default_transaction_read_only=(on|true|yes|1)$')
        order by s.setdatabase <> 0 and s.setrole <> 0 desc, s.setrole <> 0 desc
        limit 1);
      mend := coalesce(mend, 'As a superuser: alter system reset default_transaction_read_only; '
        'select pg_reload_conf();');
    end if;
  elsif not exists (
    -- Shown to everybody, unlike the kind of a process.
    select from pg_stat_activity as a
    join pg_roles as r on r.oid = a.usesysid and r.rolsuper
    where a.application_name = 'pg_cron scheduler')
  then
    cause := 'the launcher of pg_cron is not there';
    mend := 'Restart the server, with pg_cron in shared_preload_libraries. Where its log says role '
      '... does not exist, a superuser deletes the rows of that role from cron.job.';
  elsif not v_known and (
    select s.kind = 'statement' and s.statement <> maintenance_internal.tick_statement()
    from maintenance_internal.job as s where s.job_name = p_job_name)
  then
    cause := 'pg_cron keeps no history, from which alone its statements get their receipts';
    mend := 'In postgresql.conf: cron.log_run = on, then restart the server.';
  elsif p_since < pg_postmaster_start_time() then
    cause := format('the server was started at %s, after that',
      to_char(pg_postmaster_start_time(), 'YYYY-MM-DD HH24:MI'));
  elsif maintenance_internal.cron_setting('launch_active_jobs') = 'off' then
    cause := 'cron.launch_active_jobs is off';
    mend := 'As a superuser: alter system reset cron.launch_active_jobs; select pg_reload_conf();';
  else
    select format('it runs %s, since %s', string_agg(r.job_name, ', '),
      to_char(min(r.started_at), 'HH24:MI')) into v_busy
    from maintenance_internal.run as r
    where r.status = 'running' and r.trigger = 'schedule' and v_version ~ '^1\.[0-4]\M'
    having count(*) > 0;
    cause := concat_ws('; ', 'pg_cron has not fired it', v_busy);
    mend := 'To have it read its jobs anew: select * from maintenance.install_schedules();';
  end if;
end
$$;
