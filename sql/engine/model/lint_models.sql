-- What is to be known of the models: one without a price, which the budget does not see; one that
-- is asked too often, and whose limit nobody has told.

create function maintenance_internal.lint_models()
returns table (severity text, finding text, fix text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select 'warning', format('the model %s has no price: what it costs counts for no budget',
        m.model),
      format('With USD per million tokens in and out: select maintenance.set_model(%L, '
        'input_usd => 0.30, output_usd => 2.50);', m.model)
    from maintenance.model as m
    where m.carrier = 'worker' and m.enabled and (m.input_usd is null or m.output_usd is null)
    order by m.position;
  return query
    select 'notice', format('the model %s has refused %s of its last %s calls as too many, and '
        'its limit is not known', m.model, c.refused, c.calls),
      format('With the requests a minute that your account allows: select maintenance.set_model('
        '%L, per_minute => 15);', m.model)
    from (
      select l.model, count(*) as calls,
        count(*) filter (where l.outcome = 'defer'
          and l.details::text ~ 'QuotaFailure|RetryInfo') as refused
      from (select * from maintenance.model_call order by call_id desc limit 1000) as l
      group by l.model
    ) as c
    join maintenance.model as m on m.model = c.model
    left join maintenance_internal.model_pace as p on p.model = m.model
    where m.per_minute is null and p.learned_minute is null
      and c.refused > 10 and c.refused > 0.02 * c.calls
    order by m.position;
end
$$;
