#!/usr/bin/env bash
# All lights are green while nothing runs: the states in which pg_cron fires nothing, or elsewhere, each
# reached for real. The status says so, with the cause; what it advises is pasted, and the tick runs again.
# It looks with a clock four minutes ahead, but for the first, which is waited for. Lanes at the same time,
# each with servers of its own: some five minutes.
. "$(dirname "$0")/../suite.sh"
needs_own_server silence

cron_version=$(on "$url" psql -qXAtc "select extversion from pg_extension where extname = 'pg_cron'")

# In a lane: $home is the cluster, $server the owner's URL of its database.
ask() { on "$server" psql -qXAt -F '|' "$@"; }
as_super() { cluster_superuser "$home" "${database:-app}" -At "$@"; }
settings() { as_server tee -a "$home/data/postgresql.auto.conf" >/dev/null <<<"$1"; } # settings LINES
restart() { as_server pg_ctl -D "$home/data" -l "$home/log" -w -t 60 -m fast restart >/dev/null 2>&1 </dev/null; }

until_true() { # until_true SECONDS WHAT COMMAND ...: waits for a t
  local end=$((SECONDS + $1)) what=$2
  shift 2
  while [ $SECONDS -lt $end ]; do
    [ "$("$@" 2>/dev/null)" != t ] || return 0
    sleep 0.5
  done
  not_ok "$state: waited in vain for $what"
  return 1
}
fired() { # fired STATUS: waits for the next tick of pg_cron's, to end like that
  local last
  last=$(as_super -c 'select coalesce(max(runid), 0) from cron.job_run_details')
  until_true 130 "a firing that has $1" as_super -c "select exists (select from cron.job_run_details
    where runid > $last and command = 'call maintenance.tick()' and status = '$1')" || true
}
silent() { # silent CAUSE: the status says so; what it advises goes to $advice
  local said
  said=$("${look:-ask}" -c "set maintenance.fake_now = '$(date -u -d '+4 minutes' '+%F %T+00')'" \
    -c "select severity, advice from public.maintenance_status where task = 'scheduler'")
  advice=${said#*|}
  [[ $said == 'critical|'*"$1"* ]] || not_ok "$state: the status says $said, and not $1"
  # The doctor names it, too, and somebody is called for it alone.
  said=$("${look:-ask}" -c "set maintenance.fake_now = '$(date -u -d '+4 minutes' '+%F %T+00')'" \
    -c "select string_agg(detail, ' ') from maintenance.doctor() where status = 'failed'")
  [[ $said == *"$1"* ]] || not_ok "$state: the doctor says $said, and not $1"
  said=$("${look:-ask}" -c "set maintenance.fake_now = '$(date -u -d '+4 minutes' '+%F %T+00')'" \
    -c "select string_agg(cause || subject || ' ' || severity, ', ') from maintenance_internal.alert_causes()")
  [ "$said" = 'scheduler critical' ] || not_ok "$state: somebody is called for $said"
}
paste() { # paste PATTERN ASK|AS_SUPER: what the advice has of that shape, said by the owner or a superuser
  local statement
  statement=$(grep -oE "$1" <<<"$advice" | head -n 1) || true
  [ -n "$statement" ] || not_ok "$state: no $1 in: $advice"
  "$2" -o /dev/null -c "$statement" || not_ok "$state: the advice fails: $statement"
}
cured() { # a tick that begins from now on, and nothing more to be said
  local since
  since=$(ask -c 'select clock_timestamp()')
  if until_true 130 'a cure' ask -c "select s.severity = 'ok' and j.last_run_at > '$since' and j.late_since is null
    from public.maintenance_status as s, maintenance.job_status as j where s.task = 'scheduler' and j.job_name = 'tick'"
  then
    say "$state .. told and cured"
    since=$(ask -c 'select string_agg(cause || subject, $$, $$) from maintenance_internal.alert_causes()')
    [ -z "$since" ] || not_ok "$state: somebody is still called for $since"
  else
    not_ok "$state: $(ask -c "select advice from public.maintenance_status where task = 'scheduler'")"
  fi
}
state='a new server'
up() { # up NAME [SETTINGS]: a server with everything in it
  CLUSTER_SETTINGS+=$'\n'${2:-} cluster_up "$folder/$1" --no-sync
  server=$(cluster_url "$home" app)
  migrate "$server"
  ask -o /dev/null -c 'select * from maintenance.install_schedules()'
}
libpq_mode=$'cron.use_background_workers = off'
install='select \* from maintenance.install_schedules\(\);'

lane_names() {
  up names "$libpq_mode"
  fired succeeded
  state='read-only role'
  as_super -c 'alter role app_owner set default_transaction_read_only = on'
  fired failed
  silent 'read-only transaction'
  paste 'alter role .* reset default_transaction_read_only;' as_super
  cured

  state='owner renamed'
  as_server tee -a "$home/data/pg_ident.conf" >/dev/null <<<"server $(server_user) other_owner"
  as_super -c 'alter role app_owner rename to other_owner' -o /dev/null -c 'select pg_reload_conf()'
  server=${server/app_owner/other_owner}
  silent 'in pg_cron for the role app_owner, and not for other_owner'
  paste 'update cron.job set username [^;]*;' as_super
  paste "$install" ask
  cured
  [ "$(ask -c "select count(*) from maintenance.job_status
    where scheduling not in ('scheduled', 'no schedule')")" = 0 ] ||
    not_ok "$state: a job is not scheduled"

  state='database renamed'
  settings "cron.database_name = 'app9'"
  restart
  database=postgres as_super -c 'alter database app rename to app9'
  restart
  server=$(in_database "$server" app9) database=app9
  silent 'cron.job is of the database app,'
  paste 'update cron.job set database [^;]*;' as_super
  cured
}

lane_launcher() {
  local late
  up launcher "$libpq_mode"$'\nmax_connections = 20'
  ask -o /dev/null -c 'create function public.step(batch_size integer) returns bigint language sql return 0' \
    -c "select maintenance.set_job('every_minute', 'public.step', '* * * * *')"
  fired succeeded
  state='launcher terminated'
  as_super -o /dev/null \
    -c "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pg_cron scheduler'"
  case $cron_version in
    1.[0-5]*)
      # A copy of pg_cron's own database, which nobody may be connected to while it is made.
      database=postgres as_super -c 'create database copy template app owner app_owner'
      until_true 185 'the status' ask -c "select s.severity = 'critical'
        and s.advice ~ 'No tick since .*: the launcher of pg_cron is not there. Restart the server'
        from public.maintenance_status as s where s.task = 'scheduler'" || true
      late=$(ask -c "select string_agg(job_name, ' ' order by job_name) from maintenance.job_status
        where late_since is not null and schedule = '* * * * *'")
      [ "$late" = 'alert_monitor every_minute rate_limit_monitor run_late tick' ] || not_ok "$state: late are $late"
      # S2-39: what has failed is named by make doctor, which ends with 1; and an alert is opened and closed.
      DATABASE_URL=$server scripts/doctor >"$folder/doctor" 2>&1 </dev/null &&
        not_ok "$state: make doctor ends well"
      grep -q '^failed *launcher .*the launcher of pg_cron is not there' "$folder/doctor" ||
        not_ok "$state: make doctor says $(cat "$folder/doctor")"
      ask -o /dev/null -c "select maintenance.configure('alert_quiet_minutes', 0)" -c 'call maintenance.alert_monitor()'
      late=$(ask -c "select string_agg(cause || subject || ' ' || severity, ', ') from maintenance.alert
        where closed_at is null")
      [ "$late" = 'scheduler critical' ] || not_ok "$state: alerts are $late"
      restart
      cured
      until_true 130 'the end of the alert, by the job itself' ask -c "select not exists (
        select from maintenance.alert where closed_at is null)" || true
      DATABASE_URL=$server scripts/doctor >"$folder/doctor" 2>&1 </dev/null ||
        not_ok "$state, and restarted: make doctor says $(cat "$folder/doctor")"
      state='copy by TEMPLATE'
      server=$(in_database "$server" copy)
      silent 'cron.job is of the database app,'
      paste 'select \* from maintenance.cron_statements\(\);' ask
      ask -c 'select * from maintenance.cron_statements()' | as_super -o /dev/null
      cured
      server=$(in_database "$server" app)
      ;;
    *)
      until_true 10 'a launcher that comes back' as_super \
        -c "select exists (select from pg_stat_activity where application_name = 'pg_cron scheduler')" || true
      ;;
  esac

  state='connections exhausted'
  fired succeeded
  for _ in $(seq 20); do ask -c 'select pg_sleep(600)' >/dev/null 2>&1 </dev/null & done
  fired failed
  # The next firing, which has begun and says nothing yet, as when pg_cron catches up with its clock.
  as_super -o /dev/null -c "insert into cron.job_run_details (jobid, runid, database, username, command, status)
    select jobid, nextval('cron.runid_seq'), database, username, command, 'connecting' from cron.job
    where command = 'call maintenance.tick()'"
  look=as_super silent 'all of max_connections may have been in use'
  as_super -o /dev/null -c "select pg_terminate_backend(pid) from pg_stat_activity where query like 'select pg_sleep%'"
  cured
}

