-- When prepare last looked at each subject of a kind. For its subjects function, which so names
-- only those of whom something has changed since: with a row for each of the others, every day,
-- the queue would keep more of the idle than of the busy. None under trigger_jobs(force => true).

create function maintenance.last_looks(kind text)
returns table (subject text, looked_at timestamptz)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  -- Ten minutes before: what was changed then may have been committed after the look.
  select s.subject, s.looked_at - interval '10 minutes'
  from maintenance_internal.subject as s
  where s.kind = last_looks.kind
    and current_setting('maintenance.force', true) is distinct from 'true';
end;

comment on function maintenance.last_looks(text) is
  'For subjects functions: when prepare last looked at each subject of a kind, so that only those '
  'are named of whom something has changed since. Empty while trigger_jobs(force => true) asks. '
  'For the engine''s owner.';
