-- Foreign keys that are switched off: a delete would then leave orphans, without a word. For the
-- session (session_replication_role), or for a table or one that a delete cascades to (disable
-- trigger all).

create function maintenance_internal.keys_off(p_leaves oid[])
returns table (finding text, fix text)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  with recursive reached as (
    select t as relid from unnest(p_leaves) as t
    union
    select k.conrelid from pg_constraint as k join reached as r on k.confrelid = r.relid
    where k.contype = 'f' and k.confdeltype <> 'a' and k.confdeltype <> 'r'
  )
  select format('foreign keys are switched off for %s: session_replication_role is replica',
      coalesce(s.whose, 'this session')),
    coalesce(s.fix, 'reset session_replication_role;')
  from (select) as once
  left join maintenance_internal.owner_setting('session_replication_role') as s on true
  where 'replica' in (s.value, current_setting('session_replication_role'))
  union all
  select format('foreign keys of %s are switched off: its triggers are disabled',
      t.tgrelid::regclass),
    format('alter table %s enable trigger all;', t.tgrelid::regclass)
  from pg_trigger as t
  join reached as r on r.relid = t.tgrelid
  where t.tgisinternal and t.tgconstraint <> 0 and t.tgenabled in ('D', 'R')
  group by t.tgrelid;
end;

-- A run that would leave orphans does not begin.
create function maintenance_internal.check_keys(p_leaves oid[])
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_off record;
begin
  select * into v_off from maintenance_internal.keys_off(p_leaves) limit 1;
  if found then
    raise exception '%', v_off.finding using errcode = 'PM021', hint = v_off.fix;
  end if;
end
$$;
