#!/usr/bin/env bash
# As somebody else would: dbmate in databases of many kinds.
. "$(dirname "$0")/../suite.sh"

place=$(mktemp -d)
at_exit rm -r "$place"
dump() { # dump NAME [OPTION ...]: schema and rows, but for what dbmate and pg_dump write anew each time
  on "$(in_database "$url" "$1")" pg_dump --exclude-table=public.schema_migrations "${@:2}" |
    sed -E '/^(--|\\restrict|\\unrestrict|$)/d'
}

says() { # says SENTENCE OF: whether the log of what was refused has the sentence
  grep -qF -e "$1" "$place/log" || not_ok "what is said of $2: $(cat "$place/log")"
}

# The engine alone, by plain dbmate up from a folder without .env.
make_database "${prefix}_engine"
engine=$(in_database "$url" "${prefix}_engine")
mkdir "$place/checkout"
cp -r db "$place/checkout"
(cd "$place/checkout" && DATABASE_URL=$engine DBMATE_NO_DUMP_SCHEMA=true dbmate up) >"$place/log" 2>&1 ||
  not_ok "dbmate up: $(cat "$place/log")"
pgtap "$engine" tests/install/engine_alone.sql || result=1
# What lint finds, set_policy says at once; pgTAP cannot see a warning.
on "$engine" psql -qX -c 'create table public.seen (at timestamptz)' \
  -c "select maintenance.set_policy('seen', 'public.seen', 'delete', 'at', '30 seconds')" >/dev/null 2>"$place/warnings"
[ "$(grep -c -e '^WARNING:  no index serves the age at of public.seen' -e '^HINT:  -- If 30 days are meant' \
  "$place/warnings")" -eq 2 ] || not_ok 'set_policy has not warned of what lint finds'
# How much is due now, and what a second call drops.
on "$engine" psql -qX -c 'create index on public.seen (at)' \
  -c "insert into public.seen select now() - g * interval '1 day' from generate_series(1, 100) as g" \
  -c 'analyze public.seen' \
  -c "select maintenance.set_policy('seen', 'public.seen', 'delete', 'at', '25 days', matching => 'at > ''-infinity''',
    schedule => '0 3 * * *', backlog_name => 'sights')" \
  -c "select maintenance.set_policy('seen', 'public.seen', 'delete', 'at', '99 days')" >/dev/null 2>"$place/log"
says 'NOTICE:  seen: 76 rows of public.seen are due now, 76 % of it' 'what is due'
says 'NOTICE:  seen: 2 rows of public.seen are due now, 2 % of it' 'what is due'
says 'WARNING:  "seen" loses what this call does not name: schedule 0 3 * * *, backlog_name sights' 'a second call'
says "WARNING:  \"seen\" loses what this call does not name: matching (at > '-infinity'::timestamp with time zone)" \
  'a second call'

# With the reference application.
make_database "${prefix}_deployed"
(cd "$place/checkout" && DATABASE_URL=$(in_database "$url" "${prefix}_deployed") DBMATE_NO_DUMP_SCHEMA=true \
  dbmate -d db/migrations -d db/reference up) >"$place/log" 2>&1 || not_ok "dbmate -d … up: $(cat "$place/log")"
pgtap "$(in_database "$url" "${prefix}_deployed")" tests/install/deployed.sql || result=1

# A host with tables of the same names: they stay as they are, whatever is installed beside them.
make_database "${prefix}_host"
host=$(in_database "$url" "${prefix}_host")
on "$host" psql -qX -v ON_ERROR_STOP=1 -f tests/install/own_tables.psql
own() { dump "${prefix}_host" --schema=public --exclude-table=maintenance_status; }
own >"$place/before"
DATABASE_URL=$host scripts/up 2>/dev/null || not_ok 'make up beside tables of the same names'
diff "$place/before" <(own) || not_ok 'make up has changed the tables of the host'
dump "${prefix}_host" >"$place/installed"
DATABASE_URL=$host scripts/up 2>/dev/null || not_ok 'make up for the second time'
diff "$place/installed" <(dump "${prefix}_host") || not_ok 'make up for the second time has changed something'
DATABASE_URL=$host REFERENCE=1 scripts/up >"$place/log" 2>&1 &&
  not_ok 'the reference application is installed over tables of the host'
