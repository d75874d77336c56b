-- Which tables a VACUUM, ANALYZE or REPACK names, by its words: comments, quotes, options and
-- column lists are stepped over. Partitioned tables stand for their leaves. A name without its
-- schema is looked up in public, where a session would. No row for other statements, and where none
-- is named.

create function maintenance_internal.statement_tables(p_statement text)
returns table (verb text, relid regclass, options text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_words text[] := array(
    select w.found[1]
    from regexp_matches(p_statement,
      '(--[^\n]*|/\*.*?\*/|"(?:[^"]|"")*"|[[:alpha:]_\u0080-\uffff][\w$]*|\S)', 'g')
      with ordinality as w (found, n)
    where w.found[1] !~ '^(--|/\*|;$)'
    order by w.n);
  v_word text;
  v_depth integer := 0;
  v_at integer := 1;
  v_name text := '';
begin
  verb := lower(replace(v_words[1], 'analyse', 'analyze'));
  if verb is null or verb not in ('vacuum', 'analyze', 'repack') then
    return;
  end if;
  -- PostgreSQL 19's: of one table, in the order of an index.
  if verb = 'repack' then
    v_words := v_words[:coalesce((
      select min(w.n) from unnest(v_words) with ordinality as w (word, n)
      where lower(w.word) = 'using') - 1, cardinality(v_words))];
  end if;
  options := '';
  loop
    v_at := v_at + 1;
    v_word := lower(v_words[v_at]);
    v_depth := v_depth + (v_word = '(')::integer - (v_word = ')')::integer;
    exit when v_word is null or v_depth = 0
      and v_word not in (')', 'full', 'freeze', 'verbose', 'analyze', 'analyse');
    options := options || ' ' || v_word;
  end loop;

  foreach v_word in array array_append(v_words[v_at:], ',') loop
    v_depth := v_depth + (v_word = '(')::integer - (v_word = ')')::integer;
    if v_word = ',' and v_depth = 0 then
      return query
        select verb, t.leaf::regclass, options
        from (select to_regclass(case when v_name ~ '^("(""|[^"])*"|[^".]+)$' then 'public.'
          else '' end || v_name) as found) as f
        join pg_class as c on c.oid = f.found
        cross join unnest(case c.relkind when 'p' then maintenance_internal.leaf_tables(f.found)
          else array[f.found::oid] end) as t (leaf);
      v_name := '';
    elsif v_depth = 0 and v_word not in (')', '*') and lower(v_word) <> 'only' then
      v_name := v_name || v_word;
    end if;
  end loop;
end
$$;
