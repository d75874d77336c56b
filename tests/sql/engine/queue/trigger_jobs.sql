-- trigger_jobs asks for every subject of a trigger once, spread in time, and can say before what it would cost.
begin;
create extension pgtap;
select plan(32);
delete from maintenance.kind;
\ir toy.psql
insert into public.word values ('a', null), ('b', null), ('c', null);
select maintenance.set_kind('more', 'Do.', '{"type": "object", "properties": {"word": {"type": "string"}}}',
  'public.word_subjects', 'public.word_prepare', 'public.word_apply',
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
select maintenance.set_kind('users', 'Do.', '{"type": "object", "properties": {"word": {"type": "string"}}}',
  'public.profile_subjects', 'public.word_prepare', 'public.word_apply',
  'analyze');
insert into public.users (email, is_guest, deleted_at) values ('live', false, null), ('guest', true, null),
  ('deleted', false, now());
insert into public.messages (user_id, content) select u.id, 'm' || i from public.users as u, generate_series(1,
  10) as i;
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

-- N-020: one broken kind stops no other.
create function public.broken_subjects() returns setof text language plpgsql stable as
  $$ begin raise exception 'a secret'; end $$;
select maintenance.set_kind(k, 'Do.', '{"type": "object", "properties": {"word": {"type": "string"}}}', f,
  'public.word_prepare', 'public.word_apply', 'nightly') from (values ('a_broken', 'public.broken_subjects'),
  ('b_whole', 'public.word_subjects')) as v (k, f) \g /dev/null
select is(maintenance.trigger_jobs('nightly'),
  '{"success": false, "usersProcessed": 200, "jobsPublished": 200, "errors":
  [{"kind": "a_broken", "error": "the subjects cannot be told by public.broken_subjects: SQLSTATE P0001"}]}',
  'N-020: the tasks of other kinds are published, and the broken one is named; a kind may name any trigger');
create or replace function public.broken_subjects() returns setof text language plpgsql stable as
  $$ begin assert false, 'a secret'; end $$;
select is(maintenance.trigger_jobs('nightly') -> 'errors',
  '[{"kind": "a_broken", "error": "the subjects cannot be told by '
  'public.broken_subjects: SQLSTATE P0004"}]', 'N-020: an assert too');
create or replace function public.broken_subjects() returns setof text language sql stable as
  $$ select repeat('x', 300) $$;
select matches(maintenance.trigger_jobs('nightly') #>> '{errors,0,error}', 'a subject has more than 200 characters',
  'N-020: a subject that no task can have too');
create or replace function public.broken_subjects() returns setof text language plpgsql stable as
  $$ begin raise exception 'a secret'; end $$;
select is(maintenance.trigger_jobs() ? 'errors', false, 'all are the three of the original');
delete from maintenance.task;
create function public.nightly_step(batch_size integer) returns bigint language sql
  return maintenance_internal.trigger_step('nightly', '0');
select maintenance.set_job('ask_nightly', 'public.nightly_step') \g /dev/null
select results_eq($$select r ->> 'success', r ->> 'message' from maintenance.run_now('ask_nightly') as r$$,
  $$values ('false', 'ask_nightly failed: not asked for: a_broken: the subjects cannot be told by '
  'public.broken_subjects: SQLSTATE P0001')$$, 'N-020: a run that asks by schedule fails for it');
select is((select count(*) from maintenance.task where kind = 'b_whole'), 200::bigint, 'N-020: with the others asked');
select is((select details -> 'jobsPublished' from maintenance_internal.run where job_name = 'ask_nightly'), '200',
  'N-020: and counted on the receipt');

-- A day of 2,000 users with nothing to do, and 500 with something.
delete from maintenance.task;
delete from maintenance.kind where kind = 'more';
select * from maintenance.register('consolidate_memories') \g /dev/null
delete from maintenance_internal.subject;
insert into public.users (email) select 'idle' || i from generate_series(1, 2000) as i;
insert into public.users (email) select 'busy' || i from generate_series(1, 500) as i;
insert into public.memories (user_id, key, content, updated_at)
select u.id, 'k' || i, 'Fact ' || i, now() - interval '1 hour' from public.users as u, generate_series(1, 5) as i
where u.email ~ '^busy' or u.email ~ '^idle' and i < 3;
create function pg_temp.day() returns text language plpgsql as $$
declare v_task record;
begin
  perform maintenance.trigger_jobs('consolidate');
  for v_task in select * from maintenance.claim_tasks('me', 1000) loop
    if maintenance.task_request(v_task.task_id, v_task.lease_token) is not null then
      perform maintenance.complete_task(v_task.task_id, v_task.lease_token, '{"operations": []}');
    end if;
  end loop;
  update maintenance.task set finished_at = finished_at - interval '1 day', created_at = created_at - interval '1 day';
  update maintenance.model_call set created_at = created_at - interval '1 day';
  return (select count(*) from maintenance.task) || ' ' || (select count(*) from maintenance.model_call) || ' '
    || (select count(*) from maintenance_internal.subject);
end $$;
delete from maintenance.model_call;
select is(pg_temp.day(), '500 500 500', 'P3: a day leaves a task and a call for each user who has something to do');
select is(pg_temp.day(), '500 500 500', 'P3: the next one, with nothing new, leaves nothing');
update maintenance.task set finished_at = finished_at - interval '30 days';
update maintenance.model_call set created_at = created_at - interval '30 days';
select maintenance.run_now(j) from unnest(array['purge_tasks', 'purge_model_calls']) as j \g /dev/null
select is((select count(*) from maintenance.task) + (select count(*) from maintenance.model_call), 0::bigint,
  'P3, T19: after 30 days they are gone');
select is((select calls || ' ' || answered from maintenance.model_day where kind = 'consolidate_memories'), '500 500',
  'with the cost kept by day');
select is(pg_temp.day(), '0 0 500', 'and what was asked about is remembered: nobody is asked anew');
select * from finish();
rollback;
