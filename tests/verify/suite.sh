#!/usr/bin/env bash
# That db/ and sql/ agree, and that an edit in sql/ without a migration is found.
. "$(dirname "$0")/../suite.sh"

export DATABASE_URL=$url
scripts/verify || result=1
tree=$(mktemp -d)
trap 'rm -r "$tree"' EXIT
while read -r file edit; do
  cp -r sql db "$tree"
  sed -i "$edit" "$tree/$file"
  cmp -s "$file" "$tree/$file" && not_ok "the edit of $file does nothing"
  ! scripts/verify "$tree" >/dev/null 2>&1 || not_ok "scripts/verify has not found an edit of $file"
done <<'EDITS'
sql/reference/imports/rules.sql s/'0 3 \* \* \*'/'0 4 * * *'/
sql/engine/run/collect_slab.sql s/v_slab_limit constant integer := 500000/v_slab_limit constant integer := 400000/
EDITS
exit $result
