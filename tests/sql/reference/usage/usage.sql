-- S2-03, S2-10, S2-16, S2-27: the log of calls counts for the limits of models, each day has one report, each month is
-- told once.
begin;
create extension pgtap;
\ir ../companion/companion.psql
select plan(100);
set local maintenance.fake_now = '2026-11-12 12:30:00Z';
select maintenance.set_model('mine-a', 11, carrier => 'application', per_minute => 100, per_day => 1000,
  per_month => 4000);
select maintenance.set_model('mine-b', 12, carrier => 'application', per_hour => 10);
create function pg_temp.used(model text, span text) returns bigint language sql as $$
  select (s.used -> $2 ->> 0)::bigint from maintenance.model_status as s where s.model = $1 $$;
create function pg_temp.run(job text) returns jsonb language sql as $$ select maintenance.run_now($1) -> 'data' $$;
-- So many calls of a provider in an hour.
create function pg_temp.calls(many integer, at timestamptz, provider text default 'one', ok boolean default true,
  said text default null, ms integer default 100, feature text default 'chat') returns void language sql as $$
  insert into public.api_usage_logs (provider_used, timestamp, success, error_message, latency_ms, feature_name,
    tokens_input, tokens_output, cost_estimate)
  select $3, $2 + g * interval '1 second', $4, $5, $6, $7, 10, 5, 0.001 from generate_series(1, $1) as g $$;

-- S2-03: counted as it is logged.
savepoint empty;
insert into public.api_usage_logs (model_used, timestamp, tokens_input, tokens_output) values
  ('mine-a', '2026-11-12 12:30:00Z', 10, 5), ('mine-a', '2026-11-12 12:29:59Z', 10, 5),
  ('mine-a', '2026-11-12 11:59:59Z', 1, 1), ('mine-a', '2026-11-01 00:00:00Z', 1, 1),
  ('mine-a', '2026-10-31 23:59:59Z', 1, 1), ('mine-a', '2026-09-01 00:00:00Z', 1, 1), ('unknown', now(), 1, 1),
  (null, now(), 1, 1);
select is(pg_temp.used('mine-a', s), u, 'S2-03: calls that are logged count for the ' || s)
from (values ('minute', 1::bigint), ('hour', 2), ('day', 3), ('month', 4)) as v (s, u);
select results_eq($$select hour, requests, tokens from maintenance_internal.model_usage where model = 'mine-a'
  and carrier = 'application' order by hour$$, $$values ('2026-10-31 23:00Z'::timestamptz, 1::bigint, 2::bigint),
  ('2026-11-01 00:00Z', 1, 2), ('2026-11-12 11:00Z', 1, 2), ('2026-11-12 12:00Z', 2, 30)$$,
  'S2-03: with their tokens, as of when they were made');
insert into public.api_usage_logs (model_used, cached) values ('mine-a', true);
insert into public.api_usage_logs (model_used, call_id) values ('mine-a', 4711);
select is(pg_temp.used('mine-a', 'hour'), 2::bigint, 'S2-03: what a cache has answered counts not, nor a copy');
select is(maintenance.effective_model('mine-b'), 'mine-b', 'S2-05: a model below its limits is asked');
insert into public.api_usage_logs (model_used, timestamp) select 'mine-b', '2026-11-12 12:30:00Z'
from generate_series(1, 10);
select is((select state from maintenance.model_status where model = 'mine-b'), 'blocked',
  'S2-06: calls that are logged block a model in the same transaction');
select is(maintenance.effective_model('mine-b'), 'mine-a', 'S2-05: ... and another one is asked instead');
select is(pg_temp.run('rate_limit_monitor') ->> 'rowsAffected', '0', 'S2-03: the monitor counts nothing twice');
select results_eq($$select details #>> '{limits,mine-b,state}', details #>> '{limits,mine-b,percent}',
  details #>> '{limits,mine-b,span}' from maintenance.run_history where job_name = 'rate_limit_monitor'$$,
  $$values ('blocked', '100.000', 'hour')$$, 'S2-03: how much is used of each limit is on its receipt');
savepoint counted;
create temporary table kept as select * from public.api_usage_logs;
delete from public.api_usage_logs;
insert into public.api_usage_logs select * from kept where timestamp < '2026-11-12 12:00Z';
select is(pg_temp.used('mine-a', 'day') || ' ' || pg_temp.used('mine-a', 'month'), '3 4',
  'S2-03: rows that are brought back are not counted a second time');
