-- The sections of report_html about now: what to act on, and what is due. p_status: the rows of
-- maintenance_status, which are dear to count, and counted once.

create function maintenance_internal.status_rows(p_status jsonb)
returns table (
  task text,
  count bigint,
  severity text,
  oldest timestamptz,
  next_run_at timestamptz,
  advice text,
  job_name text,
  description text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select s.task, s.count, s.severity, s.oldest, s.next_run_at, s.advice, s.job_name,
    s.description
  from jsonb_to_recordset(p_status) as s (task text, count bigint, severity text,
    oldest timestamptz, next_run_at timestamptz, advice text, job_name text, description text);
end;

-- Counts of the status stop at 10,000.
create function maintenance_internal.html_due(p_count bigint)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return maintenance_internal.html_number(p_count) || case when p_count >= 10000 then '+' else '' end;

-- What somebody should act on: rows of the status, and alerts that are open and not silenced. An
-- alert about a row is one thing with it, as bad as the worse of the two.
create function maintenance_internal.report_acts(
  p_status jsonb,
  out acts bigint,
  out critical bigint)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  with row_of as (
    select s.task, s.job_name, s.severity from maintenance_internal.status_rows(p_status) as s
    where s.severity in ('warning', 'critical')
  ),
  called as (
    select a.alert_id, a.severity, (
      select min(s.task) from row_of as s
      where s.task in (a.cause, a.subject) or s.job_name = a.subject
        or a.cause = 'job_failing' and s.task = 'jobs_failing'
        or a.cause = 'model' and s.task = 'models') as task
    from maintenance.alert as a
    where a.closed_at is null and a.gone_at is null
      and (a.silenced_until > maintenance_internal.clock()) is not true
  )
  select count(*), count(*) filter (where t.severity = 'critical')
  from (
    select least(s.severity, (
      select min(c.severity) from called as c where c.task = s.task)) as severity -- c before w
    from row_of as s
    union all
    select c.severity from called as c where c.task is null
  ) as t;
end;

create function maintenance_internal.report_act(p_status jsonb)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_shown constant integer := 50;
  v_rows text;
  v_alerts text;
  v_open bigint;
begin
  select string_agg(concat('<li class="card item ', s.severity, '"><div class="item-head">',
      maintenance_internal.html_badge(s.severity), '<h3>',
      maintenance_internal.html_cut(s.task, 100), '</h3>',
      '<span>' || maintenance_internal.html_due(nullif(s.count, 0)) || '</span>',
      case when isfinite(s.oldest) then '<span class="when">'
        || case when s.job_name is null then 'since ' else 'oldest ' end
        || maintenance_internal.html_time(s.oldest) || '</span>' end,
      '</div><p class="note">', maintenance_internal.html_cut(s.description, 500), '</p>',
      '<div class="advice">' || maintenance_internal.html_advice(s.advice) || '</div>', '</li>'),
      '' order by s.severity, s.task)
  into v_rows
  from maintenance_internal.status_rows(p_status) as s
  where s.severity in ('warning', 'critical');

  select count(*) into v_open from maintenance.alert as a where a.closed_at is null;
  select string_agg(concat('<li class="card item ', case when a.silenced_until is null
        and a.gone_at is null then a.severity end, '"><div class="item-head">',
      maintenance_internal.html_badge(a.severity), '<h4>',
      maintenance_internal.html_cut(concat_ws(': ', a.cause, nullif(a.subject, '')), 150),
      '</h4><span class="when">since ', maintenance_internal.html_time(a.opened_at),
      ', ' || case when a.silenced_until is not null
        then 'silenced until ' || maintenance_internal.html_time(a.silenced_until)
        when a.gone_at is not null
        then 'gone since ' || maintenance_internal.html_time(a.gone_at)
        else 'seen ' || maintenance_internal.html_time(a.seen_at) end,
      '</span></div><p class="note">',
      maintenance_internal.html_cut(a.description, 500), '</p>',
      '<div class="advice">' || maintenance_internal.html_advice(a.advice) || '</div>', '</li>'),
      '' order by a.silenced_until is not null, a.severity, a.opened_at, a.alert_id)
  into v_alerts
  from (
    select a.alert_id, a.cause, a.subject, a.severity, a.description, a.advice, a.opened_at,
      a.seen_at, a.gone_at, case when a.silenced_until > maintenance_internal.clock()
        then a.silenced_until end as silenced_until
    from maintenance.alert as a
    where a.closed_at is null
    order by a.severity, a.opened_at desc
    limit v_shown
  ) as a;

  return maintenance_internal.report_section('act', 'What to act on',
    case when v_rows is null and v_alerts is null then 'What is behind, broken or given up.'
      else 'What is behind, broken or given up, the critical first; a statement can be copied as '
        'it stands.' end,
    case when v_rows is null and v_alerts is null then maintenance_internal.report_none(
        'Nothing: no rule is behind or broken, and no alert is open.')
      else concat('<ul>' || v_rows || '</ul>',
        '<h3 class="sub">Open alerts</h3><ul>' || v_alerts || '</ul>',
        case when v_open > v_shown then format('<p class="when">And %s more alerts.</p>',
          v_open - v_shown) end) end);
end
$$;

create function maintenance_internal.report_due(p_status jsonb)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_rows text;
  v_idle text;
begin
  select string_agg(concat('<li class="row"><div><div class="name">', n.name,
      '</div><div class="note">', maintenance_internal.html_cut(s.description, 200),
      '</div></div><div class="chart">', maintenance_internal.report_bar(
        100 * ln(1 + greatest(s.count, 0)::numeric) / ln(10001::numeric),
        concat(n.name, ': ', maintenance_internal.html_due(s.count), ' due')),
      '</div><div class="count">', maintenance_internal.html_due(s.count),
      '</div><div class="aside">', maintenance_internal.html_badge(s.severity),
      case when s.job_name is null then '<br/>since ' else '<br/>oldest ' end
        || nullif(maintenance_internal.html_time(s.oldest), '-'),
      '<br/>next ' || nullif(maintenance_internal.html_time(s.next_run_at), '-'),
      '<br/>' || maintenance_internal.html_cut(nullif(s.advice, ''), 200),
      '</div></li>'), '' order by s.count desc nulls last, s.task)
    filter (where s.count <> 0 or s.severity <> 'ok'),
    string_agg(concat('<li><span class="sign" aria-hidden="true">&#10003;</span>'
      '<span class="name">', n.name, '</span><span class="when">', case
        when isfinite(s.next_run_at) then 'next '
          || maintenance_internal.html_time(s.next_run_at) end, '</span></li>'), ''
      order by s.task) filter (where (s.count <> 0 or s.severity <> 'ok') is not true)
  into v_rows, v_idle
  from maintenance_internal.status_rows(p_status) as s
  cross join lateral (select maintenance_internal.html_cut(s.task, 100) as name) as n
  where s.severity not in ('warning', 'critical');
  return maintenance_internal.report_section('due', 'Due by rule',
    'What the other rules would take now, and when they will. A bar grows with the order of '
      'magnitude, and counting stops at 10,000.',
    concat(
      coalesce('<ul class="rows due">' || v_rows || '</ul>', maintenance_internal.report_none(
        'Nothing is due beyond what is to be acted on.')),
      '<div class="card"><h3>Ok: nothing due</h3><ul class="idle">' || v_idle || '</ul></div>'));
end
$$;
