#!/usr/bin/env bash
# Chats are archived by the real worker while it, and the server, are killed at random moments: at none of them is
# a message lost, archived twice, or archived without a word of it in its summary; and in the end all is done.
. "$(dirname "$0")/../suite.sh"
needs_own_server archive
install_modules development

cluster_up "$folder/archive" --no-sync
at_exit cluster_remove "$folder/archive"
server=$(cluster_url "$home" app)
migrate "$server"
ask() { on "$server" psql -qXAt -v ON_ERROR_STOP=1 -c "$1"; }
on "$server" psql -qX -o /dev/null -f tests/archive/set_up.sql

place=$(mktemp -d)
at_exit rm -rf "$place"
DELAY_MS=60 node --import tsx tests/worker/stand-in.ts >"$place/model" </dev/null &
at_exit kill $!
for _ in $(seq 100); do [ ! -s "$place/model" ] || break; sleep 0.1; done

workers=()
start_worker() {
  DATABASE_URL=$server GEMINI_API_KEY=none GEMINI_BASE_URL=$(cat "$place/model") LOG_LEVEL=fatal LEASE_MS=10000 \
    POLL_INTERVAL_MS=100 CONCURRENCY=4 node --import tsx edge-worker/main.ts >>"$place/worker" 2>&1 </dev/null &
  workers+=($!)
}
stop_workers() {
  local worker
  for worker in "${workers[@]}"; do kill -9 "$worker" 2>/dev/null || true; done
  # Without an argument it would wait for all others.
  [ ${#workers[@]} -eq 0 ] || wait "${workers[@]}" 2>/dev/null || true
  workers=()
}
at_exit stop_workers
until_up() {
  for _ in $(seq 300); do
    ask 'select 1' >/dev/null 2>&1 && return
    sleep 0.1
  done
  not_ok 'the server did not come back'
}
# Leases of dead workers end at once, and so does what a failure has put off.
hurry() {
  ask "update maintenance.task set lease_expires_at = now() where state = 'leased'" >/dev/null
  ask "update maintenance.task set available_at = now() where state = 'ready' and available_at > now()" >/dev/null
}

ask "select maintenance.trigger_jobs('archive')" >/dev/null
ways=('the worker is killed' 'its lease is taken' 'a backend is killed' 'the server stops at once' 'a connection is cut'
  'a session is undone' 'somebody writes' 'somebody writes')
for round in $(seq "${ROUNDS:-60}"); do
  way=${ways[RANDOM % ${#ways[@]}]}
  [ ${#workers[@]} -gt 0 ] || start_worker
  sleep "$(printf '0.%03d' $((100 + RANDOM % 900)))"
  case $way in
    'the worker is killed') stop_workers ;;
    'its lease is taken')
      ask "select maintenance.retry_task(task_id) from maintenance.task where state = 'leased'" >/dev/null
      ;;
    'a connection is cut')
      ask "select pg_terminate_backend(pid) from pg_stat_activity where application_name ~ 'edge-worker'" >/dev/null
      ;;
    'somebody writes')
      for _ in 1 2 3 4 5; do ask 'select public.write(4)' >/dev/null; done
      ;;
    'a session is undone')
      ask "select maintenance.undo_task(task_id) from maintenance.change where undoes is null and outcome = 'applied'
        order by random() limit 1" >/dev/null
      ;;
    'a backend is killed')
      backend=$(ask "select pid from pg_stat_activity where application_name ~ 'edge-worker' limit 1")
      [ -z "$backend" ] || as_server bash -c "kill -9 $backend"
      ;;
    *)
      as_server pg_ctl -D "$home/data" -m immediate -w stop >/dev/null
      as_server pg_ctl -D "$home/data" -l "$home/log" -w -t 60 start >/dev/null 2>&1 </dev/null
      ;;
  esac
  until_up
  wrong=$(ask 'select public.wrong()')
  [ -z "$wrong" ] || not_ok "round $round, $way: $wrong"
  hurry
  ask "select maintenance.trigger_jobs('archive')" >/dev/null
done

# In the end all is done, but for what was undone: that counts as new.
[ ${#workers[@]} -gt 0 ] || start_worker
left="select count(*) from public.archivable_sessions as s where not exists (
  select from maintenance_internal.undone_keys('archive_session', s.user_id::text) as k
  where s.started_at <= k.keys[2]::timestamptz and s.ended_at >= k.keys[1]::timestamptz)"
for _ in $(seq 120); do
  [ "$(ask "$left")" != 0 ] || break
  ask "select maintenance.retry_tasks('archive_session')" >/dev/null
  ask "select maintenance.trigger_jobs('archive')" >/dev/null
  hurry
  sleep 0.5
done
[ "$(ask "$left")" = 0 ] || not_ok "$(ask "$left") sessions are left in the end: $(tail -n 3 "$place/worker")"
wrong=$(ask 'select public.wrong()')
[ -z "$wrong" ] || not_ok "in the end: $wrong"
say "$(ask "select format('%s sessions archived, %s of %s messages; %s calls, %s recoveries, %s answers in vain',
  (select count(*) from public.archived_sessions), (select count(*) from public.archived),
  (select count(*) from public.said), (select count(*) from maintenance.model_call),
  (select count(*) from maintenance.model_call where outcome = 'lost'),
  (select count(*) from maintenance.model_call where outcome = 'stale'))")"
exit $result
