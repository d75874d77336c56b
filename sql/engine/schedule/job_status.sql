-- What is in force: each job's schedule, whether it will fire, and how it ran last.

-- Whether a receipt shows that pg_cron has fired a job. The newest first: by the index of the last
-- runs, and not through all that there are.
create function maintenance_internal.was_fired(p_job_id integer)
returns boolean
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
begin atomic
  select coalesce((
    select true from maintenance_internal.run as r
    where r.job_id = p_job_id and r.status not in ('waiting', 'skipped')
      and r.trigger = 'schedule'
    order by coalesce(r.started_at, r.finished_at) desc
    limit 1), false);
end;

create view maintenance.job_status as
select
  j.job_name,
  j.kind,
  j.description,
  j.enabled,
  case when g.readable then c.schedule else j.schedule end as schedule,
  j.schedule as declared_schedule,
  f.fires is not null as active,
  case
    when c.schedule is null and j.schedule is null then 'no schedule'
    when f.is_proven and w.late_since is null then 'scheduled, as receipts show: ' || g.gap
    when g.gap is not null then 'not scheduled here: ' || g.gap
    when not g.readable then 'cron.job cannot be read here'
    when c.schedule is null and i.job_id is null and o.username <> g.username
      then format('in pg_cron for the role %s, and not for %s', o.username, g.username)
        collate pg_catalog."default"
    when c.schedule is null and i.job_id is null then 'not installed yet'
    when c.schedule is null then 'removed by an operator'
    when not c.active then 'inactive in pg_cron'
    when x.fault is not null then 'edited by an operator: ' || x.fault
    when w.next_run_at is null and f.fires is not null then 'scheduled, and never due: no day fits'
    when c.schedule is distinct from coalesce(i.schedule, j.schedule) then 'edited by an operator'
    else 'scheduled'
  end as scheduling,
  w.next_run_at,
  n.owed as owed_at,
  w.late_since,
  l.is_alive as running,
  coalesce(l.started_at, l.finished_at) as last_run_at,
  case when l.status = 'running' and not l.is_alive then 'interrupted' else l.status end
    as last_status,
  l.error as last_error,
  p.started_at as last_success_at,
  nullif(concat_ws(', ',
    case k.stop_reason
      when 'retry' then 'attempt ' || k.attempt
      when 'missed' then 'the missed slot of ' || to_char(k.slot, 'YYYY-MM-DD HH24:MI')
      when 'window' then 'its window'
    end,
    'other jobs: ' || (
      select string_agg(w.name, ', ')
      from jsonb_array_elements_text(k.details -> 'waitsFor') as w (name)),
    to_char(k.due_at, '"from" YYYY-MM-DD HH24:MI "on"')), '')
    as waiting,
  jsonb_strip_nulls(jsonb_build_object('keep', y.keep, 'batch_size', j.batch_size,
    'budget', j.budget, 'max_batches', j.max_batches, 'max_rows', j.max_rows,
    'priority', j.priority, 'timeout', j.timeout, 'depends_on', nullif(j.depends_on, '{}'),
    'grace', j.grace, 'window', to_char(j.window_start, 'HH24:MI-')
      || to_char(j.window_end, 'HH24:MI ') || j.window_zone)) as options,
  maintenance_internal.unlike_shipped(j.job_name) as unlike_shipped
from maintenance_internal.job as j
cross join maintenance_internal.cron_state() as g
left join maintenance_internal.cron_jobs() as c on c.job_name = j.job_name
left join lateral maintenance_internal.cron_fault(c.schedule) as x on c.schedule is not null
left join maintenance_internal.policy as y on y.job_id = j.job_id
left join maintenance_internal.installed_schedule as o
  on o.job_id = j.job_id and o.home = g.home
left join maintenance_internal.installed_schedule as i
  on i.job_id = o.job_id and o.username = g.username
