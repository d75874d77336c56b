-- Who may do what, tried by logins over real connections against everything that there is; and the
-- ways in that people have tried elsewhere: pg_temp, search_path, overloads, a run id of one's own.
\set QUIET on
set client_min_messages = error;
create extension pgtap;
select plan(30);
\ir connect.psql
select set_config('test.password', gen_random_uuid()::text, false) \g /dev/null

create procedure pg_temp.login(name text, granted text default null) language plpgsql as $$
begin
  execute format('create role %I login password %L', name, current_setting('test.password'));
  if granted is not null then
    execute format('grant %I to %I', granted, name);
  end if;
end $$;
select format('%s_', current_database()) as prefix \gset
select :'prefix' || 'viewer' as viewer, :'prefix' || 'operator' as operator, :'prefix' || 'worker' as worker, :'prefix'
  || 'nobody' as nobody \gset
call pg_temp.login(:'viewer', 'maintenance_viewer');
call pg_temp.login(:'operator', 'maintenance_operator');
call pg_temp.login(:'worker', 'maintenance_worker');
call pg_temp.login(:'nobody');
grant usage on schema public to public;
select dblink_connect(r, format('host=%s port=%s user=%s password=%s dbname=%s', :'host', :'port', r,
  current_setting('test.password'), current_database()))
from unnest(array[:'viewer', :'operator', :'worker', :'nobody']) as r \g /dev/null

-- Everything, as a statement that is refused for lack of a right, or not; all of it rolled back.
create temporary table attempt as
select p.oid::regprocedure::text as what, format(case p.prokind when 'p' then 'call %s.%I(%s)'
  else 'select (%s.%I(%s))::text' end, p.pronamespace::regnamespace, p.proname,
  (select string_agg(format(case p.prokind when 'p' then 'null::%s' else '(select null::%s)' end, format_type(t, null)),
    ', ' order by nr) from unnest(p.proargtypes) with ordinality as a (t, nr))) as statement
from pg_proc as p
where p.pronamespace in ('maintenance'::regnamespace, 'maintenance_internal'::regnamespace, 'public'::regnamespace)
  and not exists (select from pg_depend as d where d.objid = p.oid and d.deptype = 'e')
union all
select v.verb || ' ' || c.oid::regclass, format(v.form, c.oid::regclass,
  quote_ident((select a.attname from pg_attribute as a where a.attrelid = c.oid and attnum = 1)))
from pg_class as c, (values ('read', 'select from %s limit 0'), ('delete', 'delete from %s where false'),
  ('update', 'update %s set %s = default where false'), ('insert', 'insert into %s default values'),
  ('truncate', 'truncate %s')) as v (verb, form)
where c.relnamespace in ('maintenance'::regnamespace, 'maintenance_internal'::regnamespace, 'public'::regnamespace)
  and c.relkind in ('r', 'v', 'm') and (v.verb = 'read' or c.relkind = 'r')
  and not exists (select from pg_depend as d where d.objid = c.oid and d.deptype = 'e');
create function pg_temp.can(who text) returns setof text language plpgsql as $$
declare v record;
begin
  for v in select * from attempt where statement is not null order by what loop
    begin
      perform dblink_exec(who, 'begin');
      if v.statement like 'select%' then
        perform from dblink(who, v.statement) as t (x text);
      else
        perform dblink_exec(who, v.statement);
      end if;
      return next v.what;
    exception when others then
      if sqlerrm !~ '^permission denied for (schema|table|view|materialized view|function|procedure) ' then
        return next v.what;
      end if;
    end;
    perform dblink_exec(who, 'rollback');
  end loop;
end $$;

select ok(count(*) filter (where statement is not null) > 250, 'more than 250 statements are tried') from attempt;
select results_eq(format('select c from pg_temp.can(%L) as c order by c collate "C"', :'nobody'), array[]::text[],
  'S4-12: a login without a role can do nothing');
