-- A schedule that somebody gives to a job: refused where it cannot be read (PM006), and told where
-- no day fits it.

create function maintenance_internal.check_schedule(p_job_name text, p_schedule text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_schedule is not null and maintenance.next_run_at(p_schedule, now()) is null then
    raise warning '"%" will never run: no day fits its schedule "%"', p_job_name, p_schedule
      using hint = 'Minute, hour, day of month, month, day of week: 30 February never comes.';
  end if;
end
$$;

-- What gives a job a schedule that is fired: the declared one, where that can be.
create function maintenance_internal.schedule_advice(p_job_name text, p_declared text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return format('select maintenance.set_schedule(%L, %L);', p_job_name, case
  when maintenance_internal.nearest_slot(p_declared, now(), true, 'UTC') is not null then p_declared
  else '0 3 * * *' end);
