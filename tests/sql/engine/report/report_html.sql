-- report_html: one page that is well-formed, shows what there is, and in which no name and no error is more than text.
begin;
create extension pgtap;
select plan(65);
set client_min_messages = error;
set maintenance.fake_now = '2026-03-10 12:00:00+00';
\set hostile '<script>alert(1)</script>"''&'

-- How texts are written.
select is(maintenance_internal.html_escape('<b a="1" c=''2''>&amp;'),
  '&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;amp;', 'what means something in HTML is escaped');
select is(maintenance_internal.html_escape(e'a\x01\x08\x0b\x1b\x7fb\tc\nd\re'), e'ab\tc\nde',
  'control characters are dropped, but for tabs and ends of lines');
select case when getdatabaseencoding() = 'UTF8'
  then is(maintenance_internal.html_escape(e'a\u0085\u202eb\uffffc\u2066'), 'abc',
    '... and what turns the order of characters, or no XML may hold')
  else pass('not UTF8') end;
select is(maintenance_internal.html_cut('a&bcd', 2), 'a&amp;&#8230;', 'a long text is cut before it is escaped');
select is(maintenance_internal.html_cut('a&', 2), 'a&amp;', 'a text that fits is not cut');
select is(array(select maintenance_internal.html_number(n) from unnest(array[0, 999, 1234567, -4000]) as n),
  array['0', '999', '1,234,567', '-4,000'], 'numbers have separators');
select is(array(select maintenance_internal.html_short_number(n)
  from unnest(array[0, 999, 1000, 9949, 9999, 236458, 999499, 999500, 12345678]) as n),
  array['0', '999', '1.0k', '9.9k', '10k', '236k', '999k', '1.0M', '12M'], 'numbers over columns are short');
select is(array(select maintenance_internal.html_duration(ms)
  from unnest(array[0, 820, 999.7, 1234, 59949, 180000, 5970000, 172800000]) as ms),
  array['0 ms', '820 ms', '1.0 s', '1.2 s', '59.9 s', '3 min', '1.7 h', '2 days'], 'durations are short');
select is(array(select maintenance_internal.html_usd(usd) from unnest(array[0, 1.254, 0.0123, 0.00001, 12345]) as usd),
  array['$0.00', '$1.25', '$0.0123', '&lt; $0.001', '$12,345.00'], 'costs are in USD');
select is(array(select maintenance_internal.html_short_usd(usd) from unnest(array[0, 1.254, 0.001, 12345]) as usd),
  array['$0.00', '$1.25', '&lt; 1 &#162;', '$12k'], '... and short over columns');
select is(array(select maintenance_internal.html_time(at) from unnest(array['2026-03-10 13:05:59+01', 'infinity', null]
    ::timestamptz[]) as at), array['<time>2026-03-10 12:05 UTC</time>', '-', '-'], 'times are UTC');
select is(maintenance_internal.html_advice('Mend it, then: call maintenance.run_job(''a;b''); select 1; Or select what '
    'is dear; & go on'),
  'Mend it, then: <code>call maintenance.run_job(&#39;a;b&#39;);</code> <code>select 1;</code> Or select what is dear; '
    '&amp; go on', 'statements of an advice stand alone');

-- The page, once as text and once as XML.
create temporary table page (html text, doc xml);
create function pg_temp.write(days integer default 7) returns void language plpgsql as $$
declare
  v_html text := maintenance.report_html(days);
begin
  delete from page;
  insert into page values (v_html, xmlparse(document v_html));
end $$;
create function pg_temp.find(path text) returns text[] language sql as $$ select xpath(path, doc)::text[] from page $$;
-- A section as its text, piece by piece.
create function pg_temp.section(id text) returns text language sql
as $$ select array_to_string(pg_temp.find(format('//section[@id="%s"]//text()', id)), '|') $$;

select throws_ok($$select maintenance.report_html(0)$$, 'PM002', 'a report cannot be over 0 days', 'no day is too few');
select throws_ok($$select maintenance.report_html(367)$$, 'PM002', 'a report cannot be over 367 days',
  '367 days are too many');