insert into public.api_usage_logs (model_used, timestamp, tokens_input) values ('mine-a', '2026-11-12 11:30Z', 100);
select is(pg_temp.used('mine-a', 'day'), 4::bigint, 'S2-03: what is logged late is counted in its hour');
insert into public.api_usage_logs (model_used, timestamp) values ('mine-a', '2026-11-12 12:30:59Z'),
  ('mine-a', '2026-11-12 12:31:01Z');
select is(pg_temp.used('mine-a', 'hour'), 3::bigint, 'S2-03: a clock that runs ahead for a minute is believed');
insert into public.api_usage_logs (model_used, tokens_input, tokens_output, timestamp)
values ('mine-a', 9223372036854775807, -5, '2026-11-12 12:30Z'), ('mine-a', -9223372036854775808, 1,
  '2026-11-12 12:30Z');
select is(pg_temp.used('mine-a', 'hour'), 5::bigint, 'S2-03: whatever its tokens, a call is logged and counted');
rollback to counted;
create table public.mine as select * from public.api_usage_logs limit 0;
create trigger mine after insert on public.mine referencing new table as new_logs
for each statement execute function public.count_usage();
select throws_ok('insert into public.mine default values', 'PM003', null,
  'a trigger that works as the owner works on no other table');
-- What was not counted when it was logged, as where another session held the count.
alter table public.api_usage_logs disable trigger api_usage_logs_are_counted;
insert into public.api_usage_logs (model_used, timestamp, cached, call_id) values ('mine-a', '2026-11-12 12:29:00Z',
  false, null),
  ('mine-a', '2026-11-12 11:00:00Z', false, null), ('mine-a', '2026-11-12 11:59:00Z', false, null),
  ('mine-a', '2026-11-12 10:59:59Z', false, null), ('mine-a', '2026-11-12 12:30:01Z', false, null),
  ('mine-a', '2026-11-12 12:29:00Z', true, null), ('mine-a', '2026-11-12 12:29:00Z', false, 4712);
select is(pg_temp.run('rate_limit_monitor') ->> 'rowsAffected', '3',
  'S2-03: the monitor makes up for what was not counted in this hour and the one before');
select is(pg_temp.used('mine-a', 'hour') || ' ' || pg_temp.used('mine-a', 'day'), '3 6', '... in its hour');
select is(pg_temp.run('rate_limit_monitor') ->> 'rowsAffected', '0', '... once');
select maintenance.record_usage('mine-a', 5);
select is(pg_temp.run('rate_limit_monitor') ->> 'rowsAffected', '0',
  'what was counted without being logged is left alone');
rollback to empty;

-- S2-10: statistics.
select pg_temp.calls(6, '2026-11-11 10:00Z'), pg_temp.calls(3, '2026-11-11 23:59Z', 'two', ms => 400,
  feature => 'quiz'),
  pg_temp.calls(1, '2026-11-11 00:00Z', 'two', false, '429 Too Many Requests', null),
  pg_temp.calls(2, '2026-11-10 23:59:57Z'), pg_temp.calls(2, '2026-11-12 00:00Z') \g /dev/null
insert into public.api_usage_logs (provider_used, timestamp, cached) values ('one', '2026-11-11 10:00Z', true);
select is(public.analyze_usage('2026-11-11') - '{anomalies,recommendations}'::text[], '{"reportDate": "2026-11-11",
  "totalCalls": 10, "avgResponseTimeMs": 200.0, "errorRate": 10.00, "peakHour": 10, "costUsd": 0.010,
  "errorTypes": {"rate limit": 1}, "featureUsage": {"chat": 7, "quiz": 3},
  "peakHours": [{"hour": 10, "calls": 6}, {"hour": 23, "calls": 3}, {"hour": 0, "calls": 1}],
  "providers": {"one": {"calls": 6, "percent": 60.00, "avgLatencyMs": 100.0, "errorRate": 0.00, "tokensInput": 60,
      "tokensOutput": 30, "costUsd": 0.006},
    "two": {"calls": 4, "percent": 40.00, "avgLatencyMs": 400.0, "errorRate": 25.00, "tokensInput": 40,
      "tokensOutput": 20, "costUsd": 0.004}}}'::jsonb, 'S2-10: a day of UTC, by provider');
