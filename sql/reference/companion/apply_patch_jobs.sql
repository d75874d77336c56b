-- apply_patch_jobs: a step of a run takes up one patch job, or is one attempt at it, so that others
-- see how far it is, and what a run was at when it ended. Rules S3-07 to S3-13, S3-15 to S3-17,
-- S3-22.
--
-- Nothing is locked while an attempt reads: it writes where the versions are still those that it
-- has read, and else it has met another writer. Such a job stays processing, and its next attempt
-- is the next step, after a pause that doubles. What it changes and that it is done are one
-- transaction: character, conversation, job, in the order in which a delete comes through them.

-- One attempt: 40001 where somebody else has written meanwhile.
create function public.apply_patch_job(job public.patch_jobs)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_conversation public.conversation_states;
  v_character public.character_states;
  v_state jsonb;
begin
  select * into v_conversation
  from public.conversation_states as c where c.conversation_id = job.conversation_id;
  select * into v_character
  from public.character_states as c
  where c.character_id = coalesce(job.character_id, v_conversation.character_id);

  v_state := public.apply_patch_to_state(v_character.state, job.patch, job.id, 'character');
  if v_state <> v_character.state then
    update public.character_states as c
    set state = v_state, version = c.version + 1
    where c.character_id = v_character.character_id and c.version = v_character.version;
    if not found then
      raise exception 'the state of character % has changed meanwhile', v_character.character_id
        using errcode = 'serialization_failure';
    end if;
  end if;
  v_state := public.apply_patch_to_state(v_conversation.state, job.patch, job.id, 'conversation');
  if v_state <> v_conversation.state then
    update public.conversation_states as c
    set state = v_state, version = c.version + 1
    where c.conversation_id = v_conversation.conversation_id
      and c.version = v_conversation.version;
    if not found then
      raise exception 'the state of conversation % has changed meanwhile',
          v_conversation.conversation_id
        using errcode = 'serialization_failure';
    end if;
  end if;

  update public.patch_jobs as j
  set status = 'done', last_error = '', patched_at = maintenance_internal.moment()
  where j.id = job.id and j.status = job.status and j.run_id is not distinct from job.run_id
    and j.patch = job.patch;
  if not found then
    raise exception 'the patch job % has changed meanwhile', job.id
      using errcode = 'serialization_failure';
  end if;
end
$$;

comment on function public.apply_patch_job(public.patch_jobs) is
  'Applies a patch to the states of its conversation and its character, and says that it is done, '
  'in one transaction (S3-08 to S3-10, S3-13); to what it was applied before it is not again. '
  'Errors: 40001 another writer was there first, PM018 it is no patch.';

-- Where a model has given up making a patch, its job waits for a person, and its turn for nobody.
create function public.park_patch_jobs()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  update public.patch_jobs as j
  set status = 'failed', parked_at = maintenance_internal.moment(),
    last_error = 'it has no patch, and no model is asked for it any more'
  from public.conversation_states as c
  where j.status <> 'done' and j.parked_at is null and j.patch is null
    and c.conversation_id = j.conversation_id
    and exists (
      select from maintenance.task as t
      where t.subject = c.subject and t.kind = 'patch_generate'
        and t.state in ('dead', 'skipped'))
    and public.patch_hash(j) in (
      select maintenance_internal.given_up('patch_generate', c.subject));
end
$$;

comment on function public.park_patch_jobs() is
  'Parks the patch jobs for which no model has made a patch (S3-17, S3-18).';

-- Takes up the oldest job whose turn it is: only those that have failed, or any, whichever is asked
-- for first and found. One that a run has left behind counts as an attempt, since it may have been
-- what ended that run.
create function public.take_up_patch_job(
  p_run_id bigint,
  p_most_attempts numeric,
  p_only_failed boolean[])
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now constant timestamptz := maintenance_internal.moment();
  v_only_failed boolean;
begin
  foreach v_only_failed in array p_only_failed loop
    update public.patch_jobs as j
    set run_id = p_run_id, locked_at = v_now, conflicts = 0,
      attempts = j.attempts + w.left_behind,
      status = case when w.is_over then 'failed' else 'processing' end,
      parked_at = case when w.is_over then v_now end,
      last_error = case when w.is_over and j.last_error = ''
        then 'runs have ended while they were at it' else j.last_error end
    from (
      select o.id, l.left_behind, l.left_behind = 1 and o.attempts + 1 >= p_most_attempts as is_over
      from public.patch_jobs as o
      cross join lateral (select (o.status = 'processing')::integer as left_behind) as l
      where o.status <> 'done' and o.parked_at is null and o.patch is not null
        and (o.status = 'failed' or not v_only_failed)
        and (o.status <> 'processing' or o.locked_at is null
          or o.locked_at not between v_now - interval '10 minutes' and v_now)
        -- Once a run: what has failed in this one, or is locked, waits for the next.
        and (o.run_id is distinct from p_run_id or p_run_id = 0)
        and (o.turn_seq is null or not exists (
          select from public.patch_jobs as e
          where e.conversation_id = o.conversation_id and e.turn_seq < o.turn_seq
            and e.status <> 'done' and e.parked_at is null))
        and not exists (
          select from public.conversation_states as c
          join public.users as u on u.id = c.user_id
          where c.conversation_id = o.conversation_id and u.deleted_at is not null)
      order by o.status = 'failed', o.created_at, o.id
      limit 1
      for no key update of o skip locked
    ) as w
    where j.id = w.id;
    if found then
      return 1;
    end if;
  end loop;
  return 0;
end
$$;

comment on function public.take_up_patch_job(bigint, numeric, boolean[]) is
  'Takes up a patch job for a run, for its next step to try; 1, or 0 where there is none (S3-07, '
  'S3-16). What one run after the other has left behind is parked at last (S3-17).';

