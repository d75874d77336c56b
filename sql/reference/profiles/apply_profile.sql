-- What an analysis may do to a profile: a value is taken only where a message that still stands
-- bears it out. The answer is hostile input: a field that fails is refused alone.

create function public.profile_value(p_field text, p_answer jsonb, p_standing text[])
returns table (value text, reason text)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_longest constant integer := case p_field when 'notes' then 500 else 200 end;
  v_allowed text[] := case p_field
    when 'tone' then array['calm', 'energetic', 'professional', 'friendly', 'direct']
    when 'mode' then array['coaching', 'friendly', 'direct'] end;
begin
  if p_answer is null or p_answer = 'null' then
    null; -- nothing nominated: no value, and no reason to give
  elsif jsonb_typeof(p_answer) <> 'object' then
    reason := 'not an object with value and evidence';
  elsif p_answer -> 'value' is null or p_answer -> 'value' = 'null' then
    null;
  elsif jsonb_typeof(p_answer -> 'value') <> 'string' then
    reason := 'the value is not a text';
  else
    value := btrim(regexp_replace(p_answer ->> 'value', '\s+', ' ', 'g'));
    if lower(btrim(value, ' ."''-')) in
      ('', 'null', 'none', 'n/a', 'na', 'nil', 'undefined', 'unknown', 'not specified') then
      reason := 'the value says that there is none';
    elsif length(value) > v_longest then
      reason := format('longer than %s characters', v_longest);
    elsif v_allowed is not null and lower(value) <> all (v_allowed) then
      reason := 'not one of ' || array_to_string(v_allowed, ', ');
    elsif not exists (
      select from jsonb_array_elements(case jsonb_typeof(p_answer -> 'evidence')
        when 'array' then p_answer -> 'evidence' else '[]' end) as e (id)
      where e.id #>> '{}' = any(p_standing)) then
      reason := 'no evidence that still stands';
    elsif v_allowed is not null then
      value := lower(value);
    end if;
  end if;
  if reason is not null then
    value := null;
  end if;
  return next;
end
$$;

comment on function public.profile_value(text, jsonb, text[]) is
  'One field of an answer: the value to take, or the reason why it is refused, or neither where '
  'nothing was nominated. p_standing: the short ids whose messages stand as they were shown.';

create function public.apply_profile(subject text, context jsonb, answer jsonb, options jsonb)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_most_notes constant integer := 4000;
  v_profile_fields constant text[] := array['sport', 'goal', 'experience', 'notes'];
  v_user_id uuid;
  v_standing text[];
  v_profile public.user_profiles;
  v_preferences public.user_preferences;
  v_field text;
  v_notes text;
  v_reason text;
  v_set jsonb;
  v_refused jsonb;
  v_new_profile boolean := false;
  v_new_preferences boolean := false;
  v_row jsonb;
  v_rows jsonb := '[]'::jsonb;
begin
  -- The user's row is held, so that nobody deletes the user between here and the commit.
  select u.id into v_user_id
  from public.users as u
  where u.id::text = apply_profile.subject and u.deleted_at is null
  for key share;
  if not found then
    return jsonb_build_object('applied', '[]'::jsonb, 'refused', '{}'::jsonb,
      'note', 'the user is gone');
  end if;

  select coalesce(array_agg(c.key), '{}') into v_standing
  from jsonb_each(apply_profile.context) as c
  join public.messages as m
    on m.id = (c.value ->> 'id')::uuid
    and m.user_id = v_user_id
    and m.deleted_at is null
    and extract(epoch from m.updated_at)::text = c.value ->> 'version';

  select
    coalesce(jsonb_object_agg(f.field, v.value) filter (where v.value is not null), '{}'),
    coalesce(jsonb_object_agg(f.field, v.reason) filter (where v.reason is not null), '{}')
  into v_set, v_refused
  from unnest(array['tone', 'mode'] || v_profile_fields) as f (field)
  cross join lateral
    public.profile_value(f.field, apply_profile.answer -> f.field, v_standing) as v;

  if v_set ?| v_profile_fields then
    insert into public.user_profiles (user_id) values (v_user_id) on conflict do nothing;
    v_new_profile := found;
  end if;
  if v_set ?| array['tone', 'mode'] then
    insert into public.user_preferences (user_id) values (v_user_id) on conflict do nothing;
    v_new_preferences := found;
  end if;
  select * into v_profile from public.user_profiles as p where p.user_id = v_user_id for update;
  select * into v_preferences
  from public.user_preferences as p where p.user_id = v_user_id for update;

  -- Only now, with the rows held: what the user set, and what is noted already.
  for v_field in select jsonb_object_keys(v_set) loop
    v_reason := null;
    if 'user' in (v_profile.set_by ->> v_field, v_preferences.set_by ->> v_field) then
      v_reason := 'the user set it';
    elsif v_field = 'notes' then
      v_notes := concat_ws(e'\n', v_profile.notes, '- ' || (v_set ->> 'notes'));
      if exists (
        select from regexp_split_to_table(v_profile.notes, '\n') as n (line)
        where lower(btrim(n.line, '- ')) = lower(btrim(v_set ->> 'notes', '- '))) then
        v_reason := 'noted already';
      elsif length(v_notes) > v_most_notes then
        v_reason := format('the notes would be longer than %s characters', v_most_notes);
      else
        v_set := v_set || jsonb_build_object('notes', v_notes);
      end if;
    end if;
    if v_reason is not null then
      v_set := v_set - v_field;
      v_refused := v_refused || jsonb_build_object(v_field, v_reason);
    end if;
  end loop;

  update public.user_profiles as p
  set sport = coalesce(v_set ->> 'sport', p.sport),
    goal = coalesce(v_set ->> 'goal', p.goal),
    experience = coalesce(v_set ->> 'experience', p.experience),
    notes = coalesce(v_set ->> 'notes', p.notes),
    set_by = p.set_by || (
      select coalesce(jsonb_object_agg(k, 'model'), '{}')
      from jsonb_object_keys(v_set - array['tone', 'mode']) as k)
  where p.user_id = v_user_id and v_set ?| v_profile_fields
  returning to_jsonb(p) into v_row;
  if found then
    v_rows := v_rows || jsonb_build_object('table', 'public.user_profiles',
      'before', case when not v_new_profile then to_jsonb(v_profile) end, 'after', v_row);
  end if;
  update public.user_preferences as p
  set tone = coalesce(v_set ->> 'tone', p.tone),
    mode = coalesce(v_set ->> 'mode', p.mode),
    set_by = p.set_by || (
      select coalesce(jsonb_object_agg(k, 'model'), '{}')
      from jsonb_object_keys(v_set) as k where k in ('tone', 'mode'))
  where p.user_id = v_user_id and v_set ?| array['tone', 'mode']
  returning to_jsonb(p) into v_row;
  if found then
    v_rows := v_rows || jsonb_build_object('table', 'public.user_preferences',
      'before', case when not v_new_preferences then to_jsonb(v_preferences) end, 'after', v_row);
  end if;

  return jsonb_build_object(
    'applied', (select coalesce(jsonb_agg(k order by k), '[]') from jsonb_object_keys(v_set) as k),
    'refused', v_refused,
    'changes', (
      select coalesce(jsonb_agg(jsonb_build_object('op', 'set', 'outcome', 'refused',
        'keys', jsonb_build_array(r.key), 'reason', r.value) order by r.key), '[]')
      from jsonb_each_text(v_refused) as r)
      || case when v_set <> '{}' then jsonb_build_object('op', 'set', 'outcome', 'applied',
        'keys', (select jsonb_agg(k order by k) from jsonb_object_keys(v_set) as k), 'rows', v_rows)
      else '[]' end);
end
$$;

comment on function public.apply_profile(text, jsonb, jsonb, jsonb) is
  'apply of analyze_profile (S0-14, S0-15): field by field, a value with evidence that still '
  'stands is taken; null never overwrites; what the user set stays; notes are appended once, up to '
  '4,000 characters. Returns {applied: [field], refused: {field: reason}}, no value.';
