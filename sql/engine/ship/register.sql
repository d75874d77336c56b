-- The shipped rows, for a database that has the structure without them, as dbmate load makes one.

create function maintenance.register()
returns table (kind text, name text, outcome text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_gap text := (maintenance_internal.cron_state()).gap;
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
    if not exists (select from maintenance_internal.row_in_force as r
      where r.kind = v_row.kind and r.name = v_row.name)
    then
      delete from maintenance_internal.shipped as s
      where s.kind = v_row.kind and s.name = v_row.name;
      begin
        outcome := maintenance_internal.ship_row(v_row.kind, v_row.name, v_row.call);
      exception when others then
        outcome := 'failed: ' || sqlerrm;
      end;
    end if;
    return next;
  end loop;

  kind := 'schedule';
  if v_gap is not null then
    name := 'all';
    outcome := 'not scheduled here: ' || v_gap;
    return next;
    return;
  end if;
  for v_row in select * from maintenance_internal.sync_schedules(true) loop
    name := v_row.job_name;
    outcome := v_row.outcome;
    return next;
  end loop;
end
$$;

comment on function maintenance.register() is
  'Puts the shipped jobs, kinds, models and schedules back where they are missing, as after dbmate '
  'load or a restore of the structure alone, also where somebody removed them; what is there stays '
  'as it is. One row for each. For the engine''s owner.';