create temporary table report as select * from public.daily_usage_reports;
select is((select total_api_calls || ' ' || peak_hour from report), '10 10', 'S2-10: is a row');
select set_config('timezone', 'Asia/Tokyo', true);
select lives_ok($$select public.analyze_usage('2026-11-11')$$, 'S2-10: a second time, in another time zone');
select set_config('timezone', 'UTC', true);
select results_eq('select * from public.daily_usage_reports', 'select * from report',
  'S2-10: the same day again is the same row');
select pg_temp.calls(1, '2026-11-11 11:00Z');
select is(public.analyze_usage('2026-11-11') -> 'totalCalls', '11', 'S2-10: what came later is in it');
select is((select count(*) from public.daily_usage_reports), 1::bigint, '... and it is one row');
select is(public.analyze_usage('2026-11-12') -> 'totalCalls', '2', 'S2-10: today so far');
select throws_ok(format('select public.analyze_usage(%L)', d), 'PM002', null, 'S2-10: there is no day ' || d)
from unnest('{2026-11-13,-infinity,infinity,1999-01-01}'::text[]) as d;
select throws_ok('select public.analyze_usage(null)', 'PM002', null, 'S2-10: a day is needed');
rollback to empty;
select is(public.analyze_usage('2026-11-11') - '{recommendations}'::text[],
  '{"reportDate": "2026-11-11", "totalCalls": 0,
  "avgResponseTimeMs": null, "errorRate": null, "peakHour": null, "costUsd": null, "errorTypes": {},
  "featureUsage": {}, "peakHours": [], "providers": {}, "anomalies": []}'::jsonb, 'S2-10: a day without a call');

-- S2-10: the anomalies, each at its edge. Spread over 24 hours nothing is odd but what is made so.
create function pg_temp.odd() returns text language sql as $$
  select string_agg(a ->> 'rule', ', ')
  from jsonb_array_elements(public.analyze_usage('2026-11-11') -> 'anomalies') as a $$;
create function pg_temp.spread(each integer, provider text, ok boolean default true) returns void language sql as $$
  select pg_temp.calls(each, '2026-11-11 00:00Z'::timestamptz + h * interval '1 hour', provider, ok)
  from generate_series(0, 23) as h $$;
savepoint quiet;
select pg_temp.spread(4, 'one'), pg_temp.spread(1, 'two') \g /dev/null
select is(pg_temp.odd(), null, 'S2-10: 80 % of one provider are not odd');
select pg_temp.calls(1, '2026-11-11 05:30Z');
select is(pg_temp.odd(), 'dominant_provider', 'S2-10: more than 80 % are');
rollback to quiet;
select pg_temp.spread(1, 'one');
select is(pg_temp.odd(), 'single_provider, dominant_provider', 'S2-10: one provider alone');
select is((select r from jsonb_array_elements_text(public.analyze_usage('2026-11-11') -> 'recommendations') as r),
  'All calls of seven days went to one provider: have another one to fall back on.', 'S2-10: ... is to be diversified');
savepoint alone;
select pg_temp.calls(1, '2026-11-04 23:59:58Z', 'two');
insert into public.api_usage_logs (provider_used, timestamp, cached) values ('two', '2026-11-11 12:00Z', true);
select isnt(public.analyze_usage('2026-11-11') -> 'recommendations', '[]',
  'S2-10: what an eighth day had, or a cache, is none of it');
rollback to alone;
select pg_temp.calls(1, '2026-11-04 23:59:59Z', 'two');
select is(public.analyze_usage('2026-11-11') -> 'recommendations', '[]', 'S2-10: not where seven days had two');
rollback to quiet;
select pg_temp.spread(2, 'one'), pg_temp.spread(2, 'two'), pg_temp.spread(1, 'two', false) \g /dev/null
select is(pg_temp.odd(), null, 'S2-10: 20 % of failures are not odd');
select is(public.analyze_usage('2026-11-11') -> 'recommendations', '[]', '... and nothing is to be done');
select pg_temp.calls(1, '2026-11-11 05:30Z', ok => false, said => 'socket hang up') \g /dev/null
select is(pg_temp.odd(), 'high_error_rate', 'S2-10: more than 20 % are');
select matches(public.analyze_usage('2026-11-11') ->> 'recommendations', 'calls failed, most of them by unknown',
  'S2-10: ... and the kind of most of them is named');
