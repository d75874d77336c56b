-- Whether a text of a model says nothing: tags, marks, what cannot be seen, and words that say that
-- there is nothing.

create function public.says_nothing(text text)
returns boolean
language sql
immutable
set search_path = pg_catalog, pg_temp
return coalesce(regexp_replace(lower(text),
  '<[^>]*>|[[:space:][:punct:][:cntrl:]\u3164\u115f\u1160\uffa0\u00ad]'
  '|\m(null|none|n|a|na|nil|undefined|unknown|empty|no|summary)\M', '', 'g') = '', true);

comment on function public.says_nothing(text) is
  'Whether a text of a model says nothing, as "N/A", "<br>" or none at all.';
