-- S3-11, S3-12, S3-16: what others see of a patch job while it meets other writers; and any mixture of writers.
-- Committing, in a database of its own. Other sessions are dblink connections.
\set QUIET on
set client_min_messages = error;
create extension pgtap;
select plan(17);
\ir connect.psql
\ir ../sql/reference/companion/companion.psql

-- Each attempt at the first conversation waits for one of two gates, by turns, and says by a sequence which attempt it
-- is. So it is known what has been committed before it, however slow the machine is.
create sequence public.attempt;
create function public.wait_at_gate() returns trigger language plpgsql as $$
declare v_gate integer := nextval('public.attempt') % 2;
begin
  while not pg_try_advisory_xact_lock_shared(4711, v_gate) loop
    perform pg_sleep(0.01);
  end loop;
  return new;
end $$;
create trigger a_gate before update on public.conversation_states
for each row when (old.conversation_id = '00000000-0000-0000-0000-000000000011')
execute function public.wait_at_gate();
create function pg_temp.close_gates() returns text language sql as $$
  select setval('public.attempt', 1, false)::text || pg_advisory_lock(4711, 0) || pg_advisory_lock(4711, 1) $$;
create procedure pg_temp.arrive(attempt integer) language plpgsql as $$
begin
  call pg_temp.wait_for(format('(select is_called and last_value = %s from public.attempt)', attempt));
end $$;
-- Lets an attempt pass, with the gate behind it closed.
create function pg_temp.pass(attempt integer) returns text language sql as $$
  select pg_advisory_unlock(4711, attempt % 2)::text $$;
create table public.seen (nr serial, job text);
create procedure pg_temp.watch(attempts integer) language plpgsql as $$
begin
  for i in 1 .. attempts loop
    call pg_temp.arrive(i);
    insert into public.seen (job)
    select concat_ws(' ', j.status, j.attempts) from public.patch_jobs as j
    where j.conversation_id = '00000000-0000-0000-0000-000000000011';
    if i > 1 then
      perform pg_advisory_lock(4711, (i - 1) % 2);
    end if;
    exit when i = attempts;
    perform pg_temp.pass(i);
    commit;
  end loop;
end $$;
select pg_temp.meet('conversation', 5), pg_temp.turn(11, 1, age => '2 hours'), pg_temp.turn(13, 1),
  pg_temp.close_gates()
\g /dev/null
select clock_timestamp() as began \gset
select dblink_send_query('other', $$call maintenance.run_job('apply_patch_jobs', '{}')$$) \g /dev/null
call pg_temp.watch(5);
select is((select string_agg(job, ', ' order by nr) from public.seen),
  'processing 0, processing 1, processing 2, processing 3, processing 4',
  'S3-11: others see it processing, with each attempt');
select pg_advisory_unlock_all() \g /dev/null
call pg_temp.wait_for($$not exists (select from public.patch_jobs where status in ('pending', 'processing'))$$);
select is((select string_agg(concat_ws(' ', status, attempts), ', ' order by conversation_id) from public.patch_jobs),
  'failed 5, done 0', 'S3-12: then failed, and the next one done');