select throws_ok($$select maintenance.report_html(null)$$, 'PM002', null, 'null is no number of days');
select lives_ok($$select maintenance.report_html(d) from unnest(array[1, 7, 8, 366]) as d$$,
  '1 to 366 days are taken');

-- A database in which nothing has happened.
delete from maintenance_internal.run;
delete from maintenance.alert;
delete from maintenance.task;
delete from maintenance.kind;
delete from maintenance.model_day;
delete from maintenance.model;
select lives_ok($$select pg_temp.write()$$, 'the page of an empty database is well-formed');
select is(pg_temp.find('//section/@id'), '{act,due,nights,timeline,failures,statistics,sizes}',
  'without a kind of task nothing is said of tasks and models');
select matches(pg_temp.section(s.id), s.says, s.id || ' says that there is nothing')
from (values ('nights', 'No run has changed a row'), ('timeline', 'No job has run'), ('failures',
  'None: no run has failed'),
  ('statistics', 'No job has run'), ('sizes', 'No run has measured')) as s (id, says);
update maintenance_internal.job set enabled = false;
select pg_temp.write();
select is((maintenance_internal.report_acts('[{"task": "a", "severity": "ok"}]')).acts, 0::bigint,
  'ok is nothing to act on');
select matches(maintenance_internal.report_act('[]'), 'Nothing: no rule is behind or broken, and no alert is open',
  'what to act on says that there is nothing');
update maintenance_internal.job set enabled = true;

-- What each section shows.
create table public.events (id bigint generated always as identity, at timestamptz);
insert into public.events (at) select '2026-03-01 08:30:00+00' from generate_series(1, 1234);
select maintenance.set_policy('purge_events', 'public.events', 'delete', 'at', '1 day', description => 'Old events');
create function pg_temp.job() returns integer language sql
as $$ select job_id from maintenance_internal.job where job_name = 'purge_events' $$;
insert into maintenance_internal.run (job_id, job_name, trigger, attempt, status, started_at, finished_at,
  rows_affected,
  stop_reason, error, sqlstate, error_detail, details)
select pg_temp.job(), 'purge_events', 'manual', r.attempt, r.status, r.at, r.at + r.took, r.rows, 'done', r.error,
  r.sqlstate,
  '{"message": "the secret of a row"}', r.details
from (values
  ('2026-03-03 23:59:59+00'::timestamptz, interval '1 second', 1, 'succeeded', 5000000, null, null,
    '{"bytes_before": 1, "bytes_after": 1}'::jsonb),
  ('2026-03-08 03:00:00+00', '1 second', 1, 'succeeded', 1000, null, null,
    '{"bytes_before": 104857600, "bytes_after": 94371840}'),
  ('2026-03-10 03:00:00+00', '3 seconds', 1, 'succeeded', 234567, null, null,
    '{"bytes_before": 94371840, "bytes_after": 83886080}'),
  ('2026-03-10 04:30:00+00', '820 ms', 2, 'failed', 0, 'SQLSTATE 23503, constraint c of table t', '23503', '{}'),
  ('2026-03-10 04:10:00+00', '820 ms', 1, 'failed', 0, 'SQLSTATE 23503, constraint c of table t', '23503', '{}'),
  ('2026-03-10 05:00:00+00', '1 second', 1, 'skipped', 0, null, null, '{}')
) as r (at, took, attempt, status, rows, error, sqlstate, details);
insert into maintenance.alert (cause, subject, severity, description, advice, opened_at, seen_at, gone_at, closed_at,
  silenced_until)
select 'late', a.subject, a.severity, a.description, a.advice, a.opened_at::timestamptz, a.seen_at::timestamptz,
  a.gone_at::timestamptz, a.closed_at::timestamptz, a.silenced_until::timestamptz
