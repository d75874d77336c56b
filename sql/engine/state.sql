-- The release, and a hash of the files of sql/engine/. Written by make migration.

comment on schema maintenance is
  'pg-maintenance 0.0.0, state 4544827a90b2e067: '
  'what people call and read; \df maintenance.* is the manual.';
