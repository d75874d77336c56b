#!/usr/bin/env bash
# Committing, each file in a database of its own.
. "$(dirname "$0")/../suite.sh"

if ! on "$(in_database "$url" "$template")" psql -qX -c 'set client_min_messages = warning' \
  -c 'create extension if not exists dblink'; then
  say 'left out: commit needs the extension dblink (unset DATABASE_URL)'
  exit 77
fi
# Some things only a superuser can do.
[ -z "$home" ] || { AS_SUPERUSER=$(superuser_command "$home") && export AS_SUPERUSER; }
for file in tests/commit/*.sql; do
  name=${prefix}_$(basename "$file" .sql)
  make_database "$name" "$template"
  pgtap "$(in_database "$url" "$name")" "$file" || result=1
done

# What run_job says, and what it hands back.
make_database "${prefix}_words" "$template"
words() { on "$(in_database "$url" "${prefix}_words")" psql -qXAt "$@" 2>&1; }
says() { # says WHAT EXPECTED
  [ "$1" = "$2" ] || not_ok "run_job says $1 instead of $2"
}
says "$(words -c "call maintenance.run_job('purge_receipts')")" 'NOTICE:  purge_receipts succeeded: 0 rows in 0 batches'
says "$(words -c "call maintenance.run_job('purge_receipts', '{}')" | tail -n 1 | cut -c 1-25)" \
  '{"data": {"runId": 2, "st'
says "$(words -1 -c "call maintenance.run_job('purge_receipts')" | sed '/^CONTEXT/,$d')" \
  "ERROR:  maintenance.run_job commits, and cannot do so inside a transaction
HINT:  Call it by itself, with autocommit; or, in one transaction: select maintenance.run_now(...);"
words -c 'create table public.slow (at timestamptz)' \
  -c "insert into public.slow select now() - interval '9 days' from generate_series(1, 700)" \
  -c "create function public.dawdle() returns trigger language plpgsql
    as 'begin perform pg_sleep(0.008); return old; end'" \
  -c 'create trigger dawdle before delete on public.slow for each row execute function public.dawdle()' \
  -c 'set client_min_messages = error' \
  -c "select maintenance.set_policy('slow', 'public.slow', 'delete', 'at', '1 day')"
said=$(words -c "call maintenance.run_job('slow')")
[[ $said =~ ^'NOTICE:  slow: '[0-9]+' rows so far, '[0-9]+' a second, about '[0-9]+' to go' ]] ||
  not_ok "run_job does not say how far it is: $said"
exit $result
