-- What may be kept of an error that a kind's function raised. Messages about bad values (class 22)
-- and of foreign code (P0001) carry rows' text; the others name objects only.

create function maintenance.error_text(p_where text, p_sqlstate text, p_message text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return format('%s: SQLSTATE %s', p_where, p_sqlstate)
  || case when p_sqlstate like '22%' or p_sqlstate = 'P0001' then '' else ' ' || p_message end;

comment on function maintenance.error_text(text, text, text) is
  'What may be kept of an error that a kind''s function raised.';
