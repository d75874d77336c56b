-- patch_generate: where a turn came without a patch, a model makes one of what was said. The answer
-- is hostile input: it can say nothing but what apply_patch_to_state takes. Rule S3-18.

create function public.patch_hash(job public.patch_jobs)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return md5(job.id || ' ' || job.patch_input::text);

comment on function public.patch_hash(public.patch_jobs) is 'The hash of what a patch is made of.';

create function public.next_patchless(subject text)
returns public.patch_jobs
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select j
  from public.conversation_states as c
  join public.patch_jobs as j on j.conversation_id = c.conversation_id
  where c.subject = next_patchless.subject and j.status <> 'done' and j.patch is null
    and public.patch_hash(j) not in (
      select maintenance_internal.given_up('patch_generate', c.subject))
  order by j.parked_at is not null, j.turn_seq, j.created_at
  limit 1;
end;

comment on function public.next_patchless(text) is
  'The first patch job of a conversation without a patch, but for those that were given up.';

create function public.patch_subjects()
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select distinct c.subject
  from public.patch_jobs as j
  join public.conversation_states as c on c.conversation_id = j.conversation_id
  left join public.users as u on u.id = c.user_id
  where j.status <> 'done' and j.parked_at is null and j.patch is null and u.deleted_at is null;
end;

comment on function public.patch_subjects() is
  'Subjects of patch_generate: conversations with a patch job that has no patch (S3-18).';

create function public.shown_json(value jsonb, most integer)
returns jsonb
language sql
immutable
set search_path = pg_catalog, pg_temp
return case when length(value::text) <= most then value else to_jsonb(left(value::text, most)) end;

comment on function public.shown_json(jsonb, integer) is
  'What a model is shown of a value that may be long: where it has more characters, the first ones '
  'as a text.';

-- What is shown of the states of a conversation and its character: of each list the last few.
create function public.shown_state(conversation_id uuid, most integer)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_last constant integer := 10;
  v_state jsonb := (
    select c.state || coalesce(k.state - 'run_state', '{}')
    from public.conversation_states as c
    left join public.character_states as k on k.character_id = c.character_id
    where c.conversation_id = shown_state.conversation_id);
  v_list record;
  v_path text[];
begin
  for v_list in select l.section, l.list from public.state_lists() as l loop
    v_path := array_remove(array[v_list.section, v_list.list], null);
    continue when jsonb_typeof(v_state #> v_path) is distinct from 'array';
    v_state := jsonb_set(v_state, v_path,
      public.merge_list(v_state #> v_path, null, null, v_last));
  end loop;
  return public.shown_json(v_state #- '{run_state,applied_patch_job_ids}', most);
end
$$;

comment on function public.shown_state(uuid, integer) is
  'What a model is shown of the states of a conversation and its character: the last ten items of '
  'each list, and at most so many characters.';

create function public.prepare_patch(subject text, options jsonb)
returns table (content text, context jsonb, input_hash text, skip_reason text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_share constant numeric := coalesce((prepare_patch.options ->> 'share')::numeric, 1);
  v_room constant integer := 60000 * v_share;
  v_state_room constant integer := 20000 * v_share;
  v_job public.patch_jobs := public.next_patchless(prepare_patch.subject);
begin
  if v_job.id is null then
    skip_reason := 'no turn is without a patch';
  else
    content := concat_ws(e'\n',
      'The state before the turn, and what was said in it, one JSON object a line:',
      jsonb_build_object('id', 's0',
        'state', public.shown_state(v_job.conversation_id, v_state_room)),
      jsonb_build_object('id', 't1', 'turn', public.shown_json(v_job.patch_input, v_room)));
    context := jsonb_build_object('job', v_job.id, 'hash', public.patch_hash(v_job));
    input_hash := public.patch_hash(v_job);
  end if;
  return next;
end
$$;

comment on function public.prepare_patch(text, jsonb) is
  'prepare of patch_generate: the state of the conversation and its character, 20,000 characters '
  'at most, and the patch_input of its first turn without a patch, 60,000 at most; options.share: '
  'a part of these.';

create function public.apply_patch(subject text, context jsonb, answer jsonb, options jsonb)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_fault constant text := public.patch_fault(apply_patch.answer);
  v_made integer := coalesce((apply_patch.options #>> '{carry,made}')::integer, 0);
  v_before public.patch_jobs;
  v_after public.patch_jobs;
begin
  if v_fault is not null then
    raise exception 'this is no patch: %', v_fault using errcode = 'PM018';
  end if;
  select * into v_before
  from public.patch_jobs as j
  where j.id = (apply_patch.context ->> 'job')::uuid and j.status <> 'done' and j.patch is null
  for no key update;
  if found then
    if public.patch_hash(v_before) is distinct from apply_patch.context ->> 'hash' then
      raise exception 'what was said has changed since it was shown' using errcode = 'PM027';
    end if;
    update public.patch_jobs as j
    set patch = (
        select jsonb_object_agg(s.key, apply_patch.answer -> s.key)
        from public.state_sections() as s),
      status = case when j.parked_at is null then j.status else 'pending' end,
      parked_at = null
    where j.id = v_before.id
    returning j.* into v_after;
    v_made := v_made + 1;
  end if;
  return jsonb_build_object('made', v_made)
    || case when v_after.id is null then '{}' else jsonb_build_object('changes',
      jsonb_build_array(jsonb_build_object('op', 'patch', 'outcome', 'applied',
        'keys', jsonb_build_array(v_before.id),
        'rows', jsonb_build_array(jsonb_build_object('table', 'public.patch_jobs',
          'before', to_jsonb(v_before), 'after', to_jsonb(v_after)))))) end
    || case when (public.next_patchless(apply_patch.subject)).id is null then '{}'
      else jsonb_build_object('continue', true, 'carry', jsonb_build_object('made', v_made)) end;
end
$$;

comment on function public.apply_patch(text, jsonb, jsonb, jsonb) is
  'apply of patch_generate (S3-18): the answer becomes the patch of its job, where that has none '
  'yet; then the conversation''s next is asked about. Returns {made}, of all that the task did so '
  'far. Errors: PM018 it is no patch, PM027 what was said has changed since it was shown.';
