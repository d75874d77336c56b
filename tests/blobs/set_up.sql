-- Thirty users with old chats, to each message of which something is attached, and with uploads of all ages; of the
-- uploads some are shared. Each blob is a file f1, f2 and so on.
\set ON_ERROR_STOP on
begin;
create sequence public.file;
create table public.given (url text); -- a sequence leaves numbers out when its server is killed
insert into public.users (name, is_guest) select 'user ' || i, i % 10 = 0 from generate_series(1, 30) as i;
create function public.attach(count integer) returns void language sql
begin atomic
  with made as (
    insert into public.attachments (user_id, blob_url, created_at)
    select u.id, 'f' || nextval('public.file'), now() - random() * interval '9 days'
    from (select id, row_number() over (order by random()) as nr from public.users where deleted_at is null) as u
    where u.nr <= count
    returning blob_url
  )
  insert into public.given select blob_url from made;
end;
-- As an application does that forwards: another row for the same blob.
create function public.copy_some(count integer) returns void language sql
begin atomic
  insert into public.attachments (user_id, blob_url, created_at)
  select a.user_id, a.blob_url, now() from public.attachments as a order by random() limit count;
end;
-- One after the other, so that nobody waits for each other.
create procedure public.delete_some(count integer) language plpgsql as $$
begin
  for i in 1 .. count loop
    delete from public.attachments where id = (select id from public.attachments order by random() limit 1);
    commit;
    delete from public.messages where i % 2 = 0 and id = (select id from public.messages order by random() limit 1);
    commit;
  end loop;
end $$;
create function public.chat(count integer) returns void language sql
begin atomic
  with said as (
    insert into public.messages (user_id, content, created_at)
    select u.id, 'm' || i, now() - d.days * interval '1 day' + i * interval '1 minute'
    from (select id from public.users where not is_guest and deleted_at is null order by random() limit count) as u
    cross join lateral (select 10 + random() * 50 as days where u.id is not null) as d
    cross join generate_series(1, 3) as i
    returning id
  ), made as (
    insert into public.attachments (message_id, blob_url, created_at)
    select id, 'f' || nextval('public.file'), now() from said
    returning blob_url
  )
  insert into public.given select blob_url from made;
end;
-- The days of recovery are over for some of what was archived.
create function public.forget_some() returns void language sql
begin atomic
  update maintenance.change set created_at = created_at - interval '8 days'
  where change_id in (select change_id from maintenance.change where deletes and forgotten_at is null
    and created_at > now() - interval '1 day' order by random() limit 5);
end;

-- What has to be in the store: the blobs of rows, and those that an undo would bring a row back for.
create view public.needed as
select a.blob_url as url from public.attachments as a
union
select r.row #>> '{before,blob_url}'
from maintenance.change as c
cross join lateral jsonb_array_elements(c.rows) as r (row)
where c.deletes and c.forgotten_at is null and r.row ->> 'table' = 'public.attachments'
  and not exists (select from maintenance.change as u where u.undoes = c.change_id);
-- And what may still be there.
create view public.known as
select url from public.needed union select url from maintenance.blob;
commit;
