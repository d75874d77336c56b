-- The release, and a hash of the files of sql/engine/. Written by make migration.

comment on schema maintenance is
  'pg-maintenance 0.0.0, state 9db87846fa179151: '
  'what people call and read; \df maintenance.* is the manual.';
