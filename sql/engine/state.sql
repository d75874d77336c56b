-- The release, and a hash of the files of sql/engine/. Written by make migration.

comment on schema maintenance is
  'pg-maintenance 0.0.0, state cbaa629d108c2804: '
  'what people call and read; \df maintenance.* is the manual.';
