-- What is about one subject of a kind happens one after the other: answers, approvals and undos
-- take its row first. In which order they then take the application's rows, and its unique keys,
-- is the kind's own affair.

create function maintenance_internal.lock_subject(p_kind text, p_subject text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into maintenance_internal.subject (kind, subject, looked_at)
  values (p_kind, p_subject, '-infinity')
  on conflict on constraint subject_pkey do nothing;
  perform from maintenance_internal.subject as s
  where s.kind = p_kind and s.subject = p_subject
  for update;
end
$$;
