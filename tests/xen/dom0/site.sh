# shellcheck shell=bash
# The site as make xen builds it, with the configuration that people get.

request() { curl -s -m 20 "$@"; }
status() { request -o /dev/null -w '%{http_code}' "$@"; }

check 'xl create www.xl' xl create -q www.xl
check 'it serves' wait_for 60 serves
# Somebody who attaches late sees the boot too.
check 'xl console shows the boot log' grep -q 'ready' <(timeout 20 xl console "$NAME" < <(sleep 3) 2>/dev/null)
says 'the log says what was agreed with netback' 'vif/0 .*tso4'

check_pages 'IPv4' "$URL" "$IN/site"
check 'ping' ping -c 3 -i 0.2 -W 5 "$ADDRESS"
link_local=$(console | sed -n 's/.*http:..\[\(fe80:[^%]*\)%interface\].*/\1/p' | head -n 1)
check 'ping -6, link-local' ping -6 -c 3 -i 0.2 -W 5 "$link_local%xenbr0"
check_pages 'IPv6, link-local' "http://[$link_local%25xenbr0]" "$IN/site"

expect '/healthz' 'ok' "$(request "$URL/healthz")"
expect '404' 404 "$(status "$URL/nothing/here")"
expect '405 for POST' 405 "$(status -d a=b "$URL/")"
expect '405 has Allow' 'GET, HEAD' "$(request -X DELETE -o /dev/null -w '%header{allow}' "$URL/")"
expect '400 for a path that climbs' 400 "$(status --path-as-is "$URL/../etc/passwd")"
expect 'HEAD has the length of GET and no body' \
    "200 $(request -H 'Accept-Encoding: identity' "$URL/" | wc -c) 0" \
    "$(request -I -o /dev/null -H 'Accept-Encoding: identity' -w '%{http_code} %header{content-length} %{size_download}' "$URL/")"
etag=$(request -o /dev/null -w '%header{etag}' "$URL/")
expect '304 for the tag' "304 0" "$(request -H "If-None-Match: $etag" -o /dev/null -w '%{http_code} %{size_download}' "$URL/")"
expect '200 for another tag' 200 "$(status -H 'If-None-Match: "other"' "$URL/")"
well 'site'
