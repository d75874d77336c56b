-- The release, and a hash of the files of sql/engine/. Written by make migration.

comment on schema maintenance is
  'pg-maintenance 0.0.0, state 267360d270da834a: '
  'what people call and read; \df maintenance.* is the manual.';
