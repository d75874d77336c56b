-- What every definer function of ours works under, whatever its caller's session says: the settings
-- that change how a stored text is read or what it gives, and those that show what a statement
-- inside it does. A file names its search_path and its lock_timeout; the rest is the same for all,
-- and stands here. Where a file does name one of them, that stays.

create function maintenance_internal.pin_settings(p_routines oid[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_pin record;
begin
  for v_pin in
    select p.oid::regprocedure as routine, s.name, s.value
    from pg_proc as p
    cross join (values
      ('row_security', 'off'),
      ('timezone', 'UTC'),
      -- Texts that are read as dates: in the order of the owner's own sessions.
      ('datestyle', 'ISO, ' || coalesce(
        (select upper(substring(o.value from '(?i)MDY|DMY|YMD'))
          from maintenance_internal.owner_setting('DateStyle') as o),
        (select substring(g.reset_val from 'MDY|DMY|YMD')
          from pg_settings as g where g.name = 'DateStyle'))),
      ('intervalstyle', 'postgres'),
      ('standard_conforming_strings', 'on'),
      ('quote_all_identifiers', 'off'),
      ('array_nulls', 'on'),
      ('transform_null_equals', 'off'),
      ('xmloption', 'content'),
      ('xmlbinary', 'base64'),
      ('bytea_output', 'hex'),
      ('extra_float_digits', '1'),
      ('timezone_abbreviations', 'Default'),
      ('gin_fuzzy_search_limit', '0'),
      -- Code of the owner's that says what it works on says it to whoever called.
      ('client_min_messages', 'error'),
      ('lc_monetary', current_setting('lc_monetary')),
      ('lc_numeric', current_setting('lc_numeric')),
      ('lc_time', current_setting('lc_time')),
      -- As the owner's rules mean it: the one that this session, which installs, has.
      ('default_text_search_config', current_setting('default_text_search_config')),
      ('jit', 'off'),
      ('debug_print_parse', 'off'),
      ('debug_print_rewritten', 'off'),
      ('debug_print_plan', 'off')
    ) as s (name, value)
    where p.oid = any (p_routines) and p.prosecdef
      and not exists (
        select from unnest(p.proconfig) as c where lower(split_part(c, '=', 1)) = s.name)
      -- It reads literals as its caller's session does, and has the rest done by others.
      and not (p.proname = 'set_policy' and s.name in ('timezone', 'datestyle', 'intervalstyle'))
      -- Dear to set, and read by what the owner wrote alone: in those that execute it.
      and (s.name not in ('timezone_abbreviations', 'lc_monetary', 'lc_numeric', 'lc_time')
        or p.proname in ('start_run', 'run_step', 'backlog', 'preview', 'lint', 'put_policy',
          'trigger_jobs', 'task_request', 'complete_task', 'approve_task', 'undo_task'))
      -- These tell the owner; and a claim says why it hands nothing out, and calls no code of his.
      and not (p.proname = 'claim_tasks' and s.name = 'client_min_messages')
      and not (p.proname ~ '^(set_|put_policy|configure_|drop_job|(enable|disable)_job|register'
          '|pause|resume|emergency_stop)'
        and s.name = 'client_min_messages')
  loop
    execute format('alter routine %s set %s = %s', v_pin.routine, v_pin.name,
      case v_pin.name when 'datestyle' then v_pin.value else quote_literal(v_pin.value) end);
  end loop;
end
$$;
