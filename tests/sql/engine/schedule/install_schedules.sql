-- What is in pg_cron belongs to the operator, except for the command. Needs pg_cron in this database.
begin;
create extension pgtap;
select plan(35);
select to_regclass('cron.job') is null as no_cron \gset
\if :no_cron
select skip('pg_cron is not in this database', 35);
\else

create table public.events (at timestamptz);
create function pg_temp.cron(name text) returns text language sql
as $$ select schedule || ' ' || active || ' ' || command from cron.job where jobname = 'maintenance:' || name $$;
create function pg_temp.install(job text) returns text language sql
as $$ select outcome from maintenance.install_schedules() where job_name = job $$;
create function pg_temp.declare(schedule text) returns void language sql
as $$ select maintenance.set_policy('purge', 'public.events', 'delete', 'at', '1 day', schedule => $1) $$;

select pg_temp.declare('0 3 * * *');
select is(pg_temp.cron('purge'), '0 3 * * * true call maintenance.run_job(''purge'')',
  'a policy with a schedule is in pg_cron at once');
select is(pg_temp.install('purge'), 'kept', 'install_schedules keeps a schedule that is in pg_cron');
select is_empty($$select * from maintenance.install_schedules() where outcome not in ('kept', 'no schedule')$$,
  'install_schedules changes nothing for any job');
select is((select scheduling from maintenance.job_status where job_name = 'purge'), 'scheduled',
  'job_status says that a job is scheduled');

select pg_temp.declare('0 4 * * *');
select is(pg_temp.cron('purge'), '0 4 * * * true call maintenance.run_job(''purge'')',
  'a migration that declares another schedule changes the one in pg_cron');

select cron.schedule('maintenance:purge', '*/5 * * * *', $$call maintenance.run_job('purge')$$);
select is(pg_temp.install('purge'), 'edited by an operator', 'an edit in pg_cron is seen');
select is(pg_temp.cron('purge'), '*/5 * * * * true call maintenance.run_job(''purge'')',
  'an edit in pg_cron stays when schedules are installed');
select pg_temp.declare('0 5 * * *');
select is(pg_temp.cron('purge'), '*/5 * * * * true call maintenance.run_job(''purge'')',
  'an edit in pg_cron stays through a migration that declares another schedule');
select results_eq($$select schedule, declared_schedule, scheduling from maintenance.job_status
  where job_name = 'purge'$$,
  $$values ('*/5 * * * *', '0 5 * * *', 'edited by an operator')$$,
    'job_status shows the edited schedule and the declared one');

select cron.schedule('maintenance:purge', '*/5 * * * *', 'select 1');
select is(pg_temp.install('purge'), 'command repaired', 'a changed command is repaired');
select is(pg_temp.cron('purge'), '*/5 * * * * true call maintenance.run_job(''purge'')',
  'the operator''s schedule stays when a command is repaired');

select cron.schedule('maintenance:purge', '0 22-4 * * *', $$call maintenance.run_job('purge')$$);
insert into public.events values (now() - interval '2 days');
select results_eq($$select scheduling, next_run_at from maintenance.job_status where job_name = 'purge'$$,
  $$values ('edited by an operator: its hour "22-4" runs backwards, and pg_cron never fires for it',
    null::timestamptz)$$, 'C-010: a range that runs backwards is told');
select results_eq($$select severity, advice from public.maintenance_status where task = 'purge'$$,
  $$values ('warning',
    'Not fired: edited by an operator: its hour "22-4" runs backwards, and pg_cron never fires for it. select '
      'maintenance.set_schedule(''purge'', ''0 5 * * *'');')$$,
        'C-010: a schedule with a range that runs backwards is a warning');
select cron.schedule('maintenance:purge', '0 3 1 1 * 2027', $$call maintenance.run_job('purge')$$);
select results_eq($$select scheduling, next_run_at = maintenance.next_run_at('0 3 1 1 *', now())
  from maintenance.job_status where job_name = 'purge'$$,
  $$values ('edited by an operator: it has 6 fields, and not five', true)$$,
    'C-011: a schedule with a sixth field is told');
select is((select severity from public.maintenance_status where task = 'purge'), 'notice',
  'C-011: the backlog of a job whose schedule has a sixth field is a notice');
-- A schedule that we refuse and this pg_cron may take: what it fires leaves a receipt.
create function pg_temp.by_hand(schedule text) returns void language plpgsql as $$
begin
  perform cron.schedule('maintenance:purge', schedule, $c$call maintenance.run_job('purge')$c$);
