-- Who changed what of a job, and when; visible in the status at once.
begin;
create extension pgtap;
select plan(12);
create table public.events (at timestamptz);
create index on public.events (at);
create function pg_temp.edits() returns setof text language sql as
$$ select concat_ws(' ', job_name, changed_by = session_user, what) from maintenance.edit where job_name = 'purge'
  order by edit_id $$;

select maintenance.set_policy('purge', 'public.events', 'delete', 'at', '7 days', schedule => '0 3 * * *');
insert into public.events values (now() - interval '8 days');
select is_empty('select * from pg_temp.edits()', 'a new job is no edit');
select maintenance.set_policy('purge', 'public.events', 'delete', 'at', '7 days', schedule => '0 3 * * *');
select is_empty('select * from pg_temp.edits()', 'setting the same rule again records no edit');
select is((select count from public.maintenance_status where task = 'purge'), 1::bigint,
  'the status counts the one row that is due');
select maintenance.set_policy('purge', 'public.events', 'delete', 'at', '9 days', schedule => '0 3 * * *');
select is((select count from public.maintenance_status where task = 'purge'), 0::bigint,
  'another keep is in the status at once');
select results_eq('select * from pg_temp.edits()', array['purge t {"keep": ["7 days", "9 days"]}'],
  'a changed keep is recorded as an edit, with who changed it');
select maintenance.configure_job('purge', batch_size => 10);
select maintenance.disable_job('purge');
select is((select active from public.maintenance_status where task = 'purge'), false,
  'a disabled job is in the status at once');
select results_eq('select * from pg_temp.edits() offset 1',
  array['purge t {"batch_size": [20000, 10]}', 'purge t {"enabled": [true, false]}'],
    'changed options and the enabled flag are recorded as edits');
select maintenance.enable_job('purge');
select to_regclass('cron.job') is null as no_cron \gset
\if :no_cron
select skip('pg_cron is not in this database', 4);
\else
select maintenance.set_schedule('purge', '5 3 * * *');
select is((select schedule from public.maintenance_status where task = 'purge'), '5 3 * * *',
  'another schedule is in the status at once');
select cron.schedule('maintenance:purge', '6 3 * * *', $$call maintenance.run_job('purge')$$);
select maintenance_internal.record_schedule_edits() \g /dev/null
select maintenance_internal.record_schedule_edits() \g /dev/null
select results_eq('select * from pg_temp.edits() offset 4',
  array['purge t {"schedule": ["0 3 * * *", "5 3 * * *"]}', 'purge f {"schedule": ["5 3 * * *", "6 3 * * *"]}'],
  'what is edited in pg_cron is kept at the next tick, once');
select cron.unschedule('maintenance:purge');
select maintenance_internal.record_schedule_edits() \g /dev/null
select results_eq('select * from pg_temp.edits() offset 6',
  array['purge f {"active": [true, null], "schedule": ["6 3 * * *", null]}'],
    'a removal from pg_cron is recorded at the next tick, once');
select is((select changed_by from maintenance.edit where job_name = 'purge' order by edit_id desc limit 1), 'pg_cron',
  'an edit in pg_cron by an unknown role is recorded as changed by pg_cron');
\endif
select maintenance.drop_job('purge');
select is((select what from maintenance.edit order by edit_id desc limit 1), '{"dropped": [false, true]}',
  'a job that is dropped leaves its edits');
select * from finish();
rollback;
