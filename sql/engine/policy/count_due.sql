-- How many rows are due at a cut-off, counted up to a cap, and how old the oldest is.
-- Pinned to index order: after a purge, a bitmap or sequential scan would step over every dead
-- row again at each look, while an index scan marks their entries and is fast the second time.
-- Plans without an index look dear enough for JIT, which would then cost more than all the rest.

create function maintenance_internal.count_due(
  p_policy maintenance_internal.policy,
  p_cutoff timestamptz,
  p_cap integer,
  out due bigint,
  out oldest timestamptz)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
set timezone = 'UTC'
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
begin
  execute maintenance_internal.count_statement(p_policy) into due, oldest using p_cutoff, p_cap;
end
$$;
