-- The drawings of report_html: inline SVG without a word in it, so that it can be stretched to any
-- width; what is to be read stands beside it in HTML. Each says in a title what it shows.

-- A part of 100, on a rail.
create function maintenance_internal.report_bar(p_share numeric, p_label text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return concat('<svg class="bar" role="img" aria-label="', p_label,
  '" viewBox="0 0 100 1" preserveAspectRatio="none"><title>', p_label,
  '</title><rect class="rail" width="100" height="1"/><rect class="ink" width="',
  round(least(greatest(p_share, 0), 100), 2), '" height="1"/></svg>');

-- A number a day as columns, one beside the other: up to seven with their values over them, more of
-- them in one drawing, where the highest is told. A day without anything says so, or is bare.
create function maintenance_internal.report_columns(
  p_days date[],
  p_values numeric[],
  p_shown text[],
  p_label text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_most constant numeric := (select max(v) from unnest(p_values) as v);
  v_days constant integer := cardinality(p_days);
  v_peak integer;
begin
  if v_days <= 7 then
    return (
      select concat('<div class="card"><div class="columns">', string_agg(concat(
        '<div class="column"><div class="plot">', case when d.value > 0
          then concat('<b>', p_shown[d.n], '</b><svg role="img" aria-label="', t.label,
            '" style="height:', round(greatest(84 * d.value / v_most, 1), 1),
            '%" viewBox="0 0 1 1" preserveAspectRatio="none"><title>', t.label,
            '</title><rect class="ink" width="1" height="1"/></svg>')
          else '<b class="no">none</b>' end,
        '</div><div class="day">', to_char(d.day, 'Dy DD'), '</div></div>'), '' order by d.n),
        '</div></div>')
      from unnest(p_days, p_values) with ordinality as d (day, value, n)
      cross join lateral (
        select concat(p_label, ', ', to_char(d.day, 'YYYY-MM-DD'), ': ', p_shown[d.n]) as label
      ) as t);
  end if;
  v_peak := array_position(p_values, v_most);
  return (
    select concat('<div class="card"><p class="most">The most: ', p_shown[v_peak], ' on ',
      to_char(p_days[v_peak], 'YYYY-MM-DD'), '; a day without a column had none</p>'
      '<svg class="many" role="img" aria-label="', p_label, '" viewBox="0 0 ', v_days,
      ' 100" preserveAspectRatio="none"><title>', p_label,
      '</title>', string_agg(case when d.value > 0 then concat('<rect class="ink" x="',
        d.n - 0.9, '" y="', round(100 - h.height, 1), '" width="0.8" height="', h.height,
        '"><title>', to_char(d.day, 'YYYY-MM-DD'), ': ', p_shown[d.n], '</title></rect>') end, ''
        order by d.n),
      '</svg>', maintenance_internal.report_axis(p_days[1], v_days), '</div>')
    from unnest(p_days, p_values) with ordinality as d (day, value, n)
    cross join lateral (
      select round(greatest(100 * d.value / nullif(v_most, 0), 1), 1) as height) as h);
end
$$;

-- The days under a drawing, or the hours of one, each at the beginning of its part: as many as a
-- telephone has room for.
create function maintenance_internal.axis_parts(p_days integer)
returns integer
language sql
immutable
set search_path = pg_catalog, pg_temp
return case when p_days = 1 then 4 when p_days <= 7 then p_days else 5 end;

create function maintenance_internal.report_axis(p_from date, p_days integer)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return (
  select concat('<div class="axis">', string_agg(concat('<span>', to_char(
      case p_days when 1 then p_from + i * interval '6 hours'
        else p_from + floor(i * p_days::numeric / a.parts)::integer end,
      case when p_days = 1 then 'HH24:MI' when p_days <= 7 then 'Dy DD' else 'MM-DD' end),
    '</span>'), '' order by i), '</div>')
  from maintenance_internal.axis_parts(p_days) as a (parts)
  cross join lateral generate_series(0, a.parts - 1) as i
);

-- One lane of the timeline. The marks come as arrays, one for each bucket in which the job did
-- anything; what went well is one path, what did not can be pointed at, and is never too thin to
-- be seen.
create function maintenance_internal.report_lane(
  p_label text,
  p_buckets integer,
  p_now numeric,
  p_grid text,
  p_at integer[],
  p_levels integer[],
  p_titles text[])
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return (
  select concat('<svg class="strip" role="img" aria-label="', p_label, '" viewBox="0 0 ',
    p_buckets, ' 16" preserveAspectRatio="none"><title>', p_label, '</title>'
    '<rect class="rail" y="5" width="', p_now, '" height="6"/><path class="grid" d="', p_grid,
    '"/>',
    '<path class="m0" d="' || string_agg(format('M%s 14h1v2h-1z', m.at), '' order by m.at)
      filter (where m.level = 0) || '"/>',
    '<path class="m1" d="' || string_agg(format('M%s 5h1v6h-1z', m.at), '' order by m.at)
      filter (where m.level = 1) || '"/>',
    string_agg(format('<rect class="m%s" x="%s" y="%s" width="%s" height="%s"><title>%s</title>'
      '</rect>', m.level, round(least(m.at, p_buckets - b.width), 2), b.y, round(b.width, 2),
      16 - 2 * b.y, m.title), '' order by m.level, m.at) filter (where m.level > 1),
    '<path class="now" d="M', p_now, ' 0v16"/></svg>')
  from unnest(p_at, p_levels, p_titles) as m (at, level, title)
  cross join lateral (
    select greatest(1, p_buckets / 110.0) as width,
      case m.level when 4 then 0 when 3 then 2 else 4 end as y
  ) as b
);

-- A section: its heading, one sentence about it, and what it shows.
create function maintenance_internal.report_section(
  p_id text,
  p_title text,
  p_lead text,
  p_body text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return concat('<section id="', p_id, '" aria-labelledby="', p_id, '-title"><h2 id="', p_id,
  '-title">', p_title, '</h2><p class="lead">', p_lead, '</p>', p_body, '</section>',
  chr(10));

-- A table in a box that can be scrolled. The first column of p_rows are <th scope="row">; a heading
-- that begins with # is one of numbers.
create function maintenance_internal.report_table(p_label text, p_heads text[], p_rows text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return (
  select concat('<div class="scroll" tabindex="0" role="region" aria-label="', p_label,
    ', table"><table><thead><tr>', string_agg(concat('<th scope="col"',
      case when h.head ^@ '#' then ' class="n"' end, '>', ltrim(h.head, '#'), '</th>'), ''
      order by h.n), '</tr></thead><tbody>', p_rows, '</tbody></table></div>')
  from unnest(p_heads) with ordinality as h (head, n)
);

create function maintenance_internal.report_none(p_text text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return concat('<p class="none">', p_text, '</p>');
