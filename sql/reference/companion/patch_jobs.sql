-- Patch jobs: who asks for a change, one a turn, and which ways a job may go. Rules S3-06, S3-14,
-- S3-17.

create function public.check_patch_job()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if old.status = 'done' then
    raise exception 'the patch job % is done, and cannot be %', old.id, new.status
      using errcode = 'PM016', hint = 'What it changed stays. Another change is another job: '
        'select public.enqueue_patch_job(...);';
  end if;
  return new;
end
$$;

comment on function public.check_patch_job() is
  'Trigger: what is done stays done (S3-14). Errors: PM016.';

create trigger patch_jobs_stay_done
before update of status on public.patch_jobs
for each row when (old.status is distinct from new.status)
execute function public.check_patch_job();

create function public.enqueue_patch_job(
  user_id uuid,
  conversation_id uuid,
  character_id uuid,
  turn_seq integer,
  patch_input jsonb,
  patch jsonb default null)
returns uuid
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  v_longest constant integer := 100000;
  v_fault text;
  v_id uuid;
begin
  if enqueue_patch_job.conversation_id is null then
    raise exception 'a patch job is of a conversation'
      using errcode = 'PM002', hint = 'Give the id of one: its state is made where it is new.';
  end if;
  if jsonb_typeof(enqueue_patch_job.patch_input) is distinct from 'object'
    or length(enqueue_patch_job.patch_input::text) > v_longest
  then
    raise exception 'patch_input is no object of at most % characters', v_longest
      using errcode = 'PM002', hint = 'What was said in the turn, for a model to make a patch of: '
        '{"user": "...", "assistant": "..."}; {} where the patch is given.';
  end if;
  v_fault := case when nullif(enqueue_patch_job.patch, 'null') is not null
    then public.patch_fault(enqueue_patch_job.patch) end;
  if v_fault is not null then
    raise exception 'this is no patch: %', v_fault
      using errcode = 'PM002', hint = 'Its keys: select key, types from public.state_sections();';
  end if;

  if enqueue_patch_job.character_id is not null then
    insert into public.character_states (character_id, user_id)
    values (enqueue_patch_job.character_id, enqueue_patch_job.user_id)
    on conflict do nothing;
  end if;
  insert into public.conversation_states (conversation_id, user_id, character_id)
  values (enqueue_patch_job.conversation_id, enqueue_patch_job.user_id,
    enqueue_patch_job.character_id)
  on conflict do nothing;
  if exists (
    select from public.conversation_states as c
    where c.conversation_id = enqueue_patch_job.conversation_id
      and c.user_id is distinct from enqueue_patch_job.user_id
    union all
    select from public.character_states as c
    where c.character_id = enqueue_patch_job.character_id
      and c.user_id is distinct from enqueue_patch_job.user_id)
  then
    raise exception 'the conversation or the character is not of user %',
        coalesce(enqueue_patch_job.user_id::text, 'null')
      using errcode = 'PM002', hint = 'A patch changes the states of its own user alone.';
  end if;

  -- Whoever has put the same turn there may take it away again between the two statements.
  loop
    insert into public.patch_jobs as j
      (user_id, conversation_id, character_id, turn_seq, patch_input, patch)
    values (enqueue_patch_job.user_id, enqueue_patch_job.conversation_id,
      enqueue_patch_job.character_id, enqueue_patch_job.turn_seq, enqueue_patch_job.patch_input,
      nullif(enqueue_patch_job.patch, 'null'))
    on conflict on constraint patch_jobs_one_a_turn do nothing
    returning j.id into v_id;
    exit when found;
    select j.id into v_id
    from public.patch_jobs as j
    where j.conversation_id = enqueue_patch_job.conversation_id
      and j.turn_seq = enqueue_patch_job.turn_seq;
    exit when found;
  end loop;
  return v_id;
end
$$;

comment on function public.enqueue_patch_job(uuid, uuid, uuid, integer, jsonb, jsonb) is
  'Asks for a change to the states of a conversation and its character, and returns the id of the '
  'job (S3-06). One a turn: a second call for the same turn changes nothing, and returns the first '
  'id. States that are not there yet are made. turn_seq: changes come in the order of turns; null '
  'for what belongs to none. patch_input: what was said, at most 100,000 characters. patch: what '
  'changes (apply_patch_to_state); null: a model makes it of patch_input (S3-18). Errors: PM002 '
  'argument, or a conversation or character of another user.';

create function public.revive_patch_job(job public.patch_jobs)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  update public.patch_jobs as j
  set status = 'pending', attempts = 0, conflicts = 0, parked_at = null
  where j.id = job.id;
  if job.patch is null then
    perform maintenance.enqueue_task('patch_generate', c.subject, force => true)
    from public.conversation_states as c
    where c.conversation_id = job.conversation_id;
  end if;
end
$$;

comment on function public.revive_patch_job(public.patch_jobs) is
  'Gives a patch job all its attempts again; where it has no patch, a model is asked for it.';

create function public.retry_patch_job(patch_job_id uuid)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_job public.patch_jobs;
begin
  select * into v_job
  from public.patch_jobs as j where j.id = retry_patch_job.patch_job_id
  for no key update;
  if not found then
    raise exception 'there is no patch job %', retry_patch_job.patch_job_id
      using errcode = 'PM014', hint = 'select id, conversation_id, last_error from '
        'public.patch_jobs where status = ''failed'';';
  elsif v_job.status <> 'failed' then
    raise exception 'the patch job % is %', v_job.id, v_job.status
      using errcode = 'PM016', hint = 'Only one that has failed is tried again.';
  end if;
  perform public.revive_patch_job(v_job);
end
$$;

comment on function public.retry_patch_job(uuid) is
  'Takes a patch job up again that has failed, also one that is parked, with all its attempts '
  '(S3-17); where no model could make its patch, it is asked once more. Errors: PM014 no such job, '
  'PM016 it has not failed.';

create function public.retry_patch_jobs_step(batch_size integer)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_job public.patch_jobs;
  v_revived bigint := 0;
begin
  for v_job in
    select * from public.patch_jobs as j
    where j.parked_at is not null
    order by j.parked_at
    limit retry_patch_jobs_step.batch_size
    for no key update skip locked
  loop
    perform public.revive_patch_job(v_job);
    v_revived := v_revived + 1;
  end loop;
  return v_revived;
end
$$;

comment on function public.retry_patch_jobs_step(integer) is
  'Step of retry_patch_jobs, which nobody fires but an operator: takes up again what is parked.';

create function public.parked_patch_jobs(cap integer)
returns table (due bigint, oldest timestamptz)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select count(*), min(p.parked_at)
  from (
    select j.parked_at from public.patch_jobs as j
    where j.parked_at is not null
    order by j.parked_at
    limit parked_patch_jobs.cap
  ) as p;
end;

comment on function public.parked_patch_jobs(integer) is
  'Backlog of retry_patch_jobs: parked jobs, up to cap, and since when the first one is.';
