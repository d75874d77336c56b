-- One batch: a slice of a slab or a window of pages under its rule, or one call of a step function.
--
-- A slice that fails is halved until the row that cannot be changed stands alone; that row is
-- counted as refused, with the first error and (for the owner) its key, and the rest goes on at
-- full size again.
-- A window that fails is collected and offered again in slices. Rows that somebody else holds are
-- waited for briefly, then left out and found by the next run.

create function maintenance_internal.apply_batch(
  inout progress maintenance_internal.progress,
  p_slice tid[])
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
set timezone = 'UTC'
set jit = off
set lock_timeout = '2s'
as $$
declare
  v_most_refused constant integer := 100;
  -- Halving the largest batch, 100,000 rows, down to one row can time out 17 times. A table that is
  -- locked as a whole would go on to time out row by row.
  v_most_lock_timeouts constant integer := 20;
  v_run maintenance_internal.run := maintenance_internal.find_running(progress.run_id);
  v_job maintenance_internal.job;
  v_policy maintenance_internal.policy;
  v_leaf regclass;
  v_window_end bigint;
  v_changed bigint;
  v_again bigint;
  v_state text;
  v_message text;
  v_detail text;
  v_context text;
  v_constraint text;
  v_table text;
  v_error text;
  v_error_detail jsonb;
  v_limit text;
