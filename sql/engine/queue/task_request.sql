-- Turns a leased task into the request for a model, or closes it where there is nothing to ask,
-- or gives it back where no model can be asked now.
--
-- An answer that was cut is never asked for by the same request: max_output_tokens doubles once,
-- and then prepare is told to show a half, a quarter and so on (options.share); so it is at once
-- for a request that was too large. What the last answer handed on is in options.carry.

-- Whether a row was written by this transaction, or a part of it: pg_xact_status wants the number
-- in full, and xmin has its lower half: the number nearest to our own is meant.
create function maintenance_internal.is_own_change(p_xmin xid)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
return (
  select pg_xact_status((n.mine
    + (p_xmin::text::bigint - n.mine % 4294967296 + 6442450944) % 4294967296
    - 2147483648)::text::xid8)
    = 'in progress'
  from (select pg_current_xact_id()::text::bigint as mine) as n);

create function maintenance.task_request(task_id bigint, lease_token uuid)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_task maintenance.task :=
    maintenance_internal.lock_leased(task_request.task_id, task_request.lease_token);
  v_kind maintenance.kind := maintenance_internal.find_kind(v_task.kind);
  v_tokens constant integer := least(maintenance_internal.most_tokens(),
    v_kind.max_output_tokens * case when v_task.more_room then 2 else 1 end);
  v_share constant numeric :=
    case when v_task.halvings > 0 then trim_scale(0.5 ^ least(v_task.halvings, 20)) end;
  v_model maintenance.model;
  v_call maintenance.model_call;
  v_content text;
  v_context jsonb;
  v_input_hash text;
  v_skip_reason text;
  v_error text;
  v_error_context text;
begin
  perform maintenance_internal.check_session();
  if maintenance_internal.is_stopped() then
    perform maintenance.release_task(task_request.task_id, task_request.lease_token);
    return null;
  end if;
  -- Lost in a crash, the lease is lost with it, or its answer is given back.
  perform set_config('synchronous_commit', 'off', true);
  -- The models' rows are locked at the end: nobody else's login sits on them.
  if not maintenance_internal.is_trusted(
    (select r.oid from pg_roles as r where r.rolname = session_user)) then
    perform set_config('idle_in_transaction_session_timeout', '5s', true);
  end if;
  -- What is rolled back leaves no trace: a login that is not the owner's shows its claim first.
  if exists (select from maintenance.task as t
      where t.task_id = v_task.task_id and maintenance_internal.is_own_change(t.xmin))
    and not maintenance_internal.is_trusted(
      (select r.oid from pg_roles as r where r.rolname = session_user)) then
    raise exception 'task % was claimed in this very transaction', v_task.task_id
      using errcode = 'PM014', hint = 'Commit the claim; then ask.';
  end if;
  if maintenance_internal.is_to_be_erased(v_task) then
    v_task.carry := null;
    perform maintenance_internal.settle_task(v_task, 'skipped', 'its subject is to be erased');
    return null;
  end if;
  begin
    select p.* into v_content, v_context, v_input_hash, v_skip_reason
    from maintenance_internal.call_prepare(v_kind.prepare, v_task.subject,
      maintenance_internal.kind_options(v_task, 'share', to_jsonb(v_share))) as p;
  exception when others or assert_failure then
    get stacked diagnostics v_error_context = pg_exception_context;
    v_error := 'prepare: ' || maintenance_internal.error_text(sqlstate, sqlerrm, v_error_context);
  end;
  if v_error is not null then
    -- The kind's fault, unless others of it were asked about and answered meanwhile.
    perform maintenance_internal.settle_task(v_task, 'transient', v_error,
      p_is_own_fault =>
        maintenance_internal.answered_since(v_task.failed_at, p_kind => v_task.kind));
    return null;
  end if;

  if v_content is null or v_skip_reason is not null then
    perform maintenance_internal.settle_task(v_task, 'skipped',
      coalesce(v_skip_reason, 'prepare found nothing to ask'));
    return null;
  end if;
  if not v_task.force and v_input_hash = (
    select s.input_hash from maintenance_internal.subject as s
    where s.kind = v_task.kind and s.subject = v_task.subject)
  then
    perform maintenance_internal.settle_task(v_task, 'skipped',
      'nothing has changed since the last answer');
    return null;
  end if;

  -- Without a context this lease has not asked: it was the one before that asked in vain.
  if v_task.context is null and v_tokens <= v_task.asked_tokens
    and md5(v_content) = v_task.asked_hash
  then
    v_error := format('%s, and prepare shows no less for options.share %s',
      case v_task.last_class when 'too_large' then 'it is too large'
        else format('the answer does not fit into %s tokens', v_tokens) end,
      coalesce(v_share, 1));
    v_call.task_id := v_task.task_id;
    v_call.kind := v_task.kind;
    v_call.model := v_task.model;
    v_call.is_probe := false;
    if v_task.last_class <> 'too_large' or maintenance_internal.cool_model(v_call, 'too_large',
      null, null, null)
    then
      perform maintenance_internal.settle_task(v_task, 'rejected', v_error);
    else
      -- Another model may take it as it is.
      perform maintenance_internal.settle_task(v_task, 'too_large', v_error,
        p_is_own_fault => false);
    end if;
    return null;
  end if;

  v_call := maintenance_internal.reserve_call(v_task,
    length(v_content) + length(v_kind.instruction));
  select * into v_model from maintenance.model as m where m.model = v_call.model;
  if not found then -- none can be asked, or it was taken away between two requests
    perform maintenance_internal.settle_task(v_task, 'released');
    return null;
  end if;
  update maintenance.task as t
  set model = v_call.model,
    asked_tokens = v_tokens,
    asked_hash = md5(v_content),
    context = coalesce(v_context, '{}'),
    input_hash = v_input_hash,
    asks = t.asks + 1
  where t.task_id = v_task.task_id;
  return jsonb_build_object(
    'model', v_model.model,
    'system', v_kind.instruction,
    'content', v_content,
    'response_schema', v_kind.response_schema,
    'max_output_tokens', v_tokens,
    'generation', v_model.generation,
    'request', v_model.request,
    'timeout_ms', extract(epoch from v_model.timeout)::bigint * 1000,
    'wait_ms', greatest(0, ceil(1000 * extract(epoch
      from v_call.asks_at - maintenance_internal.moment()))));
end
$$;

comment on function maintenance.task_request(bigint, uuid) is
  'The request of a leased task: {model, system, content, response_schema, max_output_tokens, '
  'generation, request, timeout_ms, wait_ms}: wait so long, then ask. Its place within the '
  'limits of the model is reserved. Null where it was closed (nothing to ask, nothing changed, '
  'its subject deleted, prepare failed, which costs an attempt where it does not fail for '
  'others, an answer that cannot fit), or given back, since no model can be asked now. Call it '
  'in a transaction of its own; its commit does not wait for the disk. Errors: PM014 not leased '
  'under this token, or claimed in the same transaction.';
