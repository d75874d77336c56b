-- How much of its limits a model has used, what state that is, and which model is asked instead: 80 % warns, 95 %
-- fails over, 100 % blocks, and the end of the span mends it (S2-03 to S2-07, S2-16, S2-31).
begin;
create extension pgtap;
select plan(46);
delete from maintenance.model;
set local maintenance.fake_now = '2026-11-10 12:00:30+00';
create function pg_temp.state(name text) returns text language sql as
  $$ select concat_ws(' ', state, percent, span, until) from maintenance.model_status where model = name $$;
create function pg_temp.at(at timestamptz) returns void language sql as
  $$ select set_config('maintenance.fake_now', at::text, true) $$;

-- Exact shares of a month
select maintenance.set_model('one', per_month => 1000, carrier => 'application'),
  maintenance.set_model('two', per_month => 1000, carrier => 'application');
select is(pg_temp.state('one'), 'ok 0.000 month', 'nothing is used');
select is(maintenance.record_usage('one', 799), 'one', 'below 95 % a model is asked itself');
select is(pg_temp.state('one'), 'ok 79.900 month', '799 of 1000 are ok');
select maintenance.record_usage('one');
select is(pg_temp.state('one'), 'warning 80.000 month', 'S2-04: 800 of 1000 warn');
select is((select reason from maintenance.model_status where model = 'one'), '800 of 1000 requests this month',
  'the state says why');
select is_empty('table maintenance.active_failovers', 'S2-04: a warning is no fail-over');
select is(maintenance.record_usage('one', 149), 'one', '949 of 1000 are below 95 %');
select is(pg_temp.state('one'), 'warning 94.900 month', '949 of 1000 still warn');
select is(maintenance.record_usage('one'), 'two', 'S2-05: at 950 of 1000 the next one is asked');
select is(pg_temp.state('one'), 'failing_over 95.000 month 2026-12-01 00:00:00+00', '950 of 1000 fail over');
select results_eq($$select model, asked_instead, state, until, reason from maintenance.active_failovers$$,
  $$values ('one', 'two', 'failing_over', '2026-12-01 00:00:00+00'::timestamptz, '950 of 1000 requests this month')$$,
  'S2-31: a fail-over is shown');
select maintenance.record_usage('one', 49);
select is(pg_temp.state('one'), 'failing_over 99.900 month 2026-12-01 00:00:00+00', '999 of 1000 fail over');
select maintenance.record_usage('one');
select is(pg_temp.state('one'), 'blocked 100.000 month 2026-12-01 00:00:00+00', 'S2-06: 1000 of 1000 block');
select pg_temp.at('2026-11-30 23:59:59+00');
select is(split_part(pg_temp.state('one'), ' ', 1), 'blocked', 'a second before the month ends it is blocked');
select pg_temp.at('2026-12-01 00:00:00+00');
select is(pg_temp.state('one'), 'ok 0.000 month', 'S2-16: with the month everything is over, and nothing was reset');
select is_empty('table maintenance.active_failovers', 'S2-31: the fail-over is over');
select is((select sum(requests) from maintenance_internal.model_usage where model = 'one'), 1000::numeric,
  'what was used in the month before is kept');

-- Nobody is below 95 %
select pg_temp.at('2026-11-10 12:00:30+00');
select maintenance.record_usage('two', 960);
select is(maintenance.effective_model('one'), 'two', 'S2-07: where none is below 95 %, the one below 100 % is asked');
select is(maintenance.effective_model('two'), 'two', 'S2-07: the one below 100 % itself');
select maintenance.record_usage('two', 40);
select is(maintenance.effective_model('one'), null, 'S2-07: where all are used up, none is asked');
select set_eq($$select model, asked_instead from maintenance.active_failovers$$,
  $$values ('one', null), ('two', null)$$, 'S2-07: ... and that is shown');

-- Zero, and nothing known
select maintenance.set_model('never', per_day => 0), maintenance.set_model('free', per_minute => 5),
  maintenance.set_model('free', per_minute => -1);
select is(pg_temp.state('never'), 'blocked 100 day 2026-11-11 08:00:00+00', 'a limit of 0 blocks');
select is(pg_temp.state('free'), 'ok', 'an unknown limit never counts, and -1 makes it unknown');
select is(maintenance.effective_model('free'), 'free', 'a model stands among those of its own carrier');
update maintenance.model set enabled = false where model = 'free';
select is(pg_temp.state('free'), 'disabled', 'a model that its owner disables');

-- The minute and the hour, of the clock
select maintenance.set_model('fast', per_minute => 10, per_hour => 100, carrier => 'application');
select maintenance.record_usage('fast', 9);
select is(pg_temp.state('fast'), 'warning 90.000 minute', 'requests of this minute count');
select maintenance.record_usage('fast', 10, at => '2026-11-10 12:00:00+00'),
  maintenance.record_usage('fast', 71, at => '2026-11-10 11:59:59+00'),
  maintenance.record_usage('fast', 61, at => '2026-11-10 12:00:59+00');
