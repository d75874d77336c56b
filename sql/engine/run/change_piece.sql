-- Changes the due rows of a piece in one statement, under the path of the owner's own sessions
-- (owner_path), for the sake of its triggers, and counts them. Keys and triggers that were
-- deferred are checked here as well, so that what they refuse is this piece's own fault.

create function maintenance_internal.change_piece(
  p_policy maintenance_internal.policy,
  p_cutoff timestamptz,
  p_piece maintenance_internal.piece,
  p_at maintenance_internal.progress)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_statement text := maintenance_internal.piece_statement(
    p_policy, p_piece.leaf, maintenance_internal.piece_form(p_piece), p_at.locked is true);
  v_from tid := format('(%s,0)', p_piece.page)::tid;
  v_to tid := format('(%s,0)', p_piece.end_page)::tid;
  v_changed bigint;
  v_again bigint;
begin
  perform set_config('search_path', p_at.path, true);
  if p_policy.action = 'delete' then
    execute v_statement
    using p_cutoff, p_piece.tids, v_from, v_to, p_piece.from_age, p_piece.to_age;
    get diagnostics v_changed = row_count;
  else
    execute v_statement into v_changed, v_again
    using p_cutoff, p_piece.tids, v_from, v_to, p_piece.from_age, p_piece.to_age;
    if v_again > 0 then
      raise exception '% of % rows would be due again after the update', v_again, v_changed
        using errcode = 'PM005', hint = 'Let matching exclude what assign sets.';
    end if;
  end if;
  if p_at.check_deferred is not null then
    execute p_at.check_deferred;
  end if;
  return v_changed;
end
$$;
