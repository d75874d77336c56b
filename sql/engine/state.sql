-- The release, and a hash of the files of sql/engine/. Written by make migration.

comment on schema maintenance is
  'pg-maintenance 0.0.0, state 89be4f1f51b17075: '
  'what people call and read; \df maintenance.* is the manual.';
