-- The sections of report_html about runs, each over the receipts of the period once. What a receipt
-- says of errors is its error, which has no row's text.

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

-- What a failure's reader is told: what it means, and what to say. Later runs of the job count:
-- one that has succeeded since has nothing to be done for.
create function maintenance_internal.failure_advice(
  p_run maintenance.run_history,
  p_job maintenance.job_status,
  p_is_last boolean)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return case
  when p_job.job_name is null then 'The job is not there any more: nothing is to be done.'
  when p_job.last_success_at > p_run.started_at
    then 'Nothing: it has succeeded since, at '
      || to_char(p_job.last_success_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC.'
  when not p_is_last then 'It has failed again since: see above.'
  when p_job.running then 'A run is going on.'
  when p_job.waiting is not null then format('Nothing yet: a run waits for %s.', p_job.waiting)
  when not p_job.enabled then
    format('It is disabled. select maintenance.enable_job(%L);', p_job.job_name)
  else concat_ws(' ',
    case
      when p_run.status = 'timeout' then 'It took longer than it may.'
      when p_run.status = 'interrupted' then 'Its session died; what it had committed stays.'
      when p_run.status = 'cancelled' then 'Somebody, or a stop, has ended it.'
      when p_run.status = 'skipped' then 'It has waited in vain.'
      when p_run.sqlstate = '23503' then 'Other rows still point to a row that should go.'
      when p_run.sqlstate like '23%' then 'A constraint forbids what the rule does.'
      when p_run.sqlstate = '55P03' then 'A lock was not to be had: look for who holds it.'
      when p_run.sqlstate = '42501' then 'The owner of the engine lacks a right.'
      when p_run.sqlstate in ('42P01', '42703', '42883', '3F000')
        then 'What the rule names is not there.'
      when p_run.sqlstate like '53%' then 'The server has run out of something.'
    end,
    case when p_run.status = 'failed' then 'Mend it, then:'
      when p_job.kind <> 'statement' then 'To have it run again:' end,
    maintenance_internal.run_advice(p_job),
    case when p_run.status = 'failed' then format('In full, as the owner: select error_detail '
      'from maintenance.run_history where run_id = %s;', p_run.run_id) end)
end;

-- The same failure of a job is told once, however often it was met.
create function maintenance_internal.report_failures(p_from timestamptz)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_shown constant integer := 20;
  v_runs numeric;
  v_kinds bigint;
  v_items text;
begin
  with failure as (
    select g.*, row_number() over (order by g.at desc, g.run_id desc) as place,
      row_number() over (partition by g.job_name order by g.at desc, g.run_id desc) as n
    from (
      select r.job_name, (array_agg(r.run_id
          order by coalesce(r.started_at, r.finished_at) desc, r.run_id desc))[1] as run_id,
        max(coalesce(r.started_at, r.finished_at)) as at,
        min(coalesce(r.started_at, r.finished_at)) as since, count(*) as times
      from maintenance_internal.run as r
      where coalesce(r.started_at, r.finished_at) >= p_from
        and (r.status in ('failed', 'timeout', 'cancelled', 'interrupted')
          or r.status = 'skipped' and r.error is not null)
      group by r.job_name, r.status, r.error
    ) as g
  )
  select (select sum(f.times) from failure as f), (select count(*) from failure as f),
    string_agg(concat('<li class="card item ', case when h.status in
        ('failed', 'timeout') then 'critical' else 'warning' end, '"><div class="item-head">',
      maintenance_internal.html_badge(case h.status when 'skipped' then 'given up'
        else h.status end), '<h3>', maintenance_internal.html_cut(h.job_name, 60), '</h3>',
      case when f.times > 1 then '<span>' || maintenance_internal.html_number(f.times)
        || ' times</span>' end, '<span class="when">', case when f.times > 1 then 'first '
        || maintenance_internal.html_time(f.since) || ', last ' end,
      maintenance_internal.html_time(f.at), ', attempt ', h.attempt,
      '</span></div><p class="error">',
      coalesce(maintenance_internal.html_cut(h.error, 400), 'No error is told.'),
      '</p><div class="advice">', maintenance_internal.html_advice(
        maintenance_internal.failure_advice(h, j, f.n = 1)), '</div></li>'), ''
      order by f.place)
  into v_runs, v_kinds, v_items
  from failure as f
  join maintenance.run_history as h on h.run_id = f.run_id
  left join (
    select s.* from maintenance.job_status as s
    where s.job_name in (select x.job_name from failure as x where x.place <= v_shown)
    offset 0 -- dear: once a job, and of these alone
  ) as j on j.job_name = f.job_name
  where f.place <= v_shown;
  return maintenance_internal.report_section('failures', 'Failures',
    case when v_items is null then 'Runs that did not succeed, the last first.'
      else format('%s did not succeed, the last first%s.', case when v_runs = 1 then 'One run'
          else maintenance_internal.html_number(v_runs) || ' runs' end,
        concat(case when v_kinds < v_runs then '; the same failure of a job is told once' end,
          case when v_kinds > v_shown then format('; here are %s of %s',
            v_shown, maintenance_internal.html_number(v_kinds)) end)) end,
    coalesce('<ul>' || v_items || '</ul>',
      maintenance_internal.report_none('None: no run has failed in this time.')));
end
$$;

create function maintenance_internal.report_statistics(p_period interval)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_rows text;
begin
  select string_agg(concat('<tr><th scope="row">', maintenance_internal.html_cut(s.job_name, 60),
      '</th><td>', maintenance_internal.html_badge(s.grade), '</td><td class="n">',
      maintenance_internal.html_number(s.runs), '</td><td class="n">',
      coalesce(trim_scale(s.success_rate) || ' %', '-'), '</td><td class="n">',
      maintenance_internal.html_duration(s.average_ms), '</td><td class="n">',
      maintenance_internal.html_duration(s.p95_ms), '</td><td class="n">',
      maintenance_internal.html_duration(s.max_ms), '</td><td class="n">',
      maintenance_internal.html_number(s.rows_affected), '</td></tr>'), ''
      order by array_position('{critical,warning,good,excellent}', s.grade) nulls last,
        s.success_rate, s.job_name)
  into v_rows
  from (
    select s.* from maintenance.job_statistics(p_period) as s
    where s.runs > 0
    order by s.success_rate, s.job_name
    limit 500
  ) as s;
  return maintenance_internal.report_section('statistics', 'Statistics by job',
    'Runs that ended in this time, but for those that were cancelled: how often each job '
      'succeeded, how long it took, and how many rows.',
    case when v_rows is null then maintenance_internal.report_none('No job has run in this time.')
      else maintenance_internal.report_table('Statistics by job', array['Job', 'Grade', '#Runs',
        '#Succeeded', '#Average', '#p95', '#Longest', '#Rows'], v_rows) end);
end
$$;

-- Sizes stand on the receipts of policies: bytes_before and bytes_after of the target. Of the run
-- of a job that began then, as run_last_idx has it; a step can have left anything there.
create function maintenance_internal.bytes_of(p_job_id integer, p_at timestamptz, p_key text)
returns bigint
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select (r.details ->> p_key)::bigint
  from maintenance_internal.run as r
  where r.job_id = p_job_id and coalesce(r.started_at, r.finished_at) = p_at
    and r.status not in ('waiting', 'skipped') and r.details ->> p_key ~ '^[0-9]{1,18}$'
  limit 1;
end;

create function maintenance_internal.report_sizes(p_from timestamptz)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_shown constant integer := 50;
  v_rows text;
begin
  select string_agg(concat('<li class="row"><div class="name">',
      maintenance_internal.html_cut(s.target, 100), '</div><div class="chart pair">',
      maintenance_internal.report_bar(100.0 * s.before / s.most, concat('First: ',
        pg_size_pretty(s.before))), '<span>before ', pg_size_pretty(s.before), '</span>',
      maintenance_internal.report_bar(100.0 * s.after / s.most, concat('Last: ',
        pg_size_pretty(s.after))), '<span>after ', pg_size_pretty(s.after), '</span></div>',
      '<div class="aside"><b>', case when s.after = s.before then 'unchanged'
        else pg_size_pretty(abs(s.after - s.before))
          || case when s.after < s.before then ' less' else ' more' end end, '</b><br/>',
      maintenance_internal.html_time(s.first_at), ' to<br/>',
      maintenance_internal.html_time(s.last_at), '</div></li>'), ''
      order by s.before - s.after desc, s.target)
  into v_rows
  from (
    select b.target, b.before, b.after, b.first_at, b.last_at,
      greatest(b.before, b.after, 1) as most
    from (
      select t.target, min(m.first_at) as first_at, max(m.last_at) as last_at,
        (array_agg(f.bytes order by m.first_at))[1] as before,
        (array_agg(l.bytes order by m.last_at desc))[1] as after
      from (
        select max(h.job_name) as job_name, h.job_id,
          min(h.started_at) filter (where h.details ? 'bytes_before') as first_at,
          max(h.started_at) filter (where h.details ? 'bytes_after') as last_at
        from maintenance_internal.run as h
        where h.started_at >= p_from and h.status <> 'skipped'
          and h.details ?| '{bytes_before,bytes_after}'
        group by h.job_id
      ) as m
      left join maintenance_internal.policy as p on p.job_id = m.job_id
      cross join lateral (
        select coalesce(p.target, m.job_name || ' (its target is not known any more)') as target
      ) as t
      cross join lateral (
        select maintenance_internal.bytes_of(m.job_id, m.first_at, 'bytes_before')
      ) as f (bytes)
      cross join lateral (
        select maintenance_internal.bytes_of(m.job_id, m.last_at, 'bytes_after')
      ) as l (bytes)
      where f.bytes is not null and l.bytes is not null
      group by t.target
    ) as b
    order by abs(b.before - b.after) desc, b.target
    limit v_shown
  ) as s;
  return maintenance_internal.report_section('sizes', 'Sizes before and after',
    'Each table with its indexes: before the first run of the time, and after the last (UTC). What '
      'is freed inside of a table is used again, and its size stays.',
    coalesce('<ul class="rows">' || v_rows || '</ul>',
      maintenance_internal.report_none('No run has measured a table in this time.')));
end
$$;
