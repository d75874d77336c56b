-- The release, and a hash of the files of sql/reference/. Written by make migration.

comment on function maintenance_internal.reference_objects() is
  'pg-maintenance 0.0.0, state 9a00522f6ae4fd7d: '
  'the names of the reference application, by kind.';
