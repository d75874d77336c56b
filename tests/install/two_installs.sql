-- After two installs at the same moment, of which one made the roles: each database has its grants.
begin;
create extension pgtap;
select plan(3);
select ok(has_table_privilege('maintenance_viewer', 'public.maintenance_status', 'select'),
  'a viewer may read the status');
select ok(has_table_privilege('maintenance_operator', 'maintenance.run_history', 'select'),
  'an operator may read the history');
select is_empty($$select * from maintenance.grant_roles() where outcome <> 'there'$$,
  'all roles and their grants are there after two installs at the same moment');
select * from finish();
rollback;
