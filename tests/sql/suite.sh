#!/usr/bin/env bash
# Rolled back, file by file, in pg_cron's own database where there is one.
. "$(dirname "$0")/../suite.sh"

database=$template
if [ -z "${DATABASE_URL:-}" ]; then
  migrate "$url"
  cluster_superuser "$home" app -c 'create foreign data wrapper nowhere' \
    -c 'grant usage on foreign data wrapper nowhere to app_owner'
  # Nothing fires between two assertions.
  cluster_superuser "$home" app -c 'update cron.job set active = false'
  sleep 2 # 1.4 may not have heard of it, just after a migration
  cluster_superuser "$home" app -c 'update cron.job set active = false'
  database=app
fi
pgtap "$(in_database "$url" "$database")" tests/sql || result=1
[ -n "${DATABASE_URL:-}" ] || cluster_superuser "$home" app -c 'update cron.job set active = true'
exit $result
