-- The release, and a hash of the files of sql/engine/. Written by make migration.

comment on schema maintenance is
  'pg-maintenance 0.0.0, state 59a9380a6e267621: '
  'what people call and read; \df maintenance.* is the manual.';
