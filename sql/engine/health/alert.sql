-- The alerts: one row per cause, opened once and closed when the cause has been away for a while.
-- The row of maintenance_status about them is here, too.

create table maintenance.alert (
  alert_id bigint generated always as identity,
  cause text not null,
  subject text not null default '',
  severity text not null,
  description text not null,
  advice text,
  opened_at timestamptz not null,
  seen_at timestamptz not null,
  gone_at timestamptz,
  closed_at timestamptz,
  told text,
  silenced_until timestamptz,
  silenced_by text,
  constraint alert_pkey primary key (alert_id),
  constraint alert_severity_is_known check (severity in ('warning', 'critical')),
  constraint alert_is_gone_before_it_is_closed check (closed_at is null or gone_at is not null)
) with (fillfactor = 70);

create unique index alert_open_is_unique on maintenance.alert (cause, subject)
where closed_at is null;
create index alert_cause_idx on maintenance.alert (cause, subject, alert_id);
create index alert_closed_at_idx on maintenance.alert (closed_at) where closed_at is not null;

comment on table maintenance.alert is
  'What somebody should be called for, one row per cause and time (S1-20, S2-29, S4-17, S4-22). '
  'The job alert_monitor opens and closes them, and tells it by NOTIFY maintenance_alert: '
  '{"alert_id", "event": "opened", "raised" (from warning to critical) or "closed", "cause", '
  '"severity"}; anybody who may connect can listen, so the words are here alone.';
comment on column maintenance.alert.cause is
  'scheduler, jobs_late, job_failing, job_slow, backlog_growing, tasks_due, tasks_leased, '
  'tasks_quarantined, tasks_dead, subjects_to_erase, blobs_due, blobs_dead, model, health or setup';
comment on column maintenance.alert.subject is
  'which job, model or check; empty where the cause says all';
comment on column maintenance.alert.severity is 'warning or critical, as it was when last seen';
comment on column maintenance.alert.description is 'what is wrong';
comment on column maintenance.alert.advice is 'what to do about it, with the statement to paste';
comment on column maintenance.alert.seen_at is 'when the cause was last there';
comment on column maintenance.alert.gone_at is
  'since when the cause is away; null while it is there';
comment on column maintenance.alert.closed_at is
  'when the alert was closed, the cause having been away for the setting alert_quiet_minutes; null '
  'while it is open';
comment on column maintenance.alert.told is
  'the worst severity that was told by NOTIFY; null: nobody was called for it';
comment on column maintenance.alert.silenced_until is
  'nobody is called about this cause before (silence_alert), nor does the status count it';

create function maintenance.silence_alert(alert_id bigint, until timestamptz)
returns maintenance.alert
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  v_alert maintenance.alert;
begin
  if silence_alert.until < maintenance_internal.clock() then
    raise exception '% is over', silence_alert.until
      using errcode = 'PM002', hint = 'A time to come, as now() + interval ''2 hours'', or null: '
        'it is silent no more.';
  end if;
  update maintenance.alert as a
  set silenced_until = silence_alert.until,
    silenced_by = case when silence_alert.until is not null then session_user end
  where a.alert_id = silence_alert.alert_id and a.closed_at is null
  returning a.* into v_alert;
  if not found then
    raise exception 'there is no open alert %', coalesce(silence_alert.alert_id::text, 'null')
      using errcode = 'PM002', hint = 'select alert_id, cause, subject, description from '
        'maintenance.alert where closed_at is null;';
  end if;
  return v_alert;
end
$$;

comment on function maintenance.silence_alert(bigint, timestamptz) is
  'Has nobody called about an open alert until a time; also when it is closed and its cause comes '
  'back before. until null: it is silent no more. Errors: PM002 no open alert of that number, or '
  'a time that is over.';

create function maintenance_internal.alert_backlog()
returns table (
  task text,
  count bigint,
  description text,
  severity text,
  oldest timestamptz,
  advice text)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
#variable_conflict use_column
begin
  return query
    select 'open_alerts', count(*), 'Alerts whose cause is there, and that nobody has silenced',
      case when bool_or(a.severity = 'critical') then 'critical' when count(*) > 0 then 'warning'
        else 'ok' end,
      min(a.opened_at),
      -- What other rows say in full is named alone.
      string_agg(concat_ws(' ', concat_ws(' of ', a.cause, nullif(a.subject, '')) || case
          when a.cause in ('job_slow', 'backlog_growing', 'health', 'setup', 'model')
            then concat(': ', a.description, '.', ' ' || a.advice) else '.' end), ' '
        order by a.severity, a.alert_id) filter (where a.n <= 3)
      || ' select * from maintenance.alert where closed_at is null;'
    from (
      select o.*, row_number() over (order by o.severity, o.alert_id) as n
      from maintenance.alert as o
      where o.closed_at is null and o.gone_at is null
        and (o.silenced_until > maintenance_internal.clock()) is not true
    ) as a;
exception when lock_not_available then
  return query
    select 'open_alerts', null::bigint, 'Open alerts: cannot be counted', 'critical',
      null::timestamptz, maintenance_internal.lock_advice('maintenance.alert');
end
$$;
