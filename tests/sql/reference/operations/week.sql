-- S2-01, S2-18: a week of the registry, by a clock that is moved from minute to minute and a pg_cron by hand: all jobs
-- run in their order, each with its receipt. Two minutes from each hour at which something is due, and six from
-- midnight: between them it is always the same.
begin;
create extension pgtap;
\ir ../companion/companion.psql
select plan(21);
select to_regclass('cron.job') is null as no_cron \gset
\if :no_cron
\set keep '^(health_check|rate_limit_monitor|alert_monitor|cache_cleanup|daily_memory_cleanup|usage_analysis|'
\set keep :keep 'automated_backup|profile_refresh|weekly_summary_generation|database_maintenance|archive_conversations|'
\set keep :keep 'monthly_quota_reset)$'
\ir ../../engine/control/fire.psql
create temporary table log (nr integer generated always as identity, at timestamptz, job_name text, what text);
-- What is fired first is what waits for others.
create temporary table rota as
with recursive below (job_name, depth) as (
  select j.job_name, 0 from maintenance_internal.job as j where j.job_name ~ :'keep'
  union all
  select d, b.depth + 1 from below as b join maintenance_internal.job as j using (job_name), unnest(j.depends_on) as d
)
select j.job_name, j.kind, j.schedule, max(b.depth) as depth
  from maintenance_internal.job as j join below as b using (job_name)
group by 1, 2, 3;
create procedure pg_temp.minute(at timestamptz) language plpgsql as $$
declare v_job record; v_said text;
begin
  perform pg_temp.at(at + interval '1 second');
  insert into public.api_usage_logs (provider_used, model_used, timestamp)
  select 'mine', 'mine', at where extract(hour from at) = 12 and extract(minute from at) = 0;
  for v_job in select * from rota where maintenance.next_run_at(schedule,
  at - interval '1 second') = at order by depth, job_name loop
    if v_job.job_name = 'alert_monitor' then
      perform maintenance_internal.tick_step('watch', '[]')
      where extract(minute from at) = 5; -- it is dear, and most often idle
      v_said := 'succeeded';
    elsif v_job.kind = 'statement' then -- pg_cron runs it itself, and the tick writes its receipt
      insert into maintenance_internal.run (job_id, job_name, trigger, status, started_at, finished_at, slot,
  stop_reason)
      select j.job_id, j.job_name, 'schedule', 'succeeded', maintenance_internal.clock(), maintenance_internal.clock(),
  at, 'done'
      from maintenance_internal.job as j where j.job_name = v_job.job_name;
      v_said := 'succeeded';
    else
      v_said := pg_temp.fire(v_job.job_name);
    end if;
    insert into log (at, job_name, what) values (at, v_job.job_name, v_said);
  end loop;
  insert into log (at, job_name, what)
  select at, split_part(l, ':', 1), 'late ' || split_part(l, ':', 2) from regexp_split_to_table(pg_temp.late(),
  ' ') as l;
end $$;
create procedure pg_temp.pass(since timestamptz, until timestamptz) language plpgsql as $$
begin
  for v_hour in 0 .. extract(epoch from until - since) / 3600 - 1 loop
    continue when v_hour % 24 <> all ('{0,1,2,3,4,6,12,18}');
    for v_minute in 0 .. case v_hour % 24 when 0 then 5 else 1 end loop
      call pg_temp.minute(since + v_hour * interval '1 hour' + v_minute * interval '1 minute');
    end loop;
  end loop;
end $$;
create function pg_temp.order(since timestamptz, until timestamptz) returns text language sql as $$
  select string_agg(to_char(at at time zone 'UTC',
  'HH24:MI ') || job_name || case when what !~ 'succeeded' then ' ' || what else '' end,
    ', ' order by nr)
  from log where at >= since and at < until
    and job_name not in ('health_check', 'rate_limit_monitor', 'alert_monitor', 'cache_cleanup') and what <> '' $$;

