-- What one session at a time does, and not more often than it is worth. Taking a turn is a row lock
-- until the transaction ends: an advisory lock could be held by anybody who can connect.

create table maintenance_internal.turn (
  name text not null,
  taken_at timestamptz not null,
  noted bigint,
  noted_in text,
  constraint turn_pkey primary key (name)
) with (fillfactor = 50);

comment on table maintenance_internal.turn is
  'statements: writing the receipts of what pg_cron ran. missed: looking for slots that left no '
  'trace. upkeep: giving the next statement of a plan.';
comment on column maintenance_internal.turn.noted is
  'statements: up to which number of pg_cron''s history receipts are written; missed: a hash of '
  'how schedules were read; upkeep: the run whose plan is not over';
comment on column maintenance_internal.turn.noted_in is
  'where that was (home of cron_state): another history counts anew, and a restored database owes '
  'nothing';

create function maintenance_internal.put_turns()
returns void
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  insert into maintenance_internal.turn (name, taken_at)
  values ('statements', '-infinity'), ('missed', '-infinity'), ('upkeep', '-infinity')
  on conflict do nothing;
end;
select maintenance_internal.put_turns();

-- Whether it is this session's turn; never waits.
create function maintenance_internal.take_turn(p_name text, p_every interval default '0')
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform from maintenance_internal.turn as t
  where t.name = p_name and t.taken_at <= clock_timestamp() - p_every
  for update skip locked;
  if found then
    update maintenance_internal.turn as t set taken_at = clock_timestamp() where t.name = p_name;
    return true;
  end if;
  return false;
end
$$;