taken='table activity_logs, table api_usage_logs, table chat_conversations, table daily_usage_reports'
taken+=', table import_jobs, table import_runs, table memory_summaries, table raw_import_items, table search_cache'
taken+=', table sessions, table study_chat_memory, table temp_uploads, table user_subscriptions, table users'
taken+=', function cleanup_temp_uploads'
advice='Leave out db/reference, and run the rules that fit your tables: '
advice+='psql -v ON_ERROR_STOP=1 -1 -f sql/reference/imports/rules.sql.'
says "Error: pq: The reference application is not installed, and nothing was changed, since its names are taken in \
this database: $taken. $advice" 'tables of the same names'
diff "$place/installed" <(dump "${prefix}_host") || not_ok 'a refused reference application has changed something'
for rules in sql/reference/*/rules.sql; do
  PGOPTIONS='-c client_min_messages=error' on "$host" psql -qX -v ON_ERROR_STOP=1 -1 -o /dev/null -f "$rules" ||
    not_ok "$rules by itself"
done
pgtap "$host" tests/install/own_tables.sql || result=1

# Another version is told, and so is a database that no version made.
on "$host" psql -qX -c "comment on schema maintenance is 'pg-maintenance 0.0.0, state 00ff: made yesterday'"
for script in up status; do
  DATABASE_URL=$host "scripts/$script" >"$place/log" 2>&1 </dev/null && not_ok "scripts/$script with another version"
  says 'error: this database was made by another version of pg-maintenance: its engine is' 'another version'
  says '0.0.0, state 00ff; this checkout' 'another version'
done
ill() { # ill URL CHECK DETAIL: make doctor ends with 1 there, and says so
  DATABASE_URL=$1 scripts/doctor >"$place/log" 2>&1 </dev/null && not_ok "make doctor at $2 ends well"
  grep -q "^failed *$2 .*$3" "$place/log" || not_ok "make doctor at $2 says $(cat "$place/log")"
}
ill "$host" version 'this database was made by another version'
ill "$(in_database "$url" postgres)" engine 'pg-maintenance is not in this database'
ill postgres://nobody@127.0.0.1:1/none database 'it cannot be reached'
DATABASE_URL=$(in_database "$url" postgres) scripts/status >"$place/log" 2>&1 </dev/null &&
  not_ok 'scripts/status where nothing is installed'
says 'unknown, state unknown; this checkout' 'a database without an engine'

# Structure without rows, as dbmate dump and load make it.
make_database "${prefix}_structure"
on "$(in_database "$url" "${prefix}_deployed")" pg_dump --schema-only --no-owner | sed '/^SET transaction_timeout/d' |
  on "$(in_database "$url" "${prefix}_structure")" psql -qX -v ON_ERROR_STOP=1 -o /dev/null
pgtap "$(in_database "$url" "${prefix}_structure")" tests/install/structure_alone.sql || result=1

# A later release, made as make migration makes it, over a database in which somebody has changed things.
make_database "${prefix}_upgrade"
host=$(in_database "$url" "${prefix}_upgrade")
mkdir "$place/next"
cp -r sql db package.json "$place/next"
migrate "$host"
on "$host" psql -qX -v ON_ERROR_STOP=1 -o /dev/null \
  -c "select maintenance.configure_job('purge_receipts', keep => '10 days')" \
  -c "select maintenance.configure_job('cleanup_old_raw_items', batch_size => 77)" \
  -c "select maintenance.drop_job('weekly_index_report')"
sed -i 's/"version": ".*"/"version": "0.1.0"/' "$place/next/package.json"
sed -i "s/'90 days'/'60 days'/; s/'40 3 /'41 3 /" "$place/next/sql/engine/jobs.sql"
sed -i "s/'30 days'/'20 days'/" "$place/next/sql/reference/imports/rules.sql"
sed -i "s/'10 2 /'11 2 /" "$place/next/sql/reference/accounts/rules.sql"
node --import tsx scripts/new-migration.ts --root "$place/next" shorter_keeps >/dev/null
migrate "$host" "$place/next/db/migrations" "$place/next/db/reference"
pgtap "$host" tests/install/upgraded.sql || result=1
on "$host" psql -qX -o /dev/null -c "select maintenance.uninstall('${prefix}_upgrade')"
[ "$(on "$host" psql -qXAtc "select to_regclass('public.schema_migrations')")" = '' ] ||
  not_ok 'uninstall after an upgrade leaves migrations of ours in the record'

uninstall() { DATABASE_URL=$host scripts/uninstall "$1" >"$place/log" 2>&1 </dev/null; } # uninstall NAME, in $host

# In and out again: what was there before is there afterwards, and nothing else.
make_database "${prefix}_out"
host=$(in_database "$url" "${prefix}_out")
on "$host" psql -qX -v ON_ERROR_STOP=1 -f tests/install/own_tables.psql -c 'create schema app'
dump "${prefix}_out" >"$place/before"
for round in 1 2; do
  migrate "$host" db/migrations
  on "$host" psql -qX -c 'create view app.seen as select task from public.maintenance_status'
  uninstall "${prefix}_out" && not_ok 'uninstall under a view of the host'
  says 'nothing was removed, since this is not of pg-maintenance and stands on it: rule _RETURN on view app.seen' \
    'a view of the host'
  on "$host" psql -qX -c 'drop view app.seen'
  uninstall app && not_ok 'uninstall under another name'
  says '"app" is not the name of this database' 'another name'
  uninstall "${prefix}_out" || not_ok "uninstall: $(cat "$place/log")"
  says 'forgotten, and public.schema_migrations, which is empty now, dropped' 'the migrations'
  diff "$place/before" <(dump "${prefix}_out") || not_ok "in and out has left something, round $round"
done
# The tables of the reference application stay, with their rows; so do migrations of somebody else.
make_database "${prefix}_app_stays"
host=$(in_database "$url" "${prefix}_app_stays")
migrate "$host"
on "$host" psql -qX -v ON_ERROR_STOP=1 -c "insert into public.users (name) values ('Ada')" \
  -c "insert into public.schema_migrations values ('20200101000000')"
uninstall "${prefix}_app_stays" || not_ok "uninstall: $(cat "$place/log")"
pgtap "$host" tests/install/app_stays.sql || result=1

# A record that may be cleared and not dropped, and one that a view stands on, are told as they are.
for way in 'alter table public.schema_migrations owner to postgres' \
  'create view app.seen as select version from public.schema_migrations'; do
  make_database "${prefix}_record"
  host=$(in_database "$url" "${prefix}_record")
  on "$host" psql -qX -c 'create schema app'
  migrate "$host" db/migrations
  if [[ $way != alter* ]]; then
    on "$host" psql -qX -c "$way"
  elif [ -n "$home" ]; then # only a superuser gives a table away to one
    cluster_superuser "$home" "${prefix}_record" -c "$way" -c 'grant all on public.schema_migrations to app_owner'
  fi
  uninstall "${prefix}_record" || not_ok "uninstall, $way: $(cat "$place/log")"
  says ' forgotten' "$way"
  [ "$(on "$host" psql -qXAtc "select count(*) from pg_class where relname = 'schema_migrations'" \
    -c 'select count(*) from public.schema_migrations' 2>/dev/null | tail -n 1)" = 0 ] || not_ok "rows are left, $way"
  on "$url" psql -qX -c "drop database ${prefix}_record"
done

# Down blocks say why they do nothing.
(cd "$place/checkout" && DATABASE_URL=$engine DBMATE_NO_DUMP_SCHEMA=true dbmate down) >"$place/log" 2>&1 &&
  not_ok 'dbmate down'
says 'Migrations of pg-maintenance go forward only, and nothing was rolled back.' 'dbmate down'

# A job of the host's own by one of these names stays as well, and so does a leftover of ours.
make_database "${prefix}_jobs"
host=$(in_database "$url" "${prefix}_jobs")
migrate "$host" db/migrations
on "$host" psql -qX -v ON_ERROR_STOP=1 -o /dev/null -c 'create schema app' \
  -c 'create table app.sessions (ended timestamptz)' -c 'create index on app.sessions (ended)' \
  -c "select maintenance.set_policy('cleanup_expired_sessions', 'app.sessions', 'delete', 'ended', '400 days')"
(migrate "$host" db/reference) 2>"$place/log" && not_ok 'the reference application has taken a job of the host over'
says 'its names are taken in this database: job cleanup_expired_sessions. ' 'a job of the host'
on "$host" psql -qX -o /dev/null -c "select maintenance.drop_job('cleanup_expired_sessions')"
migrate "$host" db/reference
on "$host" psql -qX -c "delete from public.schema_migrations where version = '20261124000001'"
(migrate "$host" db/reference) 2>"$place/log" && not_ok 'the reference application is installed twice'
says 'its names are taken in this database: table activity_logs, ' 'leftovers of ours'

# Where a name of ours is taken, one sentence says so, and nothing is changed.
taken() { # taken FOLDER SENTENCE STATEMENT ...
  local folder=$1 sentence=$2 statement statements=()
  shift 2
  for statement in "$@"; do statements+=(-c "$statement"); done
  make_database "${prefix}_taken"
  host=$(in_database "$url" "${prefix}_taken")
  on "$host" psql -qX -v ON_ERROR_STOP=1 "${statements[@]}"
  dump "${prefix}_taken" >"$place/before"
  (migrate "$host" "$folder") 2>"$place/log" && not_ok "installed where a name is taken: $*"
  says "$sentence" 'a name that is taken'
  [ "$(grep -c . "$place/log")" -le 3 ] || not_ok "more than a sentence: $(cat "$place/log")"
  diff "$place/before" <(dump "${prefix}_taken") || not_ok 'an installation that was refused has changed something'
  on "$url" psql -qX -c "drop database ${prefix}_taken"
}
schemas='has a schema "maintenance" or "maintenance_internal" of its own: rename it'
taken db/migrations "$schemas" 'create schema maintenance' 'create table maintenance.job (id integer)'
taken db/migrations "$schemas" 'create schema maintenance_internal'
status='has a public.maintenance_status of its own: rename it'
taken db/migrations "$status" 'create view public.maintenance_status as select 1 as i'
taken db/migrations "$status" "create type public.maintenance_status as enum ('on', 'off')"
taken db/migrations 'is in this database already, and dbmate does not know of it' 'create schema maintenance' \
  "comment on schema maintenance is 'pg-maintenance: restored from a dump'"
taken db/reference 'needs the engine, which is not in this database: apply db/migrations first' \
  'create schema maintenance'

# Odd hosts: it works, or one sentence says what it needs.
odd() { # odd OPTIONS STATEMENT ...: makes a database and migrates it
  local options=$1 statement
  shift
  on "$url" psql -qX -v ON_ERROR_STOP=1 -c "create database ${prefix}_odd $options"
  host=$(in_database "$url" "${prefix}_odd")
  for statement in "$@"; do on "$host" psql -qX -v ON_ERROR_STOP=1 -c "${statement//ODD/${prefix}_odd}"; done
  (migrate "$host") 2>"$place/log"
}
works() { # works WHAT
  pgtap "$host" tests/install/deployed.sql || not_ok "a database with $1"
  on "$url" psql -qX -c "drop database ${prefix}_odd"
}
odd '' 'alter database ODD set quote_all_identifiers = on' || not_ok "all identifiers quoted: $(cat "$place/log")"
works 'quote_all_identifiers'
odd "encoding 'LATIN1' locale 'C' template template0" || not_ok "LATIN1: $(cat "$place/log")"
works 'the encoding LATIN1'
odd '' 'alter database ODD set standard_conforming_strings = off' && not_ok 'strings that do not conform'
says "it needs alter database ${prefix}_odd set standard_conforming_strings = on;" 'strings that do not conform'
on "$url" psql -qX -c "drop database ${prefix}_odd"

# A DATABASE_URL that means another database than it says is refused by every script, and never shown.
for bad in 'postgres://u:sEcret@127.0.0.1:9?sslmode=disable' 'postgres://u:sEcret@127.0.0.1:9/' \
  'postgres://u:sEcret@x@127.0.0.1:9/db' 'postgres://u:sEcret%@127.0.0.1:9/db' 'sEcret'; do
  for script in bench demo down lint matrix new-migration psql run status test trigger try uninstall up verify; do
    DATABASE_URL=$bad timeout 20 "scripts/$script" >"$place/log" 2>&1 </dev/null &&
      not_ok "scripts/$script takes $bad"
    grep -q '^error: DATABASE_URL names no database, or cannot be read: ' "$place/log" ||
      not_ok "scripts/$script of $bad: $(cat "$place/log")"
    ! grep -q sEcret "$place/log" || not_ok "scripts/$script shows the value of DATABASE_URL"
  done
done
DATABASE_URL=$url scripts/demo >"$place/log" 2>&1 </dev/null && not_ok 'make demo fills the database of DATABASE_URL'
says 'error: DATABASE_URL is set, and the demo fills a database' 'a demo with DATABASE_URL'

# S3-21: make run prints what the run of a schedule leaves on its receipt, and fails where the run does.
make_database "${prefix}_by_hand" "$template"
host=$(in_database "$url" "${prefix}_by_hand")
run() { DATABASE_URL=$host scripts/run "$@" 2>"$place/log" </dev/null; }
printed=$(run apply_patch_jobs) || not_ok "make run: $(cat "$place/log")"
[ "$(on "$host" psql -qXAt -v "printed=$printed" <<'SQL'
select :'printed'::jsonb #> '{data,details}' = details and :'printed'::jsonb -> 'success' = 'true'
from maintenance.run_history where job_name = 'apply_patch_jobs';
SQL
)" = t ] || not_ok "make run prints $printed"
run no_such_job && not_ok 'make run of no job'
says 'ERROR:  there is no job "no_such_job"' 'make run of no job'
run && not_ok 'make run without a job'
says 'error: which job? make run JOB=cleanup_temp_uploads' 'make run without a job'

# A host in whose public schema a stranger may create, and does: before, between and afterwards.
make_database "${prefix}_hostile"
host=$(in_database "$url" "${prefix}_hostile")
trap_in() { on "$host" psql -qX -v "stranger=${prefix}_stranger" -v "schema=$1" -f tests/install/hostile.psql; }
owner=$(on "$host" psql -qXAtc 'select current_user')
trap_in public
migrate "$host" db/migrations
trap_in "$owner"
migrate "$host"
trap_in public
pgtap "$host" tests/install/hostile_host.sql || result=1
# A table of migrations that is a stranger's: its triggers would run as we.
make_database "${prefix}_foreign"
host=$(in_database "$url" "${prefix}_foreign")
trap_in public
on "$host" psql -qX -v ON_ERROR_STOP=1 -c "set role ${prefix}_stranger" \
  -c 'create table public.schema_migrations (version varchar(128) primary key)' \
  -c 'grant all on public.schema_migrations to public'
DATABASE_URL=$host dbmate --no-dump-schema -d db/migrations up >"$place/log" 2>&1 &&
  not_ok 'a table of migrations of a stranger'
says "public.schema_migrations belongs to ${prefix}_stranger" 'a table of migrations of a stranger'

# A host whose default privileges are generous.
make_database "${prefix}_generous"
host=$(in_database "$url" "${prefix}_generous")
on "$host" psql -qX -v ON_ERROR_STOP=1 -c "create role ${prefix}_generous_role" \
  -c "alter default privileges grant all on tables to public, ${prefix}_generous_role" \
  -c "alter default privileges grant all on functions to ${prefix}_generous_role" \
  -c "alter default privileges grant all on sequences to ${prefix}_generous_role" \
  -c "alter default privileges grant all on schemas to ${prefix}_generous_role" \
  -c "alter default privileges in schema public grant all on functions to ${prefix}_generous_role"
migrate "$host"
pgtap "$host" tests/install/generous_host.sql || result=1

# Hosts with a search_path of their own, and with migrations that leave settings behind: they are no
# matter to ours, nor ours to them.
settings="select string_agg(name || '=' || setting, ' ' order by name) as settings from pg_settings where name in
  ('search_path', 'TimeZone', 'statement_timeout', 'lock_timeout', 'check_function_bodies', 'role', 'row_security')"
mkdir "$place/leaky"
# shellcheck disable=SC2016 # $user is Postgres' own
for path in '"$user", public' 'app, public'; do
  make_database "${prefix}_leaky"
  host=$(in_database "$url" "${prefix}_leaky")
  on "$host" psql -qX -v ON_ERROR_STOP=1 -c 'create schema app' \
    -c "alter database ${prefix}_leaky set search_path = $path"
  cp db/*/*.sql "$place/leaky"
  printf -- '-- migrate:up\n%s set statement_timeout = 999999;\ncreate table app.settings as %s;\n-- migrate:down\n' \
    "$([ "$path" = 'app, public' ] || echo "select pg_catalog.set_config('search_path', '', false);")" "$settings" \
    >"$place/leaky/20000101000000_host.sql"
  printf -- '-- migrate:up\ninsert into app.settings %s;\n-- migrate:down\n' "$settings" \
    >"$place/leaky/99990101000000_host.sql"
  (migrate "$host" "$place/leaky") || result=1
  pgtap "$host" tests/install/leaky_host.sql || result=1
  on "$url" psql -qX -c "drop database ${prefix}_leaky"