lane_stock() {
  up stock "$libpq_mode"$'\ncron.host = \'localhost\''
  state='stock server'
  fired failed
  silent 'pg_cron connects to localhost as app_owner, for each firing: connection failed'
  settings "$(grep -oE 'cron.use_background_workers = on' <<<"$advice")"
  restart
  cured

  state='too few worker slots'
  as_super -o /dev/null -c 'grant pg_read_all_settings to app_owner'
  settings 'max_worker_processes = 2'
  restart
  advice=$(ask -c "select fix from maintenance.doctor() where check_name = 'worker_slots' and status = 'warning'")
  [[ $advice == 'alter system set max_worker_processes = '* ]] || not_ok "$state: the doctor says $advice"
  as_super -o /dev/null <<<"$advice" || not_ok "$state: the fix fails"
  restart
  [ "$(ask -c "select status from maintenance.doctor() where check_name = 'worker_slots'")" = ok ] ||
    not_ok "$state: the fix cures nothing"
  cured

  state='history switched off'
  settings 'cron.log_run = off'
  restart
  as_super -c 'truncate cron.job_run_details'
  until_true 130 'a tick, which leaves a receipt of its own' ask \
    -c "select last_run_at > pg_postmaster_start_time() from maintenance.job_status where job_name = 'tick'" || true
  ask -o /dev/null -c "select maintenance.set_statement('noted', 'analyze public.users', '* * * * *')" \
    -c "update maintenance_internal.job set promised_at = now() - interval '9 minutes' where job_name = 'noted'"
  # A clock two minutes ahead, so that the server has not just started, and the tick is not late.
  advice=$(ask -c "set maintenance.fake_now = '$(date -u -d '+119 seconds' '+%F %T+00')'" \
    -c "select severity || ' ' || advice from public.maintenance_status where task = 'jobs_late'")
  [[ $advice == 'warning '*'noted since '*': pg_cron keeps no history, '* ]] ||
    not_ok "$state: the status says $advice: $(ask -c "select * from maintenance.job_status where kind = 'statement'")"
  until_true 200 'the row scheduler' ask -c "select severity = 'warning' and advice ~ '^pg_cron keeps no history'
    from public.maintenance_status where task = 'scheduler'" || true
  settings "$(grep -oE 'cron.log_run = on' <<<"$advice")"
  restart
  if until_true 200 'a receipt' ask -c "select last_status = 'succeeded' and late_since is null
    from maintenance.job_status where job_name = 'noted'"; then say "$state .. told and cured"; fi
}

