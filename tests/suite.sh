# shellcheck shell=bash
# What the suites share. Sourced by tests/*/suite.sh, which scripts/test starts as programs of their
# own with these in the environment: url (the owner's, of a database to start from), prefix (what
# every database and role of the tests is called by), template (a database with everything in it),
# and, on a server of the tests' own, home (its cluster) and folder (a place for more).

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"
find_server

url=${url:?a suite is started by scripts/test}
prefix=${prefix:?} template=${template:?} home=${home:-} folder=${folder:-}
# What deletes and drops does it in databases of these names alone.
[[ $prefix =~ ^(test|maintenance_test_[0-9]+)$ ]] || die "$prefix is no prefix of the tests"

result=0 # what a suite ends with
# shellcheck disable=SC2034
not_ok() { printf 'not ok - %s\n' "$*"; result=1; }

# needs_own_server SUITE: leaves the suite out, by name, where DATABASE_URL has brought the server.
needs_own_server() {
  if [ -n "${DATABASE_URL:-}" ]; then
    say "left out: $1 needs a server of its own (unset DATABASE_URL)"
    exit 77
  fi
}

make_database() { # make_database NAME [TEMPLATE]
  on "$url" psql -qX -v ON_ERROR_STOP=1 -c "create database $1 ${2:+template $2}"
}
