-- The release, and a hash of the files of sql/engine/. Written by make migration.

comment on schema maintenance is
  'pg-maintenance 0.0.0, state bd8786926d3df3df: '
  'what people call and read; \df maintenance.* is the manual.';
