-- How many rows are due at a cut-off, counted up to a cap, and how old the oldest is.
-- Pinned to index order: after a purge, a bitmap or sequential scan would step over every dead
-- row again at each look, while an index scan marks their entries and is fast the second time.

create function maintenance_internal.count_due(
  p_policy maintenance_internal.policy,
  p_cutoff timestamptz,
  p_cap integer,
  p_path text,
  out due bigint,
  out oldest timestamptz)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
  v_statement text := maintenance_internal.count_statement(p_policy);
begin
  if session_user <> current_user then
    perform maintenance_internal.check_session();
  end if;
  perform set_config('search_path', p_path, true);
  execute v_statement into due, oldest using p_cutoff, p_cap;
end
$$;
