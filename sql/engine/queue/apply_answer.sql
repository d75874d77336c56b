-- Lets the kind apply an answer, all of it or nothing, and writes its changes to the ledger.
--
-- apply returns what becomes the task's result, with parts that the engine takes out:
--   changes     a list of {op, outcome, reason, note, keys, rows}: rows of the ledger
--   input_hash  the hash that prepare will give when nothing but this answer changes the data
--   continue    true: the task goes on with the next request under the same subject, and
--   carry       an object, which that one's prepare and apply are given as options.carry
-- and it raises PM017 for an answer that goes too far to be applied before somebody approves it,
-- PM027 for one about what has changed since it was shown: it is asked for again.
-- It is given options.approved, true or false, whatever the caller's options say.

create function maintenance_internal.apply_answer(
  p_task maintenance.task,
  p_approved boolean,
  out outcome text,
  out error text,
  out result jsonb,
  out input_hash text,
  out carry jsonb)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_kind maintenance.kind := maintenance_internal.find_kind(p_task.kind);
  v_changes jsonb;
  v_context text;
  v_constraint text;
  v_table text;
begin
  outcome := 'succeeded';
  input_hash := p_task.input_hash;
  perform maintenance_internal.lock_subject(p_task.kind, p_task.subject);
  begin
    perform set_config('maintenance.applied_task', p_task.task_id::text, true);
    result := maintenance_internal.call_apply(v_kind.apply, p_task.subject, p_task.context,
      p_task.held_answer,
      maintenance_internal.kind_options(p_task, 'approved', to_jsonb(p_approved)));
    perform set_config('maintenance.applied_task', '', true);
    result := coalesce(nullif(result, 'null'), '{}');
    v_changes := coalesce(nullif(result -> 'changes', 'null'), '[]');
    select r.row ->> 'table' into v_table
    from jsonb_array_elements(v_changes) as c (change)
    cross join lateral jsonb_array_elements(coalesce(c.change -> 'rows', '[]')) as r (row)
    where maintenance_internal.changed_table(r.row ->> 'table') is null
    limit 1;
    if found then
      raise exception 'apply changes "%", which is no table of the owner''s, named with its schema',
        v_table using errcode = 'PM007';
    end if;
    if exists (
      select from jsonb_array_elements(v_changes) as c (change)
      cross join lateral jsonb_array_elements(coalesce(c.change -> 'rows', '[]')) as r (row)
      where jsonb_typeof(coalesce(r.row -> 'before', 'null')) not in ('object', 'null')
        or jsonb_typeof(r.row -> 'after') is distinct from 'object'
          and (r.row -> 'after' is distinct from 'null'
            or nullif(r.row -> 'before', 'null') is null))
    then
      raise exception 'apply names a row without what it was before and is after'
        using errcode = 'PM007';
    end if;
    insert into maintenance.change
      (task_id, kind, subject, op, outcome, reason, note, keys, rows, deletes)
    select p_task.task_id, p_task.kind, p_task.subject,
      -- A name of the kind's own, and no text of an answer.
      substring(c.change ->> 'op' from '^[a-z][a-z0-9_]{0,62}$'),
      c.change ->> 'outcome', c.change ->> 'reason',
      c.change ->> 'note', array(select jsonb_array_elements_text(c.change -> 'keys')),
      coalesce(c.change -> 'rows', '[]'), exists (
        select from jsonb_array_elements(coalesce(c.change -> 'rows', '[]')) as r (row)
        where r.row -> 'after' = 'null')
    from jsonb_array_elements(v_changes) with ordinality as c (change, nr)
    order by c.nr;
    input_hash := coalesce(result ->> 'input_hash', input_hash);
    if result -> 'continue' = 'true' then
      outcome := 'continued';
      carry := coalesce(nullif(result -> 'carry', 'null'), '{}');
      if jsonb_typeof(carry) <> 'object' or length(carry::text) > 100000 then
        raise exception 'what apply hands on is no object, or longer than 100000 characters'
          using errcode = 'PM007';
      end if;
    end if;
    result := result - array['changes', 'input_hash', 'continue', 'carry'];
  exception
    when sqlstate 'PM017' then
      outcome := 'quarantined';
      error := sqlerrm;
      result := null;
    when sqlstate 'PM027' then
      outcome := 'stale';
      error := 'apply: ' || sqlerrm;
      result := null;
      carry := null;
    when others or assert_failure then
      -- What passes by itself is not the answer's fault: the caller tries again.
      if sqlstate like '40%' or sqlstate like '53%' or sqlstate = '55P03' then
        raise;
      end if;
      outcome := 'bad_output';
      carry := null;
      get stacked diagnostics v_context = pg_exception_context,
        v_constraint = constraint_name, v_table = table_name;
      error := 'apply: '
        || maintenance_internal.error_text(sqlstate, sqlerrm, v_context, v_constraint, v_table);
      result := null;
  end;
end
$$;
