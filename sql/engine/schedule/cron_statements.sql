-- For a database that is not pg_cron's, on the same server: what schedules its jobs from there.

-- By what name pg_cron knows a job of this database there: it keeps one of a name for each role,
-- whatever the database, and cuts what is longer than 63 bytes.
create function maintenance_internal.cron_name(p_job_name text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return case
  when octet_length(p_job_name || current_database()) <= 50
    then format('maintenance:%s@%s', p_job_name, current_database())
  else format('maintenance:%s@%s', left(p_job_name, 38),
    left(md5(p_job_name || '@' || current_database()), 12))
end;

create function maintenance_internal.cron_statement(p_job maintenance_internal.job, p_schedule text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return case
  when p_schedule is null then format(
    'select cron.unschedule(jobid) from cron.job where database = %L and jobname in (%L, %L);',
    current_database(), maintenance_internal.cron_name(p_job.job_name),
    'maintenance:' || p_job.job_name)
  else format('select cron.schedule_in_database(%L, %L, %L, %L, %L);',
    maintenance_internal.cron_name(p_job.job_name), p_schedule,
    maintenance_internal.cron_command(p_job), current_database(), current_user)
end;

-- Where pg_cron fires jobs of this database and cannot be told from here: says what is to be said,
-- after a job has changed.
create function maintenance_internal.tell_elsewhere(
  p_job maintenance_internal.job,
  p_schedule text,
  p_statement text default null)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_state record := maintenance_internal.cron_state();
begin
  if v_state.gap is not null
    and exists (select from maintenance_internal.run as r where r.trigger = 'schedule')
  then
    raise warning 'pg_cron, which fires the jobs of this database, has not heard of "%": %',
        p_job.job_name, v_state.gap
      using hint = case when p_schedule is not null and v_state.gap !~ '^pg_cron (lives|is)'
        then v_state.mend || ' Then: select * from maintenance.install_schedules();'
        else 'As a superuser, where pg_cron lives: '
          || coalesce(p_statement, maintenance_internal.cron_statement(p_job, p_schedule)) end;
  end if;
end
$$;

create function maintenance.cron_statements()
returns setof text
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
begin atomic
  select maintenance_internal.cron_statement(j, j.schedule)
  from maintenance_internal.job as j
  where j.schedule is not null
  order by j.job_id;
end;

comment on function maintenance.cron_statements() is
  'The statements that schedule every job of this database, for pg_cron''s own database where that '
  'is another one of the server, to be run by a superuser there; the jobs run as the engine''s '
  'owner. One row per job.';
