-- Every way out of a lease, and what it does to the attempts, the counters and the next try.
begin;
create extension pgtap;
select plan(41);
\ir toy.psql

insert into public.word select 'w' || i from generate_series(1, 30) as i;
create function pg_temp.claim(subject text, others boolean default true) returns maintenance.task language plpgsql
as $$
declare v_id bigint; v_task maintenance.task;
begin
  -- Others are answered, and no model cools: a failure is the task's own.
  delete from maintenance_internal.cool_down;
  insert into maintenance.model_day (day, model, kind, answered_at)
  select (now() at time zone 'America/Los_Angeles')::date, m.model, 'word',
    case when others then 'infinity'::timestamptz end
  from maintenance.model as m
  on conflict (day, model, kind) do update set answered_at = excluded.answered_at;
  v_id := maintenance.enqueue_task('word', subject, priority => -5);
  update maintenance.task set available_at = clock_timestamp() - interval '1 hour' where task_id = v_id;
  perform maintenance.claim_tasks('me', 1, '1 minute');
  select * into strict v_task from maintenance.task where task_id = v_id and state = 'leased';
  perform maintenance.task_request(v_id, v_task.lease_token);
  return v_task;
end $$;
create function pg_temp.fail(subject text, class text, retry_after interval default null,
  others boolean default true) returns jsonb language plpgsql
as $$
declare v_task maintenance.task := pg_temp.claim(subject, others);
begin return maintenance.fail_task(v_task.task_id, v_task.lease_token, class, 'because', retry_after); end $$;
create function pg_temp.last(subject text) returns maintenance.task language sql
as $$ select t from maintenance.task as t where t.subject = $1 order by task_id desc limit 1 $$;

-- transient, bad_output
select pg_temp.fail('w1', 'transient');
select results_eq($$select state, attempts, defers from pg_temp.last('w1')$$, $$values ('ready', 0, 1)$$,
  'a first transient failure is not known to be the task''s own, and costs it nothing');
select is(pg_temp.fail('w1', 'transient') ->> 'state', 'ready', 'a transient failure is tried again');
select ok((pg_temp.last('w1')).available_at - clock_timestamp() between interval '6 seconds' and interval '13 seconds',
  'a first transient failure of its own is tried again after about ten seconds');
select results_eq($$select attempts, defers, recoveries, last_class, last_error, worker from pg_temp.last('w1')$$,
  $$values (1, 1, 0, 'transient', 'because', null::text)$$,
    'a transient failure costs one attempt, and its reason is kept');
select is(pg_temp.fail('w1', 'bad_output') ->> 'state', 'ready', 'bad output is tried again');
select ok((pg_temp.last('w1')).available_at - clock_timestamp() between interval '14 seconds' and interval '26 seconds',
  'the back-off doubles');
select is(pg_temp.fail('w1', 'transient'), '{"state": "dead", "available_at": null}',
  'a failure of the last attempt ends a task dead');
select ok((pg_temp.last('w1')).finished_at is not null, 'a dead task has a finish time');
select pg_temp.fail('w2', 'transient');
select ok((pg_temp.fail('w2', 'transient', '5 minutes') ->> 'available_at')::timestamptz > now() + interval '4 minutes',
  'a longer retry_after is kept to');

-- defer (C-026)
do $$ begin for i in 1 .. 100 loop perform pg_temp.fail('w3', 'defer', '1 s', false); end loop; end $$;
select results_eq($$select state, attempts, defers from pg_temp.last('w3')$$,
  $$values ('ready', 0, 0)$$, 'C-026: putting off a hundred times burns nothing');
select pg_temp.fail('w15', 'defer', '1 s');
do $$ begin for i in 1 .. 50 loop perform pg_temp.fail('w15', 'defer', '1 s'); end loop; end $$;
select results_eq($$select state, attempts, defers,
  available_at > now() + interval '55 minutes' from pg_temp.last('w15')$$,
  $$values ('ready', 0, 50, true)$$, 'where others are answered each time, a task is put off by itself');
select is(pg_temp.fail('w15', 'defer') ->> 'state', 'dead', 'and given up after 50 times');
select is((pg_temp.last('w3')).last_class, 'defer', 'why a task was put off is kept');
do $$ begin for i in 1 .. 40 loop perform pg_temp.fail('w4', 'gone', others => false); end loop; end $$;
select results_eq($$select state, attempts, last_class from pg_temp.last('w4')$$, $$values ('ready', 0, 'gone')$$,
  'a model that is not there costs a task nothing');

-- the others
select pg_temp.fail('w5', 'configuration');
select ok((pg_temp.last('w5')).available_at - clock_timestamp() between interval '55 seconds' and interval '61 seconds',
  'a configuration failure gives the task back for a minute');
select is((pg_temp.last('w5')).attempts, 0, 'a configuration failure costs no attempt');
select is(pg_temp.fail('w6', 'rejected') ->> 'state', 'dead', 'a failure of class rejected ends a task dead at once');
select is(pg_temp.fail('w7', 'too_large') ->> 'state', 'ready', 'one that is too large is asked for less, at once');
select is((pg_temp.last('w7')).last_class, 'too_large', 'a task that failed as too_large keeps that failure class');
select is(pg_temp.fail('w8', 'blocked') ->> 'state', 'skipped', 'a failure of class blocked ends a task skipped');
select throws_ok($$select pg_temp.fail('w9', 'sad')$$, 'PM002', 'the failure class "sad" is not known',
  'an unknown failure class is refused');
