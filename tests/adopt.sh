#!/usr/bin/env bash
# A stock Debian server, the distribution's own, adopted by README's words: the blocks of its section
# are run as they stand, with a schedule of every minute. It installs and configures PostgreSQL on
# the machine that it runs on, so it is for machines that were made for it (scripts/matrix).
set -euo pipefail
cd "$(dirname "$0")/.."
[ ! -e /etc/postgresql ] || { echo 'error: this machine has a PostgreSQL already'; exit 1; }
fail() { printf 'not ok - %s\n' "$*"; exit 1; }

sudo apt-get -qq update
sudo apt-get -qqy install postgresql >/dev/null
sudo service postgresql start
echo 'APT::Get::Assume-Yes "true";' | sudo tee /etc/apt/apt.conf.d/99adopt >/dev/null
as_superuser() { sudo -u postgres psql -qXAt -v ON_ERROR_STOP=1 "$@"; }
as_superuser -c "create role owner login password 'password'" -c 'create database app owner owner'
as_superuser -d app -c 'set role owner' -c 'create schema audit' \
  -c 'create table audit.log (created_at timestamptz, legal_hold boolean)' \
  -c "insert into audit.log select now() - interval '1 year', i <= 100 from generate_series(1, 12345) as i" \
  -c 'insert into audit.log select now(), false from generate_series(1, 1000)'
major=$(as_superuser -c "select current_setting('server_version_num')::int / 10000")

# The blocks, each in a file, in their order.
blocks=$(mktemp -d)
trap 'rm -r "$blocks"' EXIT
sed -n '/^## Adopt it/,/^## Every day/p' README.md | awk -v place="$blocks" '
  /^```[a-z]/ { file = sprintf("%s/%02d.%s", place, ++number, substr($0, 4)); next }
  /^```/ { file = "" }
  file { print > file }'
sed -i "s/postgresql-15/postgresql-$major/; s#postgresql/15/#postgresql/$major/#" "$blocks"/*
sed -i "s/'30 2 \* \* \*'/'* * * * *'/" "$blocks"/*
[ "$(find "$blocks" -type f | wc -l)" -eq 5 ] || fail 'README has other blocks than this test knows'

rows() { psql "$DATABASE_URL" -qXAtc 'select count(*) from audit.log'; }
for block in "$blocks"/*; do
  printf -- '--- %s\n' "$(head -n 1 "$block")"
  case $block in
    *.sh)
      # shellcheck disable=SC1090 # made above
      . "$block"
      ;;
    *.sql)
      [ "$(rows)" -eq 13345 ] || fail 'something was deleted before a run was asked for'
      psql "$DATABASE_URL" -X -v ON_ERROR_STOP=1 -f "$block"
      ;;
  esac
done
[ "$(rows)" -eq 1100 ] || fail "the run by hand has left $(rows) rows"

psql "$DATABASE_URL" -qXc "insert into audit.log values (now() - interval '1 year', false)"
for ((i = 0; i < 150; i++)); do
  fired=$(psql "$DATABASE_URL" -qXAtc "select rows_affected from maintenance.run_history
    where job_name = 'purge_audit' and trigger = 'schedule' and status = 'succeeded'")
  [ -z "$fired" ] || break
  sleep 1
done
psql "$DATABASE_URL" -Xc "select job_name, trigger, status, rows_affected from maintenance.run_history order by run_id"
[ "$(rows)" -eq 1100 ] || fail "pg_cron has not fired: $(as_superuser -d app -c 'select * from cron.job_run_details')"
echo "A stock PostgreSQL $major was adopted, and pg_cron has fired its first job."
