-- The summary is refreshed without blocking its readers, nor being blocked by them (S4-02).
-- Committing, in a database of its own. Another session is a dblink connection called "other".
\set QUIET on
set client_min_messages = error;
create extension pgtap;
select plan(5);
\ir connect.psql

insert into public.users (email) values ('ada@example.org');
select dblink_exec('other', 'listen subscription_summary_refreshed') \g /dev/null
call maintenance.run_job('refresh_subscription_summary') \g /dev/null
insert into public.users (email) values ('grace@example.org');

select dblink_exec('other', 'begin') \g /dev/null
select is((select n from dblink('other', 'select count(*) from public.user_subscription_summary') as d (n bigint)),
  1::bigint,
  'a reader has the summary open');
call maintenance.run_job('refresh_subscription_summary') \g /dev/null
select results_eq($$select status, details ->> 'concurrently' from maintenance.run_history order by run_id desc
  limit 1$$,
  $$values ('succeeded', 'true')$$, 'the summary is refreshed concurrently while a reader has it open');
select is((select count(*) from public.user_subscription_summary), 2::bigint,
  'the refreshed summary shows the new row');
select is((select n from dblink('other', 'select count(*) from public.user_subscription_summary') as d (n bigint)),
  2::bigint,
  'a reader that has the summary open sees the new row at its next statement');
select dblink_exec('other', 'commit') \g /dev/null
call maintenance.run_job('refresh_subscription_summary') \g /dev/null
select isnt_empty($$select from dblink_get_notify('other') where notify_name = 'subscription_summary_refreshed'$$,
  'S4-23: a listener is notified of a refresh');
select * from finish();
