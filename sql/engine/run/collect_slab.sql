-- What a policy's run works on next: a slab of due rows of one leaf, as ctids in heap order; or, in
-- a leaf that is swept, the next window of pages; or the rows of a window that failed, so that it
-- is offered again row by row and never stepped over.
-- Where the last leaf is through, it looks once more at what is due: that proves the effect, and
-- cleans the index of what is gone, so that the next look at the status is quick.

create function maintenance_internal.collect_slab(
  inout progress maintenance_internal.progress,
  inout slab tid[])
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
set timezone = 'UTC'
set jit = off
set lock_timeout = '2s'
as $$
declare
  v_slab_limit constant integer := 500000;
  -- The last look walks over all that the run has taken out of the index: after more rows than
  -- these, where nothing makes it needed, it is left to mark_dead_entries.
  v_most_to_look_over constant bigint := 100000;
  v_run maintenance_internal.run := maintenance_internal.find_running(progress.run_id);
  v_job maintenance_internal.job;
  v_policy maintenance_internal.policy;
  v_leaves oid[];
  v_leaf_is_done boolean;
  v_left bigint;
  v_kept bigint;
  v_state text;
  v_message text;
  v_detail text;
  v_context text;
begin
  select * into v_job from maintenance_internal.job as j where j.job_id = v_run.job_id;
  select * into v_policy from maintenance_internal.policy as p where p.job_id = v_run.job_id;
  v_leaves := maintenance_internal.leaf_tables(maintenance_internal.find_target(v_policy.target));

  if progress.next = 'again' then
    execute maintenance_internal.collect_statement(v_policy, v_leaves[progress.leaf_number], true)
      into slab using v_run.cutoff, null::integer,
        format('(%s,0)', progress.sweep_from)::tid,
        format('(%s,0)', progress.sweep_from + progress.sweep_pages)::tid;
    progress.sweep_from := progress.sweep_from + progress.sweep_pages;

  else
    if progress.slab_size > 0 and progress.slab_changed = 0 and v_run.rows_refused = 0
      and not progress.contended
    then
      -- A whole slab was offered and nothing changed: offering it again might never end.
      execute format(
        'select count(*) from only %1$s as %2$s '
        'where %2$s.ctid = any(array(select unnest($2))) and %3$s',
        v_leaves[progress.leaf_number]::regclass,
        maintenance_internal.target_alias(maintenance_internal.find_target(v_policy.target)),
        maintenance_internal.due_condition(v_policy))
        into v_left using v_run.cutoff, slab;
      if v_left > 0 then
        perform maintenance_internal.stop_run(progress.run_id, 'no_effect', 'PM012', format(
          '%s due rows of %s were offered and none changed: a trigger may suppress it',
          v_left, v_policy.target));
        progress.next := 'end';
        return;
      end if;
    end if;

    if progress.sweep_from < progress.sweep_end then
      progress.slab_size := 0;
      progress.next := 'window';
      return;
    end if;
    -- A leaf that was swept for nothing is looked at once more, for the rows that did not change.
    v_leaf_is_done := progress.leaf_number = 0
      or case when progress.sweep_from is null
        then progress.slab_size < v_slab_limit or progress.slab_changed = 0
        else progress.leaf_changed > 0 or progress.contended end;
    progress.sweep_from := null;
    slab := null;
    while progress.leaf_number <= cardinality(v_leaves) and slab is null loop
      if v_leaf_is_done then
        progress.leaf_number := progress.leaf_number + 1;
        progress.leaf_changed := 0;
        exit when progress.leaf_number > cardinality(v_leaves);
        select w.pages, w.leaf_pages into progress.sweep_pages, progress.sweep_end
        from maintenance_internal.first_window(v_policy, v_job, v_leaves[progress.leaf_number],
          v_run.cutoff) as w;
        if progress.sweep_pages is not null then
          progress.sweep_from := 0;
          progress.slab_size := 0;
          progress.next := 'window';
          exit;
        end if;
      end if;
      execute maintenance_internal.collect_statement(v_policy, v_leaves[progress.leaf_number])
        into slab using v_run.cutoff, v_slab_limit;
      v_leaf_is_done := true;
    end loop;
  end if;

  if not v_run.details ? 'bytes_before' then
    update maintenance_internal.run as r
    set details = r.details
      || jsonb_build_object('bytes_before', maintenance_internal.table_bytes(v_leaves))
    where r.run_id = progress.run_id;
  end if;
  progress.slab_size := coalesce(cardinality(slab), 0);
  progress.slab_changed := 0;
  progress.position := 1;
  progress.bad_end := null;
  if slab is not null then
    progress.next := 'slice';
  elsif progress.next = 'again' then
    progress.next := 'collect'; -- nothing of the window is due any more
  elsif progress.next = 'collect' then
    progress.next := 'end';
    -- After a very large run this count is left to mark_dead_entries, unless something may be left:
    -- a row was refused or locked, or a trigger can silence a change.
    if v_run.rows_affected <= v_most_to_look_over or v_run.rows_refused > 0
      or progress.contended or maintenance_internal.has_silencing_trigger(v_policy, v_leaves)
    then
      select c.due into v_left
      from maintenance_internal.count_due(v_policy, v_run.cutoff, 10000) as c;
      if v_policy.action = 'delete' then -- what is old enough, and kept by matching
        v_policy.matching := case when v_policy.matching is null then 'false'
          else format('(%s) is not true', v_policy.matching) end;
        select c.due into v_kept
        from maintenance_internal.count_due(v_policy, v_run.cutoff, 10000) as c;
      end if;
    end if;
    if progress.contended and v_left > v_run.rows_refused then
      perform maintenance_internal.stop_run(progress.run_id, 'rows_locked', null, null);
    end if;
    update maintenance_internal.run as r
    set details = r.details || jsonb_strip_nulls(jsonb_build_object(
        'left', v_left, 'kept', v_kept, 'bytes_after', maintenance_internal.table_bytes(v_leaves)))
    where r.run_id = progress.run_id;
  end if;
exception when query_canceled or others then
  get stacked diagnostics v_state = returned_sqlstate, v_message = message_text,
    v_detail = pg_exception_detail, v_context = pg_exception_context;
  progress.next := 'end';
  perform maintenance_internal.stop_run(progress.run_id,
    case v_state when '57014' then 'cancelled' when '55P03' then 'lock_timeout' else 'error' end,
    v_state, maintenance_internal.error_text(v_state, v_message, v_context),
    jsonb_build_object('message', v_message, 'detail', v_detail, 'context', v_context));
end
$$;