exception when others then -- from 1.6.5 on; as if it stood there
  perform cron.unschedule('maintenance:purge');
  update maintenance_internal.job as j set schedule = by_hand.schedule where j.job_name = 'purge';
end $$;
select pg_temp.by_hand('*/60 * * * *');
set local application_name = 'pg_cron';
select pg_stat_clear_snapshot();
select is(maintenance.run_now('purge') ->> 'message', 'purge succeeded: 1 row in 1 batch',
  'a schedule that only pg_cron can read: its firing is run');
reset application_name;
select results_eq($$select trigger, status, slot from maintenance.run_history where job_name = 'purge'$$,
  $$values ('schedule', 'succeeded', null::timestamptz)$$,
    'the receipt of a firing by a schedule that only pg_cron can read has no slot');
select cron.schedule('maintenance:purge', '0 3 1 1 *', $$call maintenance.run_job('purge')$$);
select cron.unschedule('maintenance:purge');
select is(pg_temp.install('purge'), 'removed by an operator', 'a removal from pg_cron is seen');
select pg_temp.declare('0 6 * * *');
select is(pg_temp.cron('purge'), null,
  'a removal from pg_cron stays through a migration that declares another schedule');
select is((select scheduling from maintenance.job_status where job_name = 'purge'), 'removed by an operator',
  'job_status says that an operator removed the schedule');
select is((maintenance.set_schedule('purge', '0 7 * * *')).schedule, '0 7 * * *',
  'set_schedule brings a removed schedule back, with the operator''s time');
select pg_temp.install('purge');
select is(pg_temp.cron('purge'), '0 7 * * * true call maintenance.run_job(''purge'')',
  'a schedule set by set_schedule stays when schedules are installed');

select pg_temp.declare(null);
select is(pg_temp.cron('purge'), '0 7 * * * true call maintenance.run_job(''purge'')',
  'an operator''s schedule survives that none is declared');
select maintenance.drop_job('purge');
select is(pg_temp.cron('purge'), null, 'a dropped job is out of pg_cron');
select pg_temp.declare('0 3 * * *');
select pg_temp.declare(null);
select is(pg_temp.cron('purge'), null, 'our own schedule goes when none is declared any more');

select pg_temp.declare('0 3 * * *');
select is((maintenance.disable_job('purge')).active, false, 'disable_job says inactive');
select is(pg_temp.cron('purge'), '0 3 * * * true call maintenance.run_job(''purge'')',
  'disable_job leaves pg_cron alone');
select is((maintenance.enable_job('purge')).active, true, 'enable_job turns a disabled job on again');

update maintenance_internal.installed_schedule set home = 'elsewhere';
select is((select scheduling from maintenance.job_status where job_name = 'purge'), 'scheduled',
  'what nobody edited is scheduled after a restore, too');
select is(pg_temp.install('purge'), 'found and kept', 'a schedule recorded by another database is found and kept');
delete from maintenance_internal.installed_schedule;
select cron.unschedule('maintenance:purge');
select is(pg_temp.install('purge'), 'created', 'a schedule that was never installed here is created');

select throws_ok($$select maintenance.set_schedule('purge', 'often')$$, 'PM006', null, 'a bad schedule is refused');
select throws_ok($$select maintenance.set_schedule('nothing', '* * * * *')$$, 'PM001', null,
  'a schedule for an unknown job is refused');

-- Seconds, where this pg_cron knows them; refused with a hint where not.
create function pg_temp.seconds() returns text language plpgsql as $$
declare v_hint text;
begin
  return (maintenance.set_schedule('purge', '30 seconds')).schedule;
exception when sqlstate 'PM006' then
  get stacked diagnostics v_hint = pg_exception_hint;
  return v_hint;
end $$;
select is(pg_temp.seconds(), case when (select string_to_array(replace(extversion, '-', '.'), '.')::int[] >= '{1,5}'
  from pg_extension where extname = 'pg_cron')
  then '30 seconds' else 'Five fields work in every version of pg_cron.' end,
    'a schedule in seconds is taken where pg_cron knows it, and else refused with a hint');
select ok((select next_run_at > now() from maintenance.job_status where job_name = 'purge'),
  'job_status tells the next run, whether a schedule in seconds is taken or not');
\endif
select * from finish();
rollback;
