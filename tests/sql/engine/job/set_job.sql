-- Function and statement jobs: what they take, what they refuse, how they are dropped.
begin;
create extension pgtap;
select plan(19);

create schema shop;
create function shop.step(batch_size integer) returns bigint language sql return 0;
create function shop.wrong(batch_size bigint) returns bigint language sql return 0;
create function shop.text_step(batch_size integer) returns text language sql return 'x';
create table shop.t (id int, at timestamptz);

select lives_ok($$select maintenance.set_job('tidy', 'shop.step')$$, 'a step function is taken');
select is((select kind || step from maintenance_internal.job where job_name = 'tidy'), 'functionshop.step',
  'the step function of a job is kept by its name');
select throws_ok($$select maintenance.set_job('x', 'shop.nothing')$$, 'PM007',
  'there is no function shop.nothing(integer) returns bigint', 'an unknown step is refused');
select throws_ok($$select maintenance.set_job('x', 'shop.wrong')$$, 'PM007', null,
  'a step with another argument is refused');
select throws_ok($$select maintenance.set_job('x', 'shop.text_step')$$, 'PM007', null,
  'a step with another result is refused');
select throws_ok($$select maintenance.set_job('x', 'step')$$, 'PM007', null,
  'a step without its schema is refused');
select throws_ok($$select maintenance.set_job('x', 'shop.step', backlog_name => 'x')$$, 'PM002', null,
  'a backlog name without its function is refused');
select throws_ok($$select maintenance.set_policy('tidy', 'shop.t', 'delete', 'coalesce(t.at, now())', '1 day')$$,
  'PM002', 'the job "tidy" is a function job already', 'a job does not change its kind');

select lives_ok($$select maintenance.set_statement('vac', 'vacuum (analyze) shop.t;')$$,
  'a utility statement is taken');
select throws_ok($$select maintenance.set_statement('x', 'vacuum shop.t; vacuum shop.t')$$, 'PM007',
  '"vacuum shop.t; vacuum shop.t" is not one statement', 'two statements are refused');
select throws_ok($$select maintenance.set_statement('x', 'vacum shop.t')$$, 'PM007', null,
  'what is no statement is refused');
select throws_ok($$select maintenance.set_statement('x', '')$$, 'PM007', null, 'an empty statement is refused');
select throws_ok($$select maintenance.run_now('vac')$$, 'PM011', null,
  'a statement job cannot be called');

select lives_ok($$select maintenance.configure_job('tidy', batch_size => 7)$$, 'configure_job sets options of a job');
select results_eq($$select batch_size, budget from maintenance_internal.job where job_name = 'tidy'$$,
  $$values (7, interval '5 minutes')$$, 'options that are not given to configure_job stay');
select throws_ok($$select maintenance.configure_job('tidy', batch_size => 0)$$, 'PM002',
  'the batch size 0 is out of range', 'a batch size out of range is refused');
select throws_ok($$select maintenance.configure_job('tidy', budget => '0')$$, 'PM002', null,
  'a budget out of range is refused');

select maintenance.run_now('tidy');
select maintenance.drop_job('tidy');
select results_eq($$select (select count(*) from maintenance_internal.job where job_name = 'tidy'),
  (select count(*) from maintenance.run_history where job_name = 'tidy')$$, $$values (0::bigint, 1::bigint)$$,
  'a dropped job is gone, and its receipts stay');
select throws_ok($$select maintenance.drop_job('tidy')$$, 'PM001', 'there is no job "tidy"',
  'a job cannot be dropped twice');
select * from finish();
rollback;
