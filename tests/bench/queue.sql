-- 150,000 ready tasks twice: as tasks of the queue, and as rows of a bare table.
\ir ../sql/engine/queue/toy.psql
create or replace function public.word_prepare(subject text, options jsonb)
returns table (content text, context jsonb, input_hash text, skip_reason text)
language sql stable return ('Say ' || subject, '{"version": 1}'::jsonb, subject, null::text);
create or replace function public.word_apply(subject text, context jsonb, answer jsonb, options jsonb)
returns jsonb language sql return '{"changed": true}'::jsonb;
select maintenance.enqueue_task('word', 'first') \g /dev/null
select maintenance.configure('daily_budget_usd', null) \g /dev/null
insert into maintenance.task (kind, subject, available_at)
select 'word', i::text, clock_timestamp() - i * interval '1 ms' from generate_series(1, 150000) as i;

create table public.raw (id bigint generated always as identity primary key, state text not null default 'ready',
  payload text);
create index on public.raw (id) where state = 'ready';
insert into public.raw (payload) select i::text from generate_series(1, 150000) as i;
vacuum (analyze) public.raw, maintenance.task;
