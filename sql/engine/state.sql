-- The release, and a hash of the files of sql/engine/. Written by make migration.

comment on schema maintenance is
  'pg-maintenance 0.0.0, state 6b595552a0f845fa: '
  'what people call and read; \df maintenance.* is the manual.';
