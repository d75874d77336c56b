#!/usr/bin/env bash
# That db/ and sql/ agree, and that an edit in sql/ without a migration is found.
. "$(dirname "$0")/../suite.sh"

export DATABASE_URL=$url
scripts/verify || result=1
tree=$(mktemp -d)
log=$(mktemp)
at_exit rm -r "$tree" "$log"
again() { # the tree as it is here, released or not
  rm -rf "${tree:?}"/*
  cp -r sql db package.json "$tree"
}
edit() { # edit FILE SCRIPT, of the tree
  sed -i "$2" "$tree/$1"
  ! cmp -s "$1" "$tree/$1" || not_ok "the edit of $1 does nothing"
}
migration() { node --import tsx scripts/new-migration.ts --root "$tree" what_changed >/dev/null; }
finds() { # finds WORDS WHAT: verify fails and says so
  ! scripts/verify "$tree" >"$log" 2>&1 || not_ok "scripts/verify has not found $2"
  grep -qF -e "$1" "$log" || not_ok "scripts/verify says of $2: $(cat "$log")"
}

while read -r file edit; do
  again
  edit "$file" "$edit"
  finds 'sql/ has changed since: run make migration' "an edit of $file"
done <<'EDITS'
sql/reference/imports/rules.sql s/'0 3 \* \* \*'/'0 4 * * *'/
sql/engine/run/find_pieces.sql s/least(500000,/least(400000,/
EDITS

# After a release, a table that was changed in sql/ needs an alter statement in the migration.
again
edit package.json 's/"version": ".*"/"version": "0.1.0"/'
migration
edit sql/engine/job/tables.sql 's/batch_size integer not null default 20000/batch_size integer not null default 4000/'
migration
finds 'sql/ and db/ differ' 'a table that a migration has not altered'
sed -i 's/^-- TODO .*/alter table maintenance_internal.job alter batch_size set default 4000;/' "$tree"/db/migrations/*
scripts/verify "$tree" >"$log" 2>&1 || not_ok "a table that a migration has altered: $(cat "$log")"

# A migration that fails ends the script inside a function, and what was made is taken away all the same.
again
edit sql/reference/touch_updated_at.sql '1s/^/select 1 \/ 0;\n/'
migration
finds 'division by zero' 'a migration that fails'
left=$(on "$url" psql -qXAt -c "select string_agg(datname, ' ') from pg_database where datname like 'verify\_%'")
[ -z "$left" ] || not_ok "scripts/verify leaves databases behind: $left"
exit $result
