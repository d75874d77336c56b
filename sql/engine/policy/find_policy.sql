-- The policy of a job by its name, or a clear error.

create function maintenance.find_policy(p_job_name text)
returns maintenance.policy
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_job maintenance.job := maintenance.find_job(p_job_name);
  v_policy maintenance.policy;
begin
  select * into v_policy from maintenance.policy as p where p.job_id = v_job.job_id;
  if not found then
    raise exception 'the job "%" is a % job and has no rule', p_job_name, v_job.kind
      using errcode = 'PM001', hint = 'Policies are the jobs that set_policy made.';
  end if;
  return v_policy;
end
$$;

comment on function maintenance.find_policy(text) is
  'The policy of a job by its name, or a clear error.';
