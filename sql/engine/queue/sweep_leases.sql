-- Gives back the tasks of dead workers, and says how many. What another session looks at is
-- stepped over, and the order is that in which settle_call takes its rows, so that two of these
-- never wait for each other.

create function maintenance_internal.sweep_leases()
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_task maintenance.task;
  v_swept integer := 0;
begin
  for v_task in
    select l.* from (
      select t.* from maintenance.task as t
      where t.state = 'leased' and t.lease_expires_at <= maintenance_internal.moment()
      order by t.lease_expires_at
      limit 100
      for update skip locked
    ) as l
    order by l.model, l.kind
  loop
    perform maintenance_internal.settle_task(v_task, 'recovered',
      format('the lease of %s ended without a word', v_task.worker), p_cost => c.cost)
    from maintenance_internal.settle_call(v_task.lease_token, 'lost') as c;
    v_swept := v_swept + 1;
  end loop;
  -- Calls of tasks that somebody has deleted: a lease ends after six hours.
  perform maintenance_internal.settle_call(c.lease_token, 'lost')
  from (
    select m.lease_token from maintenance.model_call as m
    where m.settled_at is null and m.asks_at < maintenance_internal.moment() - interval '7 hours'
    order by m.model, m.kind
    limit 100
    for update skip locked
  ) as c;
  return v_swept;
end
$$;
