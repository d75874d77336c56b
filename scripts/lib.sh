# shellcheck shell=bash
# What the scripts share: where the server's programs are, and a cluster in a folder of its own.
# Sourced, never run. Every script works from the top of the checkout.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

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

# install_packages WANTED ...: what is missing of server (with pg_cron), client (psql), tests
# (pgTAP, pg_prove, plpgsql_check) and lint (shellcheck), from the distribution.
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

# install_modules: what package.json pins, when package-lock.json is newer than what is installed.
# Not npm ci: it refuses a lock file that lacks another platform's binary package.
install_modules() {
  command -v npm >/dev/null || die 'npm is missing: install Node.js 20 or newer'
  [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] ||
    die "Node.js $(node --version) is too old: 20 or newer is needed"
  if [ ! node_modules/.package-lock.json -nt package-lock.json ]; then
    say 'Installing the npm packages ...'
    npm install --no-save --no-audit --no-fund --no-update-notifier --loglevel=error >/dev/null </dev/null
    touch node_modules/.package-lock.json
  fi
}

# as_server COMMAND ...: as the user that runs the server; Postgres refuses to run as root.
# From /, since that user may not be able to enter the folder of the checkout.
as_server() {
  if [ "$(id -u)" -eq 0 ]; then
    (cd / && runuser -u postgres -- env PATH="$PATH" LC_ALL=C.UTF-8 "$@")
  else
    (cd / && env LC_ALL=C.UTF-8 "$@")
  fi
}
server_user() { if [ "$(id -u)" -eq 0 ]; then echo postgres; else id -un; fi; }

free_port() {
  node -e 's=require("net").createServer().listen(0,"127.0.0.1",()=>{console.log(s.address().port);s.close()})'
}

# cluster_home DIR: prints the real folder of a cluster. Root's belongs to the user postgres, who
# may not be able to reach the checkout: it lies in a system place, and DIR is a link to it.
cluster_home() {
  local dir home
  dir=$(realpath -s "$1")
  if [ "$(id -u)" -ne 0 ]; then
    install -d -m 700 "$dir"
  elif [ ! -d "$dir" ]; then
    install -d -m 755 /var/lib/pg-maintenance
    home=$(mktemp -d "/var/lib/pg-maintenance/$(basename "$PWD" | tr -c 'A-Za-z0-9\n' -).XXXXXX")
    chown postgres: "$home"
    ln -sfn "$home" "$dir"
  fi
  readlink -f "$dir"
}

# cluster_is_up HOME
cluster_is_up() { as_server pg_ctl -D "$1/data" status >/dev/null 2>&1; }

# socket_dir HOME: where the server's socket lies. A socket's path has 107 bytes at most, and a
# comma or a quote in it would end its setting.
socket_dir() {
  if [[ $1 =~ ^[A-Za-z0-9/_.-]{1,80}$ ]]; then
    echo "$1"
  else
    echo "/tmp/pg-maintenance-$(printf %s "$1" | cksum | cut -d' ' -f1)"
  fi
}

# cluster_remove DIR: stops the cluster and removes it with its folders.
cluster_remove() {
  local home
  home=$(readlink -f "$1")
  cluster_down "$home"
  rm -rf "$home" "$1" "$(socket_dir "$home")"
}

# cluster_superuser HOME [psql options]: psql as the cluster's superuser, over the socket.
cluster_superuser() {
  local home=$1
  shift
  as_server psql -qX -v ON_ERROR_STOP=1 -h "$(socket_dir "$home")" -p "$(cat "$home/port")" -U postgres "$@"
}

# cluster_url HOME DATABASE: the owner's URL.
cluster_url() {
  printf 'postgres://app_owner:%s@127.0.0.1:%s/%s?sslmode=disable\n' \
    "$(cat "$1/password")" "$(cat "$1/port")" "$2"
}

