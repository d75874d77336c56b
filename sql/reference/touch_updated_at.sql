-- Keeps updated_at true, whoever writes the row: two edits of one transaction differ too.

create function public.touch_updated_at()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  new.updated_at := clock_timestamp();
  return new;
end
$$;

comment on function public.touch_updated_at() is 'Trigger: sets updated_at on every update.';
