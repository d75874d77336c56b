-- The sections of report_html about tasks and models; where no kind of task is set, none of them.

create function maintenance_internal.report_tasks(p_days integer)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  -- A day of model_day is one of Los Angeles.
  v_today constant date := (maintenance_internal.clock() at time zone 'America/Los_Angeles')::date;
  v_states text;
  v_days date[];
  v_costs numeric[];
  v_shown text[];
  v_table text;
  v_kinds text;
begin
  if not exists (select from maintenance.kind) then
    return '';
  end if;
  select concat('<dl class="tiles">', string_agg(concat('<div><dt>', s.state, '</dt><dd>',
    maintenance_internal.html_number(coalesce(t.tasks, 0)), '</dd></div>'), '' order by s.n),
    '</dl>')
  into v_states
  from unnest('{ready,leased,quarantined,dead,succeeded,skipped}'::text[]) with ordinality
    as s (state, n)
  left join (
    select t.state, count(*) as tasks from maintenance.task as t group by t.state
  ) as t on t.state = s.state;

  select array_agg(d.day order by d.day), array_agg(coalesce(m.cost, 0) order by d.day),
    array_agg(case when p_days <= 7
      then maintenance_internal.html_short_usd(coalesce(m.cost, 0))
      else maintenance_internal.html_usd(coalesce(m.cost, 0)) end order by d.day),
    string_agg(concat('<tr><th scope="row">', to_char(d.day, 'Dy YYYY-MM-DD'), '</th>',
      '<td class="n">', maintenance_internal.html_number(m.calls), '</td><td class="n">',
      maintenance_internal.html_number(m.answered), '</td><td class="n">',
      maintenance_internal.html_number(m.tokens_in), '</td><td class="n">',
      maintenance_internal.html_number(m.tokens_out), '</td><td class="n">',
      maintenance_internal.html_usd(m.cost), '</td></tr>'), '' order by d.day desc)
      filter (where m.calls > 0)
  into v_days, v_costs, v_shown, v_table
  from (select v_today - i as day from generate_series(0, p_days - 1) as i) as d
  left join (
    select m.day, sum(m.calls) as calls, sum(m.answered) as answered,
      sum(m.input_tokens) as tokens_in, sum(m.output_tokens) as tokens_out,
      sum(m.cost_usd) as cost
    from maintenance.model_day as m
    where m.day > v_today - p_days
    group by m.day
  ) as m on m.day = d.day;

  select string_agg(concat('<tr><th scope="row">', maintenance_internal.html_cut(k.kind, 60),
      '</th><td>', maintenance_internal.html_cut(k.model, 100), '</td><td class="n">',
      maintenance_internal.html_number(k.calls), '</td><td class="n">',
      maintenance_internal.html_number(k.answered), '</td><td class="n">',
      maintenance_internal.html_number(k.tokens_in), '</td><td class="n">',
      maintenance_internal.html_number(k.tokens_out), '</td><td class="n">',
      maintenance_internal.html_usd(k.cost), case when k.unknown > 0 then '*' end,
      '</td></tr>'), '' order by k.cost desc, k.kind, k.model)
  into v_kinds
  from (
    select m.kind, m.model, sum(m.calls) as calls, sum(m.answered) as answered,
      sum(m.input_tokens) as tokens_in, sum(m.output_tokens) as tokens_out,
      sum(m.cost_usd) as cost, sum(m.unknown_cost) as unknown
    from maintenance.model_day as m
    where m.day > v_today - p_days
    group by m.kind, m.model
    order by sum(m.cost_usd) desc
    limit 100
  ) as k;
  return maintenance_internal.report_section('tasks', 'Tasks, and what they cost',
    concat('Tasks by state, now; and what calls of models cost by day, of Los Angeles as the '
      'quotas are: ', maintenance_internal.html_usd((select sum(c) from unnest(v_costs) as c)),
      ' in all.'),
    concat(v_states, '<div class="gap"></div>',
      case when v_kinds is null
        then maintenance_internal.report_none('No model was asked in this time.')
        else concat(
          case when (select max(c) from unnest(v_costs) as c) > 0 then
            maintenance_internal.report_columns(v_days, v_costs, v_shown, 'Cost by day') end,
          '<details><summary>The numbers, day by day</summary>',
          maintenance_internal.report_table('Calls and cost by day',
            array['Day', '#Calls', '#Answered', '#Tokens in', '#Tokens out', '#Cost'], v_table),
          '</details>', maintenance_internal.report_table('Calls and cost by kind and model',
            array['Kind', 'Model', '#Calls', '#Answered', '#Tokens in', '#Tokens out', '#Cost'],
            v_kinds),
          case when v_kinds like '%*</td>%' then '<p class="when">* an estimate: of some calls '
            'the price, or what they took, is not known.</p>' end) end));
end
$$;

create function maintenance_internal.report_models()
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_rows text;
begin
  if not exists (select from maintenance.kind) then
    return '';
  end if;
  select string_agg(concat('<tr><th scope="row">', maintenance_internal.html_cut(m.model, 100),
      '</th><td>', maintenance_internal.html_badge(m.state), '</td><td class="n">',
      coalesce(trunc(m.percent) || ' % of ' || m.span, '-'), '</td><td class="n">',
      maintenance_internal.html_time(m.until), '</td><td>', m.carrier, '</td><td class="text">',
      coalesce(maintenance_internal.html_cut(m.reason, 300), '-'), '</td></tr>'), ''
      order by m.carrier desc, m.position)
  into v_rows
  from maintenance.model_status as m;
  return maintenance_internal.report_section('models', 'Models',
    'In the order in which they are asked, and whether each can be, now.',
    case when v_rows is null then maintenance_internal.report_none('No model is set.')
      else maintenance_internal.report_table('Models', array['Model', 'State',
        '#Used', '#Until', 'Asked by', 'Why'], v_rows) end);
end
$$;