select cmp_ok(clock_timestamp() - :'began', '>=', interval '1.2 seconds', 'S3-11, C-22: after 80, 160, 320 and 640 ms');
select is((select (r::jsonb #> '{data,details}') - 'locked'::text from dblink_get_result('other') as d (r text)),
  '{"ok": true, "processed": 2, "ok_count": 1, "failed_count": 1}',
  'S3-15, S3-21: by hand it says what the receipt has');
select from dblink_get_result('other', false) as d (r text) \g /dev/null
select is((select details - 'locked'::text from maintenance.run_history where job_name = 'apply_patch_jobs'),
  '{"ok": true, "processed": 2, "ok_count": 1, "failed_count": 1}', 'S3-15: and so has the receipt');

-- S3-16: a session that is killed between two attempts.
delete from public.patch_jobs;
truncate public.seen;
select pg_temp.meet('conversation', 2), pg_temp.turn(11, 2), pg_temp.close_gates() \g /dev/null
select dblink_send_query('other', $$call maintenance.run_job('apply_patch_jobs')$$) \g /dev/null
call pg_temp.watch(3);
select pg_terminate_backend(backend_pid) from maintenance_internal.run where status = 'running' \g /dev/null
call pg_temp.wait_for($$not exists (select from pg_stat_activity as a join maintenance_internal.run as r
  on r.backend_pid = a.pid where r.status = 'running')$$);
select dblink_disconnect('other'), pg_advisory_unlock_all() \g /dev/null
select is((select status || ' ' || attempts from public.patch_jobs), 'processing 2',
  'S3-16: what a dead worker was at');
call maintenance.run_job('apply_patch_jobs');
select is((select status || ' ' || attempts from public.patch_jobs), 'processing 2',
  '... is left alone for ten minutes');
update public.patch_jobs set locked_at = now() - interval '11 minutes';
call maintenance.run_job('apply_patch_jobs');
select is((select status || ' ' || attempts from public.patch_jobs), 'done 3',
  'S3-16: then a later run does it, and it has cost an attempt');
select is(pg_temp.states(11), '2 [2] 2 2', '... once');
drop trigger a_gate on public.conversation_states;

-- A lock that lasts, on a state or on the job itself, is no fault of the job: it counts for nothing, and stops nobody.
\ir connect.psql
delete from public.patch_jobs;
select pg_temp.turn(11, 3, age => '3 hours'), pg_temp.turn(12, 3, age => '2 hours'), pg_temp.turn(13, 3) \g /dev/null
select dblink_exec('third', 'begin'),
  dblink_exec('third', $$update public.conversation_states set version = version
    where conversation_id = '00000000-0000-0000-0000-000000000011'$$),
  dblink_exec('third', $$update public.patch_jobs set attempts = 0
    where conversation_id = '00000000-0000-0000-0000-000000000012'$$) \g /dev/null
call maintenance.run_job('apply_patch_jobs');
select is((select details from maintenance.run_history where job_name = 'apply_patch_jobs'
    order by run_id desc limit 1),
  '{"ok": true, "processed": 1, "ok_count": 1, "failed_count": 0, "locked": 1}',
  'a state that is locked is told, and a job that is locked is left');
select is((select string_agg(concat_ws(' ', status, attempts), ', ' order by conversation_id) from public.patch_jobs),
  'pending 0, pending 0, done 0', '... as it was, and the others are done');
select dblink_exec('third', 'commit') \g /dev/null
call maintenance.run_job('apply_patch_jobs');
select is((select string_agg(concat_ws(' ', status, attempts), ', ' order by conversation_id) from public.patch_jobs),
  'done 0, done 0, done 0', 'the next run does it');

-- Any mixture of writers: three sessions at once, of which one runs the job, and two write as an application does, a
-- hundred times each, by versions. Each adds its name to one list and changes what does not commute: one after the
-- other in the order of the list, all of them give the same state.
\ir connect.psql
delete from public.patch_jobs;
select pg_temp.meet('conversation', 3) \g /dev/null
alter table public.conversation_states disable trigger meet;
update public.conversation_states set state = '{}';
update public.conversation_states set version = 1;
alter table public.conversation_states enable trigger meet;
update public.character_states set state = '{}';
create function public.write_by(name text, state jsonb) returns jsonb language sql immutable as $$
  select state || jsonb_build_object('ledger', coalesce(state -> 'ledger', '{}') || jsonb_build_object('event_log',
      coalesce(state #> '{ledger,event_log}', '[]') || jsonb_build_array(name)),
    'number', coalesce((state ->> 'number')::numeric, 0) * 3 % 10007 + length(name)) $$;
create procedure public.write_often(name text, times integer) language plpgsql as $$
declare v_row public.conversation_states;
begin
  for i in 1 .. times loop
    loop
      select * into v_row from public.conversation_states
      where conversation_id = '00000000-0000-0000-0000-000000000011';
      perform pg_sleep(random() * 0.004);
      update public.conversation_states set version = version + 1, state = public.write_by(name || i, v_row.state)
      where conversation_id = v_row.conversation_id and version = v_row.version;
      exit when found;
    end loop;
    commit;
  end loop;
end $$;
-- Patches move an axis up and down: clamped, so that the order matters.
create temporary table made as
select i, pg_temp.turn(11, i, jsonb_build_object(
  'ledger_patch', jsonb_build_object('event_log_add', jsonb_build_array(format('patch%s', i)),
    'inventory_delta', jsonb_build_array(jsonb_build_object('key', 'coin', 'delta', i % 7 - 3))),
  'plot_board_patch', jsonb_build_object('experience_axes_delta', jsonb_build_object('risk', (i % 5 - 2) * 0.15))))
from generate_series(1, 60) as i;
select maintenance.configure_job('apply_patch_jobs', batch_size => 50) \g /dev/null
select dblink_send_query('other', $$call public.write_often('alpha', 50)$$),
  dblink_send_query('third', $$call public.write_often('be', 50)$$) \g /dev/null
create procedure pg_temp.run_often() language plpgsql as $$
declare v_result jsonb;
begin
  for i in 1 .. 40 loop
    call maintenance.run_job('apply_patch_jobs', v_result);
    exit when not exists (select from public.patch_jobs where status <> 'done');
  end loop;
end $$;
call pg_temp.run_often();
select from dblink_get_result('other') as d (r text) \g /dev/null
select from dblink_get_result('third') as d (r text) \g /dev/null
select is((select count(*) filter (where status = 'done') || ' ' || count(*) from public.patch_jobs), '60 60',
  'among writers all patches are applied at last');
select cmp_ok((select sum(attempts) from public.patch_jobs), '>', 0::bigint, '... though they met others');
select is((select jsonb_agg(l order by l) from (select jsonb_array_elements_text(state #> '{ledger,event_log}') as l
    from public.conversation_states where conversation_id = pg_temp.u(11)) as l),
  (select jsonb_agg(l order by l) from (select 'patch' || i from generate_series(1, 60) as i union all
    select n || i from unnest('{alpha,be}'::text[]) as n, generate_series(1, 50) as i) as l (l)),
  'each writer is there once');
select is((select version from public.conversation_states where conversation_id = pg_temp.u(11)), 161,
  'each with a version of its own');
create function pg_temp.replay() returns jsonb language plpgsql as $$
declare v_state jsonb := '{}'; v_name text;
begin
  for v_name in select jsonb_array_elements_text(state #> '{ledger,event_log}') from public.conversation_states
    where conversation_id = pg_temp.u(11) loop
    v_state := case when v_name ~ 'patch' then (select public.apply_patch_to_state(v_state, j.patch, j.id,
  'conversation')
        from public.patch_jobs as j where j.turn_seq = substring(v_name from '\d+')::integer)
      else public.write_by(v_name, v_state) end;
  end loop;
  return v_state;
end $$;
select is((select state from public.conversation_states where conversation_id = pg_temp.u(11)), pg_temp.replay(),
  'and one after the other they give the same state');
select * from finish();
