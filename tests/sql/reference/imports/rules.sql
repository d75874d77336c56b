-- The import jobs, rule by rule: S1-01 to S1-08, C-12 to C-16.
begin;
create extension pgtap;
select plan(45);

select has_function('public', f, '{}'::text[], f || ' is there')
from unnest(array['mark_stuck_import_runs', 'cleanup_temp_uploads', 'cleanup_old_raw_items', 'compact_old_import_jobs',
  'run_maintenance_cleanup']) f;
select function_returns('public', f, 'integer', f || ' returns integer')
from unnest(array['mark_stuck_import_runs', 'cleanup_temp_uploads', 'cleanup_old_raw_items',
  'compact_old_import_jobs']) f;

-- S1-01 stuck runs
insert into public.import_runs (id, status, started_at, created_at, summary, error) values
  ('00000000-0000-0000-0000-000000000001', 'processing', now() - interval '25 hours', now(), '{"rows": 3}', null),
  ('00000000-0000-0000-0000-000000000002', 'processing', now() - interval '23 hours', now(), null, null),
  ('00000000-0000-0000-0000-000000000003', 'pending', now() - interval '25 hours', now(), null, null),
  ('00000000-0000-0000-0000-000000000004', 'processing', null, now() - interval '25 hours', '7', 'bad line'),
  ('00000000-0000-0000-0000-000000000005', 'processing', now() - interval '24 hours', now(), '[1]', null),
  ('00000000-0000-0000-0000-000000000006', 'processing', now() + interval '25 hours', now(), 'null', null);
select is((select count from public.maintenance_status where task = 'stuck_runs'), 3::bigint,
  'S1-08: the status counts three stuck import runs');
select is(public.mark_stuck_import_runs(), 3,
  'S1-01: stuck runs are marked as failed, the one at exactly 24 hours among them');
select results_eq($$select right(id::text, 1), status, finished_at = now(), summary::text, error from public.import_runs
    where status <> 'processing' and status <> 'pending' order by 1$$,
  $$values ('1', 'failed', true, '{"rows": 3, "error": "timeout"}', 'timeout: still processing after 24 hours'),
    ('4', 'failed', true, '{"error": "timeout", "summary": 7}', 'bad line; timeout: still processing after 24 hours'),
    ('5', 'failed', true, '{"error": "timeout", "summary": [1]}', 'timeout: still processing after 24 hours')$$,
  'C-16: a stuck run has the timeout in summary and error, and keeps a scalar summary');
select is(public.mark_stuck_import_runs(), 0, 'a second call of mark_stuck_import_runs() marks nothing');

-- S1-02 uploads
insert into public.temp_uploads (token, created_at) values
  ('old', now() - interval '25 hours'), ('new', now() - interval '23 hours'),
  ('used', now() - interval '25 hours'), ('done', now() - interval '25 hours');
insert into public.import_jobs (upload_ref, status) values ('used', 'processing'), ('done', 'completed');
select is((select count from public.maintenance_status where task = 'old_temp_uploads'), 2::bigint,
  'the status counts two uploads as due');
select is(public.cleanup_temp_uploads(), 2, 'S1-02: old uploads are deleted');
select results_eq('select token from public.temp_uploads order by 1', array['new', 'used'],
  'C-14: an upload that a running import job refers to is kept');
select is((select details ->> 'kept' from maintenance.run_history where job_name = 'cleanup_temp_uploads'
  order by run_id desc limit 1),
  '1', 'C-14: the receipt counts the uploads that were kept');

-- An upload is spared only while its import goes on; a job fails with its run.
insert into public.import_runs (id, status) values
  ('00000000-0000-0000-0000-00000000000a', 'processing'), ('00000000-0000-0000-0000-00000000000b', 'pending'),
  ('00000000-0000-0000-0000-00000000000c', 'failed'), ('00000000-0000-0000-0000-00000000000d', 'success');
insert into public.temp_uploads (token, created_at)
select 'of ' || n, now() - interval '25 hours' from unnest(array['a', 'b', 'c', 'd', 'lost']) as n;
insert into public.import_jobs (upload_ref, import_run_id, created_at, error_message)
select 'of ' || n, ('00000000-0000-0000-0000-00000000000' || n)::uuid, now() - interval '3 days',
  case n when 'c' then 'line 7' end from unnest(array['a', 'b', 'c', 'd']) as n;
insert into public.import_jobs (upload_ref, created_at) values ('of lost', now() - interval '25 hours');
create temporary table before as select id from public.import_jobs where upload_ref like 'of %';
select is((select count from public.maintenance_status where task = 'stuck_import_jobs'), 2::bigint,
  'the status counts two stuck import jobs');
