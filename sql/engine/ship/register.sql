-- The shipped rows, for a database that has the structure without them, as dbmate load makes one.

create function maintenance.register(which text default null)
returns table (kind text, name text, outcome text)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_ships text := 'select ''engine'' as part, s.* from maintenance_internal.engine_ships() as s';
  v_gap text := (maintenance_internal.cron_state()).gap;
  v_row record;
begin
  perform maintenance_internal.put_turns();
  perform maintenance_internal.put_control();
  if to_regprocedure('maintenance_internal.reference_ships()') is not null then
    execute 'select maintenance_internal.put_retention(), '
      'maintenance_internal.put_backup_tables()';
    v_ships := v_ships
      || ' union all select ''reference'', s.* from maintenance_internal.reference_ships() as s';
  end if;
  for v_row in execute v_ships loop
    continue when v_row.name <> register.which;
    kind := v_row.kind;
    name := v_row.name;
    outcome := 'there';
    if not exists (select from maintenance_internal.row_in_force as r
      where r.kind = v_row.kind and r.name = v_row.name)
    then
      begin
        delete from maintenance_internal.shipped as s
        where s.kind = v_row.kind and s.name = v_row.name;
        outcome := maintenance_internal.ship_row(
          v_row.part, v_row.kind, v_row.name, v_row.call);
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
  for v_row in select * from maintenance_internal.sync_schedules(true, register.which) loop
    name := v_row.job_name;
    outcome := v_row.outcome;
    return next;
  end loop;
end
$$;

comment on function maintenance.register(text) is
  'Puts the shipped jobs, kinds, models and schedules back where they are missing, all or the one '
  'of that name, as after dbmate load or a restore of the structure alone, and also where somebody '
  'removed them; what is there stays as it is. One row for each. For the engine''s owner.';
