-- A job by its name, or a clear error.

create function maintenance_internal.find_job(p_job_name text)
returns maintenance_internal.job
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_job maintenance_internal.job;
begin
  select * into v_job from maintenance_internal.job as j where j.job_name = p_job_name;
  if not found then
    raise exception 'there is no job "%"', p_job_name
      using errcode = 'PM001',
        hint = case when exists (select from maintenance_internal.job)
          then 'select job_name from maintenance.job_status lists them.'
          else 'None is registered here: select * from maintenance.register();' end;
  end if;
  return v_job;
end
$$;
