-- What a run offers now: the next window of a leaf that is swept, the next rows of the first list,
-- or what comes next of what failed. No leaf where nothing is listed.

create function maintenance_internal.next_piece(
  p_run_id bigint,
  p_at maintenance_internal.progress,
  p_rows integer)
returns maintenance_internal.piece
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_piece maintenance_internal.piece;
begin
  if p_at.page < p_at.end_page then
    v_piece.run_id := p_run_id;
    v_piece.pass := 1;
    v_piece.leaf := p_at.leaf;
    v_piece.page := p_at.page;
    v_piece.end_page := least(p_at.page + p_at.pages, p_at.end_page);
    return v_piece;
  end if;
  select * into v_piece from maintenance_internal.piece as p
  where p.run_id = p_run_id and (p.pass = 1 or p_at.collected)
  order by p.pass, p.place
  limit 1;
  if v_piece.pass = 1 then
    v_piece.tids := v_piece.tids[p_at.at + 1 : p_at.at + p_rows];
  end if;
  return v_piece;
end
$$;

-- Whether a table is still one of those that hold the target's rows. True of no table at all.
create function maintenance_internal.is_leaf(p_leaf oid, p_target oid)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
return p_leaf is null
  or case when p_leaf = p_target then exists (select from pg_class as c where c.oid = p_leaf)
    else p_leaf = any(maintenance_internal.leaf_tables(p_target)) end;
