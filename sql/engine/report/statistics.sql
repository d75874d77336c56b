-- The sections of report_html about what a job's runs add up to: times and rows, sizes of tables.

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
