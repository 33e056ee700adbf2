#!/bin/sh
# Usage: localstack/start.sh PORT [DATADIR]
#
# Runs LocalStack's S3 in the foreground on 127.0.0.1:PORT. It is ready when
# GET /_localstack/health answers 200. All state is in memory; DATADIR
# (default: target/localstack/data-PORT) takes temporary files, and must be
# of this instance alone.
set -eu

port=${1:?usage: localstack/start.sh PORT [DATADIR]}
root=$(cd "$(dirname "$0")/.." && pwd)
stack=$root/target/localstack
data=${2:-$stack/data-$port}

if [ ! -e "$stack/installed" ]; then
  echo "LocalStack is not installed: run 'make setup' first" >&2
  exit 1
fi

mkdir -p "$data/tmp"
data=$(cd "$data" && pwd)

# Python spools the bodies of objects to TEMP when there is no TMPDIR, which
# LocalStack reads as a deprecated setting of its own.
unset TMPDIR
export HOME="$data" TEMP="$data/tmp" FILESYSTEM_ROOT="$data"
export XDG_CACHE_HOME="$stack/cache" DRIFTLINE_LOCALSTACK_CACHE="$stack/cache/localstack"
# Inside any container LocalStack takes itself for its own image, and then
# uses system directories that all instances share.
export OVERRIDE_IN_DOCKER=0
export SERVICES=s3 EAGER_SERVICE_LOADING=1
# No telemetry, no certificate download, no DNS server.
export DISABLE_EVENTS=1 SKIP_SSL_CERT_DOWNLOAD=1 DNS_ADDRESS=0
export GATEWAY_LISTEN="127.0.0.1:$port" LOCALSTACK_HOST="127.0.0.1:$port"

# Isolated: neither PYTHON* variables nor the working directory matter.
exec "$stack/venv/bin/python" -I "$root/localstack/serve.py"
