# shellcheck shell=bash
# What the scripts share: messages, packages, URLs, migrations, pgTAP; and cluster.sh.
# Sourced, never run. Every script works from the top of the checkout.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

# shellcheck source=scripts/cluster.sh
. scripts/cluster.sh

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# at_exit COMMAND ARG ...: what is done when the script ends, however it ends, the latest first. Its
# words are fixed here: a plain trap reads its variables where the script ends, which may be inside a
# function that has a local of the same name.
exit_commands=''
at_exit() {
  exit_commands="$(printf '%q ' "$@") || true; $exit_commands"
  # shellcheck disable=SC2064
  trap "$exit_commands" EXIT
}

# find_server: sets pg_bin to the newest installed server, 15 or newer, that has pg_cron.
find_server() {
  local dir
  while read -r dir; do
    if [ "$(basename "$dir")" -ge 15 ] && [ -x "$dir/bin/postgres" ] && [ -e "$dir/lib/pg_cron.so" ]
    then
      pg_bin=$dir/bin
      PATH=$pg_bin:$PATH
      return
    fi
  done < <(find /usr/lib/postgresql -mindepth 1 -maxdepth 1 -name '[0-9]*' 2>/dev/null | sort -rV)
  return 1
}

# find_browser: the distribution's Chromium, or nothing.
find_browser() { command -v chromium || command -v chromium-browser || true; }

# install_packages WANTED ...: what is missing of server (with pg_cron), client (psql), tests
# (pgTAP, pg_prove, plpgsql_check), pooler (pgbouncer), monitoring (Prometheus, two exporters), browser
# (Chromium) and lint (shellcheck), from the distribution.
install_packages() {
  local wanted version output missing=() apt=(env DEBIAN_FRONTEND=noninteractive apt-get)
  find_server || true
  version=${pg_bin:+$(basename "$(dirname "$pg_bin")")}
  for wanted in "$@"; do
    case $wanted in
      server) [ -n "$version" ] || missing+=("postgresql-VERSION" "postgresql-VERSION-cron") ;;
      client) command -v psql >/dev/null || missing+=("postgresql-client") ;;
      tests)
        command -v pg_prove >/dev/null || missing+=("libtap-parser-sourcehandler-pgtap-perl")
        [ -e "/usr/share/postgresql/$version/extension/pgtap.control" ] ||
          missing+=("postgresql-VERSION-pgtap")
        [ -e "/usr/lib/postgresql/$version/lib/plpgsql_check.so" ] ||
          missing+=("postgresql-VERSION-plpgsql-check")
        ;;
      pooler) [ -x /usr/sbin/pgbouncer ] || missing+=("pgbouncer") ;;
      monitoring)
        command -v promtool >/dev/null || missing+=("prometheus")
        command -v prometheus-postgres-exporter >/dev/null || missing+=("prometheus-postgres-exporter")
        command -v prometheus-sql-exporter >/dev/null || missing+=("prometheus-sql-exporter")
        ;;
      browser) [ -n "$(find_browser)" ] || missing+=("chromium") ;;
      lint) command -v shellcheck >/dev/null || missing+=("shellcheck") ;;
    esac
  done
  [ ${#missing[@]} -gt 0 ] || return 0

  command -v apt-get >/dev/null ||
    die "no apt-get here; install by hand (N is 15 or newer): ${missing[*]//VERSION/${version:-N}}"
  if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null ||
      die "neither root nor sudo without a password; have installed (N is 15 or newer): ${missing[*]//VERSION/${version:-N}}"
    apt=(sudo -n "${apt[@]}")
  fi
  say "Installing ${missing[*]//VERSION/${version:-N}} from the distribution ..."
  output=$("${apt[@]}" update -qq 2>&1 </dev/null) || die "apt-get update failed: $output"
  if [ -z "$version" ]; then
    version=$(apt-cache search --names-only '^postgresql-[0-9]+-cron$' |
      sed -E 's/^postgresql-([0-9]+)-cron .*/\1/' | sort -rn | head -n 1)
    [ "${version:-0}" -ge 15 ] ||
      die 'this distribution has no pg_cron for PostgreSQL 15 or newer: add the apt.postgresql.org repository'
  fi
  output=$("${apt[@]}" install -qq -y --no-install-recommends "${missing[@]//VERSION/$version}" \
    2>&1 </dev/null) || die "apt-get could not install ${missing[*]//VERSION/$version}: $output"
  find_server || case " $* " in
    *' server '*) die 'PostgreSQL was installed, but no server with pg_cron is in /usr/lib/postgresql' ;;
  esac
}

# install_modules production|development: what package-lock.json pins, where it is newer than what
# is installed, and puts its programs on PATH. The tools of development are what make lint needs.
install_modules() {
  command -v npm >/dev/null || die 'npm is missing: install Node.js 20 or newer'
  [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] ||
    die "Node.js $(node --version) is too old: 20 or newer is needed"
  local output omit=--omit=dev
  [ "$1" != development ] || omit=--include=dev
  if [ ! node_modules/.package-lock.json -nt package-lock.json ] ||
    { [ "$1" = development ] && [ ! -e node_modules/.bin/tsc ]; }
  then
    say 'Installing the npm packages ...'
    output=$(npm ci $omit --no-audit --no-fund --no-update-notifier --loglevel=error 2>&1 </dev/null) ||
      die "npm ci: $output"
    touch node_modules/.package-lock.json
  fi
  PATH=$PWD/node_modules/.bin:$PATH
}

# A URL holds a password, and the arguments of a process can be read by everybody on the machine: so
# programs are told of a database by libpq's variables, and never by its URL.