begin
  select * into v_job from maintenance_internal.job as j where j.job_id = v_run.job_id;
  if not found then
    perform maintenance_internal.stop_run(progress.run_id, 'error', 'PM001', 'the job was dropped');
    progress.next := 'end';
    return;
  end if;
  -- No caller makes a batch longer than it may be.
  progress.size := least(progress.size, v_job.batch_size, v_job.max_rows - v_run.rows_affected);
  p_slice := p_slice[1 : progress.size];

  begin
    if v_job.kind = 'function' then
      perform set_config('maintenance.run_id', progress.run_id::text, true);
      execute format('select %s($1)',
        maintenance_internal.find_function(v_job.step, 'integer', 'bigint')::regproc)
        into v_changed using progress.size;
      if coalesce(v_changed, 0) <= 0 then
        progress.next := 'end';
      end if;
    else
      -- A slice can go without its locked rows, so it waits less than a step function may.
      perform set_config('lock_timeout', '200ms', true);
      select * into v_policy from maintenance_internal.policy as p where p.job_id = v_job.job_id;
      v_leaf := maintenance_internal.find_leaf(v_policy.target, progress.leaf_number);
      if progress.next = 'window' then
        -- Never so many pages that they could hold eight batches of rows that are all due.
        progress.sweep_pages := least(progress.sweep_pages,
          ceil(8.0 * v_job.batch_size / maintenance_internal.rows_per_page(v_leaf)));
        v_window_end := least(progress.sweep_from + progress.sweep_pages, progress.sweep_end);
        select c.changed, c.again into v_changed, v_again
        from maintenance_internal.change_rows(v_policy, v_leaf, 'window', v_run.cutoff,
          p_from => progress.sweep_from, p_to => v_window_end) as c;
      else
        begin
          select c.changed, c.again into v_changed, v_again
          from maintenance_internal.change_rows(
            v_policy, v_leaf, 'slice', v_run.cutoff, p_slice) as c;
        exception when lock_not_available then
          progress.contended := true;
          select c.changed, c.again into v_changed, v_again
          from maintenance_internal.change_rows(
            v_policy, v_leaf, 'unlocked', v_run.cutoff, p_slice) as c;
        end;
      end if;
      if v_again > 0 then
        raise exception '% of % rows would be due again after the update', v_again, v_changed
          using errcode = 'PM005', hint = 'Let matching exclude what assign sets.';
      end if;
    end if;
  exception when query_canceled or others then
    get stacked diagnostics v_state = returned_sqlstate, v_message = message_text,
      v_detail = pg_exception_detail, v_context = pg_exception_context,
      v_constraint = constraint_name, v_table = table_name;
    v_error := maintenance_internal.error_text(
      v_state, v_message, v_context, v_constraint, v_table);
    v_error_detail :=
      jsonb_build_object('message', v_message, 'detail', v_detail, 'context', v_context);
  end;

  if v_state is null then
    update maintenance_internal.run as r
    set rows_affected = r.rows_affected + greatest(v_changed, 0),
      batches = r.batches + 1
    where r.run_id = progress.run_id
    returning case
      when r.rows_affected >= v_job.max_rows then 'max_rows'
      when r.batches >= v_job.max_batches then 'max_batches' end into v_limit;
    progress.lock_timeouts := 0;
    if progress.next = 'window' then
      progress.leaf_changed := progress.leaf_changed + v_changed;
      progress.sweep_from := v_window_end;
      -- As many pages as held a batch's rows just now, and at most twice as many.
      progress.sweep_pages := greatest(1, least(2 * progress.sweep_pages,
        round(progress.sweep_pages::numeric * v_job.batch_size / greatest(v_changed, 1))));
      if progress.sweep_from >= progress.sweep_end then
        progress.next := 'collect';
      end if;
    elsif progress.next = 'slice' then
      progress.leaf_changed := progress.leaf_changed + v_changed;
      progress.slab_changed := progress.slab_changed + v_changed;
      progress.position := progress.position + cardinality(p_slice);
      if progress.position >= progress.bad_end then
        progress.bad_end := null;
      end if;
      progress.size := case
        when progress.bad_end is null then least(progress.size * 2, v_job.batch_size)
        else greatest((progress.bad_end - progress.position) / 2, 1)
      end;
    end if;

  elsif v_state = '57014' then
    perform maintenance_internal.stop_run(
      progress.run_id, 'cancelled', v_state, v_error, v_error_detail);
    progress.next := 'end';

  elsif v_job.kind = 'function' or v_state like 'PM%' then
    perform maintenance_internal.stop_run(
      progress.run_id, 'error', v_state, v_error, v_error_detail);
    progress.next := 'end';

  elsif progress.next = 'window' then
    progress.sweep_pages := v_window_end - progress.sweep_from;
    progress.next := 'again';

  elsif v_state = '55P03' and progress.lock_timeouts + 1 >= v_most_lock_timeouts then
    perform maintenance_internal.stop_run(
      progress.run_id, 'lock_timeout', v_state, v_error, v_error_detail);
    progress.next := 'end';

  elsif cardinality(p_slice) > 1 then
    progress.lock_timeouts := progress.lock_timeouts + (v_state = '55P03')::integer;
    progress.bad_end := progress.position + cardinality(p_slice);
    progress.size := cardinality(p_slice) / 2;

  else
    progress.lock_timeouts := progress.lock_timeouts + (v_state = '55P03')::integer;
    update maintenance_internal.run as r
    set rows_refused = r.rows_refused + 1,
      error = coalesce(r.error, v_error),
      sqlstate = coalesce(r.sqlstate, v_state),
      error_detail = coalesce(r.error_detail,
        v_error_detail
          || jsonb_build_object('row', maintenance_internal.row_key(v_leaf, p_slice[1])))
    where r.run_id = progress.run_id
    returning case when r.rows_refused >= v_most_refused then 'refused_rows' end into v_limit;
    progress.position := progress.position + 1;
    progress.bad_end := null;
    progress.size := 1;
  end if;

  if progress.next = 'slice' and progress.position > progress.slab_size then
    progress.next := 'collect';
  end if;
  if v_limit is null and clock_timestamp() >= v_run.started_at + v_job.budget then
    v_limit := 'budget';
  end if;
  if v_limit is not null and progress.next <> 'end' then
    perform maintenance_internal.stop_run(progress.run_id, v_limit, null, null);
    progress.next := 'end';
  end if;
end
$$;
