-- A later release has come over a database in which somebody has changed what was shipped.
\set QUIET on
set client_min_messages = error;
create extension pgtap;
select plan(4);
select results_eq($$select declared_schedule, options ->> 'keep', unlike_shipped from maintenance.job_status
  where job_name = 'purge_receipts'$$, $$values ('41 3 * * *', '10 days', '{"keep": ["60 days", "10 days"]}'::jsonb)$$,
    'the keep that somebody set stays, the schedule is that of the later release');
select results_eq($$select options ->> 'keep', (options ->> 'batch_size')::int from maintenance.job_status
  where job_name = 'cleanup_old_raw_items'$$, $$values ('20 days', 77)$$,
    'the batch size that somebody set stays, the keep is that of the later release');
select is((select count(*) from maintenance.job_status where job_name = 'weekly_index_report'), 0::bigint,
  'a job that somebody dropped stays out');
select is((select release from maintenance.version() where part = 'engine'), '0.1.0', 'the later release is installed');
select * from finish();
