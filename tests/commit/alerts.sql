-- Alerts as others meet them: who listens is told once, who holds VACUUM back is named and ended by what is
-- advised. Committing, in a database of its own. Another session is a dblink connection called "other".
\set QUIET on
set client_min_messages = error;
create extension pgtap;
select plan(44);
\ir connect.psql

create function pg_temp.heard() returns text language sql as $$
  select dblink_exec('other', 'set application_name = ''listener'''); -- a round trip, after which it has heard
  select string_agg(concat_ws(' ', extra::jsonb ->> 'event', extra::jsonb ->> 'cause', extra::jsonb ->> 'severity'),
  ', ')
  from dblink_get_notify('other') where notify_name = 'maintenance_alert' $$;
create function pg_temp.open() returns text language sql as $$
  select string_agg(concat_ws(' ', cause, nullif(subject, '')), ', ' order by cause, subject)
  -- What a server without pg_cron lacks is not what is asked here.
  from maintenance.alert where closed_at is null and cause <> 'scheduler' $$;
select dblink_exec('other', 'listen maintenance_alert') \g /dev/null
select maintenance.configure('alert_quiet_minutes', 0) \g /dev/null
update maintenance_internal.job set enabled = false where statement is null;
update maintenance_internal.job set enabled = false where statement = 'call maintenance.tick()';
call maintenance.alert_monitor();
select pg_temp.heard() \g /dev/null
select is((select status || '/' || stop_reason || '/' || trigger
  from maintenance.run_history where job_name = 'alert_monitor'),
  'succeeded/done/manual', 'a look leaves a receipt');

-- S1-15: a step is broken, a run fails three times, somebody is called; it is mended, and that ends it.
create table public.t (id bigint primary key, at timestamptz);
create index on public.t (at);
insert into public.t values (1, now() - interval '2 days');
select maintenance.set_policy('purge', 'public.t', 'delete', 'at', '1 day') \g /dev/null
create function public.refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
create trigger refuse before delete on public.t for each row execute function public.refuse();
select maintenance.run_now('purge') ->> 'success' from generate_series(1, 2) \g /dev/null
call maintenance.alert_monitor();
select is(pg_temp.heard(), null, 'S1-15: two failures call nobody');
select maintenance.run_now('purge') ->> 'success' \g /dev/null
call maintenance.alert_monitor();
select is(pg_temp.heard(), 'opened job_failing warning', 'S1-15, S1-20, S4-17: the third calls who listens');
call maintenance.alert_monitor();
call maintenance.alert_monitor();
select is(pg_temp.heard(), null, 'once');
select is((select count(*) from maintenance.alert where cause = 'job_failing'), 1::bigint, 'S1-15: it is one alert');
select is((select count(*) from maintenance.run_history where job_name = 'alert_monitor'), 1::bigint,
  'however often it looks, it leaves one receipt');
drop trigger refuse on public.t;
call maintenance.run_job('purge');
select is((select count(*) from public.t), 0::bigint, 'S1-15: it is mended, and a run by hand succeeds');
call maintenance.alert_monitor();
select is(pg_temp.heard(), 'closed job_failing warning', 'which closes the alert, and tells it');

-- Silence; and from warning to critical.
delete from maintenance_internal.run where job_name = 'purge';
insert into maintenance_internal.run (job_id, job_name, trigger, status, started_at, finished_at, stop_reason)
select job_id, job_name, 'manual', 'succeeded', now() - interval '70 seconds', now(), 'done'
from maintenance_internal.job where job_name = 'purge';
call maintenance.alert_monitor();
select is(pg_temp.heard(), 'opened job_slow warning', 'a slow run');
insert into maintenance_internal.run (job_id, job_name, trigger, status, started_at, finished_at, stop_reason)
select job_id, job_name, 'manual', 'succeeded', now() - interval '50 seconds', now() + interval '300 seconds', 'done'
from maintenance_internal.job where job_name = 'purge';
call maintenance.alert_monitor();
select is(pg_temp.heard(), 'raised job_slow critical', 'that becomes slower is told once more');
update maintenance_internal.run set finished_at = started_at + interval '70 seconds' where job_name = 'purge';
call maintenance.alert_monitor();
update maintenance_internal.run set finished_at = started_at + interval '350 seconds' where job_name = 'purge';
call maintenance.alert_monitor();
select is(pg_temp.heard(), null, 'and not each time that it goes up and down');
select (maintenance.silence_alert(max(alert_id), now() + interval '1 hour')).alert_id from maintenance.alert
where closed_at is null and cause = 'job_slow' \g /dev/null
delete from maintenance_internal.run where job_name = 'purge';
call maintenance.alert_monitor();
select is(pg_temp.heard(), 'closed job_slow critical', 'who was called is told the end, though it is silent');
select is(pg_temp.open(), null, 'which ends all the same');
insert into maintenance_internal.run (job_id, job_name, trigger, status, started_at, finished_at, stop_reason)
select job_id, job_name, 'manual', 'succeeded', now() - interval '70 seconds', now(), 'done'
from maintenance_internal.job where job_name = 'purge';
call maintenance.alert_monitor();
select is(pg_temp.heard(), null, 'nor that it comes back');
select is(pg_temp.open(), 'job_slow purge', 'which opens a new one');
select set_config('maintenance.fake_now', (now() + interval '61 minutes')::text, false) \g /dev/null
call maintenance.alert_monitor();
select is(pg_temp.heard(), 'opened job_slow warning', 'until the time is over');
reset maintenance.fake_now;
delete from maintenance_internal.run where job_name = 'purge';
call maintenance.alert_monitor();
select pg_temp.heard() \g /dev/null

