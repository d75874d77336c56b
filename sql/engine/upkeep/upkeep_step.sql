-- A step for set_job: what needs VACUUM, ANALYZE or REINDEX is done by pg_cron in the minutes that
-- follow.

create function maintenance.upkeep_step(batch_size integer)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_run_id constant bigint := maintenance_internal.this_run();
  v_state constant record := maintenance_internal.cron_state();
  v_needs record;
begin
  if v_run_id is null then
    return 0;
  end if;
  -- Names of what is gone say nothing any more, but for what they have left.
  delete from maintenance_internal.upkeep as u
  where u.finished_at is not null and to_regclass(u.relation) is null and not exists (
    select from pg_index as i where i.indexrelid = any (u.leftovers) and not i.indisvalid);

  select count(*) filter (where n.held is null) as due,
    coalesce(jsonb_agg(n.row order by n.number) filter (where n.held is null
      and n.number <= 50), '[]') as plan,
    coalesce(jsonb_agg(n.row order by n.number) filter (where n.held is not null
      and n.number <= 50), '[]') as held
  into v_needs
  from (
    select u.held, row_number() over (partition by u.held is null) as number,
      jsonb_strip_nulls(jsonb_build_object('relation', u.relation, 'action', u.action,
        'reason', u.reason, 'held', u.held)) as row
    from maintenance.upkeep as u
  ) as n;
  if v_needs.due > 0 and v_state.gap is not null then
    raise exception '% statements have to be run, and none can be from here: %',
        v_needs.due, v_state.gap
      using errcode = 'PM010', hint = 'In psql: select statement from maintenance.upkeep where '
        'held is null \gexec';
  end if;

  perform maintenance_internal.end_upkeep('another run');
  perform maintenance.add_details(jsonb_build_object('planned', v_needs.due,
    'plan', v_needs.plan, 'held', v_needs.held, 'done', '[]'::jsonb,
    'databaseBytes', pg_database_size(current_database()),
    'until', maintenance_internal.moment()
      + maintenance_internal.setting('upkeep_minutes')::double precision * interval '1 minute'));
  update maintenance_internal.turn as t set noted = v_run_id where t.name = 'upkeep';
  -- What is going on belongs to this plan from now on.
  update maintenance_internal.upkeep as u set run_id = v_run_id where u.finished_at is null;
  perform maintenance_internal.continue_upkeep();
  return 0;
end
$$;

comment on function maintenance.upkeep_step(integer) is
  'A step for set_job: what the view maintenance.upkeep lists is done one after the other, each by '
  'a statement that pg_cron runs in a minute of its own (the job upkeep_statement), until the '
  'setting upkeep_minutes is over. The receipt says what was planned, what was held back and why, '
  'and, as they come to their end, of each statement how the table or index was before and is '
  'after (done), and at the end why no more were given (stopped). Rules S2-14, C-20. Errors: PM010 '
  'something has to be done, and pg_cron cannot be told from here.';
