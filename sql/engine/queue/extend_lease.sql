-- Keeps a lease alive, also one that ran out and that nobody has taken back yet; but six hours
-- after the claim it ends, so that nobody can keep a task for ever. It waits for nobody: while an
-- answer of the task waits for a lock, nobody takes its lease, and many others want theirs kept.

create function maintenance.extend_lease(
  task_id bigint,
  lease_token uuid,
  lease interval default '2 minutes')
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
begin
  if extend_lease.lease is null
    or extend_lease.lease not between interval '1 second' and interval '6 hours' then
    raise exception 'the lease "%" is out of range', extend_lease.lease
      using errcode = 'PM002', hint = 'An interval from a second to six hours.';
  end if;
  update maintenance.task as t
  set lease_expires_at =
    least(clock_timestamp() + extend_lease.lease, t.leased_at + interval '6 hours')
  where t.task_id = (
    select l.task_id from maintenance.task as l
    where l.task_id = extend_lease.task_id and l.lease_token = extend_lease.lease_token
      and l.leased_at > clock_timestamp() - interval '6 hours'
    for no key update skip locked);
  return found or exists (
    select from maintenance.task as t
    where t.task_id = extend_lease.task_id and t.lease_token = extend_lease.lease_token
      and t.leased_at > clock_timestamp() - interval '6 hours');
end
$$;

comment on function maintenance.extend_lease(bigint, uuid, interval) is
  'Sets a lease to end this long from now. false: the task is no longer leased under this token; '
  'stop the work, somebody else has it; or it was claimed six hours ago. Errors: PM002 lease out '
  'of range.';