select throws_ok($$select pg_temp.fail('w9', 'transient', '-1 s')$$, 'PM002', null,
  'a negative retry_after is refused');
select is((select count(*) from maintenance.model_call where settled_at is not null), 202::bigint,
  'every call is on record, failed ones too');

-- release
do $$ declare v_task maintenance.task; begin for i in 1 .. 40 loop
  v_task := pg_temp.claim('w10'); perform maintenance.release_task(v_task.task_id, v_task.lease_token); end loop;
    end $$;
select results_eq($$select state, attempts, defers, recoveries, last_error from pg_temp.last('w10')$$,
  $$values ('ready', 0, 0, 0, null::text)$$, 'C-026: 40 releases change nothing');

-- recovery: the lease ran out
create function pg_temp.die(subject text) returns text language plpgsql
as $$
declare v_task maintenance.task := pg_temp.claim(subject);
begin
  update maintenance.task set lease_expires_at = clock_timestamp() - interval '1 second' where task_id = v_task.task_id;
  perform maintenance_internal.sweep_leases();
  return (pg_temp.last(subject)).state;
end $$;
select is(pg_temp.die('w11'), 'ready', 'a task whose worker died is ready again');
select results_eq($$select attempts, recoveries, last_error from pg_temp.last('w11')$$,
  $$values (0, 1, 'the lease of me ended without a word')$$,
    'a task whose worker died gets its attempt back, and the recovery is counted');
do $$ begin for i in 1 .. 3 loop perform pg_temp.die('w11'); end loop; end $$;
select is(pg_temp.die('w11'), 'dead', 'the fifth recovery ends a task dead');

create temporary table lost as select * from pg_temp.claim('w14');
update maintenance.task set lease_expires_at = clock_timestamp() - interval '1 second'
  where task_id = (select task_id from lost);
select is((select count(*) from maintenance.claim_tasks('another', 100, '1 minute') as c join lost using (task_id)),
  1::bigint,
  'a claim that finds too few tasks gets those whose lease ran out');

-- the token decides, never the clock
create temporary table late as select * from pg_temp.claim('w12');
update maintenance.task set lease_expires_at = clock_timestamp() - interval '1 day'
  where task_id = (select task_id from late);
select ok(maintenance.extend_lease(task_id, lease_token, '1 minute'),
  'a lease that ran out, and that nobody took, can be extended') from late;
update maintenance.task set lease_expires_at = clock_timestamp() - interval '1 day'
  where task_id = (select task_id from late);
select maintenance_internal.sweep_leases();
select is(maintenance.extend_lease(task_id, lease_token, '1 minute'), false,
  'a lease that was taken back cannot be extended')
  from late;
select is(maintenance.extend_lease(task_id, null, '1 minute'), false, 'a lease cannot be extended without a token')
  from late;
select throws_ok(format('select maintenance.complete_task(%s, %L, %L)', task_id, lease_token, '{}'), 'PM014', null,
  'an answer under a lease that was taken back is refused') from late;
select throws_ok(format('select maintenance.fail_task(%s, %L, %L)', task_id, lease_token, 'transient'), 'PM014', null,
  'a failure under a lease that was taken back is refused') from late;

-- another go
create temporary table twice as select * from pg_temp.claim('w13');
select is(maintenance.enqueue_task('word', 'w13'), (select task_id from twice),
  'asked for again while leased, the same task is returned');
select maintenance.task_request(task_id, lease_token), maintenance.complete_task(task_id, lease_token, '{"word": "x"}')
  from twice;
select results_eq($$select state from maintenance.task where subject = 'w13' order by task_id$$,
  array['succeeded', 'ready'], 'a task that is enqueued again while leased is followed by another');

-- retry
select is(maintenance.retry_task((pg_temp.last('w1')).task_id) ->> 'state', 'ready', 'a dead task can be revived');
select results_eq($$select attempts, finished_at is null from pg_temp.last('w1')$$, $$values (0, true)$$,
  'a revived task has all its attempts again');
select throws_ok(format('select maintenance.retry_task(%s)', task_id), 'PM016', null,
  'a task that succeeded cannot be revived')
  from twice;
select throws_ok('select maintenance.retry_task(-1)', 'PM014', 'there is no task -1',
  'a task that does not exist cannot be revived');

-- status
select results_eq($$select task, count, severity from public.maintenance_status where task like 'tasks%'$$,
  $$select 'tasks_due', count(*), 'notice' from maintenance.task where state = 'ready'
    and available_at <= clock_timestamp()
    union all select 'tasks_leased', count(*), 'ok' from maintenance.task where state = 'leased'
    union all select 'tasks_quarantined', 0, 'ok'
    union all select 'tasks_dead', count(*), 'warning' from maintenance.task where state = 'dead'$$,
      'the status counts tasks due and dead');
select throws_ok($$update maintenance.task set state = 'leased' where subject = 'w2'$$, '23514', null,
  'a check constraint refuses a leased task without a lease');
select * from finish();
rollback;
