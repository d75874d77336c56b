-- Of the last run: milliseconds a batch in its first quarter and in its last, and the longest. A
-- batch counts from the end of the one before it, so what is collected for it counts as its own.
select round(avg(b.ms) filter (where b.quarter = 1), 1),
  round(avg(b.ms) filter (where b.quarter = 4), 1),
  round(max(b.ms), 1)
from (
  select extract(epoch from b.finished - lag(b.finished) over t) * 1000 as ms,
    ntile(4) over t as quarter
  from public.batch as b
  join (select r.* from maintenance_internal.run as r order by r.run_id desc limit 1) as r
    on b.finished between r.started_at and r.finished_at
  window t as (order by b.finished)
) as b;
