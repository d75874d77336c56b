-- Whether an index serves a rule. The planner is asked, not the catalogue: could it read the due
-- rows in the order of their age, without sorting and without reading the rest of the table? The
-- fix is an index that Postgres took when the policy was set.

create function maintenance_internal.lint_indexes(
  p_policy maintenance_internal.policy,
  p_table regclass)
returns table (severity text, finding text, fix text)
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
declare
  v_leaves oid[] := maintenance_internal.leaf_tables(p_table);
  v_partitioned boolean := (select c.relkind = 'p' from pg_class as c where c.oid = p_table);
  v_statement text := 'explain (format json) ' || maintenance_internal.count_statement(p_policy);
  v_plan jsonb;
  v_names jsonb;
  v_scans jsonb;
  v_unserved oid[];
begin
  perform set_config('search_path', maintenance_internal.owner_path(), true);
  execute v_statement into v_plan using maintenance_internal.clock() - p_policy.keep, 10000;
  perform set_config('search_path', 'pg_catalog, pg_temp', true);
  v_names := jsonb_build_object('names', (
    select jsonb_agg(c.relname)
    from unnest(p_table::oid || v_leaves) as t
    join pg_class as c on c.oid = t));
  v_scans := jsonb_path_query_array(v_plan, '$.** ? (@."Relation Name" == $names[*])', v_names);

  -- What the rule looks up elsewhere may be sorted.
  if jsonb_path_exists(v_plan, '$.** ? (@."Node Type" == "Sort" '
      '&& exists (@.** ? (@."Relation Name" == $names[*])))', v_names)
    or v_scans @? '$[*] ? (@."Node Type" == "Seq Scan")' then
    severity := 'warning';
    finding := format('no index serves the age %s of %s', p_policy.age, p_table);
  elsif p_policy.action = 'update' and p_policy.index_on like '%) where %'
    and v_scans @? '$[*] ? (exists (@."Filter"))' then
    severity := 'warning';
    finding := format('no index of %s is partial on the rule: rows once updated are read at each '
      'look', p_table);
  else
    return;
  end if;

  -- Partitions share one index of their parent, which cannot be made concurrently; children of an
  -- inheritance parent each need their own.
  if p_policy.index_on is null then
    fix := '-- Postgres takes no index on this age, which is not immutable: '
      'keep the time in a column, and set the policy on that.';
  elsif v_partitioned then
    fix := format('create index on %s %s; -- it locks writes: in a busy table first concurrently '
      'on each partition', p_table, p_policy.index_on);
  else
    select array_agg(c.oid) into v_unserved
    from pg_class as c
    where c.oid = any (v_leaves)
      and (cardinality(v_leaves) = 1 or v_scans @? format(
        '$[*] ? (@."Relation Name" == %s && (@."Node Type" == "Seq Scan" || exists (@."Filter")))',
        to_json(c.relname))::jsonpath);
    select string_agg(format('create index concurrently on %s %s;', t.relid::regclass,
      p_policy.index_on), ' ' order by t.relid)
    into fix
    from unnest(coalesce(v_unserved, v_leaves)) as t (relid);
  end if;
  return next;
end
$$;
