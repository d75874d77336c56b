-- A job of a database that is not pg_cron's fires there, by the statement that cron_statements printed.
\set QUIET on
set client_min_messages = error;
create extension if not exists pgtap;
select plan(5);

do $$
begin
  for i in 1 .. 280 loop
    exit when (select count(distinct job_name) = 2 from maintenance.run_history
      where job_name in ('tick', 'cleanup_expired_sessions') and status <> 'running');
    perform pg_sleep(0.5);
    commit;
  end loop;
end
$$;
select results_eq($$select job_name, trigger, status, rows_affected from maintenance.run_history
  where job_name = 'cleanup_expired_sessions' order by run_id limit 1$$,
  $$values ('cleanup_expired_sessions', 'schedule', 'succeeded', 1::bigint)$$,
    'pg_cron fires a job of a database that is not its own, as scheduled');
select is((select count(*) from public.sessions), 0::bigint,
  'a job of a database that is not pg_cron''s deletes the expired session');
select results_eq($$select active, next_run_at > now(), scheduling from maintenance.job_status
  where job_name = 'cleanup_expired_sessions'$$,
  $$values (true, true, 'scheduled, as receipts show: pg_cron is not in this database')$$,
    'its receipt is the proof that it is scheduled');
select results_eq($$select count, severity from public.maintenance_status where task in ('scheduler', 'jobs_late')$$,
  $$values (0::bigint, 'ok'), (0, 'ok')$$, 'nothing is wrong there');
select set_config('maintenance.fake_now', (now() + interval '4 minutes')::text, false) \g /dev/null
select is((select severity from public.maintenance_status where task = 'scheduler'), 'critical',
  '... until the ticks come to an end');
select * from finish();
