-- The house rules, asked of the catalogue: every routine is pinned, commented, closed to PUBLIC and
-- clean under plpgsql_check.
begin;
create extension pgtap;
select plan(18);

create temporary table routine as
select p.oid::regprocedure::text as name, p.*, l.lanname
from pg_proc as p
join pg_language as l on l.oid = p.prolang
where (p.pronamespace in ('maintenance'::regnamespace, 'maintenance_internal'::regnamespace)
    or p.pronamespace = 'public'::regnamespace and p.proowner = (select nspowner from pg_namespace
      where nspname = 'maintenance'))
  and not exists (select from pg_depend as d where d.classid = 'pg_proc'::regclass and d.objid = p.oid
    and d.deptype = 'e');
select ok(count(*) > 100, 'the catalogue holds more than 100 routines of the kit') from routine;

-- Procedures commit, and Postgres lets none of those be pinned: they hold qualified calls only.
select is_empty($$select name from routine where prokind = 'f'
  and not coalesce(proconfig, '{}') @> array['search_path=pg_catalog, pg_temp']$$,
  'every function is pinned to pg_catalog, pg_temp');
select is_empty($$select name from routine where prosecdef
    and not array(select lower(split_part(c, '=', 1)) from unnest(proconfig) as c) @> (
      array['search_path', 'row_security', 'standard_conforming_strings', 'quote_all_identifiers',
        'array_nulls', 'transform_null_equals', 'xmloption', 'default_text_search_config', 'bytea_output', 'jit',
        'debug_print_plan', 'debug_print_parse', 'debug_print_rewritten', 'gin_fuzzy_search_limit',
        'extra_float_digits', 'xmlbinary']
      || case when proname in ('start_run', 'run_step', 'backlog', 'preview', 'lint', 'put_policy', 'trigger_jobs',
        'task_request', 'complete_task', 'approve_task', 'undo_task')
        then array['timezone_abbreviations', 'lc_monetary', 'lc_numeric', 'lc_time'] else '{}' end
      || case when proname <> 'set_policy' then array['timezone', 'datestyle', 'intervalstyle'] else '{}' end
      || case when proname !~ '^(set_|put_policy|configure_|drop_job|(enable|disable)_job|register|claim_tasks'
          '|pause|resume|emergency_stop)'
        then array['client_min_messages'] else '{}' end)$$,
  'every definer function pins what bends a text that it executes, or shows what it does');
select is_empty($$select name from routine where prosecdef
    and not proconfig @> array[case when oid in ('maintenance_internal.cron_state()'::regprocedure,
      'maintenance_internal.cron_jobs()'::regprocedure,
      'maintenance_internal.cron_runs(bigint,bigint[])'::regprocedure)
      then 'row_security=on' else 'row_security=off' end]$$,
  'row_security is off in definer functions, or on for pg_cron''s tables');
select is_empty($$select name from routine where pronamespace <> 'maintenance_internal'::regnamespace
  and obj_description(oid, 'pg_proc') is null$$, 'every routine that people call is commented');
select is_empty($$select name from routine where has_function_privilege('public', oid, 'execute')$$,
  'no routine is open to PUBLIC');

-- The doors: few enough to be read as a manual, each with what it needs to be understood.
select cmp_ok((select count(*) from routine where pronamespace = 'maintenance'::regnamespace), '<=', 60::bigint,
  'schema maintenance holds at most 60 routines');
select is_empty($$select format('%s.%s', c.oid::regclass, a.attname) from pg_class as c
  join pg_attribute as a on a.attrelid = c.oid
  where (c.relnamespace = 'maintenance'::regnamespace or c.oid = 'public.maintenance_status'::regclass)
    and c.relkind = 'v' and a.attnum > 0
    and col_description(c.oid, a.attnum) is null$$, 'every column of a view of ours is commented');
-- Rights: the owner, and the three roles with what roles.sql gives them.
create temporary table granted as
select r.name as what, a.grantee::regrole::text as grantee, a.privilege_type from routine as r cross
  join aclexplode(r.proacl) as a
where a.grantee <> r.proowner
union all
select c.oid::regclass::text, a.grantee::regrole::text, a.privilege_type from pg_class as c cross
  join aclexplode(c.relacl) as a
where c.relnamespace in ('maintenance'::regnamespace, 'maintenance_internal'::regnamespace) and a.grantee <> c.relowner;
create function pg_temp.granted(role text, kind text) returns setof text language sql as $$
  select g.what from granted as g
  where g.grantee = role and g.what ~ '^maintenance_internal\.' and (g.what ~ '\(') = (kind = 'routine') $$;
