-- What a run offers now: the next window or range of the leaf at work, the next rows of the first
-- list, or what comes next of what failed. No leaf where nothing is listed.

create function maintenance_internal.next_piece(
  p_run maintenance_internal.run,
  p_policy maintenance_internal.policy,
  p_rows integer)
returns maintenance_internal.piece
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_at maintenance_internal.progress := p_run.progress;
  v_piece maintenance_internal.piece;
begin
  if v_at.page < v_at.end_page or v_at.from_age is not null then
    v_piece.run_id := p_run.run_id;
    v_piece.pass := 1;
    v_piece.leaf := v_at.leaf;
    v_piece.page := v_at.page;
    v_piece.end_page := least(v_at.page + v_at.pages, v_at.end_page);
    v_piece.from_age := v_at.from_age;
  end if;
  if v_piece.from_age is not null then
    -- Up to the age of the row that is one too many; null where that is of the same age.
    perform set_config('search_path', v_at.path, true);
    execute format(
      'select (%1$s)::timestamptz from only %2$s as %3$s where %4$s and %5$s '
      'order by %1$s offset $2 limit 1', p_policy.age, v_at.leaf::regclass,
      maintenance_internal.target_alias(p_policy.target::regclass),
      maintenance_internal.due_condition(p_policy),
      maintenance_internal.piece_rows(p_policy, 'range'))
    into v_piece.to_age
    using p_run.cutoff, p_rows, null::tid, null::tid, v_piece.from_age, timestamptz 'infinity';
    v_piece.to_age := coalesce(v_piece.to_age, 'infinity');
    if v_piece.to_age = v_piece.from_age then
      return null;
    end if;
  elsif v_piece.leaf is null then
    select * into v_piece from maintenance_internal.piece as p
    where p.run_id = p_run.run_id and (p.pass = 1 or p.pass < 4 and v_at.collected)
    order by p.pass, p.place
    limit 1;
    if v_piece.pass = 1 then
      v_piece.tids := v_piece.tids[v_at.at + 1 : v_at.at + p_rows];
    end if;
  end if;
  return v_piece;
end
$$;

-- How a piece names its rows: see piece_rows.
create function maintenance_internal.piece_form(p_piece maintenance_internal.piece)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return case when p_piece.tids is not null then 'list' when p_piece.page is not null then 'window'
  else 'range' end;

-- Whether a table is still one of those that hold the target's rows. True of no table at all.
create function maintenance_internal.is_leaf(p_leaf oid, p_target oid)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  with recursive ancestor as (
    select c.oid from pg_class as c where c.oid = p_leaf
    union
    select i.inhparent from pg_inherits as i join ancestor as a on i.inhrelid = a.oid
  )
  select p_leaf is null or exists (select from ancestor as a where a.oid = p_target);
end;
