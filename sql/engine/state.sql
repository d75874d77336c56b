-- The release, and a hash of the files of sql/engine/. Written by make migration.

comment on schema maintenance is
  'pg-maintenance 0.0.0, state 5dbe6e5843cf2311: '
  'what people call and read; \df maintenance.* is the manual.';
