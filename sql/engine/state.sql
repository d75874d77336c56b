-- The release, and a hash of the files of sql/engine/. Written by make migration.

comment on schema maintenance is
  'pg-maintenance 0.0.0, state b2d2a40f44d292b6: '
  'what people call and read; \df maintenance.* is the manual.';
