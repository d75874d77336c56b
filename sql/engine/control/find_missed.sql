-- Notes which slots were missed: a job that is late, as the status shows it, gets a run that
-- waits for the last of them. Statements are not caught up: they stay late until pg_cron fires
-- them. A restored database, or a copy, owes nothing from before, and what waited there is given
-- up.

create function maintenance_internal.find_missed(p_owed boolean default false)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_slack constant interval := interval '2 minutes';
  v_now constant timestamptz := maintenance_internal.clock();
  v_state constant record := maintenance_internal.cron_state();
  v_read_as constant bigint := hashtextextended(v_state.zone || v_state.readable::text, 0);
  v_turn maintenance_internal.turn;
  v_jobs text[];
  v_row record;
  v_slot timestamptz;
  v_missed bigint := 0;
begin
  if not maintenance_internal.take_turn('missed') then
    return 0; -- somebody else is at it
  end if;
  select * into v_turn from maintenance_internal.turn as t where t.name = 'missed';
  if v_turn.noted_in <> v_state.home then
    update maintenance_internal.control as c set promised_at = v_now;
    perform maintenance_internal.give_up(r.job_id, 'restored')
    from maintenance_internal.run as r where r.status = 'waiting';
  end if;
  update maintenance_internal.turn as t
  set noted_in = v_state.home, noted = v_read_as
  where t.name = 'missed';

  if maintenance_internal.is_paused() then
    return 0;
  end if;

  -- Who had no slot since the last look has missed none.
  v_jobs := array(
    select j.job_name
    from maintenance_internal.job as j
    where j.kind <> 'statement' and j.enabled
      and (p_owed or (j.look_at > v_now and v_turn.noted = v_read_as
        and j.look_since = maintenance_internal.promised_at(j)) is not true));
  for v_row in
    select j, s.schedule, s.active, s.owed_at, s.running is not true
      and (s.late_since is not null or p_owed and s.owed_at <= v_now) as is_missed
    from maintenance.job_status as s
    join maintenance_internal.job as j on j.job_name = s.job_name
    where s.job_name = any (v_jobs)
    order by s.late_since
  loop
    if v_row.is_missed then
      v_slot := maintenance_internal.nearest_slot(v_row.schedule,
        v_now - case when p_owed then interval '0' else v_slack end, false, v_state.zone);
      perform maintenance_internal.put_off(v_row.j, 'catch_up', 1, v_slot, v_slot, 'missed');
      v_missed := v_missed + 1;
    elsif v_row.active then
      -- Until what it owes is two minutes old nothing can be missed. That may be now: of a run
      -- that goes on, or while the server has only just started.
      update maintenance_internal.job as j
      set look_at = coalesce(v_row.owed_at + v_slack, 'infinity'),
        look_since = maintenance_internal.promised_at(v_row.j)
      where j.job_id = (
        select l.job_id from maintenance_internal.job as l
        where l.job_id = (v_row.j).job_id for no key update skip locked);
    end if;
  end loop;
  return v_missed;
end
$$;
