-- The owner may no longer see cron, or no longer read cron.job, as after a restore (C-007): status and
-- rules go on, nothing is lost, and with the right back everything is as it was declared.
\set QUIET on
set client_min_messages = error;
create extension if not exists pgtap;
select plan(23);

\! $AS_SUPERUSER -c 'revoke all on schema cron from app_owner, public'
select cmp_ok((select count(*) from public.maintenance_status), '>', 9::bigint,
  'no right to cron: the status has its rows');
select is_empty($$select * from public.maintenance_status where severity = 'critical'$$,
  'no right to cron: no row of the status is critical');
select cmp_ok((select count(*) from maintenance.job_status), '>', 9::bigint,
  'no right to cron: job_status has its rows');
select set_eq('select distinct scheduling from maintenance.job_status where schedule <> ''''',
  array['not scheduled here: app_owner may not use the schema cron',
    'scheduled, as receipts show: app_owner may not use the schema cron'],
    'no right to cron: job_status says so, and what is fired all the same');
select set_has('select schedule from maintenance.job_status', $$values ('0 3 * * *'), ('0 * * * *')$$,
  'no right to cron: job_status shows the declared schedules');
select results_eq('select distinct outcome from maintenance.install_schedules() where outcome <> ''no schedule''',
  array['not scheduled here: app_owner may not use the schema cron'],
    'no right to cron: install_schedules says why nothing is scheduled');
select lives_ok($$select maintenance.set_policy('late', 'public.sessions', 'delete', 'expires_at', '1 day',
  schedule => '0 3 * * *')$$,
  'no right to cron: a policy can be set');

\! $AS_SUPERUSER -c 'grant usage on schema cron to app_owner'
select results_eq($$select job_name, outcome from maintenance.install_schedules()
  where outcome not in ('kept', 'edited by an operator', 'no schedule')$$,
  $$values ('late', 'created')$$, 'the right is back: what was declared meanwhile is scheduled, the rest kept');

\! $AS_SUPERUSER -c 'revoke select on cron.job from public'
select is_empty($$select * from public.maintenance_status where severity = 'critical'$$,
  'cron.job is closed: no row of the status is critical');
select results_eq('select distinct scheduling from maintenance.job_status where schedule <> ''''',
  array['cron.job cannot be read here'],
  'cron.job is closed: job_status says that it cannot be read');
select is_empty($$select * from maintenance.install_schedules()
  where outcome not in ('kept', 'edited by an operator', 'no schedule')$$,
  'cron.job is closed: install_schedules changes nothing');
select is((maintenance.set_schedule('late', '5 3 * * *')).job_name, 'late',
  'cron.job is closed: a schedule can be set');
select lives_ok($$select maintenance.set_policy('late', 'public.sessions', 'delete', 'expires_at', '1 day',
  schedule => '0 4 * * *')$$, 'cron.job is closed: another schedule can be declared');
call maintenance.tick();
select is((select status from maintenance.run_history where job_name = 'tick'), 'succeeded',
  'cron.job is closed: the tick goes on');

\! $AS_SUPERUSER -c 'grant select on cron.job to public'
select is((select schedule from maintenance.job_status where job_name = 'late'), '5 3 * * *',
  'cron.job is open again: a schedule that was set meanwhile is in pg_cron');

-- Its history is closed, or somebody has locked its tables: the status has its rows, and says so.
\! $AS_SUPERUSER -c 'revoke select on cron.job_run_details from public'
call maintenance.tick();
select matches((select severity || ': ' || advice from public.maintenance_status where task = 'scheduler'),
  '^critical: The tick fails: record_statements: permission denied for table job_run_details', 'the history is closed: '
  'the status says so');
select set_config('maintenance.fake_now', (now() + interval '4 minutes')::text, false) \g /dev/null
select matches((select advice from public.maintenance_status where task = 'scheduler'),
  'app_owner cannot read pg_cron''s history\. As a superuser: grant select on cron.job_run_details to public;',
  'the history is closed, and the tick is late: what opens it is said');
set maintenance.fake_now = '';
\! $AS_SUPERUSER -c 'grant select on cron.job_run_details to public'
call maintenance.tick();
select is((select count(*) from public.maintenance_status where severity = 'critical'), 0::bigint,
  'the history is open again: nothing is critical');
create procedure public.until(is_locked boolean) language plpgsql as $$
begin
  for i in 1 .. 600 loop
    exit when is_locked = exists (select from pg_locks where relation = 'cron.job'::regclass and granted
      and mode = 'AccessExclusiveLock');
    perform pg_sleep(0.05);
    commit;
  end loop;
end $$;
\! $AS_SUPERUSER -c 'begin; lock cron.job; select pg_sleep(10)' >/dev/null 2>&1 </dev/null &
call public.until(true);
select results_eq($$select count(*) > 9, max(scheduling) ~ 'somebody has locked cron\.job'
  from maintenance.job_status, (select count(*) from public.maintenance_status) as s$$, $$values (true, true)$$,
  'cron.job is locked: the status has its rows');
\setenv END 'select pg_terminate_backend(pid) from pg_stat_activity where query ~ ''^begin; lock'''
\! $AS_SUPERUSER -o /dev/null -c "$END"
call public.until(false);
drop procedure public.until(boolean);

-- The database was renamed, or is a copy: the rows in cron.job are of another one.
\! $AS_SUPERUSER -c "update cron.job set database = 'app_before' where jobname like 'maintenance:%'"
select set_config('maintenance.fake_now', (now() + interval '4 minutes')::text, false) \g /dev/null
select is((select severity || ': ' || advice from public.maintenance_status where task = 'scheduler')
    ~ ('^critical: No tick since [-0-9: ]+: cron.job is of the database app_before, from before a rename, or a copy. '
      'If it was renamed, as a superuser: update cron.job set database = ''app'' where database = ''app_before'' and '
      'jobname like ''maintenance:%''; if it is a copy: in the database where pg_cron lives'),
  true, 'jobs of another name of the database are not fired, and what cures it is said');
set maintenance.fake_now = '';
select results_eq($$select distinct outcome like 'not scheduled here: cron.job is of the database app_before%'
  from maintenance.install_schedules() where outcome <> 'no schedule'$$, array[true],
  'install_schedules does not add to a dead copy');
\! $AS_SUPERUSER -c "update cron.job set database = 'app' where database = 'app_before'"
select is_empty($$select * from maintenance.install_schedules()
  where outcome not in ('kept', 'edited by an operator', 'no schedule')$$,
  'with the statement that was printed everything is as it was');
select set_has('select scheduling from maintenance.job_status', $$values ('scheduled')$$, 'jobs are scheduled again');
select * from finish();
