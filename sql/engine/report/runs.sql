-- The sections of report_html about runs by day and in time, each over the receipts of the period
-- once.

create function maintenance_internal.report_days(p_from timestamptz, p_days integer)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_own constant integer[] := maintenance_internal.own_jobs();
  v_days date[];
  v_values numeric[];
  v_shown text[];
  v_table text;
begin
  select array_agg(d.day order by d.day), array_agg(coalesce(r.rows_affected, 0) order by d.day),
    array_agg(case when p_days <= 7
      then maintenance_internal.html_short_number(coalesce(r.rows_affected, 0))
      else maintenance_internal.html_number(coalesce(r.rows_affected, 0)) || ' rows' end
      order by d.day),
    string_agg(concat('<tr><th scope="row">', to_char(d.day, 'Dy YYYY-MM-DD'), '</th>',
      '<td class="n">', case when r.rows_affected > 0
        then maintenance_internal.html_number(r.rows_affected) else 'none' end,
      '</td><td class="n">', maintenance_internal.html_number(coalesce(r.runs, 0)),
      '</td><td class="n">', maintenance_internal.html_number(coalesce(r.failed, 0)),
      '</td></tr>'), '' order by d.day desc)
  into v_days, v_values, v_shown, v_table
  from (
    select (p_from at time zone 'UTC')::date + i as day from generate_series(0, p_days - 1) as i
  ) as d
  left join (
    select (h.at at time zone 'UTC')::date as day, sum(h.rows_affected) as rows_affected,
      count(*) filter (where h.status <> 'skipped') as runs,
      count(*) filter (where h.status in ('failed', 'timeout', 'interrupted')) as failed
    from (
      select coalesce(r.started_at, r.finished_at) as at, r.rows_affected, r.status
      from maintenance_internal.run as r
      where r.job_id <> all (v_own)
    ) as h
    where h.at >= p_from
    group by 1
  ) as r on r.day = d.day;
  return maintenance_internal.report_section('nights', 'Rows by night',
    concat('Rows that runs deleted, updated or counted, by the day (UTC) on which they began: ',
      maintenance_internal.html_number((select sum(v) from unnest(v_values) as v)), ' in all.'),
    case when (select max(v) from unnest(v_values) as v) > 0
      then concat(maintenance_internal.report_columns(v_days, v_values, v_shown,
        'Rows by day'), '<details><summary>The numbers, day by day</summary>',
        maintenance_internal.report_table('Rows by day', array['Day', '#Rows', '#Runs', '#Failed'],
          v_table), '</details>')
      else maintenance_internal.report_none('No run has changed a row in this time.') end);
end
$$;

-- One lane a job. Marks are buckets of time, so that a job of every minute takes no more room than
-- any other: at most 186 of them, whatever the period is.
create function maintenance_internal.report_timeline(
  p_from timestamptz,
  p_now timestamptz,
  p_days integer)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_most_lanes constant integer := 40;
  -- The kit's own, which write one receipt each anew, have no line in time.
  v_own constant integer[] := maintenance_internal.own_jobs();
  v_width integer;
  v_word text;
  v_buckets integer;
  v_grid text;
  v_jobs bigint;
  v_lanes text;
