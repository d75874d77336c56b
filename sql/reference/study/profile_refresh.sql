-- A student in 200 characters, computed from topics and from what the student did: no model is
-- asked. Rule S2-12.
--
--   strong topic   completed, and revised three times or more
--   weak topic     pending, and hard
--   Blocks         of the blocks of 30 days (activity block_completed, block_missed) those that
--                  were completed, in percent
--   Acc            of the questions of 30 days (activity quiz, details {correct, total}) those that
--                  were answered right, in percent
--   Level          what the student is ready for: hard where more topics are strong than weak, easy
--                  where fewer are

create function public.student_profile(user_id uuid)
returns table (profile_text text, strong_subjects text[], weak_subjects text[])
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  with subject as (
    select left(btrim(regexp_replace(s.name, '[\s,|]+', ' ', 'g')), 30) as name,
      count(*) filter (where t.status = 'completed' and t.revision_count >= 3) as strong,
      count(*) filter (where t.status = 'pending' and t.difficulty = 'Hard') as weak
    from public.subjects as s
    left join public.topics as t on t.subject_id = s.id
    where s.user_id = student_profile.user_id
    group by s.id
  ),
  known as (
    select sum(s.strong) as strong, sum(s.weak) as weak,
      coalesce(array_agg(s.name order by s.strong - s.weak desc, s.name)
        filter (where s.strong > s.weak), '{}') as strong_subjects,
      coalesce(array_agg(s.name order by s.weak - s.strong desc, s.name)
        filter (where s.weak > 0 and s.weak >= s.strong), '{}') as weak_subjects,
      array_agg(s.name order by s.name) as subjects
    from subject as s
    where s.name <> ''
  ),
  activity as (
    select 100.0 * count(*) filter (where a.activity_type = 'block_completed')
        / nullif(count(*) filter (where a.activity_type in ('block_completed', 'block_missed')), 0)
        as blocks,
      100.0 * sum(q.correct) / nullif(sum(q.total), 0) as accuracy
    from public.activity_logs as a
    left join lateral (
      select least(n.correct, n.total) as correct, n.total
      from (
        select substring(a.details ->> 'correct' from '^[0-9]{1,9}$')::numeric as correct,
          substring(a.details ->> 'total' from '^[0-9]{1,9}$')::numeric as total
      ) as n
      where a.activity_type = 'quiz' and n.correct is not null and n.total is not null
    ) as q on true
    where a.user_id = student_profile.user_id
      and a.created_at > maintenance_internal.clock() - interval '30 days'
      and a.created_at <= maintenance_internal.clock()
  ),
  line as (
    select k.strong_subjects, k.weak_subjects, concat_ws(' | ',
      'Blocks:' || round(a.blocks) || '%',
      'Acc:' || round(a.accuracy) || '%',
      'Strong:' || nullif(array_to_string(k.strong_subjects, ','), ''),
      'Weak:' || nullif(array_to_string(k.weak_subjects, ','), ''),
      'Level:' || case when k.strong + k.weak > 0 then case sign(k.strong - k.weak)
        when 1 then 'Hard' when -1 then 'Easy' else 'Medium' end end,
      'Subjects:' || array_to_string(k.subjects, ',')) as text
    from known as k
    cross join activity as a
  )
  -- Names are whole or not there.
  select case when length(l.text) <= 200 then l.text
      else rtrim(regexp_replace(left(l.text, 201), '[,|][^,|]*$', '')) end,
    l.strong_subjects, l.weak_subjects
  from line as l;
end;

comment on function public.student_profile(uuid) is
  'What the profile of a student is by now: a text of 200 characters at most, '
  '"Blocks:80% | Acc:75% | Strong:Maths | Weak:Physics | Level:Medium | Subjects:Maths,Physics", '
  'without what is not known, and the subjects with more strong topics than weak ones, and with '
  'as many weak ones or more (S2-12).';

create function public.profile_refresh_step(batch_size integer)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now constant timestamptz := maintenance_internal.clock();
  v_rows bigint;
begin
  insert into public.student_ai_profile as p
    (user_id, profile_text, strong_subjects, weak_subjects, last_updated)
  select d.user_id, s.profile_text, s.strong_subjects, s.weak_subjects,
    maintenance_internal.moment()
  from (
    select u.id as user_id
    from public.users as u
    where u.deleted_at is null
      and u.id in (
        select a.user_id from public.activity_logs as a
        where a.created_at > v_now - interval '24 hours' and a.created_at <= v_now)
      and not exists (
        select from public.student_ai_profile as o
        where o.user_id = u.id
          and o.last_updated -- each once a run
            between maintenance_internal.run_began() and maintenance_internal.moment())
    order by u.id
    limit profile_refresh_step.batch_size
    for key share of u skip locked
  ) as d
  cross join lateral public.student_profile(d.user_id) as s
  on conflict (user_id) do update
  set profile_text = excluded.profile_text,
    strong_subjects = excluded.strong_subjects,
    weak_subjects = excluded.weak_subjects,
    last_updated = excluded.last_updated;
  get diagnostics v_rows = row_count;
  return v_rows;
end
$$;

comment on function public.profile_refresh_step(integer) is
  'Step of profile_refresh: computes the profiles of students who did something in the last 24 '
  'hours, so many at once, each once a run (S2-12).';

create function public.refresh_student_profiles()
returns integer
language sql
set search_path = pg_catalog, pg_temp
return (maintenance_internal.run_or_raise('profile_refresh') ->> 'rowsAffected')::integer;

comment on function public.refresh_student_profiles() is
  'Computes the profiles of students who did something in the last 24 hours (S2-12), in the '
  'caller''s transaction; how many. Errors: PM008 it failed, PM009 it is running or disabled.';
