#!/usr/bin/env bash
# The page of report_html, as make report writes it, in a browser: of a lively database and of an empty one.
. "$(dirname "$0")/../suite.sh"

BROWSER=$(find_browser)
if [ -z "$BROWSER" ] || [ ! -e node_modules/playwright-core ] || [ ! -e node_modules/axe-core ]; then
  say 'left out: page needs Chromium and the packages of development (scripts/test page installs both)'
  exit 77
fi
export BROWSER
pages=$(mktemp -d)
at_exit rm -r "$pages"
write() { # write NAME DAYS
  DATABASE_URL=$(in_database "$url" "${prefix}_page_$1") OUT=$pages/$1-$2.html DAYS=$2 scripts/report
}

make_database "${prefix}_page_empty" "$template"
make_database "${prefix}_page_lively" "$template"
on "$(in_database "$url" "${prefix}_page_lively")" psql -qX -v ON_ERROR_STOP=1 -o "$pages/log" -f tests/page/set_up.sql
write empty 7
write lively 7
write lively 90
[ "$(stat -c %a "$pages/empty-7.html")" = "$(printf %o $((0666 & ~0$(umask))))" ] ||
  not_ok 'the file has not the rights that the umask gives it'

# A report that cannot be made leaves what was there, and nothing beside it.
echo before >"$pages/kept"
! DATABASE_URL=$(in_database "$url" "${prefix}_page_empty") OUT=$pages/kept DAYS=367 scripts/report 2>"$pages/log" ||
  not_ok 'a report over 367 days is made'
grep -q 'A number of days from 1 to 366' "$pages/log" || not_ok "a report over 367 days says: $(cat "$pages/log")"
[ "$(cat "$pages/kept")" = before ] || not_ok 'a report that fails overwrites the one before'
[ "$(find "$pages" -name 'kept*' | wc -l)" = 1 ] || not_ok 'a report that fails leaves a part of a file'

PAGES=$pages timeout 300 node --import tsx --test --test-reporter=dot tests/page/page.test.ts || result=1
exit $result