-- It goes on while all is paused.
select maintenance.pause('a test') \g /dev/null
update maintenance_internal.run set started_at = now() - interval '1 hour' where job_name = 'alert_monitor';
call maintenance.alert_monitor();
select is((select started_at > now() - interval '1 minute'
  from maintenance.run_history where job_name = 'alert_monitor'),
  true, 'it looks while all jobs are paused');
create function pg_temp.paused() returns boolean language sql as $$
  select coalesce(bool_or(description ~ 'All jobs are paused'), false)
  from maintenance.alert where closed_at is null $$;
select is(pg_temp.paused(), false, 'a pause calls nobody');
update maintenance_internal.control set paused_at = now() - interval '25 hours';
call maintenance.alert_monitor();
select is(pg_temp.paused(), true, 'but one that somebody has forgotten');
select maintenance.resume() \g /dev/null
call maintenance.alert_monitor();
select is(pg_temp.paused(), false, 'until it ends');

-- What is locked, or held by somebody, keeps nothing else from being told.
select dblink_exec('other', 'begin; lock table maintenance.alert in access exclusive mode') \g /dev/null
select matches(maintenance.report_html(7), 'This cannot be read now.*Statistics by job',
  'a locked table costs the page its part alone');
select is(jsonb_typeof(maintenance.system_health()), 'object', 'nor does it cost the word of health');
select matches((select description from public.maintenance_status where task = 'open_alerts'), 'cannot be counted',
  'the status says so');
select dblink_exec('other', 'rollback') \g /dev/null
insert into maintenance_internal.run (job_id, job_name, trigger, status, started_at, finished_at, stop_reason)
select job_id, job_name, 'manual', 'succeeded', now() - interval '70 seconds', now(), 'done'
from maintenance_internal.job where job_name = 'purge';
call maintenance.alert_monitor();
select pg_temp.heard() \g /dev/null
select dblink_exec('other',
  format('begin; do $d$ begin perform maintenance.silence_alert(%s, now() + interval ''1 hour''); end $d$',
  (select max(alert_id) from maintenance.alert where cause = 'job_slow'))) \g /dev/null
delete from maintenance_internal.run where job_name = 'purge';
call maintenance.alert_monitor();
select is((select status from maintenance.run_history where job_name = 'alert_monitor'), 'succeeded',
  'whoever is just silencing an alert keeps no look from its end');
select is((select gone_at from maintenance.alert where cause = 'job_slow' and closed_at is null), null,
  'that one is for the next');
select dblink_exec('other', 'rollback') \g /dev/null
call maintenance.alert_monitor();
select is(pg_temp.open(), null, '... which closes it');
select pg_temp.heard() \g /dev/null

-- Who holds VACUUM back.
create function pg_temp.vacuum(ahead interval) returns text language sql as $$
  select h.status from set_config('maintenance.fake_now', (clock_timestamp() + ahead)::text, true),
    maintenance_internal.health_checks() as h where h.check_name = 'vacuum' $$;
select is((select count(*) from maintenance.vacuum_holders where kind = 'session'), 0::bigint,
  'nobody holds VACUUM back');
