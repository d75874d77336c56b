-- What will be slow, blocked or broken about the rules, and the statement that mends it.

create type maintenance.finding as (job_name text, severity text, finding text, fix text);

comment on type maintenance.finding is
  'What lint found: about which job, critical (a run would fail, or do what strangers say), '
  'warning (slow, or surprising) or notice (to be known), in words, and the statement that mends '
  'it.';

create function maintenance.lint(job_name text default null)
returns setof maintenance.finding
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_job maintenance_internal.job;
  v_policy maintenance_internal.policy;
  v_table regclass;
  v_message text;
  v_state text;
  v_context text;
  v_hint text;
begin
  if lint.job_name is not null then
    perform maintenance_internal.find_job(lint.job_name);
  end if;
  for v_job in
    select j.* from maintenance_internal.job as j
    where lint.job_name is null or j.job_name = lint.job_name
    order by j.job_name
  loop
    begin
      perform maintenance_internal.check_session();
      if v_job.kind = 'function' then
        perform maintenance_internal.find_function(v_job.step, 'integer', 'bigint');
      elsif v_job.kind = 'policy' then
        v_policy := maintenance_internal.find_policy(v_job.job_name);
        v_table := maintenance_internal.find_target(
    v_policy.target, v_policy.trusted_owner);
        return query
          select v_job.job_name, f.severity, f.finding, f.fix
          from (
            select * from maintenance_internal.lint_rights(v_policy, v_table)
            union all select * from maintenance_internal.lint_indexes(v_policy, v_table)
            union all select * from maintenance_internal.lint_references(v_policy, v_table)
            union all select * from maintenance_internal.lint_triggers(v_policy, v_table)
            union all select * from maintenance_internal.lint_keep(v_policy, v_table)
            union all select * from maintenance_internal.lint_meaning(v_policy, v_table)
            union all select * from maintenance_internal.lint_trust(v_policy, v_table)
          ) as f;
      end if;
      if v_job.kind <> 'statement' then
        return query
          select v_job.job_name, s.severity, s.finding, s.fix
          from (
            select * from maintenance_internal.lint_session(v_job)
            union all select * from maintenance_internal.lint_path() where lint.job_name is not null
          ) as s;
      end if;
      if v_job.kind = 'policy' then -- as the status does, so that it says the same
        perform maintenance_internal.count_due(v_policy, maintenance_internal.clock()
          - v_policy.keep, 10000, maintenance_internal.owner_path());
      end if;
    exception when others or assert_failure then
      get stacked diagnostics v_state = returned_sqlstate, v_message = message_text,
        v_context = pg_exception_context, v_hint = pg_exception_hint;
      return query select v_job.job_name, 'critical',
        maintenance_internal.error_text(v_state, v_message, v_context),
        case when v_state = '55P03' then maintenance_internal.lock_advice(v_policy.target)
          else case when v_state in ('PM003', 'PM023') then v_hint || ' Or: ' else '' end
            || format('Set the job again, or: select maintenance.drop_job(%L);', v_job.job_name)
        end;
    end;
  end loop;
  return query select * from maintenance_internal.lint_schedule(lint.job_name);
  return query
    select null, p.severity, p.finding, p.fix
    from (
      select * from maintenance_internal.lint_path()
      union all select * from maintenance_internal.lint_public()
      union all select * from maintenance_internal.lint_models()
    ) as p
    where lint.job_name is null;
  return query
    select s.name, 'warning', format('the %s of this release, %s', s.kind, s.outcome),
      'Rename what is in its way; then: select * from maintenance.register();'
    from maintenance_internal.shipped as s
    where s.outcome ~ '^(failed|not shipped)' and s.name = coalesce(lint.job_name, s.name);
end
$$;

comment on function maintenance.lint(text) is
  'Findings over one job or all: rows (job_name, severity, finding, fix). critical: a run would '
  'fail (the rule is broken, a right is missing, a published table has no replica identity, a '
  'rewrite rule takes its place), or run what a stranger wrote (the function of a trigger, an '
  'index or the rule). warning: a run or the status would be slow (no index for the rule, an '
  'unindexed foreign key), or do what nobody meant (a trigger that may silence the change, '
  'seconds that look like days, another policy that keeps the same rows for another time, ages '
  'of another millennium, a rule that asks its session, a schedule that fires nothing or is too '
  'narrow, a schema that is left out of the '
  'owner''s path, a model without a price). notice: rows of other tables that go too, or keep '
  'rows, by foreign keys; triggers that write; a model that is asked too often. No row is good '
  'news. Errors: PM001 no such job.';