# cluster_start: starts the cluster in $home on its port, or on another where that one is taken.
# pg_cron runs jobs as background workers from 1.5 on; in 1.4 one long job would block all others in
# that mode, so there it connects over the socket.
cluster_start() {
  local port cron_version workers
  as_server install -d -m 700 "$(socket_dir "$home")"
  cron_version=$(sed -nE "s/^default_version *= *'([0-9]+\.[0-9]+).*/\1/p" \
    "/usr/share/postgresql/$(basename "$(dirname "$pg_bin")")/extension/pg_cron.control")
  workers=$([ "$(printf '%s\n' 1.5 "$cron_version" | sort -V | head -n 1)" = 1.5 ] && echo on || echo off)
  port=$(cat "$home/port" 2>/dev/null || free_port)
  for _ in 1 2 3 4 5; do
    as_server tee "$home/data/postgresql.auto.conf" >/dev/null <<CONF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = '$(socket_dir "$home")'
shared_preload_libraries = 'pg_cron'
cron.database_name = 'app'
cron.host = '$(socket_dir "$home")'
cron.use_background_workers = $workers
max_worker_processes = 20
${CLUSTER_SETTINGS:-}
CONF
    if as_server pg_ctl -D "$home/data" -l "$home/log" -w -t 60 start >/dev/null 2>&1 </dev/null; then
      echo "$port" >"$home/port"
      return
    fi
    port=$(free_port)
  done
  die "the server did not start; its log is $home/log"
}

# cluster_up DIR [initdb options]: makes and starts the cluster in DIR; sets home.
# Passwords over loopback; the user that runs the server comes in over the socket.
cluster_up() {
  local dir=$1
  shift
  home=$(cluster_home "$dir")
  if [ ! -e "$home/data/PG_VERSION" ]; then
    say "Making a private cluster in $dir ..."
    as_server initdb -D "$home/data" -U postgres --encoding=UTF8 --locale=C.UTF-8 \
      --auth-local=peer --auth-host=scram-sha-256 "$@" >/dev/null </dev/null || die 'initdb failed'
    (umask 077 && head -c 18 /dev/urandom | base64 | tr '+/' 'ab' >"$home/password")
    as_server tee "$home/data/pg_hba.conf" >/dev/null <<'CONF'
local all all peer map=server
host all all 127.0.0.1/32 scram-sha-256
CONF
    as_server tee "$home/data/pg_ident.conf" >/dev/null <<CONF
server $(server_user) postgres
server $(server_user) app_owner
CONF
  fi
  cluster_is_up "$home" || cluster_start
  if ! cluster_superuser "$home" app -Atc "select 1 from pg_extension where extname = 'pg_cron'" \
    2>/dev/null | grep -q 1
  then
    cluster_superuser "$home" postgres <<SQL
select format('create role app_owner login createdb createrole password %L', '$(cat "$home/password")')
where to_regrole('app_owner') is null \gexec
select 'create database app owner app_owner'
where not exists (select from pg_database where datname = 'app') \gexec
SQL
    cluster_superuser "$home" app <<'SQL'
begin;
create extension pg_cron;
grant usage on schema cron to app_owner;
commit;
SQL
  fi
  # A job remembers the port that it was scheduled at; another one would keep it from connecting.
  cluster_superuser "$home" app -c "update cron.job set nodeport = $(cat "$home/port") where nodeport <> $(cat "$home/port")"
}

# cluster_down HOME
cluster_down() {
  if cluster_is_up "$1"; then
    as_server pg_ctl -D "$1/data" -m fast -w stop >/dev/null
  fi
}

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

# migrate URL: everything that dbmate has not applied yet.
migrate() {
  local log
  log=$(npx dbmate --url "$1" --no-dump-schema --migrations-dir "${2:-db/migrations}" migrate 2>&1) ||
    die "dbmate: $log"
}

# in_database URL NAME: the same server, another database; user, host and options stay as they are.
in_database() { sed -E "s#^([a-z]+://[^/]*)/[^?]*#\1/$2#" <<<"$1"; }

# test_extensions DATABASE: what only a superuser may create, for the tests.
test_extensions() {
  cluster_superuser "$home" "$1" -c 'create extension if not exists plpgsql_check' \
    -c 'create extension if not exists dblink'
}

# pgtap URL FILE ...: pg_prove cannot take a URL, so the URL goes by the variables of libpq.
pgtap() {
  local variables
  # shellcheck disable=SC2016
  variables=$(node -e '
    const url = new URL(process.argv[1]);
    const value = (name, text) => text && console.log(`${name}=${decodeURIComponent(text)}`);
    value("PGHOST", url.searchParams.get("host") || url.hostname);
    value("PGPORT", url.port);
    value("PGUSER", url.username);
    value("PGPASSWORD", url.password);
    value("PGDATABASE", url.pathname.slice(1));
    value("PGSSLMODE", url.searchParams.get("sslmode"));' "$1")
  shift
  mapfile -t variables <<<"$variables"
  env "${variables[@]}" pg_prove -Q -f -o --recurse --ext .sql "$@"
}