-- A student who learns every day; some of it expires, and the application asks a model by itself.
select pg_temp.at('2040-06-29 00:00Z');
select maintenance.set_model('mine', 20, carrier => 'application', per_month => 1000) \g /dev/null
insert into public.study_chat_memory (user_id, content, created_at, expires_at)
select pg_temp.u(1), d::date::text, d + interval '12 hours', d + interval '8 months'
from generate_series('2040-06-23Z'::timestamptz, '2040-07-14Z', '1 day') as d;
insert into public.study_chat_memory (user_id, content, created_at, expires_at)
select pg_temp.u(1), 'old', '2039-10-01Z', d + interval '23 hours' from generate_series('2040-06-28Z'::timestamptz,
  '2040-07-14Z', '1 day') as d;
insert into public.search_cache (query_hash, expires_at)
select d::text, d + interval '5 hours' from generate_series('2040-06-29Z'::timestamptz, '2040-07-15Z', '6 hours') as d;
insert into public.activity_logs (user_id, activity_type, created_at)
select pg_temp.u(1), 'block_completed', d + interval '20 hours' from generate_series('2040-06-28Z'::timestamptz,
  '2040-07-14Z', '1 day') as d;
insert into public.chat_conversations (user_id, title, updated_at) values (pg_temp.u(1), 'old', '2040-05-15Z'),
  (pg_temp.u(1), 'young', '2040-07-01Z');

call pg_temp.pass('2040-06-29 00:00Z', '2040-07-06 00:00Z');
select results_eq($$select job_name, count(*) from maintenance.run_history where status = 'succeeded'
    and job_name not in ('tick', 'run_late', 'alert_monitor') group by 1 order by 1$$,
  $$values ('automated_backup', 7::bigint), ('cache_cleanup', 28), ('daily_memory_cleanup', 7),
  ('database_maintenance', 1),
    ('health_check', 63), ('monthly_quota_reset', 1), ('profile_refresh', 7), ('rate_limit_monitor', 140),
    ('usage_analysis', 7), ('weekly_summary_generation', 1)$$,
  'S2-01: in a week each job has run as often as it should');
select is_empty($$select job_name, status, stop_reason, error
  from maintenance.run_history where status <> 'succeeded'$$,
  'S2-01: ... and nothing has failed, was skipped or waits');
select is(pg_temp.order('2040-06-29Z', '2040-06-30Z'),
  '00:00 daily_memory_cleanup, 01:00 usage_analysis, 03:00 automated_backup, '
  '04:00 profile_refresh', 'S2-18: a day in its order');
select is(pg_temp.order('2040-06-30Z', '2040-07-01Z'), '00:00 daily_memory_cleanup, 01:00 usage_analysis, '
  '02:00 database_maintenance, 03:00 automated_backup, 04:00 profile_refresh', 'S2-18: a Saturday');
select is(pg_temp.order('2040-07-01Z', '2040-07-02Z'), '00:00 monthly_quota_reset, '
  '00:00 weekly_summary_generation waiting/dependency, 00:00 daily_memory_cleanup, '
  '00:00 weekly_summary_generation, 01:00 usage_analysis, '
  '03:00 automated_backup, 04:00 profile_refresh',
  'S2-18, C-04: a Sunday, the first: summaries wait for the clean-up of the minute');
-- Each has done something.
select is((select string_agg(distinct rows_affected::text, ', ')
  from maintenance.run_history where job_name = 'daily_memory_cleanup'),
  '1', 'S2-09: every night a memory has expired');
select is((select string_agg(distinct rows_affected::text, ', ')
  from maintenance.run_history where job_name = 'profile_refresh'),
  '1', 'S2-12: every night a profile was computed');
select is((select sum(rows_affected) from maintenance.run_history where job_name = 'cache_cleanup'), 27::numeric,
  'S2-08: every six hours something in the cache has expired');
select results_eq('select report_date, total_api_calls from public.daily_usage_reports order by 1',
  $$select d::date, case when d > '2040-06-28' then 1 else 0 end::bigint
  from generate_series('2040-06-28'::date, '2040-07-04', '1 day') as d$$,
  'S2-10: every day has its report');
