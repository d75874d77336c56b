-- What somebody has made of a shipped row, column by column: as it was shipped, and in force.
create function maintenance_internal.changes_of_shipped(p_kind text, p_name text)
returns table (key text, shipped jsonb, in_force jsonb)
language sql
stable
set search_path = pg_catalog, pg_temp
set intervalstyle = 'postgres'
begin atomic
  select k, s.row -> k, r.row -> k
  from maintenance_internal.shipped as s
  join maintenance_internal.row_in_force as r on r.kind = s.kind and r.name = s.name
  left join maintenance_internal.job as j on s.kind = 'job' and j.job_name = s.name
  cross join lateral jsonb_object_keys(s.row) as k -- a column that came later is nobody's change
  where s.kind = p_kind and s.name = p_name and s.job_id is not distinct from j.job_id
    and s.row -> k is distinct from coalesce(r.row -> k, 'null');
end;

-- The same of a job, for job_status: {"keep": ["90 days", "30 days"]}.
create function maintenance_internal.unlike_shipped(p_job_name text)
returns jsonb
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
begin atomic
  select jsonb_object_agg(c.key, jsonb_build_array(c.shipped, c.in_force))
  from maintenance_internal.changes_of_shipped('job', p_job_name) as c;
end;
