-- Gives back the tasks of dead workers, and moves the lanes' watermarks up. At most once a second,
-- unless a claim found too little; what another session looks at is stepped over.

create function maintenance_internal.sweep_leases(p_now boolean default false)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_clock constant timestamptz := clock_timestamp();
  v_turn boolean;
  v_task maintenance.task;
begin
  v_turn := maintenance_internal.take_turn('leases',
    case when p_now then interval '0' else interval '1 second' end);
  if not p_now and not v_turn then
    return;
  end if;

  for v_task in
    select t.* from maintenance.task as t
    where t.state = 'leased' and t.lease_expires_at <= v_clock
    order by t.lease_expires_at
    limit 100
    for update skip locked
  loop
    perform maintenance_internal.settle_task(v_task, 'recovered', format(
      'the lease of %s ended without a word', v_task.worker));
  end loop;

  if not v_turn then
    return;
  end if;
  update maintenance_internal.lane as l
  set watermark = w.watermark
  from (
    select n.kind, n.priority, coalesce(
      (select min(t.available_at) from maintenance.task as t
        where t.state = 'ready' and t.kind = n.kind and t.priority = n.priority),
      v_clock) as watermark
    from maintenance_internal.lane as n
  ) as w
  where l.kind = w.kind and l.priority = w.priority and l.watermark <> w.watermark;
end
$$;
