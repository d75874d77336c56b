-- How many rows are past a cut-off and yet kept by what matching says, counted up to a cap.

create function maintenance_internal.count_kept(
  p_policy maintenance_internal.policy,
  p_cutoff timestamptz,
  p_cap integer)
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set row_security = off
set timezone = 'UTC'
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_kept maintenance_internal.policy := p_policy;
  v_due bigint;
begin
  if p_policy.matching is null then
    return 0;
  end if;
  v_kept.matching := format('(%s) is not true', p_policy.matching);
  select c.due into v_due from maintenance_internal.count_due(v_kept, p_cutoff, p_cap) as c;
  return v_due;
end
$$;

comment on function maintenance_internal.count_kept(
  maintenance_internal.policy, timestamptz, integer) is
  'How many rows are past a cut-off and yet kept by what matching says, counted up to a cap.';
