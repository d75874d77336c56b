#!/usr/bin/env bash
# Attachments go by all ways at once, and their blobs by the real worker from a store that is down, slow, forbids or
# loses its answers, while worker, server and store are killed at random moments: at none of them does a blob go that
# a row names or that an undo may need, and none stays of which nobody knows.
. "$(dirname "$0")/../suite.sh"
needs_own_server blobs
install_modules development

. tests/kills.sh
kills_workers blobs
mkdir "$place/store"
store_port=''
start_store() {
  : >"$place/address"
  node --import tsx tests/worker/s3.ts "$place/store" "$place/bad" "${store_port:-0}" >"$place/address" </dev/null &
  store=$!
  until_said "$place/address"
  store_port=$(sed -E 's|.*:([0-9]+)/.*|\1|' "$place/address")
}
stop_store() { kill -9 "$store" 2>/dev/null || true; wait "$store" 2>/dev/null || true; }
start_store
at_exit stop_store

# shellcheck disable=SC2034
worker_env=(BLOB_STORE="$(cat "$place/address")" AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE
  AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY)

hurry() {
  hurry_tasks
  ask "update maintenance.blob set lease_expires_at = now() where state = 'leased'" >/dev/null
  ask 'select maintenance.retry_blobs()' >/dev/null
}
# Each blob that will ever be named is in the store already; those that have been given out count.
(cd "$place/store" && seq -f 'f%.0f' 1 30000 | xargs touch)
stored() { (cd "$place/store" && find . -type f -printf '%f\n') | LC_ALL=C sort; }
listed() { ask "select url from $1 order by url collate \"C\""; }
# What is wrong; while worker and store go on, only what was so before and after counts.
wrong() {
  listed public.needed >"$place/needed1"
  stored >"$place/stored1"
  listed public.known >"$place/known"
  listed public.given >"$place/given"
  listed public.needed >"$place/needed2"
  stored >"$place/stored2"
  comm -12 "$place/needed1" "$place/needed2" | comm -23 - "$place/stored1" >"$place/missing"
  comm -12 "$place/stored1" "$place/stored2" | comm -23 - "$place/known" | comm -12 - "$place/given" \
    >"$place/forgotten"
  [ ! -s "$place/missing" ] || echo "gone, and needed: $(head -n 5 "$place/missing" | xargs)"
  [ ! -s "$place/forgotten" ] || echo "left, and known to nobody: $(head -n 5 "$place/forgotten" | xargs)"
}

for _ in 1 2; do ask 'select public.attach(30)' >/dev/null; done
ask 'select public.chat(20)' >/dev/null
ways=("${kills[@]}" 'the store is killed' 'the store is bad' 'the store is good' 'rows are copied' 'rows are deleted'
  'a session is undone' 'the ledger forgets' 'attachments expire' 'a user is deleted' 'somebody uploads'
  'somebody chats')
for round in $(seq "${ROUNDS:-60}"); do
  way=${ways[RANDOM % ${#ways[@]}]}
  [ ${#workers[@]} -gt 0 ] || start_worker
  ask 'select public.chat(4)' >/dev/null
  ask "select maintenance.trigger_jobs('archive')" >/dev/null
  ask 'call public.delete_some(20)' >/dev/null
  sleep "$(printf '0.%03d' $((100 + RANDOM % 900)))"
  case $way in
    'the store is killed')
      stop_store
      sleep 0.5
      start_store
      ;;
    'the store is bad') touch "$place/bad" ;;
    'the store is good') rm -f "$place/bad" ;;
    'rows are copied') for _ in 1 2 3; do ask 'select public.copy_some(10)' >/dev/null; done ;;
    'rows are deleted') ask 'call public.delete_some(40)' >/dev/null ;;
    'a session is undone')
      for task in $(ask "select distinct task_id from maintenance.change
          where undoes is null and outcome = 'applied' and forgotten_at is null" | shuf -n 3); do
        ask "select maintenance.undo_task($task)" >/dev/null 2>&1 || true # its user may have been deleted
      done
      ;;
    'the ledger forgets')
      ask 'select public.forget_some()' >/dev/null
      ask "select maintenance.run_now('forget_deletions')" >/dev/null
      ;;
    'attachments expire') ask 'select public.cleanup_expired_attachments()' >/dev/null ;;
    'a user is deleted')
      ask 'delete from public.users where id = (select id from public.users order by random() limit 1)' >/dev/null
      ;;
    'somebody uploads') ask 'select public.attach(20)' >/dev/null ;;
    'somebody chats') ask 'select public.chat(10)' >/dev/null ;;
    *) kill_so "$way" ;;
  esac
  until_up
  found=$(wrong)
  [ -z "$found" ] || not_ok "round $round, $way: $found"
  hurry
done

# In the end what is not needed is gone, but for what an undo holds.
rm -f "$place/bad"
ask "update public.users set is_guest = true" >/dev/null # nothing new is archived
[ ${#workers[@]} -gt 0 ] || start_worker
left='select count(*) from maintenance.blob as b where not maintenance_internal.can_be_undone(b.task_id)'
for _ in $(seq 120); do
  [ "$(ask "$left")" != 0 ] || break
  ask 'update maintenance.blob set available_at = now(), due_at = now()' >/dev/null
  hurry
  sleep 0.5
done
[ "$(ask "$left")" = 0 ] || not_ok "$(ask "$left") entries are left in the end: $(tail -n 3 "$place/worker")"
found=$(wrong)
[ -z "$found" ] || not_ok "in the end: $found"
deleted=$((30000 - $(stored | wc -l)))
[ "$deleted" -gt 100 ] || not_ok "only $deleted blobs were deleted"
say "$(ask "select format('%s blobs, $deleted of them deleted, %s held for an undo',
  (select count(*) from public.given), (select count(distinct url) from maintenance.blob))")"
exit $result
