#!/bin/sh
# Makes sure that the PostgreSQL server, 15 or later, is installed, and prints
# the directory of its programs. Everything else goes to standard error.
# DRIFTLINE_TEST_PG_BIN, when set, is that directory.
set -eu

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# True for a directory with the server, of version 15 or later.
suits() {
  [ -x "$1/initdb" ] && [ -x "$1/pg_ctl" ] && [ -x "$1/postgres" ] || return 1
  # "postgres (PostgreSQL) 15.18 (Debian …)", also "18beta1".
  major=$("$1/postgres" --version | sed 's/^[^)]*) \([0-9]*\).*/\1/')
  [ "$major" -ge 15 ]
}

# Debian keeps each major version aside and off the PATH: the newest wins.
find_server() {
  for bin in \
    $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -Vr) \
    "$(dirname "$(command -v postgres || echo /nowhere/postgres)")"; do
    if suits "$bin"; then
      echo "$bin"
      return
    fi
  done
  return 1
}

install() {
  # Without this, the package makes and starts a cluster that nobody asked for.
  dir=/etc/postgresql-common/createcluster.d
  as_root mkdir -p "$dir"
  echo 'create_main_cluster = false' | as_root tee "$dir/driftline.conf"
  as_root apt-get update
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends postgresql
  as_root rm "$dir/driftline.conf"
}

if [ -n "${DRIFTLINE_TEST_PG_BIN:-}" ]; then
  suits "$DRIFTLINE_TEST_PG_BIN" || {
    echo "postgres: no server of version 15 or later in $DRIFTLINE_TEST_PG_BIN" >&2
    exit 1
  }
  echo "$DRIFTLINE_TEST_PG_BIN"
  exit
fi
if ! bin=$(find_server); then
  echo 'postgres: no server of version 15 or later: installing it' >&2
  install >&2
  bin=$(find_server) || {
    echo 'postgres: the installed server is older than version 15' >&2
    exit 1
  }
fi
echo "$bin"
