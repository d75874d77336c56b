-- The rule of a policy as SQL: which rows are due at a cut-off, given as $1 (timestamptz).
-- The batch, the backlog count, the preview and the lint all read it from here.
-- The cut-off is converted to the type of the age, never the age, so that an index serves it.
-- It stands over the target's own name as alias, as the stored expressions do.

create function maintenance_internal.due_condition(p_policy maintenance_internal.policy)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return format('(%s) <= %s', p_policy.age,
    case p_policy.age_type
      when 'timestamptz' then '$1'
      when 'timestamp' then '($1 at time zone ''UTC'')'
      when 'date' then '($1 at time zone ''UTC'')::date'
    end)
  || coalesce(' and (' || p_policy.matching || ')', '');
