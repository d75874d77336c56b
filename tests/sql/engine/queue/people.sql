-- What people see of the queue and do about it: why nothing is handed out, what is with a worker, what is dead.
begin;
create extension pgtap;
select plan(22);
\ir toy.psql
\set QUIET on
delete from maintenance.kind where kind <> 'word';
insert into public.word select 'w' || i from generate_series(1, 9) as i;
create function pg_temp.row(task text) returns text language sql as $$
  select concat_ws('|', count, severity, advice) from public.maintenance_status as s where s.task = row.task $$;
-- Executes the first statement of an advice that is one of ours.
create function pg_temp.paste(task text) returns void language plpgsql as $$
begin
  execute substring(pg_temp.row(paste.task) from '(?:^|: |\|)(select maintenance\.\w+\([^;]*\));');
end $$;
create temporary table id as
select i as nr, maintenance.enqueue_task('word', 'w' || i) as task_id from generate_series(1, 5) as i;
select is(pg_temp.row('tasks_due'), '5|notice', 'tasks are due');
select is(pg_temp.row('tasks_leased'), '0|ok', 'none is with a worker');

-- The budget, a model, the key
select maintenance.configure('daily_budget_usd', 0);
select matches(pg_temp.row('tasks_due'), '^5\|warning\|The budget of 0 USD a day is spent \(0\.0000\); until '
  '\d{4}-\d\d-\d\d 0[78]:00:00\+00\. More of it: select maintenance\.configure\(''daily_budget_usd'', 1\);$',
  'a spent budget says until when, and how there is more');
select pg_temp.paste('tasks_due');
select is(pg_temp.row('tasks_due'), '5|notice', 'and that is what it does');
update maintenance.model set enabled = position > 2;
insert into maintenance_internal.cool_down (model, class, reason, since, until)
select model, 'limit', 'asked too often (429, task 1)', now(), '2100-01-01 00:00+00' from maintenance.model
where position > 1;
select is(pg_temp.row('tasks_due'), '5|notice|No model can be asked for word: gemini-2.5-flash-lite is cooling until '
  '2100-01-01 00:00:00+00 (asked too often (429, task 1)). Who is asked when: select * from maintenance.model_status;',
  'models that cool say until when');
delete from maintenance_internal.cool_down;
update maintenance.model set enabled = true;
create temporary table claimed as select * from maintenance.claim_tasks('host:7', 2);
select is(pg_temp.row('tasks_leased'), '2|ok', 'what is with a worker is counted');
select maintenance.task_request(task_id, lease_token) from claimed;
select maintenance.fail_task(task_id, lease_token, 'configuration', '401: no') from claimed order by task_id limit 1;
select matches(pg_temp.row('tasks_due'),
  '^3\|warning\|Gemini refuses the key of the worker, or its project \(task \d+\): '
  'mend GEMINI_API_KEY', 'a refused key is told');

-- A lease that goes on for ever
update maintenance.task set leased_at = now() - interval '2 hours' where state = 'leased';
select matches(pg_temp.row('tasks_leased'),
  '^1\|warning\|Task \d+ is with host:7 for more than an hour\. To take it back: '
  'select maintenance\.retry_task\(\d+\);$', 'a lease of an hour is told');
select pg_temp.paste('tasks_leased');
select is(pg_temp.row('tasks_leased'), '0|ok', 'and is taken back');
select results_eq('select outcome, settled_at is not null from maintenance.model_call order by call_id',
  $$values ('configuration', true), ('lost', true)$$, 'its call is settled as lost');
select throws_ok(format('select maintenance.complete_task(%s, %L, ''{}'')', task_id, lease_token), 'PM014', null,
  'what its worker says then is refused') from claimed order by task_id desc limit 1;
select is((select attempts || ' ' || state from maintenance.task where task_id = (select max(task_id) from claimed)),
  '0 ready', 'it is ready, with all its attempts');

-- The dead
update maintenance.task set state = 'dead', finished_at = now(), last_error = 'x' where state = 'ready';
select maintenance.enqueue_task('word', 'w1') as twin \gset
select is(pg_temp.row('tasks_dead'), '5|warning|select task_id, kind, last_error from maintenance.task where state = '
  '''dead''; then one: select maintenance.retry_task(task_id); or all of a kind: select '
  'maintenance.retry_tasks(''word'');',
  'the dead are counted, with what revives them');
select throws_ok('select maintenance.retry_task(task_id) from id where nr = 1', 'PM016',
  format('task %s of the kind word about w1 is open', :twin), 'where another one is open, it is named');
select is(maintenance.retry_tasks('word'), '{"dead": 1, "revived": 4}', 'all of a kind are revived at once');
select results_eq('select task_id, state from maintenance.task where subject = ''w1'' order by task_id',
  format($$values ((select task_id from id where nr = 1), 'dead'), (%s::bigint, 'ready')$$, :twin),
  'but for one of which another is open');
select is(maintenance.retry_tasks('word'), '{"dead": 1, "revived": 0}', 'a second call revives none');
select throws_ok($$select maintenance.retry_tasks('verse')$$, 'PM013', null, 'there has to be such a kind');
select throws_ok($$select maintenance.enqueue_task('word', 'w9', priority => 6)$$, 'PM002',
  'the priority 6 is out of range',
  'P2: a priority has bounds');

-- Never asked
create temporary table unasked as select * from maintenance.claim_tasks('me', 1);
select is((select (maintenance.complete_task(task_id, lease_token, '{"word": "x"}') - 'available_at') from unasked),
  '{"state": "ready", "error": "the task was never asked: task_request comes first"}',
  'an answer to what a crash has taken back is given back');
select is((select attempts from maintenance.task join unasked using (task_id)), 0, 'and costs nothing');
select results_eq('select model, asked_instead from maintenance.active_failovers',
  'select null::text, null::text where false',
  'no fail-over is shown where there is none');
select * from finish();
rollback;