select is((select sum(requests) from public.monthly_usage_reports where month = '2040-06-01'), 2::numeric,
  'S2-16: June is told when it is over');
select results_eq('select kind, subject, state from maintenance.task', $$values ('summarize_week', pg_temp.u(1)::text,
  'ready')$$,
  'S2-13: the week is to be summed up');
select pg_temp.at('2040-07-06 00:00Z');
select maintenance.claim_tasks('me', 1) \g /dev/null
select maintenance.task_request(task_id, lease_token) from maintenance.task \g /dev/null
select pg_temp.answer(t, '{"summary": "A good week."}') from maintenance.task as t \g /dev/null
select is((select period_start || ' ' || summary_text from public.memory_summaries), '2040-06-24 A good week.',
  'S2-13: ... and was');
select is((select count(*) from public.backups where status = 'verified'), 7::bigint,
  'S2-11: every night there is a backup');
select is((select details ->> 'overall'
  from maintenance.run_history where job_name = 'health_check' order by run_id desc limit 1),
  maintenance.system_health() ->> 'overall', 'S2-02: how it is was noted');

-- A night on which the clean-up is broken: what depends on it waits, and goes when it is well again.
create function public.refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
create trigger refuse before delete on public.study_chat_memory for each statement execute function public.refuse();
call pg_temp.pass('2040-07-06 00:00Z', '2040-07-07 00:00Z');
-- A minute and then two after a failure, or a tenth more or less.
select is(regexp_replace(pg_temp.order('2040-07-06Z', '2040-07-07Z'), '00:0[1-5] (daily)', '\1', 'g'),
  '00:00 daily_memory_cleanup failed/refused_rows, '
  'daily_memory_cleanup late failed#2, daily_memory_cleanup late failed#3, '
  '01:00 usage_analysis waiting/dependency, '
  '03:00 automated_backup waiting/dependency, 04:00 profile_refresh waiting/dependency',
  'S2-18, S2-19: a clean-up that fails is tried twice more, and nobody goes without it');
select is((select string_agg(job_name || ' ' || (details ->> 'waitsFor'), ', ' order by run_id)
  from maintenance.run_history
  where status = 'waiting'), 'usage_analysis ["daily_memory_cleanup"], automated_backup ["usage_analysis"], '
  'profile_refresh ["automated_backup"]', 'S2-18: each says what it waits for');
drop trigger refuse on public.study_chat_memory;
call pg_temp.pass('2040-07-07 00:00Z', '2040-07-08 00:00Z');
select is(pg_temp.order('2040-07-07Z', '2040-07-08Z'),
  '00:00 daily_memory_cleanup, 00:00 usage_analysis, 00:00 automated_backup, '
  '00:00 profile_refresh, 01:00 usage_analysis, 02:00 database_maintenance, 03:00 automated_backup, '
  '04:00 profile_refresh',
  'S2-18: once it succeeds they go, in their order, and the new day as ever');
select is((select count(*) from public.study_chat_memory where content = 'old' and expires_at <= '2040-07-07 00:00Z'),
  0::bigint,
  'S2-09: what was left is gone');

-- The 15th, with the Saturday before it.
call pg_temp.minute('2040-07-14 00:00Z');
call pg_temp.minute('2040-07-14 02:00Z');
select is((select string_agg(title, ', ' order by title) from public.chat_conversations where is_archived), null,
  'S2-15: nothing is archived until then');
call pg_temp.minute('2040-07-15 02:00Z');
select is(pg_temp.order('2040-07-15Z', '2040-07-16Z'), '02:00 archive_conversations',
  'S2-18: it goes, since Saturday''s VACUUM went');
select is((select string_agg(title, ', ' order by title) from public.chat_conversations where is_archived), 'old',
  'S2-15: conversations of 60 days are archived');
\else
select skip('pg_cron is in this database', 21);
\endif
select * from finish();
rollback;
