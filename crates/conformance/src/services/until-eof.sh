#!/bin/sh
# Runs a service for as long as this script's standard input stays open, then stops it and removes its directory. The test
# process holds the other end of the pipe, so that nothing is left behind however that process ends. The service's process
# id is in DIRECTORY/pid.
#   until-eof.sh DIRECTORY COMMAND [ARG ...]
set -u
directory=$1
shift
"$@" </dev/null >"$directory/log" 2>&1 &
service=$!
echo "$service" >"$directory/pid"
trap '' INT TERM HUP
cat >/dev/null
kill -TERM "$service" 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  kill -0 "$service" 2>/dev/null || break
  sleep 0.1
done
kill -KILL "$service" 2>/dev/null
wait "$service" 2>/dev/null
rm -rf "$directory"
