-- The settings of the reference application (maintenance.setting).

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
      'a moment'),
    ('summary_days', '30', 'how many days the summary of a week is kept. null: for ever'),
    ('backup_days', '30', 'how many days a backup is kept, but for the last that was verified. '
      'null: for ever');
end;
