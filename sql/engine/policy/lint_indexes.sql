-- Whether an index serves a rule. The planner is asked, not the catalogue: could it read the due
-- rows in the order of their age, without sorting and without reading the rest of the table?

create function maintenance.lint_indexes(p_policy maintenance.policy, p_table regclass)
returns table (severity text, finding text, fix text)
language plpgsql
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
declare
  v_plan jsonb;
  v_scans jsonb;
  v_index text := format('create index concurrently on %s (%s)%s;', p_table,
    case when p_policy.age ~ '^("[^"]+"|[a-z_][a-z0-9_]*)$' then p_policy.age
      else '(' || p_policy.age || ')' end,
    coalesce(' where ' || p_policy.matching, ''));
  v_plain boolean := p_policy.matching is null or p_policy.matching ~ '\(\s*SELECT\y';
begin
  if v_plain then
    v_index := replace(v_index, coalesce(' where ' || p_policy.matching, ''), '');
  end if;
  execute 'explain (format json) '
    || replace(replace(maintenance.count_statement(p_policy),
      '$1', quote_literal(maintenance.clock() - p_policy.keep) || '::timestamptz'), '$2', '10000')
  into v_plan;

  v_scans := jsonb_path_query_array(v_plan,
    '$.** ? (@."Relation Name" == $names[*])', jsonb_build_object('names', (
      select jsonb_agg(c.relname)
      from unnest(p_table::oid || maintenance.leaf_tables(p_table)) as t
      join pg_class as c on c.oid = t)));

  if v_plan @? '$.** ? (@."Node Type" == "Sort" || @."Node Type" == "Incremental Sort")'
    or v_scans @? '$[*] ? (@."Node Type" == "Seq Scan")' then
    return query select 'warning',
      format('no index serves the age %s of %s', p_policy.age, p_table), v_index;
  elsif p_policy.action = 'update' and not v_plain
    and v_scans @? '$[*] ? (exists (@."Filter"))' then
    return query select 'warning',
      format('no index of %s is partial on the rule: rows once updated are read at each look',
        p_table), v_index;
  end if;
end
$$;