create function public.apply_patch_jobs_step(batch_size integer)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_most_jobs constant integer := least(50, coalesce((
    select j.batch_size from maintenance_internal.job as j
    where j.job_name = 'apply_patch_jobs'), apply_patch_jobs_step.batch_size));
  v_most_attempts constant numeric := greatest(1, (
    select coalesce(s.value::numeric, 'infinity')
    from maintenance.setting as s where s.name = 'patch_attempts'));
  v_most_conflicts constant integer := 5;
  v_now constant timestamptz := maintenance_internal.moment();
  v_run_id constant bigint := coalesce(maintenance_internal.this_run(), 0);
  v_counts jsonb := (
    select r.details from maintenance_internal.run as r where r.run_id = v_run_id);
  v_job public.patch_jobs;
  v_outcome text := 'done';
  v_error text := '';
begin
  perform set_config('lock_timeout', '500ms', true);
  if v_counts -> 'processed' is null then
    perform public.park_patch_jobs();
    v_counts := '{"ok": true, "processed": 0, "ok_count": 0, "failed_count": 0, "locked": 0}';
    begin
      v_counts := v_counts || jsonb_strip_nulls(
        jsonb_build_object('errors', maintenance.trigger_jobs('patch') -> 'errors'));
    exception when sqlstate 'PM015' then -- the kind was taken away
      v_counts := v_counts || jsonb_build_object('errors', sqlerrm);
    end;
    perform maintenance.add_details(v_counts);
  end if;

  -- What was taken up: by this run, or by one that came to a limit before it could try.
  select j.* into v_job
  from public.patch_jobs as j
  left join maintenance_internal.run as r on r.run_id = j.run_id
  where j.status = 'processing' and j.parked_at is null
    and (j.run_id = v_run_id or r.status = 'succeeded')
  order by j.run_id = v_run_id desc, j.locked_at
  limit 1;
  if not found then
    return -public.take_up_patch_job(v_run_id, v_most_attempts,
      -- What has failed comes after what has not, but for each fifth.
      case when (v_counts ->> 'processed')::integer % 5 = 4 then array[true, false]
        else array[false] end)
    where (v_counts ->> 'processed')::integer < v_most_jobs
      and (v_counts ->> 'locked')::integer < v_most_jobs;
  end if;

  begin
    perform pg_sleep(0.08 * 2 ^ (v_job.conflicts - 1))
    where v_job.conflicts > 0;
    perform public.apply_patch_job(v_job);
  exception
    when lock_not_available then
      v_outcome := 'locked';
      v_error := v_job.last_error;
    when others or assert_failure then
      v_outcome := case when sqlstate like '40%' then 'conflict' else 'failed' end;
      v_error := left(sqlerrm, 1000);
  end;
  if v_outcome in ('conflict', 'failed') then
    v_job.attempts := v_job.attempts + 1;
    v_job.conflicts := v_job.conflicts + (v_outcome = 'conflict')::integer;
    if v_job.conflicts >= v_most_conflicts or v_job.attempts >= v_most_attempts then
      v_outcome := 'failed';
    end if;
  end if;
  if v_outcome <> 'done' then
    update public.patch_jobs as j
    set status = case when v_outcome = 'conflict' then 'processing'
        when v_outcome = 'failed' or v_job.attempts > 0 then 'failed' else 'pending' end,
      attempts = v_job.attempts,
      conflicts = v_job.conflicts,
      last_error = v_error,
      run_id = v_run_id,
      locked_at = v_now,
      parked_at = case when v_outcome = 'failed' and v_job.attempts >= v_most_attempts
        then v_now end
    where j.id = v_job.id and j.status = 'processing' and j.run_id = v_job.run_id;
  end if;
  v_counts := v_counts || case v_outcome
    when 'conflict' then '{}'
    when 'locked' then jsonb_build_object('locked', (v_counts ->> 'locked')::integer + 1)
    else jsonb_build_object(
      'processed', (v_counts ->> 'processed')::integer + 1,
      'ok_count', (v_counts ->> 'ok_count')::integer + (v_outcome = 'done')::integer,
      'failed_count', (v_counts ->> 'failed_count')::integer + (v_outcome = 'failed')::integer)
    end;
  perform maintenance.add_details(v_counts);
  return case when v_outcome in ('done', 'failed') then 1 else -1 end;
end
$$;

comment on function public.apply_patch_jobs_step(integer) is
  'Step of apply_patch_jobs: takes up the oldest patch job whose turn it is, those that have '
  'failed behind the others, but for each fifth (S3-07); or is one attempt at it. Another writer '
  'makes it wait 80 ms, doubled with each of five attempts, and then fail; what has failed is '
  'tried again by a later run, until it was tried as often as the setting patch_attempts says: '
  'then it is parked. A job that a run has left behind is taken back after ten minutes. On the '
  'receipt are processed, ok_count, failed_count, and of how many the states were locked for half '
  'a second (S3-15). A run takes as many jobs as the job''s batch_size says, 50 at most (S3-22).';

create function public.patch_job_backlog(cap integer)
returns table (due bigint, oldest timestamptz)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select count(*), min(o.created_at)
  from (
    select j.created_at from public.patch_jobs as j
    join public.conversation_states as c on c.conversation_id = j.conversation_id
    left join public.users as u on u.id = c.user_id
    where j.status <> 'done' and j.parked_at is null and u.deleted_at is null
    order by j.status = 'failed', j.created_at
    limit patch_job_backlog.cap
  ) as o;
end;

comment on function public.patch_job_backlog(integer) is
  'Backlog of apply_patch_jobs: jobs that are neither done nor parked, up to cap.';
