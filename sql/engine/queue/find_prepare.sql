-- A kind's prepare by exact signature. It only reads, so it has to be declared stable.

create function maintenance_internal.find_prepare(p_name text)
returns regprocedure
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_prepare regprocedure := maintenance_internal.find_function(p_name, 'text, jsonb',
    'TABLE(content text, context jsonb, input_hash text, skip_reason text)');
begin
  if (select p.provolatile from pg_proc as p where p.oid = v_prepare) = 'v' then
    raise exception 'the function % is volatile', v_prepare
      using errcode = 'PM007', hint = 'prepare only reads: declare it stable.';
  end if;
  return v_prepare;
end
$$;
