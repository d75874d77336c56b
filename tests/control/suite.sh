#!/usr/bin/env bash
# Job control with the real pg_cron: what fails is tried again, a chain of one minute, time-outs, an emergency stop;
# a server that is down over two slots; and long simulations. Two servers at the same time: some ten minutes.
. "$(dirname "$0")/../suite.sh"
needs_own_server control

# In a lane: $home is the cluster, $server the owner's URL of its database.
ask() { on "$server" psql -qXAt -F '|' "$@"; }
says() { # says WHAT EXPECTED QUERY
  local said
  said=$(ask -c "$3") || true
  if [ "$said" = "$2" ]; then say "$1 .. ok"; else not_ok "$1: $said, and not $2"; fi
}
until_true() { # until_true SECONDS WHAT QUERY
  local end=$((SECONDS + $1))
  while [ $SECONDS -lt $end ]; do
    [ "$(ask -c "$3" 2>/dev/null)" != t ] || return 0
    sleep 0.2
  done
  not_ok "waited in vain for $2: $(ask -c "select job_name, trigger, attempt, status, stop_reason, due_at, started_at
    from maintenance.run_history where job_name <> 'tick' order by run_id desc limit 20" 2>&1)"
  return 1
}
up() { # up NAME
  CLUSTER_SETTINGS+=$'\ncron.use_background_workers = off' cluster_up "$folder/$1" --no-sync
  server=$(cluster_url "$home" app)
  migrate "$server"
  ask -o /dev/null -c 'select * from maintenance.install_schedules()'
  ask -v ON_ERROR_STOP=1 -o /dev/null <<'SQL'
create function public.quick(batch_size integer) returns bigint language sql return null::bigint;
create function public.hang(batch_size integer) returns bigint language plpgsql
as $$ begin perform pg_sleep(600); return null; end $$;
create function public.five_seconds(batch_size integer) returns bigint language plpgsql
as $$ begin perform pg_sleep(5); return null; end $$;
create sequence public.tries;
create function public.third(batch_size integer) returns bigint language plpgsql
as $$ begin if nextval('public.tries') < 3 then raise exception 'not yet'; end if; return null; end $$;
create table public.t (id integer);
create function public.messy(batch_size integer) returns bigint language plpgsql as $$ begin
  create temporary table mess (id integer);
  perform set_config('default_transaction_read_only', 'on', false);
  return null;
end $$;
create function public.sum_up(job text) returns text language sql stable as $$
  select string_agg(concat_ws('/', trigger, attempt, status, stop_reason), ' ' order by run_id)
  from maintenance.run_history where job_name = $1 $$;
SQL
}
minute() { date -u -d "+$1 minutes" '+%-M'; } # minute N: the minute of the hour N minutes from now
# To the first seconds of a minute, so that what is set up stands before the next one begins.
early() { while [ "$(date +%-S)" -gt 20 ]; do sleep 0.5; done; }

