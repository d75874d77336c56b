-- Each shipped rule at its boundary: a second younger stays, exactly as old goes, a second older goes.
begin;
create extension pgtap;
select plan(12);

create temporary table offsets (name text, early interval) on commit drop;
insert into offsets values ('younger', '1 second'), ('exactly', '0'), ('older', '-1 second');

insert into public.import_runs (status, error, started_at)
select 'processing', name, now() - interval '24 hours' + early from offsets;
insert into public.import_runs (status, error, started_at, created_at)
select 'processing', name || ' by creation', null, now() - interval '24 hours' + early from offsets;
select is((select count from public.maintenance_status where task = 'stuck_runs'), 4::bigint,
  'stuck runs are counted at 24 hours');
select is(public.mark_stuck_import_runs(), 4, 'stuck runs are marked as failed at 24 hours');
select results_eq($$select error from public.import_runs where status = 'processing' order by 1$$,
  array['younger', 'younger by creation'],
    'a run younger than 24 hours stays, by its start, or its creation if it never started');

insert into public.temp_uploads (token, created_at) select name, now() - interval '24 hours' + early from offsets;
select is(public.cleanup_temp_uploads(), 2, 'uploads go at 24 hours');
select results_eq('select token from public.temp_uploads', array['younger'], 'an upload younger than 24 hours stays');

-- Raw items: their own age, and the end of their run, each at 30 days.
insert into public.import_runs (id, status, error, finished_at)
select gen_random_uuid(), 'failed', 'run ' || name, now() - interval '30 days' + early from offsets;
insert into public.raw_import_items (import_run_id, error, created_at)
select r.id, 'item ' || o.name || ' of ' || r.error, now() - interval '30 days' + o.early
from public.import_runs as r, offsets as o
where r.error like 'run %' and (r.error = 'run older' or o.name = 'older');
select is(public.cleanup_old_raw_items(), 3, 'raw items go at 30 days');
select results_eq('select error from public.raw_import_items order by 1',
  array['item older of run younger', 'item younger of run older'],
    'a raw item stays while it, or the end of its run, is younger than 30 days');

insert into public.import_jobs (status, error_message, created_at)
select status, name || ' ' || status, now() - interval '7 days' + early
from offsets, unnest(array['processing', 'completed', 'failed', 'cancelled']) as status;
select is(public.compact_old_import_jobs(), 6, 'ended import jobs are compacted at 7 days');
select results_eq($$select error_message from public.import_jobs where compacted_at is null order by 1$$,
  array['exactly processing', 'older processing', 'younger cancelled', 'younger completed', 'younger failed',
    'younger processing'],
  'an import job younger than 7 days, or still processing, is not compacted');

insert into public.sessions (token, expires_at) select name, now() + early from offsets;
select is((select count from public.maintenance_status where task = 'expired_sessions'), 2::bigint,
  'sessions are counted at their expiry');
select is(public.cleanup_expired_sessions(), 2, 'sessions are deleted at their expiry');
select results_eq('select token from public.sessions', array['younger'], 'a session that has not expired stays');
select * from finish();
rollback;
