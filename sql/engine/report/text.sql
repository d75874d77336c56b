-- How report_html writes texts, numbers and times. The page is read as XML, too: every text of
-- anybody's goes through html_escape.

-- Characters that no page may hold, that turn the order of those around them, or that nobody sees,
-- are dropped.
create function maintenance_internal.html_escape(p_text text)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  p_text := regexp_replace(p_text, '[\x01-\x08\x0b-\x1f\x7f]', '', 'g');
  if getdatabaseencoding() = 'UTF8' then
    p_text := regexp_replace(p_text,
      '[\u0080-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff]', '', 'g');
  end if;
  return replace(replace(replace(replace(replace(p_text, '&', '&amp;'), '<', '&lt;'),
    '>', '&gt;'), '"', '&quot;'), '''', '&#39;');
end
$$;

-- At most so many characters, and an ellipsis where there were more.
create function maintenance_internal.html_cut(p_text text, p_length integer)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return maintenance_internal.html_escape(left(p_text, p_length))
  || case when length(p_text) > p_length then '&#8230;' else '' end;

create function maintenance_internal.html_number(p_number numeric)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return to_char(round(p_number), 'FM999,999,999,999,999,999,990');

-- What fits over a narrow column: 950, 12k, 1.2M.
create function maintenance_internal.html_short_number(p_number numeric)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return case
  when p_number < 1000 then round(p_number)::text
  when p_number < 9950 then to_char(p_number / 1e3, 'FM990.0') || 'k'
  when p_number < 999500 then round(p_number / 1e3)::text || 'k'
  when p_number < 9950000 then to_char(p_number / 1e6, 'FM990.0') || 'M'
  else maintenance_internal.html_number(p_number / 1e6) || 'M'
end;

-- USD, to the cent; what is less, to its first two digits.
create function maintenance_internal.html_usd(p_usd numeric)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return case
  when p_usd is null then '-'
  when p_usd = 0 or p_usd >= 0.1 then to_char(p_usd, 'FM$999,999,999,990.00')
  when p_usd >= 0.001 then to_char(p_usd, 'FM$0.0000')
  else '&lt; $0.001'
end;

create function maintenance_internal.html_short_usd(p_usd numeric)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return case
  when p_usd >= 99.995 then '$' || maintenance_internal.html_short_number(p_usd)
  when p_usd >= 0.01 or p_usd = 0 then to_char(p_usd, 'FM$990.00')
  else '&lt; 1 &#162;'
end;

create function maintenance_internal.html_duration(p_ms numeric)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return case
  when p_ms is null then '-'
  when p_ms < 999.5 then round(p_ms)::text || ' ms'
  when p_ms < 59950 then to_char(p_ms / 1e3, 'FM990.0') || ' s'
  when p_ms < 5970000 then round(p_ms / 6e4)::text || ' min'
  when p_ms < 172800000 then to_char(p_ms / 3.6e6, 'FM990.0') || ' h'
  else round(p_ms / 8.64e7)::text || ' days'
end;

create function maintenance_internal.html_time(p_at timestamptz)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return case when isfinite(p_at)
  then to_char(p_at at time zone 'UTC', '"<time>"YYYY-MM-DD HH24:MI" UTC</time>"') else '-' end;

-- A word with the colour and the sign of what it means.
create function maintenance_internal.html_badge(p_word text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return (
  select concat('<span class="badge ', m.meaning, '"><span class="sign" aria-hidden="true">',
    case m.meaning when 'ok' then '&#10003;' when 'notice' then '&#9679;'
      when 'warning' then '&#9650;' when 'critical' then '&#10007;' else '&#9675;' end,
    '</span>', maintenance_internal.html_escape(p_word), '</span>')
  from (
    select case
      when p_word in ('ok', 'excellent', 'good', 'succeeded') then 'ok'
      when p_word in ('notice', 'running', 'waiting', 'failing_over') then 'notice'
      when p_word in ('warning', 'cancelled', 'interrupted', 'given up', 'cooling') then 'warning'
      when p_word in ('critical', 'failed', 'timeout', 'blocked', 'retired') then 'critical'
      else 'plain'
    end
  ) as m (meaning)
);

-- An advice, its statements in <code>, to be copied; at most 8,000 characters. Null for null.
create function maintenance_internal.html_advice(p_text text)
returns text
language plpgsql
immutable
strict
set search_path = pg_catalog, pg_temp
as $$
declare
  v_from text;
  v_to integer;
  v_piece text;
  v_html text := '';
begin
  -- What is escaped has none of \x01 and \x02.
  p_text := regexp_replace(left(p_text, 8000), '[\x01\x02]', '', 'g');
  p_text := regexp_replace(p_text, maintenance_internal.statement_pattern(), e'\x01\\&\x02', 'g');
  foreach v_from in array string_to_array(p_text, e'\x01') loop
    v_to := position(e'\x02' in v_from);
    v_piece := maintenance_internal.html_escape(left(v_from, greatest(v_to - 1, 0)));
    v_html := v_html || case when v_to = 0 or v_from ~ '^[''"]' then v_piece
        else '<code>' || v_piece || '</code>' end
      || maintenance_internal.html_escape(substr(v_from, v_to + 1));
  end loop;
  return v_html;
end
$$;
