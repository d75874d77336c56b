-- The names that the files of sql/reference/ make in our schemas. Written by make migration.

create function maintenance_internal.reference_names()
returns text[]
language sql
immutable
set search_path = pg_catalog, pg_temp
return array[
  'maintenance_internal.grant_front_doors',
  'maintenance_internal.make_backup',
  'maintenance_internal.prune_backups',
  'maintenance_internal.put_backup_tables',
  'maintenance_internal.put_retention',
  'maintenance_internal.reference_names',
  'maintenance_internal.reference_objects',
  'maintenance_internal.reference_settings',
  'maintenance_internal.reference_ships',
  'maintenance_internal.verify_copy'
];