select set_eq($$select pg_temp.granted('maintenance_viewer', 'routine')$$, array['maintenance_internal.backlog()',
  'maintenance_internal.task_backlog()', 'maintenance_internal.blob_backlog()', 'maintenance_internal.cron_state()',
  'maintenance_internal.alert_backlog()', 'maintenance_internal.vacuum_holders()', 'maintenance_internal.metrics()',
  'maintenance_internal.is_own(text)',
  'maintenance_internal.full_pages()', 'maintenance_internal.alert_statement()',
  'maintenance_internal.was_fired(integer)',
  'maintenance_internal.cron_jobs()',
  'maintenance_internal.cron_fault(text)', 'maintenance_internal.clock()',
  'maintenance_internal.tick_statement()', 'maintenance_internal.run_late_statement()',
  'maintenance_internal.wrap_text(text,integer)',
  'maintenance_internal.unlike_shipped(text)', 'maintenance_internal.model_status()', 'maintenance_internal.upkeep()',
  'maintenance_internal.other_settings()',
  'maintenance_internal.is_alive(integer,integer,timestamp with time zone)',
  'maintenance_internal.nearest_slot(text,timestamp with time zone,boolean,text)'],
  'on the inside a viewer may call what the views call');
select set_eq($$select pg_temp.granted('maintenance_operator', 'routine')
    except select pg_temp.granted('maintenance_viewer', 'routine')$$,
  array['maintenance_internal.run_or_raise(text)', 'maintenance_internal.start_run(text,boolean)',
  'maintenance_internal.run_step(bigint)', 'maintenance_internal.end_run(bigint)', 'maintenance_internal.defer_again()',
  'maintenance_internal.refuse_inside_transaction(text,text)',
  'maintenance_internal.check_outside(text)', 'maintenance_internal.run_steps(bigint)',
  'maintenance_internal.message_or_failure(jsonb)'],
  'on the inside an operator may also call what run_job and run_now call');
select is_empty($$select pg_temp.granted(r, 'relation')
  from unnest(array['maintenance_viewer', 'maintenance_operator', 'maintenance_worker']) as r
  union all select pg_temp.granted('maintenance_worker', 'routine')$$,
  'on the inside no role has a right on a table, and a worker none at all');
select set_eq($$select n.nspname || ' ' || a.grantee::regrole || ' ' || a.privilege_type
    from pg_namespace as n cross join aclexplode(n.nspacl) as a
    where n.nspname in ('maintenance', 'maintenance_internal') and a.grantee <> n.nspowner$$,
  array['maintenance maintenance_viewer USAGE', 'maintenance maintenance_operator USAGE',
  'maintenance maintenance_worker USAGE', 'maintenance_internal maintenance_operator USAGE'],
  'who may use the schemas, and nobody may create in them');
select set_eq($$select distinct c.oid::regclass || ' ' || x.grantee::regrole || ' ' || x.privilege_type
    from pg_attribute as a join pg_class as c on c.oid = a.attrelid cross join aclexplode(a.attacl) as x
    where c.relnamespace in ('maintenance'::regnamespace, 'maintenance_internal'::regnamespace)$$,
  array['maintenance.task maintenance_operator SELECT', 'maintenance.change maintenance_operator SELECT',
    'maintenance.blob maintenance_operator SELECT'],
  'an operator reads columns of tasks, changes and blobs, and nobody columns of anything else');
select is_empty($$select a.attname from pg_attribute as a cross join aclexplode(a.attacl) as x
  where (a.attrelid = 'maintenance.task'::regclass and a.attname in ('context', 'held_answer', 'options', 'lease_token')
    or a.attrelid = 'maintenance.change'::regclass and a.attname in ('rows', 'note'))$$,
  'nobody but the owner reads what a task showed, held or changed');
select is_empty($$select c.oid::regclass from pg_class as c
  where (c.relnamespace = 'maintenance'::regnamespace or c.oid = 'public.maintenance_status'::regclass)
    and c.relkind in ('r', 'v') and obj_description(c.oid, 'pg_class') is null$$,
  'every table and view that people read is commented');
select is_empty($$select * from granted where grantee not in ('maintenance_viewer', 'maintenance_operator',
  'maintenance_worker')
  or privilege_type not in ('EXECUTE', 'SELECT') or privilege_type = 'SELECT' and grantee = 'maintenance_worker'$$,
    'only the three roles have rights, none to write a table, and a worker none to read one');
select is_empty($$select name from routine where not prosecdef and prokind = 'f' and provolatile = 'v'
    and exists (select from granted as g where g.what = name)
      and oid not in ('maintenance.run_now(text)'::regprocedure,
      'maintenance_internal.run_or_raise(text)'::regprocedure)
    and pronamespace <> 'public'::regnamespace$$,
      'a volatile function that a role may call works as the owner, or calls only what does');

select exists (select from pg_available_extensions where name = 'plpgsql_check')
  and exists (select from pg_extension where extname = 'plpgsql_check') as has_check \gset
\if :has_check
select is_empty($$
  select r.name, c.lineno, c.level, c.message, c.detail, c.sqlstate
  from routine as r
  left join lateral (select * from pg_trigger as o where o.tgfoid = r.oid order by o.tgnewtable limit 1) as t on true
  cross join lateral plpgsql_check_function_tb(r.oid, relid => coalesce(t.tgrelid, 0), oldtable => t.tgoldtable,
    newtable => t.tgnewtable) as c
  where r.lanname = 'plpgsql' and c.level in ('error', 'warning')
    and not (c.message ~ 'cron' and to_regnamespace('cron') is null)$$, 'plpgsql_check has no complaint');
\else
select skip('plpgsql_check is not installed here', 1);
\endif
select * from finish();
rollback;
