# shellcheck shell=bash
# A private cluster in a folder of its own: made, started, stopped and removed, as root or as anybody.
# Sourced by lib.sh, never run.

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
# shellcheck disable=SC2154 # find_server sets pg_bin
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
    # A launcher that has started just before its tables came may never look at them.
    as_server pg_ctl -D "$home/data" -l "$home/log" -w -t 60 -m fast restart >/dev/null 2>&1 </dev/null
  fi
  # A job remembers the port that it was scheduled at; another one would keep it from connecting.
  cluster_superuser "$home" app -c "update cron.job set nodeport = $(cat "$home/port") where nodeport <> $(cat "$home/port")"
}

# restart_command HOME: what restarts the cluster, for tests that do.
restart_command() {
  local as=''
  [ "$(id -u)" -ne 0 ] || as='runuser -u postgres -- '
  printf '%s%s/pg_ctl -D %q -l %q -m fast -w restart >/dev/null </dev/null' "$as" "$pg_bin" "$1/data" "$1/log"
}

# superuser_command HOME: what opens psql on the database app as the superuser, for tests that do.
superuser_command() {
  local as='env -C / '
  [ "$(id -u)" -ne 0 ] || as+='runuser -u postgres -- '
  printf '%s%s/psql -qX -h %s -p %s -U postgres app' "$as" "$pg_bin" "$(socket_dir "$1")" "$(cat "$1/port")"
}

# cluster_down HOME
cluster_down() {
  if cluster_is_up "$1"; then
    as_server pg_ctl -D "$1/data" -m fast -w stop >/dev/null
  fi
}

# test_extensions DATABASE: what only a superuser may create, for the tests.
test_extensions() {
  cluster_superuser "$home" "$1" -c 'create extension if not exists plpgsql_check' \
    -c 'create extension if not exists dblink'
}