rollback to quiet;
-- 24 hours of 7, and one more of 3 x 7 on average; 8 in all the others.
select pg_temp.calls(7, '2026-11-11 00:00Z'::timestamptz + h * interval '1 hour',
  case h % 2 when 0 then 'one' else 'two' end)
from generate_series(1, 21) as h \g /dev/null
select pg_temp.calls(21, '2026-11-11 00:00Z') \g /dev/null
select is(pg_temp.odd(), null, 'S2-10: an hour of three times the average is not odd');
select pg_temp.calls(1, '2026-11-11 00:30Z');
select is(pg_temp.odd(), 'hour_spike', 'S2-10: one of more is');
rollback to quiet;
select pg_temp.calls(3, '2026-11-11 10:00Z'), pg_temp.calls(7, '2026-11-11 11:00Z', 'two') \g /dev/null
select is((select string_agg(a ->> 'detail', '; ')
  from jsonb_array_elements(public.analyze_usage('2026-11-11') -> 'anomalies')
  as a where a ->> 'rule' = 'hour_share'), '70.00 % of the calls were made from 11 to 12 o''clock',
  'S2-10: an hour with 30 % of the calls is not odd, one with more is');
select matches(public.analyze_usage('2026-11-11') ->> 'recommendations', 'Spread', 'S2-10: ... and is to be spread');
rollback to quiet;
select pg_temp.calls(1, '2026-11-11 10:00Z', ms => 2000), pg_temp.calls(1, '2026-11-05 00:00Z', 'two',
  ms => 2000) \g /dev/null
select is(public.analyze_usage('2026-11-11') -> 'recommendations',
  '["Spread what can wait over the day: limits a minute '
  'and an hour are met at the peak."]', 'S2-10: two seconds on average are not slow');
select pg_temp.calls(1, '2026-11-11 10:00Z', ms => 2002);
select matches(public.analyze_usage('2026-11-11') ->> 'recommendations', 'took 2001 ms', 'S2-10: more are');
rollback to quiet;
select pg_temp.calls(g, '2026-11-11 00:00Z'::timestamptz + g * interval '1 hour') from generate_series(1,
  6) as g \g /dev/null
