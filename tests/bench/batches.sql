-- Of the last run: the milliseconds of its longest batch. A batch counts from the end of the one
-- before it, so what is listed for it counts as its own.
select round(max(b.ms), 1)
from (
  select extract(epoch from b.finished - lag(b.finished) over (order by b.finished)) * 1000 as ms
  from public.batch as b
  join (select r.* from maintenance_internal.run as r order by r.run_id desc limit 1) as r
    on b.finished between r.started_at and r.finished_at
) as b;
