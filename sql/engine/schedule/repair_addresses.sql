-- A row of cron.job keeps the server's address from when it was scheduled. After a restore, a
-- failover or a change of the port pg_cron fires in vain, or on the old server: such rows are made
-- anew, with the address that this server gives to new ones. What is inactive stays as it is.

create function maintenance_internal.repair_addresses()
returns text[]
language plpgsql
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  v_node text;
  v_port integer;
  v_id bigint;
  v_cron record;
  v_repaired text[] := '{}';
begin
  if not (maintenance_internal.cron_state()).readable then
    return v_repaired;
  end if;
  begin -- a row that is gone again with this block
    execute 'select cron.schedule(''maintenance:'', ''0 0 1 1 *'', ''select 1'')' into v_id;
    execute 'select j.nodename, j.nodeport from cron.job as j where j.jobid = $1'
    into v_node, v_port using v_id;
    raise exception using errcode = 'PM099';
  exception when sqlstate 'PM099' then
    null;
  end;
  perform maintenance_internal.record_statements(); -- which go by what stands in pg_cron
  for v_cron in execute
    'select c.*, j.job_name from cron.job as c '
    'join maintenance_internal.job as j on c.jobname::text = ''maintenance:'' || j.job_name '
    'where c.username = current_user and c.database = current_database() and c.active '
    'and (c.nodename, c.nodeport) <> ($1, $2)'
  using v_node, v_port
  loop
    execute 'select cron.unschedule($1)' using v_cron.jobid;
    execute 'select cron.schedule($1, $2, $3)'
    using v_cron.jobname, v_cron.schedule, v_cron.command;
    update maintenance_internal.job as j set promised_at = maintenance_internal.clock()
    where j.job_name = v_cron.job_name;
    v_repaired := v_repaired || v_cron.job_name::text;
  end loop;
  return v_repaired;
end
$$;
