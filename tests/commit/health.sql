-- How the database is (S4-03, S4-05 to S4-07, C-31): fresh, bloated, neglected, locked.
-- Committing, in a database of its own. Another session is a dblink connection called "other".
\set QUIET on
set client_min_messages = error;
create extension pgtap;
select plan(23);
\ir connect.psql

select unnest(array[is(h ->> 'healthy', 'true', 'S4-03: a fresh database is healthy'),
  is(h -> 'issues', '[]', 'a fresh database has no issues'), is(h #> '{stats,unusedIndexes}', '[]',
  'C-31: indexes of a fresh database that nobody has used yet are not listed as unused')])
from public.get_database_health_stats() as h;

create table public.worn (id integer, n integer) with (autovacuum_enabled = false);
insert into public.worn select g, 0 from generate_series(1, 2000) as g;
update public.worn set n = 1 where id <= 400;
select pg_stat_force_next_flush() \g /dev/null
call pg_temp.wait_for($$(select dead_rows = 400 from maintenance.table_bloat where table_name = 'worn')$$);
select is((select is_bloated from maintenance.table_bloat where table_name = 'worn'), false,
  '400 dead rows are no bloat');
update public.worn set n = 1;
select pg_stat_force_next_flush() \g /dev/null
call pg_temp.wait_for($$(select dead_rows = 2400 from maintenance.table_bloat where table_name = 'worn')$$);
select results_eq($$select live_rows, dead_rows, dead_percent, is_bloated from maintenance.table_bloat
  where table_name = 'worn'$$, $$values (2000::bigint, 2400::bigint, 54.5, true)$$,
    'S4-07: 2,400 dead rows of 4,400 are bloat');
select unnest(array[is(h ->> 'healthy', 'false', 'a database with a bloated table is unhealthy'),
  is(h -> 'issues', '["public.worn has 54.5 % dead rows"]', 'a bloated table is an issue, with its share of dead rows'),
  is(h #>> '{stats,bloatedTables,0,table}', 'public.worn', 'the health stats name a bloated table')])
from public.get_database_health_stats() as h;
vacuum public.worn;
select pg_stat_force_next_flush() \g /dev/null
call pg_temp.wait_for($$(select dead_rows = 0 from maintenance.table_bloat where table_name = 'worn')$$);
select is(public.get_database_health_stats() ->> 'healthy', 'true',
  'a database is healthy again when its bloated table is vacuumed');

create index worn_n_idx on public.worn (n);
set maintenance.fake_now = '2100-01-01';
select ok((select is_unused from maintenance.index_health where index_name = 'worn_n_idx'),
  'S4-06: an index that nobody has used for a week is unused');
select is((select is_unused from maintenance.index_health where index_name = 'worn_n_idx'
  and (select count(*) from maintenance.index_health where is_unused and is_unique) > 0), null,
  'C-31: a unique index is never unused');
select ok(public.get_database_health_stats() #> '{stats,unusedIndexes}' ? 'public.worn_n_idx',
  'the health stats list an unused index');
select is(public.get_database_health_stats() ->> 'healthy', 'true', 'C-31: a database with an unused index is healthy');
call maintenance.run_job('weekly_index_report') \g /dev/null
select ok((select details -> 'unused' @> '[{"index": "public.worn_n_idx"}]' from maintenance.run_history
  where job_name = 'weekly_index_report'), 'S4-05: the weekly report lists an unused index');
reset maintenance.fake_now;

insert into public.sessions (expires_at) select now() - interval '1 day' from generate_series(1, 1001);
select is(public.get_database_health_stats() -> 'issues', '["1001 expired sessions"]',
  'S4-03: more than 1,000 expired sessions are an issue');

select maintenance.set_policy('also_' || i, 'public.sessions', 'delete', 'expires_at', '9 days')
from generate_series(1, 9) as i \g /dev/null
select dblink_exec('other', 'begin'), dblink_exec('other',
  'lock table public.sessions, public.worn in access exclusive mode') \g /dev/null
select is(public.get_database_health_stats() -> 'issues',
  '["public.sessions is locked: its expired rows are not counted"]',
  'C-014: a locked table does not keep health from answering');
create temporary table looked as select clock_timestamp() as began, s.* from public.maintenance_status as s;
select cmp_ok(clock_timestamp() - min(began), '<', interval '5 seconds',
  'ten rules of a locked table: its lock is waited for once') from looked;
select is((select string_agg(distinct advice, ' ') from looked where severity = 'critical'),
  (select format('public.sessions is locked by process %s: select state, state_change, query from pg_stat_activity '
    'where pid = %1$s;', pid) from dblink('other', 'select pg_backend_pid()') as o (pid integer)),
  'C-014: a locked table does not keep the status from answering; who has locked it is told');
select results_eq($$select task, count from looked where severity = 'critical' and job_name !~ '^also'$$,
  $$values ('expired_sessions', null::bigint)$$, 'C-014: the rows of its rules alone are critical');
select matches((select fix from maintenance.lint('cleanup_expired_sessions') where severity = 'critical'),
  '^public\.sessions is locked by process \d+: select ', 'lint says who has locked a table, and not to drop the rule');
select dblink_exec('other', 'rollback') \g /dev/null
select maintenance.drop_job('also_' || i) from generate_series(1, 9) as i \g /dev/null
select is((select severity from public.maintenance_status where task = 'expired_sessions'), 'warning',
  'C-014: the status counts expired sessions again when the lock is gone');

select dblink_exec('other', 'begin'), dblink_exec('other', 'lock table maintenance.task in access exclusive mode')
\g /dev/null
select results_eq($$select task, severity, advice ~ '^maintenance\.task is locked by process'
  from public.maintenance_status
  where task in ('expired_sessions', 'scheduler', 'tasks_due') and (task = 'tasks_due' or severity <> 'critical')
  order by task$$, $$values ('expired_sessions', 'warning', false), ('scheduler', 'warning', false),
    ('tasks_due', 'critical', true)$$, 'a lock on the tasks takes no other row of the status with it');
select dblink_exec('other', 'rollback') \g /dev/null

-- The weekly VACUUM goes round what autovacuum is at.
select dblink_exec('other', 'begin'), dblink_exec('other',
  'lock table public.users in share update exclusive mode') \g /dev/null
select clock_timestamp() as began \gset
select statement from maintenance_internal.job where job_name = 'vacuum_account_tables' \gexec
select results_eq(format('select relid::regclass::oid = ''public.users''::regclass, reason, tables from '
  'maintenance_internal.skipped_tables((select statement from maintenance_internal.job where job_name = %L), '
  'current_user, %L)', 'vacuum_account_tables', :'began'),
  $$values (true, 'its lock was not free', 3::bigint)$$,
    'S4-05: the weekly VACUUM leaves out a table that somebody else is vacuuming');
select * from finish();
