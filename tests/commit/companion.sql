-- S3-11, S3-12, S3-16: what others see of a patch job while it meets other writers; and any mixture of writers.
-- Committing, in a database of its own. Other sessions are dblink connections.
\set QUIET on
set client_min_messages = error;
create extension pgtap;
select plan(14);
\ir connect.psql
\ir ../sql/reference/companion/companion.psql

-- All that another session has seen of the first job, and of the next.
create table public.seen (nr serial, job text unique);
select pg_temp.meet('conversation', 5), pg_temp.turn(11, 1, age => '2 hours'), pg_temp.turn(13, 1) \g /dev/null
select clock_timestamp() as began \gset
select dblink_send_query('other', $$call maintenance.run_job('apply_patch_jobs', '{}')$$) \g /dev/null
create procedure pg_temp.watch() language plpgsql as $$
begin
  for i in 1 .. 2000 loop
    insert into public.seen (job)
    select concat_ws(' ', right(conversation_id::text, 2), status, attempts, nullif(conflicts, 0))
    from public.patch_jobs order by conversation_id on conflict do nothing;
    commit;
    exit when not exists (select from public.patch_jobs where status in ('pending', 'processing'));
    perform pg_sleep(0.01);
  end loop;
end $$;
call pg_temp.watch();
select is((select string_agg(job, ', ' order by nr) from public.seen where job ~ '^11 p.*[0-9]' and job !~ 'pending'),
  '11 processing 1 1, 11 processing 2 2, 11 processing 3 3, 11 processing 4 4',
  'S3-11: others see it processing, with each attempt');
select is((select string_agg(job, ', ' order by nr) from public.seen where job ~ 'failed|done'),
  '11 failed 5 5, 13 done 0',
  'S3-12: then failed, and the next one done');
select cmp_ok(clock_timestamp() - :'began', '>=', interval '1.2 seconds', 'S3-11: after 80, 160, 320 and 640 ms');
select is((select (r::jsonb #> '{data,details}') - 'locked'::text from dblink_get_result('other') as d (r text)),
  '{"ok": true, "processed": 2, "ok_count": 1, "failed_count": 1}', 'S3-15: its result has the keys');
select from dblink_get_result('other', false) as d (r text) \g /dev/null
select is((select details - 'locked'::text from maintenance.run_history where job_name = 'apply_patch_jobs'),
  '{"ok": true, "processed": 2, "ok_count": 1, "failed_count": 1}', 'S3-15: and so has the receipt');

-- S3-16: a session that is killed between two attempts.
delete from public.patch_jobs;
select pg_temp.meet('conversation', 3), pg_temp.turn(11, 2) \g /dev/null
select dblink_send_query('other', $$call maintenance.run_job('apply_patch_jobs')$$) \g /dev/null
call pg_temp.wait_for($$exists (select from public.patch_jobs where status = 'processing' and attempts = 2)$$);
select pg_terminate_backend(backend_pid) from maintenance_internal.run where status = 'running' \g /dev/null
call pg_temp.wait_for($$not exists (select from pg_stat_activity as a join maintenance_internal.run as r
  on r.backend_pid = a.pid where r.status = 'running')$$);
select dblink_disconnect('other') \g /dev/null
select is((select status || ' ' || attempts from public.patch_jobs), 'processing 2',
  'S3-16: what a dead worker was at');
call maintenance.run_job('apply_patch_jobs');
select is((select status || ' ' || attempts from public.patch_jobs), 'processing 2',
  '... is left alone for ten minutes');
update public.patch_jobs set locked_at = now() - interval '11 minutes';
select setval('public.met', 100) \g /dev/null
call maintenance.run_job('apply_patch_jobs');
select is((select status || ' ' || attempts from public.patch_jobs), 'done 2', 'S3-16: then a later run does it');
select is(pg_temp.states(11), '2 [2] 2 2', '... once');

-- Any mixture of writers: three sessions at once, of which one runs the job, and two write as an application does, a
-- hundred times each, by versions. Each adds its name to one list and changes what does not commute: one after the
-- other in the order of the list, all of them give the same state.
\ir connect.psql
delete from public.patch_jobs;
update public.conversation_states set state = '{}', version = 1;
update public.character_states set state = '{}', version = 1;
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
