-- What a run offers next, where nothing is listed: lists of due rows of the leaf at work, behind
-- the last one; or the sweep of the next leaf, where that costs less than finding its rows one by
-- one.

create function maintenance_internal.find_pieces(
  p_run maintenance_internal.run,
  p_job maintenance_internal.job,
  p_policy maintenance_internal.policy,
  inout p_at maintenance_internal.progress)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_list_limit constant integer := 500000;
  v_leaf record;
  v_list tid[];
  v_rows integer;
begin
  loop
    -- Ranges that cannot go on, since too many rows are of one age, go on as lists.
    if p_at.listed_to is null and p_at.from_age is null then
      select min(l) into p_at.leaf -- the next one by its oid
      from unnest(maintenance_internal.leaf_tables(p_at.target)) as l
      where l > coalesce(p_at.leaf, 0);
      if p_at.leaf is null then
        p_at.collected := true;
        return;
      end if;
      p_at.page := null;
      select * into v_leaf
      from maintenance_internal.choose_way(p_policy, p_job, p_at.leaf, p_run.cutoff);
      if v_leaf.way = 'ranges' then
        p_at.from_age := '-infinity';
      elsif v_leaf.way = 'sweep' then
        p_at.page := 0;
        p_at.end_page := v_leaf.pages;
        -- A fiftieth of a batch even if every row in it is due, whatever the estimate says; later
        -- windows grow with what the earlier ones held, and how long they took.
        p_at.pages := greatest(1,
          p_job.batch_size / maintenance_internal.rows_per_page(p_at.leaf) / 50);
      end if;
      if v_leaf.way <> 'lists' then
        p_at.expected := p_at.expected + v_leaf.due;
        return;
      end if;
    end if;
    p_at.from_age := null;

    execute maintenance_internal.list_statement(p_policy, p_at.leaf,
      case when p_at.listed_to is null then 'all' else 'behind' end)
    into v_list using p_run.cutoff, v_list_limit, p_at.listed_to, null::tid, p_run.cutoff,
      p_run.cutoff;
    v_rows := cardinality(v_list);
    p_at.listed_to := case when v_rows = v_list_limit then v_list[v_rows] end;
    p_at.expected := p_at.expected + v_rows;
    p_at := maintenance_internal.add_lists(p_run.run_id, 1, p_at.leaf, v_list, p_job.batch_size,
      p_at);
    exit when v_rows > 0;
  end loop;
end
$$;

-- Adds rows to what a run is still to offer, in lists of a size. Those of the first pass come in
-- their order; of what failed, the last list that was added comes first, and so the rows that lie
-- further back: their parents often lie before them.
create function maintenance_internal.add_lists(
  p_run_id bigint,
  p_pass integer,
  p_leaf oid,
  p_tids tid[],
  p_size integer,
  inout p_at maintenance_internal.progress)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into maintenance_internal.piece (run_id, pass, place, leaf, tids)
  select p_run_id, p_pass,
    (p_at.pieces + row_number() over (order by i)) * case p_pass when 1 then 1 else -1 end,
    p_leaf, p_tids[i : i + p_size - 1]
  from generate_series(1, cardinality(p_tids), p_size) as i;
  p_at.pieces := p_at.pieces + ceil(cardinality(p_tids)::numeric / p_size);
end
$$;
