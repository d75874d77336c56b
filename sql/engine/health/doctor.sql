-- All that is wrong, and that is right, in one list: how the kit stands (setup_checks), what is
-- measured (health_checks), what the status says, and what lint finds of the rules.

-- The statements in an advice: they stand where a sentence begins, and end at a semicolon outside
-- of quotes.
create function maintenance_internal.statements_in(p_advice text)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select string_agg(m.found[1], ' ' order by m.n)
    from regexp_matches(p_advice, '(?:^|(?<=[.:;,)]\s))((?:select|call|update|delete|alter|vacuum|'
      'analyze|grant|revoke|create|drop|refresh|reindex|rollback|discard)\M'
      '(?:[^;''"]|''[^'']*''|"[^"]*")*;(?: --[^\n]*$)?)', 'g') with ordinality as m (found, n));
end
$$;

create function maintenance.doctor()
returns table (check_name text, status text, detail text, fix text)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
#variable_conflict use_column
begin
  return query
    with found as materialized (
      select 1 as part, c.check_name, c.status, c.detail, c.fix
      from maintenance_internal.setup_checks() as c
      union all
      select 2, h.check_name,
        case h.status when 'critical' then 'failed' when 'unknown'
          -- What nobody has told; and of what is not there nothing is to be measured.
          then case when h.fix is not null then 'warning' else 'ok' end
          else h.status end,
        h.detail, h.fix
      from maintenance_internal.health_checks() as h
      union all
      select 3, s.task, case s.severity when 'critical' then 'failed' else 'warning' end,
        concat(s.description, ': ' || s.count, '. ' || s.advice), s.advice
      from public.maintenance_status as s
      where s.severity in ('warning', 'critical') and s.task not in ('open_alerts', 'models')
      union all
      -- What has the same cure is one.
      select 4, coalesce(min(l.job_name), 'rules'),
        case when bool_or(l.severity = 'critical') then 'failed' else 'warning' end,
        format('%s%s', min(l.finding),
          case when count(*) > 1 then format('; the same of %s jobs', count(*)) else '' end),
        l.fix
      from maintenance.lint() as l
      where l.severity in ('warning', 'critical') and not exists (
        select from maintenance_internal.setup_checks() as c where c.fix = l.fix)
      group by l.fix
    )
    -- What can be pasted is the fix, and words are a comment; whoever drops a job loses its rule.
    select f.check_name, f.status,
      concat(f.detail, '. ' || case when f.part <> 3 and f.fix <> p.statements then f.fix end),
      case when f.fix ~ 'drop_job' then '-- ' || f.fix else coalesce(p.statements,
        regexp_replace(f.fix, '^(-- )?', '-- ')) end
    from (
      select * from found
      union all
      select 3, 'status', 'ok', 'nothing is to be done: select * from maintenance_status;', null
      where not exists (select from found as o where o.part = 3)
      union all
      select 4, 'rules', 'ok', 'lint finds nothing: select * from maintenance.lint();', null
      where not exists (select from found as o where o.part = 4)
    ) as f
    cross join lateral maintenance_internal.statements_in(f.fix) as p (statements)
    order by array_position(array['failed', 'warning', 'ok'], f.status), f.part, f.check_name;
end
$$;

comment on function maintenance.doctor() is
  'What is wrong and what is right, what failed first: rows (check_name, status: failed, warning '
  'or ok, detail, fix), fix being the statements to paste, for whom their comment says, else for '
  'the owner (S1-11, S2-39). It looks at the setup, at what is measured, at maintenance_status '
  'and at lint, which plans every rule: for people, and make doctor; alerts look at the first two.';
