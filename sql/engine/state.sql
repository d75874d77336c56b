-- The release, and a hash of the files of sql/engine/. Written by make migration.

comment on schema maintenance is
  'pg-maintenance 0.0.0, state ecce2bc4a326311f: '
  'what people call and read; \df maintenance.* is the manual.';
