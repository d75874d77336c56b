-- The rows of maintenance_status about blobs; none where no table names any.

create function maintenance_internal.blob_backlog()
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
declare
  v_cap constant integer := 10000;
  v_now constant timestamptz := maintenance_internal.moment();
  v_row record;
  v_tables bigint;
  v_fault text;
begin
  select count(*), min(t.fault) into v_tables, v_fault
  from maintenance_internal.blob_tables() as t;
  if v_tables = 0 and not exists (select from maintenance.blob) then
    return;
  end if;
  select count(*) as blobs, min(d.due_at) as since,
    (array_agg(d.last_error order by d.due_at) filter (where d.last_error <> ''))[1] as error
  into v_row
  from (
    select b.due_at, b.last_error from maintenance.blob as b
    where b.state <> 'dead' and b.due_at <= v_now
    order by b.due_at
    limit v_cap
  ) as d;
  return query
    select 'blobs_due', v_row.blobs, 'Blobs to be deleted from the store' || case
        when v_row.blobs >= v_cap then format('; at least %s', v_cap) else '' end,
      case
        when v_fault is not null then 'warning'
        when v_row.blobs = 0 then 'ok'
        when v_row.since < v_now - interval '1 hour' and not maintenance_internal.is_paused()
          then 'warning'
        else 'notice'
      end,
      v_row.since,
      case
        when v_fault is not null
          then format('None is handed out, since what a table names cannot be told: %s. Mend it, '
            'or drop its triggers that call maintenance.track_blobs.', v_fault)
        when v_row.blobs = 0 then null
        when maintenance_internal.is_paused()
          then format('All jobs are %s. select maintenance.resume();',
            maintenance_internal.pause_text())
        when v_row.since < v_now - interval '1 hour'
          then 'Due for more than an hour: ' || coalesce('the store says: ' || v_row.error
            || '. When that is mended, at once: select maintenance.retry_blobs();',
            'is a worker running that has BLOB_STORE set? npm start')
      end;

  select count(*) as blobs, min(d.dead_at) as since,
    (array_agg(d.last_error order by d.dead_at))[1] as error into v_row
  from (
    select b.dead_at, b.last_error from maintenance.blob as b
    where b.state = 'dead'
    order by b.dead_at
    limit v_cap
  ) as d;
  return query
    select 'blobs_dead', v_row.blobs, 'Blobs that could not be deleted from the store, and were '
        'given up' || case when v_row.blobs >= v_cap then format('; at least %s', v_cap)
          else '' end,
      case when v_row.blobs = 0 then 'ok' else 'warning' end,
      v_row.since,
      case when v_row.blobs > 0 then format('The first: %1$s. Which, as the owner: select blob_id, '
        'url, last_error from maintenance.blob where state = ''dead''; all of them once more: '
        'select maintenance.retry_blobs(); those of this error, which then stay in the store for '
        'ever: delete from maintenance.blob where state = ''dead'' and last_error = %1$L;',
        v_row.error) end;
exception when lock_not_available then
  return query
    select 'blobs_due', null::bigint, 'Blobs to be deleted from the store: cannot be counted',
      'critical', null::timestamptz, maintenance_internal.lock_advice('maintenance.blob');
end
$$;
