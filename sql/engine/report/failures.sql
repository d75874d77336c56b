-- The section of report_html about runs that did not succeed. What a receipt says of errors is its
-- error, which has no row's text.

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