done

if [ -n "${DATABASE_URL:-}" ]; then exit $result; fi

# No process shows the password in its arguments, where anybody on the machine can read them.
cp "$home/password" "$place/secret"
while [ -e "$place/secret" ]; do
  grep -hsaFf "$place/secret" /proc/[0-9]*/cmdline | tr '\0' ' ' || true
done >"$place/seen" &
watcher=$!
DATABASE_URL=$engine scripts/up 2>/dev/null
DATABASE_URL=$engine scripts/psql -Xc 'select pg_sleep(0.2)' >/dev/null
DATABASE_URL=$engine scripts/verify 2>/dev/null
DATABASE_URL=$engine scripts/try tests/sql/reference/objects.sql >/dev/null 2>&1
secret=$(<"$place/secret")
rm "$place/secret"
wait "$watcher"
seen=$(head -c 300 "$place/seen")
[ -z "$seen" ] || not_ok "a password in the arguments of a process: ${seen//$secret/***}"

# Two installs at the same moment, on a server that has none of the roles yet.
cluster_up "$folder/fresh" --no-sync
at_exit cluster_remove "$folder/fresh"
server=$(cluster_url "$home" app)
for round in 1 2 3; do
  one=$(in_database "$server" one)
  two=$(in_database "$server" two)
  [ $((round % 2)) -eq 1 ] || two=$one # every other time into one and the same database
  on "$server" psql -qX -v ON_ERROR_STOP=1 -c 'create database one' -c 'create database two'
  if [ $round -eq 3 ]; then # certain to meet: the roles are made, and not committed yet
    on "$server" psql -qX -v ON_ERROR_STOP=1 -c "begin; create role maintenance_viewer;
      create role maintenance_operator; create role maintenance_worker; select pg_sleep(3);
      commit" >"$place/one.log" 2>&1 &
  else
    (migrate "$one") 2>"$place/one.log" &
  fi
  other=$!
  # Of two in the same database one may lose, with an error; the next dbmate up is clean.
  (migrate "$two") 2>"$place/two.log" || [ "$one" = "$two" ] ||
    not_ok "two installs, round $round: $(cat "$place/two.log")"
  wait "$other" || [ "$one" = "$two" ] || not_ok "two installs, round $round: $(cat "$place/one.log")"
  for host in "$one" "$two"; do
    (migrate "$host") || not_ok "two installs, and one more, round $round"
    pgtap "$host" tests/install/two_installs.sql || not_ok "two installs, round $round"
  done
  for host in $(printf '%s\n' "$one" "$two" | sort -u); do # the roles go with the last of them
    uninstall "$(on "$host" psql -qXAtc 'select current_database()')" || not_ok "uninstall: $(cat "$place/log")"
  done
  [ "$(on "$server" psql -qXAtc "select count(*) from pg_roles where rolname like 'maintenance\\_%'")" = 0 ] ||
    not_ok "roles are left when the last database has none of ours: $(cat "$place/log")"
  on "$server" psql -qX -v ON_ERROR_STOP=1 -c 'drop database one' -c 'drop database two'
done
exit $result
