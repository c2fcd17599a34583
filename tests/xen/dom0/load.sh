# shellcheck shell=bash
# Many requests and many connections: no error.

start
out=$(mktemp)

# ab counts an answer of another length as failed.
ab_errors() { awk '/^Complete requests:/ { n = $3 } /^(Failed|Non-2xx|Write errors)/ { e += $NF } END { print n + 0, e + 0 }' "$out"; }

begun=$(now)
ab -q -k -n 1000 -c 1 -s 60 "$URL/" >"$out" 2>&1
expect '1,000 requests on one connection: answers, errors' '1000 0' "$(ab_errors)"
expect 'all of them on one' 1000 "$(awk '/^Keep-Alive requests:/ { print $3 }' "$out")"
echo "  (in $(seconds_since "$begun") s)"
begun=$(now)
ab -q -n 1000 -c 4 -s 60 "$URL/" >"$out" 2>&1
expect '1,000 new connections: answers, errors' '1000 0' "$(ab_errors)"
echo "  (in $(seconds_since "$begun") s)"
begun=$(now)
ab -q -k -n 4000 -c 200 -s 60 "$URL/" >"$out" 2>&1
expect '200 connections at once: answers, errors' '4000 0' "$(ab_errors)"
echo "  (in $(seconds_since "$begun") s)"
well 'load'
rm "$out"