lane_elsewhere() {
  local dump=$folder/dump old port
  up old "$libpq_mode"
  old=$home
  fired succeeded
  state='dump restored beside the old server'
  as_server pg_dump -h "$(socket_dir "$old")" -p "$(cat "$old/port")" -U postgres app >"$dump"
  CLUSTER_SETTINGS+=$'\n'$libpq_mode cluster_up "$folder/new" --no-sync
  server=$(cluster_url "$home" app)
  database=postgres as_super -c 'create role maintenance_viewer' -c 'create role maintenance_operator' \
    -c 'create role maintenance_worker' -c 'drop database app with (force)' -c 'create database app owner app_owner'
  as_super -o /dev/null <"$dump" || not_ok 'the dump'
  restart
  fired succeeded # on the old server
  port=$(cat "$home/port")
  silent "pg_cron connects to port $(cat "$old/port") of $(socket_dir "$old"), and this server listens at $port"
  paste "$install" ask
  cured

  home=$old
  server=$(cluster_url "$home" app)
  state='standby' port=$(free_port)
  as_server bash -c "echo 'local replication all peer map=server' >>$home/data/pg_hba.conf"
  as_super -o /dev/null -c 'select pg_reload_conf()'
  as_server pg_basebackup -h "$(socket_dir "$home")" -p "$(cat "$home/port")" -U postgres \
    -D "$folder/standby" -R -c fast
  as_server tee -a "$folder/standby/postgresql.auto.conf" >/dev/null \
    <<<"port = $port"$'\nhot_standby_feedback = on\nwal_receiver_status_interval = 1'
  as_server pg_ctl -D "$folder/standby" -l "$home/log" -w -t 60 start >/dev/null 2>&1 </dev/null
  state='a query on a standby'
  as_server psql -qX -h "$(socket_dir "$home")" -p "$port" -U postgres -d app \
    -c 'begin isolation level repeatable read' -c 'select 1' -c 'select pg_sleep(600)' >/dev/null 2>&1 </dev/null &
  until_true 60 'it among those who hold VACUUM back' ask -c "select exists (select from maintenance.vacuum_holders
    where kind = 'standby' and fix ~ '^-- on the standby')" && say "$state .. told"
  state='standby'
  as_server pg_ctl -D "$home/data" -m fast -w stop >/dev/null
  echo "$port" >"$home/port"
  server=$(cluster_url "$home" app)
  silent 'this server is a standby'
  paste 'select pg_promote\(\);' as_super
  say "$state .. told"
  state='standby, promoted'
  fired failed
  silent "and this server listens at $port"
  paste "$install" ask
  cured
  as_server pg_ctl -D "$folder/standby" -m fast -w stop >/dev/null
}

chmod 777 "$folder" # a standby lies in it, which the server's user makes
lanes=(names launcher stock elsewhere) pids=()
{ lane_names; exit "$result"; } >"$folder/names.log" 2>&1 </dev/null & pids+=($!)
{ lane_launcher; exit "$result"; } >"$folder/launcher.log" 2>&1 </dev/null & pids+=($!)
{ lane_stock; exit "$result"; } >"$folder/stock.log" 2>&1 </dev/null & pids+=($!)
{ lane_elsewhere; exit "$result"; } >"$folder/elsewhere.log" 2>&1 </dev/null & pids+=($!)
for i in "${!lanes[@]}"; do
  wait "${pids[$i]}" || result=1
  grep -v '^Making' "$folder/${lanes[$i]}.log" || not_ok "the lane ${lanes[$i]} says nothing"
done
for cluster in names launcher stock old new; do cluster_remove "$folder/$cluster"; done
exit $result
