-- A rule means in every session what its owner meant, and the owner's own code finds its tables.
\set QUIET on
set client_min_messages = error;
begin;
create extension if not exists pgtap;
select plan(46);

create function pg_temp.run(job text) returns text language plpgsql as $$
declare v_run maintenance_internal.run;
begin
  perform maintenance.run_now(job);
  select * into v_run from maintenance_internal.run as r where r.job_name = job order by run_id desc limit 1;
  return concat_ws(' ', v_run.status, v_run.stop_reason, v_run.rows_affected, v_run.rows_refused, v_run.sqlstate,
    v_run.error_detail ->> 'message');
end $$;
create function pg_temp.policy(name text, matching text default null) returns void language sql as $$
  select maintenance.set_policy(name, to_regclass('public.' || quote_ident(name)), 'delete', 'at', '7 days',
    matching => matching) $$;
create function pg_temp.due(job text) returns bigint language sql as $$ select due from maintenance.preview(job) $$;

-- N-031: types and operators of extensions.
create extension citext schema public;
create extension hstore schema public;
create extension ltree schema public;
create table public.ct (id int primary key, at timestamptz, email citext, tags hstore, path ltree);
create index on public.ct (at);
insert into public.ct
select g, now() - interval '9 days', case g % 3 when 0 then 'Spam@X.org' when 1 then 'spam@x.ORG' else 'good@x.org' end,
  case when g > 5 then 'old => 1'::hstore end, case when g > 7 then 'top.a' else 'top.b' end::ltree
from generate_series(1, 9) as g;
select pg_temp.policy('ct', $$email not in ('GOOD@x.org')$$);
select is(pg_temp.due('ct'), 6::bigint, 'N-031: citext is compared without case');
select pg_temp.policy('ct', $$email = 'spam@x.org'$$);
select is(pg_temp.due('ct'), 6::bigint, 'N-031: =');
select pg_temp.policy('ct', $$email like 'SPAM%'$$);
select is(pg_temp.due('ct'), 6::bigint, 'N-031: like');
select pg_temp.policy('ct', $$tags ? 'old'$$);
select is(pg_temp.due('ct'), 4::bigint, 'operators of hstore are found');
select pg_temp.policy('ct', $$path <@ 'top.a'$$);
select is(pg_temp.due('ct'), 2::bigint, 'operators of ltree are found');
select maintenance.set_policy('ct_update', 'ct', 'update', 'at', '7 days', matching => $$email = 'GOOD@X.ORG'$$,
  assign => $$email = case when email = 'GOOD@X.ORG' then 'none' else 'wrong' end$$);
select is(pg_temp.run('ct_update'), 'succeeded done 3 0', 'an update compares as its owner does');
select is((select count(*) from public.ct where email = 'none'), 3::bigint, '... in assign, too');
select maintenance.drop_job('ct_update');
select pg_temp.policy('ct', $$email not in ('NONE')$$);
select is(pg_temp.run('ct'), 'succeeded done 6 0', 'N-031: six go');
select is((select count(*) from public.ct), 3::bigint, 'N-031: three stay');

-- N-002: code of the owner's that names its tables without a schema.
create table public.audit (id int, at timestamptz default now());
create function public.log() returns trigger language plpgsql as $$
begin insert into audit (id) values (old.id); return old; end $$;
create table public.t2 (id int primary key, at timestamptz);
create index on public.t2 (at);
create trigger log after delete on public.t2 for each row execute function public.log();
insert into public.t2 select g, now() - interval '9 days' from generate_series(1, 1000) as g;
select pg_temp.policy('t2');
select is(pg_temp.run('t2'), 'succeeded done 1000 0', 'N-002: an unqualified trigger works');
select is((select count(*) from public.audit), 1000::bigint, 'N-002: it wrote its rows');

create table public.deferred (id int primary key, at timestamptz);
create constraint trigger log after delete on public.deferred deferrable initially deferred for each row
  execute function public.log();