lane_runs() {
  local at stopped began
  up runs
  early
  at=$(minute 1)
  ask -v ON_ERROR_STOP=1 -o /dev/null -v "at=$at * * * *" <<'SQL'
select maintenance.set_job('flaky', 'public.third', :'at');
select maintenance.set_job('a', 'public.five_seconds', :'at'), maintenance.set_job('b', 'public.quick', :'at'),
  maintenance.set_job('c', 'public.quick', :'at');
select maintenance.configure_job('b', depends_on => '{a}'), maintenance.configure_job('c', depends_on => '{b}');
select maintenance.set_job('hang', 'public.hang', :'at'), maintenance.configure_job('hang', timeout => '20 seconds',
  priority => 'low');
select maintenance.set_statement('nap', 'select pg_sleep(600)', :'at'), maintenance.configure_job('nap',
  timeout => '20 seconds');
select maintenance.set_statement('long_nap', 'select pg_sleep(600)', :'at');
-- What one leaves in the session is not there for the next that run_late begins.
select maintenance.set_job('messy', 'public.messy', :'at'), maintenance.set_job('tidy', 'public.messy', :'at'),
  maintenance.configure_job('messy', depends_on => '{a}'), maintenance.configure_job('tidy', depends_on => '{messy}');
SQL
  until_true 100 'a firing' "select exists (select from maintenance.run_history where job_name = 'flaky')" || return 0
  until_true 20 'two that wait' "select count(*) = 2 from maintenance.run_history where status = 'waiting' and
    job_name in ('b', 'c')"
  until_true 90 'the chain' "select count(*) = 2 from maintenance.run_history where status = 'succeeded'
    and job_name in ('b', 'c')"
  says 'a chain of one minute runs in one pass' 't|t|t' "select b.started_at < c.started_at, b.slot = c.slot,
    b.backend_pid = c.backend_pid from maintenance_internal.run as b, maintenance_internal.run as c
    where b.job_name = 'b' and c.job_name = 'c'"
  until_true 150 'time-outs' "select count(*) = 2 from maintenance.run_history where status = 'timeout' and attempt = 1"
  says 'a call that hangs is ended by the tick after its time-out' 't' "select finished_at - started_at
    between '20 seconds' and '81 seconds' from maintenance.run_history where job_name = 'hang' and attempt = 1"
  says 'so is a statement' 'timeout|timeout|57014|it was not over after its time-out of 00:00:20' "select status,
    stop_reason, sqlstate, error from maintenance.run_history where job_name = 'nap'"
  says 'another one by the same words, without a time-out, goes on' running "select status
    from maintenance.run_history where job_name = 'long_nap'"
  says 'two that leave things in their session run in one' t "select count(*) = 2 and count(distinct backend_pid) = 1
    from maintenance_internal.run where job_name in ('messy', 'tidy') and status = 'succeeded'"
  ask -o /dev/null -c "select pg_cancel_backend(backend_pid) from maintenance_internal.run where job_name = 'long_nap'"
  until_true 360 'a job that fails twice and succeeds' "select public.sum_up('flaky') =
    'schedule/1/failed/error retry/2/failed/error retry/3/succeeded/done'" || true
  says 'all its attempts are of one slot' 1 "select count(distinct slot) from maintenance.run_history
    where job_name = 'flaky'"
  until_true 200 'the last attempt of what hangs' "select public.sum_up('hang') =
    'schedule/1/timeout/timeout retry/2/timeout/timeout'" || true

  # An emergency stop of what pg_cron has fired, of both kinds.
  early
  ask -o /dev/null -c "select maintenance.set_job('off', 'public.quick', '* * * * *'), maintenance.disable_job('off')" \
    -c "select maintenance.configure_job(j, timeout => '1 hour') from unnest('{hang,nap}'::text[]) as j" \
    -c "select maintenance.set_schedule(j, '* * * * *') from unnest('{hang,nap}'::text[]) as j"
  until_true 100 'both at work' "select count(*) = 2 from pg_stat_activity
    where wait_event = 'PgSleep' and application_name = 'pg_cron'" || return 0
  began=$(ask -c 'select clock_timestamp()')
  stopped=$(ask -c "select maintenance.emergency_stop('a drill') ->> 'signalled'")
  until_true 20 'an end' "select not exists (select from pg_stat_activity where wait_event = 'PgSleep'
    and application_name = 'pg_cron')" || true
  says "an emergency stop has ended $stopped within two seconds" t "select clock_timestamp() - '$began' < '2 seconds'"
  [ "$stopped" = 2 ] || not_ok "an emergency stop cancelled $stopped"
  says 'pg_cron is to call run_job for a statement meanwhile' "call maintenance.run_job('nap')" \
    "select command from cron.job where jobname = 'maintenance:nap'"
  until_true 130 'receipts' "select count(*) = 3 from (select distinct job_name, stop_reason
    from maintenance.run_history where started_at >= '$began' and status = 'skipped'
      and (job_name, stop_reason) in (('hang', 'paused'),
      ('nap', 'paused'), ('off', 'disabled'))) as d" || true
  says 'both receipts say why' 'cancelled|emergency_stop cancelled|emergency_stop' "select string_agg(concat_ws('|',
    status, stop_reason), ' ') from maintenance.run_history
    where started_at < '$began' and stop_reason = 'emergency_stop'"
  ask -o /dev/null -c 'select maintenance.resume()' \
    -c "select maintenance.set_statement('nap', 'select 1', '* * * * *')" \
    -c "select maintenance.set_job('hang', 'public.quick', '* * * * *')"
  says 'the statement is put back' 'select 1' "select command from cron.job where jobname = 'maintenance:nap'"
  until_true 130 'jobs that start again' "select count(distinct job_name) = 2 from maintenance.run_history
    where status = 'succeeded' and job_name in ('hang', 'nap')" || true
  says 'what was disabled is so still, and nothing was caught up with' 'f|0' "select (select enabled
    from maintenance.job_status where job_name = 'off'), (select count(*) from maintenance.run_history
    where trigger = 'catch_up')"
}

