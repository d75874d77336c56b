-- Ships one job, kind or model: what nobody has changed here since it was last shipped becomes what
-- the call says, and what somebody has changed or removed stays so. Where it is the rule itself, or
-- what is asked of a model, that somebody has changed, all that belongs to it stays.

create function maintenance_internal.ship_row(
  p_part text,
  p_kind text,
  p_name text,
  p_call text)
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
set intervalstyle = 'postgres'
as $$
declare
  v_rule constant text[] := array[
    'kind', 'step', 'statement', 'backlog_function',
    'target', 'action', 'age', 'age_type', 'matching', 'assign', 'index_on', 'calls',
    'trusted_owner',
    'instruction', 'response_schema', 'subjects', 'prepare', 'apply'];
  v_with_it constant text[] := array['keep', 'backlog_name', 'description'];
  v_job_id integer;
  v_before jsonb;
  v_shipped maintenance_internal.shipped;
  v_changed text;
  v_kept text[];
  v_new jsonb;
  v_began constant timestamptz := clock_timestamp();
begin
  if p_kind = 'job' then
    select j.job_id into v_job_id from maintenance_internal.job as j
    where j.job_name = p_name for update;
  elsif p_kind = 'kind' then
    perform from maintenance.kind as k where k.kind = p_name for update;
  else
    perform from maintenance.model as m where m.model = p_name for update;
  end if;
  select r.row into v_before from maintenance_internal.row_in_force as r
  where r.kind = p_kind and r.name = p_name;
  select * into v_shipped from maintenance_internal.shipped as s
  where s.kind = p_kind and s.name = p_name;

  if v_before is null and v_shipped.row is not null then
    return 'removed here';
  elsif v_before is null then
    execute p_call;
    insert into maintenance_internal.shipped (kind, name, part, job_id, row, outcome)
    select p_kind, p_name, p_part, (
        select j.job_id from maintenance_internal.job as j
        where p_kind = 'job' and j.job_name = p_name),
      r.row, 'registered'
    from maintenance_internal.row_in_force as r
    where r.kind = p_kind and r.name = p_name
    on conflict (kind, name) do update set job_id = excluded.job_id, row = excluded.row;
    -- What it ships with is nobody's edit.
    delete from maintenance.edit as e
    where p_kind = 'job' and e.job_name = p_name and e.changed_at >= v_began;
    return 'registered';
  elsif v_shipped.row is null or v_shipped.job_id <> v_job_id then
    return 'not shipped: this database has another one by that name';
  end if;

  select string_agg(c.key, ', ' order by c.key), coalesce(array_agg(c.key), '{}')
    || case when bool_or(c.key = any(v_rule)) then v_rule || v_with_it else '{}' end
  into v_changed, v_kept
  from maintenance_internal.changes_of_shipped(p_kind, p_name) as c;
  v_new := maintenance_internal.called_row(p_kind, p_name, p_call);
  update maintenance_internal.shipped as s
  set row = v_new, shipped_at = now()
  where s.kind = p_kind and s.name = p_name;

  v_new := (v_new - v_kept) || (
    select coalesce(jsonb_object_agg(b.key, b.value), '{}')
    from jsonb_each(v_before) as b
    where b.key = any(v_kept));
  if v_new = v_before then
    return 'there';
  end if;
  perform maintenance_internal.write_row(p_kind, p_name, v_new);
  return 'updated' || coalesce(', but for what was changed here: ' || v_changed, '');
end
$$;

-- What a call makes of a row where nothing was there before; nothing of it stays.
create function maintenance_internal.called_row(p_kind text, p_name text, p_call text)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
set intervalstyle = 'postgres'
as $$
declare
  v_row jsonb;
begin
  begin
    perform set_config('client_min_messages', 'error', true);
    if p_kind = 'job' then
      delete from maintenance_internal.job as j where j.job_name = p_name;
    elsif p_kind = 'model' then
      delete from maintenance.model as m where m.model = p_name;
    end if;
    execute p_call;
    select r.row into v_row from maintenance_internal.row_in_force as r
    where r.kind = p_kind and r.name = p_name;
    raise exception 'undone on purpose' using errcode = 'PM099';
  exception when sqlstate 'PM099' then
    return v_row;
  end;
end
$$;

-- Writes a row of row_in_force back to its table, or to its two: a policy is a job with a rule.
create function maintenance_internal.write_row(p_kind text, p_name text, p_row jsonb)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_table regclass;
  v_job_id integer;
begin
  if p_kind = 'job' then
    select j.job_id into v_job_id from maintenance_internal.job as j where j.job_name = p_name;
    if not p_row ? 'target' then
      delete from maintenance_internal.policy as p where p.job_id = v_job_id;
    elsif not exists (select from maintenance_internal.policy as p where p.job_id = v_job_id) then
      insert into maintenance_internal.policy
      select n.* from jsonb_populate_record(null::maintenance_internal.policy,
        p_row || jsonb_build_object('job_id', v_job_id)) as n;
    end if;
  end if;
  foreach v_table in array case p_kind
    when 'job' then array['maintenance_internal.job']
      || case when p_row ? 'target' then array['maintenance_internal.policy'] end
    else array['maintenance.' || p_kind] end::regclass[]
  loop
    execute (
      select format('update %s as t set (%2$s) = (select %2$s from jsonb_populate_record(t, $1)) '
        'where %3$s', v_table, string_agg(quote_ident(a.attname), ', ' order by a.attnum),
        case when p_kind = 'job' then format('job_id = %s', v_job_id)
          else format('%I = %L', p_kind, p_name) end)
      from pg_attribute as a
      where a.attrelid = v_table and a.attnum > 0 and p_row ? a.attname)
    using p_row;
  end loop;
  if p_kind = 'job' then
    perform maintenance_internal.sync_schedule(p_name);
  end if;
end
$$;
