#!/usr/bin/env bash
# That db/ and sql/ agree, and that an edit in sql/ without a migration is found.
. "$(dirname "$0")/../suite.sh"

export DATABASE_URL=$url
scripts/verify || result=1
tree=$(mktemp -d)
at_exit rm -r "$tree"
while read -r file edit; do
  cp -r sql db "$tree"
  sed -i "$edit" "$tree/$file"
  cmp -s "$file" "$tree/$file" && not_ok "the edit of $file does nothing"
  ! scripts/verify "$tree" >/dev/null 2>&1 || not_ok "scripts/verify has not found an edit of $file"
done <<'EDITS'
sql/reference/imports/rules.sql s/'0 3 \* \* \*'/'0 4 * * *'/
sql/engine/run/collect_slab.sql s/v_slab_limit constant integer := 500000/v_slab_limit constant integer := 400000/
EDITS

# A migration that fails ends the script inside a function, and what was made is taken away all the same.
cp -r db "$tree"
sed -i 's/^-- migrate:up/&\nselect 1 \/ 0;/' "$tree"/db/reference/*.sql
! scripts/verify "$tree" >/dev/null 2>&1 || not_ok 'scripts/verify has not found a migration that fails'
left=$(on "$url" psql -qXAt -c "select string_agg(datname, ' ') from pg_database where datname like 'verify\_%'")
[ -z "$left" ] || not_ok "scripts/verify leaves databases behind: $left"
exit $result