select dblink_exec('other', 'begin isolation level repeatable read') \g /dev/null
select * from dblink('other', 'select pg_backend_pid()') as d (pid integer) \gset
create table public.dead as select g from generate_series(1, 1000) as g;
delete from public.dead;
select results_eq($$select kind, name, xmin_age >= 0, since is not null, fix from maintenance.vacuum_holders$$,
  format('values (''session'', %L, true, true, ''select pg_terminate_backend(%s);'')', :'pid', :'pid'),
  'a transaction that is open is named, with since when, and the statement that ends it');
select is(pg_temp.vacuum('59 minutes'), 'ok', 'for 59 minutes it may');
select is(pg_temp.vacuum('60 minutes'), 'warning', 'an hour is a warning');
select is(pg_temp.vacuum('24 hours'), 'critical', 'a day is critical');
select set_config('maintenance.fake_now', (clock_timestamp() + interval '2 hours')::text, false) \g /dev/null
call maintenance.alert_monitor();
reset maintenance.fake_now;
select is(pg_temp.open(), 'health vacuum', 'and one alert');
vacuum public.dead;
select pg_stat_force_next_flush() \g /dev/null
select is((select dead_rows >= 1000 from maintenance.vacuum_holders), true, 'the dead rows that it keeps are told');
select is((select string_agg(d.detail, ' ')
  from maintenance.doctor() as d where d.check_name = 'vacuum') ~ 'holds|held', true,
  'the doctor has the same check');
select fix as ends from maintenance.vacuum_holders \gset
:ends
call pg_temp.wait_for('not exists (select from maintenance.vacuum_holders)');
select is((select count(*) from maintenance.vacuum_holders), 0::bigint, 'what is advised ends it');
call maintenance.alert_monitor();
select is(pg_temp.open(), null, 'and closes the alert');
select dblink_disconnect('other') \g /dev/null
\ir connect.psql

-- A prepared transaction, and slots, where the server has room for them.
select current_setting('max_prepared_transactions')::integer > 0 as can_prepare \gset
\if :can_prepare
begin;
insert into public.dead values (1);
prepare transaction 'left it''s';
select results_eq('select kind, name, fix from maintenance.vacuum_holders', $$values ('prepared transaction',
  'left it''s',
  'rollback prepared ''left it''''s'';')$$, 'a prepared transaction is named');
select fix as ends from maintenance.vacuum_holders \gset
:ends
select is((select count(*) from maintenance.vacuum_holders), 0::bigint, 'and ended by what is advised');
\else
select pass('no prepared transactions here') from generate_series(1, 2);
\endif
\getenv as_superuser AS_SUPERUSER
select current_database() as db, current_user as role \gset
\setenv DB :db
\setenv ROLE :role
\if :{?as_superuser}
\! $AS_SUPERUSER -d $DB -c "select pg_create_logical_replication_slot('left_behind', 'pgoutput')"
select results_eq('select kind, name, fix, detail from maintenance.vacuum_holders', $$values ('replication slot',
  'left_behind',
  'select pg_drop_replication_slot(''left_behind'');', 'a logical slot, which nobody reads')$$,
  'a slot that nobody reads is named');
select fix as ends from maintenance.vacuum_holders \gset
\setenv ENDS :ends
\! $AS_SUPERUSER -d $DB -c "$ENDS"
select is((select count(*) from maintenance.vacuum_holders), 0::bigint, 'and ended by what is advised');

-- The engine of a superuser (F2).
\! $AS_SUPERUSER -d $DB -c "alter role $ROLE superuser"
select matches((select detail from maintenance.doctor() where check_name = 'owner' and status = 'warning'),
  ', a superuser, and with its rights runs what is in tables and rules$',
  'F2: the doctor warns of an owner that is a superuser');
select fix as ends from maintenance.doctor() where check_name = 'owner' \gset
:ends
select is((select status from maintenance.doctor() where check_name = 'owner'), 'ok', 'and its fix cures it');
-- Bloat, measured.
\! $AS_SUPERUSER -d $DB -c 'create extension pgstattuple' -c "grant pg_stat_scan_tables to $ROLE"
create table public.airy as select g, repeat('x', 100) from generate_series(1, 20000) as g;
delete from public.airy where g % 2 = 0;
vacuum analyze public.airy;
select is((select abs(air_percent - 50) < 5 from maintenance.table_bloat where table_name = 'airy'), true,
  'half of a table is air, by the estimate');
select is(abs(maintenance_internal.measured_bloat('public', 'airy') - 50) < 5, true, 'and measured by pgstattuple');
\! $AS_SUPERUSER -d $DB -c "revoke pg_stat_scan_tables from $ROLE"
\else
select pass('no superuser here') from generate_series(1, 6);
\endif

select * from finish();
