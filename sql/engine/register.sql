-- The shipped rows, for a database that has the structure without them, as dbmate load makes one.

create function maintenance.register()
returns table (kind text, name text, outcome text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_ships text := 'select * from maintenance_internal.engine_ships()';
  v_row record;
begin
  insert into maintenance_internal.lease_sweep
  select '-infinity' where not exists (select from maintenance_internal.lease_sweep);

  if to_regprocedure('maintenance_internal.reference_ships()') is not null then
    v_ships := v_ships || ' union all select * from maintenance_internal.reference_ships()';
  end if;
  for v_row in execute v_ships loop
    kind := v_row.kind;
    name := v_row.name;
    outcome := 'there';
    if not (case v_row.kind
      when 'job' then exists (
        select from maintenance_internal.job as j where j.job_name = v_row.name)
      when 'kind' then exists (select from maintenance.kind as k where k.kind = v_row.name)
      else exists (select from maintenance.model as m where m.model = v_row.name) end)
    then
      begin
        execute v_row.call;
        outcome := 'registered';
      exception when others then
        outcome := 'failed: ' || sqlerrm;
      end;
    end if;
    return next;
  end loop;
  perform maintenance.install_schedules();
end
$$;

comment on function maintenance.register() is
  'Puts the shipped jobs, kinds, models and schedules back where they are missing, as after dbmate '
  'load or a restore of the structure alone; what is there stays as it is. One row for each. For '
  'the engine''s owner.';
