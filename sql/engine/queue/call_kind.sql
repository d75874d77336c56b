-- Calls the functions of a kind, under the path of their owner's own sessions.

create function maintenance_internal.call_subjects(p_name text)
returns text[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_function regproc := maintenance_internal.find_function(p_name, '', 'SETOF text');
  v_subjects text[];
  v_context text;
begin
  perform maintenance_internal.check_session();
  perform set_config('search_path', maintenance_internal.owner_path(), true);
  execute format('select array_agg(distinct s) from %s() as s where s <> ''''', v_function)
  into v_subjects;
  if exists (select from unnest(v_subjects) as s where length(s) > 200) then
    raise exception 'a subject has more than 200 characters' using errcode = 'PM002';
  end if;
  return coalesce(v_subjects, '{}');
exception when others or assert_failure then
  -- Whoever asks may not read the tables: no text of a row.
  get stacked diagnostics v_context = pg_exception_context;
  raise exception 'the subjects cannot be told by %: %', p_name,
      maintenance_internal.error_text(sqlstate, sqlerrm, v_context)
    using errcode = sqlstate, hint = 'The owner sees all of it: select * from ' || p_name || '();';
end
$$;

-- The options that prepare and apply are given: the caller's, and what the engine adds to them. By
-- the kind in them one function serves several.
create function maintenance_internal.kind_options(
  p_task maintenance.task,
  p_name text,
  p_value jsonb)
returns jsonb
language sql
immutable
set search_path = pg_catalog, pg_temp
return (p_task.options - array['carry', 'share'])
  || jsonb_build_object('kind', p_task.kind)
  || case when p_value is not null then jsonb_build_object(p_name, p_value) else '{}' end
  || case when p_task.carry is not null then jsonb_build_object('carry', p_task.carry)
    else '{}' end;

create function maintenance_internal.call_prepare(
  p_name text,
  p_subject text,
  p_options jsonb,
  out content text,
  out context jsonb,
  out input_hash text,
  out skip_reason text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_function regproc := maintenance_internal.find_prepare(p_name);
begin
  perform maintenance_internal.check_session();
  perform set_config('search_path', maintenance_internal.owner_path(), true);
  execute format('select p.content, p.context, p.input_hash, p.skip_reason '
    'from %s($1::text, $2::jsonb) as p', v_function)
  into content, context, input_hash, skip_reason using p_subject, p_options;
end
$$;

create function maintenance_internal.call_apply(
  p_name text,
  p_subject text,
  p_context jsonb,
  p_answer jsonb,
  p_options jsonb)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_function regproc :=
    maintenance_internal.find_function(p_name, 'text, jsonb, jsonb, jsonb', 'jsonb');
  v_check_deferred text := maintenance_internal.check_deferred_statement();
  v_result jsonb;
begin
  perform maintenance_internal.check_session();
  perform set_config('search_path', maintenance_internal.owner_path(), true);
  execute format('select %s($1::text, $2::jsonb, $3::jsonb, $4::jsonb)', v_function)
  into v_result using p_subject, p_context, p_answer, p_options;
  if v_check_deferred is not null then
    execute v_check_deferred;
  end if;
  return v_result;
end
$$;