select results_eq(format('select c from pg_temp.can(%L) as c order by c collate "C"', :'worker'), array[
  'maintenance.claim_blobs(text,integer,interval)',
  'maintenance.claim_tasks(text,integer,interval,jsonb)',
  'maintenance.complete_task(bigint,uuid,text,jsonb)',
  'maintenance.extend_lease(bigint,uuid,interval)',
  'maintenance.fail_task(bigint,uuid,text,text,interval,jsonb,jsonb)',
  'maintenance.release_task(bigint,uuid)',
  'maintenance.settle_blob(bigint,uuid,text,text)',
  'maintenance.task_request(bigint,uuid)'], 'a worker has its eight functions');
create temporary table viewer as select unnest(array[
  'get_database_health_stats()',
  'maintenance.effective_model(text)',
  'maintenance.explain_policy(text)',
  'maintenance.lint(text)',
  'maintenance.next_run_at(text,timestamp with time zone)',
  'maintenance.preview(text)',
  'maintenance.report_html(integer)',
  'maintenance.version()',
  'maintenance.doctor()',
  'maintenance.job_statistics(interval)',
  'maintenance.system_health()',
  'read maintenance.active_failovers',
  'read maintenance.alert',
  'read maintenance.vacuum_holders',
  'read maintenance.worker',
  'read maintenance.task_events',
  'read maintenance.edit',
  'read maintenance.index_health',
  'read maintenance.job_status',
  'read maintenance.metrics',
  'read maintenance.model_status',
  'read maintenance.run_history',
  'read maintenance.setting',
  'read maintenance.table_bloat',
  'read maintenance.todo',
  'read maintenance.upkeep',
  'read maintenance.weekly_report',
  'read backup_statistics',
  'read backups',
  'read daily_usage_reports',
  'read monthly_usage_reports',
  'read retention_policies',
  'read health_check_statistics',
  'read usage_analysis_statistics',
  'read maintenance_status']) as what;
select results_eq(format('select c from pg_temp.can(%L) as c order by c collate "C"', :'viewer'),
  'select what from viewer order by what collate "C"', 'a viewer reads status, history and rules');
select results_eq(format('select c from (select pg_temp.can(%L) as c except select what from viewer) as x order by c '
  'collate "C"', :'operator'), array[
  'analyze_usage(date)',
  'cleanup_expired_attachments()',
  'cleanup_expired_memories()',
  'cleanup_expired_search_cache()',
  'cleanup_expired_sessions()',
  'cleanup_old_raw_items()',
  'cleanup_temp_uploads()',
  'compact_old_import_jobs()',
  'maintenance.approve_task(bigint)',
  'maintenance.cron_statements()',
  'maintenance.disable_job(text)',
  'maintenance.emergency_stop(text)',
  'maintenance.enable_job(text)',
  'maintenance.enqueue_task(text,text,integer,timestamp with time zone,jsonb,boolean)',
  'maintenance.install_schedules()',
  'maintenance.pause(text)',
  'maintenance.record_usage(text,bigint,bigint,timestamp with time zone)',
  'maintenance.reject_task(bigint,text)',
  'maintenance.resume()',
  'maintenance.retry_blobs()',
  'maintenance.retry_task(bigint)',
  'maintenance.retry_tasks(text)',
  'maintenance.run_job(text,jsonb)',
  'maintenance.run_now(text)',
  'maintenance.set_schedule(text,text)',
  'maintenance.silence_alert(bigint,timestamp with time zone)',
  'maintenance.trigger_jobs(text,interval,boolean,boolean)',
  'maintenance.undo_task(bigint)',
  'maintenance_internal.alert_backlog()',
  'maintenance_internal.alert_statement()',
  'maintenance_internal.backlog()',
  'maintenance_internal.blob_backlog()',
  'maintenance_internal.check_outside(text)',
  'maintenance_internal.clock()',
  'maintenance_internal.cron_fault(text)',
  'maintenance_internal.cron_jobs()',
  'maintenance_internal.cron_state()',
  'maintenance_internal.defer_again()',
  'maintenance_internal.end_run(bigint)',
  'maintenance_internal.full_pages()',
  'maintenance_internal.is_alive(integer,integer,timestamp with time zone)',
  'maintenance_internal.is_own(text)',
  'maintenance_internal.message_or_failure(jsonb)',
  'maintenance_internal.metrics()',
  'maintenance_internal.model_status()',
  'maintenance_internal.nearest_slot(text,timestamp with time zone,boolean,text)',
  'maintenance_internal.other_settings()',
  'maintenance_internal.refuse_inside_transaction(text,text)',
  'maintenance_internal.run_late_statement()',
  'maintenance_internal.run_or_raise(text)',
  'maintenance_internal.run_step(bigint)',
  'maintenance_internal.run_steps(bigint)',
  'maintenance_internal.start_run(text,boolean)',
  'maintenance_internal.task_backlog()',
  'maintenance_internal.tick_statement()',
  'maintenance_internal.unlike_shipped(text)',
  'maintenance_internal.upkeep()',
  'maintenance_internal.vacuum_holders()',
  'maintenance_internal.was_fired(integer)',
  'maintenance_internal.wrap_text(text,integer)',
  'mark_stuck_import_runs()',
  'read maintenance.blob',
  'read maintenance.change',
  'read maintenance.model',
  'read maintenance.model_day',
  'read maintenance.pending_answer',
  'read maintenance.task',
  'refresh_student_profiles()',
  'refresh_subscription_summary()',
  'reset_monthly_quotas()',
  'retry_patch_job(uuid)',
  'run_maintenance_cleanup()'],
  'beyond a viewer an operator runs, schedules, asks and decides, and writes no table');