begin
  select w.seconds, w.word into v_width, v_word
  from (values (600, '10 minutes'), (1800, '30 minutes'), (3600, 'an hour'), (7200, '2 hours'),
    (14400, '4 hours'), (21600, '6 hours'), (43200, '12 hours'), (86400, 'a day'),
    (172800, '2 days')) as w (seconds, word)
  where p_days * 86400 / w.seconds <= 186
  order by w.seconds
  limit 1;
  v_buckets := ceil(p_days * 86400.0 / v_width);
  select string_agg(format('M%s 0v16', round(i * p_days * 86400.0 / a.parts / v_width, 2)), '')
  into v_grid
  from maintenance_internal.axis_parts(p_days) as a (parts)
  cross join lateral generate_series(1, a.parts - 1) as i;

  with bucket as (
    select r.job_name, r.at, max(r.level) as level, count(*) filter (where r.level > 0) as runs,
      count(*) filter (where r.level = 4) as failed, count(*) filter (where r.level = 3) as odd,
      count(*) filter (where r.level = 0) as skipped
    from (
      select h.job_name,
        -- date_part gives a double precision, which is a third of the work of extract's numeric.
        floor(date_part('epoch', coalesce(h.started_at, h.finished_at, h.due_at) - p_from)
          / v_width)::integer as at,
        case
          when h.status = 'succeeded' then 1
          when h.status in ('failed', 'timeout') then 4
          when h.status in ('cancelled', 'interrupted') then 3
          when h.status = 'skipped' then case when h.error is null then 0 else 3 end
          else 2
        end as level
      from maintenance_internal.run as h
      where coalesce(h.started_at, h.finished_at, h.due_at) >= p_from
        and coalesce(h.started_at, h.finished_at, h.due_at) < p_from + p_days * interval '24 hours'
        and h.job_id <> all (v_own)
    ) as r
    group by r.job_name, r.at
  ), lane as (
    select b.job_name, sum(b.runs) as runs, sum(b.failed) as failed, sum(b.odd) as odd,
      sum(b.skipped) as skipped, array_agg(b.at) as at, array_agg(b.level) as levels,
      array_agg(b.runs) as run_counts, array_agg(b.failed) as failed_counts,
      row_number() over (order by sum(b.failed) desc, sum(b.odd) desc,
        sum(b.runs) > 48 * p_days, b.job_name) as n
    from bucket as b
    group by b.job_name
  )
  select max(l.n), string_agg(concat('<li class="row"><div class="name">', n.name,
      '</div><div class="chart">', maintenance_internal.report_lane(
        concat(n.name, ': ', w.runs, w.failed, w.odd), v_buckets,
        round(extract(epoch from p_now - p_from) / v_width, 2), v_grid, l.at, l.levels, array(
          select case when m.level > 1 then to_char(
              p_from at time zone 'UTC' + m.at * v_width * interval '1 second',
              'YYYY-MM-DD HH24:MI" UTC: "') || case m.level
                when 4 then format('%s of %s failed', m.failed, m.runs)
                when 3 then 'cut short, or given up' else 'going on, or waiting' end end
          from unnest(l.at, l.levels, l.run_counts, l.failed_counts) with ordinality
            as m (at, level, runs, failed, n)
          order by m.n)),
      '</div><div class="aside">', w.runs,
      ' <span class="bad"><span aria-hidden="true">&#10007; </span>' || ltrim(w.failed, ', ')
        || '</span>',
      ' <span class="odd"><span aria-hidden="true">&#9650; </span>' || ltrim(w.odd, ', ')
        || '</span>', '</div></li>'), '' order by l.n) filter (where l.n <= v_most_lanes)
  into v_jobs, v_lanes
  from lane as l
  cross join lateral (select maintenance_internal.html_cut(l.job_name, 60) as name) as n
  left join lateral (
    select case when l.runs = 0
        then maintenance_internal.html_number(l.skipped) || ' skipped'
        else maintenance_internal.html_number(l.runs)
          || case when l.runs = 1 then ' run' else ' runs' end end as runs,
      ', ' || maintenance_internal.html_number(nullif(l.failed, 0)) || ' failed' as failed,
      ', ' || maintenance_internal.html_number(nullif(l.odd, 0)) || ' cut short' as odd
  ) as w on l.n <= v_most_lanes;

  return maintenance_internal.report_section('timeline', 'Runs in time',
    format('A lane a job, the most trouble first; a mark stands for %s, and for the worst that '
      'happened in it.', v_word),
    case when v_lanes is null
      then maintenance_internal.report_none('No job has run in this time.')
      else concat('<ul class="rows lanes">', v_lanes, '<li class="row axis-row"><div></div>'
        '<div class="chart">', maintenance_internal.report_axis(
          (p_from at time zone 'UTC')::date, p_days), '</div><div></div></li></ul>',
        maintenance_internal.timeline_legend(),
        case when v_jobs > v_most_lanes then format('<p class="when">And %s more jobs, with less '
          'trouble, or as much.</p>', v_jobs - v_most_lanes) end) end);
end
$$;

create function maintenance_internal.timeline_legend()
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return (
  select concat('<ul class="legend">', string_agg(format('<li><svg viewBox="0 0 8 16" '
    'preserveAspectRatio="none" role="img" aria-label="%s"><title>%1$s</title><rect class="m%s" '
    'width="8" y="%s" height="%s"/></svg>%1$s</li>', l.word, l.level, l.y, l.height), ''
    order by l.level desc, l.y desc), '</ul>')
  from (values (4, 0, 16, 'failed: the full height'), (3, 2, 12, 'cut short, or given up'),
    (2, 4, 8, 'going on, or waiting'), (1, 5, 6, 'succeeded'), (0, 14, 2, 'skipped'))
    as l (level, y, height, word)
);
