-- After a crash in the fourth batch of a purge of 1,000 rows: what its receipt says is what was done,
-- and the next run closes it and does the rest.
\set QUIET on
set client_min_messages = error;
create extension if not exists pgtap;
select plan(7);

create temporary table crashed as
select run_id, status, rows_affected from maintenance_internal.run order by run_id desc limit 1;
select is((select status from crashed), 'running', 'the receipt still says running');
select ok((select rows_affected from crashed) <= 300, 'the batch that was going on is not on it');
-- The last batches before a crash may be lost; then their receipt is, too.
select is((select rows_affected from crashed), 1000 - (select count(*) from public.events),
  'done and left are all there was');
select is((select count(*) from pg_locks where locktype = 'advisory'), 0::bigint, 'no lock is left');

select public.wake() \g /dev/null
call maintenance.run_job('purge') \g /dev/null
select results_eq($$select r.status, r.stop_reason, r.rows_affected from maintenance_internal.run as r join crashed as c
  using (run_id)$$,
  $$select 'interrupted', 'backend_gone', rows_affected from crashed$$, 'the next run closes it');
select results_eq($$select status, stop_reason, rows_affected from maintenance_internal.run order by run_id desc
  limit 1$$,
  $$select 'succeeded', 'done', 1000 - rows_affected from crashed$$, 'and does the rest');
select results_eq('select (select count(*) from public.events), (select sum(taken)::bigint from public.taken)',
  'values (0::bigint, 1000::bigint)', 'nothing is left, and nothing was done twice');
select * from finish();
