-- What has to be looked at every minute, in milliseconds.

create procedure maintenance.tick()
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
begin
  perform maintenance_internal.close_dead_runs();
  perform maintenance_internal.record_statements();
  perform maintenance_internal.record_schedule_edit(i.job_id, 'pg_cron')
  from maintenance_internal.installed_schedule as i;
end
$$;

comment on procedure maintenance.tick() is
  'What has to be looked at every minute: closes the receipts of dead runs, writes those of the '
  'statements that pg_cron ran, and keeps what somebody has edited in pg_cron. The job tick calls '
  'it.';
