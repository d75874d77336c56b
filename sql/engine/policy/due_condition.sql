-- The rule of a policy as SQL: which rows are due at a cut-off, given as $1 (timestamptz).
-- The batch, the backlog count, the preview and the lint all read it from here.
-- The cut-off is converted to the type of the age, never the age, so that an index serves it.
-- It stands over the target's own name as alias, as the stored expressions do.

-- A parameter (timestamptz) as the age is compared with it.
create function maintenance_internal.age_bound(
  p_policy maintenance_internal.policy,
  p_parameter text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return case p_policy.age_type
  when 'timestamptz' then p_parameter
  when 'timestamp' then format('(%s at time zone ''UTC'')', p_parameter)
  when 'date' then format('(%s at time zone ''UTC'')::date', p_parameter)
end;

create function maintenance_internal.due_condition(p_policy maintenance_internal.policy)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return format('(%s) <= %s', p_policy.age, maintenance_internal.age_bound(p_policy, '$1'))
  || coalesce(' and (' || p_policy.matching || ')', '');
