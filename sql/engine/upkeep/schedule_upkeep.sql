-- Has one statement of the list done after the other, by pg_cron, since no function can hold them.
-- The statement job upkeep_statement is put into pg_cron for a single minute, and taken out when
-- its end was seen: a statement that stayed there would be fired again as soon as it is over.
-- What is going on is a row of the table upkeep; until when to go on stands on the receipt of the
-- run that has begun it.

-- What the proof is made of: how it is before, and afterwards.
create function maintenance_internal.upkeep_state(p_relation text, p_action text)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
declare
  v_id constant oid := to_regclass(p_relation);
  v_bytes bigint;
begin
  begin
    v_bytes := pg_relation_size(v_id);
  exception when lock_not_available then
    null; -- unknown
  end;
  return (
    select jsonb_build_object('bytes', v_bytes) || case
      when p_action = 'reindex' then jsonb_build_object('oid', v_id::bigint,
        'rows', greatest(c.reltuples, 0)::bigint)
      else jsonb_build_object('rows', pg_stat_get_live_tuples(v_id),
        'deadRows', pg_stat_get_dead_tuples(v_id),
        'changes', pg_stat_get_mod_since_analyze(v_id)) end
    from pg_class as c where c.oid = v_id);
end
$$;

-- The invalid indexes of the table that an index or itself belongs to.
create function maintenance_internal.invalid_indexes(p_relation text)
returns oid[]
language sql
stable
set search_path = pg_catalog, pg_temp
return array(
  select o.indexrelid
  from pg_index as o
  where not o.indisvalid and o.indrelid = coalesce((
    select i.indrelid from pg_index as i where i.indexrelid = to_regclass(p_relation)),
    to_regclass(p_relation))
  order by o.indexrelid);

-- Puts the statement job into pg_cron for a minute, or without one takes it out, whatever somebody
-- has made of it there. Nobody's edit.
create function maintenance_internal.schedule_upkeep(
  p_statement text default null,
  p_at timestamptz default null)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set client_min_messages = error
as $$
declare
  v_began constant timestamptz := clock_timestamp();
  v_job maintenance_internal.job;
begin
  select * into v_job from maintenance_internal.job as j
  where j.job_name = 'upkeep_statement' for update;
  if found then
    perform maintenance_internal.remove_schedule(v_job);
  end if;
  if p_at is null then
    update maintenance_internal.job as j set schedule = null where j.job_id = v_job.job_id;
  else
    perform maintenance.set_statement('upkeep_statement', p_statement,
      to_char(p_at at time zone (maintenance_internal.cron_state()).zone,
        'FMMI FMHH24 FMDD FMMM "*"'), 'What upkeep_step has given last, for a single minute');
    if v_job.job_id is null then
      perform maintenance.configure_job('upkeep_statement', timeout => '1 hour');
    end if;
  end if;
  delete from maintenance.edit as e
  where e.job_name = 'upkeep_statement' and e.changed_at >= v_began;
end
$$;
