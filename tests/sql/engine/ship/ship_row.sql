-- A later release changes of a shipped row what nobody has changed here, and nothing else.
\set QUIET on
set client_min_messages = error;
begin;
create extension if not exists pgtap;
select plan(40);

create table public.audit (at timestamptz, done_at timestamptz, hold boolean);
create index on public.audit (at);
create index on public.audit (done_at);
create function public.audit_step(batch_size integer) returns bigint language sql begin atomic select 0::bigint; end;
create function pg_temp.call(schedule text, keep text, matching text, age text default 'at') returns text
language sql as $$
  select format('select maintenance.set_policy(''purge'', ''public.audit'', ''delete'', %L, %L, schedule => %L, '
    'matching => %L);', age, keep, schedule, matching)
$$;
create function pg_temp.ship(call text, name text default 'purge', kind text default 'job') returns text
language sql as 'select maintenance_internal.ship_row(''engine'', kind, name, call)';
create function pg_temp.rule() returns text language sql as $$
  select concat_ws(' ', j.schedule, p.age, p.keep, p.matching, j.batch_size)
  from maintenance_internal.job as j left join maintenance_internal.policy as p using (job_id)
  where j.job_name = 'purge'
$$;
create function pg_temp.unlike(name text default 'purge') returns jsonb language sql as
  'select unlike_shipped from maintenance.job_status where job_name = name';

-- Nobody has changed anything.
select is(pg_temp.ship(pg_temp.call('0 1 * * *', '90 days', null)), 'registered', 'a first release registers the job');
select is(pg_temp.rule(), '0 1 * * * at 90 days 20000', 'a first release sets the rule as it is shipped');
select is(pg_temp.unlike(), null, 'a job is as it was shipped');
select is(pg_temp.ship(pg_temp.call('0 1 * * *', '90 days', null)), 'there', 'shipping the same changes nothing');
select is(pg_temp.ship(pg_temp.call('0 2 * * *', '80 days', 'not hold', 'done_at')), 'updated',
  'a later release changes what nobody changed');
select is(pg_temp.rule(), '0 2 * * * done_at 80 days (NOT hold) 20000', 'the rule of the later release is in force');
select is(pg_temp.ship(pg_temp.call('0 2 * * *', '80 days', null)
  || ' select maintenance.configure_job(''purge'', batch_size => 100);'), 'updated', 'options are shipped, too');
select is(pg_temp.rule(), '0 2 * * * done_at 80 days 100', 'a shipped option is in force, and a condition that is '
  'no more shipped is gone') from (select pg_temp.ship(pg_temp.call('0 2 * * *', '80 days', null, 'done_at')
  || ' select maintenance.configure_job(''purge'', batch_size => 100);')) as s;
select pg_temp.ship(pg_temp.call('0 2 * * *', '80 days', null));
select is(pg_temp.rule(), '0 2 * * * at 80 days 20000', 'an option that is no more shipped is the usual one again');

-- Somebody has: with configure_job, and with set_policy.
select maintenance.configure_job('purge', keep => '30 days', batch_size => 7);
select is(pg_temp.unlike(), '{"keep": ["80 days", "30 days"], "batch_size": [20000, 7]}',
  'job_status shows what was shipped and what is in force');
select is((select options ->> 'keep' from maintenance.job_status where job_name = 'purge'), '30 days',
  'job_status shows the options in force');
select is(pg_temp.ship(pg_temp.call('0 3 * * *', '70 days', 'hold')),
  'updated, but for what was changed here: batch_size, keep', 'a later release says what it leaves alone');
select is(pg_temp.rule(), '0 3 * * * at 30 days hold 7', 'what somebody changed stays, the rest is as shipped');
select is(pg_temp.unlike() -> 'keep', '["70 days", "30 days"]', 'what is shipped now is known beside what stays');
select maintenance.set_policy('purge', 'public.audit', 'delete', 'done_at', '70 days', schedule => '0 3 * * *');
select is(pg_temp.ship(pg_temp.call('0 4 * * *', '60 days', 'not hold')),
  'updated, but for what was changed here: age, batch_size, description, index_on, matching',
  'a rule that somebody set anew stays as a whole');
select is(pg_temp.rule(), '0 4 * * * done_at 70 days 7', 'with the rule that somebody set stays its keep');

-- Under another style of intervals nothing looks changed.
set local intervalstyle = 'iso_8601';
select is(pg_temp.unlike() -> 'keep', '["60 days", "70 days"]', 'intervals are compared in one style');
select is(pg_temp.unlike() ? 'budget', false, 'a style of intervals is no change');
select is(pg_temp.ship(pg_temp.call('0 4 * * *', '60 days', 'not hold')), 'there', 'shipping under another style');
reset intervalstyle;

-- Removed, another one of that name, another kind of job.
select maintenance.drop_job('purge');
select is(pg_temp.ship(pg_temp.call('0 5 * * *', '50 days', null)), 'removed here',
  'what somebody removed stays out of a later release');
select is(pg_temp.rule(), null, 'a removed job is not made again');
select maintenance.set_policy('purge', 'public.audit', 'delete', 'at', '5 years');
select is(pg_temp.ship(pg_temp.call('0 5 * * *', '50 days', null)),
  'not shipped: this database has another one by that name', 'who removed a job may use its name');
select is(pg_temp.rule(), 'at 5 years 20000', 'a job of one''s own under the name of one that was removed stays');
select is(pg_temp.unlike(), null, 'a job of one''s own is not compared with what was shipped');
select maintenance.drop_job('purge');
select maintenance.set_job('mine', 'public.audit_step', schedule => '0 9 * * *');
select is(pg_temp.ship('select maintenance.set_job(''mine'', ''maintenance_internal.purge_cron_history_step'');',
  'mine'),
  'not shipped: this database has another one by that name', 'a job of the host by that name is not replaced');
