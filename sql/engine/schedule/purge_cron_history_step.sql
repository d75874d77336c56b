-- Deletes what is older than seven days in pg_cron's own history, which has no retention.

create function maintenance_internal.purge_cron_history_step(batch_size integer)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  v_rows bigint := 0;
begin
  if (maintenance_internal.cron_state()).gap is null then
    -- Some rows have no times at all: what is older than a row that may go may go, too.
    execute
      'delete from cron.job_run_details as d where d.runid in ('
      '  select o.runid from cron.job_run_details as o'
      '  where o.runid <= (select l.runid from cron.job_run_details as l'
      '    where l.start_time < $1 order by l.runid desc limit 1)'
      '  order by o.runid limit $2)'
    using maintenance_internal.clock() - interval '7 days', batch_size;
    get diagnostics v_rows = row_count;
  end if;
  return v_rows;
end
$$;
