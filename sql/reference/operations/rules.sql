-- Operations: what has expired in the cache goes. Rule S2-08.
-- Over a table of your own of this name:
--   psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -1 -f sql/reference/operations/rules.sql

select maintenance.set_policy(
  'cache_cleanup',
  target => 'public.search_cache',
  action => 'delete',
  age => 'expires_at',
  keep => '0',
  schedule => '0 */6 * * *',
  description => 'Searches in the cache that have expired',
  backlog_name => 'expired_cache');

select maintenance.configure_job('cache_cleanup',
  priority => 'low', budget => '100 seconds', timeout => '2 minutes');
