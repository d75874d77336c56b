-- The policy of a job by its name, or a clear error.

create function maintenance_internal.find_policy(p_job_name text)
returns maintenance_internal.policy
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_job maintenance_internal.job := maintenance_internal.find_job(p_job_name);
  v_policy maintenance_internal.policy;
begin
  select * into v_policy from maintenance_internal.policy as p where p.job_id = v_job.job_id;
  if not found then
    raise exception 'the job "%" is a % job and has no rule', p_job_name, v_job.kind
      using errcode = 'PM001', hint = 'Policies are the jobs that set_policy made.';
  end if;
  return v_policy;
end
$$;
