-- Rows that failed alone, when all else is through. Where others have gone since, they are offered
-- together once more: their children may be gone, or be among them. Where none has, they are
-- refused: counted, with the keys of the first hundred for the owner.

create function maintenance_internal.offer_again_or_refuse(
  p_job maintenance_internal.job,
  p_piece maintenance_internal.piece,
  inout p_run maintenance_internal.run,
  inout p_at maintenance_internal.progress)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_most_keys constant integer := 100;
  v_keys jsonb := coalesce(p_run.error_detail -> 'rows', '[]');
  v_leaf record;
begin
  if p_run.rows_affected > p_at.aside_since then
    for v_leaf in
      with gone as (
        delete from maintenance_internal.piece as p
        where p.run_id = p_run.run_id and p.pass = 4
        returning p.leaf, p.tids
      )
      select g.leaf, array_agg(t order by t) as tids
      from gone as g, unnest(g.tids) as t
      group by g.leaf
    loop
      p_at := maintenance_internal.add_lists(p_run.run_id, 3, v_leaf.leaf, v_leaf.tids,
        p_job.batch_size, p_at);
    end loop;
    p_at.aside_since := null;
    p_run.error := null;
    p_run.sqlstate := null;
    p_run.error_detail := null;
    return;
  end if;
  p_run.rows_refused := p_run.rows_refused + cardinality(p_piece.tids);
  p_run.error_detail := p_run.error_detail || jsonb_build_object('rows', v_keys
    || maintenance_internal.row_keys(p_piece.leaf,
      p_piece.tids[1 : v_most_keys - jsonb_array_length(v_keys)]));
  delete from maintenance_internal.piece as p
  where p.run_id = p_piece.run_id and p.pass = 4 and p.place = p_piece.place;
end
$$;

-- Begins once more with the first leaf, where rows may have been stepped over and this round has
-- changed something. What it refused is offered again with the rest.
create function maintenance_internal.begin_again(
  inout p_run maintenance_internal.run,
  inout p_at maintenance_internal.progress)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  p_at.round_from := p_run.rows_affected;
  p_at.expected := p_run.rows_affected;
  p_at.collected := null;
  p_at.missed := null;
  p_at.aside_since := null;
  p_run.rows_refused := 0;
  p_run.error := null;
  p_run.sqlstate := null;
  p_run.error_detail := null;
end
$$;
