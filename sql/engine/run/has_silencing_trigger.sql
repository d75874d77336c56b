-- Whether a row that is due could stay without an error: a row trigger before the change, or a rule
-- in its place. Where none is there, a statement that went through has changed what it should.

create function maintenance_internal.has_silencing_trigger(
  p_policy maintenance_internal.policy,
  p_leaves oid[])
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
return exists (
  select from pg_trigger as t
  where t.tgrelid = any (p_leaves)
    and not t.tgisinternal
    and t.tgenabled <> 'D'
    and t.tgtype & 3 = 3 -- a row trigger, before
    and t.tgtype & case p_policy.action when 'delete' then 8 else 16 end <> 0
) or exists (
  select from pg_rewrite as r where r.ev_class = any (p_leaves)
);
