-- Trigger: keeps who changed what of a job or its rule, and when.

create function maintenance_internal.record_edit()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_job_name text := (
    select j.job_name from maintenance_internal.job as j where j.job_id = old.job_id);
  v_what jsonb;
begin
  if tg_op = 'DELETE' then
    v_job_name := old.job_name;
    v_what := jsonb_build_object('dropped', jsonb_build_array(false, true));
  else
    select jsonb_object_agg(o.key, jsonb_build_array(o.value, n.value)) into v_what
    from jsonb_each(to_jsonb(old)) as o
    join jsonb_each(to_jsonb(new)) as n on n.key = o.key
    where o.value is distinct from n.value
      and o.key not in ('updated_at', 'promised_at', 'look_at', 'look_since', 'description');
  end if;
  if v_what is not null then
    insert into maintenance.edit (job_name, what) values (v_job_name, v_what);
  end if;
  return null;
end
$$;

create trigger record_edit after update or delete on maintenance_internal.job
for each row execute function maintenance_internal.record_edit();
