-- What a summary may do: take the place of exactly the messages that it was made of, and of what is
-- attached to them. The answer is hostile input: it is a text, and never says which messages go.

create function public.apply_archive(subject text, context jsonb, answer jsonb, options jsonb)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_longest constant integer := 4000;
  v_summary constant text := btrim(apply_archive.answer ->> 'summary', e' \t\r\n');
  v_shown constant integer := (apply_archive.context ->> 'shown')::integer;
  v_carry jsonb := coalesce(apply_archive.options -> 'carry', '{}') - 'session';
  v_archived integer := coalesce((v_carry ->> 'archived')::integer, 0);
  v_messages integer := coalesce((v_carry ->> 'messages')::integer, 0);
  v_user_id uuid;
  v_session record;
  v_row public.archived_sessions;
  v_attachments jsonb;
  v_rows jsonb;
begin
  if jsonb_typeof(apply_archive.answer -> 'summary') is distinct from 'string'
    or public.says_nothing(v_summary) then
    raise exception 'the summary is empty' using errcode = 'PM018';
  elsif length(v_summary) > v_longest then
    raise exception 'the summary has % characters, more than %', length(v_summary), v_longest
      using errcode = 'PM018';
  end if;

  -- The user is held, so that nobody deletes it before the commit; then the messages, so that
  -- what is compared is what is deleted.
  select u.id into v_user_id
  from public.users as u
  where u.id::text = apply_archive.subject and u.deleted_at is null
  for key share;
  if not found then
    return jsonb_build_object('archived', v_archived, 'messages', v_messages,
      'note', 'the user is gone');
  end if;
  select * into v_session from public.next_session(v_user_id);
  if v_shown >= cardinality(v_session.ids) then
    perform from public.messages as m where m.id = any (v_session.ids) order by m.id for update;
    select * into v_session from public.next_session(v_user_id);
  end if;
  if v_session.digest is distinct from apply_archive.context ->> 'digest' then
    raise exception 'the session has changed since it was shown' using errcode = 'PM027';
  end if;
  if v_shown < cardinality(v_session.ids) then
    return jsonb_build_object('archived', v_archived, 'messages', v_messages, 'continue', true,
      'carry', v_carry || jsonb_build_object('session', jsonb_build_object(
        'digest', v_session.digest, 'shown', v_shown, 'summary', v_summary,
        'room', apply_archive.context -> 'room')));
  end if;

  insert into public.archived_sessions as a (user_id, started_at, ended_at, summary, message_count)
  values (v_user_id, v_session.started_at, v_session.ended_at, v_summary,
    cardinality(v_session.ids))
  returning a.* into v_row;
  -- An undo begins with the last: the messages, the oldest first, and then what belongs to them.
  with gone as (
    delete from public.attachments as a where a.message_id = any (v_session.ids) returning a.*
  )
  select coalesce(jsonb_agg(jsonb_build_object('table', 'public.attachments',
    'before', to_jsonb(g), 'after', null) order by g.created_at desc, g.id desc), '[]')
  into v_attachments
  from gone as g;
  with gone as (
    delete from public.messages as m where m.id = any (v_session.ids) returning m.*
  )
  select jsonb_agg(jsonb_build_object('table', 'public.messages', 'before', to_jsonb(g),
    'after', null) order by g.created_at desc, g.id desc)
  into v_rows
  from gone as g;
  if jsonb_array_length(v_rows) is distinct from cardinality(v_session.ids) then
    raise exception 'not all messages of the session could be deleted' using errcode = 'PM027';
  end if;
  v_archived := v_archived + 1;
  v_messages := v_messages + cardinality(v_session.ids);

  return jsonb_build_object(
      'archived', v_archived,
      'messages', v_messages,
      -- It is gone, and asked about anew where an undo brings it back.
      'input_hash', 'archived',
      'changes', jsonb_build_array(jsonb_build_object('op', 'archive', 'outcome', 'applied',
        'keys', jsonb_build_array(v_session.started_at, v_session.ended_at),
        'rows', jsonb_build_object('table', 'public.archived_sessions', 'before', null,
          'after', to_jsonb(v_row)) || v_attachments || v_rows)))
    || case when (select n.digest from public.next_session(v_user_id) as n) is not null
      then jsonb_build_object('continue', true, 'carry',
        jsonb_build_object('archived', v_archived, 'messages', v_messages))
      else '{}' end;
end
$$;

comment on function public.apply_archive(text, jsonb, jsonb, jsonb) is
  'apply of archive_session (S0-20, S0-21): in one transaction the summary becomes an archived '
  'session, and exactly the messages that were shown are deleted, with what is attached to them, '
  'into the ledger; of a long session the next part follows, and after it the user''s next '
  'session. Returns {archived, messages}, of all that the task did so far. Errors: PM018 the '
  'summary is empty, or longer than 4,000 characters; PM027 the session has changed since it was '
  'shown: it is asked for again.';