from (values
  ('one', 'critical', 'It is late', 'call maintenance.run_job(''one'');', '2026-03-10 07:00+00', '2026-03-10 07:10+00',
    null, null, null),
  ('two', 'warning', 'It was late', null, '2026-03-09 07:00+00', '2026-03-09 07:00+00', '2026-03-09 08:00+00',
    '2026-03-09 08:00+00', null),
  ('three', 'warning', 'It may be late', null, '2026-03-09 07:00+00', '2026-03-09 07:00+00', null, null,
    '2026-03-11 06:00+00'),
  ('four', 'warning', 'It has been late', null, '2026-03-09 07:00+00', '2026-03-09 07:00+00', '2026-03-09 08:00+00',
    null, null),
  ('purge_events', 'warning', 'It is behind', null, '2026-03-09 07:00+00', '2026-03-09 09:00+00', null, null, null)
) as a (subject, severity, description, advice, opened_at, seen_at, gone_at, closed_at, silenced_until);
select pg_temp.write();
select is(pg_temp.find('//h1/text()'), array[current_database()]::text[], 'the page is headed by the database');
select matches(array_to_string(pg_temp.find('//header//li//text()'), ' '),
  '^2026-03-10 12:00 UTC 7 days, from 2026-03-04 on PostgreSQL 1.* pg-maintenance \d+\.\d+\.\d+, state \w{8}$',
  'its head says when it was made, over which days, and of which versions');
select matches(pg_temp.section('act'), '\|warning\|purge_events\|1,234\|oldest \|2026-03-01 08:30 UTC\|Old events\|',
  'what is behind is to be acted on');
select ok(pg_temp.find('//section[@id="act"]//code/text()') @> array['call maintenance.run_job(''purge_events'');'],
  '... with the statement to be copied');
select matches(pg_temp.section('act'), 'critical\|late: one\|since \|2026-03-10 07:00 UTC\|, '
  'seen \|2026-03-10 07:10 UTC\|It is late\|'
  'call maintenance.run_job', 'an open alert is shown, and its advice');
select ok(pg_temp.section('act') !~ 'It was late', 'a closed alert is not');
select matches(pg_temp.section('act'), 'late: four\|since \|2026-03-09 07:00 UTC\|, gone since \|2026-03-09 08:00',
  'one whose cause is away says so');
select matches(pg_temp.section('act'), 'late: three\|since \|2026-03-09 07:00 UTC\|, silenced until \|2026-03-11 06:00',
  'one that is silenced says until when');
select is((maintenance_internal.report_acts('[{"task": "purge_events", "severity": "warning"},
    {"task": "x", "severity": "critical"}, {"task": "y", "severity": "notice"}]'))::text, '(3,2)',
  'a row and an alert about the same are one thing to act on, and one that is silenced is none');
update maintenance.alert set severity = 'critical' where subject = 'purge_events';
select is((maintenance_internal.report_acts('[{"task": "purge_events", "severity": "warning"}]'))::text, '(2,2)',
  'which is as bad as the worse of the two');
update maintenance.alert set severity = 'warning' where subject = 'purge_events';
select matches(maintenance_internal.report_act('[{"task": "old", "severity": "warning", "count": 10000, "job_name": '
  '"old",
  "description": "d"}]'), '<span>10,000\+</span>', 'a count that stopped says so');
select matches(maintenance_internal.report_due('[{"task": "old", "severity": "notice", "count": 10000, "job_name": '
  '"old",
  "oldest": "2026-01-02 03:04+00", "next_run_at": "2026-03-11 02:00+00", "description": "d"}]'),
  '<rect class="ink" width="100.00".*10,000\+</div>.*oldest <time>2026-01-02 03:04 UTC.*next <time>2026-03-11 02:00 '
    'UTC',
  'what is due has a bar, its oldest and its next run');
select matches(pg_temp.section('nights'), ': 235,567 in all', 'rows of the time are added up, and not those of before');
select is(pg_temp.find('//div[@class="plot"]/b/text()'), '{none,none,none,none,1.0k,none,235k}',
  'each day has its column');
select is(pg_temp.find('//section[@id="nights"]//td/text()'), array['234,567', '3', '2', 'none', '0', '0', '1,000',
  '1', '0',
  'none', '0', '0', 'none', '0', '0', 'none', '0', '0', 'none', '0', '0'],
    'and its rows, runs and failures in a table');
select is(pg_temp.find('//section[@id="timeline"]//svg[@class="strip"]/@aria-label'),
  '{"purge_events: 4 runs, 2 failed"}',
  'a job has a lane');