select is((select used from maintenance.model_status where model = 'fast'),
  '{"minute": [80, 10], "hour": [80, 100], "day": [151, null], "month": [151, null]}', 'each span counts for itself');
select pg_temp.at('2026-11-10 12:01:00+00');
select is(pg_temp.state('fast'), 'warning 80.000 hour', 'the highest share of the four counts');

-- A day of Los Angeles, also where it has 25 or 23 hours
create function pg_temp.day(at timestamptz) returns text language sql as $$
  select used || ' ' || resets_at from maintenance_internal.model_limits(at,
    true) where model = 'day' and span = 'day' $$;
select maintenance.set_model('day');
insert into maintenance_internal.model_usage (model, carrier, hour, requests, minute) values
  ('day', 'worker', '2026-11-01 07:00Z', 60, '-infinity'), ('day', 'worker', '2026-11-02 07:00Z', 40, '-infinity'),
  ('day', 'worker', '2026-11-02 08:00Z', 5, '-infinity'), ('day', 'worker', '2027-03-14 08:00Z', 60, '-infinity'),
  ('day', 'application', '2027-03-15 06:00Z', 40, '-infinity'), ('day', 'worker', '2027-03-15 07:00Z', 5, '-infinity');
select is(pg_temp.day(at), want, format('at %s the day has used, and is over at', at)) from (values
  ('2026-11-01 06:59:59Z'::timestamptz, '0 2026-11-01 07:00:00+00'), ('2026-11-01 07:00Z', '60 2026-11-02 08:00:00+00'),
  ('2026-11-02 07:59:59Z', '100 2026-11-02 08:00:00+00'), ('2026-11-02 08:00Z', '5 2026-11-03 08:00:00+00'),
  ('2027-03-14 08:00Z', '60 2027-03-15 07:00:00+00'), ('2027-03-15 06:59:59Z', '100 2027-03-15 07:00:00+00'),
  ('2027-03-15 07:00Z', '5 2027-03-16 07:00:00+00')) as v (at, want);

-- What cannot be right
select throws_ok($$select maintenance.record_usage('none')$$, 'PM024', 'there is no model "none"', 'an unknown model');
select throws_ok($$select maintenance.effective_model('none')$$, 'PM024', null, 'an unknown model that would be asked');
select throws_ok($$select maintenance.record_usage('one', -1)$$, 'PM002', null, 'requests below zero');
select throws_ok($$select maintenance.record_usage('one', 1, null)$$, 'PM002', null, 'tokens of null');
select throws_ok($$select maintenance.record_usage('one', at => '2026-09-01')$$, 'PM002', null,
  'more than 62 days back');
select throws_ok($$select maintenance.set_model('one', per_day => -2)$$, 'PM002', null, 'a limit below -1');
select throws_ok($$select maintenance.set_model('one', input_usd => -1)$$, 'PM002', null, 'a price below zero');
select throws_ok($$select maintenance.set_model('one', request => '{"contents": []}')$$, 'PM002', null,
  'a setting of the request that the worker makes');
select throws_ok($$select maintenance.set_model('one', carrier => 'me')$$, 'PM002', null, 'an unknown carrier');

-- What lint says
delete from maintenance.model;
select maintenance.set_model('dear'), maintenance.set_model('fast', input_usd => 1, output_usd => 1),
  maintenance.set_model('mine', carrier => 'application');
insert into maintenance.model_call (task_id, kind, model, lease_token, asks_at, settled_at, outcome, details)
select 1, 'k', 'fast', gen_random_uuid(), now(), now(), case when i % 4 = 0 then 'defer' else 'succeeded' end,
  case when i % 4 = 0 then '[{"@type": "google.rpc.RetryInfo"}]'::jsonb end
from generate_series(1, 100) as i;
create function pg_temp.lint() returns setof text language sql as
  $$ select severity || ': ' || finding from maintenance.lint() where finding ~ '^the model' $$;
select results_eq('select pg_temp.lint()', array[
  'warning: the model dear has no price: what it costs counts for no budget',
  'notice: the model fast has refused 25 of its last 100 calls as too many, and its limit is not known'],
  'lint names a model without a price, and one that is asked too often');
do $$ begin
  execute (select substring(fix from 'select .*') from maintenance.lint() where finding ~ 'dear');
  execute (select substring(fix from 'select .*') from maintenance.lint() where finding ~ 'fast');
end $$;
select is_empty('select pg_temp.lint()', 'and what it says mends that');
select * from finish();
rollback;
