-- The worker's role carries tasks with six functions, deletes blobs with two, and can do nothing else.
begin;
create extension pgtap;
select plan(15);
\ir toy.psql
insert into public.word values ('a', null), ('b', null);
select maintenance.enqueue_task('word', s) from unnest(array['a', 'b']) as s;

select set_eq($$select p.proname::text from pg_proc as p where p.pronamespace = 'maintenance'::regnamespace
    and has_function_privilege('maintenance_worker', p.oid, 'execute')$$,
  array['claim_tasks', 'task_request', 'extend_lease', 'complete_task', 'fail_task', 'release_task',
    'claim_blobs', 'settle_blob'], 'eight functions of the engine are the worker''s');
select is_empty($$select p.oid::regprocedure from pg_proc as p
    where p.pronamespace = 'public'::regnamespace and p.proname in (select job_name from maintenance_internal.job)
      and has_function_privilege('maintenance_worker', p.oid, 'execute')$$,
        'a worker can call no function of a job in schema public');
select is_empty($$select c.oid::regclass from pg_class as c
    where c.relnamespace in ('maintenance'::regnamespace, 'maintenance_internal'::regnamespace, 'public'::regnamespace)
      and c.relkind in ('r', 'p', 'v', 'm', 'S')
      and c.relname not like 'pg\_%' and c.relname not in ('tap_funky')
      and (has_table_privilege('maintenance_worker', c.oid,
        'select, insert, update, delete, truncate, references, trigger')
        or has_any_column_privilege('maintenance_worker', c.oid, 'select, insert, update'))$$,
  'a worker has no right on a table or view of the engine or the application');
select is_empty($$select p.oid::regprocedure from pg_proc as p
    where p.pronamespace = 'maintenance'::regnamespace and has_function_privilege('public', p.oid, 'execute')$$,
  'no function of the engine can be called by everybody');

grant maintenance_worker to current_user;
set local role maintenance_worker;
create temporary table claimed as select * from maintenance.claim_tasks('w', 2, '1 minute');
select is((select count(*) from claimed), 2::bigint, 'a worker can claim tasks');
select is((select maintenance.task_request(task_id, lease_token) ->> 'content' from claimed order by 1 limit 1),
  'Say a', 'a worker can read the request of a task that it claimed');
select ok(maintenance.extend_lease(task_id, lease_token, '2 minutes'), 'a worker can extend its lease') from claimed
  order by task_id
  limit 1;
select is(maintenance.complete_task(task_id, lease_token, '{"word": "x"}') ->> 'state', 'succeeded',
  'a worker can complete a task')
from (select * from claimed order by task_id limit 1) as c;
select is(maintenance.fail_task(task_id, lease_token, 'defer', 'not now', '0 s') ->> 'state', 'ready',
  'a worker can fail a task')
from (select * from claimed order by task_id desc limit 1) as c;
select is(maintenance.release_task(task_id, lease_token) ->> 'state', 'ready', 'a worker can release a task')
from maintenance.claim_tasks('w', 2, '1 minute');
select throws_ok('select * from maintenance.task', '42501', null, 'a worker cannot read tasks');
select throws_ok('select * from public.word', '42501', null, 'a worker cannot read rows of the application');
select throws_ok($$select maintenance.enqueue_task('word', 'a')$$, '42501', null, 'a worker cannot enqueue tasks');
select throws_ok($$select maintenance.run_now('cleanup_temp_uploads')$$, '42501', null, 'a worker cannot run a job');
select throws_ok($$select maintenance.retry_task(1)$$, '42501', null, 'a worker cannot retry a task');
select * from finish();
rollback;