select is(pg_temp.find('//svg[@class="strip"]/rect/title/text()'), '{"2026-03-10 04:00 UTC: 2 of 2 failed"}',
  '... on which the worst of an hour is one mark');
select is(pg_temp.find('//svg[@class="strip"]/path[@class="m1"]/@d'), '{"M99 5h1v6h-1zM147 5h1v6h-1z"}',
  '... what went well one path');
select is(pg_temp.find('//svg[@class="strip"]/path[@class="m0"]/@d'), '{"M149 14h1v2h-1z"}',
  '... and so what was skipped');
select matches(pg_temp.section('failures'), 'failed\|purge_events\|2 times\|first \|2026-03-10 04:10 UTC\|, last \|'
  '2026-03-10 04:30 UTC\|, attempt 2\|SQLSTATE 23503, constraint c of table t\|Other rows still point to a row that '
  'should go. Mend it, then: \|call maintenance.run_job', 'a failure is told once, with its error and what to do');
select matches(pg_temp.section('statistics'), '\|purge_events\|[^|]+\|\w+\|4\|50 %\|', 'a job has its statistics');
select matches(pg_temp.section('statistics'), '\|3.0 s\|235,567$', '... how long it took, and its rows');
select matches(pg_temp.section('sizes'), '\|public.events\|.*before 100 MB\|.*after 80 MB\|20 MB less\|'
  '2026-03-08 03:00 UTC\| to\|2026-03-10 03:00 UTC', 'a table has its size before the first run and after the last');
select ok((select html !~ 'secret' from page), 'the text of a row is nowhere');
insert into maintenance_internal.run (job_id, job_name, trigger, status, started_at, finished_at, stop_reason)
values (pg_temp.job(), 'purge_events', 'manual', 'succeeded', '2026-03-10 06:00+00', '2026-03-10 06:00+00', 'done');
select pg_temp.write();
select matches(pg_temp.section('failures'), 'Nothing: it has succeeded since, at 2026-03-10 06:00 UTC',
  'for a failure that a success has followed nothing is to be done');

-- Tasks and models.
insert into maintenance.kind (kind, instruction, response_schema, subjects, prepare, apply)
values ('sum_up', 'Do.', '{}', 'a', 'b', 'c');
insert into maintenance.task (kind, subject, state, finished_at, last_error)
select 'sum_up', 'subject ' || i, case when i <= 3 then 'ready' else 'dead' end, case when i > 3 then now() end,
  'the secret of a task' from generate_series(1, 5) as i;
insert into maintenance.model (model, position) values ('a-model', 1);
insert into maintenance.model_day (day, model, kind, calls, answered, input_tokens, output_tokens, cost_usd) values
  ('2026-03-03', 'a-model', 'sum_up', 1, 1, 1, 1, 100), ('2026-03-09', 'a-model', 'sum_up', 1200, 1100, 4500000,
    7000, 1.25);
select pg_temp.write();
select matches(pg_temp.section('tasks'), ': \$1.25 in all.*ready\|3\|leased\|0\|quarantined\|0\|dead\|2\|',
  'tasks are counted by state, and what they cost is added up');
select matches(pg_temp.section('tasks'), 'Mon 2026-03-09\|1,200\|1,100\|4,500,000\|7,000\|\$1.25\|',
  'a day has its calls, tokens and cost');
select matches(pg_temp.section('tasks'), '\|sum_up\|a-model\|1,200\|1,100\|4,500,000\|7,000\|\$1.25',
  'and so a kind and model');
select matches(pg_temp.section('models'), '\|a-model\|[^|]+\|ok\|-\|-\|worker\|-$', 'a model has its state');

-- Names that are scripts, wherever a name can be one.
create table public.:"hostile" (at timestamptz);
insert into public.:"hostile" values ('2026-03-01');
select maintenance.set_policy('purge_hostile', format('public.%I', :'hostile')::regclass, 'delete', 'at', '1 day',
  description => :'hostile');
update maintenance_internal.job set backlog_name = :'hostile' where job_name = 'purge_hostile';
insert into maintenance_internal.run (job_id, job_name, trigger, status, started_at, finished_at, stop_reason,
  error, sqlstate,
  details)
