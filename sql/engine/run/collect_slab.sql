-- Collects the next rows of a policy's run: a slab of ctids of one leaf, in heap order.
-- Where the last leaf is through, it looks once more at what is due: that proves the effect, and
-- cleans the index entries of what is gone, so that the next look at the status is quick.

create function maintenance.collect_slab(
  inout progress maintenance.progress,
  inout slab tid[])
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
set timezone = 'UTC'
set lock_timeout = '2s'
as $$
declare
  v_slab_limit constant integer := 500000;
  v_run maintenance.run := maintenance.find_running(progress.run_id);
  v_policy maintenance.policy;
  v_leaves oid[];
  v_leaf regclass;
  v_alias text;
  v_left bigint;
  v_kept bigint;
  v_state text;
  v_message text;
  v_detail text;
  v_context text;
begin
  select * into v_policy from maintenance.policy as p where p.job_id = v_run.job_id;
  v_leaves := maintenance.leaf_tables(maintenance.find_target(v_policy.target));

  if progress.slab_size > 0 and progress.slab_changed = 0 and v_run.rows_refused = 0 then
    -- A whole slab was offered and nothing changed: offering it again might never end.
    if progress.slab_contended then
      perform maintenance.stop_run(progress.run_id, 'rows_locked', null, null);
    else
      v_leaf := v_leaves[progress.leaf_number];
      v_alias := maintenance.target_alias(maintenance.find_target(v_policy.target));
      execute format(
        'select count(*) from only %1$s as %2$s '
        'where %2$s.ctid = any(array(select unnest($2))) and %3$s',
        v_leaf, v_alias, maintenance.due_condition(v_policy))
        into v_left using v_run.cutoff, slab;
      if v_left > 0 then
        perform maintenance.stop_run(progress.run_id, 'no_effect', 'PM012', format(
          '%s due rows of %s were offered and none changed: a trigger may suppress it',
          v_left, v_policy.target));
        progress.finished := true;
        return;
      end if;
    end if;
  end if;

  if progress.slab_size < v_slab_limit or progress.slab_changed = 0 then
    progress.leaf_number := progress.leaf_number + 1;
  end if;
  slab := null;
  while progress.leaf_number <= cardinality(v_leaves) and slab is null loop
    execute maintenance.collect_statement(v_policy, v_leaves[progress.leaf_number])
      into slab using v_run.cutoff, v_slab_limit;
    if slab is null then
      progress.leaf_number := progress.leaf_number + 1;
    end if;
  end loop;

  progress.slab_size := coalesce(cardinality(slab), 0);
  progress.slab_changed := 0;
  progress.slab_contended := false;
  progress.position := 1;
  progress.bad_end := null;

  if slab is null then
    progress.finished := true;
    select c.due into v_left from maintenance.count_due(v_policy, v_run.cutoff, 10000) as c;
    if v_policy.action = 'delete' then
      v_kept := maintenance.count_kept(v_policy, v_run.cutoff, 10000);
    end if;
    update maintenance.run as r
    set details = r.details || jsonb_strip_nulls(jsonb_build_object(
        'left', v_left, 'kept', v_kept, 'bytes_after', maintenance.table_bytes(v_leaves)))
    where r.run_id = progress.run_id;
  elsif v_run.batches = 0 then
    update maintenance.run as r
    set details = r.details
      || jsonb_build_object('bytes_before', maintenance.table_bytes(v_leaves))
    where r.run_id = progress.run_id and not r.details ? 'bytes_before';
  end if;
exception when query_canceled or others then
  get stacked diagnostics v_state = returned_sqlstate, v_message = message_text,
    v_detail = pg_exception_detail, v_context = pg_exception_context;
  progress.finished := true;
  perform maintenance.stop_run(progress.run_id,
    case v_state when '57014' then 'cancelled' when '55P03' then 'lock_timeout' else 'error' end,
    v_state, maintenance.error_text(v_state, v_message, v_context),
    jsonb_build_object('message', v_message, 'detail', v_detail, 'context', v_context));
end
$$;

comment on function maintenance.collect_slab(maintenance.progress, tid[]) is
  'Collects the next rows of a policy''s run: a slab of ctids of one leaf, in heap order.';
