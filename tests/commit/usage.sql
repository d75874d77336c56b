-- S2-03: who logs a call neither waits long nor fails where somebody else holds the count of its model; and what was
-- not counted is made up for.
\set QUIET on
set client_min_messages = error;
create extension pgtap;
select plan(7);
\ir connect.psql
select maintenance.set_model('mine', 20, carrier => 'application', per_month => 1000) \g /dev/null
create function pg_temp.used() returns bigint language sql as $$
  select (s.used -> 'month' ->> 0)::bigint from maintenance.model_status as s where s.model = 'mine' $$;

insert into public.api_usage_logs (model_used) values ('mine');
select is(pg_temp.used(), 1::bigint, 'S2-03: a call that is logged is counted');
select dblink_exec('other', 'begin') \g /dev/null
select dblink_exec('other', $$do 'begin perform maintenance.record_usage(''mine''); end'$$) \g /dev/null
insert into public.api_usage_logs (model_used) values ('mine'), ('mine'), ('mine');
select is((select count(*) from public.api_usage_logs), 4::bigint,
  'S2-03: where another session holds the count, a log is written all the same');
select maintenance.set_model('free', 21, carrier => 'application', per_month => 1000) \g /dev/null
alter table public.api_usage_logs disable trigger api_usage_logs_are_counted;
insert into public.api_usage_logs (model_used) values ('free');
alter table public.api_usage_logs enable trigger api_usage_logs_are_counted;
call maintenance.run_job('rate_limit_monitor');
select results_eq($$select status, rows_affected, details -> 'held' from maintenance.run_history
  where job_name = 'rate_limit_monitor' order by run_id desc limit 1$$,
  $$values ('succeeded', 1::bigint, '["mine"]'::jsonb)$$,
  'S2-03: the monitor leaves a count that is held for the next time, and goes on with the others');
select dblink_exec('other', 'commit') \g /dev/null
select is(pg_temp.used(), 2::bigint, 'S2-03: three calls are not counted yet');
call maintenance.run_job('rate_limit_monitor');
select is((select rows_affected from maintenance.run_history where job_name = 'rate_limit_monitor'
  order by run_id desc limit 1), 2::bigint, 'S2-03: within a minute; what was counted besides may stand for one');
select is(pg_temp.used(), 4::bigint, 'S2-03: all are counted');
-- Under repeatable read, too.
begin isolation level repeatable read;
select count(*) from public.users \g /dev/null
select dblink_exec('other', $$insert into public.api_usage_logs (model_used) values ('mine')$$) \g /dev/null
insert into public.api_usage_logs (model_used) values ('mine');
commit;
call maintenance.run_job('rate_limit_monitor');
select is(pg_temp.used(), 6::bigint, 'S2-03: what an old snapshot cannot count is logged, and counted later');
select * from finish();
