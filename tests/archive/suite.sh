#!/usr/bin/env bash
# Chats are archived by the real worker while it, and the server, are killed at random moments: at none of them is
# a message lost, archived twice, or archived without a word of it in its summary; and in the end all is done.
. "$(dirname "$0")/../suite.sh"
needs_own_server archive
install_modules development

. tests/kills.sh
kills_workers archive

ask "select maintenance.trigger_jobs('archive')" >/dev/null
ways=("${kills[@]}" 'its lease is taken' 'a session is undone' 'somebody writes' 'somebody writes')
for round in $(seq "${ROUNDS:-60}"); do
  way=${ways[RANDOM % ${#ways[@]}]}
  [ ${#workers[@]} -gt 0 ] || start_worker
  sleep "$(printf '0.%03d' $((100 + RANDOM % 900)))"
  case $way in
    'its lease is taken')
      # One by one: each takes the row of its model, which others hold with their task.
      for task in $(ask "select task_id from maintenance.task where state = 'leased'"); do
        ask "select maintenance.retry_task($task)" >/dev/null 2>&1 || true # it may be over by now
      done
      ;;
    'somebody writes')
      for _ in 1 2 3 4 5; do ask 'select public.write(4)' >/dev/null; done
      ;;
    'a session is undone')
      ask "select maintenance.undo_task(task_id) from maintenance.change where undoes is null and outcome = 'applied'
        order by random() limit 1" >/dev/null
      ;;
    *) kill_so "$way" ;;
  esac
  until_up
  wrong=$(ask 'select public.wrong()')
  [ -z "$wrong" ] || not_ok "round $round, $way: $wrong"
  hurry_tasks
  ask "select maintenance.trigger_jobs('archive')" >/dev/null
done

# In the end all is done, but for what was undone: that counts as new.
[ ${#workers[@]} -gt 0 ] || start_worker
left="select count(*) from public.archivable_sessions as s where not exists (
  select from maintenance_internal.undone_keys('archive_session', s.user_id::text) as k
  where s.started_at <= k.keys[2]::timestamptz and s.ended_at >= k.keys[1]::timestamptz)"
for _ in $(seq 120); do
  [ "$(ask "$left")" != 0 ] || break
  ask "select maintenance.retry_tasks('archive_session')" >/dev/null
  ask "select maintenance.trigger_jobs('archive')" >/dev/null
  hurry_tasks
  sleep 0.5
done
[ "$(ask "$left")" = 0 ] || not_ok "$(ask "$left") sessions are left in the end: $(tail -n 3 "$place/worker")"
wrong=$(ask 'select public.wrong()')
[ -z "$wrong" ] || not_ok "in the end: $wrong"
say "$(ask "select format('%s sessions archived, %s of %s messages; %s calls, %s recoveries, %s answers in vain',
  (select count(*) from public.archived_sessions), (select count(*) from public.archived),
  (select count(*) from public.said), (select count(*) from maintenance.model_call),
  (select count(*) from maintenance.model_call where outcome = 'lost'),
  (select count(*) from maintenance.model_call where outcome = 'stale'))")"
exit $result
