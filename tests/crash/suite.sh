#!/usr/bin/env bash
# A server of its own that dies in the middle of a batch: nothing is lost, nothing done twice. And a
# standby, which answers as its primary does.
. "$(dirname "$0")/../suite.sh"
needs_own_server crash

cluster_up "$folder/crash" --no-sync
at_exit cluster_remove "$folder/crash"
server=$(cluster_url "$home" app)
migrate "$server"
on "$server" psql -qX -v ON_ERROR_STOP=1 -f tests/crash/set_up.sql -o /dev/null

until_true() { # until_true QUERY: waits for a t, and for the server if need be
  for _ in $(seq 300); do
    [ "$(on "$server" psql -qXAt -c "$1" 2>/dev/null)" != t ] || return 0
    sleep 0.1
  done
  not_ok "waited in vain: $1"
}

for way in 'kill -9' 'stop -m immediate'; do
  on "$server" psql -qX -v ON_ERROR_STOP=1 -o /dev/null -c 'select public.fill()'
  on "$server" psql -qX -c "call maintenance.run_job('purge')" >/dev/null 2>&1 </dev/null &
  run=$!
  until_true "select exists (select from pg_stat_activity where wait_event = 'PgSleep')" # in its fourth batch
  if [ "$way" = 'kill -9' ]; then # one backend: the server takes all others down, and recovers
    backend=$(on "$server" psql -qXAt -c "select backend_pid from maintenance_internal.run where status = 'running'")
    as_server bash -c "kill -9 $backend"
  else
    as_server pg_ctl -D "$home/data" -m immediate -w stop >/dev/null
    as_server pg_ctl -D "$home/data" -l "$home/log" -w -t 60 start >/dev/null 2>&1 </dev/null
  fi
  wait "$run" || true
  until_true 'select true'
  say "after $way:"
  pgtap "$server" tests/crash/after_crash.sql || result=1
done

# A standby can make no pgTAP: the views write nothing.
as_server bash -c "echo 'local replication all peer map=server' >>$home/data/pg_hba.conf"
as_server pg_ctl -D "$home/data" reload >/dev/null
socket=$(sed -n 5p "$home/data/postmaster.pid") port=$(sed -n 4p "$home/data/postmaster.pid")
as_server pg_basebackup -h "$socket" -p "$port" -U postgres -D "$home/standby" -R -c fast
as_server pg_ctl -D "$home/data" -m fast -w stop >/dev/null
as_server pg_ctl -D "$home/standby" -l "$home/log" -w -t 60 start >/dev/null 2>&1 </dev/null
outcome=$(on "$server" psql -qXAt -F ' ' -c 'select pg_is_in_recovery()' \
  -c "select task, count, severity from public.maintenance_status
    where task in ('purge', 'expired_sessions') order by 1" \
  -c 'select count(*) > 9 from maintenance.job_status' \
  -c "select count(*) from maintenance.lint() where severity <> 'notice'" \
  -c "select public.get_database_health_stats() ->> 'healthy'" \
  -c "select due from maintenance.preview('purge')" | tr '\n' '|')
if [ "$outcome" = 't|expired_sessions 0 ok|purge 0 ok|t|1|true|0|' ]; then
  echo 'status on a standby .. ok'
else
  not_ok "status on a standby: $outcome"
fi
as_server pg_ctl -D "$home/standby" -m fast -w stop >/dev/null
exit $result