savepoint order_of_rules;
select is(public.cleanup_temp_uploads(), 3, 'an upload whose import is not going on is deleted, whatever its job says');
select results_eq('select token from public.temp_uploads order by 1', array['new', 'of a', 'of b', 'used'],
  'one whose run is pending or processing is kept');
select is(maintenance.run_now('fail_import_jobs') #>> '{data,rowsAffected}', '2', 'jobs fail with their runs');
select results_eq($$select upload_ref, status, error_message, finished_at = now() from public.import_jobs
    where upload_ref like 'of %' order by 1$$,
  $$values ('of a', 'processing', null, null::boolean), ('of b', 'processing', null, null), ('of c', 'failed',
    'line 7; its import run failed', true), ('of d', 'processing', null, null),
    ('of lost', 'failed', 'its import run failed', true)$$, 'they say so, and a job of a run that goes on stays');
rollback to order_of_rules;
select is(maintenance.run_now('fail_import_jobs') #>> '{data,rowsAffected}', '2',
  'the other way round: the same jobs fail');
select is(public.cleanup_temp_uploads(), 3, '... and the same uploads go');
update public.import_runs set started_at = now() - interval '2 days' where id::text like '%a';
select is(public.mark_stuck_import_runs(), 1, 'when the run hangs, it fails');
select is(maintenance.run_now('fail_import_jobs') #>> '{data,rowsAffected}', '1', '... its job with it');
select is(public.cleanup_temp_uploads(), 1, '... and its upload goes');
delete from public.import_runs where id::text ~ '0[a-d]$';
delete from public.temp_uploads where token like 'of %';

-- S1-04 raw items
insert into public.import_runs (id, status, started_at, finished_at) values
  ('00000000-0000-0000-0000-000000000011', 'failed', now() - interval '40 days', now() - interval '31 days'),
  ('00000000-0000-0000-0000-000000000012', 'partial', now() - interval '40 days', now() - interval '31 days'),
  ('00000000-0000-0000-0000-000000000013', 'success', now() - interval '40 days', now() - interval '31 days'),
  ('00000000-0000-0000-0000-000000000014', 'failed', now() - interval '40 days', now() - interval '29 days'),
  ('00000000-0000-0000-0000-000000000015', 'failed', now() - interval '40 days', null);
insert into public.raw_import_items (import_run_id, created_at)
select id, now() - age from public.import_runs, (values (interval '31 days'), (interval '29 days')) v (age)
where id::text like '%1_' and started_at < now() - interval '39 days';
select is((select count from public.maintenance_status where task = 'old_raw_items'), 3::bigint,
  'the status counts three raw items as due');
select is(public.cleanup_old_raw_items(), 3, 'S1-04, C-12: old items of runs that ended failed or partial long ago go');
select results_eq($$select right(import_run_id::text, 1), count(*) from public.raw_import_items group by 1 order by 1$$,
  $$values ('1', 1::bigint), ('2', 1), ('3', 2), ('4', 2), ('5', 1)$$,
    'raw items that are young, or whose run is recent, unended or a success, stay');

-- S1-03 compaction
delete from public.import_jobs;
insert into public.import_jobs (id, status, created_at, mapping, options, error_message, total_rows,
  processed_rows) values
  ('00000000-0000-0000-0000-000000000021', 'completed', now() - interval '8 days', '{"a": "b"}', '{"x": 1}', null,
    5, 5),
  ('00000000-0000-0000-0000-000000000022', 'failed', now() - interval '8 days', '{"compacted": "amount"}', null,
    'broken', 5, 2),
  ('00000000-0000-0000-0000-000000000023', 'cancelled', now() - interval '8 days', '[1]', null, null, null, null),
  ('00000000-0000-0000-0000-000000000024', 'processing', now() - interval '8 days', '{"a": "b"}', null, null, null,
    null),
  ('00000000-0000-0000-0000-000000000025', 'completed', now() - interval '6 days', '{"a": "b"}', null, null, null,
    null),
  ('00000000-0000-0000-0000-000000000026', 'completed', now() - interval '8 days', '{"compacted": true}', null, null,
    null, null);
select is((select count from public.maintenance_status where task = 'old_import_jobs'), 4::bigint,
  'the status counts four import jobs as due');
select is(public.compact_old_import_jobs(), 4, 'S1-03: old import jobs are compacted, whatever their mapping holds');
select results_eq($$select right(id::text, 1), mapping::text, options::text, error_message, total_rows,
  compacted_at = now()
    from public.import_jobs where compacted_at is not null order by 1$$,
  $$values ('1', '{"compacted": true}', '{"compacted": true}', null::text, 5, true),
    ('2', '{"compacted": true}', '{"compacted": true}', 'broken', 5, true),
    ('3', '{"compacted": true}', '{"compacted": true}', null, null, true),
    ('6', '{"compacted": true}', '{"compacted": true}', null, null, true)$$,
  'C-13: a compacted import job keeps its audit trail, error_message included');
select is(public.compact_old_import_jobs(), 0, 'a second call of compact_old_import_jobs() compacts nothing');
select is((select count(*) from public.import_jobs), 6::bigint, 'compaction deletes no import job');

-- S1-05 to S1-07 all four
insert into public.import_runs (status, started_at) values ('processing', now() - interval '2 days');
insert into public.temp_uploads (created_at) values (now() - interval '2 days'), (now() - interval '3 days');
insert into public.import_jobs (status, created_at) values ('failed', now() - interval '9 days');
insert into public.raw_import_items (import_run_id, created_at)
values ('00000000-0000-0000-0000-000000000011', now() - interval '31 days');
create temporary table cleanup as select public.run_maintenance_cleanup() as r;
select set_eq('select jsonb_object_keys(r) from cleanup', array['timestamp', 'stuckRunsMarked', 'tempUploadsPurged',
  'rawItemsCleaned', 'importJobsCompacted', 'errors'], 'S1-12: the response of run_maintenance_cleanup() has its keys');
select is(r - 'timestamp',
  '{"stuckRunsMarked": 1, "tempUploadsPurged": 3, "rawItemsCleaned": 1, "importJobsCompacted": 1, "errors": []}',
  'S1-05: the response of run_maintenance_cleanup() counts what was done') from cleanup;
select ok(r ->> 'timestamp' ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$',
  'the timestamp of run_maintenance_cleanup() is ISO 8601 in UTC')
  from cleanup;
select is((select sum(count) from public.maintenance_status
  where task in ('stuck_runs', 'old_temp_uploads', 'old_raw_items', 'old_import_jobs')),
  0::numeric, 'after run_maintenance_cleanup() the status counts nothing as due for its four jobs');
select results_eq($$select job_name from (select job_name, run_id from maintenance.run_history order by run_id desc
  limit 4) r order by run_id$$,
  array['mark_stuck_import_runs', 'cleanup_temp_uploads', 'cleanup_old_raw_items', 'compact_old_import_jobs'],
    'S1-07: run_maintenance_cleanup() runs its four jobs in order');

insert into public.import_runs (status, started_at) values ('processing', now() - interval '2 days');
insert into public.import_jobs (status, created_at) values ('failed', now() - interval '9 days');
alter table public.temp_uploads rename to uploads_elsewhere;
select is(jsonb_array_length(r -> 'errors') || ' ' || (r ->> 'stuckRunsMarked') || (r ->> 'tempUploadsPurged')
  || (r ->> 'importJobsCompacted'),
  '1 101', 'S1-06: a step that fails is named in errors and stops no other') from public.run_maintenance_cleanup() as r;
select throws_ok('select public.cleanup_temp_uploads()', 'PM008', null,
  'a step that fails raises when it is called alone');

select maintenance.drop_job('cleanup_old_raw_items');
select results_eq($$select jsonb_array_length(r -> 'errors'), r #>> '{errors,1}', r ->> 'rawItemsCleaned'
  from public.run_maintenance_cleanup() as r$$,
  $$values (2, 'cleanup_old_raw_items: there is no job "cleanup_old_raw_items"', '0')$$,
    'S1-06: a step whose job is gone is named in errors and counts 0');

-- S1-22, S1-09
select maintenance.set_policy('compact_old_import_jobs', 'public.import_jobs', 'update', 'created_at', '3 days',
  matching => $$status = 'completed' and not mapping @> '{"compacted": true}'$$, assign =>
    $$mapping = '{"compacted": true}'$$);
select is(public.compact_old_import_jobs(), 1,
  'S1-22: a policy that is set again with a shorter keep takes younger rows');
select is((select count(*) from maintenance_internal.job
  where job_name in ('mark_stuck_import_runs', 'cleanup_temp_uploads')
  and schedule = '0 3 * * *'), 2::bigint, 'S1-09: stuck runs and temporary uploads are seen to daily at 03:00 UTC');
select * from finish();
rollback;