select is((select (a #>> '{peakHours,4,hour}') || (a ->> 'peakHour') from public.analyze_usage('2026-11-11') as a),
  '26', 'S2-10: the five hours with most calls');
select is((select jsonb_array_length(public.analyze_usage('2026-11-11') -> 'peakHours')), 5, '... and no more');
insert into public.api_usage_logs (timestamp, success, error_message, cost_estimate)
select '2026-11-11 12:00Z', false, m, 'NaN'
  from unnest('{429,401,403,404,timeout,HTTP 500,network,quota,invalid,?}'::text[]) as m;
select is((select count(*) || ' ' || (a ->> 'costUsd') from jsonb_object_keys(a -> 'errorTypes') group by a),
  '10 0.021',
  'S2-10: ten kinds of failure, and what a cost is not does not count')
from public.analyze_usage('2026-11-11') as a;
rollback to empty;
select is(public.usage_error_type(m), t, 'S2-10: ' || coalesce(m, 'nothing') || ' is ' || t)
from (values ('Rate limit exceeded', 'rate limit'), ('HTTP 429', 'rate limit'), ('defer', 'rate limit'), ('401', '401'),
  ('403 Forbidden', '403'), ('model not found', '404'), ('request timed out', 'timeout'), ('lost', 'timeout'),
  ('503 Service Unavailable', '500'), ('ECONNRESET', 'network'), ('insufficient quota', 'quota'),
  ('resource_exhausted', 'rate limit'), ('error_429', 'rate limit'), ('took 500 ms and gave up', 'unknown'),
  ('limit of 4290 reached', 'unknown'), ('status code: 502', '500'), ('invalid argument', 'validation'), ('bad_output',
  'validation'), ('?', 'unknown'), (null, 'unknown')) as v (m, t);

-- The job: the worker's calls are copied, each once, and each day that has no report gets one.
select pg_temp.say(11, '2026-11-11 12:10Z', 'user', 'Hello.'), pg_temp.say(11, '2026-11-11 12:19Z', 'assistant',
  'Hi.') \g /dev/null
set local maintenance.fake_now = '2026-11-11 12:35Z';
create temporary table asked as select * from pg_temp.ask('memory_bucket', 11);
select is((select maintenance.complete_task((task).task_id, (task).lease_token,
    '{"summary": "Hello.", "open_loops": [], "tags": []}',
    '{"promptTokenCount": 100, "candidatesTokenCount": 20, "durationMs": 1234}') ->> 'state' from asked), 'succeeded',
  'a call of the worker''s');
update maintenance.model_call set created_at = '2026-11-11 12:35Z';
insert into maintenance.model_call (task_id, kind, model, outcome, lease_token, asks_at, settled_at, created_at)
select (task).task_id, 'k', 'gemini-2.5-flash-lite', c.outcome, gen_random_uuid(), c.at, c.settled_at, c.at
from asked, (values ('defer', '2026-11-09 10:00Z'::timestamptz, '2026-11-09 10:00Z'::timestamptz),
  ('unasked', '2026-11-09 10:00Z', '2026-11-09 10:00Z'), ('asked', '2026-11-11 10:35:01Z',
  null)) -- two hours before the last
    as c (outcome, at, settled_at);
set local maintenance.fake_now = '2026-11-12 01:00Z';
select is(pg_temp.run('usage_analysis') ->> 'rowsAffected', '5',
  'S2-10: the job copies two calls and reports three days');
select results_eq('select user_id, feature_name, provider_used, tokens_input, tokens_output, latency_ms, cached,
    success, error_message, timestamp from public.api_usage_logs order by timestamp desc',
  $$values (pg_temp.u(1), 'memory_bucket', 'gemini', 100::bigint, 20::bigint, 1234, false, true, null,
    '2026-11-11 12:35Z'::timestamptz),
    (pg_temp.u(1), 'k', 'gemini', 0, 0, null, false, false, 'defer', '2026-11-09 10:00Z')$$,
  'S2-10: what was settled, whose it was, and what became of it');
select is((select cost_estimate from public.api_usage_logs where success),
  (select cost_usd from maintenance.model_call where outcome = 'succeeded'), '... with its cost');
select is((select sum(requests) from maintenance_internal.model_usage), 1::numeric,
  'S2-03: copies are not counted again');
select results_eq('select report_date, total_api_calls from public.daily_usage_reports order by 1',
  $$values ('2026-11-09'::date, 1::bigint), ('2026-11-10', 0), ('2026-11-11', 1)$$, 'S2-10: each day has its report');
select is((select details ->> 'reportDate' from maintenance.run_history where job_name = 'usage_analysis'),
  '2026-11-11',
  'S2-10: the last one is on the receipt');
select is(pg_temp.run('usage_analysis') ->> 'rowsAffected', '0', 'S2-10: a second time there is nothing to do');
savepoint early;
set local maintenance.fake_now = '2026-11-13 00:30Z';
select is(pg_temp.run('usage_analysis') ->> 'rowsAffected', '1',
  'S2-10: before one o''clock the day is reported once a run');
rollback to early;
update maintenance.model_call set outcome = 'succeeded', settled_at = '2026-11-12 00:30Z' where outcome = 'asked';
set local maintenance.fake_now = '2026-11-13 01:00Z';
select is(pg_temp.run('usage_analysis') ->> 'rowsAffected', '3',
  'S2-10: a call that was settled late is copied the next day, and its day reported again');
select is((select total_api_calls from public.daily_usage_reports where report_date = '2026-11-11'), 2::bigint,
  '... with it');
savepoint copied;
insert into public.api_usage_logs (call_id, timestamp) values (-5, '2029-01-01');
insert into maintenance.model_call (task_id, kind, model, outcome, lease_token, asks_at, settled_at, created_at)
values (0, 'k', 'gemini-2.5-flash-lite', 'succeeded', gen_random_uuid(), now(), now(), '2026-11-13 00:30Z');
select is(public.copy_model_calls(10), 1::bigint, 'S2-10: a copy of the future keeps no call from being copied');
rollback to copied;
-- A gap, a day that was reported before it was over, and one that has lost its log.
savepoint reported;
delete from public.daily_usage_reports where report_date = '2026-11-10';
update public.daily_usage_reports set analyzed_at = '2026-11-13 00:59:59Z' where report_date = '2026-11-12';
update public.daily_usage_reports set analyzed_at = '2026-11-12 01:00Z' where report_date = '2026-11-11';
select is(pg_temp.run('usage_analysis') ->> 'rowsAffected', '2',
  'S2-10: a day without a report gets one, and one that was reported within an hour of its end');
select is((select count(*) from public.daily_usage_reports where analyzed_at = '2026-11-13 01:00Z'), 2::bigint,
  '... and no other');
select public.analyze_usage('2026-11-13') \g /dev/null
set local maintenance.fake_now = '2026-11-14 01:00Z';
select pg_temp.calls(3, '2026-11-13 12:00Z') \g /dev/null
select pg_temp.run('usage_analysis') \g /dev/null
select is((select total_api_calls from public.daily_usage_reports where report_date = '2026-11-13'), 3::bigint,
  'S2-10: what was reported by hand of a day that went on is reported again when it is over');
delete from public.api_usage_logs where timestamp < '2026-11-13 12:00:03Z';
select throws_ok($$select public.analyze_usage('2026-11-13')$$, 'PM002',
  'the log has 1 calls of 2026-11-13, and its report has 3',
  'S2-10: a report is not lost with its log');
update public.daily_usage_reports set analyzed_at = '2026-11-13 12:00Z' where report_date = '2026-11-13';
savepoint lost;
select is(pg_temp.run('usage_analysis') ->> 'status', 'succeeded', 'S2-10: ... nor does the job fail for that');
select is((select total_api_calls || ' ' || (analyzed_at = '2026-11-14 01:00Z') from public.daily_usage_reports
  where report_date = '2026-11-13'), '3 true', '... or look at it for ever');
rollback to lost;
delete from public.daily_usage_reports where report_date = '2026-11-13';
select is(public.analyze_usage('2026-11-13') -> 'totalCalls', '1', 'S2-10: but where somebody wants it so');
rollback to reported;
set local maintenance.fake_now = '2027-03-01 01:00Z';
select is(pg_temp.run('usage_analysis') ->> 'rowsAffected', '31', 'S2-10: after a long pause a month is made up for');

-- S2-27
select results_eq('select job_name, status, last_run_at, last_success_at, run_count, success_count, failure_count,
    reports, last_report_date, total_calls, anomalies from public.usage_analysis_statistics',
  $$values ('usage_analysis', 'succeeded', '2027-03-01 01:00Z'::timestamptz, '2027-03-01 01:00Z'::timestamptz,
  1::bigint,
    1::bigint, 0::bigint, 30::bigint, '2027-02-28'::date, 0::bigint, 0::bigint)$$, 'S2-27: one row of statistics');

-- S2-16
set local maintenance.fake_now = '2026-12-01 00:00:01Z';
select maintenance.record_usage('mine-a', n, at => t::timestamptz) from (values (7, '2026-11-01 00:00Z'), (5,
  '2026-11-30 23:59Z'),
  (100, '2026-12-01 00:00Z'), (50, '2026-10-31 23:59Z')) as v (n, t) \g /dev/null
select is(public.reset_monthly_quotas(), '{"month": "2026-11-01", "resets": 1, "results": [{"model": "mine-a",
  "previousUsage": 12, "limit": 4000, "resetTime": "2026-12-01T00:00:00Z", "success": true}]}'::jsonb,
  'S2-16: the month that ended is told, of models with a limit a month alone');
select is(public.reset_monthly_quotas(), '{"month": "2026-11-01", "resets": 0, "results": []}', 'S2-16: once');
select is(pg_temp.used('mine-a', 'month'), 100::bigint, 'S2-16: the new month has begun by itself');
select results_eq('select month, model, requests, allowed, reset_at from public.monthly_usage_reports',
  $$values ('2026-11-01'::date, 'mine-a', 12::bigint, 4000::bigint, '2026-12-01 00:00Z'::timestamptz)$$,
  'S2-16: it is kept');
set local maintenance.fake_now = '2026-12-31 23:59:59Z';
select is(public.reset_monthly_quotas() ->> 'resets', '0', 'S2-16: ... until the next month is over');
select maintenance.set_model('late', 21, carrier => 'application', per_month => 5) \g /dev/null
select is(public.reset_monthly_quotas() ->> 'resets', '0', 'S2-16: a model that came later was not there');
set local maintenance.fake_now = '2027-01-01 00:00Z';
select is(public.reset_monthly_quotas() #>> '{results,1,previousUsage}', '100', 'S2-16: which is told in its turn');
select * from finish();
rollback;