select is((select declared_schedule from maintenance.job_status where job_name = 'mine'), '0 9 * * *',
  'the job of the host is as it was');
delete from maintenance_internal.shipped where name = 'purge';
select pg_temp.ship(pg_temp.call('0 1 * * *', '90 days', null));
select maintenance.configure_job('purge', batch_size => 9);
select pg_temp.ship('select maintenance.set_job(''purge'', ''public.audit_step'', schedule => ''0 6 * * *'');');
select results_eq('select kind, declared_schedule, options from maintenance.job_status where job_name = ''purge''',
  $$values ('function', '0 6 * * *', '{"budget": "00:05:00", "priority": "medium", "batch_size": 9}'::jsonb)$$,
  'a rule becomes a function in a later release, and keeps the option that somebody set');
select is(pg_temp.ship(pg_temp.call('0 1 * * *', '90 days', null)), 'updated, but for what was changed here: '
  'batch_size', 'a function becomes a rule again');
select is(pg_temp.rule(), '0 1 * * * at 90 days 9', 'the rule is whole again');

-- Kinds and models.
select pg_temp.ship('select maintenance.set_model(''m1'', 101, 1, 2);', 'm1', 'model');
update maintenance.model set input_usd = 5 where model = 'm1';
select is(pg_temp.ship('select maintenance.set_model(''m1'', 102, 3, 4);', 'm1', 'model'),
  'updated, but for what was changed here: input_usd', 'a model is shipped anew');
select results_eq('select position, input_usd, output_usd from maintenance.model where model = ''m1''',
  'values (102, 5::numeric, 4::numeric)', 'a price that somebody set stays');
update maintenance.kind set instruction = 'Say nothing.', max_attempts = 3 where kind = 'analyze_profile';
select is(maintenance_internal.ship_row('reference', s.kind, s.name,
  replace(s.call, 'trigger => ''analyze''', 'trigger => null')),
  'updated, but for what was changed here: instruction, max_attempts',
  'a kind is shipped anew')
from maintenance_internal.reference_ships() as s where s.name = 'analyze_profile';
select results_eq('select instruction, max_attempts, trigger from maintenance.kind where kind = ''analyze_profile''',
  'values (''Say nothing.'', 3, null::text)', 'what somebody told a model stays');

-- A whole release: what cannot be shipped stops nothing else, what is no more shipped goes.
create or replace function maintenance_internal.engine_ships() returns table (kind text, name text, call text)
language sql as $$ values
  ('job', 'tick', 'select maintenance.set_statement(''tick'', ''call maintenance.tick()'', ''61 * * * *'');'),
  ('job', 'purge_receipts', 'select maintenance.set_policy(''purge_receipts'', ''maintenance_internal.run'', '
    '''delete'', ''finished_at'', ''80 days'');'),
  ('job', 'fresh', 'select maintenance.set_job(''fresh'', ''public.audit_step'');'),
  ('model', 'gemini-3.1-flash-lite', 'select maintenance.set_model(''gemini-3.1-flash-lite'', 1);'),
  ('model', 'gemini-3.5-flash-lite', 'select maintenance.set_model(''gemini-3.5-flash-lite'', 2);'),
  ('model', 'newest', 'select maintenance.set_model(''newest'', 7);') $$;
select maintenance.set_policy('mine_too', 'public.audit', 'delete', 'at', '1 day', backlog_name => 'fresh');
select maintenance.set_model('my_own', 7);
create temporary table release as select * from maintenance_internal.ship('engine');
select results_eq($$select name, outcome from release
  where name !~ '^(forget_|purge_(edits|tasks|subjects|model|changes|alerts|workers))' order by name$$, $$values
  ('alert_monitor', 'retired'),
  ('fresh', 'failed: the job "mine_too" has the backlog name "fresh" already'),
  ('gemini-2.5-flash-lite', 'retired'),
  ('gemini-3.1-flash-lite', 'updated'),
  ('gemini-3.5-flash-lite', 'updated'),
  ('m1', 'retired, and kept: it is not as it was shipped'),
  ('newest', 'registered'),
  ('purge', 'retired, and kept: it is not as it was shipped'),
  ('purge_blobs', 'retired'), ('purge_cron_history', 'retired'),
  ('purge_receipts', 'updated'),
  ('run_late', 'retired'),
  ('tick', 'failed: the schedule "61 * * * *" is not a cron expression: its minute "61" cannot be read')$$,
  'each row of a release says what became of it');
select results_eq($$select model, position from maintenance.model order by position$$, $$values
  ('gemini-3.1-flash-lite', 1), ('gemini-3.5-flash-lite', 2), ('my_own', 7), ('m1', 102), ('newest', 103)$$,
  'models change places, and the shipped one gives way where two have the same');
select is((select declared_schedule from maintenance.job_status where job_name = 'tick'), '* * * * *',
  'what cannot be shipped stays as it was');
select set_eq($$select job_name from maintenance.lint() where finding ~ '^the job of this release, failed: '$$,
  array['tick', 'fresh'], 'lint names what could not be shipped');

-- Back to what is shipped.
select maintenance.configure_job('purge_receipts', keep => '30 days');
select maintenance.drop_job('purge_receipts');
select is((select outcome from maintenance.register('purge_receipts') where kind = 'job'), 'registered',
  'register brings a removed job back');
select is(pg_temp.unlike('purge_receipts'), null, 'what register brings back is as it was shipped');
update maintenance_internal.shipped set row = row - 'max_rows' || '{"old": null}' where name = 'tick';
select is(pg_temp.unlike('tick'), null, 'a column that came with a later release, or went, is nobody''s change');
select * from finish();
rollback;
