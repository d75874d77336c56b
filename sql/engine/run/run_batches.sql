-- The one loop of every run: collect, batch, batch, ... With commits it needs the outermost
-- transaction, so it can have no set clause, no security definer and no exception block: the
-- functions that it calls catch their own errors and note them on the receipt.

create procedure maintenance_internal.run_batches(p_run_id bigint, p_commits boolean)
language plpgsql
as $$
declare
  v_progress maintenance_internal.progress := maintenance_internal.initial_progress(p_run_id);
  v_slab tid[];
  v_collected record;
begin
  while v_progress.next <> 'end' loop
    if v_progress.next in ('collect', 'again') then
      select c.progress, c.slab into v_collected
      from maintenance_internal.collect_slab(v_progress, v_slab) as c;
      v_progress := v_collected.progress;
      v_slab := v_collected.slab;
    else
      v_progress := maintenance_internal.apply_batch(v_progress,
        v_slab[v_progress.position : v_progress.position + v_progress.size - 1]);
    end if;
    if p_commits then
      -- Not every batch waits for the disk: after a crash its rows are due again, and its receipt,
      -- of the same transaction, says so. The run's last commit makes all of them durable.
      perform pg_catalog.set_config('synchronous_commit', 'off', true);
      commit;
    end if;
  end loop;
end
$$;
