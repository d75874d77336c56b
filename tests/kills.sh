# shellcheck shell=bash
# What the suites share that kill the real worker, its connections and its server at random moments. Sourced behind
# suite.sh by a suite that needs a server of its own.

: "${folder:?a suite is started by scripts/test}" "${home:?on a server of its own}"

# kills_workers NAME: a cluster NAME with everything in it, a place for files, and a stand-in for Gemini.
kills_workers() {
  cluster_up "$folder/$1" --no-sync
  at_exit cluster_remove "$folder/$1"
  server=$(cluster_url "$home" app)
  migrate "$server"
  on "$server" psql -qX -o /dev/null -f "tests/$1/set_up.sql"
  place=$(mktemp -d)
  at_exit rm -rf "$place"
  DELAY_MS=60 node --import tsx tests/worker/stand-in.ts >"$place/model" </dev/null &
  at_exit kill $!
  until_said "$place/model"
  at_exit stop_workers
}
ask() { on "$server" psql -qXAt -v ON_ERROR_STOP=1 -c "$1"; }
until_said() {
  for _ in $(seq 100); do [ ! -s "$1" ] || break; sleep 0.1; done
}

workers=()
worker_env=() # what a worker's environment has more
start_worker() {
  env DATABASE_URL="$server" GEMINI_API_KEY=none GEMINI_BASE_URL="$(cat "$place/model")" LOG_LEVEL=fatal \
    LEASE_MS=10000 POLL_INTERVAL_MS=100 CONCURRENCY=4 "${worker_env[@]}" \
    node --import tsx edge-worker/main.ts >>"$place/worker" 2>&1 </dev/null &
  workers+=($!)
}
stop_workers() {
  local worker
  for worker in "${workers[@]}"; do kill -9 "$worker" 2>/dev/null || true; done
  # Without an argument it would wait for all others.
  [ ${#workers[@]} -eq 0 ] || wait "${workers[@]}" 2>/dev/null || true
  workers=()
}

# shellcheck disable=SC2034
kills=('the worker is killed' 'a backend is killed' 'the server stops at once' 'a connection is cut')
kill_so() { # kill_so WAY: one of kills, or nothing
  local backend
  case $1 in
    'the worker is killed') stop_workers ;;
    'a connection is cut')
      ask "select pg_terminate_backend(pid) from pg_stat_activity where application_name ~ 'edge-worker'" >/dev/null
      ;;
    'a backend is killed')
      backend=$(ask "select pid from pg_stat_activity where application_name ~ 'edge-worker' limit 1")
      [ -z "$backend" ] || as_server bash -c "kill -9 $backend"
      ;;
    'the server stops at once')
      as_server pg_ctl -D "$home/data" -m immediate -w stop >/dev/null
      as_server pg_ctl -D "$home/data" -l "$home/log" -w -t 60 start >/dev/null 2>&1 </dev/null
      ;;
  esac
}
until_up() {
  for _ in $(seq 300); do
    ask 'select 1' >/dev/null 2>&1 && return
    sleep 0.1
  done
  not_ok 'the server did not come back'
}
# Leases of dead workers end at once, and so does what a failure has put off.
hurry_tasks() {
  ask "update maintenance.task set lease_expires_at = now() where state = 'leased'" >/dev/null
  ask "update maintenance.task set available_at = now() where state = 'ready' and available_at > now()" >/dev/null
}