select j.id, j.name, 'manual', 'failed', '2026-03-10', '2026-03-10', 'error', :'hostile', 'P0001', j.details
from (values (0, :'hostile', '{"bytes_before": "<script>", "bytes_after": {"a": "<script>"}}'::jsonb),
  ((select job_id from maintenance_internal.job where job_name = 'purge_hostile'), 'purge_hostile',
    '{"bytes_before": 10, "bytes_after": 5}')) as j (id, name, details);
insert into maintenance.kind (kind, instruction, response_schema, subjects, prepare, apply)
values (:'hostile', 'Do.', '{}', 'a', 'b', 'c');
insert into maintenance.task (kind, subject, state, finished_at, last_error)
values (:'hostile', 'somebody', 'dead', now(), :'hostile');
insert into maintenance.model (model, position) values (:'hostile', 2);
insert into maintenance_internal.cool_down (model, class, reason, since, until)
values (:'hostile', 'refused', :'hostile', '2026-03-10 11:59+00', '2026-03-10 15:00+00');
insert into maintenance.model_day (day, model, kind, calls, cost_usd) values ('2026-03-09', :'hostile', :'hostile',
  1, 1);
insert into maintenance.alert (cause, subject, severity, description, advice, opened_at, seen_at)
values (:'hostile', :'hostile', 'warning', :'hostile', :'hostile', '2026-03-10 07:00+00', '2026-03-10 07:00+00');
select lives_ok($$select pg_temp.write()$$, 'with such names the page is well-formed');
select is((select count(*) from page, regexp_matches(html, '<script|alert\(1\)<|"''&', 'g')), 0::bigint,
  'none is there as it is');
select is(array(select s.id from (values ('act'), ('timeline'), ('failures'), ('tasks'), ('models'),
  ('sizes'))
    as s (id) where pg_temp.section(s.id) !~ '&lt;script&gt;alert\(1\)&lt;/script&gt;"''?"?''&amp;'), '{}',
  'each is there as a text');
select is(pg_temp.find('//script | //img | //iframe | //object | //link | //form | //@*[starts-with(name(), '
  '"on")]'), '{}',
  'nothing can run, and nothing is loaded');
select is(array(select h from unnest(pg_temp.find('//@href | //@src')) as h where h !~ '^#[a-z]+$'), '{}',
  'what is linked to is on the page');
select is(pg_temp.find('//meta[@http-equiv="Content-Security-Policy"]/@content')::text,
  '{"default-src ''none''; style-src ''unsafe-inline''"}', 'and a browser is told so');
select is(pg_temp.find('//svg[not(@role="img") or not(@aria-label) or not(title)]')
    || pg_temp.find('//th[not(@scope)]') || pg_temp.find('//section[not(h2)]'), '{}',
  'drawings have names, tables have headings, and sections too');
select is(cardinality(pg_temp.find('//h1')) || ' ' || cardinality(pg_temp.find('//*[@id]'))
    - cardinality(array(select distinct unnest(pg_temp.find('//@id')))), '1 0', 'one first heading, and no id twice');

-- Bounds.
insert into maintenance_internal.run (job_id, job_name, trigger, status, started_at, finished_at, stop_reason,
  error, sqlstate)
select 100000 + i, 'job ' || i, 'manual', 'failed', '2026-03-10', '2026-03-10', 'error', 'it failed', 'P0001'
from generate_series(1, 50) as i, generate_series(1, case when i = 50 then 3 else 1 end);
insert into maintenance_internal.run (job_id, job_name, trigger, status, started_at, finished_at, stop_reason)
select 100050, 'job 50', 'schedule', 'succeeded', at, at, 'done'
from generate_series('2026-03-04', '2026-03-10 11:00', interval '1 minute') as at;
select pg_temp.write();
select matches(pg_temp.section('timeline'), '\|And 13 more jobs',
  'the timeline has forty lanes, and says how many more');
select is((select max(length(d) - length(replace(d, 'M', '')))
  from unnest(pg_temp.find('//path[@class="m1"]/@d')) as d),
  155, 'a job of every minute has a mark for every hour');
select is(cardinality(pg_temp.find('//section[@id="failures"]//li')), 20, 'of failures the last twenty are told');
select * from finish();
rollback;
