-- Sets a statement job: one top-level statement that no function can hold, run by pg_cron itself.

create function maintenance.set_statement(
  job_name text,
  statement text,
  schedule text default null,
  description text default null)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_cursor refcursor;
  v_several text;
  v_message text;
  v_own text;
  v_job maintenance_internal.job;
begin
  -- A cursor is opened and never fetched from: nothing runs. Utility commands are refused with the
  -- same SQLSTATE as several statements, so the message for several is asked of the server first.
  begin
    open v_cursor for execute 'select 1; select 2';
  exception when invalid_cursor_definition then
    get stacked diagnostics v_several = message_text;
  end;
  begin
    open v_cursor for execute set_statement.statement;
    close v_cursor;
  exception
    when invalid_cursor_definition then
      get stacked diagnostics v_message = message_text;
      if v_message = v_several then
        raise exception '"%" is not one statement', set_statement.statement
          using errcode = 'PM007', hint = 'Give each statement a job of its own.';
      end if;
    when others then
      get stacked diagnostics v_message = message_text;
      raise exception 'the statement "%" is not acceptable: %', set_statement.statement, v_message
        using errcode = 'PM007', hint = 'One statement, names with their schema.';
  end;

  if regexp_replace(set_statement.statement, '--[^\n]*|/\*.*?\*/|\s|"', '', 'g')
    ~* '^callmaintenance\.run_job\(' then
    raise exception 'the statement "%" runs another job', set_statement.statement
      using errcode = 'PM007', hint = 'Give that job the schedule: maintenance.set_schedule(...).';
  end if;

  -- The kit's own two are known by their statements, and there is one of each.
  v_own := regexp_replace(set_statement.statement, '--[^\n]*|/\*.*?\*/|\s|"|;', '', 'g');
  if maintenance_internal.is_own(regexp_replace(lower(v_own), '^call', 'call ')) then
    statement := regexp_replace(lower(v_own), '^call', 'call ');
    if exists (
      select from maintenance_internal.job as j
      where j.statement = set_statement.statement and j.job_name <> set_statement.job_name)
    then
      raise exception 'another job says "%" already', set_statement.statement
        using errcode = 'PM007', hint = 'One is enough: it looks after all jobs.';
    end if;
  end if;

  v_job.job_name := set_statement.job_name;
  v_job.kind := 'statement';
  v_job.statement := set_statement.statement;
  v_job.schedule := set_statement.schedule;
  v_job.description := coalesce(set_statement.description, set_statement.statement);
  v_job := maintenance_internal.upsert_job(v_job);
  perform maintenance_internal.sync_schedule(v_job.job_name);
end
$$;

comment on function maintenance.set_statement(text, text, text, text) is
  'Sets a statement job: one top-level statement such as VACUUM or REINDEX CONCURRENTLY, which '
  'pg_cron runs as it stands. schedule: five-field cron, UTC. For the engine''s owner. '
  'Errors: PM002 argument, PM006 schedule, PM007 no statement, or more than one.';
