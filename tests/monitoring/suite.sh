#!/usr/bin/env bash
# What is in scripts/monitoring, loaded by what it is for: exporters that are scraped against a database in which
# something is to be seen, Prometheus with the names and the rules, a test for each rule, and every query of the
# dashboard. A tool that is not there is left out by name; below a minute.
. "$(dirname "$0")/../suite.sh"

# These packages bring services, which a systemd would start: there nothing is installed.
[ -d /run/systemd/system ] || (install_packages monitoring) || true

work=$(mktemp -d)
at_exit rm -rf "$work"
# shellcheck disable=SC2317 # at_exit calls it
end() { kill "$1" 2>/dev/null && wait "$1" 2>/dev/null; } # end PID
tried=''
has() { # has PROGRAM WHAT
  if command -v "$1" >/dev/null; then tried+=" $1"; else say "left out: $2: $1 is not installed"; return 1; fi
}
passes() { # passes WHAT COMMAND ...
  local what=$1 said
  shift
  if said=$("$@" 2>&1 </dev/null); then say "$what .. ok"; else not_ok "$what: $said"; fi
}

node --import tsx tests/monitoring/expressions.ts >"$work/dashboard.rules.yml"
if has promtool 'rules and dashboard'; then
  passes 'the rules are legal' promtool check rules scripts/monitoring/alerts.yml
  passes 'each rule fires when it should' promtool test rules tests/monitoring/alerts.test.yml
  passes 'the configuration is legal' promtool check config scripts/monitoring/prometheus.yml
  passes 'every query of the dashboard is legal' promtool check rules "$work/dashboard.rules.yml"
fi

name=${prefix}_monitoring
make_database "$name" "$template"
monitor=${prefix}_monitor password=$(node -p 'crypto.randomUUID()')
database=$(in_database "$url" "$name")
on "$database" psql -qX -v ON_ERROR_STOP=1 -v monitor="$monitor" -v password="$password" -o /dev/null \
  -f tests/monitoring/set_up.sql
monitor_url=$(sed -E "s#^([a-z]+://)([^/@]*@)?#\1$monitor:$password@#" <<<"$database")

if has promtool 'the names of the metrics'; then
  on "$monitor_url" psql -qXAt -v ON_ERROR_STOP=1 -f tests/monitoring/text.sql \
    -o "$work/textfile.prom" || result=1
  # shellcheck disable=SC2317 # passes calls it
  well_named() { promtool check metrics <"$work/textfile.prom"; }
  passes 'the metrics are legal, and named by the rules' well_named
fi

# Somebody who holds VACUUM back.
on "$database" psql -qX -c "set application_name = 'monitoring_holder'" -c 'select pg_sleep(300)' \
  >/dev/null 2>&1 </dev/null &
# shellcheck disable=SC2317 # at_exit calls it
end_holder() {
  on "$database" psql -qX -o /dev/null -c "select pg_terminate_backend(pid) from pg_stat_activity
    where application_name = 'monitoring_holder' and datname = current_database()"
}
at_exit end_holder

exporters=()
export_at() { # export_at PORT PROGRAM ARG ...: starts an exporter
  exporters+=("127.0.0.1:$1")
  shift
  "$@" >"$work/$(basename "$1").log" 2>&1 </dev/null &
  at_exit end $!
}
if has prometheus-postgres-exporter 'queries.yaml'; then
  port=$(free_port)
  DATA_SOURCE_NAME=$monitor_url export_at "$port" prometheus-postgres-exporter --disable-default-metrics \
    --disable-settings-metrics --extend.query-path=scripts/monitoring/queries.yaml \
    --web.listen-address="127.0.0.1:$port"
fi
if has prometheus-sql-exporter 'prometheus-sql-exporter.yml'; then
  port=$(free_port)
  sed -E "s#postgres://monitor:.*#$monitor_url#; s#interval: .*#interval: 2s#" \
    scripts/monitoring/prometheus-sql-exporter.yml >"$work/sql_exporter.yml"
  export_at "$port" prometheus-sql-exporter -config.file "$work/sql_exporter.yml" -web.listen-address "127.0.0.1:$port"
fi
if has sql_exporter 'pg_maintenance.collector.yml'; then
  port=$(free_port)
  printf '%s\n' 'target:' "  data_source_name: '$monitor_url'" '  collectors: [pg_maintenance]' \
    "collector_files: ['$PWD/scripts/monitoring/pg_maintenance.collector.yml']" >"$work/collector.yml"
  export_at "$port" sql_exporter -config.file "$work/collector.yml" -web.listen-address "127.0.0.1:$port"
fi

prometheus=''
if [ ${#exporters[@]} -gt 0 ] && has prometheus 'names, rules and dashboard with real samples'; then
  port=$(free_port)
  prometheus=http://127.0.0.1:$port
  cp scripts/monitoring/alerts.yml "$work/"
  {
    printf 'global:\n  evaluation_interval: 2s\n'
    sed -E "s/^( *- targets: ).*9187.*/\1[$(printf "'%s', " "${exporters[@]}" | sed 's/, $//')]/
      s/(scrape_interval|scrape_timeout): .*/\1: 3s/" scripts/monitoring/prometheus.yml
  } >"$work/prometheus.yml"
  prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/data" \
    --web.listen-address="127.0.0.1:$port" --log.level=warn >"$work/prometheus.log" 2>&1 </dev/null &
  at_exit end $!
fi

[ -n "$tried" ] || exit 77
if [ ${#exporters[@]} -gt 0 ]; then
  OWNER_URL=$database MONITOR_URL=$monitor_url EXPORTERS=${exporters[*]} PROMETHEUS=$prometheus timeout 120 \
    node --import tsx --test --test-reporter=dot tests/monitoring/samples.test.ts || {
    result=1
    tail -n 5 "$work"/*.log
  }
fi
exit $result
