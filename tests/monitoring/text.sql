-- maintenance.metrics as a text for Prometheus, for promtool check metrics.
select format(e'# HELP %1$s %2$s\n# TYPE %1$s %3$s\n%4$s', m.name, m.help, m.type, string_agg(concat(m.name,
    '{' || l.labels || '}', ' ', replace(m.value::text, 'Infinity', '+Inf')), e'\n' order by l.labels))
from maintenance.metrics as m
cross join lateral (
  select string_agg(format('%s="%s"', e.key,
    replace(replace(replace(e.value, '\', '\\'), '"', '\"'), e'\n', '\n')), ',')
  from jsonb_each_text(m.labels) as e
) as l (labels)
group by m.name, m.help, m.type
order by m.name;
