-- A table of which 1,000 rows are due, spread over all of it.
drop table if exists public.run, public.plain;
create table public.run (id bigint primary key, at timestamptz not null, pad text);
insert into public.run
select i, now() - case when i % (:rows / 1000) = 0 then interval '60 days' else random() * interval '40 days' end,
  repeat('x', 180)
from generate_series(1, :rows) as i;
create index on public.run (at);
vacuum (analyze, freeze) public.run;
select from maintenance.set_policy('purge', 'public.run', 'delete', 'at', '50 days');