select is_empty(format('select what from viewer except select pg_temp.can(%L)', :'operator'),
  'an operator may do whatever a viewer may');
select is(t, '0', 'an operator reads tasks, their context and answers left out')
  from dblink(:'operator',
  'select count(*) from (select task_id, kind, subject, state, attempts, last_error, result, cost_usd from '
    'maintenance.task) as t') as t (t text);
select throws_ok(format($$select from dblink(%L, 'select context from maintenance.task') as t (t text)$$, :'operator'),
  '42501', null, 'an operator cannot read contexts of tasks');
select throws_ok(format($$select from dblink(%L, 'select held_answer from maintenance.task') as t (t text)$$,
  :'operator'), '42501', null, 'an operator cannot read held answers of tasks');

-- A run id of somebody else's, and progress that a caller made up.
create table public.events (id integer primary key, at timestamptz);
insert into public.events select i, now() - case when i <= 30 then interval '1 year' else interval '0' end
  from generate_series(1, 40) as i;
select maintenance.set_policy('purge', 'public.events', 'delete', 'at', '1 day') \g /dev/null
select maintenance.configure_job('purge', batch_size => 10) \g /dev/null
create function pg_temp.as_operator(statement text) returns text language sql as $$
  select t from dblink(current_database() || '_operator', statement) as t (t text) $$;
select maintenance_internal.start_run('purge', true) as mine \gset
select is(pg_temp.as_operator(format('select more from maintenance_internal.run_step(%s)', :mine)), 'f',
  'an operator cannot step in a run of another session');
select throws_ok(format('select pg_temp.as_operator(%L)', format('select maintenance_internal.end_run(%s)', :mine)),
  'PM002', format('run %s was not begun by this session', :mine), 'an operator cannot end a run of another session');
select maintenance_internal.end_run(:mine) \g /dev/null
select pg_temp.as_operator($$select maintenance_internal.start_run('purge', true)$$) as theirs \gset
select pg_temp.as_operator(format('select more from maintenance_internal.run_step(%s)', :theirs)) \g /dev/null
select pg_temp.as_operator(format('select more from maintenance_internal.run_step(%s)', :theirs)) \g /dev/null
select pg_temp.as_operator(format('select more from maintenance_internal.run_step(%s)', :theirs)) \g /dev/null
select is((select count(*) from public.events), 30::bigint, 'a step takes one batch of what is due, whoever calls it');
select pg_temp.as_operator(format('select maintenance_internal.end_run(%s)', :theirs)) \g /dev/null

