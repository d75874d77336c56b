-- What a run offers next, where nothing is listed: step by step the next leaf, the way through it,
-- and where that is lists, the next list of its due rows.

create function maintenance_internal.find_pieces(
  p_run maintenance_internal.run,
  p_job maintenance_internal.job,
  p_policy maintenance_internal.policy,
  inout p_at maintenance_internal.progress)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_list_limit constant bigint := least(500000, 10 * p_job.max_rows);
  v_leaf record;
  v_piece maintenance_internal.piece;
  v_list tid[];
begin
  if p_at.way is null or p_at.way = 'sweep' or p_at.way = 'ranges' and p_at.from_age is null then
    -- Rows that were moved meanwhile may have been stepped over: the table was written anew, or a
    -- delete sets the keys of other rows to null.
    p_at.missed := p_at.missed is true or pg_relation_filenode(p_at.leaf) <> p_at.filenode
      or exists (
        select from pg_constraint as k
        where k.conrelid = k.confrelid and k.confrelid in (p_at.leaf, p_at.target)
          and k.confdeltype in ('n', 'd'));
    select min(l) into p_at.leaf -- the next one by its oid
    from unnest(maintenance_internal.leaf_tables(p_at.target)) as l
    where l > coalesce(p_at.leaf, 0);
    p_at.filenode := pg_relation_filenode(p_at.leaf);
    p_at.collected := p_at.leaf is null;
    p_at.way := case when p_at.leaf is not null then 'new' end;
    return;
  elsif p_at.way = 'ranges' then
    p_at.way := 'lists'; -- too many rows are of one age
    p_at.from_age := null;
  elsif p_at.way = 'new' then
    perform maintenance_internal.check_keys(array[p_at.leaf]);
    select * into v_leaf
    from maintenance_internal.choose_way(
      p_policy, p_job, p_at.leaf, p_run.cutoff, p_at.path);
    p_at.way := v_leaf.way;
    p_at.listed_to := null;
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

  v_piece.leaf := p_at.leaf;
  v_list := maintenance_internal.list_rows(p_policy, p_run, v_piece,
    case when p_at.listed_to is null then 'all' else 'behind' end, v_list_limit, p_at.listed_to);
  p_at.listed_to := case when cardinality(v_list) = v_list_limit then v_list[v_list_limit] end;
  p_at.way := case when p_at.listed_to is not null then 'lists' end;
  p_at.expected := p_at.expected + cardinality(v_list);
  if p_at.leaf = p_at.behind_leaf then
    -- Beginning behind the place where the run before was cut.
    v_list := array(select t from unnest(v_list) as t where t > p_at.behind)
      || array(select t from unnest(v_list) as t where t <= p_at.behind);
  end if;
  p_at := maintenance_internal.add_lists(p_run.run_id, 1, p_at.leaf, v_list, p_job.batch_size,
    p_at);
end
$$;

-- The addresses of a leaf's due rows, in heap order: all, those behind one, or those of a piece.
create function maintenance_internal.list_rows(
  p_policy maintenance_internal.policy,
  p_run maintenance_internal.run,
  p_piece maintenance_internal.piece,
  p_form text,
  p_limit bigint default null,
  p_from tid default null)
returns tid[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_statement text := maintenance_internal.list_statement(p_policy, p_piece.leaf, p_form);
  v_list tid[];
begin
  perform set_config('search_path', (p_run.progress).path, true);
  execute v_statement into v_list
  using p_run.cutoff, p_limit, coalesce(p_from, format('(%s,0)', p_piece.page)::tid),
    format('(%s,0)', p_piece.end_page)::tid, p_piece.from_age, p_piece.to_age;
  return v_list;
end
$$;

-- Leaves a table alone from now on: a partition that was dropped or detached, or that the run may
-- not work on.
create function maintenance_internal.leave_leaf(
  p_run_id bigint,
  p_leaf oid,
  inout p_at maintenance_internal.progress)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from maintenance_internal.piece as p where p.run_id = p_run_id and p.leaf = p_leaf;
  p_at.at := 0;
  p_at.timeouts := 0;
  if p_at.leaf = p_leaf then
    p_at.way := null;
    p_at.page := null;
    p_at.from_age := null;
  end if;
end
$$;

-- Adds rows to what a run is still to offer, in lists of a size. Those of the first pass come in
-- their order; of what failed, the last list that was added comes first, and so the rows that lie
-- further back: their parents often lie before them; but what lies before the place where the run
-- before was cut comes before the rest (pass 2, then 3), so that each run goes on behind it.
create function maintenance_internal.add_lists(
  p_run_id bigint,
  p_pass integer,
  p_leaf oid,
  p_tids tid[],
  p_size integer,
  inout p_at maintenance_internal.progress,
  p_failed_at bigint default null)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_pass = 2 and p_leaf = p_at.behind_leaf and p_tids[1] < p_at.behind then
    p_at := maintenance_internal.add_lists(p_run_id, 3, p_leaf,
      array(select t from unnest(p_tids) as t where t >= p_at.behind), p_size, p_at, p_failed_at);
    p_tids := array(select t from unnest(p_tids) as t where t < p_at.behind);
  elsif p_pass = 2 and (p_leaf, p_tids[1]) >= (p_at.behind_leaf, p_at.behind) then
    p_pass := 3;
  end if;
  insert into maintenance_internal.piece (run_id, pass, place, leaf, tids, failed_at)
  select p_run_id, p_pass,
    (p_at.pieces + row_number() over (order by i)) * case p_pass when 1 then 1 else -1 end,
    p_leaf, p_tids[i : i + p_size - 1], p_failed_at
  from generate_series(1, cardinality(p_tids), p_size) as i;
  p_at.pieces := p_at.pieces + ceil(cardinality(p_tids)::numeric / p_size);
end
$$;
