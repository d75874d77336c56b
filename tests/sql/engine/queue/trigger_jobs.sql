-- trigger_jobs asks for every subject of a trigger once, spread in time, and can say before what it would cost.
begin;
create extension pgtap;
select plan(20);
delete from maintenance.kind;
\ir toy.psql
insert into public.word values ('a', null), ('b', null), ('c', null);
select maintenance.set_kind('more', 'Do.', '{}', 'public.word_subjects', 'public.word_prepare', 'public.word_apply',
  'consolidate');

select is(maintenance.trigger_jobs(), '{"success": true, "usersProcessed": 3, "jobsPublished": 3}',
  'trigger_jobs publishes tasks for every kind that has a trigger');
select results_eq('select kind, subject, state, force from maintenance.task order by subject',
  $$values ('more', 'a', 'ready', false), ('more', 'b', 'ready', false), ('more', 'c', 'ready', false)$$,
  'trigger_jobs publishes no task for a kind without a trigger');
select is(maintenance.trigger_jobs(), '{"success": true, "usersProcessed": 3, "jobsPublished": 0}',
  'S0-04: a second call publishes nothing while the first is open');
select is(maintenance.trigger_jobs('archive'), '{"success": true, "usersProcessed": 0, "jobsPublished": 0}',
  'a trigger without a kind has nothing to do');
select throws_ok($$select maintenance.trigger_jobs('everything')$$, 'PM015', 'there is no trigger "everything"',
  'S0-02: an unknown trigger is an error');
select throws_ok($$select maintenance.trigger_jobs(null)$$, 'PM015', null, 'a null trigger is an error');
select throws_ok($$select maintenance.trigger_jobs(spread => '-1 s')$$, 'PM002', null, 'a negative spread is an error');

delete from maintenance.task;
insert into public.word select 's' || i from generate_series(1, 197) as i;
select is(maintenance.trigger_jobs('consolidate', spread => '1 hour', force => true) -> 'jobsPublished', '200',
  'trigger_jobs with a spread publishes a task for each subject');
select ok(min(available_at) >= now() and max(available_at) <= clock_timestamp() + interval '1 hour'
  and max(available_at) - min(available_at) > interval '30 minutes',
    'tasks published with a spread come due over that time')
from maintenance.task;
select ok(bool_and(force), 'trigger_jobs passes force on to its tasks') from maintenance.task;
select is(count(*), 0::bigint, 'what is not due yet is not claimed') from maintenance.claim_tasks('w', 10) as c
  join maintenance.task as t using (task_id) where t.available_at > clock_timestamp();

delete from maintenance.task;
select is(maintenance.trigger_jobs('consolidate', dry_run => true),
  '{"success": true, "usersProcessed": 200, "jobsPublished": 200, "dryRun": true, "expectedTokens": null, '
    '"expectedCostUsd": null}',
  'a dry run says what would be published; before the first call no cost is known');
select is((select count(*) from maintenance.task), 0::bigint, 'a dry run publishes nothing');
insert into maintenance.model_day (day, model, kind, calls, answered, input_tokens, output_tokens, cost_usd)
  values (current_date - 1, 'm', 'more', 3, 2, 1800, 200, 0.004), (current_date - 40, 'm', 'more', 1, 1, 9, 9, 9);
select is(maintenance.trigger_jobs('consolidate', dry_run => true) - array['success', 'usersProcessed',
  'jobsPublished'], '{"dryRun": true, "expectedTokens": 200000, "expectedCostUsd": 0.400000}',
  'a dry run estimates tokens and cost from the answers of a month');

-- Users (S0-03)
select maintenance.set_kind('users', 'Do.', '{}', 'public.profile_subjects', 'public.word_prepare', 'public.word_apply',
  'analyze');
insert into public.users (email, is_guest, deleted_at) values ('live', false, null), ('guest', true, null),
  ('deleted', false, now());
select is(maintenance.trigger_jobs('analyze') -> 'usersProcessed', '1', 'S0-03: guests and deleted users are left out');
select is(maintenance.trigger_jobs('all') -> 'usersProcessed', '201', 'a user of two kinds would count once');

-- The weekly job
select is((select schedule from maintenance_internal.job where job_name = 'trigger_analysis'), '30 5 * * 1',
  'the job trigger_analysis is scheduled for Monday 05:30 UTC');
delete from maintenance.task;
select is(maintenance.run_now('trigger_analysis') ->> 'success', 'true', 'the job trigger_analysis runs with success');
select is((select details - 'success' from maintenance_internal.run where job_name = 'trigger_analysis'),
  '{"usersProcessed": 1, "jobsPublished": 1}', 'the job trigger_analysis leaves its counts on the receipt');
select is((select count(*) from maintenance.task where kind = 'users'), 1::bigint,
  'the job trigger_analysis publishes its task');
select * from finish();
rollback;
