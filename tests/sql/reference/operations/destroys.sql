-- S1-23, C-33: a job that destroys waits for a backup that was verified, where it is told to; both are due at three.
begin;
create extension pgtap;
select plan(10);
select to_regclass('cron.job') is null as no_cron \gset
\if :no_cron
select maintenance.configure_job('automated_backup', depends_on => '{}');
select maintenance.configure_job('cleanup_temp_uploads', depends_on => '{automated_backup}');
\set keep '^(cleanup_temp_uploads|automated_backup)$'
\ir ../../engine/control/fire.psql
select results_eq(
  $$select job_name, schedule from maintenance.job_status where job_name ~ 'uploads|backup' order by 1$$,
  $$values ('automated_backup', '0 3 * * *'), ('cleanup_temp_uploads', '0 3 * * *')$$, 'C-33: both are due at three');
insert into public.temp_uploads (token, created_at) values ('old', '2040-02-01Z');
create function pg_temp.left() returns bigint language sql as $$ select count(*) from public.temp_uploads $$;

-- It comes first, and goes behind.
select pg_temp.at('2040-03-01 03:00Z');
select is(pg_temp.fire('cleanup_temp_uploads'), 'waiting/dependency', 'C-33: the one that destroys waits');
select is(pg_temp.left(), 1::bigint, 'C-33: ... and has deleted nothing');
select is(pg_temp.fire('automated_backup'), 'succeeded/done', 'C-33: the backup is made');
select pg_temp.late();
select is(pg_temp.last('cleanup_temp_uploads'), 'schedule/succeeded/done/1', 'C-33: then it goes');
select is(pg_temp.left(), 0::bigint, 'C-33: ... and deletes');

-- A backup that is not verified is none.
insert into public.temp_uploads (token, created_at) values ('old', '2040-02-01Z');
insert into public.backup_tables values ('nowhere');
select pg_temp.at('2040-03-02 03:00Z');
select is(pg_temp.fire('automated_backup'), 'failed/error', 'S1-23: a backup fails');
select is(pg_temp.fire('cleanup_temp_uploads'), 'waiting/dependency', 'S1-23: what destroys waits for it');
select pg_temp.at('2040-03-03 03:00Z'), pg_temp.late(), pg_temp.fire('cleanup_temp_uploads');
select results_eq($$select status, stop_reason, sqlstate, error from maintenance.run_history
  where job_name = 'cleanup_temp_uploads' and slot = '2040-03-02 03:00Z'$$,
  $$values ('skipped', 'dependency', 'PM025', 'it waited until its next slot for automated_backup')$$,
  'S1-23: ... until its next slot, and is skipped then');
select is(pg_temp.left(), 1::bigint, 'S1-23: nothing was deleted');
\else
select skip('pg_cron is in this database', 10);
\endif
select * from finish();
rollback;
