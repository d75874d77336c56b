#!/usr/bin/env bash
# The worker's tests as long as the world can take: 300 tasks behind a quota of three a second, an outage
# of four minutes, a model that is retired (limits.test.ts); connections that are cut every two seconds,
# also behind a pgbouncer in transaction mode (cuts.test.ts). A database for each, at the same time.
. "$(dirname "$0")/../suite.sh"

[ -n "${DATABASE_URL:-}" ] || install_packages pooler
logs=$(mktemp -d)
at_exit rm -rf "$logs"
tests=('limits known, 1 workers' 'limits known, 10 workers' 'limits an outage' 'limits is retired'
  'cuts three workers') pids=()
for i in "${!tests[@]}"; do
  name=${prefix}_outage_$i
  make_database "$name" "$template"
  LONG=1 TEST_DATABASE_URL=$(in_database "$url" "$name") timeout 600 \
    node --import tsx --test --test-name-pattern "${tests[$i]#* }" "tests/worker/${tests[$i]%% *}.test.ts" \
    >"$logs/$i" 2>&1 </dev/null & pids+=($!)
done
for i in "${!tests[@]}"; do
  wait "${pids[$i]}" || result=1
  grep -vE 'SKIP|^ *(---|\.\.\.|duration_ms|type:)|^TAP|^1\.\.|^# [a-zS]' "$logs/$i" || result=1
done
exit $result