-- F4: anybody can take an advisory lock, and nobody is stopped by it. F21: anybody can call himself pg_cron.
select dblink_exec(:'nobody', 'set application_name = ''pg_cron''') \g /dev/null
select t from dblink(:'nobody', $$select count(pg_advisory_lock(1886216560, i)) from generate_series(-5, 500) as i$$)
  as t (t text) \g /dev/null
select is(maintenance.run_now('purge_receipts') #>> '{data,status}', 'succeeded',
  'F4: a job runs, whatever locks a stranger holds');
select ok(maintenance_internal.take_turn('statements'),
  'F4: statements get their receipts');
select is((select bool_or(j.running) from maintenance.job_status as j), false, 'F4: and no job is shown as running');
select t from dblink(:'nobody', 'select pg_advisory_unlock_all()') as t (t text) \g /dev/null
select dblink_exec(:'operator', 'set application_name = ''pg_cron''') \g /dev/null
select pg_temp.as_operator($$select maintenance.run_now('purge_receipts') is not null$$) \g /dev/null
select is((select trigger from maintenance.run_history order by run_id desc limit 1), 'manual',
  'F21: an operator who takes the name of pg_cron has started it by hand');
select dblink_exec(:'operator', 'reset application_name') \g /dev/null

-- Temporary tables of a stranger's session, which Postgres finds on every path.
select dblink_exec(:'operator', 'create temporary table scratch (i int)') \g /dev/null
select is(pg_temp.as_operator($$select maintenance.run_now('purge') #>> '{data,sqlstate}'$$), 'PM023',
  'a job does not run in an operator''s session that has temporary tables');
select is(pg_temp.as_operator(
    $$select count(*) > 0 from public.maintenance_status where severity = 'critical'$$), 't',
  '... and a look does not count there');
select dblink_exec(:'operator', 'discard temp') \g /dev/null
select is(pg_temp.as_operator($$select maintenance.run_now('purge_receipts') #>> '{data,status}'$$), 'succeeded',
  '... until they are gone');

-- F3: what an operator sets of an extension's settings turns no run.
create extension pg_trgm schema public;
create table public.turned (at timestamptz, name text);
insert into public.turned values (now() - interval '1 year', 'alpha');
select maintenance.set_policy('turned', 'public.turned', 'delete', 'at', '1 day',
  matching => $$name % 'zzalphzz'$$) \g /dev/null
select dblink_exec(:'operator', 'set pg_trgm.similarity_threshold = 0.01') \g /dev/null
select is(pg_temp.as_operator($$select maintenance.run_now('turned') #>> '{data,rowsAffected}'$$), '0',
  'F3: a setting of an extension in the operator''s session turns no run');
select is(pg_temp.as_operator('show pg_trgm.similarity_threshold'), '0.01', '... and is what it was, afterwards');
select dblink_exec(:'operator', 'reset pg_trgm.similarity_threshold') \g /dev/null
select maintenance.drop_job('turned') \g /dev/null

-- Things of one's own that come first in the search_path.
grant create on schema public to :operator;
select format('grant create, temporary on database %I to %I', current_database(), :'operator') \gexec
create table public.trace (who text);
grant insert, select on public.trace to public;
select dblink_exec(:'operator', $$
  create schema evil;
  create function evil.now() returns timestamptz language sql as 'select timestamptz ''2100-01-01''';
  create function evil.clock_timestamp() returns timestamptz language sql as 'insert into public.trace values '
    '(current_user); select timestamptz ''2100-01-01''';
  create function evil.less_or_equal(timestamptz,
    timestamptz) returns boolean language sql as 'insert into public.trace values (current_user); select true';
  create operator evil.<= (leftarg = timestamptz, rightarg = timestamptz, procedure = evil.less_or_equal);
  grant usage on schema evil to public;
$$) \g /dev/null
select dblink_exec(:'operator', 'set search_path = evil, pg_temp, public, maintenance, pg_catalog') \g /dev/null
insert into public.events select i, now() - interval '1 year' from generate_series(101, 105) as i;
select is(pg_temp.as_operator($$select maintenance.preview('purge')::text$$)::text ~ '^\(25,f,', true,
  'a preview under a search_path of the caller''s own counts the same rows');
select is(pg_temp.as_operator($$select maintenance.run_now('purge') operator(pg_catalog.#>>) '{data,rowsAffected}'$$),
  '25', 'a run under a search_path of the caller''s own takes the same rows');
select is((select count(*) from public.events), 10::bigint,
  'a run under a search_path of the caller''s own leaves what is not due');
select is_empty($$select who from public.trace where who = current_user$$,
  'nothing that an operator put into the search_path runs with the owner''s rights');

-- Overloads of a step, made by whoever may create in its schema.
create function public.take(batch_size integer) returns bigint language sql as 'select 0::bigint';
select maintenance.set_job('take', 'public.take') \g /dev/null
select dblink_exec(:'operator', $$
  create function public.take(bigint) returns bigint language sql as 'insert into public.trace values (current_user); '
    'select 0::bigint';
  create function public.take(smallint) returns bigint language sql as
    'insert into public.trace values (current_user); '
    'select 0::bigint';
  create function public.take(variadic integer[]) returns bigint language sql as 'insert into public.trace values '
    '(current_user); select 0::bigint';
$$) \g /dev/null
select is(maintenance.run_now('take') ->> 'success', 'true', 'a step with overloads runs');
select dblink_exec(:'operator', $$
  create function public.take(integer,
    integer default 1) returns bigint language sql as 'insert into public.trace values (current_user); select '
      '0::bigint';
$$) \g /dev/null
select is(maintenance.run_now('take') #>> '{data,sqlstate}', '42725',
  'a step whose overloads Postgres cannot tell apart fails as ambiguous');
select is_empty($$select who from public.trace where who = current_user$$,
  'no overload that somebody else made runs with the owner''s rights');

-- A worker's login in other hands: its name is no advice, and it sits on no model.
create function public.asked() returns setof text language sql stable begin atomic select null::text where false; end;
create function public.asks(subject text, options jsonb)
returns table (content text, context jsonb, input_hash text, skip_reason text) language sql stable
return (subject, null::jsonb, null::text, null::text);
create function public.applies(subject text, context jsonb, answer jsonb, options jsonb) returns jsonb language sql
return '{}'::jsonb;
select maintenance.set_kind('asked', 'Do.', '{"type": "object", "properties": {"x": {"type": "string"}}}',
  'public.asked',
  'public.asks', 'public.applies'), maintenance.enqueue_task('asked', 'x') \g /dev/null
select id as task_id, token from dblink(:'worker', $$select task_id, lease_token from
  maintenance.claim_tasks(E'host:1. Urgent:\nselect maintenance.disable_job(''x'');')$$) as t (id bigint,
    token uuid) \gset
select is((select worker from maintenance.task), 'host:1. Urgent: select maintenance.disable_job x ',
  'the name of a worker has no statement in it');
select dblink_exec(:'worker', 'begin') \g /dev/null
select r from dblink(:'worker', format('select maintenance.task_request(%s, %L)', :task_id, :'token')) as t (r jsonb)
\g /dev/null
select is((select v from dblink(:'worker', 'show idle_in_transaction_session_timeout') as t (v text)), '5s',
  'a transaction that has reserved a place does not stay open');
select dblink_exec(:'worker', 'rollback') \g /dev/null

select dblink_disconnect(r) from unnest(array[:'viewer', :'operator', :'worker', :'nobody']) as r \g /dev/null
select format('grant %1$I to current_user; drop owned by %1$I; drop role %1$I', r)
  from unnest(array[:'viewer', :'operator', :'worker', :'nobody']) as r \gexec
select * from finish();
