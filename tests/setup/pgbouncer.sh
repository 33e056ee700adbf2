#!/bin/sh
# Makes sure that PgBouncer is installed, and prints the path of its program.
# Everything else goes to standard error. Any version will do.
set -eu

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

find_program() {
  PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v pgbouncer
}

if ! program=$(find_program); then
  echo 'pgbouncer: not installed: installing it' >&2
  as_root apt-get update >&2
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends pgbouncer >&2
  program=$(find_program) || {
    echo 'pgbouncer: it cannot be installed' >&2
    exit 1
  }
fi
echo "$program"
