-- What is in the way of all jobs at once: a pause, or an emergency stop.

create table maintenance_internal.control (
  only_row boolean not null default true,
  paused_at timestamptz,
  paused_by text,
  paused_for text,
  stopped_at timestamptz,
  promised_at timestamptz not null default '-infinity',
  constraint control_pkey primary key (only_row),
  constraint control_is_one_row check (only_row)
) with (fillfactor = 10);

comment on table maintenance_internal.control is
  'One row: whether anything may start, since when not, by whom and why. stopped_at: the last '
  'emergency stop, which has ended what had begun until then; of this pause it is one that came '
  'with it or after it, and then answers of models are refused, too. promised_at: no slot of any '
  'job before it was ever owed, since all were paused, or the database was somewhere else.';

create function maintenance_internal.put_control()
returns void
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  insert into maintenance_internal.control (only_row) values (true) on conflict do nothing;
end;
select maintenance_internal.put_control();

create function maintenance_internal.is_paused()
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
return exists (select from maintenance_internal.control as c where c.paused_at is not null);

create function maintenance_internal.is_stopped()
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
return exists (
  select from maintenance_internal.control as c where c.stopped_at >= c.paused_at);

-- Why nothing starts, in words; null where it does.
create function maintenance_internal.pause_text()
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return (
  select format('%s since %s by %s: %s', case when c.stopped_at >= c.paused_at then 'stopped'
      else 'paused' end,
    to_char(c.paused_at, 'YYYY-MM-DD HH24:MI'), c.paused_by, c.paused_for)
  from maintenance_internal.control as c
  where c.paused_at is not null
);
