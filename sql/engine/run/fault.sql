-- What went wrong in a step, and whose fault it is.

create type maintenance_internal.fault as (
  sqlstate text,
  message text,
  detail text,
  context text,
  on_constraint text,
  on_table text
);

comment on type maintenance_internal.fault is 'an error as get stacked diagnostics tells it';

-- What follows from a fault: again (a deadlock, a table that is locked: a few times), row (a row
-- may be at fault, so the others go without it), or the reason why the run stops: a resource, the
-- server, a statement of ours that Postgres refuses, or whatever there is no row for.
create function maintenance_internal.judge_fault(
  p_fault maintenance_internal.fault,
  p_at maintenance_internal.progress,
  p_has_rows boolean)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return case
  when p_has_rows and (p_fault.sqlstate = 'PM005'
    or (p_fault.sqlstate = '57014' or p_fault.sqlstate !~ '^(08|25|40|53|57|58)')
      and p_fault.context ~ '^PL/\S+ function [^\n]* at RAISE(\n|$)'
      and p_fault.context !~ '^PL/\S+ function maintenance(_internal)?\.') then 'row'
  when p_fault.sqlstate = '57014' then 'cancelled'
  when p_fault.sqlstate = 'PM022' then 'rule_changed'
  when p_fault.sqlstate ~ '^40' and p_at.commits and p_at.conflicts <= 5 then 'again'
  when p_fault.sqlstate = '55P03' and p_has_rows and p_at.timeouts < 1000 then 'row'
  when p_fault.sqlstate = '55P03' and p_at.timeouts < 20 then 'again'
  when p_fault.sqlstate = '55P03' then 'lock_timeout'
  when not p_has_rows or p_fault.sqlstate ~ '^(PM|08|25|40|53|57|58)' then 'error'
  when p_fault.sqlstate ~ '^(3F|42)' and p_fault.context
    ~ '^(PL/pgSQL function maintenance_internal\.|SQL statement "(delete from only|with changed))'
    then 'error'
  else 'row'
end;

-- Counts the faults in a row that are tried again.
create function maintenance_internal.count_fault(
  p_fault maintenance_internal.fault,
  inout p_at maintenance_internal.progress)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  p_at.timeouts := p_at.timeouts + (p_fault.sqlstate = '55P03')::integer;
  p_at.conflicts := p_at.conflicts + (p_fault.sqlstate like '40%')::integer;
  p_at.locked := p_at.locked is true or p_fault.sqlstate = '55P03';
end
$$;

-- Notes a fault on the receipt: the first one, or the one that stops the run.
create function maintenance_internal.note_fault(
  p_fault maintenance_internal.fault,
  p_verdict text,
  inout p_run maintenance_internal.run)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  p_run.stop_reason := nullif(p_verdict, 'row');
  if p_run.error is null or p_verdict <> 'row' then
    p_run.sqlstate := p_fault.sqlstate;
    p_run.error := maintenance_internal.error_text(p_fault.sqlstate, p_fault.message,
      p_fault.context, p_fault.on_constraint, p_fault.on_table);
    p_run.error_detail := jsonb_build_object('message', p_fault.message,
      'detail', p_fault.detail, 'context', p_fault.context);
  end if;
end
$$;
