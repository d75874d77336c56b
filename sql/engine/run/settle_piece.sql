-- What becomes of a piece that was offered: it is gone; or, where it failed, put away for later,
-- split, or worked row by row. And how large the next one is, or what a step function is asked for:
-- as many rows as take some thirty milliseconds.

create function maintenance_internal.settle_piece(
  p_job maintenance_internal.job,
  p_policy maintenance_internal.policy,
  p_piece maintenance_internal.piece,
  p_fault maintenance_internal.fault,
  p_milliseconds double precision,
  inout p_run maintenance_internal.run,
  inout p_at maintenance_internal.progress,
  inout p_changed bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_least_rows constant integer := 10;
  v_short_list constant integer := 100;
  v_growth double precision := case when p_fault.sqlstate = '55P03' then 1
    else least(2, 30 / greatest(p_milliseconds, 0.1)) end;
  v_singly record;
begin
  if p_piece.page is not null then
    p_at.page := p_piece.end_page;
    p_at.pages := greatest(1, least(p_at.pages * v_growth,
      p_at.pages * (p_job.batch_size / greatest(p_changed, 1.0)),
      4.0 * p_job.batch_size / maintenance_internal.rows_per_page(p_piece.leaf)));
  else
    p_at.size := greatest(v_least_rows, least(p_at.size * v_growth, p_job.batch_size));
    p_at.from_age := nullif(p_piece.to_age, 'infinity');
    if p_piece.pass = 1 and p_piece.from_age is null then
      p_at.at := p_at.at + cardinality(p_piece.tids);
    elsif p_piece.pass > 1 then
      p_run.cut_leaf := p_piece.leaf;
      p_run.cut := p_piece.tids[1];
    end if;
    delete from maintenance_internal.piece as p
    where p.run_id = p_piece.run_id and p.pass = p_piece.pass and p.place = p_piece.place
      and (p.pass > 1 or p_at.at >= cardinality(p.tids));
    if found and p_piece.pass = 1 then
      p_at.at := 0;
    end if;
  end if;

  if p_fault.sqlstate is null or p_piece.leaf is null then
    -- Rows that were listed and are not there have been moved, or are gone.
    p_at.missed := p_at.missed is true
      or p_at.locked is not true and p_changed < cardinality(p_piece.tids);
  elsif p_piece.pass = 1 and (p_piece.tids is null or cardinality(p_piece.tids) > v_short_list
      or p_milliseconds < 5
        and maintenance_internal.moment() < p_run.started_at + p_job.budget / 2) then
    -- (A short list is worked at once where rows are slow, or time gets short.)
    if p_piece.tids is not null then
      p_at := maintenance_internal.add_lists(p_piece.run_id, 2, p_piece.leaf, p_piece.tids,
        cardinality(p_piece.tids), p_at, p_run.rows_affected);
    else
      p_at.pieces := p_at.pieces + 1;
      insert into maintenance_internal.piece
        (run_id, pass, place, leaf, page, end_page, from_age, to_age)
      values (p_piece.run_id, 2, -p_at.pieces, p_piece.leaf, p_piece.page, p_piece.end_page,
        p_piece.from_age, p_piece.to_age);
    end if;
  elsif cardinality(p_piece.tids) > v_short_list then
    p_at := maintenance_internal.split_piece(p_run, p_job, p_policy, p_piece, p_at);
  else
    select w.* into v_singly
    from maintenance_internal.work_singly(p_job, p_policy, p_piece, p_run, p_at) as w;
    p_run := v_singly.p_run;
    p_at := v_singly.p_at;
    p_changed := v_singly.changed;
    if p_piece.pass = 1 then
      p_run.cut_leaf := p_piece.leaf;
      p_run.cut := p_piece.tids[cardinality(p_piece.tids)];
    end if;
  end if;
end
$$;

-- Puts lists of its rows in the place of a piece that failed: eight parts of a list, all rows of a
-- window or a range.
create function maintenance_internal.split_piece(
  p_run maintenance_internal.run,
  p_job maintenance_internal.job,
  p_policy maintenance_internal.policy,
  p_piece maintenance_internal.piece,
  inout p_at maintenance_internal.progress)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_size bigint := ceil(cardinality(p_piece.tids) / 8.0);
begin
  if p_piece.tids is null then
    v_size := p_job.batch_size;
    p_piece.tids := maintenance_internal.list_rows(p_policy, p_run, p_piece,
      maintenance_internal.piece_form(p_piece));
  end if;
  delete from maintenance_internal.piece as p
  where p.run_id = p_piece.run_id and p.pass = p_piece.pass and p.place = p_piece.place;
  p_at := maintenance_internal.add_lists(p_piece.run_id, p_piece.pass, p_piece.leaf, p_piece.tids,
    least(v_size, p_job.max_rows - p_run.rows_affected)::integer, p_at);
end
$$;
