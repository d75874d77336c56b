-- Forty users who have chatted: old sessions of a few messages, one long one each for some, and one of today.
-- Each message has a word of its own.
\set ON_ERROR_STOP on
begin;
insert into public.users (name) select 'user ' || i from generate_series(1, 40) as i;
create sequence public.word;
create function public.say(who uuid, at timestamptz, count integer, more text default '') returns void language sql
begin atomic
  insert into public.messages (user_id, content, created_at)
  select who, 'm' || nextval('public.word') || more, at + i * interval '1 minute' from generate_series(1, count) as i;
end;
select count(public.say(u.id, now() - d * interval '10 days', 4))
from public.users as u, generate_series(1, 6) as d;
select count(public.say(u.id, now() - interval '90 days', 45, ' ' || repeat('x', 1990)))
from (select id from public.users order by id limit 8) as u;
select count(public.say(u.id, now() - interval '1 hour', 2)) from public.users as u;
create table public.said as select id, content, created_at from public.messages;
-- Somebody writes where a model is asked just now: what is said late, and what is edited.
create view public.asked as
select m.* from public.messages as m
where m.user_id::text in (select t.subject from maintenance.task as t where t.state = 'leased')
  and m.created_at < now() - interval '7 days';
create function public.write(count integer) returns void language sql
begin atomic
  with old as (
    select m.user_id, m.created_at from public.asked as m order by random() limit count
  ), late as (
    insert into public.messages (user_id, content, created_at)
    select user_id, 'm' || nextval('public.word'), created_at + interval '10 seconds' from old
    returning id, content, created_at
  )
  insert into public.said select * from late;
  with edited as (
    update public.messages as m set content = 'm' || nextval('public.word')
    where m.id in (select o.id from public.asked as o order by random() limit count)
    returning id, content
  )
  update public.said as s set content = e.content from edited as e where s.id = e.id;
end;

-- Where each message is: in its table, or in the ledger as one that was archived.
create view public.archived as
select (r.row #>> '{before,id}')::uuid as id, r.row #>> '{before,content}' as content, c.change_id
from maintenance.change as c
cross join lateral jsonb_array_elements(c.rows) as r (row)
where c.outcome = 'applied' and c.undoes is null and r.row ->> 'table' = 'public.messages'
  and not exists (select from maintenance.change as u where u.undoes = c.change_id);
create view public.summary as
select c.change_id, a.summary, a.message_count, a.id as archived_id
from maintenance.change as c
cross join lateral jsonb_array_elements(c.rows) as r (row)
left join public.archived_sessions as a on a.id = (r.row #>> '{after,id}')::uuid
where c.outcome = 'applied' and c.undoes is null and r.row ->> 'table' = 'public.archived_sessions'
  and not exists (select from maintenance.change as u where u.undoes = c.change_id);

-- What is wrong; nothing at any moment.
create function public.wrong() returns text language sql stable
begin atomic
  select string_agg(w.what, ', ') from (
    select format('%s messages lost', count(*)) as what from public.said as s
    where not exists (select from public.messages as m where m.id = s.id)
      and not exists (select from public.archived as a where a.id = s.id)
    having count(*) > 0
    union all
    select format('%s messages deleted and kept', count(*)) from public.archived as a
    join public.messages as m using (id) having count(*) > 0
    union all
    select format('%s messages archived twice', count(*) - count(distinct id)) from public.archived
    having count(*) > count(distinct id)
    union all
    select format('%s messages archived as they were not', count(*)) from public.archived as a
    join public.said as s using (id) where s.content <> a.content having count(*) > 0
    union all
    select format('%s messages of today archived', count(*)) from public.archived as a
    join public.said as s using (id) where s.created_at > now() - interval '2 hours' having count(*) > 0
    union all
    select format('%s messages without a word in a summary', count(*)) from public.archived as a
    left join public.summary as s using (change_id)
    where s.summary !~ ('\m' || substring(a.content from '^m\d+') || '\M') or s.summary is null having count(*) > 0
    union all
    select format('archived_sessions stand for %s messages, and %s are archived', sum(message_count),
      (select count(*) from public.archived)) from public.summary
    having sum(message_count) <> (select count(*) from public.archived)
    union all
    select 'a summary without an entry in the ledger' where
      (select count(*) from public.archived_sessions) <> (select count(archived_id) from public.summary)
  ) as w;
end;
commit;