# libpq URL: sets these variables. A URL without a database is refused (libpq would take the user's
# name for one), and so is what cannot be read, such as a password that is not percent-encoded.
libpq() {
  local words='^postgres(ql)?://(([^:@/?#]*)(:([^@/?#]*))?@)?(\[[^]]+\]|[^]:@/?#[]*)(:([0-9]+))?/([^/?#]+)(\?([^#]+))?$'
  local example='postgres://user:password@host:5432/database, with @ : / ? # and % of a password written as %40 %3A %2F %3F %23 %25'
  local unescaped=${1//%[0-9A-Fa-f][0-9A-Fa-f]/} pair name pairs=()
  if [[ $unescaped == *%* ]] || ! [[ $1 =~ $words ]]; then
    die "DATABASE_URL names no database, or cannot be read: $example"
  fi
  [ -z "${BASH_REMATCH[3]}" ] || pairs+=("user=${BASH_REMATCH[3]}")
  [ -z "${BASH_REMATCH[5]}" ] || pairs+=("password=${BASH_REMATCH[5]}")
  [ -z "${BASH_REMATCH[6]}" ] || pairs+=("host=$(tr -d '[]' <<<"${BASH_REMATCH[6]}")")
  [ -z "${BASH_REMATCH[8]}" ] || pairs+=("port=${BASH_REMATCH[8]}")
  pairs+=("database=${BASH_REMATCH[9]}")
  unset PGSERVICE PGHOSTADDR PGHOST PGPORT PGUSER PGPASSWORD
  IFS='&' read -ra words <<<"${BASH_REMATCH[11]}"
  for pair in "${pairs[@]}" "${words[@]}"; do
    name=${pair%%=*}
    case $name in
      application_name) name=APPNAME ;;
      connect_timeout) name=CONNECT_TIMEOUT ;;
      channel_binding | database | gssencmode | host | options | password | port | sslcert | sslkey | sslmode | \
        sslnegotiation | sslrootcert | target_session_attrs | user)
        name=${name^^} name=${name//_/} ;;
      *) [[ $name =~ ^[a-z_]+$ ]] || name='that cannot be read'
        die "DATABASE_URL has an option $name, which is not known here" ;;
    esac
    pair=${pair#*=}
    pair=${pair//\\/\\\\}
    export "PG$name=$(printf '%b' "${pair//%/\\x}")"
  done
}

# on URL COMMAND ARG ...: a program of libpq's, in that database.
on() (
  libpq "$1"
  shift
  "$@"
)

# Whatever a script does, it does not begin with a DATABASE_URL that means another database.
[ -z "${DATABASE_URL:-}" ] || (libpq "$DATABASE_URL") || exit 1

# database_url: the caller's DATABASE_URL, or that of the private cluster from .env.
database_url() {
  if [ -n "${DATABASE_URL:-}" ]; then
    echo "$DATABASE_URL"
  elif [ -e .env ] && grep -q '^DATABASE_URL=' .env; then
    sed -n 's/^DATABASE_URL=//p' .env | tail -n 1
  else
    die 'no DATABASE_URL and no .env: run make up'
  fi
}

# migrate URL [FOLDER ...]: what dbmate has not applied yet of these folders; without any, of the
# engine and the reference application.
migrate() {
  local url=$1 log folder folders=()
  shift
  [ $# -gt 0 ] || set -- db/migrations db/reference
  for folder in "$@"; do folders+=(--migrations-dir "$folder"); done
  # What dbmate's driver does not know would reach the server as a setting.
  url=$(sed -E 's/([?&])((channel_binding|gssencmode|target_session_attrs)=[^&]*(&|$))+/\1/; s/[?&]$//' <<<"$url")
  log=$(DATABASE_URL=$url dbmate --no-dump-schema "${folders[@]}" migrate 2>&1) || die "dbmate: $log"
}

# in_database URL NAME: the same server, another database; user, host and options stay as they are.
in_database() { sed -E "s#^([a-z]+://[^/]*)/[^?]*#\1/$2#" <<<"$1"; }

# check_version URL: ends the script where that database was made by another version than this one.
check_version() {
  local part release state here installed
  installed=$(on "$1" psql -qXAt -F ' ' -c "select v.part, v.release, v.state from maintenance.version() as v" 2>&1) ||
    [[ $installed == *'does not exist'* && $installed != *FATAL* ]] || die "$installed"
  [[ $installed =~ ^(engine|reference)\  ]] || installed='engine unknown unknown'
  while read -r part release state; do
    here=$(sed -nE "s/.*pg-maintenance ([^,]+), state ([0-9a-f]+).*/\1 \2/p" "sql/$part/state.sql")
    [ "$release $state" = "$here" ] || die "this database was made by another version of pg-maintenance: its $part is
$release, state $state; this checkout's is ${here/ /, state }. Before release 1.0 there is no upgrade: make reset where
it is the private server's; else make uninstall, and make up again. Or check that version out."
  done <<<"$installed"
}

# drop_scratch URL PREFIX: the databases and roles whose names begin with PREFIX.
drop_scratch() {
  PGOPTIONS='-c client_min_messages=warning' on "$1" psql -qX -v prefix="$2" <<'SQL'
select format('drop database if exists %I', d.datname)
from pg_database as d where starts_with(d.datname, :'prefix') \gexec
select format('drop role if exists %I', r.rolname)
from pg_roles as r where starts_with(r.rolname, :'prefix') \gexec
SQL
}

# pgtap URL FILE ...: warnings that are meant for people are left out.
pgtap() {
  local url=$1
  shift
  PGOPTIONS='-c client_min_messages=error' on "$url" pg_prove -f -o --recurse --ext .sql "$@"
}
