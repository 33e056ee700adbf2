#!/bin/sh
# Installs LocalStack into target/localstack/, from localstack/requirements.txt.
# Does nothing when that is already done; two at once wait for each other.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
stack=$(dirname "$here")/target/localstack
venv=$stack/venv
mkdir -p "$stack"
exec 9>"$stack/lock"
flock 9

say() { echo "localstack: $*" >&2; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Prints the first Python that LocalStack runs on and that can make a venv.
# A name on PATH may be a version manager's stub that cannot run: ask each.
find_python() {
  for python in python3.11 python3.12 python3.13 python3 /usr/bin/python3; do
    if "$python" -c '
import sys, ensurepip, venv
sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
      echo "$python"
      return
    fi
  done
  return 1
}

install() {
  if ! python=$(find_python); then
    say "no Python 3.11 to 3.13 with the venv module: installing python3-venv"
    {
      as_root apt-get update
      as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends python3-venv
    } >&2
    python=$(find_python) || { say "still no Python 3.11 to 3.13"; exit 1; }
  fi
  say "installing with $("$python" --version)"
  rm -rf "$stack/installed" "$stack/warm" "$stack/cache" "$venv"
  "$python" -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check \
    -r "$here/requirements.txt" >&2
  cp "$here/requirements.txt" "$stack/installed"
}

# The first start compiles and caches for some ten seconds: not in a test.
warm_up() {
  say "first start"
  "$venv/bin/python" - "$here/start.sh" "$stack/warm-up" 9>&- <<'EOF'
import os, socket, subprocess, sys, time, urllib.request

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
log = open(sys.argv[2] + ".log", "wb")
server = subprocess.Popen(
    [sys.argv[1], str(port), sys.argv[2]], stdin=subprocess.PIPE, stdout=log,
    stderr=log, env={**os.environ, "DRIFTLINE_UNTIL_EOF": "1"})
deadline = time.monotonic() + 120
while True:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/_localstack/health", timeout=5)
        break
    except OSError:
        if server.poll() is not None or time.monotonic() > deadline:
            sys.exit(open(sys.argv[2] + ".log").read() + "\nLocalStack did not start")
        time.sleep(0.1)
server.terminate()
server.wait(30)
EOF
  rm -rf "$stack/warm-up"
  touch "$stack/warm"
}

# Both the pins and the interpreter behind the venv may have changed.
if ! cmp -s "$here/requirements.txt" "$stack/installed" ||
  ! "$venv/bin/python" -c '' 2>/dev/null; then
  install
fi
if [ ! -e "$stack/warm" ]; then
  warm_up
fi