create table public.deferred_child (id int references public.deferred on delete cascade);
create trigger log after delete on public.deferred_child for each row execute function public.log();
insert into public.deferred select g, now() - interval '9 days' from generate_series(1, 100) as g;
insert into public.deferred_child select g from generate_series(1, 50) as g;
select pg_temp.policy('deferred');
select is(pg_temp.run('deferred'), 'succeeded done 100 0',
  'a deferred trigger, and one of a table behind a cascade, work');
select is((select count(*) from public.audit), 1150::bigint, '... and wrote their rows');

create function public.is_old(integer) returns boolean language plpgsql stable as $$
begin return exists (select from audit where id = $1); end $$;
insert into public.t2 select g, now() - interval '9 days' from generate_series(999, 1001) as g;
select pg_temp.policy('t2', 'is_old(id)');
select is(pg_temp.due('t2'), 2::bigint, 'a function in a rule is found, and finds its tables');
select is(pg_temp.run('t2'), 'succeeded done 2 0', '... in the run, too');
select is((select severity from public.maintenance_status where task = 't2'), 'ok', '... and in the status');

create function public.limit_of() returns int language plpgsql immutable as $$
begin return (select count(*) from settings_of); end $$;
create table public.settings_of (id int);
create table public.indexed (id int, at timestamptz);
create function public.doubled(integer) returns integer language plpgsql immutable as $$
begin return $1 * 2 + limit_of(); end $$;
create index on public.indexed (doubled(id));
insert into public.indexed values (1, now() - interval '9 days');
select pg_temp.policy('indexed');
select is(pg_temp.run('indexed'), 'succeeded done 1 0', 'the function of an index finds its own');

create function public.step(integer) returns bigint language plpgsql as $$
declare v_n bigint;
begin
  with gone as (delete from audit where id in (select id from audit limit $1) returning 1)
  select count(*) into v_n from gone;
  return v_n;
end $$;
create function public.step_backlog(integer) returns table (due bigint, oldest timestamptz) language sql stable as
  'select count(*), min(at) from (select at from audit limit $1) as a';
select maintenance.set_job('step', 'step', backlog_name => 'audits', backlog_function => 'step_backlog');
select is((select count from public.maintenance_status where task = 'audits'), 1152::bigint,
  'an unqualified backlog function works');
select is(pg_temp.run('step'), 'succeeded done 1152 0', 'an unqualified step works');
select is((select j.step from maintenance_internal.job as j where j.job_name = 'step'), 'public.step',
  'it is kept with its schema');

create table public.topic (id text primary key, at timestamptz default now());
insert into public.topic values ('a'), ('b');
create function public.topics() returns setof text language plpgsql as $$
begin return query select id from topic; end $$;
create function public.topic_prepare(subject text, options jsonb)
returns table (content text, context jsonb, input_hash text, skip_reason text) language plpgsql stable as $$
begin return query select t.id, '{}'::jsonb, t.id, null::text from topic as t where t.id = subject; end $$;
create function public.topic_apply(subject text, context jsonb, answer jsonb, options jsonb) returns jsonb
language plpgsql as $$
begin update topic set at = 'epoch' where id = subject; return '{}'; end $$;
select maintenance.set_kind('topic', 'Say.', '{"type": "object", "properties": {"x": {"type": "string"}}}', 'topics',
  'topic_prepare', 'topic_apply', 'analyze');
select is(maintenance.trigger_jobs('analyze') ->> 'jobsPublished', '2', 'unqualified subjects work');
create temporary table claimed as select * from maintenance.claim_tasks('w', 10, '1 minute');
select is((select count(r ->> 'content') from claimed as c, maintenance.task_request(c.task_id, c.lease_token) as r),
  2::bigint, 'an unqualified prepare works');
