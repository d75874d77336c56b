-- A keep that nobody meant: seconds that look like days, or another policy that makes it moot.

create function maintenance_internal.lint_keep(
  p_policy maintenance_internal.policy,
  p_table regclass)
returns table (severity text, finding text, fix text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  -- '30' is an interval of 30 seconds.
  select 'warning',
    format('keep is %s: a number alone is seconds', p_policy.keep),
    format('-- If %1$s days are meant, keep => ''%1$s days''.',
      extract(epoch from p_policy.keep)::integer)
  where p_policy.keep > interval '0'
    and p_policy.keep < interval '1 hour'
    and (p_policy.keep < interval '5 minutes' or extract(second from p_policy.keep) > 0)
  union all
  select 'warning',
    format('%s of the same rows by the same age keeps %s, and this one %s', j.job_name, o.keep,
      p_policy.keep),
    format('select maintenance.drop_job(%L); -- or tell their rows apart by matching', j.job_name)
  from maintenance_internal.policy as o
  join maintenance_internal.job as j on j.job_id = o.job_id
  where o.job_id <> p_policy.job_id
    and o.target = p_policy.target
    and o.action = p_policy.action
    and o.age = p_policy.age
    and o.keep <> p_policy.keep
    and (o.matching is not distinct from p_policy.matching
      or o.matching is null or p_policy.matching is null);
end;
