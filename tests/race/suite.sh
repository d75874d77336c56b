#!/usr/bin/env bash
# Several sessions in a fixed order of steps; what each sees is compared.
. "$(dirname "$0")/../suite.sh"

tester=$pg_bin/../lib/pgxs/src/test/isolation/isolationtester
if [ ! -x "$tester" ]; then
  say "left out: race needs isolationtester, which is not beside $pg_bin"
  exit 77
fi
for spec in tests/race/*.spec; do
  name=${prefix}_$(basename "$spec" .spec)
  make_database "$name" "$template"
  if diff -u "${spec%.spec}.out" <(on "$url" "$tester" "dbname=$name" <"$spec" 2>&1); then
    echo "$spec .. ok"
  else
    not_ok "$spec"
  fi
done
exit $result
