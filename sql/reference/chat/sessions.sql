-- Chats of a user: messages with no more than 15 minutes between two of them, over all of their
-- conversations; and until when they are old enough to be archived. Rules S0-16 to S0-19.

-- The last message of each session is found first. In the order of the index, and that of the view
-- is the same, a session is known with its last message and the next: the oldest one costs no more.
create view public.chat_sessions as
select
  e.user_id,
  coalesce(lag(e.next_at) over w, e.first_at) as started_at,
  e.created_at as ended_at,
  e.nr - coalesce(lag(e.nr) over w, 0) as message_count
from (
  select
    m.user_id,
    m.created_at,
    lead(m.created_at) over v as next_at,
    first_value(m.created_at) over v as first_at,
    row_number() over v as nr
  from public.messages as m
  where m.deleted_at is null and m.user_id is not null and isfinite(m.created_at)
  window v as (partition by m.user_id order by m.created_at, m.id)
) as e
where e.next_at is null or e.next_at - e.created_at > interval '15 minutes'
window w as (partition by e.user_id order by e.created_at)
order by e.user_id, e.created_at;

comment on view public.chat_sessions is
  'The chat sessions of users (S0-18): a pause of more than 15 minutes begins a new one, over all '
  'of their messages that are not deleted.';
comment on column public.chat_sessions.user_id is 'whose';
comment on column public.chat_sessions.started_at is 'its first message';
comment on column public.chat_sessions.ended_at is 'its last message, so far';
comment on column public.chat_sessions.message_count is 'how many messages it has';

create function public.archive_until(user_id uuid)
returns timestamptz
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now constant timestamptz := maintenance_internal.clock();
  v_days constant integer := public.retention_days(archive_until.user_id, 'session');
begin
  return case when v_days is not null then least(v_now - v_days * interval '24 hours',
    v_now - interval '24 hours' - interval '1 microsecond') end;
end
$$;

comment on function public.archive_until(uuid) is
  'The sessions of a user that ended up to then are archived: at their days of retention, and '
  'more than 24 hours ago in any case (S0-17, S0-19). Null where nothing is.';

create view public.archivable_sessions as
select s.user_id, s.started_at, s.ended_at, s.message_count
from public.users as u
cross join lateral (select public.archive_until(u.id) as until offset 0) as l
join public.chat_sessions as s on s.user_id = u.id and s.ended_at <= l.until
where u.deleted_at is null;

comment on view public.archivable_sessions is
  'The sessions that are old enough to be archived (S0-19), each of them as a whole. The nightly '
  'job leaves those of guests alone (S0-03), those that were given up, and those that an undo has '
  'brought back of late; they are here all the same.';
comment on column public.archivable_sessions.user_id is 'whose';
comment on column public.archivable_sessions.started_at is 'its first message';
comment on column public.archivable_sessions.ended_at is 'its last message';
comment on column public.archivable_sessions.message_count is 'how many messages it has';

create function public.next_session(
  user_id uuid,
  out started_at timestamptz,
  out ended_at timestamptz,
  out ids uuid[],
  out digest text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
-- It stops at the first: by the index, and not by all that it finds there.
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
declare
  v_most constant integer := 10000;
  v_most_bytes constant integer := 8 * 1024 * 1024;
  v_subject constant text := next_session.user_id::text;
  v_until constant timestamptz := public.archive_until(next_session.user_id);
  v_given_up constant text[] :=
    array(select maintenance_internal.given_up('archive_session', v_subject));
  -- What was brought back counts as new from then on.
  v_back constant tstzmultirange := (
    select range_agg(tstzrange(k.keys[1]::timestamptz, k.keys[2]::timestamptz, '[]'))
    from maintenance_internal.undone_keys('archive_session', v_subject) as k
    where k.undone_at > v_until);
  v_session record;
begin
  for v_session in
    select s.started_at, s.ended_at from public.chat_sessions as s
    where s.user_id = next_session.user_id
    order by s.ended_at
  loop
    exit when v_until is null or v_session.ended_at > v_until;
    continue when v_back && tstzrange(v_session.started_at, v_session.ended_at, '[]');
    select min(p.created_at), max(p.created_at), array_agg(p.id order by p.nr),
      encode(sha256(string_agg(p.id || ' ' || p.version, e'\n' order by p.nr)::bytea), 'hex')
    into started_at, ended_at, ids, digest
    from (
      select m.id, m.created_at, extract(epoch from m.updated_at) as version,
        row_number() over w as nr, sum(octet_length(m.content)) over w as bytes
      from public.messages as m
      where m.user_id = next_session.user_id and m.deleted_at is null
        and m.created_at between v_session.started_at and v_session.ended_at
      window w as (order by m.created_at, m.id)
    ) as p
    where p.nr = 1 or p.nr <= v_most and p.bytes <= v_most_bytes;
    if digest <> all (v_given_up) then
      return;
    end if;
  end loop;
  select null, null, null, null into started_at, ended_at, ids, digest;
end
$$;

comment on function public.next_session(uuid) is
  'The oldest session of a user that is to be archived, but for those that were given up, and '
  'those that an undo has brought back within the days of retention: its messages in order, and a '
  'digest of them and their versions. Of a huge one the first 10,000 messages, or 8 MB. Null '
  'where there is none.';
