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

# install_packages: the server with pg_cron and what the tests need, from the distribution.
install_packages() {
  local version apt=(apt-get)
  if find_server && command -v pg_prove shellcheck >/dev/null &&
    [ -e "$pg_bin/../lib/plpgsql_check.so" ] &&
    compgen -G "/usr/share/postgresql/$(basename "$(dirname "$pg_bin")")/extension/pgtap.control" >/dev/null
  then
    return
  fi
  command -v apt-get >/dev/null ||
    die 'no apt-get here: install PostgreSQL 15 or newer with pg_cron, pgTAP (pg_prove), plpgsql_check and shellcheck'
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null ||
      die 'not root and no sudo here: have PostgreSQL 15 or newer with pg_cron, pgTAP (pg_prove), plpgsql_check and shellcheck installed'
    apt=(sudo env DEBIAN_FRONTEND=noninteractive apt-get)
  fi
  export DEBIAN_FRONTEND=noninteractive
  say 'Installing PostgreSQL and its extensions from the distribution ...'
  "${apt[@]}" update -qq >&2
  version=$(apt-cache search --names-only '^postgresql-[0-9]+-cron$' |
    sed -E 's/^postgresql-([0-9]+)-cron .*/\1/' | sort -rn | head -n 1)
  [ "${version:-0}" -ge 15 ] ||
    die 'this distribution has no pg_cron for PostgreSQL 15 or newer: add the apt.postgresql.org repository'
  "${apt[@]}" install -qq -y --no-install-recommends \
    "postgresql-$version" "postgresql-client-$version" "postgresql-$version-cron" \
    "postgresql-$version-pgtap" "postgresql-$version-plpgsql-check" \
    libtap-parser-sourcehandler-pgtap-perl shellcheck >&2
  find_server || die 'PostgreSQL was installed, but no server with pg_cron is in /usr/lib/postgresql'
}

# install_modules: what package.json pins, when package-lock.json is newer than what is installed.
# Not npm ci: it refuses a lock file that lacks another platform's binary package.
install_modules() {
  command -v npm >/dev/null || die 'npm is missing: install Node.js 20 or newer'
  [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] ||
    die "Node.js $(node --version) is too old: 20 or newer is needed"
  if [ ! node_modules/.package-lock.json -nt package-lock.json ]; then
    say 'Installing the npm packages ...'
    npm install --no-save --no-audit --no-fund --loglevel=error >&2 </dev/null
    touch node_modules/.package-lock.json
  fi
}

# as_server COMMAND ...: as the user that runs the server. Postgres refuses to run as root.
as_server() {
  if [ "$(id -u)" -eq 0 ]; then
    runuser -u postgres -- env PATH="$PATH" LC_ALL=C.UTF-8 "$@"
  else
    env LC_ALL=C.UTF-8 "$@"
  fi
}
server_user() { if [ "$(id -u)" -eq 0 ]; then echo postgres; else id -un; fi; }

free_port() {
  node -e 's=require("net").createServer().listen(0,"127.0.0.1",()=>{console.log(s.address().port);s.close()})'
}

# cluster_home DIR: prints the real folder of a cluster, made for the user that runs the server.
# Where that user cannot reach DIR (a checkout under /root), DIR becomes a link to a place it can.
cluster_home() {
  local dir=$1 home
  if [ ! -e "$dir" ]; then
    install -d -m 700 "$dir"
    [ "$(id -u)" -ne 0 ] || chown postgres: "$dir"
    if ! as_server test -w "$dir"; then
      rmdir "$dir"
      home=/var/lib/postgresql/pg-maintenance-$(printf %s "$PWD/$dir" | cksum | cut -d' ' -f1)
      install -d -m 700 -o postgres "$home"
      ln -s "$home" "$dir"
    fi
  fi
  readlink -f "$dir"
}

# cluster_is_up HOME
cluster_is_up() { as_server pg_ctl -D "$1/data" status >/dev/null 2>&1; }

# socket_dir HOME: where the server's socket lies. A socket's path has 107 bytes at most.
socket_dir() {
  if [ ${#1} -le 80 ]; then echo "$1"; else
    local dir
    dir=/tmp/pg-maintenance-$(printf %s "$1" | cksum | cut -d' ' -f1)
    [ -d "$dir" ] || as_server install -d -m 700 "$dir"
    echo "$dir"
  fi
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

# cluster_up DIR [initdb options]: makes and starts the cluster in DIR; sets home.
# Passwords over loopback; the user that runs the server comes in over the socket. pg_cron runs jobs
# as background workers from 1.5 on; in 1.4 one long job would block all others in that mode, so
# there it connects over the socket.
cluster_up() {
  local dir=$1 port cron_version workers
  shift
  home=$(cluster_home "$dir")
  if [ ! -e "$home/data/PG_VERSION" ]; then
    say "Making a private cluster in $dir ..."
    as_server initdb -D "$home/data" -U postgres --encoding=UTF8 --locale=C.UTF-8 \
      --auth-local=peer --auth-host=scram-sha-256 "$@" >/dev/null
    (umask 077 && head -c 18 /dev/urandom | base64 | tr '+/' 'ab' >"$home/password")
    as_server tee "$home/data/pg_hba.conf" >/dev/null <<'CONF'
local all all peer map=server
host all all 127.0.0.1/32 scram-sha-256
host all all ::1/128 scram-sha-256
CONF
    as_server tee "$home/data/pg_ident.conf" >/dev/null <<CONF
server $(server_user) postgres
server $(server_user) app_owner
CONF
  fi
  if ! cluster_is_up "$home"; then
    if [ -e "$home/port" ] && ! (: <"/dev/tcp/127.0.0.1/$(cat "$home/port")") 2>/dev/null; then
      port=$(cat "$home/port")
    else
      port=$(free_port)
    fi
    echo "$port" >"$home/port"
    cron_version=$(sed -nE "s/^default_version *= *'([0-9]+\.[0-9]+).*/\1/p" \
      "/usr/share/postgresql/$(basename "$(dirname "$pg_bin")")/extension/pg_cron.control")
    workers=$([ "$(printf '%s\n' 1.5 "$cron_version" | sort -V | head -n 1)" = 1.5 ] && echo on || echo off)
    as_server tee "$home/data/postgresql.auto.conf" >/dev/null <<CONF
listen_addresses = 'localhost'
port = $port
unix_socket_directories = '$(socket_dir "$home")'
shared_preload_libraries = 'pg_cron'
cron.database_name = 'app'
cron.host = '$(socket_dir "$home")'
cron.use_background_workers = $workers
max_worker_processes = 20
${CLUSTER_SETTINGS:-}
CONF
    as_server pg_ctl -D "$home/data" -l "$home/log" -w -t 60 start >/dev/null ||
      die "the server did not start; its log is $home/log"
  fi
  if [ -z "$(cluster_superuser "$home" -Atc "select 1 from pg_database where datname = 'app'" postgres)" ]
  then
    cluster_superuser "$home" postgres <<SQL
create role app_owner login createdb createrole password '$(cat "$home/password")';
create database app owner app_owner;
SQL
    cluster_superuser "$home" app <<SQL
create extension pg_cron;
grant usage on schema cron to app_owner;
create extension plpgsql_check;
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
