-- Attachments: they go when they are older than their user's plan keeps them, whatever becomes of
-- their message; the blobs follow (maintenance.track_blobs). Rules S0-16, S0-23.
-- The moments that are due are given as a range: of those the planner expects few, and reads the
-- days of each user once, where it would ask for those of each attachment.

select maintenance.set_policy(
  'cleanup_expired_attachments',
  target => 'public.attachments',
  action => 'delete',
  age => 'created_at',
  keep => '0',
  matching => $$
    exists (
      select from public.user_retention as r
      where r.user_id = attachments.user_id and r.scope = 'attachment'
        and attachments.created_at
          <@ tstzrange(null, attachments.cutoff - r.days * interval '24 hours', '(]'))
  $$,
  schedule => '0 3 * * *',
  description => 'Attachments older than their user''s plan keeps them',
  backlog_name => 'expired_attachments');
