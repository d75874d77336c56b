-- Chats: conversations without a message for 60 days are put away. Rule S2-15.
-- Over a table of your own of this name:
--   psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -1 -f sql/reference/chat/rules.sql

select maintenance.set_policy(
  'archive_conversations',
  target => 'public.chat_conversations',
  action => 'update',
  age => 'updated_at',
  keep => '60 days',
  matching => 'not is_archived',
  assign => 'is_archived = true',
  schedule => '0 2 15 * *',
  description => 'Conversations without a message for 60 days that are not archived',
  backlog_name => 'old_conversations');

select maintenance.configure_job('archive_conversations',
  priority => 'medium', budget => '4 minutes', timeout => '5 minutes');
