-- Opens and closes the alerts, and tells it to who listens. One of the kit's own jobs, as the tick:
-- it goes on while all others are paused, and leaves one receipt.

create function maintenance_internal.watch()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now constant timestamptz := maintenance_internal.clock();
  v_told bigint;
  v_quiet constant interval := least(
    coalesce(maintenance_internal.setting('alert_quiet_minutes'), 0), 1e6) * interval '1 minute';
begin
  with cause as materialized (
    select distinct on (c.cause, c.subject) c.* from maintenance_internal.alert_causes() as c
    order by c.cause, c.subject, c.severity
  ),
  -- One that somebody is just silencing is for the next look.
  before as materialized (
    select a.* from maintenance.alert as a where a.closed_at is null for update skip locked
  ),
  seen as (
    update maintenance.alert as a
    set severity = c.severity, description = c.description, advice = c.advice, seen_at = v_now,
      gone_at = null,
      told = case when (b.silenced_until > v_now) is true then b.told
        else least(b.told, c.severity) end -- critical comes before warning
    from cause as c
    join before as b on b.cause = c.cause and b.subject = c.subject
    where a.alert_id = b.alert_id
    returning a.*, case when b.told is null and a.told is not null then 'opened'
      when a.told < b.told then 'raised' end as event
  ),
  opened as (
    insert into maintenance.alert as a
      (cause, subject, severity, description, advice, opened_at, seen_at, silenced_until,
        silenced_by, told)
    select c.cause, c.subject, c.severity, c.description, c.advice, v_now, v_now,
      l.silenced_until, l.silenced_by, case when l.silenced_until is null then c.severity end
    from cause as c
    -- Who has silenced a cause has silenced it when it comes back, too.
    left join lateral (
      select o.silenced_until, o.silenced_by from maintenance.alert as o
      where o.cause = c.cause and o.subject = c.subject
      order by o.alert_id desc
      limit 1
    ) as l on l.silenced_until > v_now
    where not exists (
      select from maintenance.alert as o
      where o.cause = c.cause and o.subject = c.subject and o.closed_at is null)
    on conflict (cause, subject) where closed_at is null do nothing
    returning a.*, case when a.told is not null then 'opened' end as event
  ),
  gone as (
    update maintenance.alert as a
    set gone_at = coalesce(b.gone_at, v_now),
      closed_at = case when coalesce(b.gone_at, v_now) + v_quiet <= v_now then v_now end
    from before as b
    where a.alert_id = b.alert_id and not exists (
      select from cause as c where c.cause = b.cause and c.subject = b.subject)
    -- Who was called is told the end, silent or not.
    returning a.*, case when a.closed_at is not null and a.told is not null then 'closed' end
      as event
  )
  select count(pg_notify('maintenance_alert', jsonb_build_object('alert_id', e.alert_id, 'event',
    e.event, 'cause', e.cause, 'severity', e.severity)::text))
  into v_told
  from (
    select * from seen union all select * from opened union all select * from gone
  ) as e
  where e.event is not null;
end
$$;

create procedure maintenance.alert_monitor()
language plpgsql
as $$
declare
  v_began timestamptz;
  v_faults jsonb;
begin
  call maintenance_internal.check_outside('maintenance.alert_monitor');
  v_began := maintenance_internal.moment();
  v_faults := maintenance_internal.tick_step('watch', '[]');
  commit;
  perform maintenance_internal.note_visit(
    maintenance_internal.alert_statement(), v_began, v_faults);
end
$$;

comment on procedure maintenance.alert_monitor() is
  'Opens an alert for each cause that somebody should be called for, and closes it when that has '
  'been away for the setting alert_quiet_minutes (S1-15, S1-20, S2-29, S4-17, S4-22): see the '
  'table maintenance.alert. The job alert_monitor calls it every minute, also while all others '
  'are paused. Errors: 2D000 called inside a transaction.';
