#!/usr/bin/env bash
# Committing, each file in a database of its own.
. "$(dirname "$0")/../suite.sh"

if ! on "$(in_database "$url" "$template")" psql -qX -c 'set client_min_messages = warning' \
  -c 'create extension if not exists dblink'; then
  say 'left out: commit needs the extension dblink (unset DATABASE_URL)'
  exit 77
fi
for file in tests/commit/*.sql; do
  name=${prefix}_$(basename "$file" .sql)
  make_database "$name" "$template"
  pgtap "$(in_database "$url" "$name")" "$file" || result=1
done
exit $result
