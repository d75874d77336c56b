-- Why pg_cron has left no trace of a job since a time, as far as it can be known from here, and
-- what to do about it. What it says itself of a firing that has ended stands in its history, which
-- is read back for 20,000 firings, since it has no index.
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
  v_install constant text := 'select * from maintenance.install_schedules();';
  v_port constant text := current_setting('port');
  v_state record := maintenance_internal.cron_state();
  v_job maintenance_internal.job := maintenance_internal.find_job(p_job_name);
  v_is_own constant boolean := maintenance_internal.is_own(v_job.statement);
  v_version text := (select e.extversion from pg_extension as e where e.extname = 'pg_cron');
  v_run maintenance_internal.run;
  v_last record;
  v_role record;
begin
  if pg_is_in_recovery() then
    cause := 'this server is a standby, and pg_cron fires on the primary alone';
    mend := 'Where there is none any more: select pg_promote();';
    return;
  end if;
  select r.* into v_run from maintenance_internal.run as r
  where r.job_id = v_job.job_id and r.status = 'running' and r.cron_run_id is null
    and maintenance_internal.is_alive(r.job_id, r.backend_pid, r.touched_at);
  if found then
    cause := format('its run of %s goes on, for longer than its budget of %s',
      to_char(v_run.started_at, 'HH24:MI'), v_job.budget);
    mend := format('Whoever runs it says: select pg_cancel_backend(%s);', v_run.backend_pid);
    return;
  elsif v_state.gap is not null then
    cause := v_state.gap;
    mend := v_state.mend;
    return;
  elsif not v_state.readable then
    cause := format('%s cannot read cron.job', v_state.username);
    mend := 'As a superuser: grant select on cron.job to public;';
    return;
  elsif exists (
    select from maintenance_internal.cron_jobs() as c
    where c.job_name = p_job_name and c.command <> maintenance_internal.cron_command(v_job))
  then
    cause := 'somebody has changed its command in pg_cron';
    mend := v_install;
    return;
  end if;

  begin
    execute
      'select j.nodename, j.nodeport, d.status, d.start_time, '
      '  split_part(d.return_message, e''\n'', 1) as message, ('
      '    select g.start_time from cron.job_run_details as g '
      '    where g.jobid = j.jobid and g.status = ''succeeded'' '
      '    and g.runid between d.runid - 20000 and d.runid '
      '    order by g.runid desc limit 1) as good '
      'from cron.job as j '
      'left join lateral ('
      '  select r.* from cron.job_run_details as r '
      '  where r.jobid = j.jobid and r.status in (''succeeded'', ''failed'') '
      '  and r.runid > (select max(m.runid) from cron.job_run_details as m) - 20000 '
      '  order by r.runid desc limit 1) as d on true '
      'where j.jobname::text = $1 and j.username = current_user '
      'and j.database = current_database()'
    into v_last using 'maintenance:' || p_job_name;
  exception when insufficient_privilege then
    cause := format('%s cannot read pg_cron''s history', v_state.username);
    mend := 'As a superuser: grant select on cron.job_run_details to public;';
    return;
  when lock_not_available then
    cause := 'pg_cron''s history is locked by somebody';
    mend := 'Who: select pid, relation::regclass from pg_locks where mode = '
      '''AccessExclusiveLock'';';
    return;
  end;

  if v_last.status is not null and coalesce(v_last.start_time >= p_since, true) then
    -- What a statement of the owner's has failed with may hold a row's text.
    cause := case
      when v_job.kind <> 'statement' or v_is_own or v_last.message ~ '^(connection failed|job '
        'startup timeout|could not start background process|server restarted|FATAL: )'
        then 'pg_cron says: ' || left(v_last.message, 200)
      else 'pg_cron reports a failure' end;
    if v_last.nodeport::text <> v_port
      and (v_last.status = 'succeeded' or v_last.message ~ 'connection failed') then
      cause := format('pg_cron connects to port %s of %s, and this server listens at %s',
        v_last.nodeport, v_last.nodename, v_port);
      mend := v_install;
    elsif v_last.status = 'succeeded' and v_job.kind = 'statement' and not v_is_own then
      cause := 'pg_cron has run it, and no tick has noted that yet';
    elsif v_last.status = 'succeeded' then
      cause := format('pg_cron says that it ran, and it did not run here: it may be another server '
        'that it connects to, port %s of %s', v_last.nodeport, v_last.nodename);
      mend := v_install;
    elsif v_last.message ~ 'connection failed' then
      select r.rolcanlogin, r.rolconnlimit into v_role
      from pg_roles as r where r.rolname = v_state.username;
      cause := format('pg_cron connects to %s as %s, for each firing: connection failed%s',
        v_last.nodename, v_state.username, to_char(v_last.good, '"; at" YYYY-MM-DD HH24:MI "it '
          'could, so all of max_connections may have been in use"'));
      mend := case
        when not v_role.rolcanlogin then format('As a superuser: alter role %I login;',
          v_state.username)
        when v_role.rolconnlimit >= 0 then format('As a superuser: alter role %I connection limit '
          '-1;', v_state.username)
        else format('%s mends an address that has changed. Else, in postgresql.conf: '
          'cron.use_background_workers = on, then restart the server%s. Or let %s in from %s '
          'without a password: pg_hba.conf.', v_install, case when v_version ~ '^1\.[0-4]\M'
            then ' (pg_cron 1.4.2 or newer; before 1.5 it then runs one job at a time)' else '' end,
          v_state.username, v_last.nodename) end;
    elsif v_last.message ~ 'read-only transaction' then
      mend := coalesce((
        select format('As a superuser: alter %s reset default_transaction_read_only;', case
          when s.setrole = 0 then format('database %I', current_database())
          when s.setdatabase = 0 then format('role %I', v_state.username)
          else format('role %I in database %I', v_state.username, current_database()) end)
        from pg_db_role_setting as s
        where s.setrole in (0, maintenance_internal.owner())
          and s.setdatabase in (0, (
            select d.oid from pg_database as d where d.datname = current_database()))
          and exists (select from unnest(s.setconfig) as c
            where c ~ '^default_transaction_read_only=(on|true|yes|1)$')
        order by s.setdatabase <> 0 and s.setrole <> 0 desc, s.setrole <> 0 desc
        limit 1), (
        select 'As a superuser: alter system reset default_transaction_read_only; '
          'select pg_reload_conf();'
        from pg_settings as s
        where s.name = 'default_transaction_read_only' and s.setting = 'on'
          and s.source in ('configuration file', 'command line')),
        'It is no more: the next firing shows.');
    end if;
  elsif not maintenance_internal.has_launcher() then
    cause := 'the launcher of pg_cron is not there';
    mend := maintenance_internal.launcher_advice();
  elsif v_job.kind = 'statement' and not v_is_own
    and not maintenance_internal.cron_keeps_history() then
    cause := 'pg_cron keeps no history, from which alone its statements get their receipts';
    mend := 'In postgresql.conf: cron.log_run = on, then restart the server.';
  elsif p_since < pg_postmaster_start_time() then
    cause := format('the server was started at %s, after that',
      to_char(pg_postmaster_start_time(), 'YYYY-MM-DD HH24:MI'));
  elsif maintenance_internal.cron_setting('launch_active_jobs') = 'off' then
    cause := 'cron.launch_active_jobs is off';
    mend := 'As a superuser: alter system reset cron.launch_active_jobs; select pg_reload_conf();';
  else
    -- As background workers 1.4 runs one job at a time.
    select format('pg_cron 1.4 runs one job at a time as a background worker, and is at %s since '
        '%s', r.job_name, to_char(r.started_at, 'HH24:MI')),
      format('It goes on when that ends, or: select pg_cancel_backend(%s);', r.backend_pid)
    into cause, mend
    from maintenance_internal.run as r
    join pg_stat_activity as a on a.pid = r.backend_pid and a.backend_type = 'pg_cron'
    where r.status = 'running' and v_version ~ '^1\.[0-4]\M'
    order by r.started_at
    limit 1;
    if not found then
      cause := 'pg_cron has not fired it';
      mend := 'To have it read its jobs anew: ' || v_install;
    end if;
  end if;
end
$$;

-- Whether pg_cron keeps a history, from which alone its statements get their receipts; null where
-- that cannot be seen.
create function maintenance_internal.cron_keeps_history()
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  v_kept boolean;
begin
  if (maintenance_internal.cron_state()).readable then
    execute
      'select coalesce(max(d.start_time) > $1 - interval ''3 minutes'', false) '
      'from cron.job_run_details as d '
      'where d.runid > (select max(m.runid) from cron.job_run_details as m) - 1000'
    into v_kept using maintenance_internal.clock();
  end if;
  return v_kept;
exception when insufficient_privilege or lock_not_available then
  return null;
end
$$;