select is((select string_agg(r ->> 'state', ' ') from claimed as c,
  maintenance.complete_task(c.task_id, c.lease_token, '{}', '{}') as r), 'succeeded succeeded',
    'an unqualified apply works');
select is((select count(*) from public.topic where at = 'epoch'), 2::bigint, '... and wrote its rows');

-- The path is that of the owner's own sessions, and of schemas in which nobody else may create.
create schema app;
create table app.own (id int);
create function app.mine() returns int language sql stable as 'select 1';
do $$ begin execute format('alter role %I in database %I set search_path = app, "$user", public', current_user,
  current_database()); end $$;
select is(maintenance_internal.owner_path(), 'pg_catalog, app, public, pg_temp',
  'the path is that of the owner''s sessions');
insert into public.t2 select g, now() - interval '9 days' from generate_series(1, 3) as g;
select lives_ok($$select pg_temp.policy('t2', 'mine() = id')$$, 'a rule is parsed under it');
select is(pg_temp.due('t2'), 1::bigint, '... and run');
create role stranger;
grant create on schema app to stranger;
select is(maintenance_internal.owner_path(), 'pg_catalog, public, pg_temp', 'a schema of strangers is left out');
select results_eq($$select finding, fix from maintenance.lint('t2') where finding ~ 'path'$$,
  $$values ('the schema app is left out of the path that the owner''s code runs under, since stranger may '
    'create in it, or has left something there',
    'revoke create on schema app from stranger;')$$, 'lint says so, with the statement');
create function app.good(citext, text) returns boolean language sql immutable as 'select true';
create operator app.== (leftarg = citext, rightarg = text, function = app.good);
create operator public.== (leftarg = text, rightarg = text, function = textlike);
create table public.seen (id int, at timestamptz, email citext);
select throws_like($$select pg_temp.policy('seen', $m$email == 'x'::text$m$)$$, '%means something else%app%',
  'a rule that means something else without it is refused');
revoke create on schema app from stranger;
grant create on schema app to public;
select is(maintenance_internal.owner_path(), 'pg_catalog, public, pg_temp', 'PUBLIC is a stranger');
revoke create on schema app from public;
do $$ begin execute format('grant stranger to %I', current_user); end $$;
alter schema app owner to stranger;
do $$ begin execute format('revoke stranger from %I', current_user); end $$;
select is(maintenance_internal.owner_path(), 'pg_catalog, public, pg_temp', 'so is another owner');
do $$ begin execute format('alter role %I in database %I reset search_path', current_user, current_database()); end $$;

-- N-032: literals are read as in the caller's session, and kept in full.
create table public.dated (due date, at timestamptz default now() - interval '9 days', seen timestamptz,
  length interval);
insert into public.dated values ('2003-02-01', default, '2026-11-28 03:00+00', '1 day -1 hour');
set local datestyle = 'SQL, DMY';
set local timezone = 'America/New_York';
select pg_temp.policy('dated', $$due = '01/02/03'$$);
select is(pg_temp.due('dated'), 1::bigint, 'N-032: a date is read as in the session that set the rule');
set local datestyle = 'SQL, MDY';
select is(pg_temp.due('dated'), 1::bigint, '... and stays so');
select is((select p.matching from maintenance_internal.policy as p join maintenance_internal.job as j using (job_id)
  where j.job_name = 'dated'), '(due = ''2003-02-01''::date)', '... kept as ISO');
select pg_temp.policy('dated', $$seen < '2026-11-28 00:00'$$);
select is((select p.matching from maintenance_internal.policy as p join maintenance_internal.job as j using (job_id)
  where j.job_name = 'dated'), '(seen < ''2026-11-28 05:00:00+00''::timestamp with time zone)',
  'a time without a zone is one of the session that set the rule');
set local datestyle = 'SQL, DMY';
select maintenance.set_policy('dated_update', 'dated', 'update', 'at', '7 days', matching => 'due <> ''02/02/03''',
  assign => 'due = ''02/02/03'', seen = ''01/03/2026 00:00''');
