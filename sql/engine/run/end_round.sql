-- The end of a round: everything that was listed has been offered. Where rows may have been stepped
-- over, and this round has changed something, all is listed anew. Rows that failed alone are
-- offered together once more where others have gone since: their children may be gone, or be among
-- them. Else they are refused: counted, with the keys of the first hundred for the owner.
--   more    whether something is left to do

create function maintenance_internal.end_round(
  p_job maintenance_internal.job,
  inout p_run maintenance_internal.run,
  inout p_at maintenance_internal.progress,
  out more boolean)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_most_keys constant integer := 100;
  v_lists_anew boolean := p_at.missed is true and p_run.rows_affected > p_at.round_from;
  v_offers_again boolean := p_run.rows_affected > p_at.aside_since;
  v_keys jsonb := '[]';
  v_leaf record;
begin
  more := v_lists_anew or p_at.aside_since is not null;
  for v_leaf in
    with aside as (
      delete from maintenance_internal.piece as p
      where p.run_id = p_run.run_id
      returning p.leaf, p.tids
    )
    select a.leaf, array_agg(t order by t) as tids
    from aside as a, unnest(a.tids) as t
    where not v_lists_anew and maintenance_internal.is_leaf(a.leaf, p_at.target)
    group by a.leaf
  loop
    if v_offers_again then
      p_at := maintenance_internal.add_lists(p_run.run_id, 3, v_leaf.leaf, v_leaf.tids,
        p_job.batch_size, p_at);
    else
      p_run.rows_refused := p_run.rows_refused + cardinality(v_leaf.tids);
      v_keys := v_keys || maintenance_internal.row_keys(v_leaf.leaf,
        v_leaf.tids[1 : v_most_keys - jsonb_array_length(v_keys)]);
      p_run.error_detail := p_run.error_detail || jsonb_build_object('rows', v_keys);
    end if;
  end loop;
  if v_lists_anew or v_offers_again then
    p_run.error := null;
    p_run.sqlstate := null;
    p_run.error_detail := null;
  end if;
  if v_lists_anew then
    p_at.round_from := p_run.rows_affected;
    p_at.expected := p_run.rows_affected;
    p_at.collected := null;
    p_at.missed := null;
  end if;
  p_at.aside_since := null;
end
$$;
