-- Triggers and rules of a policy's table that could swallow what a run does, so that the statement
-- would succeed and change nothing; and triggers that write rows of their own.

create function maintenance_internal.lint_triggers(
  p_policy maintenance_internal.policy,
  p_table regclass)
returns table (severity text, finding text, fix text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  -- A row trigger before the change keeps the row by returning null, and in a delete NEW is null.
  select distinct 'warning',
    format('the trigger %I of %s may swallow the %s: its function %s returns null%s', t.tgname,
      t.tgrelid::regclass, p_policy.action, t.tgfoid::regproc,
      case p_policy.action when 'delete' then ', or NEW, which a delete has not' else '' end),
    format('-- Let it return %s for a row that may be changed.',
      case p_policy.action when 'delete' then 'OLD' else 'NEW' end)
  from unnest(p_table::oid || maintenance_internal.leaf_tables(p_table)) as l (relid)
  join pg_trigger as t on t.tgrelid = l.relid
  join pg_proc as p on p.oid = t.tgfoid
  where not t.tgisinternal
    and t.tgparentid = 0
    and t.tgenabled in ('O', 'A')
    and t.tgtype & 3 = 3 -- a row trigger, before
    and t.tgtype & case p_policy.action when 'delete' then 8 else 16 end <> 0
    and p.prosrc ~* case p_policy.action
      when 'delete' then '\yreturn\s+(null|new)\y' else '\yreturn\s+null\y' end
  union all
  select distinct 'notice',
    format('the trigger %I of %s writes rows for what is changed: %s', t.tgname,
      t.tgrelid::regclass, t.tgfoid::regproc),
    '-- They are in no count; a policy on where it writes keeps them in bounds.'
  from unnest(p_table::oid || maintenance_internal.leaf_tables(p_table)) as l (relid)
  join pg_trigger as t on t.tgrelid = l.relid
  join pg_proc as p on p.oid = t.tgfoid
  where not t.tgisinternal
    and t.tgparentid = 0
    and t.tgenabled in ('O', 'A')
    and t.tgtype & case p_policy.action when 'delete' then 8 else 16 end <> 0
    and regexp_replace(p.prosrc, '--[^\n]*', '', 'g')
      ~* '\y(insert\s+into|delete\s+from|merge\s+into|update\s+[^;]*\yset)\y'
    and p.pronamespace not in (
      'maintenance'::regnamespace, 'maintenance_internal'::regnamespace)
  union all
  select distinct 'critical',
    format('the rule %I of %s takes the place of the %s', r.rulename, r.ev_class::regclass,
      p_policy.action),
    format('drop rule %I on %s; -- or set the policy where the rows are', r.rulename,
      r.ev_class::regclass)
  from unnest(p_table::oid || maintenance_internal.leaf_tables(p_table)) as l (relid)
  join pg_rewrite as r on r.ev_class = l.relid
  where r.is_instead and r.ev_enabled in ('O', 'A')
    and r.ev_type = case p_policy.action when 'delete' then '4' else '2' end;
end;
