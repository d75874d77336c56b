-- For whoever decides about a quarantined answer: what its approval would do, in operations and
-- counts. It is tried when the answer comes, and taken back; no text of it is kept.

create function maintenance_internal.foresee_answer(p_task maintenance.task)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_applied record;
  v_foreseen jsonb;
begin
  select * into v_applied from maintenance_internal.apply_answer(p_task, p_approved => true);
  v_foreseen := jsonb_build_object(
    'operations', (
      select jsonb_object_agg(o.op, o.outcomes) from (
        select coalesce(n.op, '?') as op, jsonb_object_agg(n.outcome, n.count) as outcomes
        from (
          select c.op, c.outcome, count(*) as count
          from maintenance.change as c
          where c.task_id = p_task.task_id and c.undoes is null
          group by c.op, c.outcome
        ) as n
        group by n.op
      ) as o),
    'rows', (
      select jsonb_object_agg(r.table_name, r.count) from (
        select w.row ->> 'table' as table_name, count(*) as count
        from maintenance.change as c
        cross join lateral jsonb_array_elements(c.rows) as w (row)
        where c.task_id = p_task.task_id and c.undoes is null
        group by 1
      ) as r),
    'error', v_applied.error,
    'since', maintenance_internal.moment());
  raise exception 'undone on purpose' using errcode = 'PM099';
exception when sqlstate 'PM099' then
  return v_foreseen;
end
$$;

create view maintenance.pending_answer as
select
  t.task_id,
  t.kind,
  t.subject,
  (t.foreseen ->> 'since')::timestamptz as since,
  t.last_error as reason,
  t.foreseen -> 'operations' as operations,
  t.foreseen -> 'rows' as rows,
  t.foreseen ->> 'error' as error
from maintenance.task as t
where t.state = 'quarantined';

comment on view maintenance.pending_answer is
  'Answers that went too far to be applied unasked, and what approve_task would do with each, as '
  'things were when it came. No text of an answer or a row.';
comment on column maintenance.pending_answer.task_id is 'for approve_task and reject_task';
comment on column maintenance.pending_answer.kind is 'the kind of task';
comment on column maintenance.pending_answer.subject is 'whom or what it is about';
comment on column maintenance.pending_answer.since is 'when the answer came';
comment on column maintenance.pending_answer.reason is 'why it waits';
comment on column maintenance.pending_answer.operations is
  'how many operations would be applied and refused: {"merge": {"applied": 3, "refused": 1}}';
comment on column maintenance.pending_answer.rows is
  'how many rows would be added or changed, by table';
comment on column maintenance.pending_answer.error is
  'why it could not be applied, approved or not; null where it could';
