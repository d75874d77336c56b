-- How a backup comes back: beside what is live, and never over it. The copies are tables, so that
-- nothing has to be restored to be looked at. It needs nothing of the engine.

create function public.restore_backup(backup_id bigint, into_schema text)
returns table (table_name text, rows bigint, is_unchanged boolean)
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_type text;
  v_file text;
  v_tables jsonb;
  v_table jsonb;
  v_key jsonb;
  v_sums record;
  v_taken text;
begin
  select b.backup_type, b.file_location, b.tables into v_type, v_file, v_tables
  from public.backups as b
  where b.backup_id = restore_backup.backup_id and b.status = 'verified';
  if not found then
    raise exception 'there is no verified backup %', restore_backup.backup_id
      using errcode = 'PM002', hint = 'select backup_id, started_at from public.backups where '
        'status = ''verified'' order by 1;';
  end if;
  if v_type <> 'snapshot' then
    raise exception 'backup % is a %, and is restored from its file: %',
        restore_backup.backup_id, v_type, v_file
      using errcode = 'PM002', hint = format('Into a new database, on the host that it is on: '
        'create database restored; then pg_restore -d restored %s',
        regexp_replace(v_file, '^[^/]*:', ''));
  end if;
  if (restore_backup.into_schema !~ '^(pg_|maintenance|information_schema$)') is not true then
    raise exception 'nothing is restored into the schema "%"', restore_backup.into_schema
      using errcode = 'PM002', hint = format('Into a schema of its own: select * from '
        'public.restore_backup(%s, %L);', restore_backup.backup_id,
        'backup_' || restore_backup.backup_id);
  end if;
  select string_agg(format('%I.%I', restore_backup.into_schema, t.key), ', ' order by t.key)
  into v_taken
  from jsonb_each(v_tables) as t
  where to_regclass(format('%I.%I', restore_backup.into_schema, t.key)) is not null;
  if v_taken is not null then
    raise exception 'nothing was restored, since these are there: %', v_taken
      using errcode = 'PM002', hint = format('Into a schema of its own: select * from '
        'public.restore_backup(%s, %L);', restore_backup.backup_id,
        'backup_' || restore_backup.backup_id);
  end if;

  execute format('create schema if not exists %I', restore_backup.into_schema);
  for table_name, v_table in select t.key, t.value from jsonb_each(v_tables) as t loop
    execute format('create table %I.%I as table maintenance_backup.%I',
      restore_backup.into_schema, table_name, v_table ->> 'copy');
    for v_key in select k.* from jsonb_array_elements(v_table -> 'keys') as k loop
      execute format('alter table %I.%I add %s (%s)', restore_backup.into_schema, table_name,
        case when (v_key ->> 'is_primary')::boolean then 'primary key' else 'unique' end, (
          select string_agg(quote_ident(c), ', ' order by c.nr)
          from jsonb_array_elements_text(v_key -> 'columns') with ordinality as c (c, nr)));
    end loop;
    select s.* into v_sums from public.backup_sums(
      to_regclass(format('%I.%I', restore_backup.into_schema, table_name))) as s;
    rows := v_sums.rows;
    is_unchanged := v_table @> to_jsonb(v_sums);
    return next;
  end loop;
end
$$;

comment on function public.restore_backup(bigint, text) is
  'Restores a backup (S2-11) as tables of another schema, which is made where it is not there, '
  'with primary and unique keys and without anything else, to be compared with what is live and '
  'copied back by plain SQL: insert into public.topics select * from backup_17.topics on conflict '
  'do nothing. A row for each table: how many rows it has, and whether they are those that were '
  'copied; who was deleted meanwhile is among them. The copies can also be read where they are: '
  'public.backups.tables has their names. For the owner. Errors: PM002 there is no such backup, '
  'it is a dump, a table of the same name is there, or the schema is one of the kit''s or of '
  'Postgres.';
