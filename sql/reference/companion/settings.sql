-- The settings of the companion (maintenance.setting).

create function maintenance_internal.reference_settings()
returns table (name text, value text, description text)
language sql
immutable
set search_path = pg_catalog, pg_temp
begin atomic
  values
    ('patch_attempts', '25', 'how often a patch job is tried in all, before it waits for '
      'retry_patch_job. null: for ever'),
    ('moment_post_probability', '1', 'the share of hours, from 0 to 1, in which a companion posts '
      'a moment');
end;
