#!/bin/sh
# Brings back every version of one tenant from a bucket of driftline, without driftline.
# It needs sh, sed, sort, tr and sha256sum (or shasum), and to fetch: aws, curl or cp. README.txt explains the layout.
usage='usage: BASE=s3://BUCKET/PREFIX/ | https://HOST/PATH/ | /A/LOCAL/COPY/ sh recover.sh TENANT DIRECTORY [BASE]
Writes DIRECTORY/v000001.json ... and DIRECTORY/history.tsv. DIRECTORY must not exist: nothing is ever overwritten.'
export LC_ALL=C
tenant=$1 directory=$2 base=${3:-${BASE:-}}
case $tenant in '' | [._-]* | *[!A-Za-z0-9._-]*) echo "$usage" >&2; exit 64 ;; esac
if [ -z "$directory" ] || [ -z "$base" ]; then echo "$usage" >&2; exit 64; fi
base=${base%/}/
case $directory in /*) ;; *) directory=./$directory ;; esac
if ! mkdir "$directory"; then echo "recover.sh: cannot make $directory: it must not exist yet" >&2; exit 4; fi
work=$directory/.work
mkdir "$work" || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM
failures=0

fail() { failures=$((failures + 1)); echo "FAILED $*" >&2; }

fetch() { # KEY FILE
    case $base in
    http://* | https://*) curl -fsS -o "$2" "$base$1" ;;
    *) cp "$base$1" "$2" ;;
    esac
}

sha256() { # of the standard input
    if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | sed 's/ .*//'
}

member() { sed -n "s/^\"$1\":\"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$2"; } # NAME FILE: a member that has a line

# The entries of an index or a page, one a line; createdBy comes last because it may hold spaces. A quotation mark within a
# text has a backslash before it, so that ," begins a member wherever it stands.
entries() { # KEY
    if ! fetch "$1" "$work/index"; then fail "$1: it cannot be fetched"; return 1; fi
    found=$(sed '/^"selfSha256":/,$d' "$work/index" | sha256)
    if [ "$found" != "$(member selfSha256 "$work/index")" ]; then fail "$1: its selfSha256 is not $found"; return 1; fi
    sed -n 's/^{"id":"[^"]*","communityId":"[^"]*","version":\([0-9]*\),"epoch":\([0-9]*\),"checksum":"\([0-9a-f]*\)","createdAt":"\([^"]*\)","committedAt":"[^"]*","createdBy":\(.*\),"message":.*,"s3Key":".*\/\([^"\/]*\)","sizeBytes":[0-9]*,"objectSha256":"\([0-9a-f]*\)","chain":"\([0-9a-f]*\)"[,}].*$/\1 \2 \3 \8 \4 \7 \6 \5/p' "$work/index" >>"$work/entries"
}

case $base in
s3://*) # all at once: the aws command takes a second to start
    aws ${AWS_ENDPOINT_URL:+--endpoint-url "$AWS_ENDPOINT_URL"} s3 cp --recursive --only-show-errors "$base$tenant/" \
        "$work/copy/$tenant/" --exclude 'applies/*' --exclude 'decisions/*' || fail "$base$tenant/: not all of it came"
    base=$work/copy/ ;;
esac
entries "$tenant/index.json" || exit 9
latest=$(member latestVersion "$work/index")
pages=$(member sealedPages "$work/index")
page=0
while [ "$page" -lt "$pages" ]; do
    page=$((page + 1))
    entries "$tenant/index/$(printf 'p%06d' "$page").json"
done
sort -n "$work/entries" >"$work/sorted"
printf 'version\tepoch\tchecksum\tchain\tcreatedAt\tcreatedBy\n' >"$directory/history.tsv"
next=1 written=0
while read -r version epoch checksum chain created digest name by; do
    [ "$version" = "$next" ] || fail "$tenant: version $version is named where version $next belongs"
    next=$((version + 1))
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$version" "$epoch" "$checksum" "$chain" "$created" "$by" >>"$directory/history.tsv"
    key=$tenant/versions/$name # s3Key has the prefix of the bucket too, which a copy may lie without
    file=$directory/$(printf 'v%06d' "$version").json
    if [ -e "$file" ]; then fail "$key: $file is there already"; continue; fi
    if ! fetch "$key" "$work/object"; then fail "$key: it cannot be fetched"; continue; fi
    found=$(sha256 <"$work/object")
    if [ "$found" != "$digest" ]; then fail "$key: its SHA-256 is $found, but the index says $digest"; continue; fi
    sed -n '/^"content":$/{n;p;q;}' "$work/object" | tr -d '\n' >"$work/content"
    found=$(sha256 <"$work/content")
    if [ "$found" != "$checksum" ]; then fail "$key: the SHA-256 of its content is $found, not $checksum"; continue; fi
    mv "$work/content" "$file" && written=$((written + 1))
done <"$work/sorted"
[ "$next" = "$((latest + 1))" ] || fail "$tenant: versions $next to $latest are not named"
echo "$written of $latest versions of $tenant are in $directory; $failures failures" >&2
[ "$failures" = 0 ] && [ "$written" = "$latest" ] || exit 9
