-- Ships the rows of a release, of the engine or of the reference application. One that cannot be
-- shipped, as where a name that it needs is taken, stops no other: its outcome says so, and lint.
-- What is not shipped any more goes, unless somebody has changed it.

create function maintenance_internal.ship(p_part text)
returns table (kind text, name text, outcome text)
language plpgsql
set search_path = pg_catalog, pg_temp
set client_min_messages = warning
set quote_all_identifiers = off -- a migration calls it before our functions are pinned
as $$
declare
  v_is_first constant boolean := not exists (
    select from maintenance_internal.shipped as s where s.part = p_part);
  v_row record;
begin
  -- Models may change places.
  set constraints maintenance.model_position_is_unique deferred;
  for v_row in execute format('select * from maintenance_internal.%I()', p_part || '_ships') loop
    kind := v_row.kind;
    name := v_row.name;
    begin
      outcome := maintenance_internal.ship_row(p_part, kind, name, v_row.call);
    exception when others then
      if v_is_first then
        raise;
      end if;
      outcome := 'failed: ' || sqlerrm;
    end;
    insert into maintenance_internal.shipped as s (kind, name, part, outcome)
    values (v_row.kind, v_row.name, p_part, ship.outcome)
    on conflict on constraint shipped_pkey do update set outcome = excluded.outcome;
    return next;
  end loop;

  for v_row in execute format(
    'select s.kind, s.name from maintenance_internal.shipped as s where s.part = %L except '
    'select s.kind, s.name from maintenance_internal.%I() as s', p_part, p_part || '_ships')
  loop
    kind := v_row.kind;
    name := v_row.name;
    outcome := maintenance_internal.retire_row(kind, name);
    return next;
  end loop;

  -- Of two models at one place the shipped one gives way.
  update maintenance.model as m
  set position = n.number + (
    select max(o.position) from maintenance.model as o where o.carrier = n.carrier)
  from (
    select c.model, c.carrier,
      row_number() over (partition by c.carrier order by c.position, c.model) as number
    from maintenance.model as c
    join maintenance_internal.shipped as s
      on s.kind = 'model' and s.name = c.model and s.row is not null
    where exists (
      select from maintenance.model as o
      where o.carrier = c.carrier and o.position = c.position and o.model <> c.model)
  ) as n
  where n.model = m.model;
  set constraints maintenance.model_position_is_unique immediate;
end
$$;

-- What a release does not ship any more: it goes where it is as it was shipped, and else stays, as
-- its owner's own.
create function maintenance_internal.retire_row(p_kind text, p_name text)
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_outcome text := case
    when not exists (select from maintenance_internal.row_in_force as r
      where r.kind = p_kind and r.name = p_name) then 'retired'
    when exists (select from maintenance_internal.changes_of_shipped(p_kind, p_name))
      or exists (select from maintenance_internal.shipped as s
        left join maintenance_internal.job as j on s.kind = 'job' and j.job_name = s.name
        where s.kind = p_kind and s.name = p_name
          and (s.row is null or s.job_id is distinct from j.job_id))
      then 'retired, and kept: it is not as it was shipped'
  end;
begin
  if v_outcome is null then
    if p_kind = 'job' then
      perform maintenance.drop_job(p_name);
    elsif p_kind = 'kind' then
      delete from maintenance.kind as k where k.kind = p_name;
    else
      delete from maintenance.model as m where m.model = p_name;
    end if;
    v_outcome := 'retired';
  end if;
  delete from maintenance_internal.shipped as s where s.kind = p_kind and s.name = p_name;
  return v_outcome;
exception when foreign_key_violation or sqlstate 'PM002' then
  delete from maintenance_internal.shipped as s where s.kind = p_kind and s.name = p_name;
  return 'retired, and kept: ' || case when p_kind = 'job' then 'other jobs wait for it'
    else 'there are tasks of it' end;
end
$$;
