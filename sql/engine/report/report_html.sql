-- The whole of it as one page that can be kept, sent and printed: no script, and nothing that is
-- loaded from anywhere.

-- Runs in the period, in four numbers.
create function maintenance_internal.report_tiles(p_from timestamptz, p_status jsonb)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_own constant integer[] := maintenance_internal.own_jobs();
  v_runs record;
  v_due record;
begin
  select coalesce(sum(j.runs), 0) as runs, count(*) as jobs, coalesce(sum(j.failed), 0) as failed,
    coalesce(sum(j.odd), 0) as odd, coalesce(sum(j.rows_affected), 0) as rows_affected
  into v_runs
  from (
    select count(*) as runs,
      count(*) filter (where r.status in ('failed', 'timeout', 'interrupted')) as failed,
      count(*) filter (where r.status = 'cancelled') as odd,
      sum(r.rows_affected) as rows_affected
    from maintenance_internal.run as r
    where r.started_at >= p_from and r.status <> 'skipped' and r.job_id <> all (v_own)
    group by r.job_name
  ) as j;
  select coalesce(sum(s.count), 0) as due, coalesce(bool_or(s.count >= 10000), false) as capped,
    count(*) filter (where s.count > 0) as rules, count(*) filter (where s.count is null) as hidden
  into v_due
  from maintenance_internal.status_rows(p_status) as s
  where s.job_name is not null;
  return concat('<dl class="tiles"><div><dt>Runs</dt><dd>',
    maintenance_internal.html_number(v_runs.runs), '<small>of ',
    maintenance_internal.html_number(v_runs.jobs), ' jobs</small></dd></div>',
    '<div><dt>Failed</dt><dd>', maintenance_internal.html_number(v_runs.failed), '<small>',
    maintenance_internal.html_number(v_runs.odd), ' cancelled</small></dd></div>',
    '<div><dt>Rows</dt><dd>', maintenance_internal.html_number(v_runs.rows_affected),
    '<small>deleted, changed or counted</small></dd></div><div><dt>Due now</dt><dd>',
    maintenance_internal.html_number(v_due.due), case when v_due.capped then '+' end,
    '<small>rows, of ', maintenance_internal.html_number(v_due.rules), ' rules', case
      when v_due.hidden > 0 then format('; %s cannot be counted', v_due.hidden) end,
    '</small></dd></div></dl>');
end
$$;

create function maintenance_internal.report_contents(p_has_tasks boolean)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return (
  select concat('<nav class="toc" aria-label="On this page">', string_agg(
    format('<a href="#%s">%s</a>', c.id, c.title), '' order by c.n), '</nav>')
  from (values (1, 'act', 'What to act on'), (2, 'due', 'Due'), (3, 'nights', 'Rows by night'),
    (4, 'timeline', 'Runs'), (5, 'failures', 'Failures'), (6, 'statistics', 'Statistics'),
    (7, 'tasks', 'Tasks'), (8, 'models', 'Models'), (9, 'sizes', 'Sizes'))
    as c (n, id, title)
  where p_has_tasks or c.id not in ('tasks', 'models')
);

create function maintenance.report_html(days integer default 7)
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
declare
  v_now constant timestamptz := maintenance_internal.clock();
  v_from timestamptz;
  v_status jsonb;
  v_acts record; -- acts, critical
  v_tiles text;
  v_has_tasks boolean := true;
  v_name text;
  v_part record;
  v_section text;
  v_sections text := '';
  v_message text;
  v_state text;
  v_context text;