select is((select p.assign from maintenance_internal.policy as p join maintenance_internal.job as j using (job_id)
  where j.job_name = 'dated_update'),
    'due = ''2003-02-02''::date, seen = ''2026-03-01 05:00:00+00''::timestamp with time zone',
  'so it is in assign');
reset timezone;
reset datestyle;

-- F3: a session's settings bend no rule.
create role some_viewer in role maintenance_viewer;
create role some_operator in role maintenance_operator;
do $$ begin execute format('grant some_viewer, some_operator to %I', current_user); end $$;
create table public.files (id int, at timestamptz default now() - interval '9 days', name text, day text);
insert into public.files
select g, now() - interval '9 days', case when g < 4 then 'tmp_' else 'tmpX' end || g,
  case g when 1 then '12/01/2001' else '11/30/2099' end
from generate_series(1, 10) as g;
select pg_temp.policy('files', $$name like 'tmp\_%' and name ~ '\d' and array[null, name]::text <> '{"NULL",tmp}'
  and (null = name) is null$$);
set local standard_conforming_strings = off;
set local escape_string_warning = off;
set local array_nulls = off;
set local transform_null_equals = on;
set local quote_all_identifiers = on;
set local bytea_output = 'escape';
set local xmloption = 'document';
set local default_text_search_config = 'pg_catalog.german';
set local debug_print_plan = on;
select is(pg_temp.due('files'), 3::bigint, 'F3: preview reads a rule as it was set');
set local role some_viewer;
select is((select count from public.maintenance_status where task = 'files'), 3::bigint,
  '... and the status, as a viewer');
set local role some_operator;
select is(maintenance.run_now('files') #>> '{data,rowsAffected}', '3', '... and a run, as an operator');
reset role;
reset standard_conforming_strings;
select is((select count(*) from public.files), 7::bigint, '... and no other row went');
select pg_temp.policy('files', $$to_date(day, 'MM/DD/YYYY') < now() - interval '1 year'$$);
update public.files set day = '01/12/2001' where id = 4;
select maintenance.set_policy('days', 'files', 'delete', 'at', '7 days', matching => $$day::date = '2001-01-12'$$);
set local datestyle = 'SQL, DMY';
select is(pg_temp.due('days'), 1::bigint,
  'a text that is read as a date is read as in the owner''s sessions, whatever the session''s style');
reset datestyle;

-- What Postgres prints another time than it read it, and means the same by.
create table public.varied (id int, at timestamptz default now() - interval '9 days', v varchar(20));
insert into public.varied (v) values ('a'), ('b'), ('c');
select pg_temp.policy('varied', $$v in ('a', 'b') and coalesce(v, 'x') not in ('z', 'y')$$);
select is(pg_temp.due('varied'), 2::bigint, 'a list of varchar is taken');
select maintenance.set_policy('varied_update', 'varied', 'update', 'at', '7 days', matching => $$v <> 'q'$$,
  assign => $$v = case when v in ('a', 'b', 'c') then 'q' end$$);
select is(pg_temp.run('varied_update'), 'succeeded done 3 0', '... in assign, too');
create extension pg_trgm schema public;
select pg_temp.policy('varied', $$v % 'zzalphzz'$$);
create table public.gone (junk int, k int, at timestamptz default now() - interval '9 days',
  st text) partition by list (k);
alter table public.gone drop column junk;
create table public.gone_1 partition of public.gone for values in (1);
select throws_like($$select maintenance.set_policy('gone', 'gone', 'update', 'at', '7 days', matching => 'st is null',
  assign => 'k = 2, st = 1')$$, '%changes k, which%', 'a partition key is known behind a dropped column');
select lives_ok($$select maintenance.set_policy('gone', 'gone', 'update', 'at', '7 days', matching => 'st is null',
  assign => 'at = at, st = 1')$$, '... and what is none');
select * from finish();
rollback;
