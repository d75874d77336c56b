-- What has to be looked at every minute, in milliseconds.

create procedure maintenance.tick()
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
set timezone = 'UTC'
set lock_timeout = '5s'
as $$
begin
  perform maintenance.note_statements();
end
$$;

comment on procedure maintenance.tick() is
  'What has to be looked at every minute: writes the receipts of the statements that pg_cron ran. '
  'The job tick calls it.';