begin
  if (report_html.days between 1 and 366) is not true then
    raise exception 'a report cannot be over % days', report_html.days
      using errcode = 'PM002', hint = 'A number of days from 1 to 366, the last one being today.';
  end if;
  v_from := (date_trunc('day', v_now at time zone 'UTC')
    - (report_html.days - 1) * interval '1 day') at time zone 'UTC';
  select coalesce(jsonb_agg(to_jsonb(s)), '[]') into v_status
  from public.maintenance_status as s
  where s.task <> 'open_alerts'; -- which are there themselves
  select 0 as acts, 0 as critical into v_acts;
  begin
    select * into v_acts from maintenance_internal.report_acts(v_status);
    v_tiles := maintenance_internal.report_tiles(v_from, v_status);
    v_has_tasks := exists (select from maintenance.kind);
  exception when others or assert_failure then
    v_tiles := '';
  end;
  v_name := maintenance_internal.html_escape(current_database());
  -- What cannot be read now keeps nothing else from the page.
  for v_part in
    select * from (values ('act', 'What to act on'), ('due', 'Due by rule'),
      ('nights', 'Rows by night'), ('timeline', 'Runs in time'), ('failures', 'Failures'),
      ('statistics', 'Statistics by job'), ('tasks', 'Tasks, and what they cost'),
      ('models', 'Models'), ('sizes', 'Sizes before and after')) as p (id, title)
  loop
    begin
      v_section := case v_part.id
        when 'act' then maintenance_internal.report_act(v_status)
        when 'due' then maintenance_internal.report_due(v_status)
        when 'nights' then maintenance_internal.report_days(v_from, report_html.days)
        when 'timeline'
          then maintenance_internal.report_timeline(v_from, v_now, report_html.days)
        when 'failures' then maintenance_internal.report_failures(v_from)
        when 'statistics' then maintenance_internal.report_statistics(
          greatest(v_now - v_from, interval '1 second'))
        when 'tasks' then maintenance_internal.report_tasks(report_html.days)
        when 'models' then maintenance_internal.report_models()
        else maintenance_internal.report_sizes(v_from)
      end;
    exception when others or assert_failure then
      get stacked diagnostics v_state = returned_sqlstate, v_message = message_text,
        v_context = pg_exception_context;
      v_section := maintenance_internal.report_section(v_part.id, v_part.title,
        'This cannot be read now.', maintenance_internal.report_none(maintenance_internal.html_cut(
          maintenance_internal.error_text(v_state, v_message, v_context), 500)));
      if v_state = '55P03' then
        perform set_config('lock_timeout', '20ms', true); -- the second is over
      end if;
    end;
    v_sections := v_sections || v_section || chr(10);
  end loop;

  return concat('<!DOCTYPE html>', chr(10), '<html lang="en"><head><meta charset="utf-8"/>',
    '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
    '<meta http-equiv="Content-Security-Policy" content="default-src ''none''; style-src '
      '''unsafe-inline''"/><meta name="robots" content="noindex"/>',
    '<meta name="color-scheme" content="light dark"/>',
    '<title>', v_name, ': maintenance report of ',
    to_char(v_now at time zone 'UTC', 'YYYY-MM-DD'), '</title><style>',
    maintenance_internal.report_style(), '</style></head><body>', chr(10),
    '<header><p class="kicker">Maintenance report</p><h1>', v_name, '</h1><ul class="meta"><li>',
    maintenance_internal.html_time(v_now), '</li><li>',
    case report_html.days when 1 then 'today' else format('%s days, from %s on',
      report_html.days, to_char(v_from at time zone 'UTC', 'YYYY-MM-DD')) end,
    '</li><li>PostgreSQL ', maintenance_internal.html_escape(current_setting('server_version')),
    '</li><li>pg-maintenance ', (
      select maintenance_internal.html_escape(concat(v.release, ', state ', left(v.state, 8)))
      from maintenance.version() as v where v.part = 'engine'),
    '</li></ul><p class="verdict ', case when v_acts.critical > 0 or v_tiles = '' then 'critical'
      when v_acts.acts = 0 then 'ok' else 'warning' end,
    '"><span aria-hidden="true">', case when v_acts.critical > 0 or v_tiles = '' then '&#10007;'
      when v_acts.acts = 0 then '&#10003;' else '&#9650;' end, '</span><span>',
    case when v_tiles = '' then 'What is to be acted on cannot be told in full: a table of the kit '
        'cannot be read now'
      when v_acts.acts = 0 then 'All is well: nothing to act on'
      else concat(maintenance_internal.html_number(v_acts.acts),
        case when v_acts.acts = 1 then ' thing' else ' things' end, ' to act on',
        case when v_acts.critical = v_acts.acts then ', critical'
          when v_acts.critical > 0 then
            format(', %s of them critical',
              maintenance_internal.html_number(v_acts.critical)) end) end,
    '</span></p>', v_tiles, maintenance_internal.report_contents(v_has_tasks),
    '</header>', chr(10), '<main>', chr(10),
    v_sections, '</main>', chr(10), '<footer>Made by maintenance.report_html(', report_html.days,
    '); pg-maintenance: ', (
      select string_agg(maintenance_internal.html_escape(format('%s %s, state %s', v.part,
        v.release, v.state)), '; ' order by v.part) from maintenance.version() as v),
    '. Times are UTC.</footer></body></html>', chr(10));
end
$$;

comment on function maintenance.report_html(integer) is
  'A page to be kept, sent or printed: what to act on, what is due, and what ran, failed and cost '
  'over so many days, the last one being today (UTC); HTML without a script, and without a row''s '
  'text. To a file: make report. Errors: PM002 days, which are 1 to 366.';
