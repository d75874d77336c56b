-- pg_cron itself fires a job, and its rows and its receipt show it. Takes up to a minute.
\set QUIET on
set client_min_messages = error;
create extension if not exists pgtap;
select plan(6);

insert into public.temp_uploads (token, created_at) values
  ('old', now() - interval '25 hours'), ('new', now() - interval '23 hours');
select cron.schedule('maintenance:cleanup_temp_uploads', '* * * * *',
  $$call maintenance.run_job('cleanup_temp_uploads')$$) \g /dev/null

do $$
begin
  for i in 1 .. 250 loop
    exit when exists (select from maintenance.run_history
      where job_name = 'cleanup_temp_uploads' and trigger = 'schedule' and status <> 'running');
    perform pg_sleep(0.5);
    commit;
  end loop;
end
$$;

select results_eq('select token from public.temp_uploads', array['new'], 'the row that was due is gone, the other stays');
select results_eq($$select status, rows_affected, batches, stop_reason, error from maintenance.run_history
    where job_name = 'cleanup_temp_uploads' and trigger = 'schedule' order by run_id limit 1$$,
  $$values ('succeeded', 1::bigint, 1, 'done', null::text)$$, 'the receipt says that the schedule did it');
select ok((select slot = date_trunc('minute', slot) and started_at - slot between interval '0' and interval '1 minute'
    from maintenance.run_history where trigger = 'schedule' order by run_id limit 1),
  'and names the minute that it stands for');
select is((select status from cron.job_run_details as d
    join cron.job as j using (jobid) where j.jobname = 'maintenance:cleanup_temp_uploads' order by runid limit 1),
  'succeeded', 'pg_cron says the same');
select results_eq($$select count, severity, schedule, active, last_status from public.maintenance_status
    where task = 'old_temp_uploads'$$,
  $$values (0::bigint, 'ok', '* * * * *', true, 'succeeded')$$, 'the status shows the edited schedule and the run');
select is((select outcome from maintenance.install_schedules() where job_name = 'cleanup_temp_uploads'),
  'edited by an operator', 'and the edit survives an installation');
select * from finish();
