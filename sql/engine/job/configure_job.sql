-- Changes the options of a job of any kind; what is not given stays.

create function maintenance.configure_job(
  job_name text,
  batch_size integer default null,
  budget interval default null,
  max_batches integer default null,
  max_rows bigint default null,
  keep interval default null)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_job maintenance_internal.job := maintenance_internal.find_job(configure_job.job_name);
begin
  if configure_job.batch_size not between 1 and 100000 then
    raise exception 'the batch size % is out of range', configure_job.batch_size
      using errcode = 'PM002', hint = 'Rows per batch: 1 to 100000.';
  end if;
  if configure_job.budget <= interval '0' then
    raise exception 'the budget % is out of range', configure_job.budget
      using errcode = 'PM002', hint = 'An interval above zero: ''5 minutes''.';
  end if;
  if configure_job.max_batches < 0 or configure_job.max_rows < 0 then
    raise exception 'max_batches % or max_rows % is out of range',
      configure_job.max_batches, configure_job.max_rows
      using errcode = 'PM002', hint = 'One or more; 0 takes the limit away.';
  end if;
  if configure_job.keep is not null and v_job.kind <> 'policy' then
    raise exception 'the job "%" is a % job and keeps nothing', v_job.job_name, v_job.kind
      using errcode = 'PM002', hint = 'keep is an option of policies alone.';
  end if;
  perform maintenance_internal.check_keep(configure_job.keep);
  update maintenance_internal.policy as p
  set keep = configure_job.keep
  where p.job_id = v_job.job_id and configure_job.keep is not null;
  update maintenance_internal.job as j
  set batch_size = coalesce(configure_job.batch_size, j.batch_size),
    budget = coalesce(configure_job.budget, j.budget),
    max_batches = nullif(coalesce(configure_job.max_batches, j.max_batches), 0),
    max_rows = nullif(coalesce(configure_job.max_rows, j.max_rows), 0),
    updated_at = now()
  where j.job_id = v_job.job_id;
end
$$;

comment on function maintenance.configure_job(text, integer, interval, integer, bigint, interval) is
  'Options of every kind of job; only those given change. batch_size: rows per batch, 1 to 100000, '
  'shipped 20000. budget: wall-clock time after which a run stops cleanly, shipped 5 minutes. '
  'max_batches, max_rows: a run stops after these, too; none are shipped, and 0 takes one away. '
  'keep: how long a policy keeps its rows. A later release leaves what is set here as it is, where '
  'it is not what was shipped anyway. '
  'For the engine''s owner. Errors: PM001 no such job, PM002 out of range.';
