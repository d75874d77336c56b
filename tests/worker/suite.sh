#!/usr/bin/env bash
# The edge worker against a stand-in for Gemini, each file in a database of its own.
. "$(dirname "$0")/../suite.sh"

[ -n "${DATABASE_URL:-}" ] || RESTART_SERVER=$(restart_command "$home")
export RESTART_SERVER
for file in tests/worker/*.test.ts; do
  name=${prefix}_worker_$(basename "$file" .test.ts)
  make_database "$name" "$template"
  TEST_DATABASE_URL=$(in_database "$url" "$name") timeout 300 \
    node --import tsx --test --test-reporter=dot "$file" || result=1
done
exit $result
