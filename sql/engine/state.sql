-- The release, and a hash of the files of sql/engine/. Written by make migration.

comment on schema maintenance is
  'pg-maintenance 0.0.0, state c721f4dc2c7c01da: '
  'what people call and read; \df maintenance.* is the manual.';
