-- The release, and a hash of the files of sql/engine/. Written by make migration.

comment on schema maintenance is
  'pg-maintenance 0.0.0, state 2390b4e6cc819b28: '
  'what people call and read; \df maintenance.* is the manual.';
