-- Changes the due rows of a slice or a window, and counts them; of an update also those that would
-- be due again. p_form and the arguments that it takes: see batch_statement.

create function maintenance_internal.change_rows(
  p_policy maintenance_internal.policy,
  p_leaf regclass,
  p_form text,
  p_cutoff timestamptz,
  p_slice tid[] default null,
  p_from bigint default null,
  p_to bigint default null,
  out changed bigint,
  out again bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_statement text := maintenance_internal.batch_statement(p_policy, p_leaf, p_form);
begin
  if p_policy.action = 'update' and p_form = 'window' then
    execute v_statement into changed, again
    using p_cutoff, format('(%s,0)', p_from)::tid, format('(%s,0)', p_to)::tid;
  elsif p_policy.action = 'update' then
    execute v_statement into changed, again using p_cutoff, p_slice;
  else
    if p_form = 'window' then
      execute v_statement
      using p_cutoff, format('(%s,0)', p_from)::tid, format('(%s,0)', p_to)::tid;
    else
      execute v_statement using p_cutoff, p_slice;
    end if;
    get diagnostics changed = row_count;
    again := 0;
  end if;
end
$$;
