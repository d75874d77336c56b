-- pg_cron itself fires jobs, and their rows and receipts show it. Takes up to a minute. scripts/test
-- has made public.not_ours, a table of the superuser's, whose database is not ours either.
\set QUIET on
set client_min_messages = error;
create extension if not exists pgtap;
select plan(15);

vacuum public.temp_uploads; -- what tests have rolled back leaves pages behind, and pages are batches
insert into public.temp_uploads (token, created_at) values
  ('old', now() - interval '25 hours'), ('new', now() - interval '23 hours');
select cron.schedule('maintenance:cleanup_temp_uploads', '* * * * *',
  $$call maintenance.run_job('cleanup_temp_uploads')$$) \g /dev/null

create function public.fails(batch_size integer) returns bigint language plpgsql as
$$ begin raise exception 'no'; end $$;
select maintenance.set_job('fails', 'public.fails', '* * * * *') \g /dev/null
select maintenance.set_statement('foreign_vacuum', 'vacuum public.not_ours', '* * * * *') \g /dev/null
select maintenance.set_schedule(j, '* * * * *') from unnest(array['vacuum_account_tables', 'weekly_index_report',
  'analyze_account_tables', 'refresh_subscription_summary', 'cleanup_expired_sessions']) as j \g /dev/null
-- What ships has a time of its own, which may be now.
create temporary table fired as select unnest(array['analyze_account_tables', 'cleanup_expired_sessions',
  'cleanup_temp_uploads', 'fails', 'foreign_vacuum', 'refresh_subscription_summary', 'vacuum_account_tables',
  'weekly_index_report']) as job_name;
insert into public.users (email) values ('ada@example.org');
insert into public.sessions (expires_at) values (now());

-- An index that is mostly empty.
create table public.worn (id integer) with (autovacuum_enabled = off);
insert into public.worn select generate_series(1, 200000);
create index worn_idx on public.worn (id);
delete from public.worn where id % 10 <> 0;
select pg_stat_force_next_flush() \g /dev/null
vacuum analyze public.worn;
select pg_relation_size('public.worn_idx') as worn_bytes \gset
call maintenance.run_job('database_maintenance');

do $$
begin
  for i in 1 .. 250 loop
    call maintenance.tick(); -- not waiting for the next minute
    exit when (select count(distinct job_name) = 8 from maintenance.run_history join fired using (job_name)
      where trigger = 'schedule' and status <> 'running')
      and (select details ? 'stopped' from maintenance.run_history where job_name = 'database_maintenance');
    perform pg_sleep(0.5);
    commit;
  end loop;
end
$$;

select results_eq('select token from public.temp_uploads', array['new'],
  'the upload that was due is gone, and a young one stays');
select results_eq($$select status, rows_affected, batches, stop_reason, error from maintenance.run_history
    where job_name = 'cleanup_temp_uploads' and trigger = 'schedule' order by run_id limit 1$$,
  $$values ('succeeded', 1::bigint, 1, 'done', null::text)$$,
    'the receipt of a fired job says that the schedule did it');
select ok((select slot = date_trunc('minute', slot) and started_at - slot between interval '0' and interval '1 minute'
    from maintenance.run_history where trigger = 'schedule' order by run_id limit 1),
  'the receipt of a scheduled run names the minute that it stands for');
select is((select status from cron.job_run_details as d
    join cron.job as j using (jobid) where j.jobname = 'maintenance:cleanup_temp_uploads' order by runid limit 1),
  'succeeded', 'pg_cron says that the fired job succeeded');
select results_eq($$select count, severity, schedule, active, last_status from public.maintenance_status
    where task = 'old_temp_uploads'$$,
  $$values (0::bigint, 'ok', '* * * * *', true, 'succeeded')$$, 'the status shows the edited schedule and the run');
select is((select outcome from maintenance.install_schedules() where job_name = 'cleanup_temp_uploads'),
  'edited by an operator', 'the edit of a schedule survives install_schedules');

-- S4-04 and S4-05: the hourly and the weekly jobs.
select results_eq($$select distinct on (job_name) job_name, status, stop_reason, slot = date_trunc('minute', started_at)
  from maintenance.run_history join fired using (job_name)
    where trigger = 'schedule' and status <> 'running' order by job_name, run_id$$,
  $$values ('analyze_account_tables', 'succeeded', 'done', true),
    ('cleanup_expired_sessions', 'succeeded', 'done', true), ('cleanup_temp_uploads', 'succeeded', 'done', true),
    ('fails', 'failed', 'error', true), ('foreign_vacuum', 'failed', 'error', true),
    ('refresh_subscription_summary', 'succeeded', 'done', true), ('vacuum_account_tables', 'succeeded', 'done', true),
    ('weekly_index_report', 'succeeded', 'done', true)$$, 'every job that is scheduled each minute has run');
select is((select count(*) from pg_stat_user_tables where relname in ('users', 'user_subscriptions', 'sessions')
    and least(last_vacuum, last_analyze) > now() - interval '5 minutes'), 3::bigint,
      'S4-04, S4-05: VACUUM and ANALYZE have left their trace');
select results_eq('select (select count(*) from public.user_subscription_summary), (select count(*) from '
  'public.sessions)', 'values (1::bigint, 0::bigint)',
    'the subscription summary is fresh, and the expired session is gone');
select is((select status from cron.job_run_details where command = 'vacuum public.not_ours' order by runid limit 1),
  'succeeded', 'C-39: pg_cron says that a VACUUM of somebody else''s table succeeded');
select is((select error from maintenance.run_history where job_name = 'foreign_vacuum' order by run_id limit 1),
  'public.not_ours was left out: app_owner may not vacuum it: it is not the owner',
    'the receipt says that a VACUUM of somebody else''s table did nothing');
select is((select min(status) from cron.job_run_details where command = $$call maintenance.run_job('fails')$$),
  'failed', 'C-39: of a job that fails pg_cron says so, too');
-- S2-14, C-20
select results_eq($$select d ->> 'relation', d ->> 'action', d ->> 'outcome', (d #>> '{before,bytes}')::bigint,
    (d #>> '{after,bytes}')::bigint
  from maintenance.run_history as r cross join jsonb_array_elements(r.details -> 'done') as d
  where r.job_name = 'database_maintenance'$$,
  format($$values ('public.worn_idx', 'reindex', 'done', %s::bigint, %s::bigint)$$,
  :worn_bytes, pg_relation_size('public.worn_idx')),
  'S2-14, C-20: the receipt says how an index was before and is after');
select ok(pg_relation_size('public.worn_idx') < 0.2 * :worn_bytes, 'S2-14: a bloated index is smaller after the job');
select results_eq($$select status, command ~ '^[^;]+$' from cron.job_run_details where command ~ 'worn_idx'$$,
  $$values ('succeeded', true)$$, 'S2-14: by one statement, which pg_cron has fired once');
drop table public.worn;
select maintenance.drop_job('fails') \g /dev/null
drop function public.fails(integer);
select * from finish();
