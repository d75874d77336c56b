-- Our jobs as pg_cron has them now; no row where it cannot be read.
-- cron.job shows each role its own rows by a policy: row security has to be on here.

create function maintenance_internal.cron_jobs()
returns table (job_name text, cron_job_id bigint, schedule text, command text, active boolean)
language plpgsql
stable
rows 20
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set lock_timeout = '200ms'
as $$
begin
  if (maintenance_internal.cron_state()).readable then
    return query execute
      'select substr(c.jobname::text, 13), c.jobid, c.schedule, c.command, c.active '
      'from cron.job as c where c.jobname::text like ''maintenance:%'' '
      'and c.username = current_user and c.database = current_database()';
  end if;
end
$$;
