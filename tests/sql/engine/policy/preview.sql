-- Preview counts with the rule that the run uses, and changes nothing.
begin;
create extension pgtap;
select plan(13);

create table public.events (id bigint primary key, at timestamptz, held boolean default false);
insert into public.events select i, now() - i * interval '1 hour', i > 95 from generate_series(1, 100) i;
create index on public.events (at);
select maintenance.set_policy('purge', 'public.events', 'delete', 'at', '2 days', matching => 'not held');

select is((select due from maintenance.preview('purge')), 48::bigint,
  'due counts the rows past the cut-off that match');
select is((select oldest from maintenance.preview('purge')), now() - interval '95 hours',
  'oldest is the age of the oldest due row');
select is((select capped from maintenance.preview('purge')), false, 'capped is false where preview counts to the end');
select ok((select bytes from maintenance.preview('purge')) between 48 * 24 and 48 * 100,
  'bytes is the size of the due rows');
select maintenance.configure_job('purge', batch_size => 10);
select is((select batches from maintenance.preview('purge')), 5::bigint,
  'batches counts batches of the job''s batch size, the last one short');
select is((select count(*) from public.events), 100::bigint, 'preview changes no row');
select is(maintenance.run_now('purge') #>> '{data,rowsAffected}', '48',
  'a run takes exactly the rows that preview counts as due');

create unlogged table public.many (at timestamptz);
insert into public.many select '2020-01-01' from generate_series(1, 1000001);
select maintenance.set_policy('many', 'public.many', 'delete', 'at', '1 day');
select results_eq($$select due, capped from maintenance.preview('many')$$, $$values (1000000::bigint, true)$$,
  'preview stops counting at a million rows, and says so');
-- Rows that go with them: N-005.
create table public.c (id int primary key, parent int references public.c on delete cascade, at timestamptz);
create index on public.c (parent);
create index on public.c (at);
create table public.behind (c_id int references public.c on delete cascade, at timestamptz);
insert into public.c values (1, null, now() - interval '9 days'), (2, 1, now()), (3, 1, now());
insert into public.behind select 1, now() from generate_series(1, 5);
select maintenance.set_policy('c', 'public.c', 'delete', 'at', '7 days');
select is((select cascades from maintenance.preview('c')), null, 'what goes by a key without an index is not counted');
create index on public.behind (c_id);
select is((select due || ' ' || cascades from maintenance.preview('c')), '1 7',
  'N-005: rows that go by cascades are counted, of the table itself, too');
select set_eq($$select finding from maintenance.lint('c') where severity = 'notice'$$,
  array['each deleted row of public.c takes its rows of public.c with it, however young they are',
  'each deleted row of public.c takes its rows of public.behind with it, however young they are'],
    'N-005: lint names them');
select maintenance.set_policy('behind', 'public.behind', 'delete', 'at', '90 days');
select ok((select bool_or(finding ~ 'public.behind with it.*; the policy "behind" keeps them for 90 days')
  from maintenance.lint('c')), '... and the policy that keeps them for longer');
select is(maintenance.run_now('c') #>> '{data,rowsAffected}', '1', 'a run counts what its rule takes');
select * from finish();
rollback;
