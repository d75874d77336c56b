-- Whether others were answered since a time: what tells a task's own fault from that of the model
-- or of the kind. By one model, of one kind, or whoever. Null since when: no.

create function maintenance_internal.answered_since(
  p_at timestamptz,
  p_model text default null,
  p_kind text default null)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return p_at is not null and exists (
    select from maintenance.model_day as d
    where d.day >= (p_at at time zone 'America/Los_Angeles')::date and d.answered_at > p_at
      and d.model = coalesce(p_model, d.model) and d.kind = coalesce(p_kind, d.kind));
end
$$;
