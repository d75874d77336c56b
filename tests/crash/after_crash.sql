-- After a crash in the fourth batch of a purge of 1,000 rows: what its receipt says is what was done,
-- and the next run closes it and does the rest.
\set QUIET on
set client_min_messages = error;
create extension if not exists pgtap;
select plan(7);

create temporary table crashed as
select run_id, status, rows_affected from maintenance_internal.run order by run_id desc limit 1;
select is((select status from crashed), 'running', 'after a crash the receipt still says running');
select ok((select rows_affected from crashed) <= 300,
  'the receipt of a crashed run does not count the batch that was going on');
-- The last batches before a crash may be lost; then their receipt is, too.
select is((select rows_affected from crashed), 1000 - (select count(*) from public.events),
  'after a crash the rows on the receipt and the rows that are left are all there were');
select is((select count(*) from pg_locks where locktype = 'advisory'), 0::bigint, 'no lock is left after a crash');

select public.wake() \g /dev/null
call maintenance.run_job('purge') \g /dev/null
select results_eq($$select r.status, r.stop_reason, r.rows_affected from maintenance_internal.run as r join crashed as c
  using (run_id)$$,
  $$select 'interrupted', 'backend_gone', rows_affected from crashed$$,
    'the run after a crash closes the receipt of the crashed one as interrupted');
select results_eq($$select status, stop_reason, rows_affected from maintenance_internal.run order by run_id desc
  limit 1$$,
  $$select 'succeeded', 'done', 1000 - rows_affected from crashed$$, 'the run after a crash does the rest');
select results_eq('select (select count(*) from public.events), (select sum(taken)::bigint from public.taken)',
  'values (0::bigint, 1000::bigint)', 'when the run after a crash has ended no row is left, and none was taken twice');
select * from finish();
