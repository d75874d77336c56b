#!/usr/bin/env bash
# The real pg_cron, in its own database and for another one, and what an operator does to it.
. "$(dirname "$0")/../suite.sh"
needs_own_server e2e

migrate "$url"
# A table that the owner of the jobs may not maintain: neither it nor the database is the owner's.
cluster_superuser "$home" app -c 'create table public.not_ours (i integer)' \
  -c 'alter database app owner to postgres' -c 'grant all on schema public to app_owner'
# A database that is not pg_cron's: its jobs are put there by hand, with the statements it prints.
# Its name leaves no room for those of jobs.
other=${prefix}_elsewhere_by_a_name_that_leaves_no_room_for_a_job
make_database "$other"
elsewhere=$(in_database "$url" "$other")
migrate "$elsewhere"
on "$elsewhere" psql -qXAt -c 'select maintenance.cron_statements()' >"$folder/statements"
cluster_superuser "$home" app -o /dev/null <"$folder/statements"
[ "$(cluster_superuser "$home" app -Atc "select count(distinct jobname) from cron.job where database = '$other'")" = \
  "$(wc -l <"$folder/statements")" ] || not_ok 'jobs of two databases, or of one, under the same name'
statement=$(grep cleanup_expired_sessions "$folder/statements")
cluster_superuser "$home" app -o /dev/null -c "${statement/0 \* \* \* \*/* * * * *}"
on "$elsewhere" psql -qX -c 'insert into public.sessions (expires_at) values (now())'

pgtap "$url" tests/e2e/cron_fires.sql || result=1
pgtap "$elsewhere" tests/e2e/elsewhere.sql || result=1
# These speak for the superuser, too, and of make up.
AS_SUPERUSER=$(superuser_command "$home") OWNERS_URL=$url \
  pgtap "$url" tests/e2e/{advice,rights_to_cron,operators_edits,made_anew}.sql || result=1
cluster_superuser "$home" app -c 'alter database app owner to app_owner'
# Where a job is dropped, and where its schedule changes, what is to be said to pg_cron is printed.
on "$elsewhere" psql -qX -o /dev/null -c "select maintenance.drop_job('cleanup_temp_uploads')" \
  -c "select maintenance.set_policy('cleanup_expired_sessions', 'public.sessions', 'delete', 'expires_at', '0 days',
    schedule => '7 * * * *', backlog_name => 'expired_sessions')" 2>"$folder/said"
grep -oE 'select cron\.(un)?schedule.*' "$folder/said" >"$folder/statements" || not_ok "printed: $(<"$folder/said")"
cluster_superuser "$home" app -o /dev/null <"$folder/statements"
left=$(cluster_superuser "$home" app -Atc "select string_agg(schedule, ' ') from cron.job where database = '$other'
  and jobname ~ 'cleanup_(temp_uploads|expired_sessions)'")
[ "$left" = '7 * * * *' ] || not_ok "a job that was dropped, and one that was changed: $left"
# The way out takes what pg_cron has of ours, and prints what is to be said where pg_cron lives.
on "$url" psql -qX -o /dev/null -c "select * from maintenance.uninstall('app')" || not_ok 'uninstall'
[ "$(cluster_superuser "$home" app -Atc "select count(*) from cron.job where database = 'app'")" = 0 ] ||
  not_ok 'uninstall leaves jobs in pg_cron'
on "$elsewhere" psql -qXAt -c "select w.outcome from maintenance.uninstall('$other') as w" |
  sed -n 's/.*: \(select cron.unschedule(.*\)/\1/p' >"$folder/unschedule"
cluster_superuser "$home" app -o /dev/null <"$folder/unschedule" || not_ok 'the statement that uninstall prints'
[ "$(cluster_superuser "$home" app -Atc 'select count(*) from cron.job')" = 0 ] || not_ok 'a job is left in pg_cron'
exit $result
