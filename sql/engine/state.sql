-- The release, and a hash of the files of sql/engine/. Written by make migration.

comment on schema maintenance is
  'pg-maintenance 0.0.0, state 12d585898cafd01d: '
  'what people call and read; \df maintenance.* is the manual.';