-- The last that says how it is: one that waited in vain, too. Of a run that ends while this is read
-- the session is gone, and its receipt still says running: it was at work just now.
left join lateral (
  select r.*, r.status = 'running' and (r.cron_run_id is not null
      or r.touched_at > clock_timestamp() - interval '10 seconds'
      or maintenance_internal.is_alive(r.job_id, r.backend_pid, r.touched_at)) as is_alive
  from maintenance_internal.run as r
  where r.job_id = j.job_id
    and (r.status not in ('waiting', 'skipped') or r.status = 'skipped' and r.error is not null)
  order by coalesce(r.started_at, r.finished_at) desc
  limit 1
) as l on true
left join maintenance_internal.run as k on k.job_id = j.job_id and k.status = 'waiting'
left join lateral (
  select r.started_at from maintenance_internal.run as r
  where r.job_id = j.job_id and r.status = 'succeeded'
  order by r.started_at desc
  limit 1
) as p on true
-- The schedule that somebody fires it by: pg_cron here, or one that cannot be seen, as the
-- receipts of the job or of the tick prove. A statement leaves none where pg_cron's history
-- cannot be read.
cross join lateral (
  select q.is_proven,
    case
      when not j.enabled then null
      when not maintenance_internal.is_own(j.statement)
        and exists (select from maintenance_internal.control as b where b.paused_at is not null)
        then null
      when c.active then c.schedule
      when g.gap is null and not g.readable and i.job_id is not null or q.is_proven
        then j.schedule
    end as fires
  from (
    select g.gap is not null
      and (j.kind <> 'statement' or maintenance_internal.is_own(j.statement))
      and (maintenance_internal.was_fired((
          select min(t.job_id) from maintenance_internal.job as t
          where t.statement = maintenance_internal.tick_statement()))
        or maintenance_internal.was_fired(j.job_id)) as is_proven
  ) as q
  offset 0
) as f
-- What it owes: the first slot since its last trace, or since its schedule began to count. Late
-- is one that came two minutes ago and that nobody is at; a statement, whose receipt the tick
-- writes, when the tick has come two minutes after it. Not while the server has only just
-- started, nor before the tick has seen an edit. Late, too, is a run that goes on for longer than
-- its budget. The tick catches up by what stands here (find_missed).
cross join lateral (
  select maintenance_internal.nearest_slot(f.fires, greatest(j.promised_at, (
    select b.promised_at from maintenance_internal.control as b), (
    select max(r.traced_at) from maintenance_internal.run as r where r.job_id = j.job_id)),
    true, g.zone) as owed
  offset 0 -- read once, and not wherever it is named
) as n
cross join lateral (
  select
    case when n.owed > maintenance_internal.clock() then n.owed else
      maintenance_internal.nearest_slot(f.fires, maintenance_internal.clock(), true, g.zone) end
      as next_run_at,
    case
      when l.is_alive and j.kind <> 'statement'
        and l.started_at + j.budget < maintenance_internal.clock() - interval '2 minutes'
        then l.started_at + j.budget
      when n.owed <= maintenance_internal.clock() - interval '2 minutes'
        and l.is_alive is not true
        and case
          when j.statement = maintenance_internal.run_late_statement() then not exists (
            -- It is at one of the runs that have waited.
            select from maintenance_internal.run as r
            where r.status = 'running' and r.cron_run_id is null and r.due_at is not null
              and maintenance_internal.is_alive(r.job_id, r.backend_pid, r.touched_at))
          when j.kind <> 'statement' or maintenance_internal.is_own(j.statement) then true
          else n.owed <= (
            select max(r.started_at) - interval '2 minutes' from maintenance_internal.run as r
            join maintenance_internal.job as t on t.job_id = r.job_id
            where t.statement = maintenance_internal.tick_statement() and r.status <> 'skipped')
          end
        and pg_postmaster_start_time() < maintenance_internal.clock() - interval '2 minutes'
        and (i.seen is null or c.schedule is null
          or i.seen = jsonb_build_object('schedule', c.schedule, 'active', c.active))
      then n.owed end as late_since
) as w;

comment on view maintenance.job_status is
  'One row per job: its schedule in force, when it runs next, and how it ran last.';
comment on column maintenance.job_status.job_name is
  'unique; pg_cron knows it as maintenance:<job_name>';
comment on column maintenance.job_status.kind is
  'policy (a rule over a table), function (a step called until it is done) or statement (run by '
  'pg_cron itself)';
comment on column maintenance.job_status.description is 'what it is for, in words';
comment on column maintenance.job_status.enabled is
  'our own flag (enable_job, disable_job): a disabled job leaves skipped receipts';
comment on column maintenance.job_status.schedule is
  'the schedule in force: pg_cron''s where it can be read, else the declared one';
comment on column maintenance.job_status.declared_schedule is
  'what set_policy, set_job or set_statement last declared';
comment on column maintenance.job_status.active is
  'pg_cron will start it, it is enabled, and nothing is paused';
comment on column maintenance.job_status.scheduling is
  'scheduled, or why not, or what is wrong with the schedule that somebody put into pg_cron';
comment on column maintenance.job_status.next_run_at is
  'when pg_cron starts it next; null where it will not, or where its schedule cannot be read: '
  'scheduling says why';
comment on column maintenance.job_status.owed_at is
  'the first slot since its last trace, and since its schedule began to count: what it owes a run '
  'for, where that is past, or will';
comment on column maintenance.job_status.late_since is
  'the first slot, of its schedule, that has come and gone without any receipt; or when the run '
  'that goes on should have been over; null where it is not late';
comment on column maintenance.job_status.running is 'a run is going on, and is at work';
comment on column maintenance.job_status.last_run_at is
  'when its last run began, or was given up; what was skipped for another reason does not count';
comment on column maintenance.job_status.last_status is
  'how that run ended (see run_history.status), or running; skipped where it waited in vain; '
  'interrupted, too, where its receipt is still open and nobody is at work';
comment on column maintenance.job_status.last_error is 'its first error, without any row''s text';
comment on column maintenance.job_status.last_success_at is
  'when the last run that succeeded began';
comment on column maintenance.job_status.waiting is
  'what a run of it waits for, and from when on it may begin; null where none waits';
comment on column maintenance.job_status.options is
  'what is in force: keep of a policy, and what configure_job sets';
comment on column maintenance.job_status.unlike_shipped is
  'what somebody has changed of a shipped job, {"keep": ["90 days", "30 days"]}: as it was '
  'shipped, and as it is; a later release leaves it so. drop_job, and register of its '
  'name, bring the shipped one back';
