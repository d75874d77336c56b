-- A job of a database that is not pg_cron's fires there, by the statement that cron_statements printed.
\set QUIET on
set client_min_messages = error;
create extension if not exists pgtap;
select plan(2);

do $$
begin
  for i in 1 .. 280 loop
    exit when exists (select from maintenance.run_history where status <> 'running');
    perform pg_sleep(0.5);
    commit;
  end loop;
end
$$;
select results_eq('select job_name, trigger, status, rows_affected from maintenance.run_history order by run_id '
  'limit 1',
  $$values ('cleanup_expired_sessions', 'schedule', 'succeeded', 1::bigint)$$,
    'pg_cron fires a job of a database that is not its own, as scheduled');
select is((select count(*) from public.sessions), 0::bigint,
  'a job of a database that is not pg_cron''s deletes the expired session');
select * from finish();
