-- C-046: what a viewer can read of an error names constraints and tables, and never a row's values;
-- the owner finds the whole in one place, maintenance_internal.run.error_detail.
begin;
create extension pgtap;
select plan(16);

create table public.person (email text primary key, at timestamptz, age text, checked integer check (checked < 10));
create table public.bill (id int, email text references public.person);
insert into public.person values ('anna@example.org', now() - interval '9 days', 'anna-is-old', 9),
  ('ben@example.org', now() - interval '9 days', '7', 1);
insert into public.bill values (1, 'anna@example.org');

-- All that a viewer can read, as one text.
create function pg_temp.seen() returns text language plpgsql as $$
declare v text := ''; v_part text; v_call text;
begin
  foreach v_call in array array[
    'select string_agg(s::text, '' '') from public.maintenance_status as s',
    'select string_agg(s::text, '' '') from maintenance.run_history as s',
    'select string_agg(s::text, '' '') from maintenance.job_status as s',
    'select string_agg(s::text, '' '') from maintenance.lint() as s',
    'select string_agg(j.job_name || (select p::text from maintenance.preview(j.job_name) as p), '' '') from '
      'maintenance.job_status as j where kind = ''policy'''] loop
    begin
      execute v_call into v_part;
    exception when others then
      get stacked diagnostics v_part = message_text;
    end;
    v := v || v_part;
  end loop;
  return v;
end $$;
create role some_viewer in role maintenance_viewer;
grant usage on schema public to some_viewer;
grant some_viewer to current_user;
create function pg_temp.leaks(word text) returns boolean language plpgsql as $$
declare v boolean;
begin
  set local role some_viewer;
  v := pg_temp.seen() ~ word;
  reset role;
  return v;
end $$;

-- A foreign key.
select maintenance.set_policy('person', target => 'public.person', action => 'delete', age => 'at', keep => '7 days');
select is(maintenance.run_now('person') ->> 'message',
  'person failed: SQLSTATE 23503, constraint bill_email_fkey of table bill',
    'the message of a foreign key error names the constraint and its table');
select is((select string_agg(email, ' ') from public.person), 'anna@example.org',
  'a row that a foreign key holds stays, and the other due row goes');
select ok(not pg_temp.leaks('anna'), 'a viewer cannot read a value of a row that a foreign key holds');
select is((select error_detail #>> '{rows,0,email}' from maintenance_internal.run), 'anna@example.org',
  'the owner finds the key of a refused row in error_detail');
select throws_ok('set local role some_viewer; select error_detail from maintenance_internal.run', '42501', null,
  'a viewer cannot read the table of the receipts');
reset role;

-- A trigger that raises with the row in its message, whatever SQLSTATE it takes.
delete from public.bill;
create function public.talk() returns trigger language plpgsql as $$ begin raise exception 'no: %', old.email
  using errcode = tg_argv[0]; end $$;
create function pg_temp.talks(state text) returns text language plpgsql as $$
begin
  execute format('create or replace trigger talk before delete on public.person for each row execute function '
    'public.talk(%L)', state);
  return (maintenance.run_now('person') ->> 'message') || case when pg_temp.leaks('anna') then ' LEAK' else '' end;
end $$;
select is(pg_temp.talks(s), 'person failed: SQLSTATE ' || s, 'no value of a row is shown for a trigger that raises '
  || s)
  from unnest(array['P0001', '42501', '23514', '53100', '22023']) as s;
create or replace function public.talk() returns trigger language plpgsql as $$ begin execute 'select ' || old.email;
  return old; end $$;
select is(pg_temp.talks('x'), 'person failed: SQLSTATE 42703',
  'a failed statement made of a row''s values is not quoted');
update public.person set email = 'anna''s';
select is(pg_temp.talks('x'), 'person failed: SQLSTATE 42601',
  'a statement made of a row''s values that is a syntax error is not quoted');
update public.person set email = 'anna@example.org';
drop trigger talk on public.person;

-- A check, and a cast in the rule itself.
select maintenance.set_policy('grow', target => 'public.person', action => 'update', age => 'at', keep => '7 days',
  matching => 'checked < 10', assign => 'checked = checked + 1, at = now()');
select is(maintenance.run_now('grow') ->> 'message',
  'grow failed: SQLSTATE 23514, constraint person_checked_check of table person',
    'the message of a check violation names the constraint and its table');
select maintenance.drop_job('grow');
select maintenance.set_policy('person', target => 'public.person', action => 'delete', age => 'at', keep => '7 days',
  matching => 'age::integer > 5');
select is(maintenance.run_now('person') ->> 'message', 'person failed: SQLSTATE 22P02',
  'a cast that fails says no value');
select ok(not pg_temp.leaks('anna'), 'no view, lint or preview shows a viewer the value of a cast that fails');
select throws_ok($$select maintenance.preview('person')$$, '22P02',
  'the rule of "person" cannot be read: SQLSTATE 22P02', 'preview reports a cast that fails by its SQLSTATE');
select * from finish();
rollback;
