-- matching may name cutoff, the run's own cut-off: a keep that is changed is the one truth.
\set QUIET on
set client_min_messages = error;
begin;
create extension if not exists pgtap;
select plan(15);

create table public.job (id int primary key, ended_at timestamptz, cutoff text);
create table public.item (id int primary key, at timestamptz, job_id int references public.job on delete cascade,
  note text);
create index on public.item (at);
insert into public.job select g, now() - g * interval '1 day', 'x' from generate_series(1, 40) as g;
insert into public.item select g, now() - interval '50 days', g, 'cutoff' from generate_series(1, 40) as g;
select maintenance.set_policy('item', 'public.item', 'delete', 'at', '30 days',
  matching => $$exists (select from public.job as j where j.id = item.job_id and j.ended_at <= item.cutoff)
    and note = 'cutoff' and note <> '$1'$$);
create function pg_temp.matching(policy_name text) returns text language sql as $$
  select matching from maintenance_internal.policy
  join maintenance_internal.job using (job_id) where job_name = policy_name $$;
select ok(pg_temp.matching('item') ~ 'ended_at <= \$1' and pg_temp.matching('item') ~ '''cutoff''',
  'the cut-off is a parameter of what is kept, and a text stays a text');
select is((select due from maintenance.preview('item')), 11::bigint, 'preview reads it');
select is((select count from public.maintenance_status where task = 'item'), 11::bigint, 'so does the status');
select maintenance.configure_job('item', keep => '20 days');
select is((select due from maintenance.preview('item')), 21::bigint, 'a changed keep moves it');
select ok(maintenance.explain_policy('item') ~ 'ended_at <= \$1', 'explain_policy shows it');
select is(maintenance.run_now('item') #>> '{data,rowsAffected}', '21', 'a run takes what preview said');
select is((select (details ->> 'kept')::int from maintenance.run_history where job_name = 'item'), 19,
  'and counts what it keeps');
select is_empty($$select * from maintenance.lint('item') where severity = 'critical'$$, 'lint reads it');

-- Whose column it is.
select maintenance.set_policy('item', 'public.item', 'delete', 'at', '30 days',
  matching => $$exists (select from public.job as j where j.id = job_id and j.cutoff = 'x') and at < cutoff$$);
select is(regexp_replace(pg_temp.matching('item'), '\s+', ' ', 'g'),
  '((EXISTS ( SELECT FROM public.job j WHERE ((j.id = item.job_id) AND '
  '(j.cutoff = ''x''::text)))) AND (at < $1))', 'a column of that name of another table is that column');
select maintenance.set_policy('own', 'public.job', 'delete', 'ended_at', '30 days', matching => $$cutoff = 'y'$$);
select is(pg_temp.matching('own'), '(cutoff = ''y''::text)', '... and of the target itself, the target''s');
select maintenance.drop_job('own');
select throws_ok($$select maintenance.set_policy('bad', 'public.item', 'delete', 'cutoff', '1 day')$$, 'PM004', null,
  'an age is not the cut-off');
select throws_ok($$select maintenance.set_policy('bad', 'public.item', 'update', 'at', '1 day',
  matching => 'cutoff > at',
  assign => 'at = cutoff')$$, 'PM004', null, 'nor does assign know it');
select throws_ok($$select maintenance.set_policy('bad', 'public.item', 'delete', 'at', '1 day',
  matching => '"the cut-off" > at')$$, 'PM004', null, 'nor has it another name');
create table public.parted (id int, at timestamp, done timestamp) partition by list (id);
create table public.parted_1 partition of public.parted for values in (1);
insert into public.parted values (1, now() - interval '9 days', now() - interval '8 days'),
  (1, now() - interval '9 days', now() - interval '1 day');
select maintenance.set_policy('parted', 'public.parted', 'update', 'at', '7 days', matching => 'done <= cutoff',
  assign => 'done = null');
select is(maintenance.run_now('parted') #>> '{data,rowsAffected}', '1', 'an update of a partitioned table knows it');
select lives_ok($$select maintenance.set_policy('named', 'public.job', 'update', 'ended_at', '30 days',
  matching => 'cutoff = ''x''', assign => 'cutoff = ''y''')$$, 'assign sets a column of that name');

select * from finish();
rollback;
