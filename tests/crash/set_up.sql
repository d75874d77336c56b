-- A table of 1,000 due rows whose purge falls asleep in its fourth batch of 100, and a ledger of what
-- was taken, so that a row taken twice would show.
set client_min_messages = error;
create table public.events (id integer primary key, at timestamptz);
create table public.taken (id integer, taken integer default 1);
create table public.awake (awake boolean);
create function public.fill() returns void language sql
begin atomic
  delete from public.taken;
  delete from public.awake;
  insert into public.events select i, now() - interval '1 year' from generate_series(1, 1000) as i;
end;
create function public.wake() returns void language sql
begin atomic
  insert into public.awake values (true);
end;
create function public.take() returns trigger language plpgsql
as $$
begin
  if old.id = 350 and not exists (select from public.awake) then
    perform pg_sleep(60);
  end if;
  insert into public.taken (id) values (old.id);
  return old;
end
$$;
create trigger take before delete on public.events for each row execute function public.take();
select maintenance.set_policy('purge', 'public.events', 'delete', 'at', '1 day');
select maintenance.configure_job('purge', batch_size => 100);
