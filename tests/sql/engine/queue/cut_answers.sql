-- T15: an answer that was cut at max_output_tokens is never asked for by the same request.
begin;
create extension pgtap;
select plan(19);
\ir toy.psql
\set QUIET on
-- Shows eight lines, or its share of them.
create function public.lines_prepare(subject text, options jsonb)
returns table (content text, context jsonb, input_hash text, skip_reason text) language sql stable
begin atomic
  select string_agg('line ' || i, e'\n'), '{"version": 1}'::jsonb, 'h', null::text
  from generate_series(1, ceil(8 * coalesce((options ->> 'share')::numeric, 1))) as i;
end;
select maintenance.set_kind('lines', 'Do.', '{"type": "OBJECT", "properties": {"word": {"type": "STRING"}}}',
  'public.word_subjects', 'public.lines_prepare',
  'public.word_apply', max_output_tokens => 1000, max_attempts => 10);
select maintenance.set_kind('word', 'Do.', '{"type": "OBJECT", "properties": {"word": {"type": "STRING"}}}',
  'public.word_subjects', 'public.word_prepare',
  'public.word_apply', max_output_tokens => 40000, max_attempts => 10);
insert into public.word values ('a'), ('b');
create temporary table id (kind text, task_id bigint);
insert into id select k, maintenance.enqueue_task(k, s) from (values ('lines', 'a'), ('word', 'b')) as v (k, s);
-- Asks, has the answer cut, and tells the room that there was and the lines that were shown.
create function pg_temp.cut(kind text, reason text default 'MAX_TOKENS') returns text language plpgsql as $$
declare v_request jsonb; v_task maintenance.task;
begin
  update maintenance.task as t set available_at = case when t.kind = cut.kind then now() else 'infinity' end
  where t.state = 'ready';
  perform maintenance.claim_tasks('me');
  select t.* into v_task from maintenance.task as t join id using (task_id) where id.kind = cut.kind;
  v_request := maintenance.task_request(v_task.task_id, v_task.lease_token);
  if v_request is null then
    return (select t.state || ': ' || t.last_error from maintenance.task as t where t.task_id = v_task.task_id);
  end if;
  perform maintenance.fail_task(v_task.task_id, v_task.lease_token, 'bad_output', 'no text, finish reason ' || reason,
    usage => jsonb_build_object('finishReason', reason, 'promptTokenCount', 9, 'thoughtsTokenCount', 1000));
  return concat_ws(' ', v_request -> 'max_output_tokens', regexp_count(v_request ->> 'content', 'line|Say'));
end $$;
select is(pg_temp.cut('lines', 'OTHER'), '1000 8', 'an answer that fails for another reason');
select is(pg_temp.cut('lines'), '1000 8', '... is asked for by the same request');
select is(pg_temp.cut('lines'), '2000 8', 'one that was cut has twice the room');
select is(pg_temp.cut('lines'), '2000 4', 'then half of the input is shown');
select is(pg_temp.cut('lines'), '2000 2', 'then a quarter');
select is(pg_temp.cut('lines'), '2000 1', 'then an eighth');
select is(pg_temp.cut('lines'),
  'dead: the answer does not fit into 2000 tokens, and prepare shows no less for options.share 0.0625',
  'what cannot be made smaller is given up, unasked');
select is((select count(*) from maintenance.model_call), 6::bigint, 'each request was another one');
select results_eq('select last_class, attempts, halvings from maintenance.task join id using (task_id)
  where id.kind = ''lines''', $$values ('rejected', 6, 4)$$, 'and says so; the first cut cost it nothing');
select is(pg_temp.cut('word'), '40000 1', 'a kind of its own');
select is(pg_temp.cut('word'), '65536 1', 'no model has more room than this');
select matches(pg_temp.cut('word'), '^dead: the answer does not fit into 65536 tokens', 'a prepare without a share');
select maintenance.retry_task(task_id) from id where kind = 'lines';
select is(pg_temp.cut('lines'), '1000 8', 'a revived task begins anew');
-- What was not answered at all says nothing of its size.
create function pg_temp.interrupted(how text) returns text language plpgsql as $$
declare v_request jsonb; v_task maintenance.task;
begin
  update maintenance.task as t set available_at = now() where t.state = 'ready' and t.kind = 'lines';
  perform maintenance.claim_tasks('me', about => '{"kinds": ["lines"]}');
  select t.* into v_task from maintenance.task as t join id using (task_id) where id.kind = 'lines';
  v_request := maintenance.task_request(v_task.task_id, v_task.lease_token);
  if how = 'lost' then
    update maintenance.task set lease_expires_at = now() - interval '1 second' where task_id = v_task.task_id;
    perform maintenance_internal.sweep_leases();
  elsif how = 'released' then
    perform maintenance.release_task(v_task.task_id, v_task.lease_token);
  else
    perform maintenance.fail_task(v_task.task_id, v_task.lease_token, how, 'no');
  end if;
  return concat_ws(' ', v_request -> 'max_output_tokens', (
    select state from maintenance.task where task_id = v_task.task_id));
end $$;
select is(pg_temp.interrupted(how), '2000 ready', format('one with more room that is %s', how))
from unnest(array['released', 'lost', 'transient']) as how;
select is(pg_temp.cut('lines'), '2000 8', '... is asked for again as it was');

-- The shipped kinds know a share.
insert into public.users (id) values ('00000000-0000-0000-0000-000000000001');
insert into public.messages (user_id, content, created_at)
select '00000000-0000-0000-0000-000000000001', 'message ' || i, now() - i * interval '1 hour'
from generate_series(1, 99) as i;
insert into public.memories (user_id, key, content)
select '00000000-0000-0000-0000-000000000001', 'k' || i, 'memory ' || i from generate_series(1, 40) as i;
select is((select array_agg((select count(*) from jsonb_object_keys(p.context)) order by s desc)
  from unnest(array[1, 0.5, 0.01]) as s
  cross join public.prepare_profile('00000000-0000-0000-0000-000000000001', jsonb_build_object('share', s)) as p),
  '{50,25,10}', 'of 50 messages half are shown, and ten at least');
select is((select array_agg((select count(*) from jsonb_object_keys(p.context -> 'rows')) order by s desc)
  from unnest(array[1, 0.5, 0.01]) as s cross join
  public.prepare_consolidation('00000000-0000-0000-0000-000000000001', jsonb_build_object('share', s)) as p),
  '{40,20,5}', 'of 40 memories half are shown, and five at least');
select * from finish();
rollback;
