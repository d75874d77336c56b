#!/usr/bin/env bash
# Dumps by scripts/backup: of one moment, restored and compared, and only then there; what fails, is killed or
# has no room leaves the old ones as they are. What stands between the script and Postgres are wrappers.
# shellcheck disable=SC2016 # what the wrappers are to do is for them to expand
. "$(dirname "$0")/../suite.sh"

here=$(mktemp -d)
at_exit rm -rf "$here"
mkdir "$here/tools" "$here/b" "$here/other"
mkfifo "$here/at" "$here/go"
export HERE=$here REAL_PATH=$PATH
# Each says with which arguments it was called, and does what before_NAME and after_NAME say.
cat >"$here/wrapper" <<'WRAPPER'
#!/usr/bin/env bash
name=${0##*/} PATH=$REAL_PATH
printf '%s\n' "$name $*" >>"$HERE/calls"
before=before_$name after=after_$name
eval "${!before:-}"
[ -n "${!after:-}" ] || exec "$name" "$@"
"$name" "$@" || exit
eval "${!after}"
WRAPPER
chmod +x "$here/wrapper"
for program in pg_dump pg_restore; do ln -s "$here/wrapper" "$here/tools/$program"; done

app=${prefix}_backup
make_database "$app" "$template"
app_url=$(in_database "$url" "$app")
sql() { PGOPTIONS="-c statement_timeout=0" on "$app_url" psql -qXAt -v ON_ERROR_STOP=1 "$@"; }
backup() { # backup FOLDER [ARG ...]: sets outcome; what it says is in out and err
  outcome=0
  BACKUP_DIR=$here/$1 DATABASE_URL=${database:-$app_url} PATH=$here/tools:$PATH timeout 60 scripts/backup "${@:2}" \
    >"$here/out" 2>"$here/err" </dev/null || outcome=$?
}
succeeds() { [ $outcome -eq 0 ] || not_ok "$*: $(cat "$here/err")"; }
fails() { # fails WORDS WHAT
  [ $outcome -eq 1 ] || not_ok "$2: it ends with $outcome"
  grep -q "^error: .*$1" "$here/err" || not_ok "$2: it says $(cat "$here/err")"
}
dumps() { (cd "$here/$1" && find . -mindepth 1 ! -name .lock -printf '%f\n' | sort); } # dumps FOLDER
scratches() { on "$url" psql -qXAtc "select datname from pg_database where datname like 'backup\_check\_%'"; }
last() { sql -c "select $1 from public.backups as b where backup_type = 'dump' order by backup_id desc limit 1"; }
restored() { # restored FILE: into a database of its own, by the plain command
  on "$url" psql -qX -c "drop database if exists ${app}_restored" 2>/dev/null
  make_database "${app}_restored"
  on "$(in_database "$url" "${app}_restored")" pg_restore -d "${app}_restored" "$1" 2>"$here/err" ||
    not_ok "S2-11: pg_restore says $(cat "$here/err")"
}
text() { # text DATABASE [OPTION ...]: all of it, but for what a restore writes otherwise
  on "$(in_database "$url" "$1")" pg_dump "${@:2}" |
    sed -E '/^(--|\\(un)?restrict|$)/d; /EXTENSION/d; s/ AS (text|timestamptz)(,?)$/\2/'
}
differ() { ! diff "$@" | head -n 20 | grep .; } # ends with 0 where nothing differs
there() { on "$(in_database "$url" "${app}_restored")" psql -qXAtc "$1"; } # there SQL: in what was restored

sql <<'SQL'
insert into public.users (name, email) select n, n from unnest('{Ada,Bob}'::text[]) as n;
insert into public.messages (user_id, content)
select id, name || ' says ' || g || repeat(' ' || md5(g::text), 9) from public.users, generate_series(1, 2000) as g;
insert into public.temp_uploads (filename) values ('unlisted');
insert into public.topics (name) values ('truncated');
select lo_from_bytea(4711, 'large') \g /dev/null
set client_min_messages = error;
select maintenance.set_policy('mine', target => 'public.topics', action => 'delete', age => 'created_at',
  keep => '9 days');
select maintenance.configure('recovery_days', 8);
update public.retention_policies set days = 77;
alter default privileges grant select on tables to maintenance_viewer;
SQL

# Another, of an odd name, without pg-maintenance: values, names and tables of every sort.
odd=$(in_database "$url" "${prefix}%20%22odd%22")
make_database "\"${prefix} \"\"odd\"\"\""
on "$odd" psql -qX -v ON_ERROR_STOP=1 <<'SQL'
create schema "Other ""one""";
create table "Other ""one"""."Parts, $1 .*" (i integer, "s" text, primary key (i)) partition by range (i);
create table public.low partition of "Other ""one"""."Parts, $1 .*" for values from (0) to (10);
create table public.high partition of "Other ""one"""."Parts, $1 .*" for values from (10) to (20);
insert into "Other ""one"""."Parts, $1 .*" values (1, e'a|b\n\x1f'), (11, null);
create table public.refers (id serial primary key, part integer references "Other ""one"""."Parts, $1 .*", price money,
  at timestamptz default now(), span interval default '26 h', f float8 default 1 / 3::float8, b bytea default '\xff',
  twice integer generated always as (part * 2) stored);
insert into public.refers (part, price) values (1, 1.5), (11, 2.5);
create unlogged table public.unlogged as select g from generate_series(1, 3) as g;
create table public.nothing ();
insert into public.nothing default values;
create table public.parent (p integer);
create table public.child (c integer) inherits (public.parent);
insert into public.child values (1, 2);
create table public.unlisted as select 'unlisted' as word;
select lo_from_bytea(0, 'large') as large \g /dev/null
create publication p for table public.parent;
alter default privileges grant select on tables to public;
create materialized view public.counted as select count(*) from public.refers;
SQL

# 1. Of one moment, while others write and would like to truncate; whatever time-outs the role has.
sql -c "alter role current_user in database $app set statement_timeout = '50ms'" \
  -c "alter role current_user in database $app set idle_in_transaction_session_timeout = '50ms'"
export before_pg_dump='[ "$1" = -Fc ] || exec pg_dump "$@"
  export PGOPTIONS="-c statement_timeout=0"
  psql -qX -c "insert into public.users (name) values (\$\$Eve\$\$)" -c "delete from public.messages"
  psql -qX -c "select pg_sleep(0.2)" -o /dev/null'
sql <<'SQL' &
do $$ begin
  lock table public.topics;
  while not exists (select from pg_locks where relation = 'public.topics'::regclass and not granted) loop
    perform pg_sleep(0.01);
  end loop;
  truncate public.topics;
  insert into public.users (name) values ('Mallory');
  create table public.young (word text) inherits (public.users);
  insert into public.young (word) values ('is there');
end $$;
SQL
until [ "$(sql -c "select count(*) from pg_locks where relation = 'public.topics'::regclass")" -gt 0 ]; do
  sleep 0.1
done
backup b
unset before_pg_dump
wait
sql -c "alter role current_user in database $app reset all"
succeeds 'S2-11: a dump is made while others write'
cp "$here/err" "$here/said"
file=$(cut -d: -f1 "$here/out")
[[ $file =~ ^$here/b/$app-[0-9]{8}T[0-9]{6}Z\.dump$ ]] || not_ok "S2-11: it is named $file"
kit=$(sql -c "select count(*) from pg_tables where schemaname in ('maintenance', 'maintenance_internal')")
[[ $(cat "$here/out") =~ ^$file:\ $((15 + kit))\ tables,\ [0-9]+\ rows,\ $(stat -c %s "$file")\ bytes,\ [0-9]+\ s$ ]] ||
  not_ok "S2-11: one line says what there is: $(cat "$here/out")"
[ "$(dumps b)" = "$(printf '%s\n' "${file##*/}" "${file##*/}.sha256")" ] || not_ok "S2-11: there is $(dumps b)"
[ "$(stat -c %a "$here/b"/*.dump*)" = $'600\n600' ] || not_ok 'S2-11: a dump can be read by others'
(cd "$here/b" && sha256sum --quiet -c ./*.sha256) || not_ok 'C-20: the checksum is not that of the file'
[ "$(last "concat_ws(' ', status, checksum, size_bytes, file_location, tables #>> '{public.users,rows}',
  tables #>> '{public.messages,rows}', error_message)")" = \
  "verified $(sha256sum <"$file" | cut -d' ' -f1) $(stat -c %s "$file") $(hostname):$file 3 4000" ] ||
  not_ok "S2-11: the registry says $(last b.*)"
[ "$(last "to_char(started_at at time zone 'UTC', 'YYYYMMDD\"T\"HH24MISS\"Z\"')")" = "${file:(-21):16}" ] ||
  not_ok "S2-11: the file is not named after its moment: $(last started_at)"
restored "$file"
[ "$(there "select string_agg(name, ' ' order by name) from public.users")" = 'Ada Bob Mallory' ] ||
  not_ok 'S2-11: a dump has what was written after its moment, or a truncated table and not what was written with that'
[ "$(there 'select checksum from public.backup_sums($$public.messages$$)')" = \
  "$(last "tables #>> '{public.messages,checksum}'")" ] || not_ok 'C-20: the checksum is not that of backup_sums'
[ "$(there 'select word from public.young')" = 'is there' ] ||
  not_ok 'S2-11: a table that came after the list, and before the moment, is dumped without its rows'
[ "$(there 'select encode(lo_get(4711), $$escape$$)')" = large ] || not_ok 'S2-11: large objects are left out'
[ "$(there 'select count(*) from pg_default_acl')" = 1 ] || grep -q '^left out, .* default acl ' "$here/said" ||
  not_ok 'S2-11: what is in no schema is left out without a word'
[ "$(there 'select count(*) from public.temp_uploads')" = 0 ] || not_ok 'S2-11: rows that are not listed are dumped'
[ "$(there "select concat_ws(' ', (select options ->> 'keep' from maintenance.job_status where job_name = 'mine'),
  (select value from maintenance.setting where name = 'recovery_days'),
  (select min(days) from public.retention_policies))")" = '9 days 8 77' ] ||
  not_ok 'S2-11: what the kit was told does not come back'
[ "$(there 'select count(*) from public.schema_migrations')" = 2 ] || not_ok 'S2-11: dbmate would make all of it again'
differ <(text "$app" --schema-only | grep -v '^ALTER DEFAULT') \
  <(text "${app}_restored" --schema-only | grep -v '^ALTER DEFAULT') ||
  not_ok 'S2-11: the structure comes back'
[ -z "$(scratches)" ] || not_ok "S2-11: scratch databases are left: $(scratches)"

# Whoever waits for a table that is to be dumped does not wait for the whole dump, nor it for him.
export before_pg_dump='if [ "$1" = -Fc ] && mkdir "$HERE/once" 2>/dev/null; then
  psql -qX -c "truncate public.topics" >/dev/null 2>&1 </dev/null &
  until [ "$(psql -qXAtc "select count(*) from pg_locks where not granted")" -gt 0 ]; do sleep 0.1; done
fi'
backup b
unset before_pg_dump
succeeds 'S2-11: a dump is made while somebody waits for one of its tables'
[ -d "$here/once" ] || not_ok 'S2-11: nobody has waited'
[ "$(dumps b | wc -l)" = 4 ] || not_ok "S2-11: there is $(dumps b)"
rm "$here/b/$(dumps b | sed -n 3p)"*

# 2. What is not like its source is no backup, and nothing old goes for it.
touch "$here/b/$app-20200101T000000Z.dump"
before=$(dumps b)
export after_pg_restore='[[ $* != *exit-on-error* ]] || psql -qXd "${@: -2:1}" -c "update public.users set name = 1"'
backup b
fails 'not like its source (.*): public.users 4 .* restored: public.users 4 ' 'C-20: where values differ'
[[ $(last "concat_ws(' ', status, file_location, error_message)") = 'failed what was restored is not like'* ]] ||
  not_ok "C-20: where values differ, it is registered as $(last b.*)"
export after_pg_restore='[[ $* != *exit-on-error* ]] || psql -qXd "${@: -2:1}" -c "delete from public.refers"'
database=$odd backup other
fails 'not like its source (.*): public.refers 2 .* restored: public.refers 0 ' 'C-20: where a row is missing'
unset after_pg_restore
export before_pg_restore='[[ $* != *exit-on-error* ]] || psql -qX -d "${@: -2:1}" -c "create table public.low ()"'
database=$odd backup other
fails 'pg_restore: .*relation "low" already exists' 'C-20: what pg_restore complains of'
unset before_pg_restore
[ "$(dumps b)$(dumps other)" = "$before" ] || not_ok "S2-11: one that has failed leaves $(dumps b) $(dumps other)"

# 3. No room, and a pg_dump that is killed.
(ulimit -f 200; backup b; fails 'there is no room left in' 'S2-11: a full disk'; exit $result) || result=1
[[ $(last error_message) = *'no room left'* ]] || not_ok "S2-11: a full disk is registered as $(last b.*)"
export before_pg_dump='[[ $* != *-Fc* ]] || { echo half >"${!#}"; kill -KILL $$; }'
backup b
unset before_pg_dump
fails 'pg_dump: ended by SIGKILL' 'S2-11: a pg_dump that is killed'
[ "$(last "concat_ws(' ', status, error_message)")" = 'failed pg_dump: ended by SIGKILL ' ] ||
  not_ok "S2-11: a pg_dump that is killed is registered as $(last b.*)"
[ "$(dumps b)" = "$before" ] || not_ok "S2-11: failed dumps leave $(dumps b)"

# 4. Two at once, and one that is killed.
export before_pg_restore='[[ $* != *exit-on-error* ]] || { echo $$ >"$HERE/at"; read -r <"$HERE/go"; }'
begin() { # a backup that waits in the middle of its check; sets pid, and that of its pg_restore
  BACKUP_DIR=$here/b DATABASE_URL=$app_url PATH=$here/tools:$PATH scripts/backup >/dev/null 2>&1 </dev/null & pid=$!
  at=$(timeout 60 cat "$here/at") || not_ok 'S2-11: a backup has not come to its check'
}
begin
scratch=$(scratches)
[[ -n $scratch && $(dumps b) = *.dump.part* ]] || not_ok 'S2-11: a backup is not at its check'
password=$(sed -nE 's#^[a-z]+://[^/:]*:([^@]+)@.*#\1#p' <<<"$app_url")
ps -eo args >>"$here/calls"
[ -z "$password" ] || ! grep -qF -e "$password" "$here/calls" || not_ok 'a password is in the arguments of a program'
backup b
fails "another backup is at work in $here/b" 'S2-11: the second of two'
(unset before_pg_restore && database=$odd && backup other && succeeds 'S2-11: another folder' && exit $result) ||
  result=1
[ "$(scratches)" = "$scratch" ] || not_ok 'S2-11: one into another folder has dropped the scratch database of the first'
kill -TERM $pid
! wait $pid || not_ok 'S2-11: one that is terminated ends with 0'
! kill "$at" 2>/dev/null || not_ok 'S2-11: one that is terminated leaves its pg_restore at work'
[ "$(dumps b)" = "$before" ] || not_ok "S2-11: one that is terminated leaves $(dumps b)"
[ -z "$(scratches)" ] || not_ok 'S2-11: one that is terminated leaves its scratch database'
begin
kill -KILL $pid
wait $pid 2>/dev/null || true
[[ -n $(scratches) && $(dumps b) = *.dump.part* ]] || not_ok 'S2-11: one that is killed has nothing to be cleaned up'
[ "$(last "concat_ws(' ', status, error_message)")" = 'failed It did not come to its end' ] ||
  not_ok "S2-11: one that is killed is registered as $(last b.*)"
unset before_pg_restore
touch "$here/b/$app-20200101T000000Z.dump.sha256" "$here/b/$app-20210101T000000Z.dump.sha256"

# 5. What goes, after the next was verified: what is older than the setting, and only what is named as ours.
name() { echo "$1-$(date -u -d "-$2 days" +%Y%m%dT%H%M%SZ).dump"; } # name DATABASE DAYS
old=$(name "$app" 11) young=$(name "$app" 9)
foreign=("x$old" "$old.gz" "${old%.dump}" "$app-2020.dump" "$app-0-${old#"$app-"}" "${old%.dump}.1.dump"
  "$old.part.txt")
touch "${foreign[@]/#/$here/b/}" "$here/b/$old" "$here/b/$old.sha256" "$here/b/$young"
sql -v place="$(hostname):$here/b/" -v old="$old" -v young="$young" -o /dev/null <<'SQL'
select maintenance.configure('backup_days', 10);
insert into public.backups (backup_type, status, started_at, file_location)
select 'dump', 'verified', now() - d * interval '1 day', l from (values (11, :'place' || :'old'),
  (9, :'place' || :'young'), (11, 'elsewhere:/b/' || :'old')) as v (d, l);
insert into public.backups (backup_type, started_at, error_message)
values ('dump', now() - interval '11 days', 'old'), ('dump', now() - interval '9 days', 'young'),
  ('snapshot', now() - interval '11 days', 'snapshot');
SQL
backup b
succeeds 'S2-11: the next after one that was killed'
kill "$at" || not_ok 'S2-11: what one that was killed had begun is waited for'
new=$(cut -d: -f1 "$here/out")
[ "$(dumps b)" = "$(printf '%s\n' "${foreign[@]}" "$young" "${file##*/}" "${file##*/}.sha256" "${new##*/}" \
  "${new##*/}.sha256" | sort)" ] || not_ok "S2-11: there is $(dumps b)"
[ "$(sql -c "select string_agg(t, ' ' order by t) from public.backups, coalesce(error_message, file_location) as t
    where started_at < now() - interval '1 day'")" = \
  "elsewhere:/b/$old snapshot $(hostname):$here/b/$young young" ] ||
  not_ok "S2-11: the registry has $(sql -c 'select started_at, error_message, file_location from public.backups')"
[ -z "$(scratches)" ] || not_ok 'S2-11: what one that was killed has left stays'

# 6. Any database, of any name, without pg-maintenance; values, names and tables of every sort.
database=$odd backup "other/deep"
succeeds 'S2-11: any database can be dumped'
file=$(cut -d: -f1 "$here/out")
[[ $file = "$here/other/deep/${prefix}%20%22odd%22-"* && $(cat "$here/out") = *': 8 tables, 10 rows'* ]] ||
  not_ok "S2-11: of any database it says $(cat "$here/out")"
grep -q 'not registered' "$here/err" || not_ok 'S2-11: that nothing was registered is not said'
restored "$file"
differ <(text "${prefix}%20%22odd%22") <(text "${app}_restored") || not_ok 'S2-11: any database comes back as it was'
# In a restore columns that were inherited later stand elsewhere.
on "$odd" psql -qX -c 'alter table public.parent add later integer default 7'
old=$(name "${prefix}%20%22odd%22" 31) young=$(name "${prefix}%20%22odd%22" 29)
mkdir "$here/list" && touch "$here/list/$old" "$here/list/$young"
database=$odd TABLES='public.refers parent' backup list
succeeds 'S2-11: some tables'
[[ $(dumps list) != *"$old"* && $(dumps list) = *"$young"* ]] || not_ok 'S2-11: 31 days old goes, and 29 days stay'
[ "$(grep ^added "$here/err")" = \
  'added, since listed tables refer to them: public.high public.low' ] || not_ok "S2-11: it says $(cat "$here/err")"
restored "$(cut -d: -f1 "$here/out")"
[ "$(there 'select (select count(*) from public.refers), (select count(*) from public.parent),
  (select count(*) from public.unlisted), nextval($$refers_id_seq$$)')" = '2|1|0|3' ] ||
  not_ok 'S2-11: the tables that are named are not those that come back'
database=$odd backup "none" public.refers public.gone counted
fails 'no table of this database: public.gone counted; nothing was written' 'S2-11: what is no table'
[ ! -e "$here/none" ] || not_ok 'S2-11: where a table is not there something is written'
# Its name is to be of a second that has gone by.
export before_pg_restore='now=$(date +%s); until [ "$(date +%s)" -gt "$now" ]; do sleep 0.1; done'
BACKUP_DAYS=0 database=$odd backup list public.nothing
file=$(cut -d: -f1 "$here/out")
[ "$(dumps list)" = "${file##*/}"$'\n'"${file##*/}.sha256" ] ||
  not_ok "S2-11: BACKUP_DAYS has the last word, but for the newest: $(dumps list)"
[ -z "$(scratches)" ] || not_ok "S2-11: scratch databases are left: $(scratches)"
exit $result
