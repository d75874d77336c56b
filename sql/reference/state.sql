-- The release, and a hash of the files of sql/reference/. Written by make migration.

comment on function maintenance_internal.reference_objects() is
  'pg-maintenance 0.0.0, state a2d9e280b4a7a2df: '
  'the names of the reference application, by kind.';