lane_outage() {
  local at began
  up outage
  until_true 130 'a tick' "select exists (select from maintenance.run_history where job_name = 'tick')" || return 0
  early
  at="$(minute 1),$(minute 2)"
  ask -v ON_ERROR_STOP=1 -o /dev/null -v "at=$at * * * *" <<'SQL'
select maintenance.set_job('first', 'public.quick', :'at'), maintenance.set_job('second', 'public.quick', :'at'),
  maintenance.set_job('strict', 'public.quick', :'at'), maintenance.set_job('busy', 'public.hang', '* * * * *');
select maintenance.configure_job('second', depends_on => '{first}'),
  maintenance.configure_job('strict', grace => '1 minute');
select maintenance.set_statement('stmt', 'analyze public.t', :'at');
select maintenance.set_statement('often', 'analyze public.t', '* * * * *');
SQL
  on "$server" psql -qX -c "call maintenance.run_job('busy')" >/dev/null 2>&1 </dev/null &
  until_true 20 'one that is at work' "select exists (select from maintenance.run_history
    where status = 'running')" || true
  as_server pg_ctl -D "$home/data" -m immediate -w stop >/dev/null
  # Longer than a slot may be silent: the first tick finds it, and has to wait for the server's own two minutes.
  while [ "$(date -u +%-M)" != "${at#*,}" ]; do sleep 0.5; done
  began=$(date +%s)
  while [ $(($(date +%s) - began)) -lt 130 ]; do sleep 0.5; done
  as_server pg_ctl -D "$home/data" -l "$home/log" -w -t 60 start >/dev/null 2>&1 </dev/null
  until_true 30 'the server' 'select true' || return 0
  until_true 300 'one that was caught up with' "select public.sum_up('second') = 'catch_up/1/succeeded/done'" || true
  says 'of two slots that a server was down for the last is caught up with' "catch_up/1/succeeded/done|${at#*,}" \
    "select public.sum_up('first'), extract(minute from max(slot)) from maintenance.run_history
    where job_name = 'first'"
  says 'its dependent runs in the same pass' 't|t' "select f.started_at < s.started_at, f.backend_pid = s.backend_pid
    from maintenance_internal.run as f, maintenance_internal.run as s
    where f.job_name = 'first' and s.job_name = 'second'"
  says 'one with a minute of grace is given up' 'catch_up/1/skipped/too_late' "select public.sum_up('strict')"
  says 'a run that was killed is interrupted' interrupted "select status from maintenance.run_history
    where job_name = 'busy' order by run_id limit 1"
  says 'a statement is late, but for one that has run since' "stmt|${at%,*}" "select string_agg(concat_ws('|', job_name,
    extract(minute from late_since)), ' ') from maintenance.job_status
    where job_name in ('stmt', 'often') and late_since is not null"
}

lane_simulations() {
  server=$(in_database "$url" "$template")
  for seed in 0.1 0.2 0.3 0.5 0.7; do
    SEED=$seed MINUTES=2880 LEAST=20 pgtap "$server" tests/sql/engine/control/simulation.sql || result=1
  done
}

lanes=(runs outage simulations) pids=()
{ lane_runs; exit "$result"; } >"$folder/runs.log" 2>&1 </dev/null & pids+=($!)
{ lane_outage; exit "$result"; } >"$folder/outage.log" 2>&1 </dev/null & pids+=($!)
{ lane_simulations; exit "$result"; } >"$folder/simulations.log" 2>&1 </dev/null & pids+=($!)
for i in "${!lanes[@]}"; do
  wait "${pids[$i]}" || result=1
  grep -v '^Making' "$folder/${lanes[$i]}.log" || not_ok "the lane ${lanes[$i]} says nothing"
done
for cluster in runs outage; do cluster_remove "$folder/$cluster"; done
exit $result
