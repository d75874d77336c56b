-- Records one call of a model and gives its cost. What a worker says of it is bounded: the login
-- may be in other hands.

create function maintenance_internal.record_call(
  p_task_id bigint,
  p_kind text,
  p_model text,
  p_outcome text,
  p_usage jsonb,
  p_details jsonb)
returns numeric
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_model text := coalesce(left(p_usage ->> 'model', 200), p_model);
  v_input bigint := maintenance_internal.usage_number(p_usage, 'promptTokenCount');
  v_output bigint := maintenance_internal.usage_number(p_usage, 'candidatesTokenCount')
    + maintenance_internal.usage_number(p_usage, 'thoughtsTokenCount');
  v_cost numeric;
begin
  select trim_scale((v_input * m.input_usd + v_output * m.output_usd) / 1e6) into v_cost
  from maintenance.model as m
  where m.model = v_model;
  insert into maintenance.model_call
    (task_id, kind, model, outcome, input_tokens, output_tokens, cost_usd, duration, details)
  values (p_task_id, p_kind, v_model, p_outcome, v_input, v_output, v_cost,
    maintenance_internal.usage_number(p_usage, 'durationMs') * interval '1 millisecond',
    case when length(p_details::text) <= 4000 then p_details
      else jsonb_build_object('cut', left(p_details::text, 4000)) end);
  return v_cost;
end
$$;
